"""The history as text: a table that a person reads, or every row as CSV or JSON for a program."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from gpumon.app.history.rows import Event, Load, Request, Row, Trouble
from gpumon.app.history.sums import GpuSum, ModelSum, Step, step_words
from gpumon.app.recording.redaction import Redaction
from gpumon.text import units
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from gpumon.app.history.reader import History

JOULES_PER_WH = 3600.0
WHEN = "%Y-%m-%d %H:%M"
LONGEST_NAME = 40
NO_PATHS = ("tok/s", "/set parameter", "it/s", "s/it")
"""Words with a slash in sentences of ours."""


class Column(NamedTuple):
    """A column of a table."""

    title: str
    is_figure: bool = True
    """Whether it stands at the right."""


class Table(NamedTuple):
    """What a person reads."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """Return its lines; the last column is as long as it is."""
        cells = [[column.title for column in self.columns], *self.rows]
        widths = [max(len(row[at]) for row in cells) for at in range(len(self.columns))]
        return "".join(f"{self._line(row, widths)}\n" for row in cells)

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        parts = (
            cell.rjust(width) if column.is_figure else cell.ljust(width)
            for cell, width, column in zip(row, widths, self.columns, strict=True)
        )
        return "  ".join(parts).rstrip()


def model_table(sums: Iterable[ModelSum], step: Step) -> Table:
    """Return what models did by the hour or day."""
    columns = (
        Column(step, False),
        Column("model", False),
        Column("loaded"),
        Column("busy"),
        Column("requests"),
        Column("tokens"),
        Column("tok/s"),
        Column("peak"),
        Column("VRAM"),
        Column("in RAM"),
        Column("energy"),
        Column("worst", False),
    )
    return Table(columns, [_model_row(one, step) for one in sums])


def _model_row(one: ModelSum, step: Step) -> tuple[str, ...]:
    return (
        step_words(one.start, step),
        _short(one.name.name),
        units.duration(one.watched_seconds),
        units.duration(one.busy_seconds),
        str(one.requests),
        _count(one.decoded_tokens, estimate=one.is_estimate),
        _rate(one.decode_tokens_per_second),
        _rate(one.decode_tokens_per_second_peak),
        units.size(one.vram_bytes),
        units.size(one.ram_bytes) if one.ram_bytes else units.UNKNOWN,
        _energy(one.energy_joules),
        f"{one.level}: {one.trouble.replace('_', ' ')}" if one.level in {"watch", "bad"} else one.level,
    )


def gpu_table(sums: Iterable[GpuSum], step: Step) -> Table:
    """Return what GPUs did by the hour or day."""
    columns = (
        Column(step, False),
        Column("GPU", False),
        Column("watched"),
        Column("most used"),
        Column("of"),
        Column("load"),
        Column("hottest"),
        Column("power"),
        Column("energy"),
        Column("throttled"),
        Column("by", False),
    )
    return Table(columns, [_gpu_row(one, step) for one in sums])


def _gpu_row(one: GpuSum, step: Step) -> tuple[str, ...]:
    return (
        step_words(one.start, step),
        _short(one.label),
        units.duration(one.watched_seconds),
        units.size(one.used_bytes_peak),
        units.size(one.total_bytes),
        units.percent(one.utilization_percent),
        units.celsius(one.temperature_celsius_peak),
        units.watts(one.power_watts),
        _energy(one.energy_joules),
        units.duration(one.throttled_seconds) if one.throttled_seconds else units.UNKNOWN,
        visible(", ".join(one.throttle_reasons)),
    )


def request_table(requests: Iterable[Request]) -> Table:
    """Return requests, each in a line."""
    columns = (
        Column("ended", False),
        Column("model", False),
        Column("prompt"),
        Column("kept"),
        Column("read again"),
        Column("reply"),
        Column("prefill"),
        Column("tok/s"),
        Column("first token"),
        Column("took"),
        Column("energy"),
        Column("how", False),
    )
    return Table(columns, [_request_row(one) for one in requests])


def _request_row(one: Request) -> tuple[str, ...]:
    return (
        units.clock(one.ended, "%Y-%m-%d %H:%M:%S"),
        _short(one.name),
        _count(one.prompt_tokens),
        _count(one.kept_tokens),
        _count(one.reread_tokens or None),
        f"{'>' if one.decoded_is_lower_bound and one.decoded_tokens else ''}{_count(one.decoded_tokens)}",
        _rate(one.prefill_tokens_per_second),
        _rate(one.decode_tokens_per_second),
        _seconds(one.first_token_seconds),
        _seconds(one.seconds),
        _energy(one.energy_joules),
        one.ending,
    )


def load_table(loads: Iterable[Load]) -> Table:
    """Return loads, each in a line."""
    columns = (
        Column("ended", False),
        Column("model", False),
        Column("took"),
        Column("context"),
        Column("VRAM"),
        Column("forecast"),
        Column("outcome", False),
        Column("because", False),
    )
    return Table(columns, [_load_row(one) for one in loads])


def _load_row(one: Load) -> tuple[str, ...]:
    evicted = msgspec.json.decode(one.evicted, type=list[str])
    made_room = f"{', '.join(map(visible, evicted))} left for it" if evicted else ""
    because = (visible(one.reason or ""), (one.reload_cause or "").replace("memory", "evicted"), made_room)
    return (
        units.clock(one.ended, WHEN),
        _short(one.name),
        _seconds(one.seconds),
        units.tokens(one.context_length),
        units.size(one.vram_bytes),
        units.size(one.forecast_vram_bytes),
        one.outcome.replace("_", " "),
        "; ".join(filter(None, because)),
    )


def event_table(events: Iterable[Event]) -> Table:
    """Return what happened, each in a line."""
    columns = (Column("at", False), Column("for"), Column("level", False), Column("what", False))
    rows = [
        (
            units.clock(one.time, WHEN),
            units.UNKNOWN if one.until is None else units.duration(one.until - one.time),
            one.level or "",
            visible(one.words, 200),
        )
        for one in events
    ]
    return Table(columns, rows)


def trouble_table(troubles: Iterable[Trouble]) -> Table:
    """Return what was wrong with models, each in a line, with cause and cure."""
    columns = (Column("from", False), Column("for"), Column("level", False), Column("what", False))
    rows = [
        (
            units.clock(one.started, WHEN),
            units.duration(one.until - one.started),
            one.level,
            "; ".join(visible(words, 300) for words in (one.sentence, one.cause, _cure(one)) if words),
        )
        for one in troubles
    ]
    return Table(columns, rows)


def _cure(one: Trouble) -> str:
    return "" if one.cure is None else f"cure: {one.cure}{f' ({one.command})' if one.command else ''}"


def csv_lines(kind: type[Row], rows: Iterable[Row]) -> Iterator[str]:
    """Yield a line of names and one for each row; what is unknown is empty."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for values in (kind.__struct_fields__, *(asdict(row).values() for row in rows)):
        writer.writerow(values)
        yield written.getvalue()
        written.seek(0)
        written.truncate()


