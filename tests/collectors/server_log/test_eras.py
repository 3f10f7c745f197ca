"""Whole logs of each version, and what they say."""

from __future__ import annotations

import pytest
from tests.collectors.server_log.support import BLOB, GIB, LOGS, MIB, buffer, events_in, seconds

from gpumon.collectors.samples import LogEvent


def test_ollama_0_6_plans_first_and_llama_cpp_says_what_it_did() -> None:
    assert events_in("ollama-0.6-estimate.log") == [
        LogEvent(
            kind="gpu_found",
            at=seconds("2025-04-22T10:15:02.340+02:00"),
            library="cuda",
            gpu_uuid="GPU-3fa85f64-5717-4562-b3fc-2c963f66afa6",
            size_bytes=round(23.6 * GIB),
            available_bytes=round(17.8 * GIB),
        ),
        LogEvent(
            kind="fit_projected",
            at=seconds("2025-04-22T10:16:11.508+02:00"),
            library="cuda",
            size_bytes=round(23.4 * GIB),
            available_bytes=round(17.8 * GIB),
            count=49,
            total=63,
        ),
        LogEvent(kind="load_started", at=seconds("2025-04-22T10:16:11.560+02:00"), blob=BLOB, port=41063),
        LogEvent(kind="gpu_selected", device="CUDA0", available_bytes=18227 * MIB),
        LogEvent(kind="layers_offloaded", count=49, total=63),
        buffer("CUDA0", "model", 12288),
        buffer("CPU_Mapped", "model", 4096),
        buffer("CUDA0", "kv_cache", 736),
        buffer("CPU", "kv_cache", 208),
        buffer("CUDA0", "compute", 1638),
        LogEvent(kind="load_finished", at=seconds("2025-04-22T10:16:19.702+02:00"), seconds=8.14),
    ]


def test_ollama_0_13_own_engine_says_what_it_allocated_and_its_drafts_are_left_out() -> None:
    allocated = seconds("2025-12-03T09:01:44.608Z")
    assert events_in("ollama-0.13-own-engine.log") == [
        LogEvent(kind="load_started", at=seconds("2025-12-03T09:01:44.112Z"), blob=BLOB, port=40751),
        LogEvent(kind="layers_offloaded", at=allocated, count=37, total=49),
        buffer("CUDA0", "model", 9.1 * 1024, allocated),
        buffer("CPU", "model", 3.5 * 1024, allocated),
        buffer("CUDA0", "kv_cache", 1.5 * 1024, allocated),
        buffer("CPU", "kv_cache", 512, allocated),
        buffer("CUDA0", "compute", 884, allocated),
        LogEvent(kind="load_progress", at=seconds("2025-12-03T09:01:44.860Z"), fraction=0.43),
        LogEvent(kind="load_finished", at=seconds("2025-12-03T09:01:51.230Z"), seconds=7.12),
    ]


def test_ollama_0_13_llama_engine_is_told_by_llama_cpp_not_by_the_estimate() -> None:
    assert events_in("ollama-0.13-llama-engine.log") == [
        LogEvent(kind="load_started", at=seconds("2025-12-03T09:01:44.112Z"), blob=BLOB, port=44344),
        LogEvent(kind="gpu_selected", device="CUDA0", pci_bus_id="0000:01:00.0", available_bytes=10922 * MIB),
        LogEvent(kind="layers_offloaded", count=29, total=29),
        buffer("CUDA0", "model", 4168),
        buffer("CPU_Mapped", "model", 292),
        buffer("CUDA0", "kv_cache", 1792),
        buffer("CUDA0", "compute", 304),
        LogEvent(kind="load_finished", at=seconds("2025-12-03T09:01:46.310Z"), seconds=2.2),
    ]


