"""Reads the history: every minute, request, load and event once, whoever has written it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct, ValidationError, convert

from gpumon.app.errors import GpumonError
from gpumon.app.history.rows import (
    Event,
    GpuMinute,
    Load,
    MachineMinute,
    ModelMinute,
    ModelName,
    OfModel,
    Request,
    Row,
    Session,
    Span,
    Trouble,
)
from gpumon.app.history.schema import APPLICATION_ID, VERSION, version_of
from gpumon.app.log import state_folder
from gpumon.app.state.series import Bucket

BUSY_SECONDS = 5.0
"""How long to wait for another gpumon that writes."""

_T = TypeVar("_T", bound=Struct)
_R = TypeVar("_R", bound=Row)
_M = TypeVar("_M", bound=OfModel)


class HistoryError(GpumonError):
    """The history cannot be read or kept, in one line."""


def history_path() -> Path:
    """Return ``history.db`` in the state directory."""
    return state_folder() / "history.db"


class Figure(NamedTuple):
    """A figure of a minute: its name, by what its mean is weighed, and which column has its peak."""

    name: str
    weight: str = "watched_seconds"
    peak: str | None = None

    @property
    def columns(self) -> str:
        """Its least, mean and highest value of several minutes."""
        known = f"CASE WHEN {self.name} IS NULL THEN 0 ELSE {self.weight} END"
        mean = f"coalesce(sum({self.name} * {self.weight}) / nullif(sum({known}), 0), avg({self.name}))"
        return f"min({self.name}), {mean}, max({self.peak or self.name})"


MODEL_FIGURES = (
    Figure("vram_bytes"),
    Figure("ram_bytes"),
    Figure("decode_tokens_per_second", "decoding_seconds", "decode_tokens_per_second_peak"),
    Figure("prefill_tokens_per_second"),
    Figure("context_tokens"),
)
GPU_FIGURES = (
    Figure("used_bytes", peak="used_bytes_peak"),
    Figure("utilization_percent", peak="utilization_percent_peak"),
    Figure("power_watts", peak="power_watts_peak"),
    Figure("temperature_celsius", peak="temperature_celsius_peak"),
)


class TrendPoint(NamedTuple):
    """What was within a step of time: the figures that were known."""

    start: float
    figures: Mapping[str, Bucket]


def _buckets(figures: Sequence[Figure], values: Sequence[float | None]) -> dict[str, Bucket]:
    """Return what a row of their columns holds."""
    found = {}
    for at, figure in enumerate(figures):
        least, mean, most = values[3 * at : 3 * at + 3]
        if least is not None and mean is not None and most is not None:
            found[figure.name] = Bucket(least, min(max(mean, least), most), most)
    return found


class History:
    """The history as it was when it is asked; use it in one thread, and close it."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path | None = None) -> History:
        """Open the file for reading.

        Raises:
            HistoryError: there is none, or it cannot be read.
        """
        found = path or history_path()
        if not found.exists():
            raise HistoryError(f"there is no history: {found} is not there")
        with _trouble_in_words(found):
            uri = f"{found.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                check_schema(connection, found)
            except BaseException:
                connection.close()
                raise
        return cls(connection, found)

    def __enter__(self) -> History:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def sessions(self, span: Span | None = None) -> list[Session]:
        """Return the runs that overlap a span, oldest first; all of them for ``None``."""
        start, end = span or Span(float("-inf"), float("inf"))
        query = "SELECT {} FROM sessions WHERE seen >= ? AND started < ? ORDER BY session"
        return self._typed(Session, query, (start, end))

    def machine_minutes(self, span: Span) -> list[MachineMinute]:
        """Return the minutes in which anybody watched, with RAM and CPU."""
        return self._of(MachineMinute, span)

    def model_minutes(self, span: Span, model: str | None = None) -> list[ModelMinute]:
        """Return the minutes of all models, or of those of one name, by time."""
        return self._of_model(ModelMinute, span, model)

    def gpu_minutes(self, span: Span, uuid: str | None = None) -> list[GpuMinute]:
        """Return the minutes of all GPUs or of one, by time."""
        return self._of(GpuMinute, span, ("uuid = ?", uuid) if uuid is not None else None)

    def requests(self, span: Span, model: str | None = None) -> list[Request]:
        """Return the requests that ended within a span, by time."""
        return self._of_model(Request, span, model)

    def loads(self, span: Span, model: str | None = None) -> list[Load]:
        """Return the loads that ended within a span, by time."""
        return self._of_model(Load, span, model)

    def events(self, span: Span, subject: str | None = None) -> list[Event]:
        """Return what happened within a span, alerts that were raised in it included, by time."""
        return self._of(Event, span, ("subject = ?", subject) if subject is not None else None)

    def troubles(self, span: Span, model: str | None = None) -> list[Trouble]:
        """Return what was wrong with models and ended within a span, or goes on, by time."""
        return self._of_model(Trouble, span, model)

    def trend(self, span: Span, subject: ModelName | str, step_seconds: float) -> list[TrendPoint]:
        """Return how the figures of a model, or of the GPU of a UUID, went within a span, by steps."""
        is_model = isinstance(subject, ModelName)
        figures = MODEL_FIGURES if is_model else GPU_FIGURES
        names = ("server", "kind", "name", "digest", "quantization") if is_model else ("uuid",)
        values = subject if is_model else (subject,)
        columns = ", ".join(figure.columns for figure in figures)
        query = (
            f"SELECT minute - minute % ? AS start, {columns} FROM {'model' if is_model else 'gpu'}_minutes "  # noqa: S608
            f"WHERE minute >= ? AND minute < ? AND {' AND '.join(f'{name} IS ?' for name in names)} "
            "GROUP BY start ORDER BY start"
        )
        rows = self._rows(query, (int(step_seconds), span.start, span.end, *values))
        return [TrendPoint(row[0], _buckets(figures, row[1:])) for row in rows]

    def models(self) -> list[ModelName]:
        """Return all models that were ever kept, by name."""
        columns = ", ".join(ModelName._fields)
        query = f"SELECT DISTINCT {columns} FROM models ORDER BY name"  # noqa: S608 - our own names
        return [ModelName(*row) for row in self._rows(query, ())]

    def gpu_uuids(self) -> list[str]:
        """Return the UUIDs of all GPUs that were ever kept."""
        return [row[0] for row in self._rows("SELECT DISTINCT uuid FROM gpus ORDER BY uuid", ())]

    def first_minute(self) -> int | None:
        """Return the oldest minute that is kept."""
        found: int | None = next(self._rows("SELECT min(minute) FROM machine_minute_rows", ()))[0]
        return found

    def used_bytes(self) -> int:
        """Return what the rows take of the file."""
        pages, free, size = (
            next(self._rows(f"PRAGMA {name}", ()))[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _of_model(self, kind: type[_M], span: Span, model: str | None) -> list[_M]:
        return self._of(kind, span, ("name = ?", model) if model is not None else None)

    def _of(self, kind: type[_R], span: Span, only: tuple[str, str] | None = None) -> list[_R]:
        """Return the rows of one kind whose minute begins within a span, in the order of their minutes."""
        where, values = (f" AND {only[0]}", (only[1],)) if only is not None else ("", ())
        query = f"SELECT {{}} FROM {kind.VIEW} WHERE minute >= ? AND minute < ?{where}"  # noqa: S608 - ours
        return self._typed(kind, f"{query} ORDER BY minute, session, number", (span.start, span.end, *values))

    def _typed(self, kind: type[_T], query: str, values: Sequence[object]) -> list[_T]:
        """Return what a query finds whose columns are the fields of ``kind``."""
        fields = kind.__struct_fields__
        rows = self._rows(query.format(", ".join(fields)), values)
        try:
            return [convert(dict(zip(fields, row, strict=True)), kind) for row in rows]
        except ValidationError as error:
            raise HistoryError(f"{self.path} holds what was not written by gpumon: {error}") from error

    def _rows(self, query: str, values: Sequence[object]) -> Iterator[Sequence[Any]]:
        with _trouble_in_words(self.path):
            yield from self._connection.execute(query, tuple(values))


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure that a file is ours and not newer than we are.

    Raises:
        HistoryError: it is something else, or of a later version.
        sqlite3.Error: it cannot be read.
    """
    found = version_of(connection)
    if found > VERSION:
        raise HistoryError(f"{path} was written by a newer gpumon (schema {found}, known is {VERSION})")
    is_new = not found and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not is_new and connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise HistoryError(f"{path} is a database of another program; it is left as it is")


@contextlib.contextmanager
def _trouble_in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise HistoryError(f"cannot read {path}: {error}") from error
    except OSError as error:
        raise HistoryError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
