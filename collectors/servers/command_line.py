"""A command line read without trust: which program it starts, and its flags by every spelling."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_PROGRAM = re.compile(r"[^/\\]*\Z")
_HUB_FOLDER = re.compile(r"/models--([^/]+?)--([^/]+)/(?:snapshots|blobs)(?:/|\Z)")
"""How the cache of Hugging Face names the folder of a model (huggingface_hub: ``repo_folder_name``)."""


def hub_name(path: str) -> str | None:
    """Return ``owner/model`` for a path in the cache of Hugging Face, whose last part is a hash."""
    found = _HUB_FOLDER.search(path if path.endswith("/") else f"{path}/")
    return f"{found[1]}/{found[2]}" if found else None


def model_called(name: str | None) -> str | None:
    """Return what to call a model: of a folder its last part, of ``owner/model`` all of it."""
    if name is None or not name.startswith(("/", "./", "../", "~")):
        return name
    return hub_name(name) or name.rstrip("/").rpartition("/")[2] or name


def program_name(argv: Sequence[str]) -> str:
    """Return the name of the program, without directory, ``.exe`` or a package's wrapping; "" for none."""
    match = _PROGRAM.search(argv[0][-512:]) if argv else None
    name = match.group() if match else ""
    if name.lower().endswith(".exe"):
        name = name[:-4]
    if name.startswith(".") and name.endswith("-wrapped"):  # how Nix names what it wraps
        name = name[1 : -len("-wrapped")]
    return name


INTERPRETERS = ("python", "pypy", "pt_main_thread")
"""How the names of those begin that run a script or a module; the last is PyTorch's name for itself."""


class Command(NamedTuple):
    """What a command line runs: a program, or the script or module of an interpreter."""

    path: str
    """As it is written; a module by its dotted name."""
    words: Sequence[str]
    """What it is given."""
    interpreted: bool = False

    @property
    def name(self) -> str:
        """The last part of the path, in lower case and without ``.py``."""
        return program_name((self.path,)).lower().removesuffix(".py")


def command_of(argv: Sequence[str]) -> Command:
    """Return what a command line runs; with an empty path where an interpreter is given neither."""
    if not argv:
        return Command("", ())
    if not program_name(argv).lower().startswith(INTERPRETERS):
        return Command(argv[0], argv[1:])
    at = 1
    while at < len(argv):
        word = argv[at]
        if word == "-m":
            return Command(argv[at + 1] if at + 1 < len(argv) else "", argv[at + 2 :], interpreted=True)
        if word == "-c":
            break
        if not word.startswith("-"):
            return Command(word, argv[at + 1 :], interpreted=True)
        at += 2 if word in ("-X", "-W") else 1
    return Command("", (), interpreted=True)


TEXT_LIMIT = 4096
"""A longer value is no path (``PATH_MAX``) and no name."""
_INTEGER = re.compile(r"-?[0-9]{1,18}\Z", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{0,9})?\Z", re.ASCII)


class Flags:
    """The last value of each flag that ``spellings`` knows; a switch has the value ``""``.

    ``spellings`` maps what is written (``--ctx-size``, ``-c``) to what it means; ``switches`` and
    ``optional`` are the meanings that take no value, and those that may. ``defaults`` are values by meaning
    that hold where the command line does not say: those of the environment. Of ``repeated`` ones all values
    count, joined by commas.
    """

    def __init__(
        self,
        argv: Sequence[str],
        spellings: Mapping[str, str],
        switches: frozenset[str] = frozenset(),
        optional: frozenset[str] = frozenset(),
        defaults: Mapping[str, str] | None = None,
        repeated: frozenset[str] = frozenset(),
    ) -> None:
        self._values: dict[str, str] = dict(defaults or {})
        self._told: set[str] = set()
        words = iter(range(1, len(argv)))
        for at in words:
            written, equals, value = argv[at].partition("=")
            meaning = spellings.get(written)
            if meaning is None:
                continue
            following = argv[at + 1] if at + 1 < len(argv) else None
            if not equals and _takes_next(meaning, following, switches, optional):
                value = following or ""
                next(words, None)
            if meaning in repeated and meaning in self._values:
                value = f"{self._values[meaning]},{value}"[: TEXT_LIMIT + 1]
            self._values[meaning] = value
            self._told.add(meaning)

    def is_default(self, meaning: str) -> bool:
        """Whether a value is not from the command line."""
        return meaning in self._values and meaning not in self._told

    def has(self, meaning: str) -> bool:
        """Whether the flag is there, with or without value."""
        return meaning in self._values

    def text(self, meaning: str) -> str | None:
        """Return the value; ``None`` where it is missing, empty or too long."""
        value = self._values.get(meaning)
        return value if value and len(value) <= TEXT_LIMIT else None

    def integer(self, meaning: str, least: int = 0, most: int = 2**53) -> int | None:
        """Return the number; ``None`` where it is missing, no number or out of bounds."""
        value = self._values.get(meaning, "")
        number = int(value) if _INTEGER.match(value) else None
        return number if number is not None and least <= number <= most else None

    def seconds(self, meaning: str) -> float | None:
        """Return a duration; ``None`` where it is missing or negative, which means never."""
        value = self._values.get(meaning, "")
        return float(value) if _DECIMAL.match(value) else None

    def switch(self, on: str, off: str | None = None) -> bool | None:
        """Return whether a switch is on; ``None`` where the command line does not say."""
        if on in self._values:
            return self._values[on].lower() not in ("false", "0", "f", "off", "disabled")
        return False if off in self._values else None


def _takes_next(
    meaning: str, following: str | None, switches: frozenset[str], optional: frozenset[str]
) -> bool:
    if meaning in switches or following is None:
        return False
    return not following.startswith("-" if meaning in optional else "--")


LIST_LIMIT = 64
"""Of the items of one value."""
_GPU_NUMBER_OR_ID = re.compile(r"[0-9]{1,3}\Z|(?:GPU|MIG)-[0-9A-Za-z/-]{1,80}\Z", re.ASCII)


def visible_devices(said: str | None) -> tuple[str, ...] | None:
    """Return what ``CUDA_VISIBLE_DEVICES`` names, up to the first that is no GPU; ``None`` where not set."""
    if said is None:
        return None
    found: list[str] = []
    for word in said.split(",")[:LIST_LIMIT]:
        if not _GPU_NUMBER_OR_ID.match(word.strip()):
            break
        found.append(word.strip())
    return tuple(found)