def test_ollama_0_32_says_how_it_starts_and_secrets_are_left_out() -> None:
    assert events_in("ollama-0.32-start.log") == [
        LogEvent(
            kind="server_config",
            at=seconds("2026-08-29T08:45:20.001+02:00"),
            settings={
                "OLLAMA_CONTEXT_LENGTH": "0",
                "OLLAMA_DEBUG": "INFO",
                "OLLAMA_FLASH_ATTENTION": "false",
                "OLLAMA_KEEP_ALIVE": "5m0s",
                "OLLAMA_KV_CACHE_TYPE": "q8_0",
                "OLLAMA_MODELS": "/usr/share/ollama/.ollama/models",
                "OLLAMA_NUM_PARALLEL": "1",
                "OLLAMA_ORIGINS": "[http://localhost https://localhost http://localhost:* app://*]",
            },
        ),
        LogEvent(
            kind="gpu_found",
            at=seconds("2026-08-29T08:45:20.310+02:00"),
            library="CUDA",
            device="CUDA0",
            pci_bus_id="0000:01:00.0",
            size_bytes=24 * GIB,
            available_bytes=round(22.6 * GIB),
        ),
        LogEvent(kind="default_context", at=seconds("2026-08-29T08:45:20.311+02:00"), count=32768),
    ]


def test_ollama_0_32_load_with_sliding_window_spill_and_one_request() -> None:
    assert events_in("ollama-0.32-sliding-window.log") == [
        LogEvent(kind="load_started", at=seconds("2026-08-29T08:45:23.466Z"), blob=BLOB, port=36183),
        LogEvent(kind="gpu_selected", device="CUDA0", pci_bus_id="0000:01:00.0", available_bytes=15221 * MIB),
        LogEvent(kind="fit_projected", size_bytes=13310 * MIB, available_bytes=15221 * MIB),
        LogEvent(kind="layers_overflowing", device="CUDA0", count=5),
        LogEvent(kind="layers_offloaded", count=25, total=25),
        buffer("CUDA0", "model", 8192),
        buffer("CPU_Mapped", "model", 5120),
        buffer("CUDA_Host", "output", 1),
        buffer("CUDA0", "kv_cache", 2560),
        buffer("CUDA0", "kv_cache", 24),
        buffer("CUDA0", "recurrent_state", 90),
        buffer("CUDA0", "compute", 350),
        buffer("CUDA_Host", "compute", 270),
        buffer("CUDA0", "compute", 248),
        LogEvent(kind="load_finished", at=seconds("2026-08-29T08:45:31.410Z"), seconds=7.94),
        LogEvent(
            kind="prefill_progress", slot=0, task=7, count=2048, fraction=0.57, tokens_per_second=529.54
        ),
        LogEvent(kind="decode_progress", slot=0, task=7, count=235, tokens_per_second=78.12),
        LogEvent(kind="request_prefill", slot=0, task=7, count=3604, seconds=6.81227),
        LogEvent(kind="request_decode", slot=0, task=7, count=700, seconds=10.85307),
    ]


def test_ollama_0_32_out_of_memory_in_order() -> None:
    events = events_in("ollama-0.32-out-of-memory.log")
    assert [event.kind for event in events] == [
        "evicting",
        "load_started",
        "out_of_memory",
        "runner_ended",
        "load_failed",
        "context_reduced",
        "load_started",
        "load_finished",
        "warning",
        "out_of_memory",
        "out_of_memory",
    ]
    evicting, _, failed_buffer, _, _, reduced, *_ = events
    assert (evicting.size_bytes, evicting.available_bytes) == (round(6.3 * GIB), round(4.2 * GIB))
    assert (failed_buffer.device, failed_buffer.size_bytes) == ("CUDA0", 11498684416)
    assert (reduced.old_context, reduced.new_context) == (131072, 32768), "what the runner really had"


def test_mlx_runners_load_at_once_and_are_told_apart_by_port() -> None:
    events = events_in("ollama-0.32-mlx.log")
    assert [(event.kind, event.port) for event in events] == [
        ("load_started", 56223),
        ("load_started", 57428),
        ("load_finished", 56223),
        ("prefill_progress", None),
        ("load_finished", 57428),
    ]
    assert (events[3].count, events[3].total) == (8192, 14275)


def test_llama_server_of_2025_without_prefix() -> None:
    assert events_in("b7079-log-old-format.txt") == [
        LogEvent(kind="load_started"),
        buffer("CPU_Mapped", "model", 235.16),
        buffer("CPU_REPACK", "model", 12.66),
        buffer("CPU", "output", 2),
        buffer("CPU", "kv_cache", 24),
        buffer("CPU", "kv_cache", 30),
        buffer("CPU", "compute", 513.25),
        LogEvent(kind="load_finished"),
    ]


