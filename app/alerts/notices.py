"""What a person is told of alerts where no screen is looked at: few words, never many at once, and the end.

Alerts come with their hold times already, on change only. Here those are left out that are not bad enough,
and where many come at once (a driver that is lost takes every model with it) the first few are told as they
come and the others in one summary once no more do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

from msgspec import Struct

from gpumon.app.alerts.alert import Alert, AlertEvent, AlertKey, Severity
from gpumon.text.units import duration

AT_ONCE = 3
"""So many are told as they come."""
SPAN_SECONDS = 60.0
"""Within this; those after them wait for the summary."""
QUIET_SECONDS = 20.0
"""A storm is over when so long nothing has come."""
LONGEST_SECONDS = 300.0
"""One that goes on is told of this often."""
NAMED = 3
"""Of so many a summary repeats the words."""

NoticeLevel = Literal["bad", "watch", "over"]


class Notice(Struct, frozen=True):
    """What is told at once; harmless to draw."""

    title: str
    body: str
    level: NoticeLevel


Send = Callable[[Notice], None]
"""Hands a notice on; never waits, never raises."""


class There(NamedTuple):
    """An event, and the machine that it is about."""

    event: AlertEvent
    host: str

    @property
    def key(self) -> tuple[str, AlertKey]:
        """What it is about: the same alert on another machine is another one."""
        return self.host, self.event.alert.key


class Notifier:
    """Makes notices of alerts; ``host`` names this machine, ``level`` is the least that is told of."""

    def __init__(self, send: Send, host: str, level: Severity = "bad") -> None:
        self._send = send
        self._host = host
        self._level = level
        self._told: set[tuple[str, AlertKey]] = set()
        """The alerts of which it is known that they go on, and whose end is to be told."""
        self._sent: deque[float] = deque(maxlen=AT_ONCE)
        self._held: list[There] = []
        self._held_since = 0.0
        self._last_held = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def tell(self, event: AlertEvent, host: str = "") -> None:
        """Tell of one event, now or in a summary, if it is to be told at all; ``host`` is another machine."""
        there = There(event, host or self._host)
        if not self._is_wanted(there):
            return
        now = asyncio.get_running_loop().time()
        is_many = len(self._sent) == AT_ONCE and now - self._sent[0] < SPAN_SECONDS
        if is_many or now - self._last_held < QUIET_SECONDS:
            self._hold(there, now)
        else:
            self._sent.append(now)
            self._send(notice_of(there))

    def close(self) -> None:
        """Tell what still waits."""
        if self._timer is not None:
            self._timer.cancel()
        if self._held:
            self._summarise()

    def _is_wanted(self, there: There) -> bool:
        event, key = there.event, there.key
        if event.change == "ended":
            is_known = key in self._told
            self._told.discard(key)
            return is_known
        if self._level == "bad" and event.alert.severity != "bad":
            return False
        if event.alert.until is None:
            self._told.add(key)
        return True

    def _hold(self, there: There, now: float) -> None:
        if not self._held:
            self._held_since = now
        self._held.append(there)
        self._last_held = now
        if self._timer is not None:
            self._timer.cancel()
        due = min(now + QUIET_SECONDS, self._held_since + LONGEST_SECONDS)
        self._timer = asyncio.get_running_loop().call_at(due, self._summarise)

    def _summarise(self) -> None:
        held, self._held, self._timer = self._held, [], None
        self._sent.append(asyncio.get_running_loop().time())
        self._send(held_notice(held, self._host))


def notice_of(there: There) -> Notice:
    """Return the words for one event."""
    alert, title = there.event.alert, _title(there.host)
    if there.event.change != "ended":
        return Notice(title, alert.message, alert.severity)
    return Notice(f"{title}: over", f"{_end_words(alert)}: {alert.message}", "over")


def held_notice(events: list[There], host: str) -> Notice:
    """Return one notice for many events: how many, what the worst of them were, what goes on."""
    last = {there.key: there for there in events}
    lasting = [one for one in last.values() if one.event.change != "ended" and one.event.alert.until is None]
    lasting.sort(key=lambda one: one.event.alert.severity != "bad")
    over, hosts = len(last) - len(lasting), {there.host for there in events}
    words = [one.event.alert.message for one in lasting[:NAMED]]
    if hosts != {host}:
        words = [f"{one.host}: {text}" for one, text in zip(lasting, words, strict=False)]
    if len(lasting) > NAMED:
        words.append(f"and {len(lasting) - NAMED} more")
    counts = [f"{len(lasting)} go on"] if lasting else []
    counts += [f"{over} are over"] if over else []
    level: NoticeLevel = lasting[0].event.alert.severity if lasting else "over"
    head = f"{len(last)} more alerts: {', '.join(counts)}"
    return Notice(_title(host), "\n".join([head, *words]), level)


def _title(host: str) -> str:
    return f"gpumon on {host}" if host else "gpumon"


def _end_words(alert: Alert) -> str:
    lasted = duration(alert.duration_seconds(alert.until or alert.since))
    reasons = {"recovered": "well again", "unloaded": "unloaded", "gone": "gone"}
    return f"{reasons.get(alert.ended or '', 'over')} after {lasted}"
