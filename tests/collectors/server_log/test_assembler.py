"""What a line means after the lines before it."""

from __future__ import annotations

from tests.collectors.server_log.support import LOAD_FINISHED, LOADED, assembled

from gpumon.collectors.server_log.follower import Assembler

NEW_ENGINE = "time=1970-01-01T00:00:01Z level=INFO source=device.go"


def started(command: str, message: str = "starting runner") -> str:
    return f'time=1970-01-01T00:00:01Z level=INFO msg="{message}" cmd="{command} --model /m --port 1"'


def test_a_load_whose_start_was_not_seen_ends() -> None:
    assert assembled(LOADED) == [LOAD_FINISHED]


def test_an_end_logged_twice_is_one() -> None:
    assert assembled(LOADED, LOADED) == [LOAD_FINISHED]


def test_the_end_of_the_next_load_is_news() -> None:
    start = started("llama-server", "starting llama-server")
    assert [event.kind for event in assembled(LOADED, start, LOADED)] == [
        "load_finished",
        "load_started",
        "load_finished",
    ]


def test_a_duration_that_comes_late_is_news() -> None:
    ends = assembled("srv  llama_server: model loaded", LOADED)
    assert [event.seconds for event in ends] == [None, 7.94]


def test_figures_after_a_start_that_was_not_seen_are_taken() -> None:
    (event,) = assembled(f'{NEW_ENGINE} msg="kv cache" device=CUDA0 size="1.0 GiB"')
    assert event.kind == "buffer"


def test_timings_of_2025_take_slot_and_task_from_the_line_before() -> None:
    prefill, decode = assembled(
        "slot print_timing: id  2 | task 40 | ",
        "prompt eval time =     823.34 ms /     4 tokens (  205.84 ms per token,     4.86 tokens per second)",
        "       eval time =    2400.67 ms /    12 tokens (  218.24 ms per token,     4.58 tokens per second)",
        "      total time =    3224.01 ms /    16 tokens",
    )
    assert (prefill.slot, prefill.task, prefill.count, prefill.seconds) == (2, 40, 4, 0.82334)
    assert (decode.slot, decode.task, decode.count, decode.seconds) == (2, 40, 12, 2.40067)


def test_two_children_of_a_router_that_load_at_once_both_end() -> None:
    events = assembled(
        "[1] 0.00.004.064 I srv    load_model: loading model '/m/a.gguf'",
        "[2] 0.00.004.064 I srv    load_model: loading model '/m/b.gguf'",
        "[1] 0.00.937.156 I srv  llama_server: model loaded",
        "[2] 0.00.937.156 I srv  llama_server: model loaded",
    )
    assert [(event.kind, event.port) for event in events][2:] == [("load_finished", 1), ("load_finished", 2)]


def test_years_of_children_do_not_grow_its_memory() -> None:
    assembler = Assembler()
    for port in range(1, 1000):
        assembler.feed(f"[{port}] srv  llama_server: model loaded")
    assert len(assembler._loads) < 100


def test_requests_alone_are_familiar_though_they_say_nothing() -> None:
    assembler = Assembler()
    assert assembler.feed('[GIN] 2026/08/29 - 08:45:50 | 200 | 1ms | ::1 | GET "/api/ps"') is None
    assert (assembler.lines, assembler.familiar) == (1, 1)


def test_blank_lines_are_not_counted() -> None:
    assembler = Assembler()
    assembler.feed("  ")
    assert assembler.lines == 0
