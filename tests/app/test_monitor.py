"""A fault of ours costs its own part; everything else goes on, and the source ``gpumon`` names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from tests.app.diagnosis.scenes import Scene
from tests.fakes.process_samples import answer, processes, runner, server
from tests.fakes.samples import OLLAMA, START, claim, gpu, nvml, ollama, system
from tests.scene import after

from gpumon.app import monitor as monitoring
from gpumon.app.alerts.alert import Alert
from gpumon.app.alerts.watcher import Watcher
from gpumon.app.diagnosis import causes
from gpumon.app.diagnosis import diagnose as diagnosing
from gpumon.app.diagnosis.diagnosis import Diagnosis
from gpumon.app.diagnosis.remedies import find as remedies
from gpumon.app.diagnosis.subject import subject_of
from gpumon.app.insight.health import health
from gpumon.app.monitor import Monitor
from gpumon.app.snapshot import build as building
from gpumon.app.snapshot.build import build_snapshot, model_entry
from gpumon.app.state.records import ModelKey
from gpumon.app.views.dashboard import NOTHING, ModelOrder, dashboard_view
from gpumon.collectors.samples import NvmlSample, ProcessSample, SourceHealth

pytestmark = pytest.mark.internal_errors

SPILLED = claim("big", ram_gib=20.0, gpu_gib=20.0)
KEY = ModelKey(OLLAMA, "sha-big")


def broken(*_: object, **__: object) -> NoReturn:
    raise KeyError("a name that is nobody's business")


def active(monitor: Monitor, kind: str) -> Alert | None:
    """Return the active alert of a kind, if there is one."""
    return next((alert for alert in monitor.alerts.active if alert.kind == kind), None)


def fault(monitor: Monitor) -> str | None:
    """Return what the source ``gpumon`` says."""
    source = monitor.state.sources.get("gpumon")
    return source.health.detail if source else None


def watcher(monitor: Monitor, kind: str) -> Watcher[Any, Any]:
    return next(one for one in monitor.alerts._watchers.all if one._kind == kind)


def spilling() -> Monitor:
    return after(system(0), nvml(0, gpu()), ollama(0, [SPILLED])).monitor


def test_a_rule_that_fails_costs_its_own_alerts_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = spilling()
    monkeypatch.setattr(watcher(monitor, "gpu_lost"), "_rule", broken)
    monitor.feed(nvml(1, gpu(state="lost")))
    monitor.feed(system(2, available_gib=0.1))
    monitor.feed(system(20, available_gib=0.1))
    assert fault(monitor) == "internal error in rule gpu_lost"
    assert active(monitor, "gpu_lost") is None
    assert active(monitor, "ram_low") is not None, "all else goes on"


def test_a_rule_that_fails_over_one_subject_is_asked_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = after(nvml(0, gpu())).monitor
    spill = watcher(monitor, "spill")
    rule = spill._rule
    monkeypatch.setattr(
        spill, "_rule", lambda one, *rest: broken() if one.label == "bad" else rule(one, *rest)
    )
    monitor.feed(
        ollama(1, [claim("bad", ram_gib=20.0, gpu_gib=20.0), claim("good", ram_gib=20.0, gpu_gib=20.0)])
    )
    assert [alert.subject for alert in monitor.alerts.active] == ["good"]
    assert fault(monitor) == "internal error in rule spill"


def test_an_alert_stays_as_it_was_while_its_rule_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = spilling()
    before = active(monitor, "spill")
    monkeypatch.setattr(watcher(monitor, "spill"), "_rule", broken)
    monitor.feed(ollama(1, [claim("big")]))
    assert active(monitor, "spill") == before is not None


def test_it_recovers_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = spilling()
    with monkeypatch.context() as patch:
        patch.setattr(watcher(monitor, "ram_low"), "_rule", broken)
        monitor.feed(system(1))
    assert fault(monitor) is not None
    monitor.feed(system(2))
    assert "gpumon" not in monitor.state.sources


def test_an_applier_that_fails_costs_its_sample_and_marks_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = spilling()
    appliers: dict[type[Any], Callable[..., Any]] = {**monitoring._APPLIERS, NvmlSample: broken}
    with monkeypatch.context() as patch:
        patch.setattr(monitoring, "_APPLIERS", appliers)
        monitor.feed(nvml(1, gpu(), gpu(1)))
    assert fault(monitor) == "internal error in sample nvml"
    driver = monitor.state.sources["nvml"]
    assert not driver.healthy, "what is shown of it is old"
    assert driver.health.detail == "internal error, its answer is not taken in"
    monitor.feed(ollama(2, [SPILLED, claim("b")]))
    assert len(monitor.state.models) == 2
    monitor.feed(nvml(3, gpu(), gpu(1)))
    assert (fault(monitor), len(monitor.state.gpus)) == (None, 2)
    assert monitor.state.sources["nvml"].healthy


def test_a_listener_that_fails_keeps_no_other_from_its_samples() -> None:
    monitor, heard = Monitor(spilling().limits), list[float]()
    monitor.listen(broken, "recording")
    monitor.listen(lambda sample: heard.append(sample.time), "screen")
    for at in (1, 2):
        monitor.feed(system(at))
    assert len(heard) == 2
    assert fault(monitor) == "internal error in recording"


def diagnoses(monitor: Monitor) -> dict[ModelKey, Diagnosis]:
    """Return what is said of each model, and have the monitor name what of gpumon fails over it."""
    found = {model.key: model.diagnosis for model in monitor.pictures.models()}
    monitor.note_faults()
    return found


def test_a_diagnosis_that_fails_costs_that_models_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = after(nvml(0, gpu()), ollama(0, [SPILLED, claim("b")])).monitor
    monkeypatch.setattr(
        diagnosing,
        "subject_of",
        lambda known, *rest: broken() if known.model.claim.name == "big" else subject_of(known, *rest),
    )
    verdicts = {key.digest: found.verdict for key, found in diagnoses(monitor).items()}
    assert verdicts["sha-big"].severity == "unknown"
    assert verdicts["sha-big"].sentence == "big is loaded; how it does cannot be told: internal error"
    assert verdicts["sha-b"].kind == "healthy"
    assert fault(monitor) == "internal error in diagnosis"


def rule_named(name: str) -> Callable[..., Any]:
    def rule(*_: object) -> NoReturn:
        raise ValueError

    rule.__name__ = name
    return rule


def test_a_verdict_that_fails_costs_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = spilling()
    monkeypatch.setattr(diagnosing, "TROUBLES", (rule_named("invented"), *diagnosing.TROUBLES))
    assert diagnoses(monitor)[KEY].verdict.kind == "spilled"
    assert fault(monitor) == "internal error in verdict invented"


def test_a_model_is_not_called_well_where_a_verdict_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = after(nvml(0, gpu()), ollama(0, [claim("b")])).monitor
    monkeypatch.setattr(diagnosing, "TROUBLES", (rule_named("invented"), *diagnosing.TROUBLES))
    (found,) = diagnoses(monitor).values()
    assert (found.verdict.kind, found.verdict.severity) == ("unknown", "unknown")


def test_a_cause_and_a_remedy_that_fail_cost_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = after(*Scene(context=65536).samples()).monitor
    key, whole = next((key, found) for key, found in diagnoses(monitor).items() if found.cause is not None)
    monkeypatch.setattr(causes, "_RULES", (rule_named("first"), *causes._RULES))
    monkeypatch.setattr(remedies, "IN_ORDER", (rule_named("second"), *remedies.IN_ORDER))
    monitor = after(*Scene(context=65536).samples()).monitor
    assert diagnoses(monitor)[key] == whole
    assert fault(monitor) == "internal error in cause first and 1 more"


def test_a_snapshot_names_it_and_holds_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = after(nvml(0, gpu()), ollama(0, [SPILLED, claim("b")])).monitor
    monkeypatch.setattr(
        building,
        "model_entry",
        lambda details: broken() if details.picture.claim.name == "big" else model_entry(details),
    )
    build_snapshot(monitor.pictures)
    assert monitor.note_faults()
    snapshot = build_snapshot(monitor.pictures)
    assert [model.name for model in snapshot.models] == ["b"]
    (own,) = (source for source in snapshot.sources if source.name == "gpumon")
    assert (own.state, own.detail) == ("failing", "internal error in snapshot of a model")
    assert own.hint is not None
    assert own.hint.startswith("details in ")
    assert own.hint.endswith("/gpumon/gpumon.log")


def test_a_fault_of_ours_hides_no_trouble_of_the_machine_and_is_no_wellness(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monitor = spilling()
    monkeypatch.setattr(watcher(monitor, "ram_low"), "_rule", broken)
    monitor.feed(system(1))
    assert "spills" in health(monitor.state, ()).sentence
    monitor.feed(ollama(2, [claim("b")]))
    found = health(monitor.state, ())
    assert (found.level, found.exit_code) == ("watch", 1)
    assert found.sentence == "gpumon is failing: internal error in rule ram_low"


ORDER = ModelOrder()


@pytest.mark.parametrize(
    ("name", "place"),
    [("gpu_rows", "panel gpus"), ("all_rows", "panel models"), ("memory_row", "panel memory")],
)
def test_a_panel_that_fails_shows_what_it_showed_marked_as_old(
    monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    monitor = spilling()
    before = dashboard_view(monitor, ORDER)
    monkeypatch.setattr(f"gpumon.app.views.dashboard.{name}", broken)
    monitor.feed(system(7))
    view = dashboard_view(monitor, ORDER, before)
    ages = {
        "panel gpus": [row.age_seconds for row in view.gpus],
        "panel models": [row.age_seconds for row in view.models],
        "panel memory": [view.memory.age_seconds],
    }
    assert ages.pop(place) == [7.0]
    assert {age for column in ages.values() for age in column} == {None}, "the other panels are current"
    assert [(row.name, row.words) for row in view.sources] == [
        ("gpumon", f"failing: internal error in {place}")
    ]


def test_a_panel_that_fails_from_the_start_is_empty_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpumon.app.views.dashboard.gpu_rows", broken)
    view = dashboard_view(spilling(), ORDER, NOTHING)
    assert view.gpus == ()
    assert [row.words for row in view.sources] == ["failing: internal error in panel gpus"]


def test_a_verdict_that_cannot_be_told_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpumon.app.views.dashboard.band_view", broken)
    view = dashboard_view(spilling(), ORDER)
    assert (view.verdict.level, len(view.models)) == ("unknown", 1)
    assert [row.words for row in view.sources] == ["failing: internal error in verdict"]


def test_a_reset_forgets_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = spilling()
    monkeypatch.setattr(watcher(monitor, "ram_low"), "_rule", broken)
    monitor.feed(system(1))
    monitor.reset()
    monitor.feed(system(1))
    assert fault(monitor) is None


def failed_look(at: float) -> ProcessSample:
    """Return a look at the processes that could not be taken."""
    health = SourceHealth(state="failing", detail="/proc: too many open files")
    return ProcessSample(
        time=START + at, source="processes", health=health, servers=None, runners=None, holders=None
    )


def test_a_model_that_is_known_by_its_process_stays_and_is_marked_as_old() -> None:
    monitor = after(
        processes(0, runner(100, None, name="a", server_pid=None), servers=[]), answer(1, pid=100)
    ).monitor
    before = dashboard_view(monitor, ORDER).models
    monitor.feed(failed_look(5))
    later = dashboard_view(monitor, ORDER).models
    assert [row.age_seconds for row in before] == [None]
    assert [(row.key, row.age_seconds) for row in later] == [(before[0].key, 5.0)]


def test_a_look_at_the_processes_that_fails_leaves_them_as_they_were() -> None:
    process = runner(100, None, name="a")
    monitor = after(
        processes(0, process, servers=[server()]), ollama(0, [claim("a")]), answer(1, pid=100)
    ).monitor
    before = (monitor.state.servers, dict(monitor.state.runners), dict(monitor.state.models))
    monitor.feed(failed_look(2))
    assert monitor.state.servers == before[0]
    assert monitor.state.models == before[2]
    assert len(monitor.state.runners) == 1
    assert not monitor.state.sources["processes"].healthy
