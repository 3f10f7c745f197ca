"""What the settings file says, on which line, and where it is wrong."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.config.entries import ConfigError, Entry, leaves
from gpumon.app.config.file import MAX_BYTES, default_path, key_lines, line_of, read
from gpumon.app.config.printed import toml_key, toml_value


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "config.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_each_value_comes_with_its_file_and_line(tmp_path: Path) -> None:
    path = written(tmp_path, "\n[panels]\ngpus = false\n")
    assert read(path, required=True) == {("panels", "gpus"): Entry(False, f"{path}:3")}


def test_lines_that_end_as_on_windows_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "\r\nmouse = false\r\n")
    assert read(path, required=True)["mouse",].origin == f"{path}:2"


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r": is a directory$"):
        read(tmp_path, required=True)


def test_no_file_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "none.toml", required=False) == {}


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        read(tmp_path / "none.toml", required=True)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="directory"):
        read(tmp_path, required=False)


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path, required=True)
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
def test_a_device_is_not_read() -> None:
    assert refusal(Path("/dev/zero")) == "not a regular file"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "not a regular file"


def test_a_file_of_10_gb_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    os.truncate(path, 10 * 10**9)
    assert refusal(path) == "larger than 256 KiB, which no settings file is"


def test_the_largest_file_that_is_read_is_256_kib(tmp_path: Path) -> None:
    line = "mouse = true\n"
    assert read(written(tmp_path, line + "#" * (MAX_BYTES - len(line))), required=True)
    assert refusal(written(tmp_path, line + "#" * (MAX_BYTES - len(line) + 1))).startswith("larger than")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 100_000,
        ".".join("a" * 100_000) + " = 1",
        "a = {" + ".".join("a" * 100_000) + " = 1}",
    ],
    ids=["tables", "lists", "inline tables", "dotted keys", "dotted keys in a table"],
)
def test_what_is_nested_deeply_is_one_line(tmp_path: Path, text: str) -> None:
    assert len(refusal(written(tmp_path, text)).splitlines()) == 1


def test_dots_in_a_comment_are_no_key(tmp_path: Path) -> None:
    assert read(written(tmp_path, f"# {'.' * 300}\n"), required=True) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb =\n", 2), ("[a\n", 1), ("a = 1\na = 2\n", 2), ("\na = [1,\n", 3), ('a = "\n', 1)],
)
def test_text_that_is_not_toml_is_placed(tmp_path: Path, text: str, line: int) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match="not TOML") as caught:
        read(path, required=True)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert "(at " not in str(caught.value), "the line is said once"


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not UTF-8"):
        read(written(tmp_path, b"a = '\xff'"), required=True)


def test_the_file_is_in_the_platforms_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_path() == tmp_path / "gpumon" / "config.toml"


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
