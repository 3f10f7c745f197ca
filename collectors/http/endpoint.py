"""One server to ask: where it is, and what is sent along. Secrets stay out of names and messages."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from gpumon.collectors.http.host import HostAddress, is_loopback_host, parse_host

MIN_SECRET_LENGTH = 4
"""Shorter values are not looked for in messages: replacing them would garble the words."""


@dataclass(frozen=True)
class Endpoint:
    """A server's base URL, which holds no credentials, and how to reach it. Made by ``parse_endpoint``."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None
    insecure: bool = False
    """Accept any certificate."""
    password: str | None = field(default=None, repr=False)

    @property
    def address(self) -> HostAddress:
        """Return the parts of the URL."""
        return parse_host(self.url)

    @property
    def authority(self) -> str:
        """Return ``host:port`` for messages."""
        return self.url.partition("://")[2].partition("/")[0]

    @property
    def is_loopback(self) -> bool:
        """Tell whether the server is on this machine."""
        return is_loopback_host(self.address.host)

    def without_secrets(self, text: str) -> str:
        """Return ``text`` with every header value and the password blotted out."""
        for secret in self._secrets():
            text = text.replace(secret, "***")
        return text

    def _secrets(self) -> list[str]:
        values = [*self.headers.values(), *([self.password] if self.password else [])]
        words = [word for value in values for word in (value, *value.split())]
        return sorted((word for word in words if len(word) >= MIN_SECRET_LENGTH), key=len, reverse=True)


def parse_endpoint(
    text: str,
    headers: Mapping[str, str] | None = None,
    ca_file: Path | None = None,
    insecure: bool = False,
) -> Endpoint:
    """Return the endpoint for ``OLLAMA_HOST`` or a user's URL; never raises.

    ``user:password@`` in the URL becomes an ``Authorization`` header, unless ``headers`` hold one.
    """
    address = parse_host(text)
    sent = _authorization(address) | dict(headers or {})
    if any(name.lower() == "authorization" for name in headers or {}):
        sent = dict(headers or {})
    return Endpoint(address.url, MappingProxyType(sent), ca_file, insecure, address.password)


def _authorization(address: HostAddress) -> dict[str, str]:
    if address.username is None:
        return {}
    pair = f"{address.username}:{address.password or ''}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode("utf-8", "replace")).decode("ascii")}
