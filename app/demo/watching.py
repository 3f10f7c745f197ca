"""What the collectors of processes and of runners' own ports would say of a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from gpumon.app.demo.runner import PREFILL_SECONDS, START_SECONDS, Runner
from gpumon.collectors.samples import (
    HolderProcess,
    ProcessSample,
    RunnerProcess,
    RunnerSettings,
    ServerProcess,
    Slot,
    WorkSample,
)

SERVER_PID = 48100
SOURCE_URL = "http://127.0.0.1:11434"
MODELS_PATH = "/usr/share/ollama/.ollama/models"
SEEN_AFTER_SECONDS = 2.0
"""So long after a request the port is still asked, so that its end is seen."""


class ProgramLike(Protocol):
    """Something else that holds VRAM."""

    @property
    def pid(self) -> int: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def graphics(self) -> bool: ...  # noqa: D102


def process_sample(
    now: float,
    up_since: float | None,
    runners: Iterable[Runner],
    programs: Iterable[ProgramLike],
    others: Iterable[RunnerProcess] = (),
) -> ProcessSample:
    """Return one look at the processes; ``up_since`` is ``None`` while the server is down."""
    server = ServerProcess(
        kind="ollama", pid=SERVER_PID, started=up_since or 0.0, user="ollama", urls=(SOURCE_URL,)
    )
    return ProcessSample(
        time=now,
        source="processes",
        servers=() if up_since is None else (server,),
        runners=(*(_process(runner, now) for runner in runners if runner.started <= now), *others),
        holders=tuple(
            HolderProcess(pid=one.pid, name=one.name, group="desktop" if one.graphics else "other")
            for one in programs
        ),
    )


def runner_samples(now: float, runners: Iterable[Runner]) -> Iterator[WorkSample]:
    """Yield what the runners that are asked answer: loading ones, and those at work."""
    for runner in runners:
        if runner.started <= now and (now < runner.ready_at or now < runner.busy_until + SEEN_AFTER_SECONDS):
            yield _answer(runner, now)


def _process(runner: Runner, now: float) -> RunnerProcess:
    read = runner.read_bytes(now)
    return RunnerProcess(
        pid=runner.pid,
        started=runner.started,
        kind="llama_server",
        settings=RunnerSettings(
            blob=runner.llm.blob,
            model_path=f"{MODELS_PATH}/blobs/{runner.llm.blob}",
            host="127.0.0.1",
            port=30_000 + runner.pid % 10_000,
            context_length=runner.context,
            parallel=1,
            batch_size=512,
            micro_batch_size=512,
            flash_attention="auto",
        ),
        parent_pid=SERVER_PID,
        server_pid=SERVER_PID,
        user="ollama",
        rss_bytes=runner.ram_bytes(now),
        file_bytes=read if now < runner.weights_at else runner.placement.ram_bytes,
        cpu_percent=runner.work(now).cpu_threads * 100,
        thread_count=24,
        read_bytes=read,
    )


def _answer(runner: Runner, now: float) -> WorkSample:
    sample = WorkSample(
        time=now,
        source=f"runner {runner.pid}",
        pid=runner.pid,
        started=runner.started,
        port=30_000 + runner.pid % 10_000,
        state="ready",
        slots=(_slot(runner, now),),
    )
    if now >= runner.ready_at:
        return sample
    starting = now < runner.started + START_SECONDS / 2
    return WorkSample(
        time=now,
        source=sample.source,
        pid=runner.pid,
        started=runner.started,
        port=sample.port,
        state="starting" if starting else "loading",
    )


def _slot(runner: Runner, now: float) -> Slot:
    asked = runner.asked(now)
    if asked is None:
        return Slot(slot_id=0, context_length=runner.context)
    prefilled = int(runner.prompt_tokens * min(1.0, (now - asked) / PREFILL_SECONDS))
    decoded = runner.decoded_tokens(now)
    return Slot(
        slot_id=0,
        context_length=runner.context,
        processing=True,
        task_id=int(asked),
        prompt_tokens=prefilled + decoded,
        prompt_tokens_processed=prefilled,
        prompt_tokens_cached=0,
        decoded_tokens=decoded,
    )
