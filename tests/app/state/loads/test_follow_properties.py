"""Whatever comes in whatever order, loads stay what they are said to be."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.process_samples import BLOB, OTHER_BLOB, facts, holding, processes, runner
from tests.fakes.samples import GIB, START, claim, gpu, installed, log, nvml, ollama

from gpumon.app.monitor import Store
from gpumon.app.state.records import PHASES, Load, RunnerKey
from gpumon.collectors.samples import (
    AnySample,
    LogEvent,
    LogSample,
    RunnerProcess,
    WorkSample,
)

gib = st.one_of(st.none(), st.floats(0, 60).map(lambda value: int(value * GIB)))
pids = st.integers(100, 102)
blobs = st.sampled_from([BLOB, OTHER_BLOB, None])
starts = st.sampled_from([0.0, 5.0])


def grown(process: RunnerProcess, rss: int | None, pages: int | None, reads: int | None) -> RunnerProcess:
    return msgspec.structs.replace(process, rss_bytes=rss, file_bytes=pages, read_bytes=reads)


def answered(pid: int, started: float, state: str, progress: float | None) -> WorkSample:
    return msgspec.convert(
        {
            "type": "work",
            "time": START,
            "source": f"runner {pid}",
            "pid": pid,
            "started": START + started,
            "state": state,
            "progress": progress,
        },
        WorkSample,
    )


runners = st.builds(
    grown,
    st.builds(lambda pid, blob, at: runner(pid, blob, started=START + at), pids, blobs, starts),
    gib,
    gib,
    gib,
)
events = st.builds(
    LogEvent,
    kind=st.sampled_from(
        [
            "load_started",
            "layers_offloaded",
            "buffer",
            "context_reduced",
            "load_failed",
            "load_finished",
            "evicting",
            "fit_projected",
            "layers_overflowing",
            "gpu_found",
        ]
    ),
    blob=blobs,
    device=st.sampled_from([None, "CUDA0", "CPU"]),
    component=st.sampled_from([None, "model", "kv_cache", "compute"]),
    size_bytes=gib,
    count=st.one_of(st.none(), st.integers(0, 90)),
    total=st.one_of(st.none(), st.integers(0, 90)),
    new_context=st.sampled_from([None, 4096]),
    text=st.sampled_from([None, "Load failed", "client connection closed before", "retrying once"]),
)
samples: st.SearchStrategy[AnySample] = st.one_of(
    st.lists(runners, max_size=3, unique_by=lambda process: process.pid).map(lambda r: processes(0, *r)),
    st.dictionaries(pids, st.floats(0, 30), max_size=3).map(lambda held: nvml(0, holding(gpu(0), held))),
    st.builds(
        answered,
        pids,
        starts,
        st.sampled_from(["starting", "loading", "ready", "asleep", "failing", "unreachable"]),
        st.one_of(st.none(), st.floats(-0.5, 1.5)),
    ),
    st.sampled_from([ollama(0), ollama(0, [claim()]), ollama(0, [claim("b")])]),
    st.lists(events, max_size=6).map(lambda found: log(0, *found)),
    st.sampled_from([installed(0, {"llama3:70b": 20.0}), facts(0)]),
)


def check(load: Load, before: dict[RunnerKey, tuple[float, int]], now: float) -> None:
    fraction, phase = before.get(load.key, (0.0, 0))
    assert load.fraction is None or fraction <= load.fraction <= 1
    assert PHASES.index(load.phase) >= phase
    assert load.seconds_left is None or load.seconds_left >= 0
    assert load.bytes_per_second is None or load.bytes_per_second > 0
    assert all(seconds >= 0 for seconds in load.phase_seconds.values())
    assert load.elapsed_seconds(now) >= 0


@given(st.lists(st.tuples(samples, st.sampled_from([0.0, 0.1, 1.0, 7.0])), max_size=40))
def test_a_load_goes_only_forward(stream: list[tuple[AnySample, float]]) -> None:
    store, at, before = Store(), START, dict[RunnerKey, tuple[float, int]]()
    for sample, wait in stream:
        at += wait
        store.apply(msgspec.structs.replace(sample, time=at))
        for load in store.state.loads.values():
            check(load, before, store.state.now)
        before = {
            load.key: (load.fraction or 0.0, PHASES.index(load.phase)) for load in store.state.loads.values()
        }
        assert store.state.loads.keys() <= store.state.runners.keys()


@given(st.lists(st.tuples(samples, st.sampled_from([0.1, 1.0, 7.0])), max_size=30))
def test_what_is_said_twice_ends_nothing_twice(stream: list[tuple[AnySample, float]]) -> None:
    """A log is another matter: each of its lines is news."""
    once, twice, at = Store(), Store(), START
    for sample, wait in stream:
        at += wait
        timed = msgspec.structs.replace(sample, time=at)
        once.apply(timed)
        twice.apply(timed)
        if not isinstance(sample, LogSample):
            twice.apply(timed)
    outcomes = [(load.key, load.outcome) for load in once.state.finished_loads]
    assert [(load.key, load.outcome) for load in twice.state.finished_loads] == outcomes
