"""Verdicts on what the machine does to a model: loads it again and again, swaps, slows its GPU down."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.diagnosis.diagnosis import Evidence, Verdict
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.verdicts.slow import fall_because
from gpumon.app.diagnosis.words import GPUMON, NVML, size_evidence
from gpumon.app.insight.falls import LINK_BUSY_PERCENT, costly_reasons, is_severe, link_below_best, swap_rate
from gpumon.app.insight.wording import gpu_label
from gpumon.app.state.loads.endings import WINDOW_SECONDS
from gpumon.app.state.records import FinishedLoad, GpuRecord, Thrash
from gpumon.app.state.work import SWAPPING_BYTES_PER_SECOND
from gpumon.text import units
from gpumon.text.safe import visible

SYSTEM = "/proc"


def thrashing(subject: Subject) -> Verdict | None:
    """Find a model that is loaded again and again, or that another one makes leave in turn."""
    name, found = subject.model.claim.name, thrash_of(subject)
    if found is None:
        return None
    minutes = WINDOW_SECONDS / 60
    return Verdict(
        "thrashing",
        "watch",
        f"{subject.name} {_thrash_words(found, name)}: {found.count} loads in {minutes:.0f} min",
        (Evidence("loads", str(found.count), GPUMON), *_change_evidence(found)),
    )


def evicted(subject: Subject) -> Verdict | None:
    """Find a model that had to leave for another a short while ago, and was loaded again."""
    load = _reload_for_memory(subject)
    if load is None:
        return None
    others = _evicted_by(subject, load)
    by = f" for {' and '.join(map(visible, others))}" if others else " for another model"
    at = units.clock(load.started, units.TO_THE_MINUTE)
    evidence = tuple(Evidence("loaded in its place", visible(other), GPUMON) for other in others)
    return Verdict(
        "evicted",
        "ok",
        f"{subject.name} had to leave{by}, and was loaded again at {at}",
        (*evidence, Evidence("load took", units.duration(load.total_seconds), GPUMON)),
    )


def thrash_of(subject: Subject) -> Thrash | None:
    """Return the thrash that a model has a part in."""
    name = subject.model.claim.name
    return next((one for one in subject.state.thrash.values() if name in one.names), None)


def rivals_for_memory(subject: Subject) -> tuple[str, ...]:
    """Return the models with which it takes turns, or for which it had to leave a short while ago."""
    thrash = thrash_of(subject)
    if thrash is not None and thrash.cause == "memory":
        return tuple(name for name in thrash.names if name != subject.model.claim.name)
    load = _reload_for_memory(subject)
    return _evicted_by(subject, load) if load else ()


def swapping(subject: Subject) -> Verdict | None:
    """Find that the machine swaps while a part of the model is in RAM."""
    system, in_ram = subject.state.system, subject.split.ram_bytes
    rate = swap_rate(system.sample) if system else None
    if rate is None or rate < SWAPPING_BYTES_PER_SECOND or not in_ram or not _is_here(subject):
        return None
    return Verdict(
        "swapping",
        "watch",
        f"{subject.name} has a part in RAM, and the machine swaps {units.byte_rate(rate)}",
        (
            Evidence("to and from swap", units.byte_rate(rate), SYSTEM),
            size_evidence("in RAM", in_ram, subject.split_source),
        ),
    )


def throttled(subject: Subject) -> Verdict | None:
    """Find that a GPU of the model is slowed down by heat, by the hardware or by the power cap."""
    slowed = [(gpu, reasons) for gpu in _gpus(subject) if (reasons := costly_reasons(gpu.reading))]
    if not slowed:
        return None
    bad = [pair for pair in slowed if is_severe(pair[1])]
    gpu, reasons = (bad or slowed)[0]
    why = ", ".join(map(visible, reasons))
    cost = fall_because(subject, "throttling")
    costs = f"; {cost[0].value} instead of {cost[1].value}" if cost else ""
    return Verdict(
        "throttled",
        "bad" if bad else "watch",
        f"{subject.name} is slowed down: {gpu_label(gpu)} is held back by {why}{costs}",
        (Evidence(f"{gpu_label(gpu)} throttle reasons", why, NVML), *_heat_evidence(gpu), *cost[:2]),
    )


def link_degraded(subject: Subject) -> Verdict | None:
    """Find that a GPU of the model works over a PCIe link below its best."""
    busy = [g for g in _gpus(subject) if (g.reading.utilization_percent or 0) >= LINK_BUSY_PERCENT]
    gpu = next((gpu for gpu in busy if link_below_best(gpu)), None)
    if gpu is None:
        return None
    below = ", ".join(link_below_best(gpu))
    return Verdict(
        "link_degraded",
        "watch",
        f"{subject.name} works over a slow PCIe link: {gpu_label(gpu)} {below}",
        (Evidence(f"{gpu_label(gpu)} PCIe link", below, NVML),),
    )


def _gpus(subject: Subject) -> Iterator[GpuRecord]:
    """Return the GPUs that its process is on."""
    held = subject.runner.vram_by_gpu if subject.runner else {}
    return (gpu for uuid, gpu in subject.state.gpus.items() if held.get(uuid))


def _is_here(subject: Subject) -> bool:
    """Return whether the model is on this machine, whose RAM is known."""
    return subject.runner is not None


def _reload_for_memory(subject: Subject) -> FinishedLoad | None:
    """Return the load of its process, if it was a short while ago and because of another model."""
    load = next((one for one in reversed(subject.state.finished_loads) if one.key == _key(subject)), None)
    if load is None or load.reload_cause != "memory" or subject.state.now - load.ended > WINDOW_SECONDS:
        return None
    return load


def _key(subject: Subject) -> object:
    return subject.runner.key if subject.runner else None


def _evicted_by(subject: Subject, load: FinishedLoad) -> tuple[str, ...]:
    """Return the models that were loaded before ``load`` and for which the model had to leave."""
    name = subject.model.claim.name
    loads = [
        one for one in subject.state.finished_loads if one.started < load.started and name in one.evicted
    ]
    return (loads[-1].name,) if loads else ()


def _thrash_words(found: Thrash, name: str) -> str:
    others = [visible(other) for other in found.names if other != name]
    if others:
        return f"and {others[0]} evict each other"
    match found.cause:
        case "settings":
            return "is loaded again and again with other settings"
        case "memory":
            return "is loaded again and again because other models make it leave"
        case "expired":
            return "is loaded again and again because its keep_alive is too short"
        case None:
            return "is loaded again and again"


def _change_evidence(found: Thrash) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(change.setting, f"{_said(change.before)} to {_said(change.after)}", "command line")
        for change in found.changes
    )


def _said(value: int | str | None) -> str:
    return "default" if value is None else visible(str(value))


def _heat_evidence(gpu: GpuRecord) -> tuple[Evidence, ...]:
    reading, found = gpu.reading, []
    if reading.temperature_celsius is not None:
        found.append(Evidence("temperature", units.celsius(reading.temperature_celsius), NVML))
    if reading.power_watts is not None and reading.power_limit_watts is not None:
        powers = f"{reading.power_watts:.0f} of {units.watts(reading.power_limit_watts)}"
        found.append(Evidence("power", powers, NVML))
    return tuple(found)
