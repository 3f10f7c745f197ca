"""Several machines: a row for each with the worst that is true there, one verdict, all events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.fleet.link import HostFeed
from gpumon.app.insight.health import Level
from gpumon.app.monitor import Monitor
from gpumon.app.picture.pictures import Pictures
from gpumon.app.views.band import band_view
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import EventRow, HostRow, SourceRow, VerdictView

OLD_SECONDS = 15.0
"""A host that says nothing for so long may have gone: what idles says something every three seconds."""
MOST_EVENTS = 100

HostOrder = Literal["as named", "trouble", "name", "rate", "memory"]
HOST_ORDERS: tuple[HostOrder, ...] = ("as named", "trouble", "name", "rate", "memory")
LEVELS: dict[Level, int] = {"bad": 0, "watch": 1, "unknown": 2, "ok": 3}


class Link(Struct, frozen=True):
    """How a host is reached now."""

    age_seconds: float | None = None
    """Since its newest sample came."""
    is_up: bool = True
    words: str = ""
    """Why nothing comes."""
    hint: str = ""
    needs_user: bool = False
    next_try_seconds: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_old(self) -> bool:
        """Whether what is known of it is as it was a while ago."""
        return self.age_seconds is not None and (not self.is_up or self.age_seconds > OLD_SECONDS)


def link_of(feed: HostFeed, now: float) -> Link:
    """Return how a host is reached; ``now`` is by the clock of its feed."""
    stream, cause = feed.stream, feed.cause
    age = None if stream is None or stream.arrived is None else max(0.0, now - stream.arrived)
    wait = None if feed.next_try is None else max(0.0, feed.next_try - now)
    is_up = feed.state == "up"
    if cause is None or is_up:
        return Link(age, is_up, "" if is_up else "connecting", notes=_notes(feed))
    return Link(age, False, cause.words, cause.hint, cause.needs_user, wait, _notes(feed))


def _notes(feed: HostFeed) -> tuple[str, ...]:
    stream = feed.stream
    if stream is None:
        return ()
    ahead, version, left_out = stream.clock_ahead_seconds, stream.other_version, stream.unknown
    side = "ahead of" if (ahead or 0.0) > 0 else "behind"
    return tuple(
        filter(
            None,
            (
                f"its clock is {units.duration(abs(ahead))} {side} ours" if ahead is not None else "",
                f"gpumon {version} there" if version else "",
                f"{left_out} samples of a newer version left out" if left_out else "",
                f"{stream.damaged} damaged lines" if stream.damaged else "",
            ),
        )
    )


def host_row(key: str, monitor: Monitor, link: Link) -> HostRow:
    """Return the row of a host: what is wrong there, or why it is not known."""
    name = visible(key)
    if link.age_seconds is None:
        level: Level = "watch" if link.needs_user else "unknown"
        return HostRow(key, name, level, sentence=link.words or "connecting", cause=_how(link))
    with monitor.fuses.guard("row of the host"):
        return _known(key, name, monitor.pictures, link)
    return HostRow(key, name, sentence="internal error")


def _how(link: Link) -> str:
    """Say what to do, and when it is tried again."""
    wait = link.next_try_seconds
    again = "" if wait is None else "trying again" if wait < 1 else f"tries again in {units.duration(wait)}"
    return "; ".join(filter(None, (link.hint, again)))


def _known(key: str, name: str, pictures: Pictures, link: Link) -> HostRow:
    band, models = band_view(pictures), pictures.models()
    rates = [one.rates.decode_tokens_per_second for one in models]
    known = [rate for rate in rates if rate is not None]
    row = HostRow(
        key,
        name,
        band.level,
        band.head,
        band.subject,
        band.facts if band.head else (),
        band.sentence,
        "; ".join(filter(None, (band.cause, *link.notes))),
        band.remedy,
        band.where,
        gpus=tuple(_memory(pictures)),
        tokens_per_second=sum(known) if known else None,
        models=len(models),
        loading=len(pictures.loads()),
        age_seconds=link.age_seconds,
        is_old=link.is_old,
        notes=link.notes,
    )
    return _aged(row, link) if link.is_old else row


def _memory(pictures: Pictures) -> Iterable[tuple[int | None, int | None]]:
    for gpu in pictures.gpus():
        memory = gpu.memory if gpu.reading.state != "lost" else None
        yield (None, None) if memory is None else (memory.used_bytes, memory.total_bytes)


def _aged(row: HostRow, link: Link) -> HostRow:
    """Say first that it is not of now, then what was."""
    was = " ".join(filter(None, (row.head, row.subject))) or row.sentence
    return replace(
        row,
        level="watch" if link.needs_user else "unknown",
        head="",
        facts=(),
        sentence=f"seen {_ago(link.age_seconds)}: {was}",
        cause="; ".join(filter(None, (link.words or "nothing comes", _how(link)))),
        remedy="",
        where="",
        tokens_per_second=None,
    )


def _ago(seconds: float | None) -> str:
    return f"{units.duration(seconds)} ago" if (seconds or 0.0) < 60 else units.ago(seconds or 0.0)


def ordered(rows: Iterable[HostRow], order: HostOrder, filter_text: str = "") -> tuple[HostRow, ...]:
    """Return the rows whose names contain a text, in an order; of equals the one named first stands first."""
    found = [row for row in rows if filter_text.casefold() in row.name.casefold()]
    if order == "trouble":
        found.sort(key=lambda row: LEVELS[row.level])
    elif order == "name":
        found.sort(key=lambda row: row.name.rpartition("@")[2].casefold())
    elif order == "rate":
        found.sort(key=lambda row: -(row.tokens_per_second or 0.0))
    elif order == "memory":
        found.sort(key=_fullness, reverse=True)
    return tuple(found)


def _fullness(row: HostRow) -> float:
    sizes = [(used, total) for used, total in row.gpus if used is not None and total]
    return sum(used for used, _ in sizes) / sum(total for _, total in sizes) if sizes else 0.0


def fleet_verdict(rows: Sequence[HostRow], clock: str = "") -> VerdictView:
    """Return the worst that is true on any host, and on how many something is."""
    right = tuple(filter(None, (_counted(rows), clock)))
    if not rows:
        return VerdictView("unknown", "no host is known yet", right=right)
    worst = min(rows, key=lambda row: LEVELS[row.level])
    if worst.level in {"ok", "unknown"}:
        sentence = _sentence(rows)
        return VerdictView(worst.level, sentence, facts=tuple(_totals(rows)), right=right[-1:])
    view = VerdictView(worst.level, f"{worst.name}: {worst.sentence}", cause=worst.cause, right=right)
    if not worst.head:
        return replace(view, sentence="; ".join(filter(None, (view.sentence, worst.cause))), cause="")
    where = f"on {worst.name}{', ' if worst.where else ''}{worst.where}" if worst.remedy else ""
    about = f"{worst.name}: {worst.subject}" if worst.subject else worst.name
    return replace(
        view,
        head=worst.head,
        subject=about,
        facts=worst.facts,
        remedy=worst.remedy,
        where=where,
        keys=(("Enter", "its dashboard"),),
    )


def _counted(rows: Sequence[HostRow]) -> str:
    wrong = sum(row.level in {"bad", "watch"} for row in rows)
    return f"{wrong} of {len(rows)} hosts in trouble" if wrong > 1 else ""


def _sentence(rows: Sequence[HostRow]) -> str:
    well = sum(row.level == "ok" for row in rows)
    silent = [row.name for row in rows if row.level == "unknown"]
    if not silent:
        return "all is well on this host" if len(rows) == 1 else f"all is well on {len(rows)} hosts"
    names = ", ".join(silent[:3]) + (f" and {len(silent) - 3} more" if len(silent) > 3 else "")
    return f"{well} of {len(rows)} hosts well; not known: {names}"


def _totals(rows: Sequence[HostRow]) -> Iterable[str]:
    rates = [row.tokens_per_second for row in rows if row.tokens_per_second is not None]
    if rates:
        yield units.rate(sum(rates))
    models = sum(row.models or 0 for row in rows if not row.is_old)
    if models:
        yield "1 model" if models == 1 else f"{models} models"


def of_host(
    events: Iterable[EventRow], name: str, ahead_seconds: float = 0.0, *, is_old: bool = False
) -> tuple[EventRow, ...]:
    """Return the events of a host as they stand among those of all: with its name, by our clock.

    Of one that ``is_old`` nothing is known to last still.
    """
    return tuple(
        replace(
            one,
            key=f"{name} {one.key}",
            time=units.clock(one.at - ahead_seconds) if ahead_seconds else one.time,
            at=one.at - ahead_seconds,
            ways=tuple(f"{name}: {way}" for way in one.ways),
            bare=tuple(f"{name}: {way}" for way in one.bare),
            model=f"{name} {one.model}" if one.model else "",
            opens=("hosts", name),
            ongoing=one.ongoing and not is_old,
            lasting="" if is_old and one.ongoing else one.lasting,
        )
        for one in events
    )


def merged(events: Iterable[EventRow]) -> tuple[EventRow, ...]:
    """Return the events of all hosts: what lasts, then the newest."""
    return tuple(sorted(events, key=lambda one: (not one.ongoing, -one.at))[:MOST_EVENTS])


def link_rows(name: str, link: Link) -> tuple[SourceRow, ...]:
    """Return what its own dashboard says of how a host is reached, where that is worth a line."""
    if link.is_up and not link.is_old:
        return tuple(SourceRow("unknown", name, note) for note in link.notes)
    words = link.words or "nothing comes"
    age = f", last seen {units.duration(link.age_seconds)} ago" if link.age_seconds is not None else ""
    return (SourceRow("watch", name, f"{words}{age}", _how(link)),)
