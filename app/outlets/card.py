"""A card to paste into an issue or a forum: what is wrong, on which machine, why, and what helps."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.diagnosis.report import remedy_words
from gpumon.app.diagnosis.words import band_words
from gpumon.app.events.event import LoggedEvent
from gpumon.app.insight.health import Health
from gpumon.app.insight.wording import kind_label, short_source_words, source_label
from gpumon.app.outlets.line import head_word, speed_words
from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.records import is_server
from gpumon.text import units
from gpumon.text.cells import padded, wrapped
from gpumon.text.safe import visible

CARD_CELLS = 72
LABEL_CELLS = 10
BAR_CELLS = 24
MOST_WELL = 2
"""Models that are well are told as a whole where there are so many; of more each has a line."""
MOST_OTHERS = 8
MOST_GPUS = 4
"""Of more it is not said who holds them."""
MOST_HOLDERS = 4
MOST_VERDICTS = 4
MOST_EVIDENCE = 4
MOST_REMEDIES = 3
MOST_EVENTS = 6
EVENT_SECONDS = 900.0
LONGEST_WORDS = 1000

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~@])")
_TICKS = re.compile(r"`+")

Words = Callable[[str], str]
"""Replaces in a sentence what is not to be shown to others."""


class Glyphs(NamedTuple):
    """What a bar is drawn with."""

    full: str
    empty: str
    rule: str


BLOCKS = Glyphs("█", "░", "-")
ASCII = Glyphs("#", ".", "-")


class Computer(NamedTuple):
    """What no source tells; ``None`` where it is not known, as of a recording."""

    cpu: str | None = None
    system: str | None = None


UNKNOWN_COMPUTER = Computer()


class Row(NamedTuple):
    """A line of the card, before it is wrapped."""

    label: str
    text: str
    is_command: bool = False


class Card(NamedTuple):
    """What the card says."""

    verdict: str
    rows: tuple[Row, ...]
    foot: str


def card(
    pictures: Pictures,
    whole: Health,
    models: Sequence[ModelPicture],
    events: Sequence[LoggedEvent] = (),
    *,
    computer: Computer = UNKNOWN_COMPUTER,
    version: str = "",
    glyphs: Glyphs = BLOCKS,
    words: Words | None = None,
) -> Card:
    """Return the card on ``models``; ``words`` covers names, of which ``None`` leaves all as they are."""
    rows = [
        *_machine(pictures, computer),
        *_versions(pictures, version),
        *_gpus(pictures.gpus(), glyphs),
        *_troubled_sources(pictures),
        *_models(pictures, models, glyphs, whole.sentence),
        *(Row("also", one) for one in pictures.besides(whole)),
        *_events(events, pictures.now),
    ]
    head = head_word(whole, pictures) or ("OK" if whole.level == "ok" else "UNKNOWN")
    at = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(pictures.now)) if pictures.now else "no time"
    hidden = "names as they are" if words is None else "private names replaced"
    cover = words or (lambda text: text)
    return Card(
        cover(f"{head}: {whole.sentence}"),
        tuple(row._replace(text=visible(cover(row.text), LONGEST_WORDS).replace("→", "->")) for row in rows),
        f"{at}, gpumon why --card, {hidden}",
    )


def as_text(found: Card, cells: int = CARD_CELLS, glyphs: Glyphs = BLOCKS) -> str:
    """Return the card as plain text, no line of it longer than ``cells``."""
    rule = glyphs.rule * cells
    lines = [rule, *wrapped(found.verdict, cells), rule, *_body(found.rows, cells), rule]
    return "\n".join([*lines, *wrapped(found.foot, cells), ""])


def as_markdown(found: Card, cells: int = CARD_CELLS) -> str:
    """Return the card with the verdict in bold and all else in a fenced block, which keeps its columns."""
    body = "\n".join(_body(found.rows, cells))
    fence = "`" * max(3, 1 + max((len(one) for one in _TICKS.findall(body)), default=0))
    return f"**{_escaped(found.verdict)}**\n\n{fence}text\n{body}\n{fence}\n\n{_escaped(found.foot)}\n"


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is, and in which it sees nobody's name."""
    return _MARKUP.sub(r"\\\1", text)


