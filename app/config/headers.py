"""A header on the command line or in the environment: ``[URL] Name: value``."""

from __future__ import annotations

from collections.abc import Iterable

from gpumon.app.config.entries import Entries, Entry
from gpumon.app.config.errors import ConfigError
from gpumon.app.config.settings import EVERY_URL


def header_entries(lines: Iterable[str], origin: str) -> Entries:
    """Return the entries for header ``lines``; one without a URL goes to every server.

    Raises:
        ConfigError: a line has no colon. The line itself may be a secret and is not repeated.
    """
    entries: Entries = {}
    for line in lines:
        url, header = _split_url(line.strip())
        name, colon, value = header.partition(":")
        if not colon:
            raise ConfigError(f'{origin}: a header is written "Name: value"')
        entries["headers", url, name.strip()] = Entry(value.strip(), origin)
    return entries


def _split_url(line: str) -> tuple[str, str]:
    first, _, rest = line.partition(" ")
    return (first, rest) if first.startswith(("http://", "https://")) else (EVERY_URL, line)
