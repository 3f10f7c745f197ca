"""Requests of a conversation, as a llama-server's slots tell of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.fakes.process_samples import STARTED
from tests.fakes.samples import START

from gpumon.collectors.samples import Slot, WorkSample

BATCHES = 4


@dataclass
class Talker:
    """Sends prompts to one slot of process 100, one after the other."""

    at: float = 10.0
    """When the next request begins, seconds after the start."""
    rate: float = 500.0
    """Prompt tokens a second."""
    pause: float = 5.0
    pid: int = 100
    started: float = STARTED
    task: int = 0

    def request(self, prompt: int, cached: int = 0, answer: int = 60, slot: int = 0) -> Iterator[WorkSample]:
        """Yield what is said while a prompt is read, its answer is generated, and after it."""
        self.task += 100
        read = prompt - cached
        for batch in range(BATCHES):
            done = read * batch // BATCHES
            ahead = cached + read * (batch + 1) // BATCHES
            yield self._sample(slot, ahead, done, cached, 0)
            self.at += read / self.rate / BATCHES
        yield self._sample(slot, prompt + 1, read, cached, 1)
        self.at += 1.0
        yield self._sample(slot, prompt + answer, read, cached, answer)
        self.at += 0.5
        yield self._sample(slot, prompt + answer - 1, 0, 0, None)
        self.at += self.pause

    def _sample(self, slot: int, held: int, done: int, cached: int, decoded: int | None) -> WorkSample:
        said = Slot(
            slot_id=slot,
            context_length=65536,
            processing=decoded is not None,
            task_id=self.task,
            prompt_tokens=held,
            prompt_tokens_processed=done,
            prompt_tokens_cached=cached,
            decoded_tokens=decoded or 0,
        )
        return WorkSample(
            time=START + self.at,
            source=f"runner {self.pid}",
            pid=self.pid,
            started=self.started,
            state="ready",
            slots=(said,),
        )
