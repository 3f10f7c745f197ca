"""Which program a command line starts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpumon.collectors.samples import ServerKind

_PROGRAM = re.compile(r"[^/\\]*\Z")
_SERVERS: dict[str, ServerKind] = {
    "llama-swap": "llama_swap",
    "lemond": "lemonade",
    "lemonade-server": "lemonade",
    "lemonade-server-dev": "lemonade",
    "lemonade-router": "lemonade",
}
_SERVE_COMMANDS = ("serve", "start")


def program_name(argv: Sequence[str]) -> str:
    """Return the name of the program, without directory, ``.exe`` or a package's wrapping; "" for none."""
    match = _PROGRAM.search(argv[0][-512:]) if argv else None
    name = match.group() if match else ""
    if name.lower().endswith(".exe"):
        name = name[:-4]
    if name.startswith(".") and name.endswith("-wrapped"):  # how Nix names what it wraps
        name = name[1 : -len("-wrapped")]
    return name


def is_llama_server(argv: Sequence[str]) -> bool:
    """Tell llama.cpp's server, also under a name such as ``llama-server-vulkan``."""
    name = program_name(argv)
    return name == "llama-server" or name.startswith("llama-server-")


def ollama_command(argv: Sequence[str]) -> str | None:
    """Return the subcommand of ``ollama``: ``serve``, ``runner``; ``None`` for other programs or none."""
    if program_name(argv).lower() != "ollama":
        return None
    return next((word for word in argv[1:] if not word.startswith("-")), None)


def server_kind(argv: Sequence[str]) -> ServerKind | None:
    """Return what kind of server starts runners here, by the command line alone; ``None`` for no server."""
    if ollama_command(argv) in _SERVE_COMMANDS:
        return "ollama"
    return _SERVERS.get(program_name(argv).lower())
