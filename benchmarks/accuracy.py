"""How far predictions lie from published measurements: ``make accuracy`` writes the tables of the docs.

``python -m benchmarks.accuracy`` prints every row; with ``--write`` the tables in docs/speed.md and
docs/memory.md are written again. The rows are in tests/app/physics/measured.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.app.physics.allocated import ALLOCATED, LOADS
from tests.app.physics.measured.rows import (
    CARDS,
    CPU,
    DECODE,
    EXPERTS,
    GRAPHS,
    MEMORY,
    SPLIT,
    DecodeRow,
    MemoryRow,
    hardware,
    predicted,
    predicted_bytes,
)

from gpumon.app.physics.memory import kv_cache_bytes
from gpumon.app.physics.shape import geometry_of

DOCS = Path(__file__).parents[1] / "docs"
MIB = 2**20


class Error(NamedTuple):
    """How far the product was from one row."""

    name: str
    group: str
    ratio: float
    """Predicted over measured, less one."""
    fitted: bool
    is_inside: bool | None = None
    """Whether the measurement is in the band that the product gives."""
    source: str = ""


class Summary(NamedTuple):
    """The errors of several rows."""

    rows: int
    median: float
    nine_of_ten: float
    inside: int

    @property
    def words(self) -> str:
        """As cells of a table."""
        if not self.rows:
            return "0 | | "
        return f"{self.rows} | {percent(self.median)} | {percent(self.nine_of_ten)}"


GENERATIONS = {
    "nvidia_turing": "Turing",
    "nvidia_gddr6": "Ampere, GDDR6",
    "nvidia_ada": "Ada",
    "nvidia_gddr7": "Blackwell, GDDR7",
    "nvidia_volta": "V100",
    "nvidia_hbm": "A100",
    "nvidia_hopper": "H100, H200",
    "nvidia_pascal": "Pascal",
    "nvidia_gtx1050": "GTX 1050 Ti",
    "nvidia_p40": "P40",
    "nvidia_p100": "P100",
    "nvidia_soc": "GB10",
}
NVIDIA, OLD = "NVIDIA, all on GPU", "NVIDIA, builds of 2024"
BY_VULKAN = "NVIDIA by Vulkan"
WHERE = {SPLIT: "partly in RAM, dense", EXPERTS: "experts in RAM", CPU: "no GPU"}
ORDER = (
    NVIDIA,
    *GENERATIONS.values(),
    OLD,
    BY_VULKAN,
    "Radeon by Vulkan",
    "Radeon by HIP",
    "APU",
    *WHERE.values(),
)


def percent(share: float) -> str:
    """Return a share as the docs have it: two digits where they say something."""
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"


def summary(errors: Sequence[Error]) -> Summary:
    """Return count, median and the error that nine of ten stay within."""
    if not errors:
        return Summary(0, 0.0, 0.0, 0)
    sizes = sorted(abs(one.ratio) for one in errors)
    ninth = sizes[min(len(sizes) - 1, int(0.9 * len(sizes)))]
    return Summary(len(sizes), median(sizes), ninth, sum(one.is_inside is not False for one in errors))


def decode_group(row: DecodeRow) -> str:
    """Return the line of the table that a rate belongs to."""
    if row.kind in WHERE:
        return WHERE[row.kind]
    card_class = CARDS[row.card].card_class
    if card_class == "apu":
        return "APU"
    if card_class == "amd":
        return f"Radeon by {'HIP' if row.backend == 'hip' else 'Vulkan'}"
    if row.build_2024:
        return OLD
    return BY_VULKAN if row.backend == "vulkan" else GENERATIONS[hardware(row).cards[0].generation]


def decode_errors() -> list[Error]:
    """Return those of all rates."""
    found = []
    for row in DECODE:
        band = predicted(row)
        inside = band.low <= row.rate <= band.high
        group = decode_group(row)
        found.append(Error(row.name, group, band.expected / row.rate - 1, row.fitted, inside, row.source))
    return found


def memory_group(row: MemoryRow) -> str:
    """Return the line of the table that a reading belongs to."""
    if row.build_2024:
        return "on one GPU, builds before 2026"
    return "partly on the GPU" if row.layers is not None else "all on one GPU"


def memory_errors() -> list[Error]:
    """Return those of caches, compute buffers and totals."""
    found = list(_cache_errors())
    for graph in GRAPHS:
        ratio = graph.predicted_mib / graph.mib - 1
        name = f"{graph.model}, {graph.context} tokens"
        found.append(Error(name, "compute buffer", ratio, fitted=graph.model.startswith("qwen")))
    for row in MEMORY:
        ratio = predicted_bytes(row) / MIB / row.mib - 1
        found.append(Error(row.name, memory_group(row), ratio, row.fitted, source=row.source))
    return found


def _cache_errors() -> Iterator[Error]:
    for name, row in ALLOCATED.items():
        shape = geometry_of(row.model, 2**30)
        for options, mib in zip(LOADS, row.cache_mib, strict=False):
            if mib and not isinstance(shape, tuple):
                ratio = kv_cache_bytes(shape, options) / MIB / mib - 1
                yield Error(f"{name}, {options.context_length} tokens", "K and V", ratio, fitted=False)


def grouped(errors: Iterable[Error]) -> dict[str, list[Error]]:
    """Return errors by line of a table, NVIDIA's together as well."""
    groups: dict[str, list[Error]] = defaultdict(list)
    for error in errors:
        groups[error.group].append(error)
        if error.group in GENERATIONS.values():
            groups[NVIDIA].append(error)
    return groups


