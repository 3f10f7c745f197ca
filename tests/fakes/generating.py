"""A loaded model that answers requests, watched as the live sources would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace
from tests.fakes.process_samples import STARTED, facts, holding, processes, runner
from tests.fakes.samples import START, claim, gpu, nvml, ollama, system

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.state.records import ModelRecord
from gpumon.collectors.samples import (
    AnySample,
    GpuReading,
    HolderProcess,
    ModelFacts,
    Slot,
    WorkSample,
)

NAME = "llama3:70b"
POLL_SECONDS = 0.5
PROMPT_TOKENS = 500

Rate = float | Callable[[float], float]
"""Tokens per second of one request, or what it is at a time."""


@dataclass
class Desk:
    """One model on one GPU; what is set before a request is so during it."""

    monitor: Monitor = field(default_factory=lambda: Monitor(Limits()))
    now: float = 0.0
    ram_gib: float = 0.0
    pid: int = 100
    gpu_index: int = 0
    throttle: tuple[str, ...] = ()
    swap: float = 0.0
    holders: tuple[HolderProcess, ...] = ()
    readings: Callable[[GpuReading], GpuReading] = lambda reading: reading
    held_gib: float = 10.0
    """What the driver measures."""
    claimed_gib: float | None = None
    """What the server claims on the GPU; the same unless told."""
    described: ModelFacts = field(default_factory=lambda: facts(0, NAME))
    tasks: int = 0
    sent: list[AnySample] = field(default_factory=list)

    def feed(self, *samples: AnySample) -> None:
        self.sent += samples
        for sample in samples:
            self.monitor.feed(sample)

    @property
    def model(self) -> ModelRecord:
        return next(iter(self.monitor.state.models.values()))

    def look(self) -> None:
        """Let every source but the runner's port speak."""
        held = {self.pid: self.held_gib} | {holder.pid: 1.0 for holder in self.holders}
        reading = holding(gpu(self.gpu_index, throttle=self.throttle, utilization=90), held)
        if not self.sent:
            self.feed(self.described)
        claimed = replace(
            claim(NAME, ram_gib=self.ram_gib, gpu_gib=self.claimed_gib or self.held_gib), context_length=8192
        )
        self.feed(
            nvml(self.now, self.readings(reading)),
            processes(self.now, runner(self.pid), holders=self.holders),
            ollama(self.now, [claimed]),
            system(self.now, swap_in=self.swap),
        )

    def poll(self, slots: Sequence[Slot]) -> None:
        self.feed(
            WorkSample(
                time=START + self.now,
                source=f"runner {self.pid}",
                pid=self.pid,
                started=STARTED,
                state="ready",
                slots=tuple(slots),
            )
        )

    def request(
        self, rate: Rate, seconds: float = 6.0, *, prompt: int = PROMPT_TOKENS, parallel: int = 1
    ) -> None:
        """Answer as many requests at once for a while, then rest."""
        first, decoded = self.tasks, 1.0
        self.tasks += parallel
        for step in range(int(seconds / POLL_SECONDS) + 1):
            if step % 2 == 0:
                self.look()
            slots = [working_slot(slot, first + slot, prompt, int(decoded)) for slot in range(parallel)]
            self.poll(slots)
            self.now += POLL_SECONDS
            decoded += POLL_SECONDS * (rate(self.now) if callable(rate) else rate)
        self.poll([resting_slot(slot, first + slot, prompt, int(decoded)) for slot in range(parallel)])
        self.now += 1.0

    def usual(
        self, rate: Rate = 40.0, count: int = 6, *, prompt: int = PROMPT_TOKENS, parallel: int = 1
    ) -> None:
        """Answer enough requests for a baseline."""
        for _ in range(count):
            self.request(rate, prompt=prompt, parallel=parallel)


def working_slot(slot_id: int, task: int, prompt: int, decoded: int) -> Slot:
    return Slot(
        slot_id=slot_id,
        context_length=262144,
        processing=True,
        task_id=task,
        prompt_tokens=prompt + decoded,
        prompt_tokens_processed=prompt,
        prompt_tokens_cached=0,
        decoded_tokens=decoded,
    )


def resting_slot(slot_id: int, task: int, prompt: int, decoded: int) -> Slot:
    return Slot(
        slot_id=slot_id,
        context_length=262144,
        processing=False,
        task_id=task,
        prompt_tokens=prompt + decoded,
        prompt_tokens_processed=0,
        decoded_tokens=decoded,
    )
