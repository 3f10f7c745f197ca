"""What the widgets are handed: small frozen values, no source, no store, no clock.

``None`` is unknown and is drawn as a dash or left out, never as zero.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from gpumon.widgets.kit import gauges
from gpumon.widgets.kit.lines import Level, Role

BarPart = gauges.BarPart
"""A segment of a bar: its size in any unit, and what it stands for."""
Trend = gauges.Trend
"""One value per cell, oldest first; ``None`` is a gap."""


class VerdictView(Struct, frozen=True):
    """The first lines: the worst thing that is true now, in a sentence and, where it can be, taken apart."""

    level: Level
    sentence: str
    """All of it; drawn where there is no ``head``."""
    head: str = ""
    """What is wrong in a word or two, in capitals: ``SPILLED``."""
    subject: str = ""
    """What it is about: the name of a model, ``GPU 0``."""
    facts: tuple[str, ...] = ()
    """What it amounts to and what it costs, the most important first: ``38% in RAM``, ``7.0 tok/s``."""
    cause: str = ""
    remedy: str = ""
    """The line to type."""
    where: str = ""
    """Where it is typed."""
    keys: tuple[tuple[str, str], ...] = ()
    """Keys that help now, and what they do."""
    marks: tuple[str, ...] = ()
    """Words that must be seen whatever the width: ``DEMO``, ``REPLAY 4x``, ``PAUSED``, ``REC``."""
    right: tuple[str, ...] = ()
    """Facts at the right edge, dropped from the front as the width shrinks: versions, interval, time."""


class InstalledRow(Struct, frozen=True):
    """A model on a server's disk."""

    key: str
    name: str
    size_bytes: int | None = None
    server: str = ""
    """Where two servers have one of this name."""
    needed_bytes: int | None = None
    """What it takes wholly on GPU."""
    level: Level = "unknown"
    here: tuple[str, ...] = ()
    """Whether it fits, in short and in ever more words; nothing where that is not known."""
    tokens_per_second: tuple[float, float, float] | None = None
    """An estimate: low, expected, high."""
    context_length: int | None = None
    """The largest with which all of it is on GPU; 0: there is none."""


class HostRow(Struct, frozen=True):
    """One of several machines."""

    key: str
    name: str
    level: Level = "unknown"
    head: str = ""
    """What is wrong there in a word or two, in capitals: ``SPILLED``."""
    subject: str = ""
    facts: tuple[str, ...] = ()
    """What it amounts to and what it costs, the most important first."""
    sentence: str = ""
    """How things are there; drawn where there is no ``head``."""
    cause: str = ""
    remedy: str = ""
    """The line to type."""
    where: str = ""
    """Where it is typed."""
    gpus: tuple[tuple[int | None, int | None], ...] = ()
    """Of each GPU the bytes in use and all that it has."""
    tokens_per_second: float | None = None
    models: int | None = None
    loading: int = 0
    age_seconds: float | None = None
    """Since the newest sample came; ``None`` before the first."""
    is_old: bool = False
    """Whether what is said of it is as it was then."""
    notes: tuple[str, ...] = ()
    """What else is to be known of it: ``clock 14s ahead``."""


class ChoiceRow(Struct, frozen=True):
    """Something to choose, and a word beside it."""

    key: str
    title: str
    note: str = ""


SegmentKind = Literal["model", "process", "reserved"]


class BarSegment(Struct, frozen=True):
    """One part of a memory bar."""

    label: str
    size_bytes: int
    kind: SegmentKind


