"""``OLLAMA_HOST`` and ``--url`` read by Ollama's own rules (ollama: envconfig/config.go, ``Host``)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 11434
SCHEME_PORTS = {"http": 80, "https": 443}
CONNECTABLE = {"": DEFAULT_HOST, "0.0.0.0": DEFAULT_HOST, "::": "::1"}  # noqa: S104 - mapped away from it
HOST_THEN_PATH = re.compile(r"(\[[^\]]*\]|[^:/?#]*)(:\d*)?[/?#]")


@dataclass(frozen=True)
class HostAddress:
    """Where a server is, in parts. ``host`` has no brackets, ``path`` no trailing slash."""

    scheme: str
    host: str
    port: int
    path: str = ""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Return the base URL without credentials: ``http://127.0.0.1:11434``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


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
    if port and not 0 < _number(port) <= 65535:
        raise ValueError(f"port {_shown(port)} is not between 1 and 65535")
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
        return str(ipaddress.ip_address(host_port.strip("[]"))), ""
    host, colon, port = host_port.rpartition(":")
    return (host.strip("[]"), port) if colon else (host_port, "")


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address, without brackets, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


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
    return port if port <= 65535 else default


def is_loopback_host(host: str) -> bool:
    """Tell whether ``host`` is this machine by its name or address alone; nothing is looked up."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
