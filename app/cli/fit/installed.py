"""``gpumon fit`` without a name: every installed model with its answer, the most useful first.

Where none is installed those of the catalogue take their place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from gpumon.app.cli.fit.answer import read_nvml, with_asked
from gpumon.app.cli.fit.asked import Asked
from gpumon.app.cli.fit.catalog import answers_of_catalog
from gpumon.app.cli.fit.disk import on_disk
from gpumon.app.cli.fit.model import NO_SERVER, NoAnswerError, listings
from gpumon.app.diagnosis.fit.listing import Answer, answer_of, here_words, summary_words
from gpumon.app.diagnosis.fit.machine import Machine, installed_models
from gpumon.app.errors import GpumonError
from gpumon.app.insight.wording import address
from gpumon.app.monitor import Store
from gpumon.app.session.describing import Descriptions, describe
from gpumon.app.session.whom import endpoints
from gpumon.app.state.machine import gpu_pids
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.processes.manifests import ManifestReader
from gpumon.collectors.processes.source import ProcessSource
from gpumon.collectors.samples import BlobNames, ModelFacts
from gpumon.collectors.server_log.source import LogSource
from gpumon.collectors.source import SystemClock
from gpumon.collectors.system.source import SystemSource
from gpumon.collectors.worker import Worker
from gpumon.text import units
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from gpumon.app.config.settings import Settings
    from gpumon.app.session.session import Describe

MANIFEST_SECONDS = 1.0
"""A disk that does not answer in time is not read: the server is asked instead."""
NAME_WIDTH = 40


class Listing(NamedTuple):
    """The answers, the most useful first."""

    answers: list[Answer]
    is_catalog: bool = False
    """Whether nothing is installed, and these are the models of the catalogue."""
    problem: str = ""
    """Why it is not known what is installed."""


async def answers_here(asked: Asked, settings: Settings) -> Listing:
    """Look once at this machine and its servers, read the headers of what is installed, and compute.

    Raises:
        GpumonError: a server does not say what it has.
    """
    store, servers = Store(), endpoints(settings)
    problems, _ = await asyncio.gather(_list_servers(store, servers), _look(store, settings))
    is_silent = len(problems) == len(servers)
    if is_silent:
        await _list_disk(store, servers, problems)
    if not installed_models(store.state):
        problem = ("; ".join(map(str, problems)) or NO_SERVER) if is_silent else ""
        return Listing(await answers_of_catalog(asked), is_catalog=True, problem=problem)
    known: dict[str, Describe] = {one.url: partial(describe, store.state, one) for one in servers}
    descriptions = Descriptions(known, lambda facts: _take(store, facts))
    models = installed_models(store.state)
    await descriptions.ask(descriptions.unasked(models, store.state), lambda: None)
    machine = _machine(asked)
    change = partial(with_asked, asked)
    found = [answer_of(store.state, model, machine, change, asked.wishes) for model in models]
    answers = map(partial(_reasoned, descriptions, store), found)
    return Listing(sorted(answers, key=lambda one: one.usefulness))


def _take(store: Store, facts: ModelFacts) -> None:
    store.apply(facts)


def _reasoned(descriptions: Descriptions, store: Store, answer: Answer) -> Answer:
    """Return the answer, with the reason where nobody said what the file holds."""
    if answer.model.key in store.state.facts:
        return answer
    reason = descriptions.missing_words(answer.model.key)
    return Answer(answer.model, answer.here, None, answer.ram_fraction, reason)


def _machine(asked: Asked) -> Machine | None:
    """Return the cards that were asked for; ``None``: those of the servers."""
    if not asked.cards:
        return None
    ram = asked.ram_bandwidth_bytes_per_second
    return Machine(asked.cards, ram)


async def _list_servers(store: Store, servers: Sequence[Endpoint]) -> list[GpumonError]:
    """Take in what the servers have installed and loaded; return what went wrong at the others."""
    problems = []
    for said in await asyncio.gather(*map(listings, servers), return_exceptions=True):
        if isinstance(said, GpumonError):
            problems.append(said)
        elif isinstance(said, BaseException):
            raise said
        else:
            for sample in said:
                store.apply(sample)
    return problems


async def _list_disk(store: Store, servers: Sequence[Endpoint], problems: Sequence[GpumonError]) -> None:
    """Take in what is on this disk, where no server answers; raise what else went wrong."""
    if not all(isinstance(problem, NoAnswerError) for problem in problems):
        raise GpumonError("; ".join(map(str, problems)))
    where = await on_disk(servers)
    if where is None:
        return
    url = next(server.url for server in servers if server.is_loopback)
    for sample in where.samples(url):
        store.apply(sample)


async def _look(store: Store, settings: Settings) -> None:
    """Take in the machine: RAM, GPUs, the servers' processes with their settings, names on disk, logs."""
    from gpumon.app.session.build import log_paths

    clock = SystemClock()
    for sample in (*await SystemSource(clock).poll(), *(await read_nvml() or ())):
        store.apply(sample)
    processes = ProcessSource(clock, lambda: gpu_pids(store.state))
    logs = LogSource(clock, lambda: store.state.servers, log_paths(settings))
    try:
        for source in (processes, logs):
            for sample in await source.poll():
                store.apply(sample)
        for names in await _names(store, clock.now()):
            store.apply(names)
    finally:
        await processes.close()
        await logs.close()


