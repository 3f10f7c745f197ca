"""Notices by the terminal: what is written to which, and that nothing of a name is obeyed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.alerts.notices import Notice
from gpumon.app.alerts.terminal import Osc, TerminalNotices, Wanted, Way, sequence, way_of

NOTICE = Notice("gpumon on box", "a; spilled", "bad")
TMUX = {"TMUX": "/tmp/tmux-0/default,1,0", "TMUX_PANE": "%3", "TERM": "tmux-256color"}


async def way(wanted: Wanted, environ: Mapping[str, str], outside: tuple[str, str] = ("", "")) -> Way | str:
    async def ask(_: Mapping[str, str]) -> tuple[str, str]:
        return outside

    return await way_of(wanted, environ, ask)


@pytest.mark.parametrize(
    ("environ", "osc"),
    [
        ({"TERM": "xterm-kitty"}, "osc99"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "osc777"),
        ({"TERM": "xterm-ghostty"}, "osc777"),
        ({"TERM": "foot-extra"}, "osc777"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "osc9"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "osc9"),
    ],
)
async def test_a_terminal_is_known_by_its_name(environ: dict[str, str], osc: Osc) -> None:
    assert await way("auto", environ) == Way(osc)


@pytest.mark.parametrize(
    "environ", [{"TERM": "xterm-256color"}, {}, {"TERM": "linux"}, {"STY": "1", "TERM": "xterm-kitty"}]
)
async def test_any_other_is_told_nothing(environ: dict[str, str]) -> None:
    assert isinstance(await way("auto", environ), str)


async def test_what_is_asked_for_is_written_whatever_the_terminal() -> None:
    assert await way("osc9", {"TERM": "xterm-256color"}) == Way("osc9")
    assert await way("off", {"TERM": "xterm-kitty"}) == "off"


@pytest.mark.parametrize("option", ["on", "all"])
async def test_in_tmux_it_is_the_terminal_outside_that_counts(option: str) -> None:
    assert await way("auto", TMUX, ("xterm-kitty kitty(0.40.0)", option)) == Way("osc99", through_tmux=True)
    assert await way("auto", TMUX, ("xterm-256color WezTerm 2024", option)) == Way(
        "osc777", through_tmux=True
    )
    assert isinstance(await way("auto", TMUX, ("xterm-256color", option)), str)
    assert await way("osc9", TMUX, ("xterm-256color", option)) == Way("osc9", through_tmux=True)


@pytest.mark.parametrize("option", ["off", ""])
async def test_where_tmux_lets_nothing_through_nothing_is_written(option: str) -> None:
    told = await way("osc9", TMUX, ("xterm-kitty", option))
    assert told == "tmux lets nothing through to the terminal; for that: tmux set -g allow-passthrough on"


@pytest.mark.parametrize(
    ("osc", "written"),
    [
        ("osc9", "\x1b]9;gpumon on box: a; spilled\x1b\\"),
        ("osc777", "\x1b]777;notify;gpumon on box;a, spilled\x1b\\"),
        (
            "osc99",
            "\x1b]99;i=gpumon7:o=unfocused:d=0:p=title;gpumon on box\x1b\\"
            "\x1b]99;i=gpumon7:o=unfocused:d=1:p=body;a; spilled\x1b\\",
        ),
    ],
)
def test_what_is_written(osc: Osc, written: str) -> None:
    assert sequence(NOTICE, Way(osc), 7) == written


def test_through_tmux_each_escape_is_doubled() -> None:
    assert (
        sequence(NOTICE, Way("osc9", through_tmux=True))
        == "\x1bPtmux;\x1b\x1b]9;gpumon on box: a; spilled\x1b\x1b\\\x1b\\"
    )


@given(
    st.text(
        alphabet=st.one_of(st.characters(), st.sampled_from("\x1b\x07\x9c\x9b\x90\n\r;\\]")), max_size=600
    ),
    st.sampled_from(["osc9", "osc99", "osc777"]),
    st.booleans(),
)
def test_nothing_of_a_name_is_obeyed(name: str, osc: Osc, through_tmux: bool) -> None:
    plain = re.sub(r"[^\x00-\x1f\x7f-\x9f]", "", sequence(NOTICE, Way(osc, through_tmux)))
    got = sequence(Notice(name, name, "bad"), Way(osc, through_tmux))
    assert re.sub(r"[^\x00-\x1f\x7f-\x9f]", "", got) == plain
    assert len(got) < 2000
    assert all(one.isprintable() for one in got.replace("\x1b", ""))


async def test_notices_are_written_one_by_one_and_numbered() -> None:
    written: list[str] = []
    notices = TerminalNotices(written.append, "osc99", {"TERM": "xterm"})
    notices.send(NOTICE)
    notices.send(NOTICE)
    assert written == []
    await notices.close()
    assert [one.split(":")[0] for one in written] == ["\x1b]99;i=gpumon1", "\x1b]99;i=gpumon2"]
    await asyncio.sleep(0)
