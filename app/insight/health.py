"""What is not as it should be, and the verdict: the worst thing that is true now, in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from gpumon.app.fuses import GPUMON_SOURCE
from gpumon.app.insight.activity import is_gone
from gpumon.app.insight.agreement import choice_of, placement_of
from gpumon.app.insight.intent import cpu_choice, intent_of
from gpumon.app.insight.wording import (
    DRIVER_SOURCE,
    amount,
    gpu_state_words,
    missing_words,
    model_id,
    model_label,
    shared_names,
    shares,
    source_label,
    source_words,
    spilled_words,
)
from gpumon.app.state.places import LOG_PREFIX, LOG_SEARCH
from gpumon.app.state.records import GpuRecord, Load, ModelRecord, SourceRecord, is_server
from gpumon.app.state.records.model import Split
from gpumon.app.state.state import NOT_THERE, State
from gpumon.collectors.samples import GpuState
from gpumon.text.safe import visible

Fault = Literal["watch", "bad"]

SPILL_BAD_PERCENT = 5.0
"""A spill of 5 % nearly halves the decode rate of a dense model: 1 / (1 + f (R - 1)), with the usual ratio
R = 17 of the bandwidths of GPU memory and RAM."""

PICTURES_BAD_PERCENT = 50.0
"""The same of an image generator: what stays in RAM is moved to the GPU for each step, and used there."""

GPU_FAULTS: dict[GpuState, Fault] = {"lost": "bad", "failing": "watch"}

LEARNED_SOURCE = "learned"
"""What earlier runs have learned: without it gpumon works as on its first day."""
HISTORY_SOURCE = "history"
"""What is kept of this run; it is there only while that fails."""


def hangs(source: SourceRecord) -> bool:
    """Return whether a source was asked and does not answer."""
    return source.silent_seconds is not None or source.health.state == "hanging"


def missing(source: SourceRecord) -> bool:
    """Return whether a source is simply not on this machine, and never was in this run."""
    return source.answered is None and not hangs(source) and source.health.state in NOT_THERE


def is_needed(source: SourceRecord) -> bool:
    """Return whether the main job rests on a source; of others that are missing nothing is said."""
    return source.name == DRIVER_SOURCE or (is_server(source.name) and not source.is_pointless)


def has_trouble(source: SourceRecord) -> bool:
    """Return whether a driver that answers names a GPU that it cannot show: one lost before this run."""
    return source.name == DRIVER_SOURCE and source.health.state == "serving" and bool(source.health.detail)


def source_fault(source: SourceRecord) -> Fault | None:
    """Grade a source that does not deliver; one that is merely missing has no fault.

    Nor has the log of a server that is not there any more.
    A server that stopped may have been stopped on purpose, and one that loads or unloads a model does not
    answer for some seconds: both are only worth watching. A driver that hangs is a sick GPU. A fault of
    gpumon's own must not hide what it still knows.
    """
    if source.healthy:
        return "bad" if has_trouble(source) else None
    if missing(source) or is_optional(source) or is_unasked_for(source):
        return None
    if source.name == GPUMON_SOURCE:
        return "watch"
    mild = is_server(source.name) and (hangs(source) or source.health.state == "not_running")
    return "watch" if mild else "bad"


def is_optional(source: SourceRecord) -> bool:
    """Whether nothing rests on what a source fails to give: what was learned and is kept, and logs."""
    return source.name in {LEARNED_SOURCE, HISTORY_SOURCE, LOG_SEARCH} or source.name.startswith(LOG_PREFIX)


def is_unasked_for(source: SourceRecord) -> bool:
    """Whether nobody has named a server that was never heard: it starts up, or wants a key of ours."""
    if source.is_pointless:
        return True
    silent = source.answered is None and source.health.state in {"refused", "forbidden", "foreign"}
    return source.known_by == "process" and silent


def gpu_fault(gpu: GpuRecord) -> Fault | None:
    """Grade a GPU that does not answer as it should."""
    return GPU_FAULTS.get(gpu.reading.state)


def spill_fault(model: ModelRecord, bad_percent: float = SPILL_BAD_PERCENT) -> Fault | None:
    """Grade a spill by the server's claim; ``None`` where there is none or it is unknown."""
    if not model.split.spill_fraction:
        return None
    least = max(bad_percent, PICTURES_BAD_PERCENT if model.kind.makes_pictures else 0.0)
    return "bad" if model.split.spill_fraction * 100 >= least else "watch"


