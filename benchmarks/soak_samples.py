"""A day of a machine with 8 GPUs and 20 loaded models, of 40 that take turns."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gpumon.collectors.samples import (
    AnySample,
    GpuMemory,
    GpuProcess,
    GpuReading,
    ModelClaim,
    NvmlSample,
    ProcessSample,
    RunnerProcess,
    RunnerSettings,
    ServerProcess,
    ServerSample,
    Slot,
    SourceHealth,
    SystemSample,
    WorkSample,
)

START = 1_790_000_000.0
URL = "http://127.0.0.1:11434"
GIB = 1024**3
GPUS, MODELS, INSTALLED = 8, 20, 40
TURN_SECONDS = 30
"""So often one model gives way to another: 2,880 loads a day, each a process of its own."""
SLOTS_SECONDS = 5
"""So often each runner is asked: at 1 Hz that is most of the samples, and each is like the other."""
SERVING = SourceHealth(state="serving")


def hour_of_samples(hour: int) -> Iterator[AnySample]:
    """Yield an hour of samples in the order of their times."""
    for second in range(hour * 3600, (hour + 1) * 3600):
        yield from _second(second)


def _second(second: int) -> Iterator[AnySample]:
    now = START + second
    turns = [_turn(place, second) for place in range(MODELS)]
    yield SystemSample(
        time=now,
        source="system",
        host="box",
        ram_total_bytes=512 * GIB,
        ram_used_bytes=(64 + second % 9) * GIB,
        ram_available_bytes=(448 - second % 9) * GIB,
        swap_total_bytes=0,
        swap_used_bytes=0,
        cpu_percent=second % 100,
    )
    yield NvmlSample(
        time=now,
        source="nvml",
        health=SERVING,
        gpus=tuple(_gpu(index, second, turns) for index in range(GPUS)),
    )
    yield ProcessSample(
        time=now,
        source="processes",
        servers=(ServerProcess(kind="ollama", pid=10, started=START - 60, urls=(URL,)),),
        runners=tuple(_runner(turn) for turn in turns),
    )
    yield ServerSample(
        kind="ollama",
        time=now,
        source=URL,
        health=SERVING,
        version="0.33.0",
        models=tuple(_claim(turn) for turn in turns),
    )
    if second % SLOTS_SECONDS == 0:
        yield from (_answer(turn, second) for turn in turns)


def _turn(place: int, second: int) -> int:
    """Return the number of the load that holds a place: a new one in one of the places every half minute."""
    shifted = second + place * TURN_SECONDS
    return place + MODELS * (shifted // (MODELS * TURN_SECONDS))


def _name(turn: int) -> str:
    return f"model-{turn % INSTALLED}:8b"


def _claim(turn: int) -> ModelClaim:
    spilled = GIB if turn % 7 == 0 else 0
    number = turn % INSTALLED
    return ModelClaim(
        name=_name(turn), digest=f"{number:064x}", size_bytes=5 * GIB, size_vram_bytes=5 * GIB - spilled
    )


def _runner(turn: int) -> RunnerProcess:
    settings = RunnerSettings(blob=f"sha256-{turn % INSTALLED:064x}", model_name=_name(turn), port=40_000)
    return RunnerProcess(
        pid=1000 + turn,
        started=START + turn,
        kind="llama_server",
        server_pid=10,
        settings=settings,
        cpu_percent=5.0,
    )


def _gpu(index: int, second: int, turns: list[int]) -> GpuReading:
    load = 0.5 + 0.5 * math.sin(second / 60 + index)
    held = [turn for turn in turns if turn % GPUS == index]
    used = len(held) * 5 * GIB
    return GpuReading(
        uuid=f"GPU-{index}",
        index=index,
        name="NVIDIA H100",
        memory=GpuMemory(total_bytes=80 * GIB, used_bytes=used, free_bytes=80 * GIB - used, reserved_bytes=0),
        utilization_percent=round(100 * load),
        temperature_celsius=round(40 + 40 * load),
        power_watts=50 + 600 * load,
        processes=tuple(GpuProcess(pid=1000 + turn, vram_bytes=5 * GIB) for turn in held),
    )


def _answer(turn: int, second: int) -> WorkSample:
    """Return a slot that is busy for a minute, with a new task every two."""
    working = second % 120 < 60
    slot = Slot(
        slot_id=0,
        processing=working,
        task_id=second // 120,
        decoded_tokens=40 * (second % 120),
        prompt_tokens=100,
    )
    return WorkSample(
        time=START + second,
        source=f"runner {1000 + turn}",
        pid=1000 + turn,
        started=START + turn,
        port=40_000,
        state="ready",
        slots=(slot,),
    )
