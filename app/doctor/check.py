"""A check of ``gpumon doctor``, the checks of gpumon's surroundings, and the report on all checks."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Literal

import msgspec

from gpumon.app.insight.health import EXIT_INCOMPLETE
from gpumon.text import units
from gpumon.text.safe import visible

Status = Literal[
    "works",
    "partly",
    "missing",
    "nothing",  # there is nothing to look at now, no model is loaded, say; the text says "not used"
]

Kind = Literal[
    "driver",
    "gpu",
    "model",
    "server",
    "processes",
    "port",
    "log",
    "memory",
    "source",
    "folder",
    "terminal",
    "extra",
]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report; the words are harmless to print."""

    kind: Kind
    name: str
    status: Status
    found: str
    gives: str
    """What it is good for."""
    step: str | None = None
    """What would enable what is missing."""
    needed: bool = False
    """Whether the main job rests on it."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All checks."""

    checks: tuple[Check, ...]
    exit_code: int
    complete: bool = True
    missing: tuple[str, ...] = ()
    """What could not be looked at in time."""


def report_of(checks: Sequence[Check], missing: Sequence[str] = ()) -> Report:
    """Put the checks together.

    The exit code: 0 what is needed works, 1 something is missing, 2 no driver and no server, 3 what was
    looked at works, and that was not all.
    """
    if not any(check.status == "works" for check in checks if check.kind in {"driver", "server", "port"}):
        code = 2
    else:
        code = int(any(check.needed and check.status in {"partly", "missing"} for check in checks))
    code = code or (EXIT_INCOMPLETE if missing else 0)
    return Report(checks=tuple(checks), exit_code=code, complete=not missing, missing=tuple(missing))


STATUS_WIDTH = 10
LONGEST_NAME = 34

STATUS_WORDS: Mapping[Status, str] = {"nothing": "not used"}
"""Where the text uses another word than JSON: nothing is wrong with what there is none of."""

TROUBLE: frozenset[Status] = frozenset({"partly", "missing"})

NO_STEP = "nothing: what is needed works"

CONCLUSIONS = (
    "What is needed works.",
    "Something that is needed is missing.",
    "Neither a GPU driver nor a server answers.",
    "What was looked at works.",
)
"""By exit code."""


def report_text(report: Report, columns: int = 80) -> str:
    """Return the report in at most ``columns`` characters a line, but for words longer than that."""
    names = min(LONGEST_NAME, max((len(check.name) for check in report.checks), default=0))
    lines = [*_wrapped("What to do first: ", first_step(report.checks), columns), ""]
    for check in sorted(report.checks, key=_importance):
        status = STATUS_WORDS.get(check.status, check.status)
        head = f"{status:<{STATUS_WIDTH}}{check.name:<{names}}  "
        lines += _wrapped(head, check.found, columns)
        details = (("gives", check.gives), ("do", check.step or ""))
        for word, text in details:
            lines += _wrapped(f"{'':<{STATUS_WIDTH}}  {word:<6}", text, columns) if text else []
    left = [f"Not looked at in time: {', '.join(map(visible, report.missing))}."] if report.missing else []
    return "\n".join([*lines, "", CONCLUSIONS[report.exit_code], *left, ""])


def _importance(check: Check) -> int:
    """Return a rank: what is needed and does not work, other trouble, what works, what is not used."""
    if check.status in TROUBLE:
        return 0 if check.needed else 1
    return 2 if check.status == "works" else 3


def first_step(checks: Sequence[Check]) -> str:
    """Return the step that comes first, with what it is for.

    A server that runs and is only not asked is nearer than one that would have to be started.
    """
    listens = any(check.kind in {"server", "port"} and check.status == "works" for check in checks)
    unasked = [] if listens else [check for check in checks if check.kind == "server" and not check.needed]
    needed = [check for check in checks if check.needed and check.kind != "server"]
    ranked = [*needed, *unasked, *sorted(checks, key=_importance)]
    for check in ranked:
        if check.step and (check.status in TROUBLE or check in unasked):
            return f"{check.step} ({check.name}: {check.found})"
    in_need = [check for check in checks if check.needed and check.status in TROUBLE]
    return f"{in_need[0].name}: {in_need[0].found}" if in_need else NO_STEP


