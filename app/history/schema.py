"""The tables of the history and the views to read them by; ``docs/history.md`` explains both to users.

Rows of several gpumon stand side by side in the tables, each with its session. The views show every minute,
request, load and event once, with names in place of numbers: whoever reads, reads these. They are written in
the SQL that SQLite and DuckDB have in common.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

APPLICATION_ID = 0x67706D6E
"""``gpmn``: by it ``file`` and we know whose database it is."""

_TABLES = """
CREATE TABLE sessions (
  session INTEGER PRIMARY KEY, session_id TEXT NOT NULL UNIQUE, boot_id TEXT, host TEXT NOT NULL,
  gpumon_version TEXT, command TEXT NOT NULL, started REAL NOT NULL, started_monotonic REAL NOT NULL,
  seen REAL NOT NULL);

CREATE TABLE models (
  model INTEGER PRIMARY KEY, host TEXT NOT NULL, server TEXT NOT NULL, kind TEXT NOT NULL,
  name TEXT NOT NULL, digest TEXT, quantization TEXT);
CREATE INDEX models_by_name ON models (name);

CREATE TABLE gpus (
  gpu INTEGER PRIMARY KEY, host TEXT NOT NULL, uuid TEXT NOT NULL, gpu_index INTEGER, name TEXT,
  UNIQUE (host, uuid));

CREATE TABLE machine_minute_rows (
  minute INTEGER NOT NULL, session INTEGER NOT NULL, number INTEGER NOT NULL,
  monotonic_seconds REAL NOT NULL, watched_seconds REAL NOT NULL,
  ram_used_bytes INTEGER, ram_total_bytes INTEGER, swap_used_bytes INTEGER, cpu_percent REAL,
  PRIMARY KEY (minute, session, number)) WITHOUT ROWID;

CREATE TABLE model_minute_rows (
  minute INTEGER NOT NULL, model INTEGER NOT NULL, session INTEGER NOT NULL, number INTEGER NOT NULL,
  monotonic_seconds REAL NOT NULL, watched_seconds REAL NOT NULL, busy_seconds REAL NOT NULL,
  decoding_seconds REAL NOT NULL, waiting_seconds REAL NOT NULL,
  decoded_tokens INTEGER, decoded_is_estimate INTEGER NOT NULL,
  requests INTEGER NOT NULL, prompt_tokens INTEGER, kept_tokens INTEGER, reread_tokens INTEGER,
  lost_seconds REAL,
  decode_tokens_per_second REAL, decode_tokens_per_second_peak REAL, prefill_tokens_per_second REAL,
  full_tokens_per_second REAL, usual_tokens_per_second REAL,
  vram_bytes INTEGER, ram_bytes INTEGER, spill_fraction REAL, context_length INTEGER, context_tokens INTEGER,
  level TEXT NOT NULL, trouble TEXT NOT NULL, energy_joules REAL,
  PRIMARY KEY (minute, model, session, number)) WITHOUT ROWID;

CREATE TABLE gpu_minute_rows (
  minute INTEGER NOT NULL, gpu INTEGER NOT NULL, session INTEGER NOT NULL, number INTEGER NOT NULL,
  monotonic_seconds REAL NOT NULL, watched_seconds REAL NOT NULL,
  used_bytes INTEGER, used_bytes_peak INTEGER, total_bytes INTEGER,
  utilization_percent REAL, utilization_percent_peak REAL,
  temperature_celsius REAL, temperature_celsius_peak REAL,
  power_watts REAL, power_watts_peak REAL, power_limit_watts REAL,
  throttled_seconds REAL NOT NULL, throttle_reasons TEXT, energy_joules REAL, level TEXT NOT NULL,
  PRIMARY KEY (minute, gpu, session, number)) WITHOUT ROWID;

CREATE TABLE request_rows (
  session INTEGER NOT NULL, number INTEGER NOT NULL, model INTEGER NOT NULL,
  minute INTEGER NOT NULL, monotonic_seconds REAL NOT NULL, started REAL NOT NULL, ended REAL NOT NULL,
  source TEXT NOT NULL, slot_id INTEGER, task_id INTEGER,
  prompt_tokens INTEGER, kept_tokens INTEGER, reread_tokens INTEGER, lost_seconds REAL,
  decoded_tokens INTEGER, decoded_is_lower_bound INTEGER NOT NULL,
  prefill_tokens_per_second REAL, decode_tokens_per_second REAL,
  waited_seconds REAL, first_token_seconds REAL, seconds REAL NOT NULL,
  context_tokens INTEGER, parallel INTEGER, energy_joules REAL, ending TEXT NOT NULL,
  PRIMARY KEY (session, number));
