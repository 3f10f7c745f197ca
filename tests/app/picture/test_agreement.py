"""One truth: row, headline, page, snapshot, ``gpumon why``, alerts and exit codes never disagree.

For every second of every demonstration, and for scenes made by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.app.diagnosis.scenes import Other, Scene, decoding
from tests.fakes.process_samples import answer, facts, holding, processes, runner
from tests.fakes.samples import claim, gpu, nvml, ollama, ollama_down
from tests.fakes.served_samples import FACTS, alone

from gpumon.app.alerts.limits import Limits
from gpumon.app.cli.why import _exit_code
from gpumon.app.demo.scenarios import list_scenarios
from gpumon.app.demo.story import PRELUDE_SECONDS, Scenario
from gpumon.app.insight.health import RANKS
from gpumon.app.monitor import Monitor
from gpumon.app.picture.model import ModelPicture
from gpumon.app.snapshot.build import build_snapshot, why_document
from gpumon.app.snapshot.schema import ModelEntry
from gpumon.app.views.dashboard import ModelOrder, dashboard_view
from gpumon.app.views.model_page import model_page
from gpumon.collectors.samples import AnySample
from gpumon.widgets.views import ModelRow

START = 1_760_000_000.0
MANY_MODELS, MANY_MODELS_EVERY = 10, 4
"""Of so many models the surfaces are compared only every few seconds: all are diagnosed each time."""


def check(monitor: Monitor, page_number: int = 0) -> None:
    """Look at every surface, the dashboard first, and compare what they say; of pages at one in turn."""
    view, pictures = dashboard_view(monitor, ModelOrder()), monitor.pictures
    rows = {row.key: row for row in view.models}
    models = pictures.models()
    for model in models:
        check_row(rows[model.id], model)
    if models:
        check_page(models[page_number % len(models)], monitor)
    snapshot, whole = build_snapshot(pictures), pictures.health()
    why = why_document(pictures, pictures.models())
    assert (why.level, why.sentence) == (snapshot.level, snapshot.sentence) == (whole.level, whole.sentence)
    assert view.verdict.level == snapshot.level
    assert view.verdict.sentence.startswith(snapshot.sentence)
    check_exit_codes(monitor)
    assert [model.level for model in pictures.models()] == [model.level for model in models]
    for model, entry in zip(pictures.models(), snapshot.models, strict=False):
        check_entry(entry, model)
        check_alerts(model, monitor)
        assert RANKS[whole.level] <= RANKS[model.level] or model.level == "unknown"


def check_row(row: ModelRow, model: ModelPicture) -> None:
    assert (row.level, row.spill_percent) == (model.level, model.memory.spill_percent)


def check_page(model: ModelPicture, monitor: Monitor) -> None:
    page = model_page(model.id, monitor.pictures, 1.0)
    now = monitor.pictures.model(model.key)
    assert now is not None
    assert (page.verdict.level, page.verdict.sentence) == (now.level, now.sentence)
    assert now.level == model.level, "what is kept for the row has the level of what is diagnosed now"
    if now.memory.spill_percent and model.memory.claims_memory and not model.kind.makes_pictures:
        assert [fact.value for fact in page.facts if fact.label == "spilled"] == [now.memory.spill_percent]


def check_entry(entry: ModelEntry, model: ModelPicture) -> None:
    assert (entry.level, entry.sentence) == (model.level, model.sentence)
    assert entry.spill_percent == (model.memory.spill_percent or None)
    assert entry.verdict is not None
    assert RANKS[entry.level] <= RANKS[entry.verdict.severity], "no level is milder than the verdict"  # type: ignore[index]
    spilled = [one.sentence for one in model.diagnosis.verdicts if one.kind == "spilled"]
    share = model.memory.spill_percent.removeprefix("~")
    assert model.kind.makes_pictures or all(f"({share})" in one or "wholly" in one for one in spilled)
    if share and model.memory.claims_memory and "CPU/GPU" in model.memory.processor:
        assert model.memory.processor.startswith(f"{share}/")


def check_alerts(model: ModelPicture, monitor: Monitor) -> None:
    """No alert on a model is worse than its level, and one on a spill gives the same share."""
    for alert in monitor.alerts.active:
        if alert.subject_id == model.id:
            assert RANKS[model.level] <= RANKS[alert.severity]
            if alert.kind == "spill" and alert.until is None and model.memory.spill_percent:
                assert f"({model.memory.spill_percent})" in alert.message


def check_exit_codes(monitor: Monitor) -> None:
    whole, models = monitor.pictures.health(), list(monitor.pictures.models())
    assert _exit_code(whole, models, one=False) == whole.exit_code
    if whole.exit_code != 2:
        assert (whole.exit_code == 1) == (whole.level in {"watch", "bad"})
        for model in models:
            assert _exit_code(whole, [model], one=True) == (model.level in {"watch", "bad"})
            assert _exit_code(whole, [model], one=True) <= whole.exit_code


def seconds_of(scenario: Scenario) -> Iterator[list[AnySample]]:
    """Give the samples of each second of the history and of one round of the story."""
    end = START + PRELUDE_SECONDS + scenario.story_seconds
    for second, samples in groupby(scenario.samples(START), lambda sample: int(sample.time - START)):
        if START + second > end:
            return
        yield list(samples)


@pytest.mark.parametrize("scenario", list_scenarios(), ids=lambda scenario: scenario.name)
def test_all_surfaces_agree_at_every_second_of_a_demonstration(scenario: Scenario) -> None:
    monitor = Monitor(Limits())
    for second, samples in enumerate(seconds_of(scenario)):
        for sample in samples:
            monitor.feed(sample)
        every = 1 if len(monitor.state.models) < MANY_MODELS else MANY_MODELS_EVERY
        if second % (every if second >= PRELUDE_SECONDS else 10) == 0:
            check(monitor, second)


def fed(samples: Iterable[AnySample], limits: Limits | None = None) -> Monitor:
    """Return a monitor after ``samples``, which were compared after each."""
    monitor = Monitor(limits or Limits())
    for sample in samples:
        monitor.feed(sample)
        check(monitor)
    return monitor


SERVED = (
    processes(0, alone(), servers=()),
    replace(answer(1, pid=500, processing=False), facts=FACTS),
    processes(1, alone(), servers=()),
)
SCENES: dict[str, list[AnySample]] = {
    "nothing known": [nvml(0, state="absent"), ollama_down(0, "not_running")],
    "spilled, with rates": [*Scene(context=65536).samples(0), *Scene().samples(1), *decoding(5.0)],
    "claim above all cards": [*Scene(total_gib=8, on_gpu_gib=12, in_ram_gib=0, measured_gib=7).samples(0)],
    "on the CPU by choice": [*Scene(gpu_layers=0, on_gpu_gib=0, in_ram_gib=8).samples(0)],
    "no GPU": [nvml(0, state="absent"), ollama(0, [claim(ram_gib=5.0, gpu_gib=0.0)])],
    "others hold the card": [*Scene(others=[Other("blender", 5.0)]).samples(0)],
    "hidden spill": [
        sample for at in range(12) for sample in Scene(in_ram_gib=0, measured_gib=3.0).samples(at)
    ],
    "silent fallback": [
        sample for at in range(4) for sample in Scene(in_ram_gib=0, measured_gib=0.0).samples(at)
    ],
    "throttled": [
        sample
        for at in range(4)
        for sample in Scene(reading={"throttle_reasons": ("thermal slowdown (hardware)",)}).samples(at)
    ],
    "a llama-server with weights in RAM": [
        *SERVED,
        *(nvml(at, holding(gpu(used_gib=2.3), {500: 2.0})) for at in range(2, 20)),
    ],
    "loading": [processes(0, runner(100)), facts(0), ollama(1, [])],
}


@pytest.mark.parametrize("name", SCENES)
def test_all_surfaces_agree_on_a_scene(name: str) -> None:
    fed(SCENES[name])


@settings(deadline=None, max_examples=30)
@given(
    on_gpu=st.integers(0, 8 * 1024**3),
    in_ram=st.integers(0, 8 * 1024**3),
    measured=st.none() | st.floats(0.0, 12.0),
    limit=st.sampled_from([5.0, 30.0]),
    layers=st.sampled_from([None, 0, 20]),
)
def test_all_surfaces_agree_whatever_is_claimed_and_measured(
    on_gpu: int, in_ram: int, measured: float | None, limit: float, layers: int | None
) -> None:
    gib = 1024**3
    scene = Scene(on_gpu_gib=on_gpu / gib, in_ram_gib=in_ram / gib, measured_gib=measured, gpu_layers=layers)
    fed((*scene.samples(0), *scene.samples(1), *scene.samples(2)), Limits(spill_bad_percent=limit))


@pytest.mark.parametrize(
    ("gpu_gib", "ram_gib", "share", "processor"),
    [
        (7.0, 1.0, "13%", "13%/87% CPU/GPU"),
        (99.3, 0.7, "1%", "1%/99% CPU/GPU"),
        (99.6, 0.4, "<1%", "<1%/>99% CPU/GPU"),
        (0.4, 99.6, ">99%", ">99%/<1% CPU/GPU"),
        (8.0, 0.0, "", "100% GPU"),
    ],
)
def test_a_share_is_rounded_once(gpu_gib: float, ram_gib: float, share: str, processor: str) -> None:
    monitor = fed([nvml(0, gpu()), ollama(1, [claim(gpu_gib=gpu_gib, ram_gib=ram_gib)])])
    [model] = monitor.pictures.models()
    assert (model.memory.spill_percent, model.memory.processor) == (share, processor)