def _body(rows: Iterable[Row], cells: int) -> Iterator[str]:
    before, room = "", cells - LABEL_CELLS
    for row in rows:
        if row.label == "model" and before:
            yield ""
        label, before = ("" if row.label == before else row.label), row.label
        last = " \\" if row.is_command else ""
        for number, line in enumerate(wrapped(row.text, room, last)):
            yield (padded("" if number else label, LABEL_CELLS) + line).rstrip()


def _bar(fraction: float, glyphs: Glyphs) -> str:
    full = min(BAR_CELLS, max(0, round(fraction * BAR_CELLS)))
    if 0 < fraction < 1:
        full = min(BAR_CELLS - 1, max(1, full))  # a trace is not nothing
    return glyphs.full * full + glyphs.empty * (BAR_CELLS - full)


def _machine(pictures: Pictures, computer: Computer) -> Iterator[Row]:
    state = pictures.state
    names: dict[str, int] = {}
    for gpu in pictures.gpus():
        size = f" {units.size(gpu.memory.total_bytes)}" if gpu.memory else ""
        name = f"{gpu.reading.name or 'GPU'}{size}"
        names[name] = names.get(name, 0) + 1
    for name, count in names.items():
        yield Row("machine", name if count == 1 else f"{count} x {name}")
    if not names:
        yield Row("machine", "no GPU that the driver shows")
    if state.system is not None:
        ram = state.system.sample
        free = f"RAM {units.size(ram.ram_total_bytes)}, {units.size(ram.ram_available_bytes)} available"
        swap = f", swap {units.size(ram.swap_used_bytes)} in use" if ram.swap_used_bytes else ""
        yield Row("machine", free + swap)
    yield from (Row("machine", one) for one in computer if one)


def _versions(pictures: Pictures, version: str) -> Iterator[Row]:
    state = pictures.state
    own = [f"gpumon {version}"] if version else []
    driver = [f"driver {state.driver_version}"] if state.driver_version else []
    servers = [
        f"{kind_label(source.kind)} {source.version or '(version not told)'}"
        for source in state.sources.values()
        if source.kind is not None and is_server(source.name)
    ]
    if words := ", ".join(dict.fromkeys((*own, *driver, *servers))):
        yield Row("versions", words)


def _gpus(gpus: Sequence[GpuPicture], glyphs: Glyphs) -> Iterator[Row]:
    for gpu in gpus:
        yield Row(gpu.label, ", ".join(_gpu_words(gpu, glyphs)))
        held = [one for one in gpu.segments if one.kind != "reserved"][:MOST_HOLDERS]
        if held and len(gpus) <= MOST_GPUS:
            yield Row(gpu.label, ", ".join(f"{one.label} {units.size(one.size_bytes)}" for one in held))


def _gpu_words(gpu: GpuPicture, glyphs: Glyphs) -> Iterator[str]:
    memory, reading = gpu.memory, gpu.reading
    if reading.state != "ok":
        yield reading.state
        return
    if memory is not None and memory.used_bytes is not None:
        bar = _bar(memory.used_bytes / memory.total_bytes if memory.total_bytes else 0.0, glyphs)
        yield f"{bar} {units.gib(memory.used_bytes)}/{units.gib(memory.total_bytes)} GiB"
    figures = (
        (reading.utilization_percent, units.percent),
        (reading.temperature_celsius, lambda value: f"{value:.0f} C"),
        (reading.power_watts, units.watts),
    )
    yield from (write(value) for value, write in figures if value is not None)
    yield from gpu.notes


def _troubled_sources(pictures: Pictures) -> Iterator[Row]:
    """Yield what does not answer, of the driver and the servers."""
    for source in pictures.state.sources.values():
        needed = is_server(source.name) or source.name == "nvml"
        if needed and not source.healthy and not source.is_pointless:
            words = "not answering" if source.silent_seconds is not None else short_source_words(source)
            yield Row("silent", f"{source_label(source.name, source.runtime)}: {words}")


def _models(pictures: Pictures, models: Sequence[ModelPicture], glyphs: Glyphs, said: str) -> Iterator[Row]:
    """Yield all on the models that are not well, and on those that are where they are few."""
    in_full = [one for one in models if one.level != "ok" or len(models) <= MOST_WELL]
    for model in in_full:
        yield from _model(model, pictures.details(model.key), glyphs, said)
    others = [one for one in models if one not in in_full]
    for model in others[:MOST_OTHERS]:
        words = (model.label, model.memory.processor, speed_words(model) or model.doing)
        yield Row("others", ", ".join(filter(None, words)))
    if len(others) > MOST_OTHERS:
        yield Row("others", f"and {len(others) - MOST_OTHERS} more that are well")