CREATE INDEX requests_by_minute ON request_rows (minute);
CREATE INDEX requests_by_model ON request_rows (model, ended);

CREATE TABLE load_rows (
  session INTEGER NOT NULL, number INTEGER NOT NULL, model INTEGER, name TEXT NOT NULL,
  pid INTEGER NOT NULL, minute INTEGER NOT NULL, monotonic_seconds REAL NOT NULL,
  started REAL NOT NULL, ended REAL NOT NULL, outcome TEXT NOT NULL, seconds REAL NOT NULL,
  phases TEXT NOT NULL, target_bytes INTEGER, vram_bytes INTEGER, ram_bytes INTEGER,
  context_length INTEGER, evicted TEXT NOT NULL, reload_cause TEXT, changes TEXT NOT NULL, reason TEXT,
  forecast_vram_bytes INTEGER, forecast_ram_bytes INTEGER,
  forecast_tokens_per_second_low REAL, forecast_tokens_per_second_high REAL,
  PRIMARY KEY (session, number));
CREATE INDEX loads_by_minute ON load_rows (minute);

CREATE TABLE event_rows (
  session INTEGER NOT NULL, number INTEGER NOT NULL, minute INTEGER NOT NULL,
  monotonic_seconds REAL NOT NULL, time REAL NOT NULL, until REAL, kind TEXT NOT NULL, about TEXT NOT NULL,
  subject_id TEXT NOT NULL, subject TEXT NOT NULL, level TEXT, words TEXT NOT NULL,
  PRIMARY KEY (session, number));
CREATE INDEX events_by_minute ON event_rows (minute);

CREATE TABLE trouble_rows (
  session INTEGER NOT NULL, number INTEGER NOT NULL, model INTEGER NOT NULL,
  minute INTEGER NOT NULL, monotonic_seconds REAL NOT NULL, started REAL NOT NULL, until REAL NOT NULL,
  kind TEXT NOT NULL, level TEXT NOT NULL, sentence TEXT NOT NULL, cause TEXT, cure TEXT, command TEXT,
  busy_seconds REAL NOT NULL, decode_tokens_per_second REAL, full_tokens_per_second REAL,
  PRIMARY KEY (session, number));
CREATE INDEX troubles_by_minute ON trouble_rows (minute);
"""

SAME_SECONDS = 10
"""What two sessions saw of one thing is told by them within so long of each other."""

_NAMES = "m.host, m.server, m.kind, m.name, m.digest, m.quantization"

# Of sessions that watched the same in the same minute the one counts that watched it for longest, to about
# ten seconds; of equals the oldest: so the same one counts from minute to minute.
_ONCE = """r.session = (SELECT o.session FROM {table} o WHERE o.minute = r.minute AND o.{key} = r.{key}
  GROUP BY o.session ORDER BY round(sum(o.watched_seconds) / 10) DESC, o.session LIMIT 1)"""

_VIEWS = f"""
CREATE VIEW machine_minutes AS SELECT r.minute, s.host, r.session, r.number, r.monotonic_seconds,
  r.watched_seconds, r.ram_used_bytes, r.ram_total_bytes, r.swap_used_bytes, r.cpu_percent
FROM machine_minute_rows r JOIN sessions s USING (session)
WHERE r.session = (SELECT o.session FROM machine_minute_rows o JOIN sessions t ON t.session = o.session
  WHERE o.minute = r.minute AND t.host = s.host
  GROUP BY o.session ORDER BY round(sum(o.watched_seconds) / 10) DESC, o.session LIMIT 1);

CREATE VIEW model_minutes AS SELECT r.minute, {_NAMES}, r.session, r.number, r.monotonic_seconds,
  r.watched_seconds, r.busy_seconds, r.decoding_seconds, r.waiting_seconds, r.decoded_tokens,
  r.decoded_is_estimate, r.requests, r.prompt_tokens, r.kept_tokens, r.reread_tokens, r.lost_seconds,
  r.decode_tokens_per_second, r.decode_tokens_per_second_peak, r.prefill_tokens_per_second,
  r.full_tokens_per_second, r.usual_tokens_per_second, r.vram_bytes, r.ram_bytes, r.spill_fraction,
  r.context_length, r.context_tokens, r.level, r.trouble, r.energy_joules
FROM model_minute_rows r JOIN models m USING (model)
WHERE {_ONCE.format(table="model_minute_rows", key="model")};

CREATE VIEW gpu_minutes AS SELECT r.minute, g.host, g.uuid, g.gpu_index, g.name, r.session, r.number,
  r.monotonic_seconds, r.watched_seconds, r.used_bytes, r.used_bytes_peak, r.total_bytes,
  r.utilization_percent, r.utilization_percent_peak, r.temperature_celsius, r.temperature_celsius_peak,
  r.power_watts, r.power_watts_peak, r.power_limit_watts, r.throttled_seconds, r.throttle_reasons,
  r.energy_joules, r.level
