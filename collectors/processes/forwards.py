"""The programs that publish the ports of containers, and what their command lines say.

Docker starts a ``docker-proxy`` for each port (moby: cmd/docker-proxy), without root by way of a
``rootlesskit-docker-proxy``. Podman leaves it to ``pasta``, ``rootlessport`` or ``slirp4netns`` without root,
and as root has ``conmon`` hold the port that the kernel forwards (podman: libpod/oci_conmon_common.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gpumon.collectors.servers.command_line import Flags, program_name


class Forward(NamedTuple):
    """A port of this machine that leads into a container, as far as a command line tells."""

    port: int | None = None
    """``None`` where only the sockets of the process tell: each of its ports leads into one container."""
    host: str | None = None
    """``None`` is any address, ``::`` any of IPv6."""
    inner_port: int | None = None
    inner_host: str | None = None
    netns: str | None = None
    """The container's network namespace by a path, where that is told."""


LAST_PORT = 65535
RANGE_LIMIT = 256
"""Of the ports of one range: more are no servers of models."""

_DOCKER = ("docker-proxy", "rootlesskit-docker-proxy")
_PASTA = ("pasta", "pasta.avx2")
_SLIRP = ("slirp4netns",)
_ROOTLESS_PORT = ("rootlessport", "containers-rootlessport")
ROOTLESS_PORT_CHILDREN = frozenset({"rootlessport-child", "containers-rootlessport-child"})
"""Live in the container's network namespace, beside the process that listens."""
CONMON = "conmon"

_DOCKER_FLAGS = {
    f"{dashes}{name}": name
    for name in ("proto", "host-ip", "host-port", "container-ip", "container-port")
    for dashes in ("-", "--")  # Go takes either
}
_PASTA_PORTS = ("-t", "--tcp-ports")
_PORTS = re.compile(
    r"(?:(?P<host>[^/,~]*)/)?(?P<from>\d{1,5})(?:-(?P<to>\d{1,5}))?(?::(?P<inner>\d{1,5})(?:-\d{1,5})?)?\Z",
    re.ASCII,
)


def forwards_of(argv: Sequence[str]) -> tuple[Forward, ...]:
    """Return what a process publishes; nothing for one that is no such program."""
    name = program_name(argv)
    if name in _DOCKER:
        return _of_docker(argv)
    if name in _PASTA:
        return tuple(_of_pasta(argv))
    if name in _SLIRP:
        path = _namespace_in(argv)
        return (Forward(netns=path),) if path else ()
    return (Forward(),) if name in _ROOTLESS_PORT else ()


def _of_docker(argv: Sequence[str]) -> tuple[Forward, ...]:
    flags = Flags(argv, _DOCKER_FLAGS)
    port, inner = flags.integer("host-port", 1, LAST_PORT), flags.integer("container-port", 1, LAST_PORT)
    inner_host = flags.text("container-ip")
    if flags.text("proto") != "tcp" or port is None or inner is None or inner_host is None:
        return ()
    return (Forward(port, _host(flags.text("host-ip")), inner, inner_host),)


def _of_pasta(argv: Sequence[str]) -> Iterator[Forward]:
    """Yield what ``-t 127.0.0.1/8010-8010:8000-8000`` says; ``auto`` and ``all`` say no port."""
    netns = _value(argv, "--netns") or _namespace_in(argv)  # Podman 4 gives the path alone
    for at, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if flag not in _PASTA_PORTS or not (equals or at + 1 < len(argv)):
            continue
        host: str | None = None
        for part in (value if equals else argv[at + 1]).split(","):
            match = _PORTS.match(part)
            if match is None:
                continue
            host = match["host"] if match["host"] is not None else host  # an address is for the whole list
            first, last = int(match["from"]), int(match["to"] or match["from"])
            shift = int(match["inner"] or first) - first
            for port in range(first, min(last, first + RANGE_LIMIT - 1, LAST_PORT) + 1):
                yield Forward(port, _host(host), port + shift, netns=netns)


def _namespace_in(argv: Sequence[str]) -> str | None:
    return next((word for word in argv[1:] if word.startswith("/") and "/netns/" in word), None)


def _host(told: str | None) -> str | None:
    bare = (told or "").partition("%")[0].strip("[]")
    return None if bare in ("", "0.0.0.0") else bare  # noqa: S104 - nothing is bound


def bundle_of(argv: Sequence[str]) -> str | None:
    """Return the folder that Podman's ``conmon`` keeps of its container; ``None`` for another program."""
    return _value(argv, "-b") or _value(argv, "--bundle") if program_name(argv) == CONMON else None


def _value(argv: Sequence[str], flag: str) -> str | None:
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word == flag:
            return following or None
        if word.startswith(f"{flag}="):
            return word.partition("=")[2] or None
    return None
