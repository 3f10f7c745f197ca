"""What happens inside a llama-server: requests that are read and answered in slots, and its counters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gpumon.collectors.samples import Slot, WorkCounters


@dataclass
class Work:
    """One slot; what it was left with stays until the next request."""

    task_id: int | None = None
    processing: bool = False
    prompt: int = 0
    processed: int = 0
    decoded: int = 0
    kept: int = 0
    """Tokens that a finished request left in the slot."""
    leaves_decoded: bool = False
    """As builds up to mid-2026: what a finished request has generated stays in the slot."""

    def body(self, slot_id: int, context_length: int) -> dict[str, Any]:
        values: dict[str, Any] = {"id": slot_id, "n_ctx": context_length, "is_processing": self.processing}
        if self.task_id is None:
            return values
        held = self.processed + self.decoded if self.processing else self.kept
        return values | {
            "id_task": self.task_id,
            "n_prompt_tokens": held,
            "n_prompt_tokens_processed": self.processed if self.processing else 0,
            "n_prompt_tokens_cache": 0,
            "params": {"max_tokens": 5},
            "prompt": "a secret",
            "next_token": [
                {"n_remain": -1, "n_decoded": self.decoded if self.processing or self.leaves_decoded else 0}
            ],
        }


@dataclass
class Simulation:
    """A server with ``slot_count`` slots; counters grow when a request ends, as in the real one."""

    slot_count: int = 2
    context_length: int = 4096
    counts_cancelled: bool = True
    generated: int = 0
    """Every token that was ever generated: the truth."""
    counted: int = 0
    counted_seconds: float = 0.0
    counted_prompt: int = 0
    """Grows when a prompt has been read, not when its request ends."""
    counted_prompt_seconds: float = 0.0
    waiting: int = 0
    next_task: int = 0
    slots: list[Work] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.slots = [Work() for _ in range(self.slot_count)]

    @property
    def working(self) -> bool:
        return any(slot.processing for slot in self.slots)

    def start(self, slot_id: int, prompt: int) -> None:
        """Begin a request in a free slot; in one that works, nothing happens."""
        if not self.slots[slot_id].processing:
            self.slots[slot_id] = Work(self.next_task, processing=True, prompt=prompt)
            self.next_task += 1

    def read(self, slot_id: int, tokens: int) -> None:
        """Compute a part of the prompt."""
        slot = self.slots[slot_id]
        if slot.processing:
            slot.processed = min(slot.processed + tokens, slot.prompt)

    def decode(self, slot_id: int, tokens: int) -> None:
        """Generate tokens, after the rest of the prompt."""
        slot = self.slots[slot_id]
        if slot.processing and tokens:
            slot.processed = slot.prompt
            self.counted_prompt += 0 if slot.decoded else slot.prompt
            slot.decoded += tokens
            self.generated += tokens

    def end(self, slot_id: int, cancelled: bool = False) -> None:
        """End a request: finished, or cancelled by its client."""
        slot = self.slots[slot_id]
        if not slot.processing:
            return
        slot.processing = False
        slot.kept = max(slot.processed + slot.decoded - 1, 0)
        if not cancelled or self.counts_cancelled:
            self.counted += slot.decoded
        slot.decoded = 0

    def slots_body(self) -> list[dict[str, Any]]:
        return [slot.body(number, self.context_length) for number, slot in enumerate(self.slots)]

    def metrics_body(self) -> str:
        values = {
            "prompt_tokens_total": self.counted_prompt,
            "prompt_seconds_total": self.counted_prompt_seconds,
            "tokens_predicted_total": self.counted,
            "tokens_predicted_seconds_total": self.counted_seconds,
            "requests_processing": sum(slot.processing for slot in self.slots),
            "requests_deferred": self.waiting,
        }
        return "".join(f"# TYPE llamacpp:{name} x\nllamacpp:{name} {values[name]}\n" for name in values)

    def slot_samples(self) -> tuple[Slot, ...]:
        """Return the slots as a collector would."""
        return tuple(self._slot_sample(number) for number in range(self.slot_count))

    def _slot_sample(self, number: int) -> Slot:
        body = self.slots[number].body(number, self.context_length)
        following = body.get("next_token", [{}])[0]
        return Slot(
            slot_id=number,
            context_length=self.context_length,
            processing=body["is_processing"],
            task_id=body.get("id_task"),
            prompt_tokens=body.get("n_prompt_tokens"),
            prompt_tokens_processed=body.get("n_prompt_tokens_processed"),
            prompt_tokens_cached=body.get("n_prompt_tokens_cache"),
            decoded_tokens=following.get("n_decoded"),
        )

    def counter_sample(self) -> WorkCounters:
        """Return the counters as a collector would."""
        return WorkCounters(
            prompt_tokens_total=float(self.counted_prompt),
            prompt_seconds_total=self.counted_prompt_seconds,
            decoded_tokens_total=float(self.counted),
            decoded_seconds_total=self.counted_seconds,
            requests_processing=sum(slot.processing for slot in self.slots),
            requests_deferred=self.waiting,
        )
