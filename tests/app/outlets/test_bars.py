"""The line in the form that each bar reads."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from gpumon.app.outlets import Form
from gpumon.app.outlets.bars import STREAM_HEADS, written
from gpumon.app.outlets.line import Part, Status, failed

SPILLED = Status(
    level="bad",
    sentence="qwen3:8b spills 5.5 GiB (38%) to RAM",
    exit_code=1,
    parts=(Part(("SPILLED qwen3:8b <1% 7.0 tok/s", "SPILLED"), "bad"), Part(("10.5/12.0 GiB",))),
    lines=("qwen3:8b spills", "GPU 0  <1%"),
    models=1,
    spill_percent="38%",
    decode_tokens_per_second=7.0,
    vram_used_bytes=21,
    vram_total_bytes=24,
)
WELL = Status(level="ok", sentence="no model loaded", exit_code=0, parts=(Part(("no model",)),))


@pytest.mark.parametrize("form", ["plain", "starship"])
def test_a_prompt_gets_words_alone(form: Form) -> None:
    assert written(SPILLED, form) == "SPILLED qwen3:8b <1% 7.0 tok/s, 10.5/12.0 GiB"


def test_tmux_gets_words_on_red_and_its_own_colours_back() -> None:
    assert (
        written(SPILLED, "tmux")
        == "#[fg=white,bg=red]SPILLED qwen3:8b <1% 7.0 tok/s#[fg=default,bg=default], 10.5/12.0 GiB"
    )
    assert written(WELL, "tmux") == "no model"


def test_polybar_gets_its_own_tags() -> None:
    assert written(SPILLED, "polybar", 10) == "%{F#ff5555}SPILLED%{F-}"


def test_waybar_gets_markup_a_class_and_how_full_the_gpus_are() -> None:
    assert json.loads(written(SPILLED, "waybar")) == {
        "text": "SPILLED qwen3:8b &lt;1% 7.0 tok/s, 10.5/12.0 GiB",
        "alt": "bad",
        "tooltip": "qwen3:8b spills\nGPU 0  &lt;1%",
        "class": "bad",
        "percentage": 88,
    }
    assert "percentage" not in json.loads(written(WELL, "waybar"))


def test_i3bar_gets_a_block_without_markup() -> None:
    block = json.loads(written(SPILLED, "i3bar"))
    assert block["full_text"] == "SPILLED qwen3:8b <1% 7.0 tok/s, 10.5/12.0 GiB"
    assert (block["short_text"], block["color"], block["markup"]) == ("SPILLED", "#ff5555", "none")
    assert "color" not in json.loads(written(WELL, "i3bar"))


def test_a_stream_for_i3bar_is_an_endless_array_after_a_header() -> None:
    stream = STREAM_HEADS["i3bar"] + "\n".join(
        written(one, "i3bar", in_stream=True) for one in (SPILLED, WELL)
    )
    header, array = stream.split("\n", 1)
    assert json.loads(header) == {"version": 1}
    assert [len(blocks) for blocks in json.loads(f"{array.removesuffix(',')}]")] == [0, 1, 1]


def test_json_has_figures_and_null_for_what_is_unknown() -> None:
    assert json.loads(written(SPILLED, "json"))["decode_tokens_per_second"] == 7.0
    assert json.loads(written(WELL, "json"))["vram_used_bytes"] is None


@pytest.mark.parametrize("form", get_args(Form))
def test_each_form_is_one_line(form: Form) -> None:
    assert "\n" not in written(SPILLED, form, in_stream=True)
    assert "\n" not in written(failed("two\nlines", 2), form)


@pytest.mark.parametrize("form", [one for one in get_args(Form) if one not in {"waybar", "i3bar", "json"}])
def test_what_is_well_has_no_colour(form: Form) -> None:
    assert written(WELL, form) == "no model"
