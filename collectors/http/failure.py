"""Why a request got no usable answer: one word for each cause."""

from __future__ import annotations

from typing import Literal

FailureKind = Literal[
    "refused",  # nothing listens on the port
    "no_such_host",  # the name does not resolve
    "no_route",  # the network cannot reach the address
    "connect_timeout",  # no answer to the attempt to connect
    "timeout",  # connected, no complete answer
    "reset",  # connection closed or reset before the answer was complete
    "not_http",  # what came back is not HTTP
    "too_large",  # more bytes than any such answer has
    "bad_encoding",  # compressed in a way that cannot be undone
    "certificate",  # the certificate is not trusted
    "tls",  # no TLS on that port
    "ca_file",  # the certificates to trust cannot be read
    "proxy",  # the environment's proxy cannot be used
    "unusable",  # this address or header cannot be sent at all
]


class RequestError(Exception):
    """A request that got no usable answer. Its text is ``kind`` alone: it cannot leak a secret."""

    def __init__(self, kind: FailureKind) -> None:
        super().__init__(kind)
        self.kind: FailureKind = kind