def test_llama_server_partly_on_a_gpu() -> None:
    assert events_in("b10434-log-lv4-vulkan-ngl8-partial.txt")[:-3] == [
        LogEvent(kind="load_started"),
        LogEvent(kind="fit_projected", size_bytes=56 * MIB, available_bytes=2048 * MIB),
        LogEvent(kind="gpu_selected", device="Vulkan0", available_bytes=2048 * MIB),
        LogEvent(kind="layers_offloaded", count=8, total=19),
        buffer("CPU_Mapped", "model", 209.63),
        buffer("Vulkan0", "model", 25.53),
        buffer("Vulkan_Host", "output", 1),
        buffer("CPU", "kv_cache", 2),
        buffer("Vulkan0", "kv_cache", 4),
        buffer("CPU", "kv_cache", 10),
        buffer("Vulkan0", "kv_cache", 5),
        buffer("Vulkan0", "compute", 21.93),
        buffer("Vulkan_Host", "compute", 5.52),
    ]


def test_llama_server_without_a_gpu_says_that_all_layers_are_offloaded() -> None:
    events = events_in("b10434-log-lv4-cpu-with-requests.txt")
    assert LogEvent(kind="layers_offloaded", count=19, total=19) in events
    assert {event.device for event in events if event.kind == "buffer"} == {
        "CPU_Mapped",
        "CPU_REPACK",
        "CPU",
    }


def test_llama_server_at_its_default_verbosity() -> None:
    assert events_in("b10434-log-default-verbosity.txt") == [
        LogEvent(kind="load_started"),
        LogEvent(kind="load_finished"),
        LogEvent(kind="decode_progress", slot=1, task=5, count=109, tokens_per_second=36.3),
        LogEvent(kind="decode_progress", slot=1, task=5, count=218, tokens_per_second=36.15),
        LogEvent(kind="request_prefill", slot=1, task=5, count=12, seconds=0.06811),
        LogEvent(kind="request_decode", slot=1, task=5, count=256, seconds=7.12629),
    ]


def test_a_waking_llama_server_loads_again() -> None:
    kinds = [event.kind for event in events_in("b11434-log-sleep-auth.txt")]
    assert kinds == [
        "load_started",
        "load_finished",
        "request_prefill",
        "request_decode",
        "load_started",
        "load_finished",
    ]


def test_children_of_a_router_are_told_apart_by_port() -> None:
    events = events_in("b11434-log-router.txt")
    assert [(event.kind, event.port) for event in events] == [
        ("load_started", 59601),
        ("load_finished", 59601),
        ("request_prefill", 59601),
        ("request_decode", 59601),
        ("load_started", 59601),
        ("load_finished", 59601),
        ("evicting", None),
        ("load_started", 54725),
        ("load_finished", 54725),
        ("request_prefill", 54725),
        ("request_decode", 54725),
        ("evicting", None),
        ("load_started", 54245),
        ("load_failed", 54245),
    ]


@pytest.mark.parametrize("file", sorted(LOGS.glob("*.log")), ids=lambda file: file.name)
def test_no_words_of_a_user_get_into_an_event(file: object) -> None:
    said = str(events_in(getattr(file, "name", "")))
    assert "tell nobody" not in said
    assert "hunter2" not in said
    assert "127.0.0.1" not in said


def test_ollama_0_33_on_a_machine_without_a_gpu_says_so_and_counts_its_layers_as_on_gpu() -> None:
    blob = "sha256-a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
    events = events_in("ollama-0.33-cpu-with-amx.log")
    assert [event.kind for event in events[:3]] == ["no_gpu_found", "default_context", "load_started"]
    assert (events[2].blob, events[2].port) == (blob, 33031)
    assert [event for event in events if event.kind in {"layers_offloaded", "buffer"}] == [
        LogEvent(kind="layers_offloaded", count=19, total=19),
        buffer("AMX", "model", 213.91),
        buffer("CPU", "model", 211.79),
        buffer("CPU", "output", 1),
        buffer("CPU", "kv_cache", 6),
        buffer("CPU", "kv_cache", 15),
        buffer("CPU", "compute", 20.77),
    ]
    assert (events[-1].kind, events[-1].seconds) == ("load_finished", 1.52)
