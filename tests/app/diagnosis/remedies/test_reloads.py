"""What ends loads that come again and again."""

from __future__ import annotations

import msgspec
from tests.app.diagnosis.scenes import BLOB, LOADED, NAME, Scene
from tests.fakes.samples import OLLAMA, START
from tests.scene import after

from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.state.records import FinishedLoad, ModelKey, RunnerKey, SettingChange, Thrash
from gpumon.app.state.state import State
from gpumon.collectors.samples import LogEvent, RunnerSettings

WHOLE = Scene(in_ram_gib=0.0)
OTHER = "qwen3:8b"


def remedies(state: State) -> list[Remedy]:
    (model,) = (one for one in state.models.values() if one.claim.name == NAME)
    return list(diagnose(model, state).remedies)


def thrashing(state: State, cause: str, *names: str, changes: tuple[SettingChange, ...] = ()) -> State:
    state.thrash["x"] = Thrash((NAME, *names), 4, cause, changes, START - 300, START + 300)  # type: ignore[arg-type]
    return state


def with_other(state: State, context: int = 8192, layer_mib: int = 135) -> State:
    """Add a second model that was loaded before, and is described."""
    [shown] = after(*Scene(layer_mib=layer_mib).samples()).state.facts.values()
    facts = msgspec.structs.replace(shown, name=OTHER, digest="d-other", blobs=("sha256-b",))
    state.facts[ModelKey(OLLAMA, "d-other")] = facts
    settings = RunnerSettings(
        blob="sha256-b", model_path="/m/b", context_length=context, parallel=1, micro_batch_size=512
    )
    state.finished_loads.append(
        FinishedLoad(
            key=RunnerKey(90, LOADED - 100),
            settings=settings,
            name=OTHER,
            started=LOADED - 100,
            ended=LOADED - 90,
            outcome="loaded",
            total_seconds=10.0,
            phase_seconds={},
            vram_by_gpu={},
            evicted=(NAME,),
        )
    )
    return state


def test_a_keep_alive_that_runs_out_is_advised_to_be_longer() -> None:
    (found,) = remedies(thrashing(WHOLE.state(), "expired"))
    assert (found.action, found.command) == ("keep_longer", "OLLAMA_KEEP_ALIVE=1h")


def test_clients_that_ask_for_different_contexts_are_advised_the_largest_that_fits() -> None:
    for asked, advised in ((16384, 16384), (131072, 8192)):
        changes = (SettingChange("context", 8192, asked),)
        (found,) = remedies(thrashing(WHOLE.state(), "settings", changes=changes))
        assert (found.action, found.command) == ("same_context", f"PARAMETER num_ctx {advised}")


def test_two_models_that_fit_together_need_a_higher_limit_where_it_is_set_too_low() -> None:
    limit = LogEvent(kind="server_config", settings={"OLLAMA_MAX_LOADED_MODELS": "1"})
    scene = Scene(in_ram_gib=0.0, total_gib=24.0, log=[limit])
    (found,) = remedies(thrashing(with_other(scene.state()), "memory", OTHER))
    assert (found.action, found.command) == ("raise_loaded_models", "OLLAMA_MAX_LOADED_MODELS=2")


def test_without_a_word_on_the_limit_none_is_advised() -> None:
    scene = Scene(in_ram_gib=0.0, total_gib=24.0)
    assert remedies(thrashing(with_other(scene.state()), "memory", OTHER)) == []


def test_two_models_that_are_too_large_together_are_advised_smaller_contexts() -> None:
    scene = Scene(in_ram_gib=0.0, total_gib=14.0, context=16384)
    (found,) = remedies(thrashing(with_other(scene.state(), 16384), "memory", OTHER))
    assert (found.action, found.where) == ("fit_both", "in the server's environment")
    assert found.command == "OLLAMA_CONTEXT_LENGTH=8192"


def test_nothing_is_advised_where_no_context_is_small_enough_for_both() -> None:
    scene = Scene(in_ram_gib=0.0, total_gib=10.0)
    assert remedies(thrashing(with_other(scene.state(), layer_mib=300), "memory", OTHER)) == []


def test_a_model_of_which_nothing_is_known_is_not_reckoned_with() -> None:
    assert remedies(thrashing(WHOLE.state(), "memory", OTHER)) == []


def test_a_model_that_had_to_leave_gets_the_same_advice() -> None:
    state = with_other(Scene(in_ram_gib=0.0, total_gib=14.0, context=16384).state(), 16384)
    own = load_of(state)
    state.finished_loads.append(own)
    assert [one.action for one in remedies(state)] == ["fit_both"]


def load_of(state: State) -> FinishedLoad:
    (model,) = state.models.values()
    assert model.runner is not None
    return FinishedLoad(
        key=model.runner,
        settings=RunnerSettings(blob=BLOB, model_path=f"/m/{BLOB}"),
        name=NAME,
        started=LOADED,
        ended=START,
        outcome="loaded",
        total_seconds=10.0,
        phase_seconds={},
        vram_by_gpu={},
        reload_cause="memory",
    )
