from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.fakes.recordings import scenario_samples

from gpumon.app.recording.lines import decode_line, encode_line
from gpumon.collectors.samples import GpuProcess, GpuReading, NvmlSample, SourceHealth


@pytest.mark.parametrize("scenario", ["spill", "gpu-lost", "restart"])
def test_a_sample_comes_back_as_it_was(scenario: str) -> None:
    for sample in scenario_samples(scenario, 20):
        assert decode_line(encode_line(sample)) == sample


def test_a_line_has_no_line_break_inside() -> None:
    for sample in scenario_samples("fits", 5):
        assert encode_line(sample).count(b"\n") == 1


@given(st.text(st.characters(exclude_categories=())))
@example("cut \udce2\udc82 in mid-character")
def test_any_name_can_be_written_and_read(name: str) -> None:
    process = GpuProcess(pid=1, name=name)
    reading = GpuReading(uuid="GPU-1", index=0, processes=(process,))
    sample = NvmlSample(time=1.0, source="nvml", health=SourceHealth(state="serving"), gpus=(reading,))
    read = decode_line(encode_line(sample))
    assert isinstance(read, NvmlSample)
    assert read.gpus[0].processes is not None
    assert read.gpus[0].processes[0].name == re.sub("[\ud800-\udfff]+", "\N{REPLACEMENT CHARACTER}", name)


@given(st.binary())
def test_any_bytes_are_a_sample_or_rejected(line: bytes) -> None:
    assert decode_line(line) in ("unknown", "damaged")


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"vllm","time":1,"source":"x"}',
        b'{"type":"nvml","time":1,"source":"nvml","health":{"state":"dreaming"}}',
    ],
)
def test_a_well_formed_line_of_a_newer_version_is_unknown(line: bytes) -> None:
    assert decode_line(line) == "unknown"


def test_fields_of_a_newer_version_are_left_out() -> None:
    line = b'{"type":"silent","time":1,"source":"nvml","seconds":2,"mood":{"deep":[1,2]}}'
    assert not isinstance(decode_line(line), str)


@pytest.mark.parametrize(
    "line", [b"", b"null", b"[]", b"{}", b'{"type":', b'{"a":' * 50_000, b"\xff\xfe", b'{"type":3}']
)
def test_what_is_no_sample_is_damaged(line: bytes) -> None:
    assert decode_line(line) == "damaged"
