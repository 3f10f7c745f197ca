"""What helps where the machine is at fault: a server without its GPU, heat, a low power limit."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.diagnosis.diagnosis import Cause, Remedy, Verdict, VerdictKind
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.insight.slowdown import costly_reasons
from gpumon.app.state.records import GpuRecord
from gpumon.text import units

WITHOUT_GPU: frozenset[VerdictKind] = frozenset({"silent_fallback", "lost_gpu", "no_gpu_found"})
"""Verdicts after which no setting helps: the server has to find its GPU again."""


class MachineRemedies(NamedTuple):
    """Remedies, and whether nothing else would help."""

    remedies: tuple[Remedy, ...] = ()
    is_final: bool = False


def machine_remedies(subject: Subject, verdicts: tuple[Verdict, ...], cause: Cause | None) -> MachineRemedies:
    """Return what helps against what the machine does."""
    kinds = {verdict.kind for verdict in verdicts}
    if kinds & WITHOUT_GPU or (cause is not None and cause.kind == "gpu_not_used"):
        return MachineRemedies((_restart(subject),), is_final=True)
    found = [_cool_or_power(subject)] if "throttled" in kinds else []
    return MachineRemedies(tuple(remedy for remedy in found if remedy is not None))


def _restart(subject: Subject) -> Remedy:
    command = subject.model.kind.restart()
    return Remedy(
        "restart_server",
        "start the server again, so that it looks for the GPU anew",
        command.line,
        "the driver shows the GPU; the server looks for it only when it starts",
        frees_bytes=subject.split.ram_bytes,
        expected_tokens_per_second=subject.rates.expected_fitting,
        where=command.where,
    )


def _cool_or_power(subject: Subject) -> Remedy | None:
    held = subject.runner.vram_by_gpu if subject.runner else {}
    gpus = [gpu for uuid, gpu in subject.state.gpus.items() if held.get(uuid)]
    slowed = next((gpu for gpu in gpus if costly_reasons(gpu.reading)), None)
    if slowed is None:
        return None
    return _raise_power(slowed) or _cool(slowed)


def _raise_power(gpu: GpuRecord) -> Remedy | None:
    """Advise the card's own power limit, where it is set lower and holds the clocks down."""
    limit, usual = gpu.reading.power_limit_watts, gpu.facts.power_limit_default_watts
    reasons = costly_reasons(gpu.reading) or ()
    if limit is None or usual is None or limit >= usual or not any("power" in one.lower() for one in reasons):
        return None
    return Remedy(
        "cool_or_power",
        f"raise the power limit to the card's own {units.watts(usual)}",
        f"sudo nvidia-smi -i {gpu.reading.index} -pl {usual:.0f}",
        f"the limit is {units.watts(limit)}, the card's own is {units.watts(usual)}",
    )


def _cool(gpu: GpuRecord) -> Remedy:
    now, slowdown = gpu.reading.temperature_celsius, gpu.facts.slowdown_celsius
    heat = f"it is at {units.celsius(now)}" if now is not None else "its clocks are held down"
    limit = f", it slows down at {units.celsius(slowdown)}" if slowdown is not None else ""
    words = f"improve the cooling or the power supply of GPU {gpu.reading.index}"
    return Remedy("cool_or_power", words, None, f"{heat}{limit}")
