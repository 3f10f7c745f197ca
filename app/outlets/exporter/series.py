"""How a series is declared: its name, what it says, its labels, and how it is read from what is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from msgspec import Struct

Kind = Literal["gauge", "counter", "info"]
Value = float | int | bool | None
Values = Value | Mapping[Any, Value]
"""One figure, or several by the values of the labels that a series adds to those of its subject: a word where
it adds one, else a tuple. ``None`` is unknown, and no sample."""
T = TypeVar("T")


class Series(Struct, Generic[T], frozen=True):
    """One name, and what stands under it for each subject: a model, a load, a GPU, the machine."""

    name: str
    """As it is written: a counter ends in ``_total``, an info in ``_info``."""
    help: str
    read: Callable[[T], Values]
    labels: tuple[str, ...] = ()
    """Those that it adds."""

    @property
    def kind(self) -> Kind:
        """What it is to Prometheus, by the end of its name."""
        if self.name.endswith("_total"):
            return "counter"
        return "info" if self.name.endswith("_info") else "gauge"


class Sample(NamedTuple):
    """One figure."""

    labels: dict[str, str]
    value: float


class Family(NamedTuple):
    """All figures of one name."""

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]


def samples_of(series: Series[Any], subject: Any, own: Mapping[str, str]) -> Iterator[Sample]:  # noqa: ANN401
    """Yield what a series says of a subject that has labels of its ``own``."""
    found = series.read(subject)
    if not isinstance(found, Mapping):
        if found is not None:
            yield Sample(dict(own), float(found))
        return
    for key, value in found.items():
        if value is not None:
            added = (key,) if isinstance(key, str) else key
            yield Sample({**own, **dict(zip(series.labels, added, strict=True))}, float(value))


def one_of(values: Iterable[str], current: str | None) -> dict[str, Value]:
    """Return a state as a figure for each of its ``values``, 1 for what it is; nothing where unknown."""
    return {} if current is None else {value: value == current for value in values}


def ratio(percent: float | None) -> float | None:
    """Return a percentage as Prometheus has it, 0 to 1."""
    return None if percent is None else percent / 100
