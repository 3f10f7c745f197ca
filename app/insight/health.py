"""The verdict: the worst thing that is true now, in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from gpumon.app.insight.agreement import placement_of
from gpumon.app.insight.faults import (
    SPILL_BAD_PERCENT,
    Fault,
    gpu_fault,
    is_needed,
    missing,
    on_cpu_by_choice,
    source_fault,
    spill_fault,
    spilled_models,
)
from gpumon.app.insight.wording import (
    DRIVER_SOURCE,
    amount,
    gpu_state_words,
    missing_words,
    model_label,
    shared_names,
    shares,
    source_label,
    source_words,
    spill_words,
)
from gpumon.app.state.records import Load, ModelRecord, is_server
from gpumon.app.state.state import State
from gpumon.text.safe import visible


def unclaimed_loads(state: State) -> list[Load]:
    """Return the loads of which no server speaks as a loaded model yet, the oldest first."""
    loads = [load for load in state.loads.values() if not _is_claimed(load, state)]
    return sorted(loads, key=lambda load: load.started)


def loading_words(state: State) -> str:
    """Say what is being loaded: ``qwen3:14b is loading``; nothing where nothing is."""
    loads = unclaimed_loads(state)
    if len(loads) > 1:
        return f"{len(loads)} models are loading"
    return f"{visible(loads[0].name)} is loading" if loads else ""


def _is_claimed(load: Load, state: State) -> bool:
    runner = state.runners.get(load.key)
    return runner is not None and runner.model is not None


Level = Literal["ok", "watch", "bad", "unknown"]

RANKS: dict[Level, int] = {"bad": 0, "watch": 1, "unknown": 2, "ok": 3}
"""The worst first."""

NO_GPU = "no GPU here"

TOLD_FROM_STATE = frozenset({"spill", "gpu_lost", "source"})
"""Kinds of alert that the verdict knows at once, without waiting for the alert."""


class Alarm(Protocol):
    """What the verdict needs to know of an alert."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def severity(self) -> Fault: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102


Explain = Callable[[ModelRecord], str]


class Health(NamedTuple):
    """How things are."""

    level: Level
    sentence: str
    """One line, harmless to draw, no trailing full stop."""
    exit_code: int
    """Of the snapshot command: 0 all is well, 1 something is wrong, 2 nothing could be read, 3 what could be
    read is well, and that was not all."""


EXIT_INCOMPLETE = 3


def of_a_look(whole: Health, missing: Sequence[str]) -> Health:
    """Return the verdict where something could not be looked at in time: that may be anything but well."""
    if not missing:
        return whole
    names = ", ".join(map(source_label, missing))
    return Health(
        "unknown" if whole.level == "ok" else whole.level,
        f"{whole.sentence}; not looked at in time: {names}",
        whole.exit_code or EXIT_INCOMPLETE,
    )


class Trouble(NamedTuple):
    """One thing that is wrong."""

    level: Fault
    sentence: str


def health(
    state: State,
    alerts: Iterable[Alarm],
    spill_bad_percent: float = SPILL_BAD_PERCENT,
    explain: Explain = lambda _model: "",
    models: Iterable[tuple[Level, str]] = (),
) -> Health:
    """Return the verdict on what is known now; ``alerts`` are the active ones, the worst first.

    ``explain`` gives what is to follow it on a spilled model; ``models`` are level and verdict of each: one
    that is worse than all else is told in its own words.
    """
    troubles = [*_troubles(state, alerts, spill_bad_percent, explain)]
    troubles += [Trouble(level, words) for level, words in models if level in {"watch", "bad"}]
    nothing_read = not _gpus_read(state) and not _servers_read(state)
    parts = [
        *(missing_words(source) for source in state.sources.values() if missing(source) and is_needed(source))
    ]
    if troubles:
        worst = min(troubles, key=lambda trouble: trouble.level != "bad")
        sentence = "; ".join([worst.sentence, *parts]) if nothing_read else worst.sentence
        return Health(worst.level, sentence, 2 if nothing_read else 1)
    if nothing_read:
        return Health("unknown", ", ".join([*_no_gpu(state), *parts]) or "waiting for the first answer", 2)
    known = all(placement_of(model, state).spill_fraction is not None for model in state.models.values())
    placement = _placement(state)
    level: Level = "ok" if known else "unknown"
    if NO_GPU in placement:  # it says that of the driver too
        driver = state.sources.get(DRIVER_SOURCE)
        parts = [part for part in parts if driver is None or part != missing_words(driver)]
        return Health(level, "; ".join([placement, *parts]), 0)
    return Health(level, "; ".join([placement, *_no_gpu(state), *parts]), 0)


