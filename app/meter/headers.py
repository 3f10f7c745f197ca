"""What a gateway may pass on of a message's header fields (RFC 9110, 7.6)."""

from __future__ import annotations

from collections.abc import Iterable

from gpumon.collectors.http.host import is_address

Fields = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
VIA = (b"via", b"1.1 gpumon")
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")


def request_fields(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return what goes to the server; ``Host`` is left to the client library, ``Expect`` is answered here.

    A body of chunks has no length: a ``Content-Length`` beside them is not to be believed (RFC 9112, 6.3).
    """
    given = list(fields)
    own = {b"host", b"expect"} | ({b"content-length"} if has_field(given, b"transfer-encoding") else set())
    return [*_end_to_end(given, own), VIA]


def response_fields(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return what goes to the client, names in lower case as ASGI wants them."""
    return [*_end_to_end([(name.lower(), value) for name, value in fields], set()), VIA]


def has_field(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> bool:
    """Tell whether a field is there; ``name`` is lower case."""
    return any(found.lower() == name for found, _ in fields)


def has_body(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a request announces a body (RFC 9112, 6)."""
    return any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in fields)


def is_own_host(fields: Iterable[tuple[bytes, bytes]], host_name: str) -> bool:
    """Tell whether ``Host`` names this machine, or an address, or is not there.

    A web page can make a browser ask a loopback address under a name of its own (DNS rebinding). Ollama
    refuses such names (ollama: server/routes.go, allowedHostsMiddleware); it does not see them behind a
    gateway, which must do so in its place.
    """
    host = next((value.decode("latin-1") for name, value in fields if name.lower() == b"host"), "")
    name = _without_port(host.strip().lower()).rstrip(".")
    named = name in {"", "localhost", host_name.lower()} or name.endswith(_LOCAL_SUFFIXES)
    return named or is_address(name)


def _end_to_end(fields: Fields, own: set[bytes]) -> Fields:
    named = b",".join(value for name, value in fields if name.lower() == b"connection")
    dropped = HOP_BY_HOP | own | {option.strip().lower() for option in named.split(b",")}
    return [(name, value) for name, value in fields if name.lower() not in dropped]


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
