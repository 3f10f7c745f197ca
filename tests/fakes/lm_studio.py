"""A fake LM Studio 0.4, or one before it, as documented (lmstudio.ai/docs: REST API v1, v0).

What it does not serve it answers with 200 and an error.
"""

from __future__ import annotations

from tests.fakes.http import as_json
from tests.fakes.routes import FakeRoutes

NAME = "qwen/qwen3-8b"
FILE_BYTES = 5_027_784_512


class FakeLmStudio(FakeRoutes):
    """Two models, of which the first may be loaded; each listing is a line in its log."""

    def __init__(
        self, *, loaded: dict[str, int] | None = None, older: bool = False, key: str | None = None
    ) -> None:
        listing = {"/api/v0/models": self._older} if older else {"/api/v1/models": self._models}
        super().__init__({"/lmstudio-greeting": {"lmstudio": True}, **listing}, key)
        self.open = frozenset({"/lmstudio-greeting"})
        self.missing = as_json({"error": "Unexpected endpoint or method. Returning 200 anyway"})
        self.loaded = loaded or {NAME: 8192}
        """Context of each instance by its name."""

    def _models(self) -> object:
        instances = [
            {
                "id": name,
                "config": {
                    "context_length": context,
                    "eval_batch_size": 512,
                    "parallel": 4,
                    "flash_attention": True,
                    "offload_kv_cache_to_gpu": True,
                },
            }
            for name, context in self.loaded.items()
        ]
        model = {
            "type": "llm",
            "publisher": "qwen",
            "key": NAME,
            "display_name": "Qwen3 8B",
            "architecture": "qwen3",
            "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
            "size_bytes": FILE_BYTES,
            "params_string": "8B",
            "loaded_instances": instances,
            "max_context_length": 40960,
            "format": "gguf",
            "capabilities": {"vision": False, "trained_for_tool_use": True},
        }
        other = {**model, "key": "google/gemma-3-12b", "loaded_instances": [], "size_bytes": 8_000_000_000}
        return {"models": [model, other]}

    def _older(self) -> object:
        row = {"object": "model", "type": "llm", "arch": "qwen3", "quantization": "Q4_K_M"}
        loaded = [
            {**row, "id": name, "state": "loaded", "loaded_context_length": context}
            for name, context in self.loaded.items()
        ]
        return {"object": "list", "data": [*loaded, {**row, "id": "gemma-3-12b", "state": "not-loaded"}]}
