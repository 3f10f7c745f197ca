"""Makes rows of the history of what a monitor knows, from sample to sample; writes nothing itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import json

from gpumon.app.events.event import LoggedEvent
from gpumon.app.history.file import NewRow
from gpumon.app.history.requests import RequestTrack
from gpumon.app.history.rows import ModelName
from gpumon.app.history.tallies import GpuTally, ModelTally, Trouble, gpu_name, model_name
from gpumon.app.insight.learning.baselines import usual_rate
from gpumon.app.state.records import FinishedLoad, ModelKey, ModelRecord, RunnerKey
from gpumon.collectors.samples import AnySample
from gpumon.collectors.source import elapsed_seconds

if TYPE_CHECKING:
    from gpumon.app.diagnosis.forecast import Forecast
    from gpumon.app.monitor import Monitor

Put = Callable[[Sequence[NewRow]], None]
MINUTE_SECONDS = 60
LOOK_SECONDS = 15.0
"""So often what happened is put together; it is handed on at the end of a minute, for one transaction."""
FORECAST_SECONDS = 2.0
"""So often, at the most, a load in progress is asked what will come of it."""
EVENTS_LOOKED_AT = 200
LOADS_REMEMBERED = 200
TROUBLE = frozenset({"watch", "bad"})


class Clocks:
    """The wall clock and one that is never set; samples follow the second from the start of a run."""

    def __init__(
        self, wall: Callable[[], float] = time.time, elapsed: Callable[[], float] = elapsed_seconds
    ) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._ahead = wall() - elapsed()
        """By how much the wall clock was ahead of the other when the run began."""

    def now(self) -> tuple[float, float]:
        """Return the time by both clocks."""
        return self._wall(), self._elapsed()

    @property
    def stepped_seconds(self) -> float:
        """By how much the wall clock was set on since."""
        return self._wall() - self._elapsed() - self._ahead

    def monotonic_seconds(self, sample_time: float) -> float:
        """Return the time of a sample by the clock that is never set."""
        return sample_time - self._ahead


class Gatherer:
    """Follows a monitor from its first sample on, and hands on rows."""

    def __init__(self, monitor: Monitor, put: Put, clocks: Clocks | None = None) -> None:
        self._monitor = monitor
        self._put = put
        self._clocks = clocks or Clocks()
        self._rows: list[NewRow] = []
        self._numbers = 0
        self._minute: int | None = None
        self._began = 0.0
        self._seen = 0.0
        self._watched_seconds = 0.0
        self._look_due = float("-inf")
        self._forecast_due = float("-inf")
        self._models: dict[ModelKey, ModelTally] = {}
        self._gpus: dict[str, GpuTally] = {}
        self._requests = RequestTrack()
        self._events: dict[int, LoggedEvent] = {}
        self._loads: dict[RunnerKey, tuple[int, FinishedLoad]] = {}
        self._forecasts: dict[RunnerKey, Forecast] = {}
        self._troubles: dict[tuple[ModelKey, str], Trouble] = {}

    def on_sample(self, _sample: AnySample) -> None:
        """Take in what the sample has changed; to be called after state, alerts and events have taken it."""
        state = self._monitor.state
        now, touched = state.now, state.touched
        if self._minute is None:
            self._begin(now)
        for key in touched.worked.keys() | touched.claimed:
            self._see(key)
        for uuid in touched.gpus:
            self._see_gpu(uuid)
        self._watched_seconds += min(max(0.0, now - self._seen), LOOK_SECONDS)
        self._seen = now
        if state.loads and now >= self._forecast_due:
            self._forecast_due = now + FORECAST_SECONDS
            self._note_forecasts()
        if now >= self._look_due or self._minute_of(now) != self._minute:
            self._look()

    def close(self) -> None:
        """Hand on what there is of the minute that goes on."""
        if self._minute is not None:
            self._look()
            self._end_minute()
            self._hand_on()

    def _begin(self, now: float) -> None:
        self._began = self._seen = now
        self._minute = self._minute_of(now)
        self._look_due = now + LOOK_SECONDS
        for key in self._monitor.state.models:
            self._see(key)
        for uuid in self._monitor.state.gpus:
            self._see_gpu(uuid)

    def _wall(self, sample_time: float) -> float:
        return sample_time + self._clocks.stepped_seconds

    def _minute_of(self, sample_time: float) -> int:
        return math.floor(self._wall(sample_time) / MINUTE_SECONDS) * MINUTE_SECONDS

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _see(self, key: ModelKey) -> None:
        record = self._monitor.state.models.get(key)
        if record is None:
            if (gone := self._models.pop(key, None)) is not None:
                self._end_model(gone, None)
            return
        now, name = self._monitor.state.now, model_name(record)
        tally = self._models.get(key)
        if tally is not None and tally.name != name:
            self._end_model(tally, None)
            tally = None
        if tally is None:
            tally = self._models[key] = ModelTally(name, now)
        tally.see(record, self._monitor.state, self._began)
        self._take_requests(record, tally)

    def _see_gpu(self, uuid: str) -> None:
        now, gpu = self._monitor.state.now, self._monitor.state.gpus.get(uuid)
        if gpu is not None:
            self._gpus.setdefault(uuid, GpuTally(gpu_name(gpu), now)).see(gpu, now)

    def _take_requests(self, record: ModelRecord, tally: ModelTally) -> None:
        for values in self._requests.fresh(record, self._monitor.state):
            tally.requests.add(values)
            started, ended = values.pop("started"), values.pop("ended")
            times = {"started": self._wall(started), "ended": self._wall(ended)}
            self._add("request_rows", ended, {**values, **times}, tally.name)

    def _add(
        self,
        table: str,
        at: float,
        values: dict[str, object],
        model: ModelName | None = None,
        number: int | None = None,
    ) -> None:
        """Add a row of something that was at a time."""
        common = {
            "number": self._number() if number is None else number,
            "minute": self._minute_of(at),
            "monotonic_seconds": self._clocks.monotonic_seconds(at),
        }
        self._rows.append(NewRow(table, {**common, **values}, model))

    # Every some seconds

    def _look(self) -> None:
        now = self._monitor.state.now
        self._look_due = now + LOOK_SECONDS
        for key in [*self._monitor.state.models]:
            self._see(key)
            self._look_at(key)
        self._take_loads()
        self._take_events()
        if self._minute_of(now) != self._minute:
            self._end_minute()
            self._hand_on()

    def _look_at(self, key: ModelKey) -> None:
        tally, picture = self._models[key], self._monitor.pictures.model(key)
        if picture is None:
            return
        tally.picture(picture)
        for kind in [kind for of, kind in self._troubles if of == key and kind != picture.trouble]:
            self._tell_trouble(self._troubles.pop((key, kind)))
        if picture.level not in TROUBLE:
            return
        trouble = self._troubles.get((key, picture.trouble))
        if trouble is None:
            trouble = self._troubles[key, picture.trouble] = Trouble(self._number(), tally.name, picture.at)
        trouble.go_on(picture, is_busy=tally.is_busy)

    def _tell_trouble(self, trouble: Trouble) -> None:
        self._add("trouble_rows", trouble.until, trouble.row(self._wall), trouble.model, trouble.number)

    def _hand_on(self) -> None:
        if self._rows:
            self._put(self._rows)
            self._rows = []

    def _end_minute(self) -> None:
        for trouble in self._troubles.values():
            self._tell_trouble(trouble)
        for key, tally in self._models.items():
            self._end_model(tally, self._monitor.state.models.get(key))
        pictures = {gpu.uuid: gpu.level for gpu in self._monitor.pictures.gpus()}
        for uuid, gpu in self._gpus.items():
            self._rows.append(
                NewRow(
                    "gpu_minute_rows", self._of_minute(gpu.row(pictures.get(uuid, "unknown"))), gpu=gpu.name
                )
            )
            gpu.begin()
        self._gpus = {uuid: gpu for uuid, gpu in self._gpus.items() if uuid in pictures}
        self._rows.append(NewRow("machine_minute_rows", self._of_minute(self._machine())))
        self._watched_seconds = 0.0
        self._minute = self._minute_of(self._monitor.state.now)

    def _of_minute(self, values: dict[str, object]) -> dict[str, object]:
        at = self._clocks.monotonic_seconds(self._monitor.state.now)
        return {"minute": self._minute, "number": self._number(), "monotonic_seconds": at, **values}

    def _end_model(self, tally: ModelTally, record: ModelRecord | None) -> None:
        usual = None if record is None else usual_rate(self._monitor.state, record)
        values = {**tally.row(), "usual_tokens_per_second": usual.decode_tokens_per_second if usual else None}
        self._rows.append(NewRow("model_minute_rows", self._of_minute(values), tally.name))
        tally.begin()

    def _machine(self) -> dict[str, object]:
        system = self._monitor.state.system
        sample = system.sample if system else None
        return {
            "watched_seconds": self._watched_seconds,
            "ram_used_bytes": sample and sample.ram_used_bytes,
            "ram_total_bytes": sample and sample.ram_total_bytes,
            "swap_used_bytes": sample and sample.swap_used_bytes,
            "cpu_percent": sample and sample.cpu_percent,
        }

    # Loads and events

    def _note_forecasts(self) -> None:
        for load in self._monitor.pictures.loads():
            if load.forecast is not None:
                keys = (key for key in self._monitor.state.loads if key.pid == load.pid)
                self._forecasts |= dict.fromkeys(keys, load.forecast)

    def _take_loads(self) -> None:
        for load in self._monitor.state.finished_loads:
            number, before = self._loads.get(load.key, (None, None))
            if before is load:
                continue
            number = self._number() if number is None else number
            self._loads[load.key] = (number, load)
            values = _load_values(load, self._forecasts.get(load.key))
            times = {"started": self._wall(load.started), "ended": self._wall(load.ended)}
            model = self._model_of(load.key)
            self._add("load_rows", load.ended, {**values, **times}, model, number)
        while len(self._loads) > LOADS_REMEMBERED:
            key = next(iter(self._loads))
            del self._loads[key]
            self._forecasts.pop(key, None)

    def _model_of(self, key: RunnerKey) -> ModelName | None:
        records = (*self._monitor.state.models.values(), *self._monitor.state.departed)
        return next((model_name(one) for one in records if key in {one.runner, one.process}), None)

    def _take_events(self) -> None:
        latest = {event.number: event for event in self._monitor.events.latest(EVENTS_LOOKED_AT)}
        for number, event in latest.items():
            if _is_news(self._events.get(number), event):
                self._add("event_rows", event.time, self._event_values(event), number=number)
        self._events = latest

    def _event_values(self, event: LoggedEvent) -> dict[str, object]:
        return {
            "time": self._wall(event.time),
            "until": None if event.until is None else self._wall(event.until),
            "kind": event.kind,
            "about": event.about,
            "subject_id": event.subject_id,
            "subject": event.subject,
            "level": event.level,
            "words": event.words,
        }


def _is_news(before: LoggedEvent | None, event: LoggedEvent) -> bool:
    """Return whether an event is to be written: the figures of an alert that goes on change all the time."""
    if before is None or not (before.lasts and event.lasts):
        return event != before
    return (before.kind, before.level, before.subject) != (event.kind, event.level, event.subject)


def _load_values(load: FinishedLoad, forecast: Forecast | None) -> dict[str, object]:
    decode = forecast.decode if forecast else None
    return {
        "name": load.name,
        "pid": load.key.pid,
        "outcome": load.outcome,
        "seconds": load.total_seconds,
        "phases": _json(load.phase_seconds),
        "target_bytes": load.target_bytes,
        "vram_bytes": sum(load.vram_by_gpu.values()) or load.peak_vram_bytes,
        "ram_bytes": load.ram_bytes,
        "context_length": load.settings.context_length,
        "evicted": _json(load.evicted),
        "reload_cause": load.reload_cause,
        "changes": _json(load.changes),
        "reason": load.reason,
        "forecast_vram_bytes": forecast.gpu_bytes if forecast else None,
        "forecast_ram_bytes": forecast.ram_bytes if forecast else None,
        "forecast_tokens_per_second_low": decode.low if decode else None,
        "forecast_tokens_per_second_high": decode.high if decode else None,
    }


def _json(value: object) -> str:
    return json.encode(value).decode()
