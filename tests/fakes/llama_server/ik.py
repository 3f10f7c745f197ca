"""A fake ik_llama.cpp, as its sources of 15 August 2026 have it (examples/server); never seen running.

``server.cpp``: the header, ``/health``, ``/props``, ``/metrics``; ``server-context.cpp``: a slot's JSON, with
the user's prompt, and with what the request before has generated until a new prompt has been read.
"""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.http import Answer, Request
from tests.fakes.llama_server.server import UNAUTHORIZED, FakeLlamaServer

PROMPT = "what my bank must not read: tulip"
PUBLIC = frozenset({"/health", "/v1/health", "/models", "/v1/models"})


class FakeIkLlama(FakeLlamaServer):
    """Its slots keep the count of the last request, which ``simulation`` sets to 0 at its end."""

    def __init__(self) -> None:
        super().__init__()
        self.header = "ik_llama.cpp"
        self.left: dict[int, int] = {}
        """What the last request of a slot has generated."""
        self.broken_off: set[int] = set()
        """Slots whose last request was cancelled: they go on to say that more tokens are to come."""

    def end(self, slot_id: int, cancelled: bool = False) -> None:
        """End a request of the simulation."""
        self.left[slot_id] = self.simulation.slots[slot_id].decoded
        self.simulation.end(slot_id, cancelled)
        (self.broken_off.add if cancelled else self.broken_off.discard)(slot_id)

    def _checked(self, request: Request) -> Answer:
        path = request.path
        is_open = self.api_key is None or path in PUBLIC
        has_key = request.headers.get("authorization") == f"Bearer {self.api_key}"
        return self._answer(path) if is_open or has_key else UNAUTHORIZED

    def _answer(self, path: str) -> Answer:
        if path == "/slots" and path not in self.answers and not self.loading:
            return Answer(200, json.dumps(self._slots()).encode())
        return super()._answer(path)

    def _bodies(self) -> dict[str, dict[str, Any]]:
        working = sum(slot.processing for slot in self.simulation.slots)
        idle = len(self.simulation.slots) - working
        status = "ok" if idle else "no slot available"
        health = {"status": status, "slots_idle": idle, "slots_processing": working}
        return super()._bodies() | {"/health": health}

    def _properties(self) -> dict[str, Any]:
        return {
            "system_prompt": PROMPT,
            "model_alias": self.alias,
            "model_path": "/models/a.gguf",
            "default_generation_settings": {"n_ctx": self.simulation.context_length, "n_predict": -1},
            "total_slots": len(self.simulation.slots),
            "model_name": "a.gguf",
            "chat_template": "{{ secret }}",
            "modalities": {"vision": False, "audio": False},
            "n_ctx": self.simulation.context_length,
        }

    def _slots(self) -> list[dict[str, Any]]:
        return [self._slot(number) for number in range(len(self.simulation.slots))]

    def _slot(self, number: int) -> dict[str, Any]:
        slot, left = self.simulation.slots[number], self.left.get(number, 0)
        is_reading = slot.processing and slot.processed < slot.prompt
        decoded = slot.decoded if slot.processing and not is_reading else left
        more = slot.processing and not is_reading
        return {
            "n_ctx": self.simulation.context_length,
            "n_predict": -1,
            "model": self.alias,
            "max_tokens": -1,
            "id": number,
            "id_task": -1 if slot.task_id is None else slot.task_id,
            "state": int(slot.processing),
            "prompt": PROMPT,
            "next_token": {
                "has_next_token": more or number in self.broken_off,
                "n_remain": -1,
                "n_decoded": decoded,
                "stopped_eos": not more,
                "stopped_word": False,
                "stopped_limit": False,
                "stopping_word": "",
            },
        }
