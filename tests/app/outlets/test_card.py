"""The card to paste: what it says, how wide it is, and whose names it keeps to itself.

``GPUMON_UPDATE_GOLDEN=1`` keeps the cards anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.recordings import scenario_samples
from tests.scene import Gpu, Machine, Model, Program, after

from gpumon.app.demo.scenarios import list_scenarios
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.monitor import Monitor
from gpumon.app.outlets.card import ASCII, CARD_CELLS, Card, Computer, as_markdown, as_text, card
from gpumon.app.outlets.covered import Cover, is_public
from gpumon.text.cells import width

GOLDEN = Path(__file__).parent / "golden"
MOMENTS = {"spill": 40.0, "70b": 75.0, "throttle": 40.0, "fleet": 40.0}
COMPUTER = Computer(
    "AMD Ryzen 9 7950X 16-Core Processor, 32 threads", "Debian GNU/Linux 12 (bookworm), Linux 6.1.0"
)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def played(name: str, seconds: float) -> Monitor:
    monitor = after(*scenario_samples(name, PRELUDE_SECONDS + seconds)).monitor
    monitor.pictures.refresh()
    return monitor


def made(monitor: Monitor, *, names: bool = False) -> Card:
    pictures = monitor.pictures
    return card(
        pictures,
        pictures.health(),
        pictures.models(),
        monitor.events.latest(50),
        computer=COMPUTER,
        version="0.1.0",
        words=None if names else Cover(monitor.state).words,
    )


def private(name: str = "acme-payroll:8b", program: str = "secretsim") -> Machine:
    machine = Machine(Gpu(gib=12))
    machine.programs.append(Program(program, 5.0))
    machine.ollama().load(Model(name, gpu_gib=4, ram_gib=3))
    machine.run(3)
    return machine


@pytest.mark.parametrize("name", MOMENTS)
def test_a_card_is_as_kept(name: str) -> None:
    said, kept = as_text(made(played(name, MOMENTS[name]))), GOLDEN / f"{name}.txt"
    if os.environ.get("GPUMON_UPDATE_GOLDEN"):
        kept.write_text(said, encoding="utf-8")
    assert said == kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("scenario", [one.name for one in list_scenarios()])
def test_no_line_of_a_card_is_wider_than_72_columns(scenario: str) -> None:
    for seconds in (10.0, 40.0, 75.0):
        monitor = played(scenario, seconds)
        lines = as_text(made(monitor)).splitlines()
        assert max(map(width, lines)) == CARD_CELLS
        block = as_markdown(made(monitor)).split("```")[1].splitlines()
        assert max(map(width, block)) <= CARD_CELLS


def test_the_verdict_comes_first_then_the_machine_then_why_and_what_helps() -> None:
    said = as_text(made(played("spill", 40)))
    parts = (
        "SPILLED: ",
        "machine ",
        "versions ",
        "GPU 0 ",
        "model ",
        "placed ",
        "rate ",
        "cause ",
        "cure 1 ",
        "events ",
    )
    places = [said.index(part) for part in parts]
    assert places == sorted(places)
    assert "7.0 tok/s now; 45 tok/s before, measured; about 47 tok/s" in said


def test_a_rate_of_the_last_request_is_called_so() -> None:
    said = as_text(made(played("gpu-lost", 40)))
    assert "tok/s when it was last at work" in said
    assert "tok/s now" not in said


def test_where_blocks_cannot_be_written_a_card_is_plain_ascii() -> None:
    pictures = played("spill", 40).pictures
    found = card(pictures, pictures.health(), pictures.models(), glyphs=ASCII)
    assert as_text(found, glyphs=ASCII).isascii()


def test_of_a_recording_it_is_not_said_which_computer_it_was() -> None:
    pictures = played("spill", 40).pictures
    assert "threads" not in as_text(card(pictures, pictures.health(), pictures.models()))


def test_names_of_ones_own_are_replaced_everywhere_by_the_same_stand_in() -> None:
    said = as_text(made(private().monitor))
    assert "acme" not in said
    assert "payroll" not in said
    assert Cover(private().monitor.state).words("close secretsim").startswith("close program-")
    stand_ins = {word.strip(",:") for word in said.split() if word.startswith("model-")}
    assert len(stand_ins) == 1
    assert "private names replaced" in said


def test_names_of_public_models_and_programs_stay() -> None:
    monitor = private("hf.co/bartowski/Qwen3-8B-GGUF:Q4_K_M", "blender").monitor
    assert "hf.co/bartowski/Qwen3-8B-GGUF:Q4_K_M" in as_text(made(monitor))
    assert Cover(monitor.state).words("blender (5.0 GiB) was there") == "blender (5.0 GiB) was there"


def test_all_names_stay_where_that_is_asked_for() -> None:
    said = as_text(made(private().monitor, names=True))
    assert "acme-payroll:8b" in said
    assert "names as they are" in said


def test_the_name_of_this_machine_is_nowhere() -> None:
    monitor = played("spill", 40)
    assert monitor.state.system is not None
    assert monitor.state.system.sample.host == "workbench"
    assert "workbench" not in as_text(made(monitor, names=True))


def test_markdown_shows_a_hostile_name_as_it_is() -> None:
    hostile = "```\n<img src=x> @everyone *b* [a](http://x)"
    said = as_markdown(made(private(hostile).monitor, names=True))
    assert said.count("\n````text\n") == 1
    assert said.count("\n````\n") == 1
    verdict = said.splitlines()[0]
    assert r"\@everyone \*b\* \[a\]" in verdict
    assert "<img" not in verdict.replace(r"\<img", "")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("see /home/ada/models/x.gguf", "see path-"),
        ("see ~/x.gguf", "see path-"),
        ("at http://box.lan:11434/api", "at http://host-"),
        ("at 192.168.3.4", "at host-"),
    ],
)
def test_paths_and_addresses_are_replaced_wherever_they_stand(said: str, shown: str) -> None:
    assert Cover(Machine().monitor.state).words(said).startswith(shown)


@pytest.mark.parametrize(
    "said",
    [
        "/set parameter num_ctx 6400",
        "of /api/ps",
        "7.0 tok/s",
        "10.5/12.0 GiB",
        "at 127.0.0.1:11434",
        "38%/62% CPU/GPU",
    ],
)
def test_what_names_nobody_stays(said: str) -> None:
    assert Cover(Machine().monitor.state).words(said) == said


def test_what_a_server_says_itself_is_left_out() -> None:
    said = "Ollama at 127.0.0.1:11434: failing: HTTP 500: no such file: Secret Plans.gguf"
    assert Cover(Machine().monitor.state).words(said) == "Ollama at 127.0.0.1:11434: failing: HTTP 500"


@pytest.mark.parametrize(
    "name",
    [
        "llama3.1:8b",
        "qwen2.5-coder:14b-instruct-q4_K_M",
        "deepseek-r1:70b",
        "hf.co/unsloth/gpt-oss-20b-GGUF:UD-Q8_K_XL",
    ],
)
def test_a_name_of_public_words_alone_is_public(name: str) -> None:
    assert is_public(name)


@pytest.mark.parametrize("name", ["llama3-acme:8b", "myqwen", "hf.co/ada/qwen3", "", "8b", "h200", "模型"])
def test_a_name_with_any_other_word_is_not(name: str) -> None:
    assert not is_public(name)
