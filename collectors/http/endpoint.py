"""Where a server is, and what is sent along; secrets stay out of names and messages.

``OLLAMA_HOST`` is read by Ollama's own rules (ollama: envconfig/config.go, ``Host``).
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 11434
LAST_PORT = 65535
SCHEME_PORTS = {"http": 80, "https": 443}
CONNECTABLE = {"": DEFAULT_HOST, "0.0.0.0": DEFAULT_HOST, "::": "::1"}  # noqa: S104 - mapped away from it
HOST_THEN_PATH = re.compile(r"(\[[^\]]*\]|[^:/?#]*)(:\d*)?[/?#]")


@dataclass(frozen=True)
class HostAddress:
    """Where a server is, in parts.

    ``host`` has no brackets, ``path`` no trailing slash. A link-local address names its zone, the network
    interface, behind a percent sign: ``fe80::1%eth0``.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Return the base URL without credentials: ``http://127.0.0.1:11434``; its zone by RFC 6874."""
        return self._url(self.host.replace("%", "%25", 1) if ":" in self.host else self.host)

    @property
    def url_to_connect(self) -> str:
        """Return the same with the zone as the system's resolver takes it."""
        return self._url(self.host)

    @property
    def zone(self) -> str:
        """Return the zone of an IPv6 address, empty where there is none."""
        return self.host.partition("%")[2] if ":" in self.host else ""

    @property
    def authority_without_zone(self) -> str:
        """Return ``[host]:port`` of an IPv6 address for the header ``Host``."""
        return f"[{self.host.partition('%')[0]}]:{self.port}"

    def _url(self, host: str) -> str:
        bracketed = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{bracketed}:{self.port}{self.path}"


def parse_host(text: str) -> HostAddress:
    """Return the address that an Ollama client would connect to; never raises.

    Addresses to bind to (``0.0.0.0``, ``[::]``, none) become the loopback address that reaches them.
    What Ollama does not know is handled as a browser would: credentials before ``@`` are taken apart from
    the address, a query or fragment is dropped.
    """
    # Bytes of the environment that are no text would make a name that cannot be written to a recording.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    scheme, separator, rest = text.strip().strip("\"'").strip().partition("://")
    if not separator:
        scheme, rest = "http", scheme
    if not separator and rest == "ollama.com":
        scheme, rest = "https", "ollama.com:443"
    default_port = SCHEME_PORTS.get(scheme.lower(), DEFAULT_PORT) if separator else DEFAULT_PORT
    credentials, rest = _split_at(rest)
    authority, path = _split_path(rest)
    host, port = _split_port(authority)
    username, password = _split_credentials(credentials)
    return HostAddress(
        scheme=scheme.lower(),
        host=CONNECTABLE.get(host, host),
        port=_port(port, default_port),
        path=path,
        username=username,
        password=password,
    )


def parse_url(text: str) -> HostAddress:
    """Return the address of a URL that a user has typed, where ``parse_host`` would guess what was meant.

    Raises:
        ValueError: it names no port or scheme that there is, or no host; its text says so in one line.
    """
    address = parse_host(text)
    scheme, separator, rest = text.strip().strip("\"'").strip().partition("://")
    if separator and scheme.lower() not in SCHEME_PORTS:
        raise ValueError(f"{_shown(scheme)}:// is neither http:// nor https://")
    host, port = _split_port(_split_path(_split_at(rest if separator else scheme)[1])[0])
    if port and not 0 < _number(port) <= LAST_PORT:
        raise ValueError(f"port {_shown(port)} is not between 1 and {LAST_PORT}")
    if not host and separator:
        raise ValueError("no host is named")
    if any(character.isspace() or not character.isprintable() for character in host):
        raise ValueError("the host holds a blank or a control character")
    return address


def _shown(text: str) -> str:
    return text if text.isprintable() and text.isascii() else ascii(text)


def _number(port: str) -> int:
    return int(port) if port.isascii() and port.isdigit() and len(port) <= 9 else 0


def _split_at(rest: str) -> tuple[str, str]:
    """Split at the last ``@``; before it ``/``, ``?`` and ``#`` belong to a password that was not quoted."""
    credentials, _, after = rest.rpartition("@")
    return ("", rest) if HOST_THEN_PATH.match(credentials) else (credentials, after)


def _split_path(rest: str) -> tuple[str, str]:
    for end in "?#":
        rest = rest.partition(end)[0]
    authority, _, path = rest.partition("/")
    path = path.strip("/")
    return authority, f"/{path}" if path else ""


def _split_port(host_port: str) -> tuple[str, str]:
    """Split as Go's ``net.SplitHostPort``, which takes ``::1`` without brackets for a host alone."""
    if is_address(host_port.strip("[]")):
        return _with_zone(str(ipaddress.ip_address(host_port.strip("[]")))), ""
    host, colon, port = host_port.rpartition(":")
    return (_with_zone(host.strip("[]")), port) if colon else (host_port, "")


def _with_zone(host: str) -> str:
    """Return an address with its zone unquoted: ``fe80::1%25eth0`` in a URL is ``fe80::1%eth0``."""
    address, percent, zone = host.partition("%25")
    return f"{address}%{unquote(zone)}" if percent and ":" in address and zone else host


def is_address(host: str) -> bool:
    """Whether a host is an IP address, without brackets, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "]" not in host  # of a zone ``ipaddress`` takes anything


def _split_credentials(credentials: str) -> tuple[str | None, str | None]:
    if not credentials:
        return None, None
    username, _, password = credentials.partition(":")
    return unquote(username), unquote(password)


def _port(text: str, default: int) -> int:
    """Return the port, or ``default`` where Ollama warns of an invalid one."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return default
    port = int(text)
    return port if port <= LAST_PORT else default


def is_loopback_host(host: str) -> bool:
    """Return whether ``host`` is this machine by its name or address alone; nothing is looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_MAY_HOLD_A_KEY = re.compile(r"authorization|key|token|cookie|secret", re.IGNORECASE)
"""What is found in the names of headers by which clients are let in."""
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
    namespace: str | None = None
    """Network namespace in which to connect, ``/proc/PID/ns/net``; ``None``: our own."""
    is_here: bool = False
    """Whether it is known by its process: it is on this machine, whatever its address is."""

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
        """Return whether the server is on this machine."""
        return is_loopback_host(self.address.host)

    @property
    def sends_key(self) -> bool:
        """Whether something is sent along that may be a key."""
        return any(_MAY_HOLD_A_KEY.search(name) for name in self.headers)

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
