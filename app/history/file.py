"""Writes the history: opens the file, adds rows in one transaction, forgets what is old.

Several gpumon may write one file. What goes wrong is told in one line. None of this is for the event loop:
a disk may hang.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from gpumon.app.errors import GpumonError
from gpumon.app.history.reader import BUSY_SECONDS, HistoryError, check_schema
from gpumon.app.history.rows import ModelName
from gpumon.app.history.schema import TABLES_BY_MINUTE, VERSION, migrate, version_of
from gpumon.app.learned import alone_in, move_aside
from gpumon.app.log import make_private_folder, open_private

WAL_BYTES_KEPT = 4 * 1024**2
DAY_SECONDS = 86400
NEWEST_KEPT_SECONDS = 3600
"""What came within the last hour is kept however little room there is."""
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_WORDS = {
    sqlite3.SQLITE_FULL: "no space left on device",
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_READONLY: "it may only be read",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
}


class GpuName(NamedTuple):
    """By what a GPU is known, and how it is called."""

    uuid: str
    gpu_index: int | None
    name: str | None


class NewRow(NamedTuple):
    """A row to write; one of the same session and number is replaced. The session is added."""

    table: str
    values: Mapping[str, object]
    model: ModelName | None = None
    gpu: GpuName | None = None


class Run(Struct, frozen=True, kw_only=True):
    """Who writes: one run of gpumon."""

    session_id: str
    boot_id: str | None
    host: str
    gpumon_version: str | None
    command: str
    started: float
    started_monotonic: float


class Bounds(NamedTuple):
    """How much is kept."""

    age_seconds: float
    size_bytes: float


class DamagedError(HistoryError):
    """The file is not what was written, and has to be moved aside."""


class HistoryFile:
    """The file as one run writes to it; opened anew where another lies in its place."""

    def __init__(self, path: Path, run: Run) -> None:
        self.path = path
        self._run = run
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._session = 0
        self._ids: dict[ModelName | GpuName, int] = {}

    def write(self, rows: Sequence[NewRow], seen: float) -> str | None:
        """Add rows in one transaction, ``seen`` by the wall clock.

        Return the words to tell if the file was damaged and has been moved aside.

        Raises:
            HistoryError: they could not be written, and the file is as it was.
        """
        try:
            self._write(rows, seen)
        except DamagedError as error:
            words = self._set_aside(error)
            self._write(rows, seen)
            return words
        return None

    def forget(self, bounds: Bounds, now: float) -> None:
        """Delete what is older than it may be, and the oldest days until the rest has room.

        By age one day at a time is deleted: a clock that is wrong for a moment must not cost everything.
        What is deleted makes room inside the file, which does not get smaller by it.

        Raises:
            HistoryError: the file cannot be written.
        """
        with self._trouble_in_words():
            connection, newest_kept = self._opened(), now - NEWEST_KEPT_SECONDS
            first, oldest = _first_minute(connection), now - bounds.age_seconds
            if first is not None and first < oldest:
                self._delete(connection, min(first + DAY_SECONDS, oldest))
            while _used_bytes(connection) > bounds.size_bytes:
                first = _first_minute(connection)
                if first is None or first >= newest_kept:
                    return
                self._delete(connection, min(first + DAY_SECONDS, newest_kept))

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _write(self, rows: Sequence[NewRow], seen: float) -> None:
        with self._trouble_in_words():
            connection = self._opened()
            with _transaction(connection):
                for row in rows:
                    self._add(connection, row)
                connection.execute("UPDATE sessions SET seen = ? WHERE session = ?", (seen, self._session))

    def _add(self, connection: sqlite3.Connection, row: NewRow) -> None:
        values: dict[str, object] = {"session": self._session, **row.values}
        if row.model is not None:
            values["model"] = self._id_of(connection, row.model)
        if row.gpu is not None:
            values["gpu"] = self._id_of(connection, row.gpu)
        places = ", ".join("?" * len(values))
        columns = ", ".join(values)
        connection.execute(
            f"INSERT OR REPLACE INTO {row.table} ({columns}) VALUES ({places})",  # noqa: S608 - our own names
            tuple(values.values()),
        )

    def _id_of(self, connection: sqlite3.Connection, name: ModelName | GpuName) -> int:
        found = self._ids.get(name)
        if found is None:
            is_model = isinstance(name, ModelName)
            find = _model_id if is_model else _gpu_id
            found = self._ids[name] = find(connection, self._run.host, name)  # type: ignore[arg-type]
        return found

    def _opened(self) -> sqlite3.Connection:
        """Return the connection; a new one where the file is another than before."""
        if self._connection is not None and self._inode == _inode(self.path):
            return self._connection
        self.close()
        self._ids.clear()
        make_private_folder(self.path.parent)
        os.close(open_private(self.path, 0))
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._begin(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._inode = connection, _inode(self.path)
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        check_schema(connection, self.path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
        with _transaction(connection):
            if version_of(connection) < VERSION:
                migrate(connection)
            self._session = _session_of(connection, self._run)

    def _set_aside(self, error: DamagedError) -> str:
        """Move a damaged file out of the way, unless another run has done so meanwhile; return the words."""
        self.close()
        with self._trouble_in_words(), alone_in(self.path.parent):
            if not _is_damaged(self.path):
                return f"{self.path} was damaged, and has been moved aside"
            aside = move_aside(self.path)
            for suffix in ("-wal", "-shm"):
                beside = self.path.with_name(f"{self.path.name}{suffix}")
                if beside.exists():
                    beside.rename(aside.with_name(f"{aside.name}{suffix}"))
        return f"{error}: moved to {aside.name}"

    @staticmethod
    def _delete(connection: sqlite3.Connection, until: float) -> None:
        with _transaction(connection):
            for table in TABLES_BY_MINUTE:
                connection.execute(f"DELETE FROM {table} WHERE minute < ?", (until,))  # noqa: S608 - ours
            left = "SELECT session FROM machine_minute_rows"
            forget = f"DELETE FROM sessions WHERE seen < ? AND session NOT IN ({left})"  # noqa: S608 - ours
            connection.execute(forget, (until,))

    @contextlib.contextmanager
    def _trouble_in_words(self) -> Iterator[None]:
        try:
            yield
        except HistoryError:
            self.close()
            raise
        except (sqlite3.Error, OSError, GpumonError) as error:
            self.close()
            raise _in_words(error, self.path) from error


def compact(path: Path) -> None:
    """Give back to the disk what was deleted from the file; nobody can write meanwhile.

    Raises:
        HistoryError: it cannot be done.
    """
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        with contextlib.closing(connection):
            check_schema(connection, path)
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (sqlite3.Error, OSError) as error:
        raise _in_words(error, path) from error


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of it or nothing; the lock for writing is taken at once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # a disk that is full has rolled it back already
            connection.execute("ROLLBACK")
        raise


def _in_words(error: Exception, path: Path) -> HistoryError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _DAMAGED:
        return DamagedError(f"{path} is damaged")
    if isinstance(error, OSError):
        words = (error.strerror or str(error)).lower()
    else:
        words = _WORDS.get(code, str(error))
    return HistoryError(f"the history is not kept: {path}: {words}")


def _is_damaged(path: Path) -> bool:
    """Return whether a file cannot be read to its end."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.Error as error:
        return isinstance(_in_words(error, path), DamagedError)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _first_minute(connection: sqlite3.Connection) -> int | None:
    """Return the oldest minute of what grows."""
    each = " UNION ALL ".join(f"SELECT min(minute) AS first FROM {table}" for table in TABLES_BY_MINUTE)  # noqa: S608
    found: int | None = connection.execute(f"SELECT min(first) FROM ({each})").fetchone()[0]  # noqa: S608
    return found


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _session_of(connection: sqlite3.Connection, run: Run) -> int:
    """Return the number of a run in this file, which is told of it where it is new there."""
    values = {**asdict(run), "seen": run.started}
    columns, places = ", ".join(values), ", ".join("?" * len(values))
    query = f"INSERT OR IGNORE INTO sessions ({columns}) VALUES ({places})"  # noqa: S608 - our own names
    connection.execute(query, tuple(values.values()))
    found = connection.execute("SELECT session FROM sessions WHERE session_id = ?", (run.session_id,))
    return int(found.fetchone()[0])


def _model_id(connection: sqlite3.Connection, host: str, model: ModelName) -> int:
    """Return the number of a model in this file, of which it is told by all its names."""
    where = "host = ? AND server = ? AND kind = ? AND name = ? AND digest IS ? AND quantization IS ?"
    found = connection.execute(f"SELECT model FROM models WHERE {where}", (host, *model)).fetchone()  # noqa: S608
    if found is not None:
        return int(found[0])
    columns = "host, server, kind, name, digest, quantization"
    added = connection.execute(f"INSERT INTO models ({columns}) VALUES (?, ?, ?, ?, ?, ?)", (host, *model))  # noqa: S608
    return int(added.lastrowid or 0)


def _gpu_id(connection: sqlite3.Connection, host: str, gpu: GpuName) -> int:
    """Return the number of a GPU in this file; its index and name are those of now."""
    connection.execute(
        "INSERT INTO gpus (host, uuid, gpu_index, name) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (host, uuid) DO UPDATE SET gpu_index = excluded.gpu_index, name = excluded.name",
        (host, *gpu),
    )
    found = connection.execute("SELECT gpu FROM gpus WHERE host = ? AND uuid = ?", (host, gpu.uuid))
    return int(found.fetchone()[0])
