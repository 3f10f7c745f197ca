"""What the pages of a load, and of the model that it becomes, say of it: how far it is, what will come of it.

Afterwards the forecast stands beside what has come.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpumon.app.diagnosis.words import ARITHMETIC, ESTIMATE, band_words
from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.load import PHASE_WORDS, LoadPicture
from gpumon.app.state.records import PHASES
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.kit.lines import Level, Role
from gpumon.widgets.views import BarPart, BarRow, Fact, Section

if TYPE_CHECKING:
    from gpumon.app.diagnosis.forecast import Forecast

WATCH: Level = "watch"


def load(load: LoadPicture) -> tuple[Section, ...]:
    """Return how far a load is, what will come of it, and where its bytes are by now: what is wrong first."""
    rows = [row for row in _load_bars(load) if row.figure != units.UNKNOWN]
    memory, found = Section("MEMORY", "GiB", bars=tuple(rows)), load.forecast
    if found is None:
        return load_progress(load), memory
    if found.spills:
        return forecast(found), load_progress(load), memory
    return load_progress(load), forecast(found), memory


def load_progress(load: LoadPicture) -> Section:
    """Return the phases of a load with their times, how long it takes still, and who made room."""
    room = (Fact("made room", visible(", ".join(load.evicted))),) if load.evicted else ()
    speed = f" at {units.byte_rate(load.bytes_per_second)}" if load.bytes_per_second else ""
    left = Fact("", f"{load.time_left}{speed}") if load.time_left else None
    return Section("LOADING", facts=(*_phases(load), *([left] if left else []), *room))


def _load_bars(load: LoadPicture) -> Iterator[BarRow]:
    target, loaded, found = load.target_bytes, load.loaded_bytes, load.forecast
    on_gpu, in_ram = (found.gpu_bytes, found.ram_bytes) if found else (None, None)
    sizes = (target, loaded, load.gpu_bytes, load.ram_bytes, on_gpu, in_ram)
    scale = float(max(size or 0 for size in sizes))
    yield _bar("read so far", loaded, target, ("model", "planned"), scale)
    yield _bar("on GPU", load.gpu_bytes, on_gpu, ("model", "planned"), scale)
    yield _bar("in RAM", load.ram_bytes, in_ram, ("ram", "planned_ram"), scale)


def _bar(label: str, size: int | None, planned: int | None, roles: tuple[Role, Role], scale: float) -> BarRow:
    """Return how much there is, and how much there will be in all."""
    done, still = roles
    parts = [BarPart(float(size), done)] if size else []
    if planned and planned > (size or 0):
        parts.append(BarPart(float(planned - (size or 0)), still))
    whole = f"of {units.gib(planned)}" if planned else ""
    return BarRow(label, units.gib(size), tuple(parts), scale, whole)


def _phases(load: LoadPicture) -> Iterator[Fact]:
    """Say of each phase how long it has taken, of the present one how far it is."""
    over = sum(load.phase_seconds.values())
    for phase in PHASES:
        if phase == load.phase:
            so_far = units.duration(max(0.0, load.seconds - over))
            far = "" if load.fraction is None else f", {load.fraction:.0%}"
            yield Fact(PHASE_WORDS[phase], f"{so_far} so far{far}")
        elif phase in load.phase_seconds:
            yield Fact(PHASE_WORDS[phase], f"{load.phase_seconds[phase]:.1f} s")
        elif phase != "ready":
            yield Fact(PHASE_WORDS[phase], "to come")


def forecast(found: Forecast) -> Section:
    """Return what a load will take, where that will be, and how fast the model will be."""
    return Section("FORECAST", facts=tuple(_forecast(found)))


def _forecast(found: Forecast) -> Iterator[Fact]:
    room = f"{units.size(found.need_bytes)} of VRAM; {units.size(found.room_bytes)} free for it"
    yield Fact("needs", room, ARITHMETIC)
    yield Fact("on GPU", units.size(found.gpu_bytes), ARITHMETIC)
    if found.ram_bytes:
        why = ", by choice" if found.by_choice else ""
        words = f"{units.size(found.ram_bytes)}, {found.ram_fraction:.0%}{why}"
        yield Fact("in RAM", words, ARITHMETIC, WATCH if found.spills else None)
    if found.decode is not None:
        yield Fact("speed", band_words(found.decode), ESTIMATE)
    if found.decode_fitting is not None and found.ram_bytes:
        yield Fact("if it fitted", band_words(found.decode_fitting), ESTIMATE)
    if found.cure:
        where = f" {found.command.where}" if found.command.where else ""
        line = f": {found.command.line}{where}" if found.command.line else ""
        yield Fact("what helps", visible(f"{found.cure}{line}", 1000))


def outcome(details: ModelDetails) -> Section:
    """Return what was forecast of the load of a model, beside what has come of it."""
    found = details.forecast
    if found is None or details.picture.load is not None:
        return Section("")
    memory, rate = details.picture.memory, details.picture.diagnosis.decode_tokens_per_second_now
    estimated = memory.left_out.bytes + memory.left_out.chosen_bytes if memory.left_out else None
    in_ram = estimated if memory.ram_bytes is None else memory.ram_bytes
    on_gpu = memory.gpu_bytes if memory.measured_vram_bytes is None else memory.measured_vram_bytes
    rows = [
        BarRow("on GPU", units.size(on_gpu), note=f"forecast {units.size(found.gpu_bytes)}"),
        BarRow("in RAM", units.size(in_ram), note=f"forecast {units.size(found.ram_bytes)}"),
    ]
    if found.decode is not None:
        rows.append(
            BarRow(
                "speed", units.rate(rate), note=f"forecast {band_words(found.decode).removeprefix('about ')}"
            )
        )
    return Section("FORECAST AND RESULT", bars=tuple(rows))
