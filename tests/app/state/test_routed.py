"""Models of a server that only starts the servers of others, and names them (llama-swap)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes import process_samples as fakes
from tests.fakes.samples import START
from tests.fakes.served_samples import alone

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.picture.gpu import runner_name
from gpumon.app.session.whom import runner_targets
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.state.work import rates_of
from gpumon.collectors.samples import (
    AnySample,
    ModelClaim,
    ModelState,
    RunnerProcess,
    RunnerSettings,
    ServerSample,
    SourceHealth,
    WorkCounters,
    WorkSample,
)

SWAP = "http://127.0.0.1:8080"
WELL = SourceHealth(state="serving")


def listed(time: float, *claims: tuple[str, int, ModelState], source: str = SWAP) -> ServerSample:
    models = tuple(
        ModelClaim(name=name, state=state, settings=RunnerSettings(port=port)) for name, port, state in claims
    )
    return ServerSample(time=START + time, source=source, kind="llama_swap", health=WELL, models=models)


SWAP_PROCESS = replace(fakes.server(20, SWAP), kind="llama_swap")


def child(pid: int, port: int, started: float = fakes.STARTED) -> RunnerProcess:
    return alone(pid, port=port, alias=None, server_pid=20, started=started)


def watched(*samples: AnySample) -> Monitor:
    monitor = Monitor(Limits())
    for sample in samples:
        monitor.feed(sample)
    return monitor


def ended(time: float, tokens: float, seconds: float, source: str = SWAP) -> WorkSample:
    counters = WorkCounters(decoded_tokens_total=tokens, decoded_seconds_total=seconds)
    return WorkSample(
        time=START + time,
        source=source,
        model="big",
        state="ready",
        counters=counters,
        origin="/api/metrics/activity",
    )


def test_each_process_is_its_models_by_the_port_though_both_have_one_file() -> None:
    monitor = watched(
        fakes.processes(0, child(31, 5801), child(32, 5802), servers=[SWAP_PROCESS]),
        listed(1, ("big", 5801, "ready"), ("small", 5802, "ready")),
    )
    joined = {model.claim.name: model.runner and model.runner.pid for model in monitor.state.models.values()}
    assert joined == {"big": 31, "small": 32}
    assert {target.port for target in runner_targets(monitor.state)} == {5801, 5802}, "each is asked itself"


def test_two_in_containers_have_the_same_ports_inside_and_each_its_own_names() -> None:
    urls = ("http://127.0.0.1:8010", "http://127.0.0.1:8020")
    swaps = [
        replace(SWAP_PROCESS, pid=20 + number, other_namespace=True, published=(url,))
        for number, url in enumerate(urls)
    ]
    children = [replace(child(30 + number, 5800), server_pid=20 + number) for number in (0, 1)]
    first = listed(1, ("big", 5800, "ready"), source=urls[0])
    second = listed(1, ("small", 5800, "ready"), source=urls[1])
    monitor = watched(first, second, fakes.processes(2, *children, servers=swaps))
    joined = {model.claim.name: model.runner and model.runner.pid for model in monitor.state.models.values()}
    assert joined == {"big": 30, "small": 31}
    assert [runner_name(one, monitor.state) for one in monitor.state.runners.values()] == ["big", "small"]
    hidden = watched(first, second, fakes.processes(2, children[1], servers=()))
    (runner,) = hidden.state.runners.values()
    assert runner_name(runner, hidden.state) not in {"big", "small"}, "of two names neither is guessed"


def test_one_that_starts_is_a_load_by_the_name_that_clients_use() -> None:
    looks = fakes.processes(0, servers=[SWAP_PROCESS])
    young = child(31, 5801, started=START + 1)
    later = fakes.processes(2, young, servers=[SWAP_PROCESS])
    monitor = watched(looks, listed(1), later, listed(3, ("big", 5801, "loading")))
    monitor.feed(fakes.processes(4, young, servers=[SWAP_PROCESS]))
    assert [load.name for load in monitor.state.loads.values()] == ["big"]
    assert list(monitor.state.models) == []


def test_where_its_server_is_not_asked_a_process_is_a_model_by_its_file() -> None:
    monitor = watched(
        fakes.processes(0, child(31, 5801), servers=[SWAP_PROCESS]), fakes.answer(1, "ready", pid=31)
    )
    assert [model.claim.name for model in monitor.state.models.values()] == ["llama-3-8b.gguf"]


def test_far_away_the_requests_that_have_ended_tell_tokens_and_rate() -> None:
    far = "http://box:8080"
    monitor = Monitor(Limits())
    totals = [(0, 100.0, 4.0), (1, 100.0, 4.0), (2, 160.0, 7.0), (3, 160.0, 7.0), (4, 220.0, 10.0)]
    for time, tokens, seconds in totals:
        monitor.feed(listed(time, ("big", 5801, "ready"), source=far))
        monitor.feed(ended(time, tokens, seconds, source=far))
    (model,) = monitor.state.models.values()
    rates = rates_of(model, monitor.state)
    assert rates.decoded_total == 220
    assert rates.decode_tokens_per_second == pytest.approx(20, rel=0.1)
    assert rates.sources == ("/api/metrics/activity",)


def test_a_model_on_an_npu_says_so_and_no_gpu_is_looked_for() -> None:
    claim = ModelClaim(name="llama-flm", state="ready", on_npu=True)
    sample = ServerSample(time=START, source=SWAP, kind="lemonade", health=WELL, models=(claim,))
    (model,) = build_snapshot(watched(sample).pictures).models
    assert model.sentence == "llama-flm is loaded on the NPU, which no GPU driver sees"
