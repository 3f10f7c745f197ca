"""What helps a model that is read from storage: RAM for it, weights that stay there, or fewer of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpumon.app.diagnosis.arithmetic import NoArithmetic
from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.diagnosis.remedies import commands
from gpumon.app.diagnosis.remedies.elsewhere import smaller_files
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.insight.disk import DiskReading
from gpumon.app.insight.wording import amount
from gpumon.app.state.records import ModelRecord
from gpumon.text.safe import visible
from gpumon.text.units import MIB

RAM_SHARE = 0.9
"""Of the RAM that a model may take: the rest of the machine lives from what is left."""
LEAST_BYTES = 1024**3
"""A model that holds less RAM is not worth unloading for it."""


def disk_remedies(subject: Subject) -> tuple[Remedy, ...]:
    """Return what would help, in order of gain; nothing where it is not read from storage."""
    reading = subject.loaded.disk
    if reading is None:
        return ()
    is_limited = reading.cause == "limited"
    room = (_raise_limit(reading),) if is_limited else (_unload(subject), _keep(subject, reading))
    found = (*room, _smaller(subject, reading), _less_context(subject))
    return tuple(remedy for remedy in found if remedy is not None)


_CONTAINER = re.compile(r"/(docker|libpod)[-/]([0-9a-f]{12})[0-9a-f]{52}(?:\.scope)?\Z", re.ASCII)
"""How Docker and Podman name a control group (moby: ``--cgroup-parent``; libpod: ``cgroup``)."""
_UNIT = re.compile(r"/system\.slice/(?:[\w.@-]+\.slice/)*([\w.@-]{1,200}\.service)\Z", re.ASCII)
_TOOLS = {"docker": "docker", "libpod": "podman"}


def _raise_limit(reading: DiskReading) -> Remedy:
    """Let its control group have what it needs, and a tenth more for what else is counted there."""
    needed = reading.needed_bytes or 0
    wanted = -(-round(needed / RAM_SHARE) // MIB)
    return Remedy(
        "raise_ram_limit",
        f"let its control group {visible(reading.limit_group or '', 60)} take {wanted} MiB of RAM",
        _limit_line(reading.limit_group or "", wanted),
        f"{amount(needed)} belong in RAM, {amount(reading.limit_bytes or 0)} are allowed",
        frees_bytes=max(0, needed - (reading.limit_bytes or 0)),
    )


def _limit_line(group: str, wanted_mib: int) -> str | None:
    """Return what sets the limit of a container or of a unit, while it runs; of others it is not known."""
    if found := _CONTAINER.search(group):
        return f"{_TOOLS[found[1]]} update --memory {wanted_mib}m --memory-swap {wanted_mib}m {found[2]}"
    if found := _UNIT.search(group):
        return f"sudo systemctl set-property {found[1]} MemoryMax={wanted_mib}M MemoryHigh=infinity"
    return None


def _unload(subject: Subject) -> Remedy | None:
    """Unload the model that holds the most RAM beside it."""
    others = sorted(_others(subject), key=lambda pair: -pair[0])
    if not others:
        return None
    held, other = others[0]
    name = visible(other.claim.name)
    return Remedy(
        "unload_model",
        f"unload {name}: it holds {amount(held)} of RAM",
        commands.stop(other).line,
        f"{amount(held)} more for the weights of this one",
        frees_bytes=held,
    )


def _others(subject: Subject) -> Iterator[tuple[int, ModelRecord]]:
    for other in subject.state.models.values():
        runner = None if other is subject.model else subject.state.runner_of(other)
        held = runner.process.rss_bytes if runner else None
        if held is not None and held >= LEAST_BYTES:
            yield held, other


def _keep(subject: Subject, reading: DiskReading) -> Remedy | None:
    """Load it into memory that is not dropped, where all of it has room there."""
    needed, room = reading.needed_bytes, _room_bytes(reading)
    line = subject.model.kind.keep_in_ram
    if needed is None or room is None or needed > room or line.line is None:
        return None
    return Remedy(
        "keep_in_ram",
        "load it into memory of its own, of which the kernel drops nothing; first stop what takes the RAM",
        line.line,
        f"needs {amount(needed)} of {amount(reading.room_bytes or 0)} of RAM",
        where=line.where,
    )


def _smaller(subject: Subject, reading: DiskReading) -> Remedy | None:
    """Take the largest smaller file of it whose part in RAM has room there."""
    needed, room = reading.needed_bytes, _room_bytes(reading)
    if not needed or room is None or needed <= room:
        return None
    arithmetic = subject.arithmetic
    words, arith = "take a smaller quantisation of it", f"at most {amount(room)} have room in RAM"
    if isinstance(arithmetic, NoArithmetic):
        return Remedy("smaller_quantization", words, None, arith, frees_bytes=needed - room)
    whole = arithmetic.geometry.file_bytes
    on_gpu = max(0, whole - needed)
    for found in smaller_files(arithmetic.geometry, subject.model.claim.quantization):
        rest = max(0, found.geometry.file_bytes - on_gpu)
        if rest <= room:
            size = amount(found.geometry.file_bytes)
            arith = f"needs {amount(rest)} of {amount(reading.room_bytes or 0)} of RAM"
            said = f"{words}, {found.name}: about {size}"
            return Remedy("smaller_quantization", said, None, arith, frees_bytes=needed - rest)
    return None


def _less_context(subject: Subject) -> Remedy | None:
    """Halve a long context, whose cache takes RAM, or keeps weights off the GPU."""
    length = subject.model.claim.context_length
    if length is None or length <= LONG_CONTEXT_TOKENS:
        return None
    process = subject.runner.process if subject.runner else None
    line = subject.model.kind.set_context(length // 2, (process and process.settings.parallel) or 1)
    return Remedy(
        "shrink_context",
        f"shrink the context to {length // 2} tokens",
        line.line,
        "its cache takes memory that weights could have",
        where=line.where,
    )


LONG_CONTEXT_TOKENS = 8192
"""A shorter one takes little."""


def _room_bytes(reading: DiskReading) -> int | None:
    return None if reading.room_bytes is None else round(reading.room_bytes * RAM_SHARE)
