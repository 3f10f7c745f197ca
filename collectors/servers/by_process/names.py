"""What a model is called, by the value of a flag or by the files that a process holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from gpumon.collectors.servers.command_line import hub_name

_HUB_NAME = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}\Z", re.ASCII)
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
SHORT_PATH = 24
"""A longer one is called by its last part."""
WEIGHTS = (".gguf", ".safetensors")


class Called(NamedTuple):
    """A model by its file, where there is one that can be read, and by a name."""

    path: str | None = None
    """Of a GGUF file."""
    name: str | None = None
    """``None`` where the name is that of the file."""


NOT_CALLED = Called()


def called(value: str, file: str | None = None) -> Called:
    """Return what a flag's value names: a file, a folder, a model of a hub; ``file`` is one within it."""
    if file is not None:
        return _file_within(value, file)
    if value.endswith(".gguf") and not _SCHEME.match(value):
        return Called(path=value)
    return Called(name=_name(value))


def _file_within(value: str, file: str) -> Called:
    if file.endswith(".gguf") and (file.startswith("/") or _is_folder(value)):
        return Called(path=file if file.startswith("/") else f"{value.rstrip('/')}/{file}")
    return Called(name=_last(file) or _name(value))


def _is_folder(value: str) -> bool:
    """Return whether a value is a place on a disk, and not the name of a model on a hub."""
    return value.startswith(("/", "./", "../")) or value in (".", "..")


def _name(value: str) -> str | None:
    """Return a name without scheme, path and what may be credentials."""
    if (scheme := _SCHEME.match(value)) is not None:
        rest = value[scheme.end() :].partition("?")[0].rpartition("@")[2]
        return rest if scheme.group().lower() == "hf://" else _last(rest)
    if (hub := hub_name(value)) is not None:
        return hub
    return value if _HUB_NAME.match(value) and not _is_folder(value) else _last(value)


def _last(path: str) -> str | None:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2] or None


def folder_called(value: str) -> Called:
    """Return what to call the models of a server that is given a folder of them, and names none."""
    name = value if value.startswith("/") and len(value) <= SHORT_PATH else _name(value)
    return Called(name=f"models in {name}") if name else NOT_CALLED


def held(files: Iterable[str]) -> Called:
    """Return the model that files are of, the largest first; a file whose name tells nothing names none."""
    for path in files:
        if path.endswith(".gguf"):
            return Called(path=path)
        if (hub := hub_name(path)) is not None:
            return Called(name=hub)
        if path.endswith(WEIGHTS) and (folder := _last(path.rpartition("/")[0])):
            return Called(name=folder)
    return NOT_CALLED


def is_model_file(path: str) -> bool:
    """Whether a file is one of a model by its name, or by its place in the cache of Hugging Face."""
    return path.endswith(WEIGHTS) or ("/blobs/" in path and hub_name(path) is not None)
