"""What a status bar is told, and how it gives way where there is little room."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.recordings import scenario_samples
from tests.fakes.samples import nvml, ollama_down
from tests.scene import Gpu, Machine, Model, after

from gpumon.app.demo.scenarios import list_scenarios
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.outlets.bars import text_of
from gpumon.app.outlets.line import Status, cells_of, failed, fitted, harmless, harmless_name, status

OBEYED = "#%{}$`\\\"&!'\x1b\n\r\t"
"""What begins a command, a style or markup in a bar, a prompt or a terminal."""


def played(name: str, seconds: float) -> Status:
    return status(after(*scenario_samples(name, PRELUDE_SECONDS + seconds)).monitor.pictures)


def line(found: Status, cells: int | None = None) -> str:
    return text_of(fitted(found, cells))


def spilled(*names: str) -> Status:
    machine = Machine(Gpu(gib=24))
    server = machine.ollama()
    for number, name in enumerate(names):
        server.load(Model(name, gpu_gib=4, ram_gib=2 + number, pid=100 + number))
    machine.run(3)
    return status(machine.monitor.pictures)


@pytest.mark.parametrize(
    ("scenario", "seconds", "words"),
    [
        ("spill", 40, "SPILLED qwen2.5-coder:14b 38% 7.0 tok/s, 10.5/12.0 GiB"),
        ("70b", 10, "LOADING llama3.3:70b will spill, 1.3/24.0 GiB"),
        ("70b", 40, "SPILLED llama3.3:70b 47% ~2.1 tok/s, 22.5/24.0 GiB"),
        ("fits", 10, "loading qwen3:14b 41%, llama3.2:3b, 6.6/24.0 GiB"),
        ("fits", 40, "2 models 82 tok/s, 14.1/24.0 GiB"),
        ("fits", 75, "2 models, 14.1/24.0 GiB"),
        ("throttle", 40, "THROTTLED GPU 0, 28 tok/s, 21.3/24.0 GiB"),
        ("gpu-lost", 40, "LOST GPU 1, 20.7/24.0 GiB"),
        ("restart", 40, "SILENT Ollama at 127.0.0.1:11434, 0.6/24.0 GiB"),
    ],
)
def test_the_worst_comes_first_then_rates_then_memory(scenario: str, seconds: float, words: str) -> None:
    assert line(played(scenario, seconds)) == words


def test_a_machine_at_rest_is_told_in_short() -> None:
    machine = Machine(Gpu(gib=12))
    machine.ollama()
    machine.run(3)
    assert line(status(machine.monitor.pictures)).startswith("no model, ")


def test_a_machine_of_which_nothing_can_be_read_says_so() -> None:
    found = status(after(nvml(0, state="absent"), ollama_down(0, "not_running")).monitor.pictures)
    assert (found.level, found.exit_code) == ("unknown", 2)
    assert line(found) == "no GPU driver here, no Ollama at 127.0.0.1:11434"
    assert line(found, 20) == "nothing seen"


def test_of_several_that_spill_the_worst_is_named_and_the_others_counted() -> None:
    assert line(spilled("qwen3:8b", "llama3.1:8b")).startswith("SPILLED llama3.1:8b 43%")
    assert "+1 more" in line(spilled("qwen3:8b", "llama3.1:8b"))


def test_what_did_not_answer_in_time_is_named() -> None:
    machine = Machine(Gpu(gib=12))
    machine.ollama()
    machine.run(3)
    found = status(machine.monitor.pictures, ("nvml",))
    assert "not answering: GPU driver" in line(found)
    assert (found.is_complete, found.exit_code) == (False, 3)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (60, "SPILLED qwen2.5-coder:14b 38% 7.0 tok/s, 10.5/12.0 GiB"),
        (50, "SPILLED qwen2.5-coder:14b 38% 7.0 tok/s"),
        (37, "SPILLED qwen2.5-coder 38% 7.0 tok/s"),
        (25, "SPILLED 38% 7.0 tok/s"),
        (15, "SPILLED 38%"),
        (8, "SPILLED"),
        (5, "SPIL…"),
    ],
)
def test_where_there_is_little_room_memory_goes_first_then_the_name_then_the_rate(
    cells: int, words: str
) -> None:
    assert line(played("spill", 40), cells) == words


def test_a_model_in_folders_loses_them_first() -> None:
    found = spilled("hf.co/bartowski/Qwen3-8B-GGUF:Q4_K_M")
    assert "SPILLED hf.co/bartowski/Qwen3-8B-GGUF:Q4_K_M 33%" in line(found)
    assert line(found, 40).startswith("SPILLED Qwen3-8B-GGUF:Q4_K_M 33%")


def test_a_rate_of_the_last_request_is_not_told() -> None:
    assert "tok/s" not in line(played("fits", 75))


def test_what_cannot_be_looked_at_is_a_line_too() -> None:
    found = failed("config.toml: [urls] #(touch x) is unknown", 2)
    assert line(found) == "gpumon: config.toml: _urls_ _(touch x) is unknown"
    assert line(found, 20) == "gpumon: error"


@given(st.text(max_size=40))
def test_a_name_holds_nothing_that_is_obeyed(name: str) -> None:
    assert not set(harmless_name(name)) & set(OBEYED)
    assert len(harmless_name(name)) == len(name)
    assert not set(harmless(name)) & (set(OBEYED) - set("%'"))


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=60), st.integers(1, 90))
def test_a_hostile_name_does_nothing_and_fits(name: str, cells: int) -> None:
    found = spilled(name)
    parts = fitted(found, cells)
    assert cells_of(parts) <= cells
    assert not set(text_of(parts)) & (set(OBEYED) - {"%"})


@pytest.mark.parametrize("scenario", [one.name for one in list_scenarios()])
def test_every_scenario_fits_every_width(scenario: str) -> None:
    found = played(scenario, 40)
    for cells in range(1, 100):
        assert 0 < cells_of(fitted(found, cells)) <= cells
