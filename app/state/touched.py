"""What one sample has touched: whatever is derived from the state need look at nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from gpumon.app.state.rates.values import FinishedRequest
from gpumon.app.state.records import RunnerKey


class Touched(Struct):
    """Filled while one sample is taken in, and returned by ``Store.apply``."""

    requests: dict[RunnerKey, tuple[FinishedRequest, ...]] = field(default_factory=dict)
    """Requests that were seen to end."""

    def end_requests(self, runner: RunnerKey, requests: Iterable[FinishedRequest]) -> None:
        """Add requests of a runner that have ended."""
        ended = tuple(requests)
        if ended:
            self.requests[runner] = (*self.requests.get(runner, ()), *ended)
