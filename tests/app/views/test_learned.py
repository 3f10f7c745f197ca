"""What is usual for a model, on its page and in the snapshot."""

from __future__ import annotations

from tests.app.insight.learning.test_predictions import desk_of, settled
from tests.scene import Model, loaded

from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.views.model_page import learned_facts
from gpumon.widgets.views import Fact


def facts_of(desk: Model) -> dict[str, Fact]:
    details = desk.monitor.pictures.details(desk.record.key)
    assert details is not None
    return {fact.label: fact for fact in learned_facts(details)}


def test_nothing_is_said_before_anything_is_known() -> None:
    desk = loaded()
    desk.machine.look()
    assert facts_of(desk) == {}


def test_the_usual_rate_says_what_it_rests_on() -> None:
    desk = loaded()
    desk.usual(40.0, count=6)
    usual = facts_of(desk)["usual rate"]
    assert usual.value == "40 tok/s, up to 1k tokens in the context"
    assert usual.origin == "learned from 6 requests"


def test_the_rates_of_this_run_are_last_average_and_best() -> None:
    desk = loaded()
    desk.usual(40.0, count=2)
    assert facts_of(desk)["decode rates"].value == "last 40 tok/s, average 40 tok/s, best 40 tok/s"


def test_a_prediction_stands_beside_its_measure() -> None:
    value = facts_of(settled(desk_of(held_gib=6.0)))["VRAM when wholly on GPU"].value
    assert value == "predicted 5.8 GiB, measured 6.0 GiB, error 4%"


def test_one_without_a_measure_stands_alone() -> None:
    value = facts_of(settled(desk_of(ram_gib=2.0)))["VRAM when wholly on GPU"].value
    assert value == "predicted 5.8 GiB"


def test_the_snapshot_has_the_same_figures() -> None:
    desk = settled(desk_of(held_gib=6.0))
    desk.usual(100.0)
    [entry] = build_snapshot(desk.monitor.pictures).models
    assert (entry.baseline_tokens_per_second, entry.baseline_request_count) == (100.0, 6)
    assert entry.prediction is not None
    assert entry.prediction.measured_vram_bytes == 6 * 1024**3
    assert -0.05 < (entry.prediction.error_fraction or 0.0) < 0.0


def test_the_snapshot_says_null_for_what_is_not_known() -> None:
    desk = loaded()
    desk.machine.look()
    [entry] = build_snapshot(desk.monitor.pictures).models
    assert (entry.baseline_tokens_per_second, entry.baseline_request_count, entry.prediction) == (
        None,
        None,
        None,
    )
