"""What a Prometheus knows of machines on which ``gpumon exporter`` runs."""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from gpumon.app.monitor import Monitor
from gpumon.collectors.http.client import HttpClient, Reply, TimeLimits, is_html, status_words
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import RequestError
from gpumon.text.safe import visible

SERIES = (
    "gpumon_level",
    "gpumon_model_verdict",
    "gpumon_model_state",
    "gpumon_model_spilled_ratio",
    "gpumon_model_decode_tokens_per_second",
    "gpumon_model_fitting_tokens_per_second",
    "gpumon_gpu_memory_used_bytes",
    "gpumon_gpu_memory_capacity_bytes",
    "gpumon_alert_active",
)
FIGURES = f'{{__name__=~"{"|".join(SERIES)}"}}'
SEEN = "timestamp(gpumon_build_info)"
SEEN_LATELY = f"max_over_time({SEEN}[1h:15s]) or 0 * count_over_time(gpumon_build_info[1h])"
"""The newest scrape of each machine within an hour, nearly; 0 of one that was seen between two steps."""
QUERIES = (FIGURES, SEEN_LATELY, SEEN)
EVERY_SECONDS = 10.0
OLD_SECONDS = 150.0
"""A machine of which nothing was scraped for so long has gone: Prometheus is mostly told 15 s to a minute."""
MAX_BYTES = 16 * 1024**2
MOST_SERIES = 100_000
LIMITS = TimeLimits(connect=5.0, total=10.0)
WORDS = {
    "refused": "nothing listens there",
    "no_such_host": "no host of that name is known",
    "no_route": "it cannot be reached",
    "connect_timeout": "it does not answer",
    "timeout": "it does not answer in time",
    "not_http": "what answers there speaks no HTTP",
    "too_large": "it answers with more than can be shown",
    "certificate": "its certificate is not trusted; see --ca-file",
}


class Value(NamedTuple):
    """One series now."""

    labels: dict[str, str]
    value: float

    @property
    def name(self) -> str:
        """Its name; of what was reckoned it has none."""
        return self.labels.get("__name__", "")


class _Result(msgspec.Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct):
    resultType: str = ""  # noqa: N815 - as Prometheus writes it
    result: list[_Result] = []


class _Answer(msgspec.Struct):
    status: str = ""
    data: _Data | None = None
    error: str = ""


class QueryError(Exception):
    """Prometheus could not be asked, or did not answer as it should; the text says why."""


class Machine(NamedTuple):
    """What is known of one ``instance``."""

    instance: str
    values: tuple[Value, ...]
    age_seconds: float | None
    """Since it was scraped last."""
    is_old: bool


def read_answer(body: bytes) -> list[Value]:
    """Return the series of an answer; what is no number is left out: it is unknown.

    Raises:
        QueryError: it is no answer, or one that says what is wrong.
    """
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (ValueError, RecursionError):
        raise QueryError("what answers there is no Prometheus") from None
    if answer.status != "success" or answer.data is None:
        raise QueryError(f"it says: {visible(answer.error, 200)}" if answer.error else "it says no more")
    if answer.data.resultType != "vector":
        raise QueryError("what answers there is no Prometheus")
    return [*_values(answer.data.result[:MOST_SERIES])]


def _values(results: Iterable[_Result]) -> Iterator[Value]:
    for one in results:
        number = _number(one.value[1]) if one.value is not None else None
        if number is not None:
            yield Value(one.metric, number)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def machines(figures: Iterable[Value], seen: Iterable[Value], now: float) -> tuple[Machine, ...]:
    """Return what is known of each machine that was scraped within an hour, by their names."""
    by_instance: dict[str, list[Value]] = defaultdict(list)
    for value in figures:
        by_instance[value.labels.get("instance", "")].append(value)
    newest: dict[str, float] = {}
    for value in seen:
        instance = value.labels.get("instance", "")
        newest[instance] = max(newest.get(instance, 0.0), value.value)
    found = []
    for instance in sorted(by_instance.keys() | newest.keys()):
        age = max(0.0, now - newest[instance]) if newest.get(instance) else None
        is_old = instance not in by_instance or (age or 0.0) > OLD_SECONDS
        found.append(Machine(instance, tuple(by_instance.get(instance, ())), age, is_old))
    return tuple(found)


class PrometheusFeed:
    """Asks one Prometheus now and then; only ever GETs of ``/api/v1/query``."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.endpoint = endpoint
        self.machines: tuple[Machine, ...] = ()
        self.problem = ""
        """Why it could not be asked last."""
        self.asked: float | None = None
        """When it has answered last."""
        self._now = now
        self._sleep = sleep
        self._client = HttpClient(endpoint, LIMITS)

    def marks(self) -> tuple[str, ...]:
        """Say that the figures are as old as the scrapes."""
        return ("PROMETHEUS",)

    async def run(self, monitor: Monitor) -> None:
        """Ask until cancelled; nothing of it goes through a monitor."""
        del monitor
        while True:
            await self.ask()
            await self._sleep(EVERY_SECONDS)

    async def ask(self) -> None:
        """Ask once; what was known stays where it does not answer."""
        try:
            figures, lately, seen = [await self._query(query) for query in QUERIES]
        except QueryError as error:
            self.problem = str(error)
            return
        self.problem, self.asked = "", self._now()
        self.machines = machines(figures, [*lately, *seen], self.asked)

    async def _query(self, query: str) -> list[Value]:
        try:
            reply = await self._client.get(f"/api/v1/query?query={quote(query)}", MAX_BYTES)
        except RequestError as error:
            raise QueryError(WORDS.get(error.kind, f"it cannot be asked ({error.kind})")) from None
        _refuse(reply)
        return read_answer(reply.body)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()


def _refuse(reply: Reply) -> None:
    """Raise ``QueryError`` for an answer that cannot be one of Prometheus."""
    if reply.status in {401, 403}:
        raise QueryError(f"{status_words(reply.status)}: it wants a header; see headers in the settings file")
    if is_html(reply) or reply.status == 404:
        raise QueryError("what answers there is no Prometheus")
    if reply.status >= 500 or (reply.status >= 300 and not reply.body.lstrip().startswith(b"{")):
        raise QueryError(status_words(reply.status))
