"""The loop that polls a source, the watchdog, and the thread for calls that may block for ever."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.fakes.virtual_time import LoopClock, run

from gpumon.collectors import source as clock_module
from gpumon.collectors.samples import AnySample, InstalledModels, SourceSilent
from gpumon.collectors.source import Backoff, Cadence, SystemClock, log_defect, run_source
from gpumon.collectors.worker import Worker


class ScriptedSource:
    """A source whose polls take as long, and end, as told."""

    name = "scripted"

    def __init__(self, seconds: Callable[[int], float] = lambda _poll: 0.0) -> None:
        self.starts: list[float] = []
        self.closed = 0
        self.ended_polls = 0
        self.fails_at: set[int] = set()
        self._seconds = seconds

    async def poll(self) -> Sequence[AnySample]:
        number = len(self.starts)
        now = asyncio.get_running_loop().time()
        self.starts.append(now)
        try:
            await asyncio.sleep(self._seconds(number))
        finally:
            self.ended_polls += 1
        if number in self.fails_at:
            raise LookupError("a secret")
        return [InstalledModels(time=now, source=self.name)]

    def delay(self, interval: float) -> float:
        return interval

    async def close(self) -> None:
        assert self.ended_polls == len(self.starts), "closed in the middle of a poll"
        self.closed += 1


async def polled(source: ScriptedSource, seconds: float, cadence: Cadence | None = None) -> list[AnySample]:
    """Run the source's loop for a while and return what it emitted."""
    samples: list[AnySample] = []
    try:
        async with asyncio.timeout(seconds):
            await run_source(source, samples.append, cadence or Cadence(), LoopClock())
    except TimeoutError:
        pass
    return samples


def silences(samples: Sequence[AnySample]) -> list[SourceSilent]:
    return [sample for sample in samples if isinstance(sample, SourceSilent)]


def test_polls_start_one_interval_apart_however_long_each_takes() -> None:
    source = ScriptedSource(seconds=lambda poll: 0.1 * (poll % 7))
    run(polled(source, 100.5))
    assert source.starts == pytest.approx([float(second) for second in range(101)])


def test_a_slow_poll_delays_the_next_one_and_is_not_made_up_for() -> None:
    source = ScriptedSource(seconds=lambda poll: 3.5 if poll == 1 else 0.0)
    run(polled(source, 7))
    assert source.starts == pytest.approx([0.0, 1.0, 4.5, 5.5, 6.5])


def test_late_wakings_do_not_add_up() -> None:
    source = ScriptedSource(seconds=lambda _poll: 1.01)
    run(polled(source, 60))
    assert source.starts[-1] == pytest.approx(1.01 * (len(source.starts) - 1))
    assert len(source.starts) == 60, "one poll after another"


def test_every_sample_of_a_poll_is_emitted() -> None:
    samples = run(polled(ScriptedSource(), 2.5))
    assert [type(sample) for sample in samples] == [InstalledModels] * 3


def test_a_late_poll_is_reported_after_two_seconds_and_then_each_second() -> None:
    samples = run(polled(ScriptedSource(seconds=lambda _poll: 5.5), 5.2))
    assert [sample.seconds for sample in silences(samples)] == pytest.approx([2.0, 3.0, 4.0, 5.0])


def test_a_poll_that_answers_in_time_is_not_reported() -> None:
    samples = run(polled(ScriptedSource(seconds=lambda _poll: 1.9), 20))
    assert not silences(samples)


@pytest.mark.internal_errors
def test_a_poll_that_raises_is_reported_and_polled_again() -> None:
    source = ScriptedSource()
    source.fails_at = {1, 2}
    samples = run(polled(source, 4.5))
    assert [sample.seconds for sample in silences(samples)] == pytest.approx([1.0, 2.0])
    assert len(source.starts) == 5
    assert isinstance(samples[-1], InstalledModels)


def test_the_report_of_an_exception_leaves_its_text_out() -> None:
    source = ScriptedSource()
    source.fails_at = {0}
    (silent,) = silences(run(polled(source, 0.5)))
    assert silent.detail == "internal error: LookupError"


def test_cancelling_between_polls_closes_the_source_once() -> None:
    source = ScriptedSource()
    run(polled(source, 1.5))
    assert source.closed == 1


def test_cancelling_in_the_middle_of_a_poll_ends_it_before_the_source_is_closed() -> None:
    source = ScriptedSource(seconds=lambda _poll: 100.0)
    run(polled(source, 1.5))
    assert (source.ended_polls, source.closed) == (1, 1)


def test_a_shorter_interval_takes_effect_while_waiting_for_the_longer_one() -> None:
    async def scenario() -> list[float]:
        source, cadence = ScriptedSource(), Cadence(60.0)
        asyncio.get_running_loop().call_later(10.0, cadence.change, 2.0)
        await polled(source, 15, cadence)
        return source.starts

    assert run(scenario()) == pytest.approx([0.0, 10.0, 12.0, 14.0])


