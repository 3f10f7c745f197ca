"""Ollama's directory of models, with files as small as they can be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from tests.fakes.gguf.writer import FakeGguf

MEDIA = "application/vnd.ollama.image."


def put_on_disk(
    root: Path,
    name: str,
    file: FakeGguf,
    parameters: Mapping[str, object] | None = None,
    place: str = "registry.ollama.ai/library",
    projector: bytes | None = None,
) -> str:
    """Write a model as ``ollama pull`` does; return the digest of its manifest."""
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    layers = [{"mediaType": f"{MEDIA}model", "digest": _digest(name.encode() + b" weights")}]
    file.write(_blob(root, layers[0]["digest"]))
    if parameters is not None:
        layers.append(_layer(root, "params", json.dumps(parameters).encode()))
    if projector is not None:
        layers.append(_layer(root, "projector", projector))
    manifest = json.dumps({"schemaVersion": 2, "name": name, "layers": layers}).encode()
    model, _, tag = name.partition(":")
    path = root / "manifests" / place / model / tag
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(manifest)
    return hashlib.sha256(manifest).hexdigest()


def _layer(root: Path, kind: str, content: bytes) -> dict[str, str]:
    digest = _digest(content)
    _blob(root, digest).write_bytes(content)
    return {"mediaType": f"{MEDIA}{kind}", "digest": digest}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(root: Path, digest: str) -> Path:
    return root / "blobs" / digest.replace(":", "-")