def _wrapped(head: str, text: str, columns: int) -> Iterator[str]:
    indent = " " * len(head)
    yield from textwrap.wrap(
        text,
        columns,
        initial_indent=head,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


DISTRIBUTION = "gpumon-llm"
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Files that Docker and Podman put into a container."""

EXTRA_GIVES = {
    "meter": "gpumon meter: rates of servers that tell none",
}


def in_container(marks: tuple[Path, ...] = CONTAINER_MARKS) -> bool:
    """Return whether this is a Docker or Podman container."""
    return any(mark.exists() for mark in marks)


def terminal_checks(
    environ: Mapping[str, str], glyphs: Literal["unicode", "ascii"], *, is_terminal: bool, mouse: bool
) -> Iterator[Check]:
    """Yield what the dashboard will find in this terminal, going by the environment."""
    dumb = environ.get("TERM", "dumb") == "dumb"
    if not is_terminal:
        yield _terminal("nothing", "not looked at: this report goes into a file or a pipe")
        return
    found = visible(environ.get("TERM") or "TERM is not set")
    yield _terminal(
        "missing" if dumb else "works", found, "set TERM to what the terminal is" if dumb else None
    )
    yield _colors(environ, dumb)
    yield Check(
        kind="terminal",
        name="characters",
        status="works" if glyphs == "unicode" else "partly",
        found="blocks and braille" if glyphs == "unicode" else "ASCII only",
        gives="finer bars and charts",
        step=None if glyphs == "unicode" else "set LANG to a UTF-8 locale, or try --unicode",
    )
    yield Check(
        kind="terminal",
        name="mouse",
        status="works" if mouse else "nothing",
        found="on; hold Shift to select text" if mouse else "switched off",
        gives="clicks, wheel; off, text is selected without Shift",
    )
    yield _clipboard(environ)


def _terminal(status: Status, found: str, step: str | None = None) -> Check:
    gives = "the dashboard; gpumon snapshot and gpumon doctor need none"
    return Check(kind="terminal", name="terminal", status=status, found=found, gives=gives, step=step)


def _colors(environ: Mapping[str, str], dumb: bool) -> Check:
    term, step = environ.get("TERM", ""), None
    if environ.get("NO_COLOR"):
        found, step = "none: NO_COLOR is set", "unset NO_COLOR"
    elif dumb:
        found = "none"
    elif environ.get("COLORTERM", "").lower() in {"truecolor", "24bit"}:
        found = "16.7 million"
    elif term.endswith(("-256color", "-direct", "kitty")):
        found = "256"
    else:
        found, step = "16", "export COLORTERM=truecolor, if the terminal has more"
    works = found[0].isdigit() and found != "16"
    return Check(
        kind="terminal",
        name="colours",
        status="works" if works else "partly",
        found=found,
        gives="levels at a glance; words and marks say the same",
        step=step,
    )


def _clipboard(environ: Mapping[str, str]) -> Check:
    """Say what is known of OSC 52, which no terminal answers to."""
    step = None
    if environ.get("TMUX"):
        step = "tmux set -g set-clipboard on"
    elif environ.get("VTE_VERSION") or environ.get("TERM") == "linux":
        step = "this terminal takes none from programs: select the text that is shown"
    return Check(
        kind="terminal",
        name="clipboard",
        status="works" if step is None else "partly",
        found="asked by OSC 52; not every terminal obeys",
        gives="key y copies a command, which is also shown",
        step=step,
    )


def folder_checks(settings_file: Path, state_folder: Path) -> Iterator[Check]:
    """Yield checks of the settings file and of the folder in which gpumon keeps what it learns."""
    there = settings_file.exists()
    yield Check(
        kind="folder",
        name="settings file",
        status="works" if there else "nothing",
        found=visible(f"{settings_file}{'' if there else ' (not there)'}"),
        gives="servers, colours, limits of alerts",
        step=None if there else "gpumon config init",
    )
    writable = _is_writable(state_folder)
    yield Check(
        kind="folder",
        name="state folder",
        status="works" if writable else "missing",
        found=visible(f"{state_folder}{'' if writable else ' cannot be written'}"),
        gives="what is kept from run to run",
        step=None if writable else visible(f"make it yours: ls -ld {state_folder}, or set XDG_STATE_HOME"),
    )


def history_check(path: Path, problem: str | None, size_bytes: int, kept: str, *, is_on: bool) -> Check:
    """Return a check of the history: where it lies, and how large it is; ``problem`` is why not."""
    there = f"{path}, {units.size(size_bytes)}{kept}" if size_bytes else f"{path} (not there yet)"
    return Check(
        kind="folder",
        name="history",
        status="missing" if problem else "works" if is_on and size_bytes else "nothing",
        found=visible(problem or (there if is_on else f"{there}; nothing is added: it is switched off")),
        gives="gpumon history, and charts of a day, a week and a month",
        step=visible(f"move {path} away, and it begins anew") if problem else None,
    )


def extra_checks(distribution: str = DISTRIBUTION) -> Iterator[Check]:
    """Yield a check of each optional part of the installed package."""
    try:
        package = metadata(distribution)
    except PackageNotFoundError:
        return
    required = package.get_all("Requires-Dist") or []
    for extra in package.get_all("Provides-Extra") or []:
        marked = [line for line in required if f'extra == "{extra}"' in line.replace("'", '"')]
        absent = [name for name in map(_package_name, marked) if not _is_installed(name)]
        yield Check(
            kind="extra",
            name=f"extra {extra}",
            status="missing" if absent else "works",
            found=f"not installed: {', '.join(absent)}" if absent else "installed",
            gives=EXTRA_GIVES.get(extra, "an optional part"),
            step=_install_step(absent) if absent else None,
        )


def _install_step(packages: Sequence[str]) -> str:
    """Return a line that installs into gpumon's own environment, with or without pip in it."""
    return visible(f"python3 -m pip --python {sys.executable} install {' '.join(packages)}")


def _package_name(requirement: str) -> str:
    """Return the name at the start of a requirement (PEP 508)."""
    end = next((at for at, sign in enumerate(requirement) if not (sign.isalnum() or sign in "-_.")), None)
    return requirement[:end]


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _is_writable(folder: Path) -> bool:
    """Return whether ``folder`` can be written to, or created if it does not exist."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
