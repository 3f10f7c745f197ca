"""What a fake Ollama has installed and loaded, and the JSON that it says about it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

GIB = 1024**3
BLOBS = "/usr/share/ollama/.ollama/models/blobs"

FOREVER = "2318-12-02T14:38:31.837531234+01:00"
"""What Ollama writes for ``keep_alive: -1``."""


@dataclass
class FakeModel:
    """An installed model; ``size_vram_bytes`` below ``size_bytes`` is a spill once it is loaded."""

    name: str
    size_bytes: int = 5 * GIB
    size_vram_bytes: int | None = None
    file_bytes: int | None = None
    """Size on disk; that of the loaded model unless told otherwise."""
    context_length: int = 4096
    keep_alive_seconds: float = 300.0
    forever: bool = False
    digest: str = ""
    family: str = "llama"
    parameter_size: str = "8.0B"
    quantization: str = "Q4_K_M"
    remote_host: str | None = None
    model_info: dict[str, Any] | None = None
    capabilities: list[str] = field(default_factory=lambda: ["completion", "tools"])
    tensors: list[dict[str, Any]] = field(default_factory=list)
    parameters: str = ""

    def __post_init__(self) -> None:
        self.digest = self.digest or hashlib.sha256(self.name.encode("utf-8", "replace")).hexdigest()

    @property
    def blob(self) -> str:
        """Return the file name of the weights, which is not the digest of the manifest."""
        return "sha256-" + hashlib.sha256(b"weights " + self.digest.encode()).hexdigest()

    @property
    def expires_at(self) -> str:
        """Return the expiry as Ollama writes it: a nine-digit fraction, a local offset."""
        return FOREVER if self.forever else rfc3339(time.time() + self.keep_alive_seconds)

    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": self.family,
            "families": [self.family],
            "parameter_size": self.parameter_size,
            "quantization_level": self.quantization,
        }

    def ps_row(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "model": self.name,
            "size": self.size_bytes,
            "digest": self.digest,
            "details": self.details(),
            "expires_at": self.expires_at,
            "size_vram": self.size_bytes if self.size_vram_bytes is None else self.size_vram_bytes,
            "context_length": self.context_length,
        }

    def tags_row(self) -> dict[str, Any]:
        row = {
            "name": self.name,
            "model": self.name,
            "modified_at": "2026-08-01T10:00:00.123456789+02:00",
            "size": self.size_bytes if self.file_bytes is None else self.file_bytes,
            "digest": self.digest,
            "details": self.details(),
        }
        remote = {"remote_model": self.name, "remote_host": self.remote_host}
        return row | (remote if self.remote_host else {})

    def show(self) -> dict[str, Any]:
        return {
            "license": "MIT",
            "modelfile": f'# Modelfile\nFROM {BLOBS}/{self.blob}\nTEMPLATE "x"\n',
            "parameters": self.parameters,
            "template": "x",
            "details": self.details(),
            "model_info": self.model_info if self.model_info is not None else llama_geometry(),
            "tensors": self.tensors,
            "capabilities": self.capabilities,
            "modified_at": "2026-08-01T10:00:00.123456789+02:00",
        }


def llama_geometry() -> dict[str, Any]:
    """Return the ``model_info`` of an 8B llama."""
    return {
        "general.architecture": "llama",
        "general.file_type": 15,
        "general.parameter_count": 8030261312,
        "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": 8,
        "llama.attention.key_length": 128,
        "llama.attention.value_length": 128,
        "llama.block_count": 32,
        "llama.context_length": 131072,
        "llama.embedding_length": 4096,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": None,
    }


def rfc3339(seconds: float) -> str:
    """Write Unix seconds as Go does, with nanoseconds and an offset."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123+00:00"


class Catalog:
    """The models of one server: installed ones by name, and which of them are loaded."""

    def __init__(self) -> None:
        self.installed: dict[str, FakeModel] = {}
        self.loaded: list[str] = []
        self.raw_ps_rows: list[Any] = []
        self.raw_tags_rows: list[Any] = []

    def install(self, model: FakeModel) -> None:
        self.installed[model.name] = model

    def load(self, name: str, **changes: Any) -> None:  # noqa: ANN401 - fields of any type
        """Load a model, installing it first if it is new; ``changes`` are fields of ``FakeModel``."""
        known = self.installed.get(name)
        values = asdict(known) if known else {"name": name}
        self.installed[name] = FakeModel(**(values | changes))
        if name not in self.loaded:
            self.loaded.append(name)

    def unload(self, name: str) -> None:
        if name in self.loaded:
            self.loaded.remove(name)

    def clear(self) -> None:
        self.installed.clear()
        self.loaded.clear()
        self.raw_ps_rows.clear()
        self.raw_tags_rows.clear()

    def ps(self) -> dict[str, Any]:
        return {"models": [self.installed[name].ps_row() for name in self.loaded] + self.raw_ps_rows}

    def tags(self) -> dict[str, Any]:
        return {"models": [model.tags_row() for model in self.installed.values()] + self.raw_tags_rows}