def table(groups: dict[str, list[Error]], order: Sequence[str], *, bands: bool) -> list[str]:
    """Return the errors of rows that constants were fitted to beside those of rows never seen."""
    end = (" in the band |", " --- |") if bands else ("", "")
    lines = [
        "| | fitted: rows | median | nine of ten | never seen: rows | median | nine of ten |"
        f"{end[0]} worst |",
        f"| --- | --- | --- | --- | --- | --- | --- |{end[1]} --- |",
    ]
    for name in order:
        errors = groups.get(name, [])
        if not errors:
            continue
        seen, unseen = ([one for one in errors if one.fitted == fitted] for fitted in (True, False))
        worst = max(errors, key=lambda one: abs(one.ratio))
        inside = f" {summary(unseen).inside} of {len(unseen)} |" if bands else ""
        cells = f"| {name} | {summary(seen).words} | {summary(unseen).words} |{inside}"
        lines.append(f"{cells} {100 * worst.ratio:+.0f} % {worst.name} |".replace("|  |", "| |"))
    return lines


def sources(rows: Iterable[DecodeRow | MemoryRow]) -> list[str]:
    """Return where the rows were published, with how many there are of each."""
    counts: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for row in rows:
        place = re.sub(
            r"^(github\.com/AlexsJones/llmfit).*", r"\1 (community data, pull requests)", row.source
        )
        place = re.sub(r"^(github\.com/FedericoTs/quantprobe).*", r"\1", place)
        counts[place, row.fitted].append(row.date)
    lines = ["| source | rows | published | |", "| --- | --- | --- | --- |"]
    for (place, fitted), dates in sorted(counts.items(), key=lambda item: -len(item[1])):
        span = min(dates) if min(dates) == max(dates) else f"{min(dates)} to {max(dates)}"
        lines.append(f"| {place} | {len(dates)} | {span} | {'fitted' if fitted else 'never seen'} |")
    return lines


def calibrated(errors: Sequence[Error]) -> Summary:
    """Return the errors where the other rates of the same card scale a prediction."""
    kin: dict[str, list[Error]] = defaultdict(list)
    for error in errors:
        kin[error.name.rpartition(" on ")[2]].append(error)
    left = []
    for group in kin.values():
        for index, error in enumerate(group):
            others = [1 + one.ratio for place, one in enumerate(group) if place != index]
            if others:
                left.append(error._replace(ratio=(1 + error.ratio) / median(others) - 1))
    return summary(left)


def decode_table() -> list[str]:
    """Return what docs/speed.md says of errors."""
    groups = grouped(decode_errors())
    after = calibrated(groups[NVIDIA])
    note = (
        f"After other rates of the same card were observed: median {percent(after.median)}, nine of ten "
        f"{percent(after.nine_of_ten)} ({after.rows} rates on NVIDIA cards)."
    )
    return [*table(groups, ORDER, bands=True), "", note]


def memory_table() -> list[str]:
    """Return what docs/memory.md says of errors."""
    order = (
        "K and V",
        "compute buffer",
        "all on one GPU",
        "partly on the GPU",
        "on one GPU, builds before 2026",
    )
    return table(grouped(memory_errors()), order, bands=False)


TABLES: dict[tuple[str, str], Callable[[], list[str]]] = {
    ("speed.md", "decode"): decode_table,
    ("speed.md", "sources"): lambda: sources(DECODE),
    ("memory.md", "memory"): memory_table,
    ("memory.md", "sources"): lambda: sources(MEMORY),
}
"""By file and mark: ``<!-- accuracy: decode -->`` until ``<!-- end -->``."""


def with_tables(name: str, text: str) -> str:
    """Return a document with its tables as a run has them."""
    for (file, mark), made in TABLES.items():
        if file == name:
            begin, end = f"<!-- accuracy: {mark} -->\n", "<!-- end -->"
            before, _, rest = text.partition(begin)
            after = rest.partition(end)[2]
            text = before + begin + "\n".join(made()) + "\n" + end + after
    return text


def main() -> int:
    """Print every row, the worst last; write the tables where that is asked for."""
    if "--write" in sys.argv:
        for name in {file for file, _ in TABLES}:
            path = DOCS / name
            path.write_text(with_tables(name, path.read_text("utf-8")), "utf-8")
        return 0
    for error in sorted((*decode_errors(), *memory_errors()), key=lambda one: abs(one.ratio)):
        seen = "fitted" if error.fitted else "never seen"
        sys.stdout.write(
            f"{100 * error.ratio:+7.1f} %  {error.group}  {error.name}  ({seen}; {error.source})\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
