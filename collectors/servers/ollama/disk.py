"""What the file of an installed model holds, from Ollama's own directory: what ``/api/show`` says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from gpumon.collectors.gguf.file import GgufError, read_gguf
from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.ollama.bodies import PARAMETERS

MANIFEST_BYTES = 2 * 1024 * 1024
PARAMETERS_BYTES = 64 * 1024
HOSTS = ("registry.ollama.ai", "ollama.com")
"""Ollama leaves the name of its own registry out of a model's name."""
NAMESPACE = "library"

_MEDIA = "application/vnd.ollama.image."
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class _Layer(msgspec.Struct):
    media_type: str = msgspec.field(name="mediaType", default="")
    digest: str = ""


class _Manifest(msgspec.Struct):
    layers: list[_Layer] | None = None


def read_installed(models_path: str, name: str, digest: str) -> ModelFacts | None:
    """Return what the file of a model holds; ``None`` where this disk has not just that model, or no GGUF.

    ``digest`` is that of the manifest: what it names is the model that the server means.
    """
    root = Path(models_path)
    try:
        manifest = next(_manifests(root, name, digest), None)
        blobs = _blobs(manifest, "model") if manifest else []
        if manifest is None or not blobs:
            return None
        facts = read_gguf(root / "blobs" / blobs[0])
        parameters = {} if not (told := _blobs(manifest, "params")) else _parameters(root / "blobs" / told[0])
    except (OSError, GgufError, msgspec.MsgspecError, RecursionError, ValueError):
        return None
    projectors = _blobs(manifest, "projector")
    return replace(facts, blobs=(blobs[0], *projectors), parameters=parameters)


def _manifests(root: Path, name: str, digest: str) -> Iterator[_Manifest]:
    """Yield the manifest of a name that has the digest."""
    for path in _paths(name):
        file = root.joinpath("manifests", *path)
        if not file.is_file():
            continue
        with file.open("rb") as stream:
            raw = stream.read(MANIFEST_BYTES)
        if hashlib.sha256(raw).hexdigest() == digest.removeprefix("sha256:"):
            yield msgspec.json.decode(raw, type=_Manifest)


def _paths(name: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield where the manifest of a model may be: HOST/NAMESPACE/MODEL/TAG."""
    *place, last = name.split("/")
    model, _, tag = last.partition(":")
    namespace = place[-1] if place else NAMESPACE
    hosts: Sequence[str] = HOSTS if len(place) < 2 else place[:1]
    if len(place) <= 2 and all(map(_PART.fullmatch, (*hosts, namespace, model, tag))):
        for host in hosts:
            yield host, namespace, model, tag


def _blobs(manifest: _Manifest, kind: str) -> list[str]:
    """Return the names of the files of one kind: ``model``, ``projector``, ``params``."""
    layers = (one for one in manifest.layers or () if one.media_type == f"{_MEDIA}{kind}")
    return [one.digest.replace(":", "-") for one in layers if _DIGEST.fullmatch(one.digest)]


def _parameters(path: Path) -> dict[str, str]:
    """Return the parameters that bear on memory."""
    with path.open("rb") as stream:
        said = msgspec.json.decode(stream.read(PARAMETERS_BYTES), type=dict[str, object])
    return {name: str(value) for name, value in said.items() if name in PARAMETERS}
