"""A fake LocalAI 4.9 (core/http/endpoints/localai, core/http/endpoints/ollama, core/http/auth)."""

from __future__ import annotations

from tests.fakes.http import Answer, Request, as_json
from tests.fakes.routes import FakeRoutes

NAME = "qwen3-8b"
UNINITIALIZED, BUSY, READY = 0, 1, 2


class FakeLocalAi(FakeRoutes):
    """Models that are loaded, by name: the state of the backend of each, ``None`` where it tells none."""

    def __init__(self, *, models: dict[str, int | None] | None = None, key: str | None = None) -> None:
        super().__init__({"/system": self._system, "/version": {"version": "v4.9.0 (abc)"}}, key)
        self.routes |= {"/api/ps": self._ps, "/api/version": {"version": "0.9.0"}}
        self.open = frozenset({"/readyz", "/healthz", "/.well-known/localai.json"})
        error = {"code": 401, "message": "An authentication key is required", "type": "invalid_request_error"}
        self.unauthorized = Answer(
            401, as_json({"error": error}).body, headers={"WWW-Authenticate": "Bearer"}
        )
        self.routes["/.well-known/localai.json"] = {
            "version": "v4.9.0",
            "endpoints": {"backend_monitor": "/backend/monitor"},
        }
        self.routes["/readyz"] = Answer()
        self.models = models or {}
        self.memory: dict[str, object] = {"total": 6_000_000_000}

    def _system(self) -> object:
        rows = [{"id": name, "backend": "llama-cpp"} for name in self.models]
        return {"backends": ["llama-cpp", "whisper"], "loaded_models": rows}

    def _ps(self) -> object:
        """An unset list is ``null`` (Go), sizes are 0."""
        rows = [
            {"name": f"{name}:latest", "model": f"{name}:latest", "size": 0, "size_vram": 0}
            | {"digest": "sha256:" + 64 * "a", "details": {}, "expires_at": "2026-12-01T12:00:00Z"}
            for name in self.models
        ]
        return Answer(body=as_json({"models": rows or None}).body.replace(b": ", b":"))

    def _answer(self, request: Request) -> Answer:
        path, _, query = request.path.partition("?")
        answer = super()._answer(request)
        if path != "/backend/monitor" or answer is self.unauthorized or self.answer_all is not None:
            return answer
        state = self.models.get(query.partition("=")[2])
        if state is None:
            return as_json({"error": {"message": "backend experienced an error retrieving status"}}, 500)
        return as_json(({"state": state} if state else {}) | {"memory": self.memory})
