"""A model that is not here: from the catalogue of published configurations, or by its size alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpumon.app.cli.fit.model import Model, NoAnswerError, NotInstalledError
from gpumon.app.diagnosis.fit.report import Origin
from gpumon.app.errors import GpumonError
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from gpumon.app.cli.fit.asked import Asked
    from gpumon.app.diagnosis.fit.listing import Answer
    from gpumon.app.diagnosis.fit.machine import Machine
    from gpumon.app.physics.catalog.entries import Entry
    from gpumon.app.physics.catalog.names import Found
    from gpumon.collectors.http.endpoint import Endpoint
    from gpumon.collectors.samples import ModelFacts

_NAME_WIDTH = 60
SHOWN_FROM = "2024-09"
"""Older models are listed only when all are asked for."""


def model_of_catalog(asked: Asked, error: GpumonError | None, servers: Sequence[Endpoint]) -> Model:
    """Return the model of a name, or of a size; ``error`` is why it is not installed.

    Raises:
        GpumonError: there is none: ``error``, with names that are alike.
    """
    from gpumon.app.physics.catalog.names import find

    found = find(asked.model, asked.quant) if asked.model else None
    is_here = not servers or any(server.is_loopback for server in servers)
    url = error.url if isinstance(error, NotInstalledError) else None
    if found is not None:
        return _model(_named_facts(found), _origin(found, error), url, is_local=is_here)
    sized = _of_size(asked, error)
    if sized is None:
        raise _with_near(asked.model, error)
    return _model(*sized, url, is_local=is_here)


def _model(facts: ModelFacts, origin: Origin, url: str | None, *, is_local: bool) -> Model:
    size = file_bytes(facts)
    return Model(facts, size, url, is_local, origin=origin._replace(file_bytes=size))


def _named_facts(found: Found) -> ModelFacts:
    from gpumon.app.physics.catalog.entries import facts_of

    return facts_of(found.entry, found.quant, is_ollamas=found.is_ollamas)


def _origin(found: Found, error: GpumonError | None) -> Origin:
    return Origin("catalog", found.quant, found.entry.date, _why(error), is_rough=found.is_varied)


def _why(error: GpumonError | None) -> str:
    if error is None:
        return "as asked"
    return "no server" if isinstance(error, NoAnswerError) else "not installed"


def _of_size(asked: Asked, error: GpumonError | None) -> tuple[ModelFacts, Origin] | None:
    """Return a shape of the size that is asked for; none where installed models go by it."""
    from gpumon.app.physics.catalog.entries import facts_of
    from gpumon.app.physics.catalog.shapes import shape_of_size, size_named

    name = asked.parameters or asked.model
    size = size_named(name)
    if size is None or (isinstance(error, NotInstalledError) and error.near):
        return None
    quant = asked.quant or "Q4_K_M"
    entry = shape_of_size(size, asked.model or name)
    return facts_of(entry, quant, is_ollamas=False), Origin("size", quant, why=_why(error), is_rough=True)


async def answers_of_catalog(asked: Asked) -> list[Answer]:
    """Return how the models would be loaded, the most useful first; without ``--all`` the newer ones only."""
    from gpumon.app.cli.fit.answer import machine_here
    from gpumon.app.physics.catalog.entries import catalog

    machine = await machine_here(asked)
    entries = [one for one in catalog() if asked.shows_all or (one.ollama and one.date >= SHOWN_FROM)]
    answers = (_answer(entry, machine, asked) for entry in entries)
    return sorted(answers, key=lambda one: one.usefulness)


def _answer(entry: Entry, machine: Machine, asked: Asked) -> Answer:
    from gpumon.app.cli.fit.answer import with_asked
    from gpumon.app.diagnosis.fit.listing import Answer, answer_of_report
    from gpumon.app.diagnosis.fit.machine import Installed, default_options, fit_on
    from gpumon.app.diagnosis.fit.wishes import with_wishes
    from gpumon.app.physics.catalog.entries import facts_of
    from gpumon.app.physics.geometry import NoGeometry
    from gpumon.app.state.records import ModelKey

    facts = facts_of(entry, entry.quant, is_ollamas=entry.ollama)
    size = file_bytes(facts)
    model = Installed(ModelKey("catalog", entry.name), entry.name, size)
    total = sum(card.vram_total_bytes for card in machine.cards)
    options = with_wishes(with_asked(asked, default_options(facts, total)), asked.wishes)
    origin = Origin("catalog", entry.quant, entry.date, "not installed", size)
    report = fit_on(
        machine, facts, options, size, asked.wishes, compared=(options.cache_type_k,), origin=origin
    )
    if isinstance(report, NoGeometry):
        return Answer(model, reason=report.reason)
    return answer_of_report(model, report)


def file_bytes(facts: ModelFacts) -> int:
    """Return the bytes of all tensors."""
    one = facts.weights
    if one is None:
        return 0
    tables = one.token_embedding_bytes + (one.output_bytes or 0) + one.other_bytes + one.host_bytes
    return sum(one.layer_bytes) + tables + one.projector_bytes + one.draft_bytes


def _with_near(name: str, error: GpumonError | None) -> GpumonError:
    """Return the error with the names of the catalogue that are like this one."""
    from gpumon.app.physics.catalog.names import near_models

    near = [] if isinstance(error, NotInstalledError) and error.near else near_models(name)
    absent = f"no model {visible(name, _NAME_WIDTH)} is in the catalogue"
    if error is None:
        return GpumonError(
            f"{absent}; {_offer(near)}" if near else f"{absent}; --params 13b stands for any of a size"
        )
    if isinstance(error, NoAnswerError):
        return GpumonError(f"{absent}; {_offer(near)}" if near else f"{absent}, and {error}")
    return GpumonError(f"{str(error).partition('; try: ollama pull')[0]}; {_offer(near)}") if near else error


def _offer(near: Sequence[str]) -> str:
    return f"did you mean {' or '.join(near)}?"
