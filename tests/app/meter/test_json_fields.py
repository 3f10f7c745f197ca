from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.meter.json_fields import LONGEST_VALUE, PRESENT, FieldScanner, read_whole, wanted_fields

WANTED = wanted_fields(("model", "usage.tokens", "choices[].end", "done"), private_paths=("text", "a.text"))

NAMES = st.sampled_from(["model", "usage", "tokens", "choices", "end", "done", "text", "a", 'q"\\', "[]", ""])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=30,
)


def scan(data: bytes, places: tuple[int, ...] = ()) -> dict[str, bytes]:
    """Feed ``data``, cut at ``places``."""
    scanner, cuts = FieldScanner(WANTED), sorted({place % (len(data) + 1) for place in places})
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        scanner.feed(data[start:end])
    return scanner.values


def expected(document: object) -> dict[str, bytes]:
    """Return what a JSON parser finds at the wanted places."""
    found: dict[str, bytes] = {}
    top = document if isinstance(document, dict) else {}
    for name in ("model", "done"):
        note(found, name, top.get(name, {}))
    usage = top.get("usage")
    if isinstance(usage, dict):
        note(found, "usage.tokens", usage.get("tokens", {}))
    choices = top.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        if isinstance(choice, dict):
            note(found, "choices[].end", choice.get("end", {}))
    private(found, "text", top.get("text"))
    inner = top.get("a")
    if isinstance(inner, dict):
        private(found, "a.text", inner.get("text"))
    return found


def note(found: dict[str, bytes], path: str, value: object) -> None:
    if not isinstance(value, dict | list):
        written = json.dumps(value).encode()
        found[path] = written[1:-1] if isinstance(value, str) else written


def private(found: dict[str, bytes], path: str, value: object) -> None:
    if isinstance(value, str):
        found[path] = PRESENT if value else b""


@given(
    document=st.dictionaries(NAMES, JSON, max_size=8) | JSON,
    places=st.lists(st.integers(0, 10_000), max_size=8),
    indent=st.sampled_from([None, 1]),
)
def test_it_finds_what_a_parser_finds_wherever_the_bytes_are_cut(
    document: object, places: list[int], indent: int | None
) -> None:
    data = json.dumps(document, indent=indent).encode()
    assert scan(data, tuple(places)) == expected(document)


def test_a_field_that_is_named_like_a_list_is_no_element_of_one() -> None:
    assert scan(b'{"choices":{"[]":{"end":null}}}') == {}


@given(st.binary(max_size=200))
def test_bytes_that_are_no_json_do_no_harm(data: bytes) -> None:
    scan(data)


@given(
    st.lists(st.sampled_from([b'"', b"{", b"}", b"[", b"]", b":", b",", b"\\", b"model", b" 1"]), max_size=40)
)
def test_symbols_in_any_order_do_no_harm(pieces: list[bytes]) -> None:
    scan(b"".join(pieces))


def test_the_text_of_a_private_field_is_not_kept() -> None:
    assert scan(b'{"text":"secret"}') == {"text": PRESENT}


def test_nothing_of_a_long_document_is_held() -> None:
    scanner = FieldScanner(WANTED)
    scanner.feed(b'{"messages":[{"content":"')
    for _ in range(100):
        scanner.feed(b"words and \\n more " * 1000)
        assert len(scanner._text) <= LONGEST_VALUE + 1
    scanner.feed(b'"}],"model":"m"}')
    assert scanner.values == {"model": b"m"}


@pytest.mark.parametrize(("length", "known"), [(LONGEST_VALUE, True), (LONGEST_VALUE + 1, False)])
def test_a_value_that_is_too_long_counts_as_not_there(length: int, known: bool) -> None:
    assert ("model" in scan(b'{"model":"' + b"m" * length + b'"}')) is known


def test_what_follows_the_document_is_not_looked_at() -> None:
    assert scan(b'{"model":"a"} {"model":"b"}') == {"model": b"a"}


@given(st.dictionaries(NAMES, JSON, max_size=8), st.sampled_from([None, 1]))
def test_a_whole_object_is_read_as_the_scanner_reads_it(
    document: dict[str, object], indent: int | None
) -> None:
    data = json.dumps(document, indent=indent).encode()
    found = read_whole(WANTED, data)
    assert found is not None or b"Infinity" in data, "which is no JSON"
    assert (scan(data) if found is None else found) == expected(document)


@pytest.mark.parametrize("data", [b"", b"[DONE]", b"[]", b"5", b'{"model":', b'{"model":1}x', b"{" * 100_000])
def test_what_is_no_whole_object_is_left_to_the_scanner(data: bytes) -> None:
    assert read_whole(WANTED, data) is None


@pytest.mark.parametrize(("length", "found"), [(LONGEST_VALUE, True), (LONGEST_VALUE + 1, False)])
def test_a_value_of_a_whole_object_is_bounded_as_the_scanners(length: int, found: bool) -> None:
    values = read_whole(WANTED, b'{"model":"%s"}' % (b"x" * length))
    assert values is not None
    assert ("model" in values) == found


def test_the_text_of_a_private_field_of_a_whole_object_is_not_kept() -> None:
    assert read_whole(WANTED, b'{"text":"secret","a":{"text":""}}') == {"text": PRESENT, "a.text": b""}