def _troubles(
    state: State, alerts: Iterable[Alarm], spill_bad_percent: float, explain: Explain
) -> Iterator[Trouble]:
    """Yield what is wrong; of equal levels the first counts most."""
    driver = state.sources.get(DRIVER_SOURCE)
    if driver is not None and not driver.healthy and (fault := source_fault(driver)) is not None:
        yield Trouble(fault, source_words(driver))  # its GPUs are lost with it
    for gpu in state.gpus.values():
        if (fault := gpu_fault(gpu)) is not None:
            yield Trouble(fault, gpu_state_words(gpu))
    if spilled := spilled_models(state):
        chosen = on_cpu_by_choice(spilled[0], state)
        fault = spill_fault(spilled[0], spill_bad_percent, by_choice=chosen)
        why = explain(spilled[0]) if len(spilled) == 1 else ""
        yield Trouble(fault or "watch", f"{_spill_sentence(spilled, state, chosen)}{why}")
    for alarm in alerts:
        if alarm.kind not in TOLD_FROM_STATE:
            yield Trouble(alarm.severity, alarm.message)
    for source in state.sources.values():
        if (fault := source_fault(source)) is not None:
            yield Trouble(fault, source_words(source))


def _spill_sentence(spilled: list[ModelRecord], state: State, chosen: bool) -> str:
    worst = spilled[0]
    name = model_label(worst, shared_names(state.models.values()))
    if len(spilled) > 1:
        return f"{len(spilled)} models spill to RAM: worst {name} {shares(worst.split)[0]}"
    if chosen:
        return f"{name} runs on the CPU by choice (num_gpu 0): {amount(worst.split.ram_bytes or 0)} in RAM"
    return f"{name} {spill_words(worst.split)}"


def _placement(state: State) -> str:
    """Say where the models are when none is spilled."""
    splits = [placement_of(model, state) for model in state.models.values()]
    if not splits:
        nothing = "no model loaded" if _servers_read(state) else f"{_count(len(state.gpus), 'GPU')} well"
        return loading_words(state) or nothing
    if unknown := sum(split.spill_fraction is None for split in splits):
        which = "" if len(splits) == 1 else f" of {unknown}"
        return f"{_count(len(splits), 'model')} loaded, placement{which} unknown"
    in_ram = sum(split.spill_fraction != 0 for split in splits)
    if 0 < in_ram < len(splits):
        return f"{len(splits)} models, {in_ram} in RAM where no GPU is known"
    count = {1: "1 model", 2: "both models"}.get(len(splits), f"all {len(splits)} models")
    if in_ram and all(state.lacks_gpu_at(key.source) for key in state.models):
        return f"{count} in RAM, {NO_GPU}"
    return f"{count} {'in RAM' if in_ram else 'on GPU'}"


def _no_gpu(state: State) -> list[str]:
    driver = state.sources.get(DRIVER_SOURCE)
    return [NO_GPU] if driver is not None and driver.healthy and not state.gpus else []


def _gpus_read(state: State) -> bool:
    return bool(state.gpus)


def _servers_read(state: State) -> bool:
    """Whether anything has told of models: a server by its URL, or a process that holds one."""
    if any(model.process is not None for model in state.models.values()):
        return True
    return any(is_server(source.name) and source.answered is not None for source in state.sources.values())


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
