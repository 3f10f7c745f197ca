"""A report as a document: sections of tables, findings and pictures, written as text and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gpumon.text import units
from gpumon.text.safe import visible

WIDTH = 80
"""Columns of the text."""
LEGEND = "- is what is not known, ~ an estimate"
SHORTEST_NAME = 10
BAR_WIDTH = 40
BLOCKS, ASCII_BLOCKS = " ▏▎▍▌▋▊▉█", " .-=#"


class Column(NamedTuple):
    """A column of a table."""

    title: str
    is_figure: bool = True
    """Whether it stands at the right."""
    gives: bool = False
    """Whether it is made shorter where there is not room for all."""


class Grid(NamedTuple):
    """A table."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


class Finding(NamedTuple):
    """Something that was wrong, with what is to be said of it."""

    level: str
    head: str
    facts: Sequence[tuple[str, str]]
    """A word for each, such as ``cost``, and the sentence."""
    command: str | None = None
    """A line to type."""


class Bars(NamedTuple):
    """Amounts by time, stacked by what they are of."""

    steps: Sequence[str]
    """What each bar is called."""
    series: Sequence[tuple[str, Sequence[float]]]
    unit: str


class Trend(NamedTuple):
    """A figure by time: of each step the mean and the peak, ``None`` where it is not known."""

    title: str
    unit: str
    top: float
    points: Sequence[tuple[float | None, float | None]]
    starts: tuple[str, str]
    """The time at which it begins and ends."""
    marked: Sequence[bool] = ()
    """Steps in which something held it back."""
    mark: str = ""


class Words(NamedTuple):
    """A sentence."""

    text: str


Block = Grid | Finding | Bars | Trend | Words


class Section(NamedTuple):
    """A part of the report."""

    title: str
    blocks: Sequence[Block]


class Document(NamedTuple):
    """A report."""

    title: str
    lines: Sequence[str]
    """What it is of."""
    sections: Sequence[Section]


def text_lines(document: Document, *, is_unicode: bool = True) -> Iterator[str]:
    """Write it for a terminal, at most 80 columns wide."""
    yield document.title
    for line in document.lines:
        yield from _wrapped(line, "", "")
    rule = "─" if is_unicode else "-"
    for section in document.sections:
        yield ""
        yield f"{rule * 2} {section.title} ".ljust(WIDTH, rule)
        for block in section.blocks:
            yield from _block_lines(block, is_unicode=is_unicode)
    yield ""
    yield LEGEND


def _block_lines(block: Block, *, is_unicode: bool) -> Iterator[str]:
    match block:
        case Grid():
            yield from _grid_lines(block)
        case Finding():
            yield from _finding_lines(block, "▲" if is_unicode else "!", "▸" if is_unicode else ">")
        case Bars():
            yield from _bar_lines(block, BLOCKS if is_unicode else ASCII_BLOCKS)
        case Words():
            yield from _wrapped(block.text, "", "")
        case Trend():
            return  # the tables have its figures


def _grid_lines(grid: Grid) -> Iterator[str]:
    cells = [[column.title for column in grid.columns], *grid.rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(grid.columns))]
    giving = [at for at, column in enumerate(grid.columns) if column.gives]
    while sum(widths) + 2 * len(widths) - 2 > WIDTH and giving:
        widest = max(giving, key=lambda at: widths[at])
        if widths[widest] <= SHORTEST_NAME:
            break
        widths[widest] -= 1
    for row in cells:
        parts = (
            cell.rjust(width) if column.is_figure else _cut(cell, width).ljust(width)
            for cell, width, column in zip(row, widths, grid.columns, strict=True)
        )
        yield "  ".join(parts).rstrip()


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"{cell[: width - 1]}~"


def _finding_lines(finding: Finding, mark: str, prompt: str) -> Iterator[str]:
    yield from _wrapped(finding.head, f"{mark} ", "  ")
    indent = max((len(label) for label, _ in finding.facts), default=0) + 4
    for label, words in finding.facts:
        yield from _wrapped(words, f"  {label.ljust(indent - 4)}  ", " " * indent)
    if finding.command:
        yield f"{' ' * indent}{prompt} {finding.command}"


def _wrapped(words: str, first: str, then: str) -> Iterator[str]:
    """Yield a sentence in lines; a word that is longer than a line stays whole."""
    line, is_empty = first, True
    for word in words.split():
        if not is_empty and len(line) + 1 + len(word) > WIDTH:
            yield line
            line, is_empty = then, True
        line += word if is_empty else f" {word}"
        is_empty = False
    if not is_empty:
        yield line


def _bar_lines(bars: Bars, blocks: str) -> Iterator[str]:
    totals = [sum(values) for values in zip(*(values for _, values in bars.series), strict=True)]
    top, width = max(totals, default=0.0), max(map(len, bars.steps), default=0)
    for step, total in zip(bars.steps, totals, strict=True):
        eighths = round(total / top * BAR_WIDTH * (len(blocks) - 1)) if top else 0
        whole, rest = divmod(eighths, len(blocks) - 1)
        bar = blocks[-1] * whole + (blocks[rest] if rest else "")
        yield f"{step.ljust(width)}  {bar} {total:,.0f}" if total else f"{step.ljust(width)}  {units.UNKNOWN}"


def markdown_lines(document: Document) -> Iterator[str]:
    """Write it to be pasted where Markdown is read."""
    yield f"## {_escaped(document.title)}"
    for line in document.lines:
        yield ""
        yield _escaped(line)
    for section in document.sections:
        yield ""
        yield f"### {_escaped(section.title)}"
        for block in section.blocks:
            yield from _markdown_block(block)
    yield ""
    yield LEGEND


def _markdown_block(block: Block) -> Iterator[str]:
    match block:
        case Grid():
            yield ""
            yield _row(column.title for column in block.columns)
            yield _row("---:" if column.is_figure else "---" for column in block.columns)
            yield from (_row(map(_escaped, row)) for row in block.rows)
        case Finding():
            yield ""
            yield f"- **{_escaped(block.head)}**"
            yield from (f"  - {label}: {_escaped(words)}" for label, words in block.facts)
            if block.command:
                yield f"  - `{block.command.replace('`', '')}`"
        case Bars():
            yield from ("", "```text", *_bar_lines(block, BLOCKS), "```")
        case Words():
            yield from ("", _escaped(block.text))
        case Trend():
            return


def _row(cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"  # type: ignore[call-overload]  # whatever can be gone through


def _escaped(text: str) -> str:
    for mark in "\\`*_|<>[]":
        text = text.replace(mark, f"\\{mark}")
    return text


def short(name: str, limit: int = 60) -> str:
    """Return a name from outside as it may be shown."""
    return visible(name, limit)