async def _names(store: Store, now: float) -> list[BlobNames]:
    paths = sorted({server.models_path for server in store.state.servers if server.models_path})
    worker = Worker("manifests")
    try:
        async with asyncio.timeout(MANIFEST_SECONDS):
            read = await worker.run(lambda: [ManifestReader(path).read(now) for path in paths])
    except TimeoutError:
        return []
    finally:
        worker.close()
    return [names for names in read if names is not None]


HEADINGS = ("NAME", "FILE", "NEEDS", "HERE", "TOK/S, ESTIMATE", "LARGEST CONTEXT")
TO_THE_LEFT = ("NAME", "HERE")


def _table(answers: Sequence[Answer]) -> Iterator[str]:
    names = [one.model.name for one in answers]
    rows = [HEADINGS, *(_row(one, is_twice=names.count(one.model.name) > 1) for one in answers)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(HEADINGS, row, widths, strict=True)
        yield "  ".join(_padded(cell, width, heading) for heading, cell, width in cells).rstrip()


def list_lines(answers: Sequence[Answer]) -> Iterator[str]:
    """Yield the list as a table, and below it why some of it is not known."""
    yield from _table(answers)
    yield ""
    yield f"{len(answers)} installed: {summary_words(answers)}"
    for reason in dict.fromkeys(one.reason for one in answers if one.reason):
        names = [one.model.name for one in answers if one.reason == reason]
        whom = visible(names[0], NAME_WIDTH) if len(names) == 1 else f"{len(names)} models"
        yield f"{whom}: {visible(reason)}"


SHOWN, SHOWN_FITTING = 20, 14
"""Of the catalogue: a screenful, some of it what does not fit."""


def catalog_lines(answers: Sequence[Answer], problem: str, *, shows_all: bool) -> Iterator[str]:
    """Yield the models of the catalogue as a table: a screenful, or all; and why none is installed."""
    newest = _newest(answers)
    fitting = [one for one in newest if one.here == "fits"]
    others = [one for one in newest if one.here != "fits"]
    few = fitting[: max(SHOWN_FITTING, SHOWN - len(others))]
    shown = list(answers) if shows_all else [*few, *others[: SHOWN - len(few)]]
    yield from _table(shown)
    yield ""
    yield problem or "no model is installed"
    yield f"{len(answers)} of the catalogue: {summary_words(answers)}"
    if not shows_all:
        yield "--all shows every model; in another quantisation: gpumon fit NAME --quant q3_k_m"


def _newest(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers with the newest alone of those that are of one size, which are of one shape."""
    by_size: dict[int | None, Answer] = {}
    for one in answers:
        before = by_size.get(one.model.size_bytes)
        if before is None or _date(before) < _date(one):
            by_size[one.model.size_bytes] = one
    return [one for one in answers if by_size[one.model.size_bytes] is one]


def _date(answer: Answer) -> str:
    return answer.report.origin.date if answer.report else ""


def _padded(cell: str, width: int, heading: str) -> str:
    return cell.ljust(width) if heading in TO_THE_LEFT else cell.rjust(width)


def _row(answer: Answer, *, is_twice: bool) -> tuple[str, ...]:
    name = visible(answer.model.name, NAME_WIDTH)
    context = answer.context_length
    return (
        f"{name} at {address(answer.model.key.source)}" if is_twice else name,
        units.size(answer.model.size_bytes),
        units.size(answer.needed_bytes),
        here_words(answer)[-1],
        rate_words(answer),
        "none" if context == 0 else units.tokens(context),
    )


def rate_words(answer: Answer) -> str:
    """Write an estimate with its range: ``~47 (37-59)``."""
    if answer.decode is None:
        return units.UNKNOWN
    low, expected, high = (units.rate(value).removesuffix(" tok/s") for value in answer.decode)
    return f"~{expected} ({low}-{high})"


def any_fits(answers: Sequence[Answer]) -> bool | None:
    """Return whether one of them at least is, or would be, wholly on GPU; ``None`` where nothing is known."""
    known = [one for one in answers if one.here != "unknown"]
    fitting = [one for one in known if one.here in {"fits", "after_unloading"} or _is_whole(one)]
    return bool(fitting) if known else None


def _is_whole(answer: Answer) -> bool:
    return answer.here == "loaded" and not answer.ram_fraction
