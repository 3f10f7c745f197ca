"""The answer of ``GET /.gpumon/meter``, as the meter writes and the dashboard reads it."""

from __future__ import annotations

import msgspec

from gpumon.collectors.samples import Fact, MeteredModel
from gpumon.collectors.samples.meter import Name

REPORT_PATH = "/.gpumon/meter"
VERSION = 1


class MeterReport(Fact, frozen=True, kw_only=True):
    """What the requests that went through a meter have come to; fields at their default are left out."""

    version: int
    """1; within a version fields are only added."""
    upstream: Name
    models: tuple[MeteredModel, ...] = ()


_DECODER: msgspec.json.Decoder[MeterReport] = msgspec.json.Decoder(MeterReport)


def parse_report(body: bytes) -> MeterReport | None:
    """Return the report, ``None`` for what is none or of another version; never raises."""
    try:
        report = _DECODER.decode(body)
    except (ValueError, RecursionError):
        return None
    return report if report.version == VERSION else None


def is_meter(via: str | None) -> bool:
    """Tell by the ``Via`` header of an answer (RFC 9110, 7.6.3) whether it came through a meter."""
    return any(hop.split()[1:2] == ["gpumon"] for hop in (via or "").split(","))
