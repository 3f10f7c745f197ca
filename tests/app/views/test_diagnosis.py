from __future__ import annotations

from tests.app.diagnosis.scenes import NAME, Other, Scene, decoding
from tests.scene import after

from gpumon.app.diagnosis.diagnosis import Diagnosis, Remedy, Verdict
from gpumon.app.insight.wording import model_id
from gpumon.app.monitor import Monitor
from gpumon.app.views.dashboard import ModelOrder, dashboard_view
from gpumon.app.views.model_page import diagnosis_facts, model_page
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


def test_the_page_begins_with_cause_cost_and_remedies_each_with_its_line() -> None:
    first = page(SPILLED).first
    labels = [fact.label for fact in first]
    assert labels[:4] == ["cause", "cost", "remedy 1", "  type"]
    line = first[3]
    assert line.value == "OLLAMA_KV_CACHE_TYPE=q8_0"
    assert line.origin == "in the server's environment"


def test_the_line_of_the_page_is_the_worst_verdict() -> None:
    found = page(SPILLED).verdict
    assert found.level == "bad"
    assert "about" in found.sentence
    assert found.sentence.endswith("if it fitted")


def test_other_verdicts_follow() -> None:
    scene = Scene(context=65536, reading={"throttle_reasons": ("power cap",)})
    assert [fact.value for fact in page(scene).first if fact.label == "also"] == [
        "llama3.1:8b is slowed down: GPU 0 is held back by power cap"
    ]


def test_the_page_of_a_healthy_model_says_so_and_no_more() -> None:
    found = page(Scene(in_ram_gib=0.0))
    assert found.first == ()
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


def test_a_remedy_in_two_places_has_a_line_for_each() -> None:
    where = "in the server's environment, and /set parameter num_ctx 12032 in ollama run"
    remedy = Remedy("combine_settings", "do both", "OLLAMA_KV_CACHE_TYPE=q8_0", "fits", where=where)
    found = Diagnosis(Verdict("spilled", "bad", "it spills"), remedies=(remedy,))
    assert [(fact.label, fact.value, fact.origin) for fact in diagnosis_facts(found)][1:] == [
        ("  type", "OLLAMA_KV_CACHE_TYPE=q8_0", "in the server's environment"),
        ("  and", "/set parameter num_ctx 12032 in ollama run", ""),
    ]
