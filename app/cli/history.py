"""``gpumon history``: what was kept of earlier runs, as a table or for programs."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gpumon.app.cli.flags import Commands, add_command
from gpumon.app.cli.output import json_line, print_text
from gpumon.app.errors import GpumonError, did_you_mean
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gpumon.app.history.printed import Table
    from gpumon.app.history.reader import History
    from gpumon.app.history.rows import Row, Span

KINDS = {
    "requests": "each request in a line",
    "loads": "each load in a line",
    "events": "what happened, alerts included",
    "troubles": "what was wrong with models, why, and what would have helped",
    "gpus": "GPUs by the hour or day",
}
TIME_HELP = "7d, 24h or 90m ago, 2026-11-01, 2026-11-01T14:30, today or yesterday"
_WHAT = "history"


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "history", "print what was kept: models by the hour or day, requests, loads"
    )
    parser.add_argument(
        "--since", type=when, metavar="TIME", help=f"from when on: {TIME_HELP}; 24h if not set"
    )
    parser.add_argument("--until", type=when, metavar="TIME", help="until before when; now if not set")
    parser.add_argument("--model", metavar="NAME", help="of one model alone")
    kinds = parser.add_mutually_exclusive_group()
    for kind, words in KINDS.items():
        kinds.add_argument(f"--{kind}", action="store_const", const=kind, dest="kind", help=words)
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--csv", action="store_true", help="print every row as CSV: of models and GPUs by the minute"
    )
    form.add_argument("--json", action="store_true", help="print every row as JSON")
    parser.add_argument(
        "--redact", action="store_true", help="with stand-ins for the names of models, hosts and paths"
    )
    parser.add_argument("--file", type=Path, metavar="FILE", help="another history than that of this user")
    parser.add_argument(
        "--compact",
        action="store_true",
        help="give back to the disk what was forgotten, and print nothing else",
    )
    parser.set_defaults(execute=execute, kind="models")


def when(text: str) -> float:
    """Return a time.

    Raises:
        ArgumentTypeError: it is none.
    """
    from gpumon.app.history.sums import time_of

    try:
        return time_of(text, time.time())
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def execute(options: Namespace) -> int:
    """Print what was kept of a span."""
    from gpumon.app.history.reader import History, history_path

    path = options.file or history_path()
    if options.compact:
        return _compacted(path)
    span = span_of(options)
    with History.open(path) as history:
        rows = rows_of(history, options.kind, span, options.model)
        if not rows and options.model is not None:
            _refuse_unknown(history, options.model)
        _print(history, rows, span, options)
    return 0


def span_of(options: Namespace) -> Span:
    """Return the span that was asked for.

    Raises:
        GpumonError: it ends before it begins.
    """
    from gpumon.app.history.rows import Span
    from gpumon.app.history.sums import DAY_SECONDS

    end = time.time() if options.until is None else options.until
    start = end - DAY_SECONDS if options.since is None else options.since
    if end <= start:
        raise GpumonError("--until must be later than --since")
    return Span(start, end)


def rows_of(history: History, kind: str, span: Span, model: str | None) -> Sequence[Row]:
    """Return the rows of one kind; of what happened those that name the model."""
    if kind == "gpus":
        return history.gpu_minutes(span)
    if kind == "events":
        return history.events(span, model)
    read: dict[str, Callable[[Span, str | None], Sequence[Row]]] = {
        "models": history.model_minutes,
        "requests": history.requests,
        "loads": history.loads,
        "troubles": history.troubles,
    }
    return read[kind](span, model)


def _refuse_unknown(history: History, model: str) -> None:
    known = [one.name for one in history.models()]
    if model not in known:
        raise GpumonError(f"the history knows no model {visible(model)}{did_you_mean(model, known)}")


def _print(history: History, rows: Sequence[Row], span: Span, options: Namespace) -> None:
    from gpumon.app.history.printed import csv_lines, redacted

    shown: Iterable[Row] = redacted(rows, history) if options.redact else rows
    if options.json:
        _print_json(shown)
    elif options.csv:
        for line in csv_lines(_row_type(options.kind), shown):
            print_text(line, _WHAT)
    else:
        found = [*shown]
        print_text(
            _table(options.kind, found, span).text() if found else f"{nothing_words(history, span)}\n", _WHAT
        )


def _row_type(kind: str) -> type[Row]:
    from gpumon.app.history import rows

    types: dict[str, type[Row]] = {
        "models": rows.ModelMinute,
        "gpus": rows.GpuMinute,
        "requests": rows.Request,
        "loads": rows.Load,
        "events": rows.Event,
        "troubles": rows.Trouble,
    }
    return types[kind]


def _table(kind: str, rows: Sequence[Row], span: Span) -> Table:
    from gpumon.app.history import printed
    from gpumon.app.history.sums import gpu_sums, model_sums, step_for

    step = step_for(span)
    if kind == "models":
        return printed.model_table(model_sums(rows, step), step)  # type: ignore[arg-type]
    if kind == "gpus":
        return printed.gpu_table(gpu_sums(rows, step), step)  # type: ignore[arg-type]
    tables: dict[str, Callable[..., Table]] = {
        "requests": printed.request_table,
        "loads": printed.load_table,
        "events": printed.event_table,
        "troubles": printed.trouble_table,
    }
    return tables[kind](rows)


def nothing_words(history: History, span: Span) -> str:
    """Say that there is nothing in a span, and since when there is something."""
    from gpumon.app.history.printed import WHEN
    from gpumon.text import units

    first = history.first_minute()
    since = (
        "nothing is kept yet" if first is None else f"the first that is kept is of {units.clock(first, WHEN)}"
    )
    return f"nothing from {units.clock(span.start, WHEN)} to {units.clock(span.end, WHEN)}; {since}"


def _print_json(rows: Iterable[Row]) -> None:
    """Write an array, a row in a line: a month is long, and is not put together in memory as text."""
    before = "[\n"
    for row in rows:
        print_text(
            f"{before}{json_line(row).decode(getattr(sys.stdout, 'encoding', None) or 'utf-8').rstrip()}",
            _WHAT,
        )
        before = ",\n"
    print_text("[]\n" if before == "[\n" else "\n]\n", _WHAT)


def _compacted(path: Path) -> int:
    from gpumon.app.history.file import compact
    from gpumon.text import units

    if not path.exists():
        raise GpumonError(f"there is no history: {path} is not there")
    before = path.stat().st_size
    compact(path)
    print_text(f"{path}: {units.size(before)} before, {units.size(path.stat().st_size)} now\n", _WHAT)
    return 0
