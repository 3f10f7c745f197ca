"""Notices by the terminal, which hands them to the desktop: OSC 9, 99 or 777, also through tmux.

A terminal that does not know such a sequence shows nothing of it. Names of models come from outside: of a
text nothing is kept that a terminal could obey.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Literal, NamedTuple, get_args

from gpumon.app.alerts.notices import Notice

Osc = Literal["osc9", "osc99", "osc777"]
Wanted = Literal["off", "auto", "osc9", "osc99", "osc777"]
"""What the settings say."""

TERMINALS: tuple[tuple[str, Osc], ...] = (
    ("kitty", "osc99"),
    ("wezterm", "osc777"),
    ("ghostty", "osc777"),
    ("foot", "osc777"),
    ("rxvt-unicode", "osc777"),
    ("iterm", "osc9"),
)
"""What stands in the name of a terminal, and what it takes."""
VARIABLES = ("TERM_PROGRAM", "LC_TERMINAL", "TERM")
"""By which a terminal names itself; the second and third get through SSH."""
LONGEST = 400
"""Of a notice, in characters; kitty takes 2048 bytes at once."""
TMUX_SECONDS = 2.0
TMUX_NAMES = "#{client_termname} #{client_termtype}"
PASSES = {"on", "all"}

ESC = "\x1b"
ST = f"{ESC}\\"


class Way(NamedTuple):
    """How a terminal is told."""

    osc: Osc
    through_tmux: bool = False


Ask = Callable[[Mapping[str, str]], Awaitable[tuple[str, str]]]
"""Asks tmux what the terminal outside is, and whether something is let through to it."""


async def ask_tmux(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of the terminal outside, and what ``allow-passthrough`` is; empty if not told."""
    pane = environ.get("TMUX_PANE", "")
    target = ["-t", pane] if pane else []
    names = ("display-message", "-p", *target, TMUX_NAMES)
    command = ["tmux", *names, ";", "show-options", "-Apv", *target, "allow-passthrough"]
    try:
        async with asyncio.timeout(TMUX_SECONDS):
            process = await asyncio.create_subprocess_exec(
                *command, stdout=PIPE, stderr=DEVNULL, stdin=DEVNULL
            )
            out, _ = await process.communicate()
    except (OSError, TimeoutError):
        return "", ""
    lines = [*out.decode("utf-8", "replace").splitlines(), "", ""]
    return lines[0], lines[1]


async def way_of(wanted: Wanted, environ: Mapping[str, str], ask: Ask = ask_tmux) -> Way | str:
    """Return how this terminal is told of something, or why it is not, in a few words."""
    if wanted == "off":
        return "off"
    if environ.get("STY"):
        return "screen lets nothing through to the terminal"
    if not environ.get("TMUX"):
        names = " ".join(environ.get(name, "") for name in VARIABLES)
        osc = _osc(wanted, names)
        return Way(osc) if osc is not None else "this terminal is not known to take any"
    name, passthrough = await ask(environ)
    if passthrough.strip() not in PASSES:
        return "tmux lets nothing through to the terminal; for that: tmux set -g allow-passthrough on"
    osc = _osc(wanted, f"{name} {environ.get('LC_TERMINAL', '')}")
    return (
        Way(osc, through_tmux=True)
        if osc is not None
        else "the terminal outside tmux is not known to take any"
    )


def sequence(notice: Notice, way: Way, number: int = 1) -> str:
    """Return what to write; ``number`` tells notices apart."""
    title, body = harmless(notice.title), harmless(notice.body)
    if way.osc == "osc9":
        written = _osc_text("9", f"{title}: {body}")  # never a digit first, which would mean progress
    elif way.osc == "osc777":
        written = _osc_text("777", "notify", title.replace(";", ","), body.replace(";", ","))
    else:
        mark = f"i=gpumon{number}:o=unfocused"
        written = _osc_text("99", f"{mark}:d=0:p=title", title) + _osc_text("99", f"{mark}:d=1:p=body", body)
    return passed_through(written) if way.through_tmux else written


def passed_through(written: str) -> str:
    """Return what has tmux hand ``written`` to the terminal outside."""
    return f"{ESC}Ptmux;{written.replace(ESC, ESC + ESC)}{ST}"


def harmless(text: str) -> str:
    """Return a text on one line, without anything that is not to be seen."""
    line = " ".join(text.split())[:LONGEST]
    return "".join(letter for letter in line if letter.isprintable())


class TerminalNotices:
    """Writes notices to a terminal, once it is known how."""

    def __init__(
        self, write: Callable[[str], None], wanted: Wanted, environ: Mapping[str, str], ask: Ask = ask_tmux
    ) -> None:
        self._write = write
        self._wanted = wanted
        self._environ = environ
        self._ask = ask
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, notice: Notice) -> None:
        """Write a notice; tmux is asked each time, as who looks at it from where may change."""
        task = asyncio.get_running_loop().create_task(self._tell(notice), name="terminal notice")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _tell(self, notice: Notice) -> None:
        way = await way_of(self._wanted, self._environ, self._ask)
        if isinstance(way, Way):
            self._write(sequence(notice, way, next(self._numbers)))


def _osc_text(*parts: str) -> str:
    return f"{ESC}]{';'.join(parts)}{ST}"


def _osc(wanted: Wanted, names: str) -> Osc | None:
    """Return what was asked for, or what a terminal of such names takes."""
    chosen = next((osc for osc in get_args(Osc) if osc == wanted), None)
    return chosen or next((osc for word, osc in TERMINALS if word in names.lower()), None)
