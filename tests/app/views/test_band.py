"""The first lines of the dashboard, of each kind of trouble."""

from __future__ import annotations

from typing import get_args

import pytest
from tests.app.ui.screen import scenario
from tests.scene import Gpu, Machine, Model

from gpumon.app.alerts.alert import AlertKind
from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.diagnosis.diagnosis import VerdictKind
from gpumon.app.monitor import Monitor
from gpumon.app.views.band import HEADS, band_view
from gpumon.widgets.band import most_lines, verdict_lines
from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.lines import plain_text
from gpumon.widgets.views import VerdictView


def shown(machine: Machine) -> VerdictView:
    return band_view(machine.monitor.pictures)


def played(name: str, seconds: float) -> Monitor:
    """Return what is known after so many seconds of a demonstration."""
    monitor = Monitor(Limits())
    for sample in scenario(name, PRELUDE_SECONDS + seconds):
        monitor.feed(sample)
    return monitor


def test_a_spill_is_taken_apart_into_what_it_is_what_it_costs_and_the_line_to_type() -> None:
    band = band_view(played("spill", 40).pictures)
    assert (band.level, band.head, band.subject) == ("bad", "SPILLED", "qwen2.5-coder:14b")
    share, cost, since = band.facts
    assert share == "38% in RAM"
    assert cost == "7.0 tok/s, 47 if it fitted"
    assert since.startswith("for ")
    assert band.cause == "its context is too large: a request asked for 32768 tokens"
    assert (band.remedy, band.where) == ("/set parameter num_ctx 6400", "in ollama run")
    assert band.keys[0] == ("y", "copy")


def test_where_all_is_well_it_says_what_all_do_and_what_is_free() -> None:
    band = band_view(played("fleet", 5).pictures)
    assert (band.level, band.head, band.sentence) == ("ok", "", "all 20 models on GPU")
    rate, free = band.facts
    assert rate.endswith("tok/s")
    assert free.endswith("GiB free")


def test_a_load_that_will_not_fit_is_told_while_it_is_on_its_way() -> None:
    band = band_view(played("70b", 12).pictures)
    assert (band.level, band.head, band.subject) == ("watch", "LOADING", "llama3.3:70b")
    fits, in_ram, rate = band.facts
    assert fits.startswith("will not fit: 40.")
    assert in_ram.endswith("goes to RAM")
    assert rate.startswith("about 2.")


def test_a_gpu_is_named_once() -> None:
    machine = Machine(Gpu(state="failing"))
    machine.run(2)
    band = shown(machine)
    assert band.subject == "GPU 0"
    assert not band.facts[0].startswith("GPU 0")


def test_several_spills_have_no_line_to_type() -> None:
    machine = Machine()
    server = machine.ollama()
    server.load(Model("a", ram_gib=1.0, pid=100))
    server.load(Model("b", ram_gib=2.0, pid=101, blob="sha256-b"))
    machine.run(2)
    band = shown(machine)
    assert (band.head, band.subject, band.remedy) == ("SPILLED", "", "")
    assert band.facts[0].startswith("2 models spill to RAM")


@pytest.mark.parametrize("kind", [*get_args(AlertKind), *get_args(VerdictKind)])
def test_every_kind_of_trouble_has_a_head_word(kind: str) -> None:
    never_wrong = {"healthy", "unknown", "loading", "on_cpu_by_choice", "in_ram_by_choice", "drawing"}
    assert kind in HEADS or kind in never_wrong


TAKEN = VerdictView(
    "bad",
    "",
    head="SPILLED",
    subject="qwen3:8b",
    facts=("70% in RAM", "7.0 tok/s, 46 before", "for 28s"),
    cause="flux took 8.7 GiB at 14:18",
    remedy="curl -X POST http://127.0.0.1:8188/free && ollama stop qwen3:8b",
    keys=(("y", "copy"), ("Enter", "why")),
)


@pytest.mark.parametrize(
    ("width", "last"),
    [
        (
            120,
            "flux took 8.7 GiB at 14:18   ▸ curl -X POST http://127.0.0.1:8188/free && ollama stop qwen3:8b",
        ),
        (80, "flux took 8.7 GiB at 14:18   ▸ curl -X POST…"),
        (40, "flux took 8.7 GiB at 14:18"),
    ],
)
def test_who_took_the_card_is_read_before_a_line_that_is_too_long(width: int, last: str) -> None:
    text = plain_text(verdict_lines(TAKEN, width, UNICODE, most_lines(width))[-1])
    said, _, keys = text.partition("y copy")
    assert said.strip() == last
    assert keys.strip() in {"", "Enter why"}
