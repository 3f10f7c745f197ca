"""What has happened in this run: a bounded log of it, from samples alone. An alert is an event that lasts."""
