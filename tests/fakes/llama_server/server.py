"""A fake llama-server over real HTTP on loopback, scripted from a test; it counts what it is asked."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from tests.fakes.http import Answer, Listening, Request, as_json, read_request
from tests.fakes.llama_server.simulation import Simulation

LOADING = as_json(
    {"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}}, status=503
)
UNAUTHORIZED = as_json(
    {"error": {"message": "Invalid API Key", "type": "authentication_error", "code": 401}}, status=401
)
OFF = as_json({"error": {"code": 501, "message": "not supported", "type": "not_supported_error"}}, status=501)


class FakeLlamaServer(Listening):
    """An asynchronous context manager that listens while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.simulation = Simulation()
        self.loading = False
        self.sleeping = False
        self.wakes = 0
        self.metrics = True
        self.says_what_is_on = True
        """Whether ``/props`` tells which endpoints are on."""
        self.header: str | None = "llama.cpp"
        self.alias = "tiny"
        self.api_key: str | None = None
        self.answers: dict[str, Answer] = {}
        """Answers other than the right ones, by path."""
        self.hanging: set[str] = set()
        self.requests: list[Request] = []
        self.idle_log_lines = 0
        """Lines that ``/slots`` and ``/metrics`` write at Ollama's verbosity while no slot works."""

    def counts(self) -> Counter[str]:
        """Return the number of requests to each path."""
        return Counter(request.path for request in self.requests)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                self.requests.append(request)
                if request.path in self.hanging:
                    await reader.read()  # until the client has gone
                writer.write(self._with_header(self._checked(request)).encoded())
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _with_header(self, answer: Answer) -> Answer:
        headers = {"Server": self.header} if self.header else {}
        return Answer(answer.status, answer.body, answer.content_type, answer.headers | headers)

    def _checked(self, request: Request) -> Answer:
        """Answer a request that has the key; ``/health`` needs none."""
        authorized = request.headers.get("authorization") == f"Bearer {self.api_key}"
        public = self.api_key is None or request.path == "/health"
        return self._answer(request.path) if public or authorized else UNAUTHORIZED

    def _answer(self, path: str) -> Answer:
        if path in self.answers:
            return self.answers[path]
        if self.loading:
            return LOADING
        if path in {"/slots", "/metrics"}:
            return self._statistics(path)
        body = self._bodies().get(path)
        return as_json({"error": {"code": 404}}, 404) if body is None else as_json(body)

    def _bodies(self) -> dict[str, dict[str, Any]]:
        return {
            "/health": {"status": "ok"},
            "/props": self._properties(),
            "/v1/models": {
                "data": [{"id": self.alias, "owned_by": "llamacpp", "meta": {"n_params": 7, "size": 70}}]
            },
        }

    def _properties(self) -> dict[str, Any]:
        on = {"endpoint_slots": True, "endpoint_metrics": self.metrics} if self.says_what_is_on else {}
        return on | {
            "model_alias": self.alias,
            "model_path": "/models/a.gguf",
            "build_info": "b1-fake",
            "total_slots": len(self.simulation.slots),
            "default_generation_settings": {"n_ctx": self.simulation.context_length},
            "chat_template": "{{ secret }}",
            "is_sleeping": self.sleeping,
        }

    def _statistics(self, path: str) -> Answer:
        if path == "/metrics" and not self.metrics:
            return OFF
        if self.sleeping:
            self.sleeping = False
            self.wakes += 1
        if not self.simulation.working:
            self.idle_log_lines += 1
        if path == "/slots":
            return Answer(200, json.dumps(self.simulation.slots_body()).encode())
        return Answer(200, self.simulation.metrics_body().encode(), "text/plain")
