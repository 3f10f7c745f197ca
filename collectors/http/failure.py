"""Why a request got no usable answer, in one word."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
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
    "internal",  # a defect of ours; the log has it
]


class RequestError(Exception):
    """A request that got no usable answer. Its text is ``kind`` alone: it cannot leak a secret."""

    def __init__(self, kind: FailureKind) -> None:
        super().__init__(kind)
        self.kind: FailureKind = kind


_REFUSED = f"[Errno {errno.ECONNREFUSED}]"
"""Of a name with several addresses ``asyncio`` tells what went wrong in words alone."""
NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}


def connect_kind(error: BaseException) -> FailureKind:
    """Return why no connection came about, by the exception or any that it was raised from."""
    kinds = [kind for cause in _causes(error) if (kind := _os_kind(cause))]
    return kinds[0] if kinds else "no_route"


def _os_kind(cause: BaseException) -> FailureKind | None:
    match cause:
        case ssl.SSLCertVerificationError():
            return "certificate"
        case ssl.SSLError():
            return "tls"
        case socket.gaierror() | UnicodeError():
            return "no_such_host"
        case OSError() if isinstance(cause, ConnectionRefusedError) or _REFUSED in str(cause):
            return "refused"
        case OSError() if cause.errno in NO_ROUTE:
            return "no_route"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and everything that it was raised from, groups included."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _causes(cause)
