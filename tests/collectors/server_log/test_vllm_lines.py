"""What vLLM logs of its start, in the words of several versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.samples import LogEvent
from gpumon.collectors.server_log.follower import Assembler
from gpumon.collectors.server_log.vllm_lines import NO_ROOM, NOT_FREE, TOO_LONG, parse_vllm

GIB = 2**30
NEW = "(EngineCore_DP0 pid=212) INFO 10-06 12:00:31 "
BARE = "(EngineCore pid=258) INFO "
SECOND = "(Worker_TP1 pid=301) INFO 10-06 12:00:31 "


def size(component: str, gib: float, device: str = "rank 0") -> LogEvent:
    return LogEvent(kind="buffer", component=component, device=device, size_bytes=round(gib * GIB))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (
            f"{NEW}[core.py:58] Initializing a V1 LLM engine (v0.11.0) with config: model='Qwen/Qwen3-8B'",
            LogEvent(kind="load_started"),
        ),
        (
            "INFO 11-03 15:47:45 [llm_engine.py:237] Initializing an LLM engine (v0.6.3) with config",
            LogEvent(kind="load_started"),
        ),
        (
            "Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:01<00:01,  1.21it/s]",
            LogEvent(kind="load_progress", fraction=0.5),
        ),
        (
            f"{NEW}[gpu_model_runner.py:2338] Model loading took 14.9904 GiB and 5.214023 seconds",
            size("model", 14.9904),
        ),
        (
            f"{BARE}gpu_model_runner.py:4879 Model loading took 2.89 GiB memory and 60.3 s",
            size("model", 2.89),
        ),
        (
            "INFO 11-03 15:47:45 [model_runner.py:1060] Loading model weights took 14.9888 GB",
            size("model", 14.9888),
        ),
        (
            f"{SECOND}[gpu_worker.py:298] Available KV cache memory: 8.57 GiB",
            size("kv_cache", 8.57, "rank 1"),
        ),
        (
            f"{NEW}[kv_cache_utils.py:1087] GPU KV cache size: 49,152 tokens",
            LogEvent(kind="cache_pool", count=49152),
        ),
        (
            f"{NEW}[kv_cache_utils.py:1087] GPU KV cache size: 2,182,642 tokens, Maximum concurrency "
            "for 430,080 tokens per request: 5.07x",
            LogEvent(kind="cache_pool", count=2182642),
        ),
        (
            f"{NEW}[kv_cache_utils.py:1091] Maximum concurrency for 32,768 tokens per request: 1.50x",
            LogEvent(kind="cache_pool", total=32768),
        ),
        (
            f"{NEW}[gpu_model_runner.py:3480] Graph capturing finished in 8 secs, took 0.31 GiB",
            size("compute", 0.31),
        ),
        ("(APIServer pid=1) INFO:     Application startup complete.", LogEvent(kind="load_finished")),
        (
            "(EngineCore_DP0 pid=212) ERROR 10-06 12:00:31 [core.py:790] ValueError: Free memory on device "
            "(3.27/15.98 GiB) on startup is less than desired GPU memory utilization (0.9, 14.39 GiB).",
            LogEvent(kind="load_failed", text=NOT_FREE),
        ),
        (
            "ValueError: To serve at least one request with the models's max seq len (32000), (1.1 GiB "
            "KV cache is needed, which is larger than the available KV cache memory (0.59 GiB)",
            LogEvent(kind="load_failed", text=TOO_LONG),
        ),
        (
            "ValueError: The model's max seq len (131072) is larger than the maximum number of tokens "
            "that can be stored in KV cache (24480).",
            LogEvent(kind="load_failed", text=TOO_LONG),
        ),
        (
            "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
            LogEvent(kind="load_failed", text=NO_ROOM),
        ),
        (
            f"{NEW}[gpu_worker.py:440] Available KV cache memory: -2.81 GiB",
            LogEvent(kind="load_failed", text=NO_ROOM),
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            LogEvent(kind="out_of_memory", text="out of memory"),
        ),
    ],
)
def test_a_line_is_read_in_the_words_of_its_version(line: str, event: LogEvent) -> None:
    assert parse_vllm(line) == event


@pytest.mark.parametrize(
    "line",
    [
        f"{NEW}[logger.py:40] Received request cmpl-1: prompt: 'GPU KV cache size: 9 tokens', params: x",
        f"{NEW}[loggers.py:123] Engine 000: Avg prompt throughput: 10.0 tokens/s, Running: 1 reqs",
        'INFO:     127.0.0.1:40000 - "GET /metrics HTTP/1.1" 200 OK',
        "",
    ],
)
def test_what_a_request_says_is_not_read(line: str) -> None:
    assert parse_vllm(line) is None


def test_its_lines_are_told_from_those_of_another_program_also_in_a_container() -> None:
    lines = Assembler()
    event = lines.feed(f"vllm-1  | {NEW}[kv_cache_utils.py:1087] GPU KV cache size: 49,152 tokens")
    assert event == LogEvent(kind="cache_pool", count=49152)
    lines.feed(f"{NEW}[parallel_state.py:1165] rank 0 in world size 1 is assigned as DP rank 0")
    assert (lines.lines, lines.familiar) == (2, 2)


@given(st.text(max_size=300))
def test_whatever_a_line_says_nothing_is_raised(noise: str) -> None:
    parse_vllm(noise)
    parse_vllm(f"{NEW}{noise}")
