"""The kit draws nothing from outside that a terminal would obey, whoever uses it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpumon.widgets.kit.lines import ASCII, UNICODE, harmless


@given(text=st.text(max_size=300), limit=st.integers(1, 300))
def test_whatever_is_written_is_printable_and_no_longer_than_allowed(text: str, limit: int) -> None:
    written = harmless(text, limit)
    assert written.isprintable()
    assert len(written) <= limit


@pytest.mark.parametrize("text", ["\x1b[31m", "a\x9bb", "a\u202eb", "a\u200bb", "a\nb", "\ud800"])
def test_what_a_terminal_would_obey_has_a_stand_in(text: str) -> None:
    assert "\ufffd" in UNICODE.written(text)


@pytest.mark.parametrize("text", ["qwen3:8b", "千问", "é", "a b"])
def test_what_is_printed_is_left_as_it_is(text: str) -> None:
    assert UNICODE.written(text) == text


def test_ascii_is_ascii_whatever_is_written() -> None:
    assert ASCII.written("千\x1b").isascii()


def test_another_way_to_make_names_harmless_can_be_handed_in() -> None:
    assert replace(UNICODE, safe=lambda text, _limit: text.upper()).written("name") == "NAME"
