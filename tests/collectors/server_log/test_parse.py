"""Single lines."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.collectors.server_log.support import GIB, LOGS, MIB

from gpumon.collectors.samples import LogEvent
from gpumon.collectors.server_log.follower import Assembler, event_of
from gpumon.collectors.server_log.lines import parse_slog, size_bytes, split, sum_of_sizes, unix_seconds
from gpumon.collectors.server_log.ollama_lines import LLAMA_MESSAGES, OLLAMA_MESSAGES, parse_settings
from gpumon.collectors.server_log.readers import LONGEST_LINE_BYTES


def parse_line(text: str) -> LogEvent | None:
    return event_of(split(text))


REAL_LINES = [
    line
    for file in sorted(LOGS.glob("*.*"))
    for line in file.read_text(encoding="utf-8").splitlines()
    if parse_line(line)
]


def of(line: str) -> LogEvent:
    event = parse_line(line)
    assert event is not None, line
    return event


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    Assembler().feed(text)


@given(st.binary())
def test_any_bytes_are_survived(data: bytes) -> None:
    parse_line(data.decode(errors="replace"))


@given(
    st.sampled_from(REAL_LINES),
    st.integers(0, 400),
    st.integers(0, 400),
    st.text(alphabet='0123456789.-" =[]()\\/:|\x00\u0663é', max_size=30),
)
def test_real_lines_that_are_broken_are_survived(line: str, start: int, end: int, put: str) -> None:
    parse_line(line[:start] + put + line[end:])


@given(st.sampled_from(sorted(OLLAMA_MESSAGES)), st.text(alphabet=st.characters(exclude_characters="\n")))
@example("truncating input prompt", '" prompt="my secret')
def test_text_is_one_of_the_known_messages_and_nothing_else(message: str, more: str) -> None:
    event = parse_line(f'time=2026-08-29T09:00:00Z level=WARN msg="{message}{more}" error="{more}"')
    assert event is None or event.text in {None, *OLLAMA_MESSAGES, *LLAMA_MESSAGES}


def test_a_line_that_is_too_long_is_skipped() -> None:
    line = 'time=2026-08-29T09:00:00Z level=INFO msg="Load failed" error="'
    assert Assembler().feed(line + "x" * 100 + '"')
    assert Assembler().feed(line + "x" * LONGEST_LINE_BYTES + '"') is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0 B", 0),
        ("512 B", 512),
        ("15.5 GiB", round(15.5 * GIB)),
        ("457.0 MiB", 457 * MIB),
        ("1.2 KB", 1200),
        ("2 TiB", 2048 * GIB),
        ("", None),
        ("-1 B", None),
        ("1e9 B", None),
        ("many GiB", None),
    ],
)
def test_sizes(text: str, size: int | None) -> None:
    assert size_bytes(text) == size


def test_sizes_of_several_gpus_are_added() -> None:
    assert sum_of_sizes("[17.0 GiB 22.0 GiB]") == 39 * GIB
    assert sum_of_sizes("[]") is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T02:00:10.5+02:00", 10.5),
        ("1969-12-31T19:00:10-05:00", 10.0),
        ("1970-01-01T00:00:10.123456789Z", 10.123456),
        ("1970-01-01T00:00:10", None),
        ("yesterday", None),
    ],
)
def test_times_with_their_zones(text: str, seconds: float | None) -> None:
    assert unix_seconds(text) == seconds


@given(st.text(max_size=40))
@example("0001-01-01T00:00:00+23:00")
@example("9999-12-31T23:59:59-23:00")
def test_any_time_is_survived(text: str) -> None:
    unix_seconds(text)


def test_values_in_quotes_are_unquoted_and_the_first_of_a_key_counts() -> None:
    line = parse_slog(r'time=1970-01-01T00:00:01Z msg="a \"b\" \\ c" "model layers"=27 msg=other')
    assert line is not None
    assert line.message == r'a "b" \ c'
    assert line.fields["model layers"] == "27"


def test_a_gpu_that_is_the_processor_is_none() -> None:
    line = 'time=1970-01-01T00:00:01Z level=INFO msg="inference compute" id=cpu library=cpu name=cpu'
    assert of(line) == LogEvent(kind="no_gpu_found", at=1.0)


def test_ollama_0_10_names_buffers_its_own_way() -> None:
    start = "time=1970-01-01T00:00:01Z level=INFO source=ggml.go:365"
    weights = of(f'{start} msg="model weights" buffer=CUDA1 size="12.0 GiB"')
    graph = of(f'{start} msg="compute graph" backend=CUDA0 buffer_type=CUDA0 size="1.0 GiB"')
    assert (weights.component, weights.device, weights.size_bytes) == ("model", "CUDA1", 12 * GIB)
    assert (graph.component, graph.device, graph.size_bytes) == ("compute", "CUDA0", GIB)


def test_memory_that_a_build_without_gpu_wants_is_the_hosts() -> None:
    line = (
        "common_params_fit_impl: projected to use 299 MiB of host memory vs. 24105 MiB of total host memory"
    )
    expected = LogEvent(
        kind="fit_projected", device="Host", size_bytes=299 * MIB, available_bytes=24105 * MIB
    )
    assert of(line) == expected


def test_an_estimate_for_the_processor_is_of_the_hosts_memory() -> None:
    line = (
        "time=1970-01-01T00:00:01Z level=INFO msg=offload library=cpu layers.model=33 layers.offload=0"
        ' memory.available="[6.5 GiB]" memory.required.full="5.5 GiB"'
    )
    event = of(line)
    assert (event.device, event.count, event.total) == ("Host", 0, 33)
    assert (event.size_bytes, event.available_bytes) == (round(5.5 * GIB), round(6.5 * GIB))


def test_a_fit_without_overflow_is_no_event() -> None:
    assert (
        parse_line("common_params_fit_impl:   - CUDA0 (X): 25 layers ( 0 overflowing),  1 MiB used") is None
    )


def test_progress_of_prefill_in_the_words_of_2025() -> None:
    line = (
        "slot update_slots: id  3 | task 9 | prompt processing progress, n_tokens = 512,"
        " batch.n_tokens = 512, progress = 0.25"
    )
    assert of(line) == LogEvent(kind="prefill_progress", slot=3, task=9, count=512, fraction=0.25)


def test_progress_of_decode_in_older_words_has_the_rate_since_its_start() -> None:
    line = "slot print_timing: id  0 | task 1 | n_decoded =    100, tg =  50.00 t/s"
    assert of(line).tokens_per_second == 50


def test_a_command_without_a_model_looks_for_gpus_and_loads_nothing() -> None:
    command = "/usr/lib/ollama/llama-server --port 4 --verbose"
    line = f'time=1970-01-01T00:00:01Z level=INFO msg="starting llama-server" cmd="{command}"'
    assert parse_line(line) is None


@pytest.mark.parametrize(
    "setting",
    [
        "OLLAMA_API_KEY:abc",
        "LLAMA_ARG_HF_TOKEN:abc",
        "OLLAMA_REMOTES:https://me:password@example.org",
        "OLLAMA_EXTRA:sk-abcdef",
        "OLLAMA_EXTRA:Bearer abc",
        f"OLLAMA_EXTRA:{'a1' * 20}",
        "HTTPS_PROXY:http://proxy",
        "HOME:/home/me",
    ],
)
def test_a_setting_that_looks_secret_or_is_not_ollamas_is_left_out(setting: str) -> None:
    assert parse_settings(f"map[{setting} OLLAMA_DEBUG:INFO]") == {"OLLAMA_DEBUG": "INFO"}


def test_settings_keep_blanks_and_colons() -> None:
    settings = parse_settings("map[LLAMA_ARG_FIT:on OLLAMA_HOST:http://0.0.0.0:11434 OLLAMA_ORIGINS:[a b]]")
    assert settings == {
        "LLAMA_ARG_FIT": "on",
        "OLLAMA_HOST": "http://0.0.0.0:11434",
        "OLLAMA_ORIGINS": "[a b]",
    }


@given(st.text(max_size=300))
def test_any_settings_are_survived(text: str) -> None:
    assert all(name.startswith(("OLLAMA_", "LLAMA_ARG_")) for name in parse_settings(f"map[{text}]"))


def test_a_prompt_is_compared_with_what_a_slot_holds_before_it_has_a_number() -> None:
    line = "0.08.645.328 I slot get_availabl: id  0 | task -1 |  - checking sim = 0.006 (10/1615) > 0.100"
    assert of(line) == LogEvent(kind="prompt_compared", slot=0, task=-1, count=10, total=1615)
