"""Which line a key stands on."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.config.entries import leaves
from gpumon.app.config.file import key_lines, line_of
from gpumon.app.config.printed import toml_key, toml_value

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
VALUES = st.one_of(
    st.booleans(),
    st.integers(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.text("ab\n\"'#][")),
)


def test_a_key_is_found_on_its_line() -> None:
    assert key_lines("a = 1\n\n# no\nb = 2\n") == {("a",): 1, ("b",): 4}


def test_a_key_in_a_table_is_found_under_the_path_of_both() -> None:
    assert key_lines("[t]\na = 1\n")["t", "a"] == 2


def test_a_dotted_key_is_found_under_its_whole_path() -> None:
    assert key_lines('a . "b.c" = 1') == {("a", "b.c"): 1}


def test_a_quoted_table_name_may_hold_dots_and_brackets() -> None:
    assert key_lines('[headers."http://[::1]:1"]\nA = 1\n')["headers", "http://[::1]:1", "A"] == 2


def test_what_looks_like_a_key_inside_a_long_text_is_none() -> None:
    assert key_lines("a = '''\nb = 1\n'''\nc = 2\n") == {("a",): 1, ("c",): 4}


def test_what_looks_like_a_key_inside_a_long_escaped_text_is_none() -> None:
    assert key_lines('a = """\n\\"""\nb = 1 \\\\""""\nc = 2\n') == {("a",): 1, ("c",): 4}


def test_a_list_may_go_over_several_lines() -> None:
    assert key_lines('a = [ # ]\n  "]",\n  [1],\n]\nb = 2\n') == {("a",): 1, ("b",): 5}


def test_an_array_of_tables_is_found_at_its_first_table() -> None:
    assert key_lines("[[a]]\nb = 1\n[[a]]\nb = 2\n") == {("a",): 1, ("a", "b"): 2}


def test_a_key_in_an_inline_table_is_placed_where_the_table_is() -> None:
    assert line_of(("a", "b"), key_lines("\na = {b = 1}\n")) == 2


def test_a_key_that_is_not_there_has_no_line() -> None:
    assert line_of(("b",), key_lines("a = 1\n")) is None


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), max_size=4))
def test_every_key_of_any_file_is_found_on_the_line_it_was_written_to(
    tables: dict[str, dict[str, object]],
) -> None:
    lines: list[str] = []
    written: dict[tuple[str, ...], int] = {}
    for table, items in tables.items():
        lines.append(f"[{toml_key(table)}] # = [")
        for name, value in items.items():
            lines.append(f"{toml_key(name)} = {toml_value(value)} # x = 1")
            written[table, name] = len(lines)
    text = "\n".join(lines)
    found = key_lines(text)
    assert {path: found[path] for path, _ in leaves(tomllib.loads(text))} == written
