"""Names from outside are shown, never obeyed: in lines, in JSON, and where they are cut in mid-character."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from gpumon.text.safe import escaped_json, printable, well_formed

HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text())
def test_printable_lines_hold_nothing_hidden(text: str) -> None:
    shown = printable(text)
    assert shown.count("\n") == text.count("\n")
    assert not [one for one in shown if one != "\n" and unicodedata.category(one) in HIDDEN]


@given(st.text(), st.sampled_from(["utf-8", "latin-1", "ascii", "koi8-r"]))
def test_escaped_json_says_the_same_in_any_encoding(text: str, encoding: str) -> None:
    escaped = escaped_json(json.dumps({"name": text}, ensure_ascii=False), encoding)
    assert json.loads(escaped) == {"name": text}
    assert escaped.encode(encoding).decode(encoding) == escaped
    assert not [one for one in escaped if unicodedata.category(one) in HIDDEN]


def test_a_character_beyond_the_first_plane_is_a_pair() -> None:
    assert escaped_json('"\U000e0041"') == '"\\udb40\\udc41"'


def test_what_is_left_of_a_character_is_one_mark() -> None:
    assert well_formed({"Обработ\udcd1": ["\udcd0\udcb0", 1, None]}) == {"Обработ\ufffd": ["\ufffd", 1, None]}