def test_a_quiet_machine_is_polled_more_slowly_until_something_happens() -> None:
    async def scenario() -> list[float]:
        source, cadence = ScriptedSource(), Cadence(1.0)
        cadence.slow_down(3.0)
        asyncio.get_running_loop().call_later(8.0, cadence.slow_down, 0.0)
        await polled(source, 9.5, cadence)
        return source.starts

    assert run(scenario()) == pytest.approx([0.0, 3.0, 6.0, 8.0, 9.0])


def test_what_is_learnt_makes_a_waiting_source_due_though_never_within_the_interval() -> None:
    class Impatient(ScriptedSource):
        seconds = 10.0

        def delay(self, interval: float) -> float:
            return self.seconds

    async def scenario() -> list[float]:
        source, cadence = Impatient(), Cadence(1.0)

        def learn() -> None:
            source.seconds = 0.0
            cadence.look_again()

        asyncio.get_running_loop().call_later(4.5, learn)
        await polled(source, 6, cadence)
        return source.starts

    assert run(scenario()) == pytest.approx([0.0, 4.5, 5.5])


def test_slowing_down_never_shortens_the_users_interval() -> None:
    cadence = Cadence(10.0)
    cadence.slow_down(3.0)
    assert cadence.shortest_seconds == 10.0


def test_a_key_held_down_does_not_flood_the_source() -> None:
    async def scenario() -> list[float]:
        source, cadence = ScriptedSource(), Cadence(1.0)
        for press in range(100):
            asyncio.get_running_loop().call_later(0.01 * press, cadence.change, 1.0 + press % 2)
        await polled(source, 2.9, cadence)
        return source.starts

    assert len(run(scenario())) == 2


@pytest.mark.parametrize(("asked", "given"), [(0.0, 0.25), (-1.0, 0.25), (3.0, 3.0), (1e9, 60.0)])
def test_the_interval_stays_within_bounds(asked: float, given: float) -> None:
    async def scenario() -> tuple[float, float]:
        changed = Cadence()
        changed.change(asked)
        return Cadence(asked).interval, changed.interval

    assert run(scenario()) == (given, given)


async def test_a_worker_returns_results_in_order_from_one_thread() -> None:
    worker = Worker("worker")
    threads = [await worker.run(threading.get_ident) for _ in range(3)]
    worker.close()
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


async def test_a_worker_hands_exceptions_to_the_caller_and_goes_on() -> None:
    worker = Worker("worker")
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert await worker.run(lambda: 7) == 7
    worker.close()


async def test_a_closed_worker_refuses_work_instead_of_never_answering() -> None:
    worker = Worker("worker")
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        await worker.run(lambda: 7)


async def test_a_job_that_was_cancelled_while_it_waited_is_never_run() -> None:
    worker, gate, ran = Worker("worker"), threading.Event(), []
    blocked = asyncio.ensure_future(worker.run(gate.wait))
    waiting = asyncio.ensure_future(worker.run(lambda: ran.append(True)))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.set()
    await blocked
    await worker.run(lambda: None)
    worker.close()
    assert not ran


async def test_the_caller_of_a_hung_call_can_be_cancelled() -> None:
    worker, gate = Worker("worker"), threading.Event()
    hung = asyncio.ensure_future(worker.run(gate.wait))
    await asyncio.sleep(0)
    hung.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hung
    worker.close()
    gate.set()


HUNG_WORKER = """
import asyncio, threading
from gpumon.collectors.worker import Worker
async def main():
    hung = asyncio.ensure_future(Worker("w").run(threading.Event().wait))
    await asyncio.sleep(0)
    hung.cancel()
asyncio.run(main())
"""


def test_a_hung_worker_does_not_keep_the_program_from_ending() -> None:
    environment = {"PYTHONPATH": str(Path(__file__).parents[2] / ".dev")}
    done = subprocess.run(
        [sys.executable, "-c", HUNG_WORKER], env=environment, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_clock_starts_at_wall_time_and_ignores_later_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "elapsed_seconds", lambda: 100.0)
    monkeypatch.setattr(time, "time", lambda: 5000.0)
    clock = SystemClock()
    monkeypatch.setattr(time, "time", lambda: 1.0)
    monkeypatch.setattr(clock_module, "elapsed_seconds", lambda: 107.0)
    assert clock.now() == 5007.0


def test_the_clock_works_where_time_in_suspension_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    clock = SystemClock()
    first = clock.now()
    assert clock.now() >= first


# ------------------------------------------------------------------------------------------- back-off


def test_a_delay_doubles_with_each_failure_up_to_its_most() -> None:
    backoff = Backoff(1.0, 5.0)
    delays = []
    for _ in range(5):
        backoff.failed()
        delays.append(backoff.current)
    assert delays == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_success_takes_the_delay_away() -> None:
    backoff = Backoff(1.0, 5.0)
    assert backoff.current == 0.0
    backoff.failed()
    backoff.failed()
    backoff.succeeded()
    assert backoff.current == 0.0
    backoff.failed()
    assert backoff.current == 1.0


@pytest.mark.internal_errors
async def test_the_defect_of_a_source_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> None:
        raise LookupError("secret")

    for _ in range(3):
        try:
            broken()
        except LookupError as error:
            log_defect("source toy", error)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "internal error in source toy: LookupError" in caplog.text
