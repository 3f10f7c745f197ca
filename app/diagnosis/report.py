"""A diagnosis as plain text, for a terminal, a script or a bug report; every line harmless to print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gpumon.app.diagnosis.diagnosis import Diagnosis, Evidence, Remedy
from gpumon.app.diagnosis.words import band_words
from gpumon.text import units
from gpumon.text.safe import visible

INDENT = " " * 11


LONGEST_LINE = 2000


def report_lines(
    name: str, found: Diagnosis, worst: tuple[str, str] | None = None, last_request: str = ""
) -> Iterator[str]:
    """Yield the lines on one model: verdicts, cause, cost, remedies, each with what it rests on.

    ``worst`` is level and sentence of what is worse than its verdicts, if anything is: an alert;
    ``last_request`` is what its server says of the latest one.
    """
    yield visible(name)
    for line in _lines(found, worst):
        yield visible(line, LONGEST_LINE)
    if last_request:
        yield visible(_line("last", last_request), LONGEST_LINE)


def _lines(found: Diagnosis, worst: tuple[str, str] | None) -> Iterator[str]:
    if worst is not None and worst[1] != found.verdict.sentence:
        yield _line(*worst)
    for verdict in found.verdicts:
        yield _line(verdict.severity, verdict.sentence)
        yield from _evidence_lines(verdict.evidence)
    if found.cause is not None:
        yield _line("cause", found.cause.sentence)
        yield from _evidence_lines(found.cause.evidence)
    yield from _cost(found)
    for number, remedy in enumerate(found.remedies, start=1):
        yield from _remedy(number, remedy)


def cost_words(found: Diagnosis) -> str | None:
    """Write the rate now and the rate if it fitted; ``None`` where it does not spill or nothing is known.

    Where no request has been seen, the rate now is an estimate too.
    """
    if found.cause is None or found.expected_fitting is None:
        return None
    return f"{_now_words(found)}, {band_words(found.expected_fitting)} if it fitted"


def _now_words(found: Diagnosis) -> str:
    rate, expected = found.decode_tokens_per_second_now, found.expected_now
    if rate is not None:
        return f"{units.rate(rate)} now"
    return "rate now unknown" if expected is None else f"{band_words(expected)} now"


def remedy_words(remedy: Remedy) -> str:
    """Write a remedy with its arithmetic and the rate after it."""
    rate = remedy.expected_tokens_per_second
    expected = f", then {band_words(rate)}" if rate is not None else ""
    return f"{remedy.sentence}: {remedy.arithmetic}{expected}"


def _cost(found: Diagnosis) -> Iterator[str]:
    words = cost_words(found)
    if words is not None:
        yield _line("cost", words)


def _remedy(number: int, remedy: Remedy) -> Iterator[str]:
    yield _line(f"remedy {number}", remedy_words(remedy))
    if remedy.command is not None:
        where = f"   ({remedy.where})" if remedy.where else ""
        yield f"{INDENT}  {remedy.command}{where}"


def _evidence_lines(evidence: Iterable[Evidence]) -> Iterator[str]:
    for one in evidence:
        yield f"{INDENT}  {one.name}: {one.value} ({one.source})"


def _line(label: str, words: str) -> str:
    return f"  {label:<9}{words}"
