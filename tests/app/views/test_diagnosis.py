from __future__ import annotations

from tests.app.diagnosis.scenes import NAME, Other, Scene, decoding
from tests.scene import after

from gpumon.app.insight.wording import model_id
from gpumon.app.monitor import Monitor
from gpumon.app.views.dashboard import ModelOrder, dashboard_view
from gpumon.app.views.model_page import model_page
from gpumon.app.views.page import PageView

SPILLED = Scene(context=65536)


def watched(scene: Scene, seconds: int = 2) -> Monitor:
    return after(
        *(sample for at in range(seconds) for sample in scene.samples(float(at))), *decoding(5.0)
    ).monitor


def page(scene: Scene) -> PageView:
    monitor = watched(scene)
    key = next(key for key, model in monitor.state.models.items() if model.claim.name == NAME)
    return model_page(model_id(key), monitor.pictures, 300.0)


def test_the_page_begins_with_cause_cost_and_cures_each_with_its_line() -> None:
    why, cures, *others = page(SPILLED).sections
    assert (why.title, cures.title) == ("WHY", "CURES")
    assert [one.title for one in others] == ["MEMORY", "NOW"]
    assert why.facts[0].value == "its context is too large: a request asked for 65536 tokens"
    assert why.facts[-1].label == "if it fitted"
    first = cures.cures[0]
    assert first.line == "OLLAMA_KV_CACHE_TYPE=q8_0"
    assert first.words.startswith("in the server's environment: ")
    assert (first.context, first.rate[0]) == ("65536", "~")
    assert float(first.vram) < 14


def test_the_line_of_the_page_is_the_worst_verdict() -> None:
    found = page(SPILLED).verdict
    assert found.level == "bad"
    assert "about" in found.sentence
    assert found.sentence.endswith("if it fitted")


def test_other_verdicts_follow() -> None:
    scene = Scene(context=65536, reading={"throttle_reasons": ("power cap",)})
    assert [fact.value for fact in page(scene).sections[0].facts if fact.value.startswith("also")] == [
        "also: llama3.1:8b is slowed down: GPU 0 is held back by power cap"
    ]


def test_the_page_of_a_healthy_model_says_so_and_no_more() -> None:
    found = page(Scene(in_ram_gib=0.0))
    assert [one.title for one in found.sections] == ["NOW", "MEMORY"]
    assert "is well" in found.verdict.sentence


def test_the_dashboard_names_cause_and_cure_of_a_spill() -> None:
    view = dashboard_view(watched(SPILLED), ModelOrder())
    cause = "its context is too large: a request asked for 65536 tokens"
    cure = "try OLLAMA_KV_CACHE_TYPE=q8_0 in the server's environment"
    assert view.verdict.sentence == f"{NAME} spills 2.0 GiB (25%) to RAM; {cause}; {cure}"
    assert (view.verdict.head, view.verdict.cause) == ("SPILLED", cause)
    assert view.verdict.remedy == "OLLAMA_KV_CACHE_TYPE=q8_0"
    assert cause not in view.models[0].notes, "nothing is said twice"


def test_nobody_is_named_where_the_cause_is_unknown() -> None:
    scene = Scene(described=False, others=[Other("blender", 5.0)])
    view = dashboard_view(watched(scene), ModelOrder())
    assert view.verdict.sentence == f"{NAME} spills 2.0 GiB (25%) to RAM"
