"""``gpumon report``: what a span of time came to, for the terminal, to paste, and as a file to keep."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gpumon.app.cli.common import load_settings
from gpumon.app.cli.flags import Commands, add_command, add_config_flag
from gpumon.app.cli.history import TIME_HELP, nothing_words, when
from gpumon.app.cli.output import is_unicode, print_text
from gpumon.app.errors import GpumonError
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from gpumon.app.history.reader import History
    from gpumon.app.history.rows import Span
    from gpumon.app.recording.reader import Recording
    from gpumon.app.report.document import Document

WEEK_SECONDS = 7 * 86_400.0
DATABASE = b"SQLite format 3\x00"
NO_HISTORY = "it is kept while the dashboard or gpumon record runs, unless --no-history is given"
_WHAT = "report"


class Asked(NamedTuple):
    """The span that is reported, and the one that it is set beside."""

    span: Span
    before: Span | None


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "report", "say what a week came to: tokens, spills and their cost, loads, heat, energy"
    )
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="a recording, or another history than that of this user",
    )
    parser.add_argument(
        "--since",
        type=when,
        metavar="TIME",
        help=f"from when on: {TIME_HELP}; 7d if not set, of a recording its start",
    )
    parser.add_argument("--until", type=when, metavar="TIME", help="until before when; now if not set")
    parser.add_argument(
        "--compare",
        type=span_text,
        metavar="SPAN",
        help="set it beside the span before it: 7d, a time from which on, or 2026-11-01..2026-11-08",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print it as Markdown, to paste")
    form.add_argument("--html", type=Path, metavar="FILE", help="write one HTML file with pictures")
    parser.add_argument(
        "--redact", action="store_true", help="with stand-ins for the names of models, hosts and paths"
    )
    add_config_flag(parser)
    parser.set_defaults(execute=execute)


def span_text(text: str) -> tuple[str, str | None]:
    """Return how a span begins and ends, as it is written.

    Raises:
        ArgumentTypeError: there is no time in it.
    """
    start, dots, end = text.partition("..")
    for part in (start, end) if dots else (start,):
        when(part)
    return start, end if dots else None


def execute(options: Namespace) -> int:
    """Print a report, or write it."""
    document = _document(options)
    if options.html is not None:
        _write(options.html, document)
        print_text(f"{options.html}: written\n", _WHAT)
        return 0
    from gpumon.app.report.document import markdown_lines, text_lines

    lines = markdown_lines(document) if options.markdown else text_lines(document, is_unicode=is_unicode())
    print_text("".join(f"{line}\n" for line in lines), _WHAT)
    return 0


def _document(options: Namespace) -> Document:
    from gpumon.app.history.reader import History, HistoryError, history_path

    path = options.file or history_path()
    if options.file is not None and not _is_database(path):
        return _of_recording(path, options)
    try:
        history = History.open(path)
    except HistoryError as error:
        raise GpumonError(f"{error}; {NO_HISTORY}") from None
    with history:
        return _of_history(history, _asked(options, time.time() - WEEK_SECONDS, time.time()), options)


def _of_history(history: History, asked: Asked, options: Namespace, source: str | None = None) -> Document:
    from gpumon.app.report.compared import compared
    from gpumon.app.report.material import from_history
    from gpumon.app.report.sections import document_of

    spans = (asked.span,) if asked.before is None else (asked.span, asked.before)
    material, *before = from_history(history, spans, redact=options.redact)
    if material.is_empty:
        raise GpumonError(nothing_words(history, asked.span))
    beside = compared(before[0], material) if before else None
    return document_of(material, source=source, compared=beside)


def _of_recording(path: Path, options: Namespace) -> Document:
    from gpumon.app.cli.recordings import Progress, tell_left_out
    from gpumon.app.history.reader import History
    from gpumon.app.history.rows import Span
    from gpumon.app.recording.reader import read_recording
    from gpumon.app.report.material import Replay

    recording = read_recording(path)
    asked = _asked(options, *_ends(recording))
    start = asked.span.start if asked.before is None else min(asked.span.start, asked.before.start)
    progress = Progress(f"reading {path.name}")
    with Replay(recording, load_settings(options).settings.alerts.limits()) as replay:
        replay.gather(Span(start, asked.span.end), progress.tell)
        progress.end()
        tell_left_out(recording)
        with History.open(replay.path) as history:
            return _of_history(history, asked, options, visible(path.name))


def _ends(recording: Recording) -> tuple[float, float]:
    first, last = recording.first_time(), recording.last_time()
    if first is None:
        raise GpumonError(f"{recording.path} holds no sample")
    return first // 60 * 60, (time.time() if last is None else last + 1.0)


def _asked(options: Namespace, start: float, end: float) -> Asked:
    """Return the spans that were asked for, where ``start`` and ``end`` are those of the whole.

    Raises:
        GpumonError: one ends before it begins.
    """
    from gpumon.app.history.rows import Span
    from gpumon.app.history.sums import time_of

    end = end if options.until is None else options.until
    span = Span(start if options.since is None else options.since, end)
    if span.end <= span.start:
        raise GpumonError("--until must be later than --since")
    if options.compare is None:
        return Asked(span, None)
    first, last = options.compare
    until = span.start if last is None else time_of(last, time.time())
    before = Span(time_of(first, until if last is None else time.time()), until)
    if before.end <= before.start:
        raise GpumonError("the span of --compare must end later than it begins")
    return Asked(span, before)


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(DATABASE)) == DATABASE
    except OSError:
        return False


def _write(path: Path, document: Document) -> None:
    from gpumon.app.report.page import page

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(page(document, time.time()))
    except OSError as error:
        raise GpumonError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
