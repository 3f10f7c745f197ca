from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.insight.wording import (
    amount,
    placement_words,
    shares,
    short_source_words,
    source_label,
    source_words,
)
from gpumon.app.state.records import SourceRecord
from gpumon.app.state.records.model import UNKNOWN_SPLIT, split_of
from gpumon.collectors.samples import SourceHealth, SourceState
from gpumon.text.units import GIB

sizes = st.integers(1, 200 * GIB)


def test_sources_are_called_as_their_owner_calls_them() -> None:
    assert source_label("nvml") == "GPU driver"
    assert source_label("system") == "RAM and CPU"
    assert source_label("server log") == "server log"
    assert source_label("http://127.0.0.1:11434/") == "Ollama at 127.0.0.1:11434"


def test_a_source_name_from_outside_is_shown_and_not_obeyed() -> None:
    assert source_label("http://\x1b[2J") == "Ollama at ␛[2J"


@pytest.mark.parametrize(
    ("state", "detail", "sentence", "short"),
    [
        ("idle", None, "Ollama at box:1 is idle", "idle"),
        (
            "forbidden",
            "HTTP 403: access denied",
            "Ollama at box:1 does not let us ask: HTTP 403: access denied",
            "does not let us ask: HTTP 403: access denied",
        ),
        (
            "foreign",
            "another program answers at box:1",
            "another program answers at box:1",
            "another program answers",
        ),
        (
            "foreign",
            "another program answers at box:1: not HTTP",
            "another program answers at box:1: not HTTP",
            "another program answers at box:1: not HTTP",
        ),
        ("foreign", None, "another program answers at box:1", "answered by another program"),
        ("hanging", "not answering", "Ollama at box:1 is not answering", "not answering"),
        (
            "refused",
            "connection refused at box:1",
            "Ollama at box:1 refuses the connection",
            "connection refused",
        ),
        (
            "not_running",
            "connection refused at box:1",
            "Ollama at box:1 is not running: connection refused",
            "not running: connection refused",
        ),
    ],
)
def test_a_state_and_its_detail_are_said_once(
    state: SourceState, detail: str | None, sentence: str, short: str
) -> None:
    source = SourceRecord("http://box:1", SourceHealth(state=state, detail=detail), since=0.0)
    assert (source_words(source), short_source_words(source)) == (sentence, short)


@pytest.mark.parametrize(
    ("name", "sentence", "short"),
    [
        ("system", "RAM and CPU cannot be read: no /proc", "cannot be read: no /proc"),
        ("processes", "the list of processes cannot be read: no /proc", "cannot be read: no /proc"),
        ("gpumon", "gpumon is failing: no /proc", "failing: no /proc"),
    ],
)
def test_what_fails_is_named_as_a_user_knows_it(name: str, sentence: str, short: str) -> None:
    source = SourceRecord(name, SourceHealth(state="failing", detail="no /proc"), since=0.0)
    assert (source_words(source), short_source_words(source)) == (sentence, short)


def test_no_bytes_and_a_trace_of_bytes_are_told_apart() -> None:
    assert (amount(0), amount(1), amount(GIB)) == ("0.0 GiB", "<0.1 GiB", "1.0 GiB")


def test_an_unknown_placement_is_said_to_be_unknown() -> None:
    assert placement_words(UNKNOWN_SPLIT) == "placement unknown"
    assert shares(UNKNOWN_SPLIT) == ("-", "-")


@given(sizes, st.floats(0, 1))
def test_shares_add_up_and_only_nothing_is_written_as_nothing(size: int, on_gpu: float) -> None:
    split = split_of(size, int(size * on_gpu))
    ram, gpu = shares(split)
    assert (ram == "0%") == (split.ram_bytes == 0)
    assert (gpu == "0%") == (split.gpu_bytes == 0)
    if "<" not in ram + gpu:
        assert int(ram.rstrip("%")) + int(gpu.rstrip("%")) == 100
