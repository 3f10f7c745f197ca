"""What image generators have in common: one row each, a script in a folder, weights that can be freed.

They hold one model at a time as a rule, name it only while they work, and keep running when it is unloaded:
so a generator keeps its row, and the row is called by what is loaded, or by the program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar

from msgspec import json

from gpumon.collectors.samples import LoadFacts, ModelClaim, RunnerSettings
from gpumon.collectors.servers.command_line import program_name
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.talk import ProcessView

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint

ENDINGS = (".safetensors", ".ckpt", ".gguf", ".sft", ".pt", ".pth", ".bin")
_HASH = re.compile(r" \[[0-9a-f]{6,64}\]\Z", re.ASCII)


class PictureKind(ServerKind):
    """A kind of image generator. Nothing that it is asked starts work, decodes a preview or loads a model."""

    makes_pictures = True
    unloads = True
    unload_path: ClassVar[str]
    unload_body: ClassVar[Mapping[str, bool]] = {}

    def identity(self, claim: ModelClaim) -> str:
        """Return the same for whatever it has loaded."""
        del claim
        return self.label

    def claim_of(self, name: str, settings: RunnerSettings | None, facts: LoadFacts | None) -> ModelClaim:
        """Return what it has loaded, by the name of its file, else by its sort, else by the program."""
        known = facts or LoadFacts()
        whole, on_gpu = known.weights_bytes, known.weights_on_gpu_bytes
        is_told = whole is not None and on_gpu is not None
        return ModelClaim(
            name=called(known.model_path) or known.model_type or name,
            family=known.model_type,
            size_bytes=whole if is_told else None,
            size_vram_bytes=on_gpu if is_told else None,
            settings=settings,
        )

    async def unload(self, endpoint: Endpoint, name: str) -> str | None:
        """Ask it to free what it has loaded."""
        from gpumon.collectors.servers.conversation import post
        from gpumon.collectors.servers.picture_talk import UNLOAD_LIMITS

        del name
        return await post(endpoint, self, self.unload_path, self.unload_body, UNLOAD_LIMITS)

    def stop(self, url: str, name: str) -> str | None:
        """Return the line that frees what it has loaded."""
        del name
        data = f" -d '{json.encode(self.unload_body).decode()}'" if self.unload_body else ""
        return f"curl -X POST {url.rstrip('/')}{self.unload_path}{data}"


def called(path: str | None) -> str | None:
    """Return what to call a model's file: its name without folder, hash and ending."""
    name = _HASH.sub("", (path or "").replace("\\", "/").rpartition("/")[2])
    ending = next((one for one in ENDINGS if name.lower().endswith(one)), "")
    return name[: len(name) - len(ending)] or None


_TAKES_A_VALUE = frozenset({"-X", "-W"})


def script_at(argv: Sequence[str]) -> int | None:
    """Return where a Python interpreter is given its script; ``None`` where there is none."""
    if not program_name(argv).lower().startswith(("python", "pypy")):
        return None
    at = 1
    while at < len(argv) and argv[at].startswith("-"):
        if argv[at] in ("-m", "-c"):
            return None
        at += 2 if argv[at] in _TAKES_A_VALUE else 1
    return at if at < len(argv) else None


class Script:
    """The script of a Python program, and the folder that it is in."""

    def __init__(self, process: ProcessView, argv: Sequence[str]) -> None:
        self._process = process
        self.path = PurePosixPath(argv[0].replace("\\", "/"))
        self.name = self.path.name
        self.argv = argv

    def is_in(self, *words: str) -> bool:
        """Return whether one of ``words``, in lower case, is part of its path or of the working directory."""
        path = str(self.path.parent).lower()
        if any(word in path for word in words):
            return True
        directory = "" if self.path.is_absolute() else (self._process.directory() or "").lower()
        return any(word in directory for word in words)

    def has(self, *names: str) -> bool:
        """Return whether one of these files or folders is seen beside it."""
        return any(self._process.holds(str(self.path.parent / name)) for name in names)


def script_of(process: ProcessView, *names: str) -> Script | None:
    """Return the script of a process if it has one of these ``names``."""
    at = script_at(process.argv)
    if at is None:
        return None
    script = Script(process, process.argv[at:])
    return script if script.name in names else None


def first_flag(argv: Sequence[str], flags: Sequence[str]) -> str | None:
    """Return the first of ``flags`` that a command line has."""
    told = {word.partition("=")[0] for word in argv}
    return next((flag for flag in flags if flag in told), None)
