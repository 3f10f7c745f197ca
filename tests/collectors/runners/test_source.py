"""All runners side by side: none holds up another, and none is remembered after its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.collectors.runners.support import FakeOwner
from tests.fakes.llama_server.server import FakeLlamaServer

from gpumon.collectors.runners.source import RunnersSource
from gpumon.collectors.runners.target import RunnerTarget
from gpumon.collectors.samples import AnySample, WorkSample

MakeSource = Callable[..., RunnersSource]


@pytest.fixture
def targets() -> list[RunnerTarget]:
    return []


@pytest.fixture
async def source(targets: list[RunnerTarget]) -> AsyncIterator[RunnersSource]:
    one = RunnersSource(FakeClock(), lambda: targets, limits=PATIENT, find_owner=FakeOwner())
    yield one
    await one.close()


def target(fake: FakeLlamaServer, pid: int = 1, started: float = 1.0) -> RunnerTarget:
    return RunnerTarget(pid, started, "llama_server", None, fake.port)


async def heard(source: RunnersSource, *pids: int) -> dict[int, WorkSample]:
    """Poll until these runners have been heard."""
    samples: dict[int, WorkSample] = {}
    while not samples.keys() >= set(pids):
        samples |= {one.pid or 0: one for one in runner_samples(await source.poll())}
    return samples


def runner_samples(samples: object) -> list[WorkSample]:
    assert isinstance(samples, list)
    return [one for one in samples if isinstance(one, WorkSample)]


async def test_nothing_to_watch_is_nothing_to_say(source: RunnersSource) -> None:
    nothing: list[AnySample] = []
    assert await source.poll() == nothing


async def test_it_keeps_the_users_interval(source: RunnersSource) -> None:
    assert (source.delay(0.25), source.delay(5.0)) == (0.25, 5.0)


async def test_every_runner_has_a_sample_of_its_own(
    source: RunnersSource, targets: list[RunnerTarget], fake: FakeLlamaServer
) -> None:
    targets += [target(fake, pid=1), target(fake, pid=2)]
    samples = await heard(source, 1, 2)
    assert {one.source for one in samples.values()} == {"runner 1", "runner 2"}


async def test_a_runner_that_hangs_holds_up_no_other(
    source: RunnersSource, targets: list[RunnerTarget], fake: FakeLlamaServer
) -> None:
    async with FakeLlamaServer() as stuck:
        stuck.hanging = {"/health"}
        targets += [target(stuck, pid=1), target(fake, pid=2)]
        await heard(source, 2)
        await source.poll()
        assert len(stuck.requests) == 1, "one request in flight"
        await source.close()


async def test_a_runner_that_ends_is_forgotten(
    source: RunnersSource, targets: list[RunnerTarget], fake: FakeLlamaServer
) -> None:
    targets.append(target(fake))
    await heard(source, 1)
    targets.clear()
    fake.requests.clear()
    assert await source.poll() == []
    assert fake.requests == []
    assert not source._watches
    assert not source._asked


async def test_the_same_pid_started_anew_is_another_runner(
    source: RunnersSource, targets: list[RunnerTarget], fake: FakeLlamaServer
) -> None:
    targets.append(target(fake, started=1.0))
    await heard(source, 1)
    targets[:] = [target(fake, started=2.0)]
    again = (await heard(source, 1))[1]
    assert again.started == 2.0
    assert again.facts is not None


async def test_the_hint_is_asked_by_pid(fake: FakeLlamaServer) -> None:
    asked: list[int] = []

    def active(pid: int) -> bool:
        asked.append(pid)
        return False

    source = RunnersSource(FakeClock(), lambda: [target(fake, pid=5)], active, PATIENT, FakeOwner())
    await heard(source, 5)
    await source.close()
    assert set(asked) == {5}


async def test_one_watch_that_raises_loses_no_others_answer(
    source: RunnersSource, targets: list[RunnerTarget], fake: FakeLlamaServer
) -> None:
    targets += [target(fake, pid=1), target(fake, pid=2)]
    await source._follow(targets)

    async def fail(_active: bool | None) -> None:
        raise KeyError("secret")

    source._watches[1, 1.0].poll = fail  # type: ignore[method-assign, assignment]
    samples = await heard(source, 1, 2)
    assert (samples[1].state, samples[1].detail) == ("failing", "internal error: KeyError")
    assert samples[2].state == "ready"
