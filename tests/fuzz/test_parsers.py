"""No bytes from outside raise anything but what is documented, take long, or take much memory."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.parsers import PARSERS, Parser

MIB = 1024**2
FOUND = sorted((Path(__file__).parent / "found").glob("*"))
"""What a guided run has found, kept."""

EVERY_PARSER = pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS)
SWIFT = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def survive(parser: Parser, data: bytes) -> None:
    with suppress(*parser.may_raise):
        parser.read(data)


@EVERY_PARSER
def test_the_example_is_understood(parser: Parser) -> None:
    assert parser.read(parser.example) != ()


@EVERY_PARSER
@SWIFT
@given(data=st.binary(max_size=300))
def test_any_bytes_are_survived(parser: Parser, data: bytes) -> None:
    survive(parser, data)


@EVERY_PARSER
@SWIFT
@given(draw=st.data())
def test_an_example_that_is_broken_is_survived(parser: Parser, draw: st.DataObject) -> None:
    start = draw.draw(st.integers(0, len(parser.example)))
    end = draw.draw(st.integers(start, len(parser.example)))
    put = draw.draw(
        st.binary(max_size=12) | st.sampled_from([b"null", b"1e999", b"-1", b'"', b"\x00" * 8, b"\xff" * 8])
    )
    survive(parser, parser.example[:start] + put + parser.example[end:])


@EVERY_PARSER
@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b'{"models":' + b"[" * 100_000,
        b"9" * 100_000,
        b'{"a":' * 50_000,
        b"\xff" * 100_000,
        b"\n" * 100_000,
    ],
    ids=["lists", "models", "digits", "objects", "ones", "lines"],
)
def test_what_is_deep_or_long_is_survived_in_little_memory(parser: Parser, data: bytes) -> None:
    tracemalloc.start()
    survive(parser, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * MIB


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_before_is_survived(path: Path) -> None:
    parser = PARSERS[path.stem.replace("_", " ")]
    survive(parser, path.read_bytes())
