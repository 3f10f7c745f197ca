"""What is said before a model is unloaded, and how it ended."""

from __future__ import annotations

import pytest
from tests.fakes.samples import GIB, OLLAMA, START
from tests.scene import Gpu, Machine, Model, Weights, loaded

from gpumon.app.diagnosis.diagnosis import Remedy, Severity, Verdict
from gpumon.app.insight.unloading import Unloading, UnloadKind, UnloadOutcome
from gpumon.app.state.records import ModelKey
from gpumon.app.views.actions import (
    LONGEST_COMMAND,
    asked_words,
    command_to_copy,
    copied_words,
    nothing_words,
    outcome_words,
    refused_words,
    unload_facts,
)
from gpumon.widgets.views import Fact

ASKED = Unloading(ModelKey(OLLAMA, "sha-a"), "qwen3:8b", 1.0, None, (("GPU-0", 4 * GIB), ("GPU-1", 2 * GIB)))


def said_of(model: Model) -> dict[str, Fact]:
    model.machine.run(3)
    [picture] = model.monitor.pictures.models()
    return {fact.label: fact for fact in unload_facts(picture)}


def told(kind: UnloadKind, returned_bytes: int | None = None) -> str:
    return outcome_words(ASKED, UnloadOutcome(kind, 12.0, returned_bytes))


def test_the_model_its_server_and_what_follows_are_named() -> None:
    said = said_of(loaded(Model("qwen3:8b")))
    assert (said["model"].value, said["server"].value) == ("qwen3:8b", "127.0.0.1:11434")
    assert said["afterwards"].value == "the next request for it loads it again"


def test_what_comes_back_is_what_the_driver_measures() -> None:
    gain = said_of(loaded(Model(gpu_gib=10.0, measured_gib=11.0)))["returns"]
    assert (gain.value, gain.origin) == ("11.0 GiB of VRAM", "NVML")


def test_without_a_measure_it_is_what_the_server_claims() -> None:
    gain = said_of(loaded(Model(gpu_gib=10.0), Machine(Gpu(lists_processes=False))))["returns"]
    assert (gain.value, gain.origin) == ("10.0 GiB of VRAM, by its claim", "/api/ps")


def test_a_request_that_runs_is_a_reason_to_wait() -> None:
    model = loaded()
    model.works()
    requests = said_of(model)["requests"]
    assert requests.value.startswith("one runs now")
    assert (requests.origin, requests.level) == ("/proc", "watch")


def test_of_a_model_at_rest_it_is_said_that_none_runs() -> None:
    model = loaded()
    model.works(processing=False)
    requests = said_of(model)["requests"]
    assert (requests.value, requests.origin, requests.level) == ("none runs now", "/proc", None)


def test_where_nobody_knows_whether_one_runs_neither_is_said() -> None:
    requests = said_of(loaded(Model(is_running=False)))["requests"]
    assert (requests.value, requests.level) == ("those that run, if any, are finished first", None)


@pytest.mark.parametrize(
    ("kind", "returned_bytes", "words"),
    [
        ("unloaded", 6 * GIB, "qwen3:8b is unloaded: 6.0 GiB of VRAM came back in 12s"),
        ("unmeasured", None, "qwen3:8b is unloaded, after 12s; its VRAM is not measured from here"),
        ("not_returned", None, "qwen3:8b is gone; 6.0 GiB of VRAM did not come back in 12s"),
        ("not_returned", GIB, "qwen3:8b is gone; 5.0 GiB of VRAM did not come back in 12s"),
        ("reloaded", None, "qwen3:8b was unloaded and is loaded again: something has asked for it"),
        ("waiting", None, "qwen3:8b is still at work after 12s; it goes when its requests have ended"),
        ("stays", None, "qwen3:8b is still loaded after 12s, and does nothing: see the server's log"),
        ("unknown", None, "not known whether qwen3:8b is unloaded: 127.0.0.1:11434 does not answer"),
    ],
)
def test_each_end_has_its_words(kind: UnloadKind, returned_bytes: int | None, words: str) -> None:
    assert told(kind, returned_bytes) == words


def test_who_was_asked_and_why_it_was_refused_are_said() -> None:
    assert asked_words(ASKED) == "asked 127.0.0.1:11434 to unload qwen3:8b"
    assert refused_words(ASKED, "HTTP 500") == "qwen3:8b was not unloaded: HTTP 500"


@pytest.mark.parametrize(
    ("severity", "words"),
    [("ok", "a needs no help"), ("bad", "no command is known that would help a")],
)
def test_why_there_is_nothing_to_copy_depends_on_whether_it_is_well(severity: Severity, words: str) -> None:
    verdict = Verdict("healthy" if severity == "ok" else "spilled", severity, "so it is")
    assert nothing_words(verdict, "a") == f"nothing to copy: {words}"


def long_remedy(length: int) -> Remedy:
    return Remedy("unload_model", "unload it", "x" * length, "fits")


def test_a_command_is_copied_as_long_as_all_of_it_can_be_shown() -> None:
    assert command_to_copy((long_remedy(LONGEST_COMMAND),)) is not None
    assert command_to_copy((long_remedy(LONGEST_COMMAND + 1),)) is None


def test_a_command_for_a_shell_says_no_place() -> None:
    assert copied_words(long_remedy(3)) == "copied: xxx"


def test_whom_it_helps_is_named_where_a_model_spills_for_it() -> None:
    machine = Machine(Gpu(gib=12, reserved_gib=0.25))
    server = machine.ollama()
    machine.goes_on(3)
    taker = Model("phi4:14b", gpu_gib=9.0, pid=200, started=START + 3, blob="sha256-" + 64 * "b")
    server.load(taker)
    machine.goes_on(10)
    settings = {"model_path": "/m/q", "context_length": 8192, "parallel": 1, "micro_batch_size": 512}
    started = START + machine.now
    server.load(Model("qwen3:8b", 2.0, 4.0, pid=201, started=started, weights=Weights(), settings=settings))
    machine.run(5)
    models = machine.pictures.models()
    by_name = {one.claim.name: one for one in models}
    helps = [fact.value for fact in unload_facts(by_name["phi4:14b"], models) if fact.label == "helps"]
    assert helps == ["qwen3:8b, once that is loaded again: it stays where it was loaded"]
    assert not [one for one in unload_facts(by_name["qwen3:8b"], models) if one.label == "helps"]
