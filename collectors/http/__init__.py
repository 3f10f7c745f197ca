"""What all that ask over HTTP share: where a server is, bounded requests, fields of JSON answers."""
