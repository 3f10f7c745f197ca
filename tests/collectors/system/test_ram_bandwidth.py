"""The measurement of RAM, with buffers small enough for a test."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from gpumon.collectors.system import ram_bandwidth
from gpumon.collectors.system.ram_bandwidth import (
    MIB,
    CannotMeasureError,
    measure_ram_bandwidth,
    thread_count,
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ram_bandwidth, "MOST_TOTAL_BYTES", 4 * MIB)
    monkeypatch.setattr(ram_bandwidth, "LEAST_TOTAL_BYTES", MIB)
    monkeypatch.setattr(ram_bandwidth, "ROUND_SECONDS", 0.001)


@pytest.mark.usefixtures("small")
def test_it_reads_more_than_nothing_a_second() -> None:
    assert measure_ram_bandwidth() > MIB


def test_every_buffer_is_read_to_its_end() -> None:
    buffers = ram_bandwidth._buffers(2, 2 * MIB)
    assert all(b"\0" not in buffer.raw for buffer in buffers)


def test_too_little_free_ram_is_said_and_nothing_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(available=100 * MIB)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    with pytest.raises(CannotMeasureError, match="too little free RAM"):
        measure_ram_bandwidth()


def test_a_process_confined_to_one_core_reads_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.Process.cpu_affinity", lambda _: [3])
    assert thread_count() == 1
