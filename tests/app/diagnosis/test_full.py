"""The rate of a model where all of it is on GPUs: what is estimated, raised to what was seen."""

from __future__ import annotations

import pytest
from tests.fakes.samples import OLLAMA
from tests.scene import Gpu, Machine, Model, Weights

from gpumon.app.diagnosis import subject
from gpumon.app.insight.loaded import Loaded
from gpumon.app.insight.shapes import Shapes
from gpumon.app.physics.hardware import Band
from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.rates import FullRate, full_rate
from gpumon.app.state.records import BaselineKey
from gpumon.app.state.state import State
from gpumon.app.views.models import model_row
from gpumon.collectors.samples import GpuFacts, RateBaseline

NAME = "qwen3:14b"
BAND = Band(37.0, 47.0, 59.0)
CARD = GpuFacts(memory_bus_width_bits=384, max_memory_clock_mhz=10501)


@pytest.mark.parametrize(
    ("estimate", "now", "best", "on_gpu", "expected"),
    [
        (BAND, 7.0, None, False, FullRate(47.0, 37.0, 59.0, is_measured=False)),
        (BAND, None, 45.0, False, FullRate(47.0, 37.0, 59.0, is_measured=False)),
        (BAND, 7.0, 50.0, False, FullRate(50.0, 50.0, 59.0, is_measured=True)),
        (BAND, 60.0, 45.0, True, FullRate(60.0, 60.0, 60.0, is_measured=True)),
        (None, 40.0, None, True, FullRate(40.0, 40.0, 40.0, is_measured=True)),
        (None, 7.0, 45.0, False, FullRate(45.0, 45.0, 45.0, is_measured=True)),
        (None, 7.0, None, False, None),
        (None, None, None, True, None),
    ],
)
def test_it_is_never_below_what_was_seen(
    estimate: Band | None, now: float | None, best: float | None, *, on_gpu: bool, expected: FullRate | None
) -> None:
    assert full_rate(estimate, now, best, on_gpu=on_gpu) == expected


def working(rate: float = 20.0, ram_gib: float = 0.0, **more: object) -> Machine:
    """Return a machine whose model has answered a request."""
    machine = Machine(Gpu(facts=CARD))
    fields = {"gpu_gib": 5.0, "ram_gib": ram_gib, "weights": Weights(), **more}
    machine.ollama().load(Model(NAME, **fields)).request(rate, seconds=12)  # type: ignore[arg-type]
    return machine


def picture(machine: Machine) -> ModelPicture:
    [one] = machine.pictures.models()
    return one


def known(machine: Machine) -> FullRate:
    found = picture(machine).full
    assert found is not None
    return found


def test_of_a_model_that_is_well_it_is_known_without_a_close_look() -> None:
    machine = working()
    assert picture(machine).diagnosis.expected_fitting is None
    found = known(machine)
    assert not found.is_measured
    assert found.low < found.tokens_per_second < found.high
    row = model_row(picture(machine))
    assert row.full_tokens_per_second == found.tokens_per_second
    assert row.peak_tokens_per_second == pytest.approx(20.0, rel=0.05)


def test_of_one_that_spills_it_is_that_of_its_diagnosis() -> None:
    machine = working(rate=7.0, ram_gib=3.0)
    diagnosis = picture(machine).diagnosis
    assert diagnosis.expected_fitting is not None
    assert known(machine).tokens_per_second == diagnosis.expected_fitting.expected


def test_one_that_is_faster_than_estimated_sets_the_mark() -> None:
    machine = working(rate=900.0)
    found = known(machine)
    assert found.is_measured
    assert found.tokens_per_second == pytest.approx(900.0, rel=0.05)


def usual(**more: object) -> RateBaseline:
    fields = {
        "digest": f"sha-{NAME}",
        "gpu_uuids": ("GPU-0",),
        "context_tokens_up_to": 1024,
        "parallel": 1,
        "spill_percent_up_to": 0,
        "decode_tokens_per_second": 55.0,
        "spread_tokens_per_second": 2.0,
        "request_count": 9,
        "updated": 1.0,
        **more,
    }
    return RateBaseline(**fields)  # type: ignore[arg-type]


def learned(machine: Machine, *baselines: RateBaseline) -> None:
    for one in baselines:
        key = BaselineKey(
            one.digest, one.gpu_uuids, one.context_tokens_up_to, one.parallel, one.spill_percent_up_to
        )
        machine.state.learned.baselines[key] = one


def unknown() -> Machine:
    """Return a machine of whose model nothing but its name is known, half of it in RAM."""
    machine = Machine()
    machine.ollama().load(Model(NAME, ram_gib=5.0, is_described=False))
    return machine.run(2)


def test_where_it_cannot_be_reckoned_what_is_usual_here_tells() -> None:
    machine = unknown()
    assert picture(machine).full is None
    machine = unknown()
    learned(
        machine, usual(request_count=6, decode_tokens_per_second=50.0, context_tokens_up_to=4096), usual()
    )
    machine.goes_on(301)
    assert known(machine) == FullRate(55.0, 49.0, 61.0, is_measured=False)


@pytest.mark.parametrize(
    "other",
    [
        usual(digest="sha-another"),
        usual(gpu_uuids=("GPU-away",)),
        usual(parallel=4),
        usual(spill_percent_up_to=50),
        usual(spill_percent_up_to=None),
        usual(request_count=1),
        usual(gpu_uuids=()),
    ],
)
def test_what_is_usual_elsewhere_does_not_tell(other: RateBaseline) -> None:
    machine = unknown()
    learned(machine, other)
    machine.goes_on(301)
    assert picture(machine).full is None


def test_after_a_spill_the_rate_before_it_is_still_known() -> None:
    machine = Machine()
    server = machine.ollama()
    before = server.load(Model(NAME, is_described=False))
    before.request(47.0, seconds=12)
    server.unload(before)
    machine.goes_on(3)
    server.load(Model(NAME, ram_gib=5.0, pid=101, is_described=False)).request(7.0, seconds=12)
    found = known(machine)
    assert found.is_measured
    assert found.tokens_per_second == pytest.approx(47.0, rel=0.05)


def test_it_is_reckoned_once_for_a_load(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    reckon = subject.estimated_full

    def counted(known: Loaded, state: State, shapes: Shapes) -> Band | None:
        asked.append(1)
        return reckon(known, state, shapes)

    monkeypatch.setattr(subject, "estimated_full", counted)
    machine = Machine(Gpu(facts=CARD))
    server = machine.ollama()
    model = server.load(Model(NAME, gpu_gib=5.0, weights=Weights()))
    for _ in range(120):
        machine.goes_on(1)
        assert picture(machine).full
    assert len(asked) <= 2  # before its file is described, and after
    server.unload(model)
    machine.goes_on(2)
    server.load(Model(NAME, gpu_gib=5.0, weights=Weights(), pid=101))
    for _ in range(120):
        machine.goes_on(1)
        assert picture(machine).full
    assert len(asked) <= 4


@pytest.mark.internal_errors
def test_a_failure_costs_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(subject, "estimated_full", fail)
    machine = working()
    assert picture(machine).diagnosis.verdict.kind == "healthy"
    assert "full rate" in machine.monitor.fuses.places
    assert OLLAMA in picture(machine).id
