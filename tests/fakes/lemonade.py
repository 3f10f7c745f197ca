"""A fake Lemonade, from its declarations of 22 August 2026 (src/cpp/server); never seen running.

``router.cpp``: ``get_all_loaded_models``; ``server.cpp``: ``handle_health``; ``wrapped_server.h``: the JSON
of ``Telemetry``; ``ollama_api.cpp``: ``handle_ps`` and the version that it gives for Ollama's.
"""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.http import Answer
from tests.fakes.routes import FakeRoutes

ZEROS = "sha256:" + "0" * 64
PREFIXES = ("/api/v0/", "/api/v1/", "/v0/", "/v1/")


def plain(value: object, status: int = 200) -> Answer:
    """Return JSON as cpp-httplib sends it: without a character set."""
    return Answer(status, json.dumps(value).encode(), "application/json")


class FakeLemonade(FakeRoutes):
    """Lists what it holds; a question that counts as a use is noted."""

    def __init__(self) -> None:
        super().__init__({"/api/ps": self._imitated, "/api/version": lambda: plain({"version": "0.16.1"})})
        for prefix in PREFIXES:
            self.routes |= {f"{prefix}health": self._health, f"{prefix}stats": lambda: plain(self.stats)}
        self.loaded: list[dict[str, Any]] = []
        self.clock = 1000
        """What ``last_use`` counts."""
        self.missing = plain({"error": {"message": "not found", "type": "not_found"}}, 404)
        self.unauthorized = Answer(401, b'{"error": "Invalid or missing API key"}', "application/json")
        self.stats: dict[str, Any] = {
            "input_tokens": 0,
            "output_tokens": 0,
            "time_to_first_token": 0.0,
            "tokens_per_second": 0.0,
            "prompt_tokens": 0,
            "cache_tokens": None,
            "request_count_total": 0,
        }

    def load(self, name: str, port: int = 8001, pid: int = 0, **more: object) -> dict[str, Any]:
        """Hold a model; return its row."""
        command = ["/opt/lemonade/llama-server", "-m", f"/m/{name}.gguf", "--ctx-size", "4096"]
        row = {
            "model_name": name,
            "checkpoint": f"unsloth/{name}:Q4_K_M",
            "type": "llm",
            "slot_pool": "standard",
            "device": "gpu",
            "backend_url": f"http://127.0.0.1:{port}/v1",
            "pid": pid,
            "launch_command": [*command, "--port", str(port), "--api-key", "sesame", "--metrics"],
            "status": "ready",
            "backend_alive": True,
            "backend_health": "ready",
            "loaded": True,
            "watchdog_reset": False,
            "pinned": False,
            "recipe": "llamacpp",
            "recipe_options": {"ctx_size": 4096, "llamacpp_backend": "vulkan"},
            "is_busy": False,
            "is_streaming": False,
            "last_use": self.clock,
        }
        self.loaded.append(row | more)
        return self.loaded[-1]

    def finish(self, name: str, tokens: int, rate: float, prompt: int = 100, cached: int | None = 40) -> None:
        """End a request of a model."""
        self.clock += 10
        for row in self.loaded:
            if row["model_name"] == name:
                row |= {"last_use": self.clock, "is_busy": False}
        self.stats |= {
            "input_tokens": prompt,
            "prompt_tokens": prompt,
            "output_tokens": tokens,
            "time_to_first_token": 0.5,
            "tokens_per_second": rate,
            "cache_tokens": cached,
            "request_count_total": self.stats["request_count_total"] + 1,
        }

    def _health(self) -> Answer:
        name = self.loaded[-1]["model_name"] if self.loaded else None
        return plain(
            {
                "status": "ok",
                "version": "10.2.0",
                "model_loaded": name,
                "all_models_loaded": self.loaded,
                "max_models": {"llm": 1, "embedding": 1},
            }
        )

    def _imitated(self) -> Answer:
        rows = [
            {"name": f"{row['model_name']}:latest", "size": 0, "digest": ZEROS, "size_vram": 0}
            for row in self.loaded
        ]
        return plain({"models": rows})
