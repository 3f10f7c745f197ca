"""A fake llama-server in router mode: models that are loaded, asleep, or would be loaded by a question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.http import Answer, as_json
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.llama_server.simulation import Simulation

ROUTER = {"role": "router", "max_instances": 4, "models_autoload": True, "model_path": "none"}


@dataclass
class Child:
    """One model of the router."""

    status: str = "unloaded"
    sleep_idle_seconds: int | None = None
    simulation: Simulation = field(default_factory=Simulation)
    woken: int = 0


class FakeRouter(FakeLlamaServer):
    """Answers ``/models`` and, per model, what its own server would."""

    def __init__(self) -> None:
        super().__init__()
        self.children: dict[str, Child] = {}
        self.loaded_by_question: list[str] = []
        """Models that a careless question has made it load."""

    def _answer(self, path: str) -> Answer:
        parts = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path in {"/models", "/v1/models"}:
            return as_json({"data": [self._row(name) for name in self.children]})
        if parts.path == "/props" and not query:
            return as_json(ROUTER | {"build_info": "b9-fake"})
        if parts.path not in {"/props", "/slots", "/metrics"}:
            return super()._answer(path)
        return self._child_answer(parts.path, query)

    def _child_answer(self, path: str, query: dict[str, str]) -> Answer:
        child = self.children.get(query.get("model", ""))
        if child is None:
            return as_json({"error": {"message": "model name is missing from the request"}}, 400)
        if child.status == "unloaded":
            if query.get("autoload") != "false":
                self.loaded_by_question.append(query["model"])
            return as_json({"error": {"message": "model is not loaded"}}, 400)
        if child.status == "sleeping" and path != "/props":
            child.status, child.woken = "loaded", child.woken + 1
        self.simulation, self.alias = child.simulation, query["model"]
        self.sleeping = False
        return super()._answer(path)

    def _row(self, name: str) -> dict[str, Any]:
        child = self.children[name]
        args = ["/opt/llama-server", "--alias", name, "--ctx-size", "2048", "--model", f"/m/{name}.gguf"]
        if child.sleep_idle_seconds is not None:
            args += ["--sleep-idle-seconds", str(child.sleep_idle_seconds)]
        row: dict[str, Any] = {"id": name, "status": {"value": child.status, "args": args}}
        return row | ({"meta": {"n_params": 9, "size": 90}} if child.status == "loaded" else {})