FROM gpu_minute_rows r JOIN gpus g USING (gpu)
WHERE {_ONCE.format(table="gpu_minute_rows", key="gpu")};

CREATE VIEW requests AS SELECT r.minute, {_NAMES}, r.session, r.number, r.monotonic_seconds, r.started,
  r.ended, r.source, r.slot_id, r.task_id, r.prompt_tokens, r.kept_tokens, r.reread_tokens, r.lost_seconds,
  r.decoded_tokens, r.decoded_is_lower_bound, r.prefill_tokens_per_second, r.decode_tokens_per_second,
  r.waited_seconds, r.first_token_seconds, r.seconds, r.context_tokens, r.parallel, r.energy_joules, r.ending
FROM request_rows r JOIN models m USING (model)
WHERE NOT EXISTS (SELECT 1 FROM request_rows o WHERE o.model = r.model AND o.session < r.session
  AND o.ended BETWEEN r.ended - {SAME_SECONDS} AND r.ended + {SAME_SECONDS}
  AND coalesce(o.slot_id, -1) = coalesce(r.slot_id, -1)
  AND coalesce(o.task_id, -1) = coalesce(r.task_id, -1));

CREATE VIEW loads AS SELECT r.minute, s.host, m.server, m.kind, coalesce(m.name, r.name) AS name, m.digest,
  m.quantization, r.session, r.number, r.monotonic_seconds, r.pid, r.started, r.ended, r.outcome, r.seconds,
  r.phases, r.target_bytes, r.vram_bytes, r.ram_bytes, r.context_length, r.evicted, r.reload_cause, r.changes,
  r.reason, r.forecast_vram_bytes, r.forecast_ram_bytes, r.forecast_tokens_per_second_low,
  r.forecast_tokens_per_second_high
FROM load_rows r JOIN sessions s USING (session) LEFT JOIN models m ON m.model = r.model
WHERE NOT EXISTS (SELECT 1 FROM load_rows o JOIN sessions t ON t.session = o.session
  WHERE o.minute BETWEEN r.minute - 60 AND r.minute + 60 AND o.session < r.session AND t.host = s.host
  AND o.pid = r.pid AND abs(o.started - r.started) <= {SAME_SECONDS});

CREATE VIEW events AS SELECT r.minute, s.host, r.session, r.number, r.monotonic_seconds, r.time, r.until,
  r.kind, r.about, r.subject_id, r.subject, r.level, r.words
FROM event_rows r JOIN sessions s USING (session)
WHERE NOT EXISTS (SELECT 1 FROM event_rows o JOIN sessions t ON t.session = o.session
  WHERE o.minute BETWEEN r.minute - 60 AND r.minute + 60 AND o.session < r.session AND t.host = s.host
  AND o.kind = r.kind AND o.subject_id = r.subject_id AND abs(o.time - r.time) <= {SAME_SECONDS});

CREATE VIEW troubles AS SELECT r.minute, {_NAMES}, r.session, r.number, r.monotonic_seconds, r.started,
  r.until, r.kind AS trouble, r.level, r.sentence, r.cause, r.cure, r.command, r.busy_seconds,
  r.decode_tokens_per_second, r.full_tokens_per_second
FROM trouble_rows r JOIN models m USING (model)
WHERE NOT EXISTS (SELECT 1 FROM trouble_rows o WHERE o.model = r.model AND o.kind = r.kind
  AND o.session < r.session AND o.started <= r.until AND o.until >= r.started);
"""  # noqa: S608 - names of our own tables

TABLES_BY_MINUTE = (
    "machine_minute_rows",
    "model_minute_rows",
    "gpu_minute_rows",
    "request_rows",
    "load_rows",
    "event_rows",
    "trouble_rows",
)
"""What grows, and is forgotten by age."""


def _create(connection: sqlite3.Connection) -> None:
    for statement in (_TABLES + _VIEWS).split(";\n"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


MIGRATIONS: Sequence[Callable[[sqlite3.Connection], None]] = (_create,)
"""What makes of each version the next, from an empty file on. Views are made of tables: a migration that
changes these drops and creates the views that name them."""

VERSION = len(MIGRATIONS)
"""Of the schema, in ``PRAGMA user_version``."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the schema of a file; 0 of one that is empty."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file to the version of now, within the transaction that is open."""
    for version in range(version_of(connection), VERSION):
        MIGRATIONS[version](connection)
        connection.execute(f"PRAGMA user_version = {version + 1}")
