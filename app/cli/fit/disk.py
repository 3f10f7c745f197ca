"""What is on this disk: in Ollama's own directory, where no server answers, and files of the hub."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.processes.manifests import ManifestReader
from gpumon.collectors.samples import AnySample, BlobNames, InstalledModel, InstalledModels, ModelFacts
from gpumon.collectors.servers.registry import DEFAULT
from gpumon.collectors.source import SystemClock
from gpumon.collectors.worker import Worker

_T = TypeVar("_T")

SERVICE_HOMES = ("/usr/share/ollama",)
"""Home of the user that Ollama's installer makes for the service (ollama: scripts/install.sh)."""
DISK_SECONDS = 2.0
"""A disk that does not answer in time holds nothing."""


class OnDisk(Struct, frozen=True):
    """The models of one directory."""

    models_path: str
    models: tuple[InstalledModel, ...]
    names: BlobNames

    def size_of(self, blobs: Sequence[str]) -> int | None:
        """Return the bytes of some of its files together."""
        return _bytes(self.models_path, blobs)

    def samples(self, url: str) -> tuple[AnySample, ...]:
        """Return them as the server at ``url`` would list them."""
        listed = InstalledModels(time=self.names.time, source=url, models=self.models)
        return (self.names, listed)


def model_paths(environ: Mapping[str, str]) -> list[str]:
    """Return where models may be: as this shell says, in the user's home, in the service's."""
    own = DEFAULT.models_path(environ, str(Path.home()))
    services = (DEFAULT.models_path({}, home) for home in SERVICE_HOMES)
    return [path for path in dict.fromkeys((own, *services)) if path is not None]


async def on_disk(servers: Sequence[Endpoint]) -> OnDisk | None:
    """Return the first directory that holds models, where one of the servers would run on this machine."""
    if not any(server.is_loopback for server in servers):
        return None
    return await _beside(lambda: _look(model_paths(os.environ)))


async def facts_on_disk(where: OnDisk, model: InstalledModel) -> ModelFacts | None:
    """Return what the file of one of them holds; ``None`` where it cannot be read, or is no GGUF."""
    digest = model.digest or ""
    facts = await _beside(lambda: DEFAULT.read_installed(where.models_path, model.name, digest))
    return facts and replace(facts, name=model.name, digest=digest)


async def _beside(read: Callable[[], _T | None]) -> _T | None:
    """Read in a thread: a disk that hangs is left to the end of the process."""
    worker = Worker("models on disk")
    try:
        async with asyncio.timeout(DISK_SECONDS):
            return await worker.run(read)
    except TimeoutError:
        return None
    finally:
        worker.close()


def _look(paths: Sequence[str]) -> OnDisk | None:
    now = SystemClock().now()
    for path in paths:
        names = ManifestReader(path).read(now)
        models = _models(path, names) if names is not None else ()
        if names is not None and models:
            return OnDisk(path, models, names)
    return None


def _models(path: str, names: BlobNames) -> tuple[InstalledModel, ...]:
    blobs: dict[str, list[str]] = {}
    for blob, owners in names.names.items():
        for owner in owners:
            blobs.setdefault(owner, []).append(blob)
    return tuple(
        InstalledModel(name=name, digest=digest, size_bytes=_bytes(path, blobs.get(name, ())))
        for name, digest in names.digests.items()
        if blobs.get(name)
    )


def _bytes(path: str, blobs: Sequence[str]) -> int | None:
    try:
        return sum(Path(path, "blobs", blob).stat().st_size for blob in blobs) or None
    except OSError:
        return None


_HUB_NAME = re.compile(
    r"(?:(?:https?://)?(?:hf\.co|huggingface\.co)/)?([\w.-]+)/([\w.-]+?)(?::([\w.-]+))?",
    re.IGNORECASE | re.ASCII,
)
_USUAL_TAG = "Q4_K_M"
"""What Ollama and llama.cpp fetch of a repository where nobody says otherwise."""
_LATER_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf\Z")
_FIRST_PART = "-00001-of-"


async def hub_file(name: str) -> Path | None:
    """Return the file of a name of the hub that llama.cpp, LM Studio or the hub's own client has fetched."""
    found = _HUB_NAME.fullmatch(name.strip())
    if found is None:
        return None
    owner, repository, tag = found.groups()
    return await _beside(lambda: _fetched(owner, repository, tag or ""))


def _fetched(owner: str, repository: str, tag: str) -> Path | None:
    try:
        files = [
            path for folder, form in _hub_folders(owner, repository) for path in sorted(folder.glob(form))
        ]
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        return None
    weights = [path for path in files if "mmproj" not in path.name.lower() and _is_first(path.name)]
    tagged = [path for path in weights if (tag or _USUAL_TAG).casefold() in path.name.casefold()]
    return next(iter(tagged or ([] if tag or len(weights) != 1 else weights)), None)


def _is_first(name: str) -> bool:
    return _FIRST_PART in name or not _LATER_PART.search(name)


def _hub_folders(owner: str, repository: str) -> list[tuple[Path, str]]:
    """Return where such files are, and by what names (llama.cpp: common/download.cpp)."""
    home, environ = Path.home(), os.environ
    caches = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    llama = Path(environ.get("LLAMA_CACHE") or caches / "llama.cpp")
    hub = Path(environ.get("HF_HUB_CACHE") or Path(environ.get("HF_HOME") or caches / "huggingface") / "hub")
    snapshots = f"models--{owner}--{repository}/snapshots/*"
    return [
        (llama, f"{owner}_{repository}_*.gguf"),
        (hub, f"{snapshots}/*.gguf"),
        (hub, f"{snapshots}/*/*.gguf"),
        (home / ".lmstudio" / "models", f"{owner}/{repository}/*.gguf"),
        (caches / "lm-studio" / "models", f"{owner}/{repository}/*.gguf"),
    ]