def _model(model: ModelPicture, details: ModelDetails | None, glyphs: Glyphs, said: str) -> Iterator[Row]:
    found, claim = model.diagnosis, model.claim
    facts = (claim.parameter_size, claim.quantization, claim.format)
    yield Row("model", ", ".join((model.label, *(visible(fact) for fact in facts if fact))))
    context = f"context {claim.context_length} tokens, " if claim.context_length else ""
    yield Row("", f"{context}{model.runtime_label}, {model.doing}")
    yield from _placed(model, glyphs)
    if rates := _rates(model, details):
        yield Row("rate", "; ".join(rates))
    if model.last is not None:
        yield Row("last", model.last.sentence)
    told = dict.fromkeys((model.sentence, *(one.sentence for one in found.verdicts[:MOST_VERDICTS])))
    yield from (Row("verdict", one) for one in told if one != said)
    if found.cause is not None:
        yield Row("cause", found.cause.sentence)
        evidence = found.cause.evidence[:MOST_EVIDENCE]
        yield from (Row("cause", f"- {one.name}: {one.value} ({one.source})") for one in evidence)
    for number, remedy in enumerate(found.remedies[:MOST_REMEDIES], start=1):
        yield from _cure(f"cure {number}", remedy)


def _placed(model: ModelPicture, glyphs: Glyphs) -> Iterator[Row]:
    """Yield how much of it is where: claimed, or estimated of a server that claims nothing."""
    memory, split = model.memory, model.memory.placement
    if split.spill_fraction is None:
        yield Row("placed", "placement unknown")
    else:
        about = "" if memory.claims_memory else " (estimate)"
        parts = ((split.gpu_bytes, "on GPU"), (split.ram_bytes, "in RAM"))
        words = ", ".join(f"{units.size(size)} {where}" for size, where in parts if size)
        yield Row("placed", f"{_bar(1 - split.spill_fraction, glyphs)} {memory.processor}")
        yield Row("placed", f"{words}{about}")
    if memory.agreement.kind in {"driver_sees_more", "driver_sees_less"}:
        yield Row("placed", f"the driver measures {units.size(memory.measured_vram_bytes)}")


def _rates(model: ModelPicture, details: ModelDetails | None) -> list[str]:
    """Return the rates now, before and if it fitted, each marked where it is an estimate."""
    found, usual, said = model.diagnosis, details.usual if details else None, []
    live, last = model.rates.decode_tokens_per_second, found.decode_tokens_per_second_now
    before = found.decode_tokens_per_second_before
    if speed := speed_words(model):
        said.append(f"{speed} now{' (estimate)' if live is not None and model.rates.is_estimate else ''}")
    elif last is not None:
        said.append(f"{units.rate(last)} when it was last at work")
    elif found.expected_now is not None and model.memory.spill_percent:
        said.append(f"{band_words(found.expected_now)} now (estimate)")
    if before is not None:
        said.append(f"{units.rate(before)} before, measured")
    elif usual is not None and usual.decode_tokens_per_second is not None:
        said.append(
            f"{units.rate(usual.decode_tokens_per_second)} usually, of {usual.request_count} requests"
        )
    if model.memory.spill_percent and found.expected_fitting is not None:
        said.append(f"{band_words(found.expected_fitting)} if it fitted (estimate)")
    if found.seconds_per_step is not None:
        earlier, later = map(units.step_rate, found.seconds_per_step)
        said.append(f"{earlier} before" if said else f"{later} now; {earlier} before")
    return said


def _cure(label: str, remedy: Remedy) -> Iterator[Row]:
    yield Row(label, remedy_words(remedy))
    if remedy.command is not None:
        where = f" ({remedy.where})" if remedy.where else ""
        yield Row(label, f"type{where}:")
        yield Row(label, remedy.command, is_command=remedy.where is None)


def _events(events: Sequence[LoggedEvent], now: float) -> Iterator[Row]:
    """Yield what has happened lately, the newest first."""
    lately = [event for event in events if event.lasts or now - event.time <= EVENT_SECONDS]
    for event in reversed(lately[-MOST_EVENTS:]):
        yield Row("events", f"{units.duration(now - event.time)} ago: {event.words}")
