"""A series of rates in three figures; times without a request count for nothing."""

from __future__ import annotations

from statistics import fmean
from typing import NamedTuple

from gpumon.app.state.series import TIERS, Bucket, Series


class RateSummary(NamedTuple):
    """Tokens per second, over what a series holds."""

    last: float
    average: float
    """Of the time in which there was a rate."""
    best: float


def summary_of(series: Series, now: float) -> RateSummary | None:
    """Return the summary of a series; ``None`` where it never had a value."""
    tiers = [_buckets(series, now, width, count) for width, count in TIERS]
    longest = tiers[-1]
    if not longest:
        return None
    recent = next(buckets for buckets in tiers if buckets)
    return RateSummary(
        last=recent[-1].mean if series.last is None else series.last,
        average=fmean(bucket.mean for bucket in longest),
        best=max(bucket.maximum for bucket in longest),
    )


def _buckets(series: Series, now: float, width: float, count: int) -> list[Bucket]:
    return [bucket for bucket in series.window(now, width * count, count) if bucket is not None]
