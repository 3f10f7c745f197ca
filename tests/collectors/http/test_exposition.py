"""The wanted series of an exposition, and nothing that a hostile one could do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.http.exposition import LONGEST_LINE, MOST_SERIES, Series, read_series

NAME = "vllm:num_requests_running"
LABELS = st.dictionaries(
    st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,9}", fullmatch=True), st.text(max_size=20), max_size=4
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def read(text: str, *names: str) -> list[Series]:
    return read_series(text.encode(), names or (NAME,))


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def written(name: str, labels: dict[str, str], value: float) -> str:
    """Write a line as ``prometheus_client.exposition`` does."""
    within = ",".join(f'{key}="{escaped(words)}"' for key, words in labels.items())
    return f"{name}{{{within}}} {value!r}\n" if labels else f"{name} {value!r}\n"


def test_only_wanted_names_are_read() -> None:
    text = f"# HELP {NAME} x\n# TYPE {NAME} gauge\n{NAME} 3.0\n{NAME}_created 1.7e+09\nother 4.0\n"
    assert read(text) == [Series(NAME, {}, 3.0)]


def test_labels_are_unescaped_and_may_hold_what_separates_them() -> None:
    name = 'model_name="a \\"b\\" {c}, d\\\\e\\nf"'
    text = f'{NAME}{{engine="0",{name},reason="waiting, deferred"}} 1.234567e+06\n'
    assert read(text) == [
        Series(
            NAME,
            {"engine": "0", "model_name": 'a "b" {c}, d\\e\nf', "reason": "waiting, deferred"},
            1234567.0,
        )
    ]


def test_a_time_and_an_exemplar_behind_the_number_are_left_aside() -> None:
    text = f'{NAME} 2.0 1790000000000\n{NAME}{{a="b"}} 3.0 # {{trace="x"}} 1.0\n'
    assert [one.value for one in read(text)] == [2.0, 3.0]


def test_what_is_no_finite_number_is_left_out() -> None:
    lines = ["NaN", "+Inf", "x", "", "1e999", "--", "0x10", "1_0"]
    assert read("".join(f"{NAME} {words}\n" for words in lines)) == []


def test_broken_labels_cost_their_line_only() -> None:
    text = f'{NAME}{{a="b 1.0\n{NAME}{{a=b}} 1.0\n{NAME}{{ 1.0\n{NAME}{{a="b"}} 5.0\n'
    assert [one.value for one in read(text)] == [5.0]


def test_there_is_an_end_to_what_is_read() -> None:
    assert len(read(f"{NAME} 1.0\n" * (MOST_SERIES + 10))) == MOST_SERIES
    assert read(f'{NAME}{{a="{"x" * LONGEST_LINE}"}} 1.0\n') == []


@given(LABELS, NUMBERS)
def test_what_is_written_by_the_rules_is_read_as_it_was(labels: dict[str, str], value: float) -> None:
    assert read(written(NAME, labels, value)) == [Series(NAME, labels, value)]


@given(st.binary(max_size=400))
def test_whatever_comes_nothing_is_raised(noise: bytes) -> None:
    read_series(noise, (NAME,))
    read_series(NAME.encode() + noise, (NAME,))
