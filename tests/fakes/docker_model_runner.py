"""A fake Docker Model Runner, from its declarations of 22 July 2026 (docker/model-runner), never seen run.

``pkg/inference/scheduling/api.go``: ``BackendStatus``; ``pkg/inference/models/api.go``: ``Model``;
``pkg/ollama/http_handler.go``: ``handlePS``, ``handleVersion``.
"""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.http import Answer, text
from tests.fakes.routes import FakeRoutes

HEX = "354bf30d0aa3af413d2aa5ae4f23c66d78980072d1e07a5b0d776e9606a2f0b9"
NEVER = "0001-01-01T00:00:00Z"


def plain(value: object) -> Answer:
    """Return JSON as it sends it: without a character set."""
    return Answer(200, json.dumps(value).encode(), "application/json")


class FakeDockerModelRunner(FakeRoutes):
    """Lists what it has loaded and what it has stored."""

    def __init__(self) -> None:
        super().__init__(
            {
                "/engines/status": lambda: plain({"llama.cpp": "Running: llama.cpp latest", "vllm": ""}),
                "/engines/ps": lambda: plain(self.loaded),
                "/models": lambda: plain(self.stored),
                "/api/ps": self._imitated,
                "/api/version": lambda: plain({"version": "0.1.0"}),
                "/engines/requests": lambda: plain({"records": [{"request": "what I have asked"}]}),
            }
        )
        self.missing = text(404, "not found")
        self.loaded: list[dict[str, Any]] = []
        self.stored: list[dict[str, Any]] = []

    def load(self, name: str, digest: str = HEX, **more: object) -> dict[str, Any]:
        """Load a model that is stored; return its row."""
        row = {"backend_name": "llama.cpp", "model_name": name, "mode": "completion", "last_used": NEVER}
        config = {"format": "gguf", "quantization": "MOSTLY_Q4_K_M", "parameters": "361.82 M"}
        tag = f"docker.io/{name.removeprefix('docker.io/').removesuffix(':latest')}:latest"
        self.stored.append({"id": f"sha256:{digest}", "tags": [tag], "created": 1, "config": config})
        self.loaded.append(row | more)
        return self.loaded[-1]

    def _imitated(self) -> Answer:
        rows = [{"name": row["model_name"], "model": row["model_name"], "digest": ""} for row in self.loaded]
        return plain({"models": rows})


def child(digest: str, slot: int = 0) -> list[str]:
    """Return the command line of its llama-server (``llamacpp_config.go``, ``store/bundles.go``)."""
    path = f"/models/bundles/sha256/{digest}/model/model.gguf"
    line = f"/app/bin/llama-server -ngl 999 --metrics --model {path} --host inference-runner-{slot}.sock"
    return [*line.split(), "--ctx-size", "4096", "--jinja"]
