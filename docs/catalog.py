"""Checks the catalogue of language models, ``app/physics/catalog/models.json``: ``make catalog``.

Every model has a name of its own, a shape that can be computed, a source and a date, and as many parameters
by its shape as were published with it. Exits with 1 where one of them has not.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from gpumon.app.physics.catalog.entries import Entry, catalog, facts_of, parameter_count
from gpumon.app.physics.catalog.quants import MIXES
from gpumon.app.physics.geometry import NoGeometry
from gpumon.app.physics.shape import geometry_of

TOLERANCE = 0.01
_DATE = re.compile(r"20[0-9]{2}-(?:0[1-9]|1[0-2])")
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
PLACES = frozenset(
    {"aiconfigurator", "litgpt", "maxtext", "mlc-llm", "transformers", "tt-metal", "thunder_model_blocks"}
    | {"copy", "ollama", "gguf", "count"}
)
"""Where figures were read: docs/fit.md says which these are."""


def problems(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield what is wrong, one line each."""
    names = Counter(name for entry in entries for name in (entry.name, *entry.names))
    yield from (f"{name}: {count} models have this name" for name, count in names.items() if count > 1)
    for entry in entries:
        yield from (f"{entry.name}: {words}" for words in _of_one(entry))


def _of_one(entry: Entry) -> Iterator[str]:
    if not _DATE.fullmatch(entry.date):
        yield f"{entry.date!r} is no year and month"
    if not _HUB.fullmatch(entry.hub):
        yield f"{entry.hub!r} is no model of the hub"
    if entry.read_in not in PLACES:
        yield f"{entry.read_in!r} is no place that docs/fit.md names"
    if entry.quant not in MIXES:
        yield f"{entry.quant!r} is no quantisation"
        return
    shape = geometry_of(facts_of(entry, entry.quant, is_ollamas=entry.ollama))
    if isinstance(shape, NoGeometry):
        yield shape.reason
    counted = parameter_count(entry)
    if abs(counted / entry.parameters - 1) > TOLERANCE:
        yield f"its shape has {counted} parameters, published are {entry.parameters}"


def main() -> int:
    """Print what is wrong, and how many models there are."""
    entries, found = catalog(), list(problems(catalog()))
    exact = sum(parameter_count(one) == one.parameters for one in entries)
    lines = [
        *found,
        f"{len(entries)} models, of {exact} every parameter is accounted for; {len(found)} problems",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