def spilled_models(state: State) -> list[ModelRecord]:
    """Return the models that are partly or wholly in RAM though a GPU is present, the worst first.

    What is in RAM by the user's choice is no spill.
    """
    spilled = [
        model
        for model in state.models.values()
        if model.split.spill_fraction
        and state.gpu_known_at(model.key.source)
        and not (model.runner is None and is_gone(model, state))
        and choice_of(model, state) is None
    ]
    return sorted(spilled, key=lambda model: (-(model.split.spill_fraction or 0.0), model.claim.name))


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


WORSE_THAN_SPILL = frozenset({"read_from_disk"})
"""Kinds of alert that say why a model in RAM is slower than RAM."""


class Alarm(Protocol):
    """What the verdict needs to know of an alert."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def severity(self) -> Fault: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def subject_id(self) -> str: ...  # noqa: D102


Explain = Callable[[ModelRecord], str]


class Health(NamedTuple):
    """How things are."""

    level: Level
    sentence: str
    """One line, harmless to draw, no trailing full stop."""
    exit_code: int
    """Of the snapshot command: 0 all is well, 1 something is wrong, 2 nothing could be read, 3 what could be
    read is well, and that was not all."""
    kind: str = ""
    """What is wrong: a kind of alert or of verdict; empty where all is well."""
    subject_id: str = ""
    """What it is about: a model's id, a GPU's UUID, a source; empty where it is about several."""


EXIT_INCOMPLETE = 3


def of_a_look(whole: Health, missing: Sequence[str]) -> Health:
    """Return the verdict where something could not be looked at in time: that may be anything but well."""
    if not missing:
        return whole
    names = ", ".join(map(source_label, missing))
    return whole._replace(
        level="unknown" if whole.level == "ok" else whole.level,
        sentence=f"{whole.sentence}; not looked at in time: {names}",
        exit_code=whole.exit_code or EXIT_INCOMPLETE,
    )


class Trouble(NamedTuple):
    """One thing that is wrong; ``kind`` and ``subject_id`` as in ``Health``."""

    level: Level
    sentence: str
    kind: str
    subject_id: str = ""


def health(
    state: State,
    alerts: Iterable[Alarm],
    spill_bad_percent: float = SPILL_BAD_PERCENT,
    explain: Explain = lambda _model: "",
    models: Iterable[Trouble] = (),
) -> Health:
    """Return the verdict on what is known now; ``alerts`` are the active ones, the worst first.

    ``explain`` gives what is to follow it on a spilled model; ``models`` are the verdicts on each: one
    that is worse than all else is told in its own words.
    """
    troubles = [*_troubles(state, tuple(alerts), spill_bad_percent, explain)]
    troubles += [found for found in models if found.level in {"watch", "bad"}]
    nothing_read = not _gpus_read(state) and not _servers_read(state)
    parts = [
        *(missing_words(source) for source in state.sources.values() if missing(source) and is_needed(source))
    ]
    if troubles:
        worst = min(troubles, key=lambda trouble: trouble.level != "bad")
        sentence = "; ".join([worst.sentence, *parts]) if nothing_read else worst.sentence
        return Health(worst.level, sentence, 2 if nothing_read else 1, worst.kind, worst.subject_id)
    if nothing_read:
        return Health("unknown", ", ".join([*_no_gpu(state), *parts]) or "waiting for the first answer", 2)
    every = [(model, placement_of(model, state)) for model in state.models.values()]
    splits = [split for model, split in every if not model.kind.makes_pictures or _is_told(split)]
    known, placement = all(split.spill_fraction is not None for split in splits), _placement(state, splits)
    level: Level = "ok" if known else "unknown"
    if NO_GPU in placement:  # it says that of the driver too
        driver = state.sources.get(DRIVER_SOURCE)
        parts = [part for part in parts if driver is None or part != missing_words(driver)]
        return Health(level, "; ".join([placement, *parts]), 0)
    return Health(level, "; ".join([placement, *_no_gpu(state), *parts]), 0)


def _troubles(
    state: State, alerts: Sequence[Alarm], spill_bad_percent: float, explain: Explain
) -> Iterator[Trouble]:
    """Yield what is wrong; of equal levels the first counts most."""
    driver = state.sources.get(DRIVER_SOURCE)
    if driver is not None and not driver.healthy and (fault := source_fault(driver)) is not None:
        yield Trouble(fault, source_words(driver), "source", driver.name)  # its GPUs are lost with it
    for gpu in state.gpus.values():
        if (fault := gpu_fault(gpu)) is not None:
            yield Trouble(fault, gpu_state_words(gpu), "gpu_lost", gpu.reading.uuid)
    for alarm in alerts:
        if alarm.kind in WORSE_THAN_SPILL:
            yield _alarmed(alarm)
    if spilled := spilled_models(state):
        fault = spill_fault(spilled[0], spill_bad_percent)
        why = explain(spilled[0]) if len(spilled) == 1 else ""
        subject = model_id(spilled[0].key) if len(spilled) == 1 else ""
        yield Trouble(fault or "watch", f"{_spill_sentence(spilled, state)}{why}", "spill", subject)
    for alarm in alerts:
        if alarm.kind not in TOLD_FROM_STATE:
            yield _alarmed(alarm)
    for source in state.sources.values():
        if (fault := source_fault(source)) is not None:
            yield Trouble(fault, source_words(source), "source", source.name)


def _alarmed(alarm: Alarm) -> Trouble:
    return Trouble(alarm.severity, alarm.message, alarm.kind, alarm.subject_id)


def _spill_sentence(spilled: list[ModelRecord], state: State) -> str:
    worst = spilled[0]
    name = model_label(worst, shared_names(state.models.values()))
    if len(spilled) > 1:
        return f"{len(spilled)} models spill to RAM: worst {name} {shares(worst.split)[0]}"
    return f"{name} {spilled_words(worst, worst.split)}"


def _placement(state: State, splits: Sequence[Split]) -> str:
    """Say where the models are when none is spilled."""
    if not splits:
        return loading_words(state) or _without_models(state)
    if unknown := sum(split.spill_fraction is None for split in splits):
        which = "" if len(splits) == 1 else f" of {unknown}"
        elsewhere = any(intent_of(model, state).elsewhere for model in state.models.values())
        known = "not known here" if elsewhere else "unknown"
        return f"{_count(len(splits), 'model')} loaded, placement{which} {known}"
    if chosen := [model for model in state.models.values() if _has_a_choice(model, state)]:
        return _chosen_words(chosen, state)
    in_ram = sum(split.spill_fraction != 0 for split in splits)
    if 0 < in_ram < len(splits):
        return f"{len(splits)} models, {in_ram} in RAM where no GPU is known"
    count = {1: "1 model", 2: "both models"}.get(len(splits), f"all {len(splits)} models")
    if in_ram and all(state.lacks_gpu_at(key.source) for key in state.models):
        return f"{count} in RAM, {NO_GPU}"
    return f"{count} {'in RAM' if in_ram else 'on GPU'}"


def _without_models(state: State) -> str:
    """Say what there is where no model is known to be loaded."""
    if state.models:
        return f"{_count(len(state.models), 'image generator')} here"
    return "no model loaded" if _servers_read(state) else f"{_count(len(state.gpus), 'GPU')} well"


def _is_told(split: Split) -> bool:
    """Whether it is known where a model is: an image generator may have none, and need not say."""
    return split.spill_fraction is not None


def _has_a_choice(model: ModelRecord, state: State) -> bool:
    """Return whether what is in RAM is there by choice, and not for want of a GPU."""
    return state.gpu_known_at(model.key.source) and choice_of(model, state) is not None


def _chosen_words(chosen: Sequence[ModelRecord], state: State) -> str:
    """Say that models are in RAM, as a whole or in part, because the user wants them there."""
    on_cpu = [setting for model in chosen if (setting := cpu_choice(model, state)) is not None]
    where = "on the CPU" if len(on_cpu) == len(chosen) else "in RAM" if on_cpu else "partly in RAM"
    if len(state.models) > 1:
        return f"{len(state.models)} models, {len(chosen)} {where} by choice"
    if not on_cpu:
        return f"1 model, {where} by choice"
    [model] = chosen
    in_ram = f": {amount(size)} in RAM" if (size := placement_of(model, state).ram_bytes) else ""
    return f"{visible(model.claim.name)} runs on the CPU by choice ({on_cpu[0]}){in_ram}"


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
