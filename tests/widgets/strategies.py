"""Any view at all: unknown, absurd and hostile values in every field."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from gpumon.widgets.hints import Hint
from gpumon.widgets.kit.lines import Level
from gpumon.widgets.views import (
    BarPart,
    BarRow,
    BarSegment,
    ChartSeries,
    ChartView,
    CureRow,
    EventRow,
    Fact,
    GpuRow,
    HostRow,
    InstalledRow,
    MemoryRow,
    ModelRow,
    RequestRow,
    Section,
    SourceRow,
    VerdictView,
)

HOSTILE = [
    "[red]x[/red]",
    "\x1b[31mred\x1b[0m",
    "千问:7b",
    "שלום",
    "e\u0301\u200d\u202e",
    "a\nb\tc",
    "👩‍🔬",
    "x" * 300,
]
names = st.sampled_from(HOSTILE) | st.text(max_size=30)
levels = st.sampled_from(get_args(Level))
sizes = st.none() | st.integers(0, 2**45)
figures = st.none() | st.floats(-1e6, 1e6)
ages = st.none() | st.floats(0, 1e8)
trends = st.lists(figures, max_size=80).map(tuple)
words = st.lists(names, max_size=3).map(tuple)

segments = st.builds(
    BarSegment, names, st.integers(0, 2**45), st.sampled_from(["model", "process", "reserved"])
)
gpus = st.builds(
    GpuRow,
    key=st.uuids().map(str),
    index=st.integers(0, 99),
    name=names,
    level=levels,
    total_bytes=sizes,
    used_bytes=sizes,
    free_bytes=sizes,
    segments=st.lists(segments, max_size=8).map(tuple),
    unified=st.booleans(),
    utilization_percent=figures,
    utilization_trend=trends,
    planned_bytes=st.integers(0, 2**40),
    power_watts=figures,
    power_limit_watts=figures,
    temperature_celsius=figures,
    slowdown_celsius=figures,
    notes=words,
    age_seconds=ages,
)
models = st.builds(
    ModelRow,
    key=st.uuids().map(str),
    name=names,
    level=levels,
    runtime=names,
    quantization=st.none() | names,
    parameter_size=st.none() | names,
    gpu_bytes=sizes,
    ram_bytes=sizes,
    spill_percent=names,
    context_length=st.none() | st.integers(0, 10**7),
    context_used_tokens=st.none() | st.integers(0, 10**7),
    decode_tokens_per_second=figures,
    rate_is_estimate=st.booleans(),
    rate_trend=trends,
    state=names,
    until=names,
    time_left=names,
    notes=words,
    age_seconds=ages,
)
memories = st.builds(
    MemoryRow,
    level=levels,
    total_bytes=sizes,
    used_bytes=sizes,
    available_bytes=sizes,
    model_bytes=sizes,
    swap_total_bytes=sizes,
    swap_used_bytes=sizes,
    swap_in_bytes_per_second=figures,
    swap_out_bytes_per_second=figures,
    cpu_percent=figures,
    pressure_percent=figures,
    age_seconds=ages,
)
sources = st.builds(SourceRow, levels, names, names, names)
events = st.builds(
    EventRow,
    key=names,
    time=names,
    ways=st.lists(names, min_size=1, max_size=3).map(tuple),
    bare=words,
    model=names,
    names=words,
    level=st.none() | levels,
    lasting=names,
    ongoing=st.booleans(),
    acknowledged=st.booleans(),
)
rates = st.none() | st.tuples(*[st.floats(0, 1e6)] * 3)
installed = st.builds(
    InstalledRow,
    names,
    names,
    st.none() | st.integers(0, 2**60),
    names,
    st.none() | st.integers(0, 2**60),
    levels,
    words,
    rates,
    st.none() | st.integers(0, 2**24),
)
_sizes = st.none() | st.integers(0, 2**60)
hosts = st.builds(
    HostRow,
    names,
    names,
    levels,
    st.sampled_from(["", "SPILLED"]),
    names,
    words,
    names,
    names,
    names,
    names,
    st.lists(st.tuples(_sizes, _sizes), max_size=9).map(tuple),
    st.none() | st.floats(0, 1e9),
    st.none() | st.integers(0, 10_000),
    st.integers(0, 20),
    st.none() | st.floats(0, 1e9),
    st.booleans(),
)
facts = st.builds(Fact, names, names, names, st.none() | levels)
verdicts = st.builds(
    VerdictView,
    levels,
    names,
    marks=words,
    right=words,
    head=st.sampled_from(["", "SPILLED"]),
    subject=names,
    facts=words,
    cause=names,
    remedy=names,
    where=names,
    keys=st.lists(st.tuples(names, names), max_size=2).map(tuple),
)
_hints = st.lists(st.builds(Hint, names, names, names, st.none() | st.booleans()), max_size=6).map(tuple)
hints = st.tuples(_hints, _hints, _hints)
areas = st.builds(ChartSeries, names, trends, trends, st.sampled_from(["model", "ram", "rate"]), names)
charts = st.builds(
    ChartView,
    names,
    names,
    st.floats(0, 1e7),
    st.lists(areas, max_size=4).map(tuple),
    st.none() | st.floats(0.1, 1e6),
    value=names,
    limit=st.none() | st.floats(0, 1e6),
    limit_words=names,
    stacked=st.booleans(),
    end=st.none() | st.floats(0, 2e9),
    marks=st.lists(st.tuples(st.floats(0, 1e7), names), max_size=3).map(tuple),
)
parts = st.builds(BarPart, st.floats(0, 1e6), st.sampled_from(["model", "ram", "track"]))
bars = st.builds(
    BarRow, names, names, st.lists(parts, max_size=3).map(tuple), st.floats(0, 1e6), names, st.booleans()
)
cures = st.builds(CureRow, names, names, names, names, names, st.booleans())
requests = st.builds(RequestRow, names, names, names, names, names, st.booleans())
sections = st.builds(
    Section,
    names,
    names,
    st.lists(facts, max_size=2).map(tuple),
    st.lists(cures, max_size=2).map(tuple),
    st.lists(bars, max_size=2).map(tuple),
    st.lists(requests, max_size=2).map(tuple),
)
