"""Rows and pages of loads, and what is said of one that is over."""

from __future__ import annotations

from tests.fakes.samples import GIB
from tests.scene import Machine, Model

from gpumon.app.picture.load import LoadPicture
from gpumon.app.state.records import FinishedLoad
from gpumon.app.views.models import _load_facts, finished_load_facts, load_page, load_row
from gpumon.collectors.samples import RunnerSettings
from gpumon.widgets.views import Fact, ModelRow

LOAD = LoadPicture(
    id="load 100 1.0",
    name="qwen3:14b",
    pid=100,
    phase="weights",
    phase_words="weights 43%",
    fraction=0.43,
    seconds=5.0,
    seconds_left=8.0,
    is_estimate=False,
    time_left="8s left",
    loaded_bytes=4 * GIB,
    target_bytes=9 * GIB,
    bytes_per_second=1.0 * GIB,
    gpu_bytes=3 * GIB,
    vram_by_gpu={"GPU-0": 2 * GIB, "GPU-1": GIB, "GPU-9": GIB},
    ram_bytes=6 * GIB,
    context_length=4096,
    evicted=("a:1b", "b:1b"),
    phase_seconds={"starting": 1.0, "fitting": 2.0},
)
BARE = LoadPicture(
    id="load 100 1.0",
    name="qwen3:14b",
    pid=100,
    phase="starting",
    phase_words="starting",
    fraction=None,
    seconds=1.0,
    seconds_left=None,
    is_estimate=True,
    time_left="",
    loaded_bytes=None,
    target_bytes=9 * GIB,
    bytes_per_second=None,
    gpu_bytes=None,
    vram_by_gpu={},
    ram_bytes=None,
    context_length=None,
    evicted=(),
    phase_seconds={},
)


def told(load: LoadPicture) -> list[tuple[str, str, str]]:
    return [(fact.label, fact.value, fact.origin) for fact in _load_facts(load, {"GPU-0": 0, "GPU-1": 1})]


def test_the_row_shows_how_far_it_is() -> None:
    assert load_row(LOAD) == ModelRow(
        key="load 100 1.0",
        name="qwen3:14b",
        level="ok",
        gpu_bytes=3 * GIB,
        context_length=4096,
        state="weights 43%",
        until="8s left",
        is_loading=True,
        planned_gpu_bytes=9 * GIB,
        notes=(
            "starting 1s, fitting 2s, weights for 2s",
            "1.0 GiB/s",
            "4.0 of 9.0 GiB",
            "a:1b, b:1b made room",
        ),
    )


def test_what_is_not_known_yet_has_no_note() -> None:
    assert load_row(BARE).notes == ("starting for 1s",)


def test_the_page_has_every_figure_with_its_origin() -> None:
    assert told(LOAD) == [
        ("process", "100", "/proc"),
        ("loading for", "5s", "gpumon"),
        ("time left", "8s left", "gpumon"),
        ("weights", "4.0 GiB of 9.0 GiB", "/proc"),
        ("rate", "1.0 GiB/s", "/proc"),
        ("VRAM on GPU 0", "2.0 GiB", "NVML"),
        ("VRAM on GPU 1", "1.0 GiB", "NVML"),
        ("RAM resident", "6.0 GiB", "/proc"),
        ("  starting", "1s", "gpumon"),
        ("  fitting", "2s", "gpumon"),
        ("made room for it", "a:1b, b:1b", "gpumon"),
    ]


def test_a_time_by_a_rule_of_thumb_is_an_estimate_and_an_unknown_one_a_dash() -> None:
    assert ("time left", "-", "estimate") in told(BARE)


def test_the_page_is_headed_by_what_goes_on() -> None:
    machine = Machine()
    machine.ollama().starts(Model(blob=None, settings={"model_name": "qwen3:14b"}))
    pictures = machine.look("driver").look("processes", at=0.5).pictures
    [row] = pictures.loads()
    page = load_page(row.id, pictures)
    assert page.verdict.level == "ok"
    assert page.verdict.sentence.startswith(f"loading qwen3:14b: {row.phase_words}")
    assert page.facts[0] == Fact("process", "100", "/proc")


def test_the_page_of_one_that_is_over_says_so() -> None:
    page = load_page("load 1 1.0", Machine().look("driver").pictures)
    assert (page.verdict.level, page.verdict.sentence) == ("unknown", "this load is over")
    assert page.facts == ()


def test_a_model_whose_load_was_not_seen_says_nothing_of_it() -> None:
    assert finished_load_facts(None) == []


def test_a_load_that_was_seen_is_told_phase_by_phase() -> None:
    load = FinishedLoad(
        key=None,  # type: ignore[arg-type]
        settings=RunnerSettings(),
        name="qwen3:14b",
        started=0.0,
        ended=9.0,
        outcome="loaded",
        total_seconds=9.0,
        phase_seconds={"warm_up": 1.0, "weights": 8.0},
        peak_vram_bytes=5 * GIB,
        vram_by_gpu={},
        evicted=("a:1b",),
    )
    assert [(fact.label, fact.value, fact.origin) for fact in finished_load_facts(load)] == [
        ("load took", "9s", "gpumon"),
        ("  weights", "8s", "gpumon"),
        ("  warm-up", "1s", "gpumon"),
        ("VRAM at its peak", "5.0 GiB", "NVML"),
        ("made room for it", "a:1b", "gpumon"),
    ]
