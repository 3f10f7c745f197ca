"""Names from Ollama's manifests on disk, read beside the polls."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from gpumon.collectors.processes.proc import reason
from gpumon.collectors.samples import BlobNames, SourceHealth, SourceState
from gpumon.collectors.source import Clock
from gpumon.collectors.worker import Errand

MANIFEST_LIMIT = 2000
MANIFEST_BYTES = 2 * 1024 * 1024
"""A larger file is no manifest; one of safetensors has thousands of layers."""
ENTRY_LIMIT = 20_000
"""Files and directories looked at, so that a tree that is something else ends."""

_WEIGHTS = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z", re.ASCII)
_DEPTH = 4
_DEFAULT_DOMAINS = (".ollama.ai", ".ollama.com")
"""Ollama leaves the name of its own registry out of a model's name."""
_DEFAULT_NAMESPACE = "library"


class Layer(msgspec.Struct):
    """The part of a layer that matters."""

    media_type: str = msgspec.field(name="mediaType", default="")
    digest: str = ""


class Manifest(msgspec.Struct):
    """The part of a manifest that matters."""

    layers: list[Layer] | None = None


class Entry(NamedTuple):
    """What one manifest says."""

    digest: str
    """Of the manifest itself (hex): the digest that ``/api/ps`` and ``/api/tags`` give."""
    blobs: tuple[str, ...]


class ManifestReader:
    """Reads one models directory; a manifest is read again when its time or size has changed."""

    def __init__(self, models_path: str) -> None:
        self._root = Path(models_path) / "manifests"
        self._source = f"models {models_path}"
        self._read: dict[str, tuple[tuple[int, int], Entry | None]] = {}
        self._said: BlobNames | None = None

    def read(self, now: float) -> BlobNames | None:
        """Return the names as of ``now``, ``None`` when they are what they were."""
        try:
            self._read = self._look()
        except OSError as error:
            sample = BlobNames(time=now, source=self._source, health=_unreadable(error))
        else:
            sample = self._sample(now)
        is_news = self._said is None or msgspec.structs.replace(self._said, time=now) != sample
        self._said = sample
        return sample if is_news else None

    def _look(self) -> dict[str, tuple[tuple[int, int], Entry | None]]:
        os.scandir(self._root).close()  # raises where the directory may not be read
        found: dict[str, tuple[tuple[int, int], Entry | None]] = {}
        for path, version in _files(self._root):
            before = self._read.get(path)
            is_known = before is not None and before[0] == version
            found[path] = before if before and is_known else (version, _entry(path))
            if len(found) >= MANIFEST_LIMIT:
                break
        return found

    def _sample(self, now: float) -> BlobNames:
        names: dict[str, tuple[str, ...]] = {}
        digests: dict[str, str] = {}
        for path in sorted(self._read):
            entry = self._read[path][1]
            if entry is None:
                continue
            name = model_name(os.path.relpath(path, self._root))
            digests[name] = entry.digest
            for blob in entry.blobs:
                names[blob] = (*names.get(blob, ()), name)
        return BlobNames(time=now, source=self._source, names=names, digests=digests)


def model_name(relative: str) -> str:
    """Return the name that Ollama shows for ``HOST/NAMESPACE/MODEL/TAG``: the defaults are left out."""
    text = os.fsencode(relative).decode("utf-8", "backslashreplace")
    host, namespace, model, tag = text.split(os.sep, 3)
    short = f"{model}:{tag}"
    if not host.endswith(_DEFAULT_DOMAINS):
        return f"{host}/{namespace}/{short}"
    return short if namespace == _DEFAULT_NAMESPACE else f"{namespace}/{short}"


def _files(root: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield path and (modified, size) of the files four levels down; no link to a directory is followed."""
    pending, seen = [(str(root), 1)], 0
    while pending:
        directory, depth = pending.pop()
        for entry in _listed(directory):
            seen += 1
            if seen > ENTRY_LIMIT:
                return
            if depth < _DEPTH and _is_directory(entry):
                pending.append((entry.path, depth + 1))
            elif depth == _DEPTH and (version := _version(entry)):
                yield entry.path, version


def _listed(directory: str) -> list[os.DirEntry[str]]:
    """Return what is in a directory, nothing where it is closed to us or gone."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _version(entry: os.DirEntry[str]) -> tuple[int, int] | None:
    """Return (modified, size) of a regular file small enough for a manifest."""
    try:
        found = entry.stat() if entry.is_file() else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if found and found.st_size <= MANIFEST_BYTES else None


def _entry(path: str) -> Entry | None:
    """Read one manifest; ``None`` where it cannot be read or is none."""
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MANIFEST_BYTES)
        layers = msgspec.json.decode(raw, type=Manifest).layers or []
    except (OSError, msgspec.DecodeError, RecursionError, ValueError):
        return None
    blobs = (layer.digest.replace(":", "-") for layer in layers if _is_weights(layer))
    return Entry(hashlib.sha256(raw).hexdigest(), tuple(dict.fromkeys(blobs)))


def _is_weights(layer: Layer) -> bool:
    return layer.media_type == _WEIGHTS and _DIGEST.match(layer.digest) is not None


def _unreadable(error: OSError) -> SourceHealth:
    if isinstance(error, PermissionError):
        hint = "names come from the API; to read them here: sudo usermod -aG ollama $USER"
        return SourceHealth(state="forbidden", detail="manifests: permission denied", hint=hint)
    state: SourceState = "absent" if isinstance(error, FileNotFoundError) else "failing"
    return SourceHealth(state=state, detail=f"manifests: {reason(error)}")


REFRESH_SECONDS = 60.0
DIRECTORY_LIMIT = 8
"""Models directories read at most."""


class ModelNames:
    """Reads the manifests of each models directory in a thread of its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._readers: dict[str, ManifestReader] = {}
        self._reading: Errand[BlobNames] = Errand("manifests")
        self.settle, self.close = self._reading.settle, self._reading.close
        self._asked: tuple[str, ...] = ()
        self._due_at = 0.0

    def collect(self, models_paths: Iterable[str]) -> list[BlobNames]:
        """Return what was read since the last call, and start to read again when it is time. Never waits."""
        samples = self._reading.outcome()
        asked = tuple(sorted(set(models_paths)))[:DIRECTORY_LIMIT]
        now = self._clock.now()
        if not self._reading.is_running and asked and (asked != self._asked or now >= self._due_at):
            self._asked, self._due_at = asked, now + REFRESH_SECONDS
            self._reading.start(lambda: self._read(asked))
        return samples

    def _read(self, asked: tuple[str, ...]) -> list[BlobNames]:
        """Read in the thread."""
        self._readers = {path: self._readers.get(path) or ManifestReader(path) for path in asked}
        samples = (reader.read(self._clock.now()) for reader in self._readers.values())
        return [sample for sample in samples if sample is not None]
