"""The command that is copied for a model, and the words that go with it."""

from __future__ import annotations

from gpumon.app.diagnosis.diagnosis import Remedy, Verdict
from gpumon.text.safe import visible

LONGEST_COMMAND = 1000


def command_to_copy(remedies: tuple[Remedy, ...]) -> Remedy | None:
    """Return the best remedy that has a command.

    One with characters that are not shown as they are is passed over: pasted into a shell, they would be
    obeyed.
    """
    return next((one for one in remedies if one.command and _is_plain(one.command)), None)


def copied_words(remedy: Remedy) -> str:
    """Say what was copied and where it goes; the command stands on a line of its own, to be selected."""
    where = f", to type {visible(remedy.where)}" if remedy.where else ""
    return f"copied{where}:\n{visible(remedy.command or '', LONGEST_COMMAND)}"


def nothing_words(verdict: Verdict, name: str) -> str:
    """Say why there is nothing to copy for the model called ``name``: it needs no help, or none is known."""
    if verdict.severity == "ok":
        return f"nothing to copy: {name} needs no help"
    return f"nothing to copy: no command is known that would help {name}"


def _is_plain(command: str) -> bool:
    return visible(command, LONGEST_COMMAND) == command
