"""The words around what a user does to a model: copying the command that helps, unloading it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gpumon.app.insight.unloading import Unloading, UnloadKind, UnloadOutcome
from gpumon.app.insight.wording import address
from gpumon.app.picture.load import LoadPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.app.state.records import ModelKey
from gpumon.app.views.page import GPUMON, NVML, PROC
from gpumon.collectors.servers.registry import runner_named
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact

if TYPE_CHECKING:
    from gpumon.app.diagnosis.diagnosis import Remedy, Verdict

LONGEST_COMMAND = 1000


def command_to_copy(remedies: tuple[Remedy, ...]) -> Remedy | None:
    """Return the best remedy that has a command.

    One with characters that are not shown as they are is passed over: pasted into a shell, they would be
    obeyed.
    """
    return next((one for one in remedies if one.command and _is_plain(one.command)), None)


def copied_words(remedy: Remedy, host: str = "") -> str:
    """Say what was copied, first, as it may have to be typed, and where it goes; ``host`` if not here."""
    place = ", ".join(filter(None, (f"on {host}" if host else "", remedy.where)))
    where = f" ({visible(place)})" if place else ""
    return f"copied: {visible(remedy.command or '', LONGEST_COMMAND)}{where}"


def elsewhere_words(host: str, line: str | None) -> str:
    """Say that nothing is done on another machine, and what to type there."""
    typed = f"; type there: {visible(line, LONGEST_COMMAND)}" if line else ""
    return f"nothing is done on {visible(host)} from here{typed}"


def nothing_words(verdict: Verdict, name: str) -> str:
    """Say why there is nothing to copy for the model called ``name``: it needs no help, or none is known."""
    if verdict.severity == "ok":
        return f"nothing to copy: {name} needs no help"
    return f"nothing to copy: no command is known that would help {name}"


def _is_plain(command: str) -> bool:
    return visible(command, LONGEST_COMMAND) == command


def unload_facts(model: ModelPicture, others: Iterable[ModelPicture] = ()) -> tuple[Fact, ...]:
    """Return what the user should know before it is unloaded, and which of the ``others`` has need of it."""
    return (
        Fact("model", visible(model.claim.name)),
        Fact("server", address(model.key.source)),
        _gain(model),
        _requests(model),
        *(Fact("helps", _helps(one)) for one in others if _was_hindered(one, model)),
        Fact("afterwards", "the next request for it loads it again"),
    )


def _was_hindered(other: ModelPicture, model: ModelPicture) -> bool:
    """Return whether a model took the memory that another one lacks."""
    cause, pid = other.diagnosis.cause, model.process.pid if model.process else None
    return cause is not None and pid is not None and any(one.pid == pid for one in cause.takers)


def _helps(other: ModelPicture) -> str:
    """Name a model that lacks memory, and say what it then needs itself."""
    if other.process is not None and runner_named(other.process.kind).moves_weights:
        return other.label
    return f"{other.label}, once that is loaded again: it stays where it was loaded"


def stop_facts(load: LoadPicture, key: ModelKey) -> tuple[Fact, ...]:
    """Return what the user should know before a model that loads is unloaded."""
    taken = units.size(load.gpu_bytes) if load.gpu_bytes is not None else "what it has taken"
    return (
        Fact("model", visible(load.name)),
        Fact("server", address(key.source)),
        Fact("returns", f"{taken} of VRAM so far", NVML),
        Fact("when", "once the request that it loads for has ended, or its client hangs up", GPUMON, "watch"),
    )


def _gain(model: ModelPicture) -> Fact:
    measured = model.memory.measured_vram_bytes
    if measured is not None:
        return Fact("returns", f"{units.size(measured)} of VRAM", NVML)
    return Fact(
        "returns", f"{units.size(model.memory.gpu_bytes)} of VRAM, by its claim", model.kind.claim_source
    )


def _requests(model: ModelPicture) -> Fact:
    match model.activity:
        case "busy":
            return Fact("requests", "one runs now: it is finished first, nothing is cut off", PROC, "watch")
        case None:
            return Fact("requests", "those that run, if any, are finished first", GPUMON)
        case _:
            return Fact("requests", "none runs now", PROC)


def asked_words(asked: Unloading) -> str:
    """Say that the server has been asked."""
    return f"asked {address(asked.key.source)} to unload {visible(asked.name)}"


def refused_words(asked: Unloading, problem: str) -> str:
    """Say that the server could not be asked, or would not do it."""
    return f"{visible(asked.name)} was not unloaded: {visible(problem)}"


def outcome_words(asked: Unloading, outcome: UnloadOutcome) -> str:
    """Say how it ended, in one line."""
    name, after = visible(asked.name), units.duration(outcome.seconds)
    words: dict[UnloadKind, str] = {
        "unloaded": f"{name} is unloaded: {units.size(outcome.returned_bytes)} of VRAM came back in {after}",
        "unmeasured": f"{name} is unloaded, after {after}; its VRAM is not measured from here",
        "not_returned": f"{name} is gone; {_missing(asked, outcome)} of VRAM did not come back in {after}",
        "reloaded": f"{name} was unloaded and is loaded again: something has asked for it",
        "waiting": f"{name} is still at work after {after}; it goes when its requests have ended",
        "stays": f"{name} is still loaded after {after}, and does nothing: see the server's log",
        "unknown": f"not known whether {name} is unloaded: {address(asked.key.source)} does not answer",
    }
    return words[outcome.kind]


def _missing(asked: Unloading, outcome: UnloadOutcome) -> str:
    return units.size(sum(size for _, size in asked.vram_by_gpu) - (outcome.returned_bytes or 0))