class GpuRow(Struct, frozen=True):
    """One GPU. Bytes of all ``segments`` and ``free_bytes`` add up to at most ``total_bytes``."""

    key: str
    index: int
    name: str
    level: Level = "unknown"
    total_bytes: int | None = None
    used_bytes: int | None = None
    free_bytes: int | None = None
    segments: tuple[BarSegment, ...] = ()
    unified: bool = False
    """The memory is system RAM shared with the CPU; must be labelled "unified"."""
    utilization_percent: float | None = None
    utilization_trend: Trend = ()
    planned_bytes: int = 0
    """What a load has yet to take of it; an estimate."""
    power_watts: float | None = None
    power_limit_watts: float | None = None
    temperature_celsius: float | None = None
    slowdown_celsius: float | None = None
    """The card's own limit; the temperature is read relative to it."""
    notes: tuple[str, ...] = ()
    """Words that explain its level, most important first: ``power cap``, ``PCIe x4 of x16``, ``asleep``."""
    age_seconds: float | None = None
    """Set when the values are old: they are then dimmed and the age is shown."""


class JobView(Struct, frozen=True):
    """The picture that an image generator works on; ``None`` is unknown."""

    step: int | None = None
    step_count: int | None = None
    seconds_per_step: float | None = None
    elapsed_seconds: float | None = None


class ModelRow(Struct, frozen=True):
    """One loaded model.

    ``gpu_bytes`` and ``ram_bytes`` are the runtime's claim; of one that makes none ``gpu_bytes`` is measured.
    """

    key: str
    name: str
    level: Level = "unknown"
    runtime: str = ""
    """What serves it: ``llama-server``; drawn where the rows have several."""
    quantization: str | None = None
    parameter_size: str | None = None
    gpu_bytes: int | None = None
    ram_bytes: int | None = None
    ram_is_estimate: bool = False
    """Whether the runtime claims nothing, and ``ram_bytes`` is what its settings keep there."""
    spill_percent: str = ""
    """How much of it is spilled: ``34%``, ``<1%``, ``~57%`` where estimated; empty where nothing is."""
    context_length: int | None = None
    context_used_tokens: int | None = None
    decode_tokens_per_second: float | None = None
    rate_is_estimate: bool = False
    full_tokens_per_second: float | None = None
    """How fast it is where all of it is on GPUs, at least as fast as it is now."""
    peak_tokens_per_second: float | None = None
    """The highest rate that it has held for some seconds in this run."""
    rate_trend: Trend = ()
    has_no_gpu: bool = False
    """Whether there is none that it could be on: its part in RAM is drawn as where it belongs."""
    state: str = ""
    """``loading``, ``busy``, ``idle``, ``stopping``, …"""
    until: str = ""
    """``4 minutes from now``, ``Forever``, ``-``; of a load, the time left: ``8s left``."""
    time_left: str = ""
    """The same in short where it is a time: ``4m 12s``."""
    is_loading: bool = False
    """Whether it is on its way: words then stand in place of figures."""
    planned_gpu_bytes: int | None = None
    """What a load will have taken of GPUs at its end; an estimate."""
    planned_ram_bytes: int | None = None
    """What of it will be in RAM; an estimate."""
    notes: tuple[str, ...] = ()
    """What is said first on its second line: a disagreement, the rate of a load."""
    age_seconds: float | None = None
    left_seconds: float | None = None
    """Since when it has not been loaded any more; ``None`` of one that is loaded or loading."""
    left_reason: str = ""
    """Why it has left, in a few words: ``expired``, ``made room for qwen3:14b``."""
    makes_pictures: bool = False
    """Whether it is an image generator: no figure of tokens is drawn for it."""
    job: JobView | None = None


class MemoryRow(Struct, frozen=True):
    """RAM, swap and CPU of the machine."""

    level: Level = "unknown"
    total_bytes: int | None = None
    used_bytes: int | None = None
    available_bytes: int | None = None
    models_belong_there: bool = False
    """Whether there is no GPU that they could be on."""
    model_bytes: int | None = None
    """Part of RAM that spilled models occupy by the runtimes' claims."""
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    swap_in_bytes_per_second: float | None = None
    swap_out_bytes_per_second: float | None = None
    cpu_percent: float | None = None
    pressure_percent: float | None = None
    age_seconds: float | None = None