def redacted(rows: Iterable[Row], history: History) -> Iterator[Row]:
    """Yield rows of a history with stand-ins for the names of models, hosts and paths."""
    redaction = Redaction()
    names = redaction.names
    for model in history.models():
        names.of_model(model.name)
        names.of_digest(model.digest or "")
        if "://" in model.server:
            names.of_url(model.server)
    for uuid in history.gpu_uuids():
        names.of_gpu(uuid)
    for one in history.sessions():
        names.of_host(one.host)
    for row in rows:
        yield _redacted(row, redaction)


def _redacted(row: Row, redaction: Redaction) -> Row:
    names = redaction.names
    rules = {
        "host": names.of_host,
        "server": lambda text: names.of_url(text) if "://" in text else text,
        "digest": names.of_digest,
        "uuid": names.of_gpu,
        **({} if isinstance(row, Struct) and "uuid" in row.__struct_fields__ else {"name": names.of_model}),
    }
    kept = {"kind", "level", "trouble", "outcome", "reload_cause", "phases", "about", "ending", "source"}
    kept |= {"quantization", "throttle_reasons", "name", "changes"} - rules.keys()
    changes = {
        field: rules[field](text) if field in rules else _without_names(text, redaction)
        for field, text in asdict(row).items()
        if isinstance(text, str) and field not in kept
    }
    return replace(row, **changes)


def _without_names(text: str, redaction: Redaction) -> str:
    """Return a sentence with stand-ins; what only looks like a path stays."""
    for words in NO_PATHS:
        text = text.replace(words, words.replace("/", "\0"))
    return redaction.words(text).replace("\0", "/")


def _short(name: str) -> str:
    return visible(name, LONGEST_NAME)


def _count(count: int | None, *, estimate: bool = False) -> str:
    return units.UNKNOWN if count is None else f"{'~' if estimate else ''}{count:,}"


def _rate(tokens_per_second: float | None) -> str:
    return units.rate(tokens_per_second).removesuffix(" tok/s")


def _seconds(seconds: float | None) -> str:
    return f"{seconds:.1f}s" if seconds is not None and seconds < 9.95 else units.duration(seconds)


def _energy(joules: float | None) -> str:
    if joules is None:
        return units.UNKNOWN
    wh = joules / JOULES_PER_WH
    return f"{wh / 1000:.1f} kWh" if wh >= 1000 else f"{wh:.{1 if wh < 9.95 else 0}f} Wh"
