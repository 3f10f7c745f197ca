"""A fake TabbyAPI of 2026 (endpoints/core/router.py, common/auth.py, common/metrics.py)."""

from __future__ import annotations

from tests.fakes.http import Answer, Request, as_json
from tests.fakes.routes import FakeRoutes

NAME = "Qwen3-14B-exl3-4.0bpw"
KEY = "a1b2c3d4"


class FakeTabbyApi(FakeRoutes):
    """Wants its key in ``X-API-Key`` or as a bearer token; ``/health`` needs none."""

    def __init__(self, *, key: str | None = None, metrics: bool = True) -> None:
        super().__init__({"/health": {"status": "healthy", "issues": []}, "/v1/model": self._model}, key)
        self.open = frozenset({"/health"})
        self.unauthorized = as_json({"detail": "Please provide an API key"}, 401)
        self.model: str | None = NAME
        self.figures: dict[str, float] = {
            "prompt_tokens_total": 1000,
            "cached_tokens_total": 400,
            "prompt_seconds_total": 2.0,
            "tokens_predicted_total": 500,
            "tokens_predicted_seconds_total": 10.0,
            "requests_total": 5,
            "requests_processing": 0,
            "requests_deferred": 0,
            "kv_cache_usage_ratio": 0.25,
            "kv_cache_tokens": 8192,
            "kv_cache_max_tokens": 32768,
        }
        if metrics:
            self.routes["/metrics"] = self._metrics

    def finish(self, prompt: int, cached: int, reply: int, seconds: float) -> None:
        """End a request; its prompt was read in an eighth of the time."""
        self.figures["requests_total"] += 1
        self.figures["prompt_tokens_total"] += prompt - cached
        self.figures["cached_tokens_total"] += cached
        self.figures["tokens_predicted_total"] += reply
        self.figures["prompt_seconds_total"] += seconds / 8
        self.figures["tokens_predicted_seconds_total"] += seconds

    def _answer(self, request: Request) -> Answer:
        if request.path.partition("?")[0] not in self.routes:
            return self.missing  # a key is asked for by routes
        given = request.headers.get("x-api-key")
        if given is not None and self.key is not None:
            request.headers["authorization"] = f"Bearer {given}"
        return super()._answer(request)

    def _model(self) -> object:
        if self.model is None:
            return as_json({"detail": "No models are currently loaded."}, 400)
        told = {
            "max_seq_len": 16384,
            "rope_scale": 1.0,
            "rope_alpha": 1.0,
            "max_batch_size": 4,
            "cache_size": 32768,
            "cache_mode": "Q8",
            "chunk_size": 2048,
        }
        return {"id": self.model, "object": "model", "owned_by": "tabbyAPI", "parameters": told}

    def _metrics(self) -> Answer:
        body = "".join(f"tabbyapi:{name} {value}\n" for name, value in self.figures.items())
        return Answer(body=body.encode(), content_type="text/plain")