class SourceRow(Struct, frozen=True):
    """A source that does not deliver, and what to do about it."""

    level: Level
    name: str
    words: str
    hint: str = ""


class EventRow(Struct, frozen=True):
    """One line of what has happened."""

    key: str
    time: str
    """Local clock time: ``14:02:11``."""
    ways: tuple[str, ...]
    """What happened, ever more briefly."""
    bare: tuple[str, ...] = ()
    """The same without the name of its model, for where all events are about one."""
    model: str = ""
    """The name of the model that it is about."""
    names: tuple[str, ...] = ()
    """Names in it that may be shortened, so that the figures are seen."""
    level: Level | None = None
    """Of an alert."""
    lasting: str = ""
    """How long an alert lasts or did last: ``14s``."""
    ongoing: bool = False
    """Whether it lasts still."""
    acknowledged: bool = False
    opens: tuple[str, str] | None = None
    """Panel and key of the row that it is about."""
    at: float = 0.0
    """Unix time."""
    number: int = 0
    """Tells it from all others of this run."""


class Fact(Struct, frozen=True):
    """A labelled figure on a detail page, with where it comes from."""

    label: str
    value: str
    origin: str = ""
    """``NVML``, ``/api/ps``, ``estimate``, …"""
    level: Level | None = None


class ChartSeries(Struct, frozen=True):
    """One area of a chart; ``values`` are evenly spaced, oldest first, ``None`` is a gap."""

    label: str
    values: Trend
    maxima: Trend = ()
    role: Role = "model"
    """What it stands for: gives its colour and, where there are several, what it is filled with."""
    value: str = ""
    """Its newest value in words, where a chart has several."""


class ChartView(Struct, frozen=True):
    """A history chart with axes."""

    title: str
    unit: str
    seconds: float
    """Time from the left edge to the right one."""
    series: tuple[ChartSeries, ...]
    ceiling: float | None = None
    """What the scale reaches at least; its top is the next round number. The bottom is always 0."""
    value: str = ""
    """The newest value in words, beside the title."""
    limit: float | None = None
    """A dashed line: a capacity, or the rate that could be."""
    limit_words: str = ""
    """What that line is: ``full ~47``."""
    stacked: bool = False
    """Whether the areas stand one upon the other, the first at the bottom."""
    end: float | None = None
    """Unix time of the right edge, for an axis in clock time."""
    marks: tuple[tuple[float, str], ...] = ()
    """What happened: seconds before the right edge, and a word."""


class BarRow(Struct, frozen=True):
    """A figure with a bar, or with the words that stand in place of one."""

    label: str
    figure: str = ""
    parts: tuple[BarPart, ...] = ()
    scale: float = 0.0
    """What the whole length of a bar would be."""
    note: str = ""
    tracked: bool = False
    """Whether what a bar leaves of its scale is drawn."""
    level: Level | None = None


class CureRow(Struct, frozen=True):
    """Something that would help: the line to type, and what comes of it. Unknown figures are empty."""

    line: str
    words: str = ""
    """Where the line goes, and what it does."""
    context: str = ""
    rate: str = ""
    vram: str = ""
    has_command: bool = True
    """Whether ``line`` is one to type; else it says what to do."""


class RequestRow(Struct, frozen=True):
    """A request that runs or has ended. Unknown figures are empty."""

    started: str
    prompt: str = ""
    reply: str = ""
    rate: str = ""
    took: str = ""
    runs: bool = False
    kept: str = ""
    """Tokens of the prompt that were not read again."""
    first: str = ""
    """Until the first token of the answer."""


class Section(Struct, frozen=True):
    """A titled part of a page: figures in words, with bars, or in a table."""

    title: str
    note: str = ""
    """What stands at the right of the title."""
    facts: tuple[Fact, ...] = ()
    cures: tuple[CureRow, ...] = ()
    bars: tuple[BarRow, ...] = ()
    requests: tuple[RequestRow, ...] = ()
