"""What one sample has touched: whatever is derived from the state need look at nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from gpumon.app.state.rates.values import FinishedRequest
from gpumon.app.state.records import ModelKey, RunnerKey


class Touched(Struct):
    """Filled while one sample is taken in, and returned by ``Store.apply``.

    A key that is not in the state any more is that of something that has gone.
    """

    sources: set[str] = field(default_factory=set)
    """Sources that are no longer what they were; one that answers as before is not among them."""
    gpus: set[str] = field(default_factory=set)
    """UUIDs of the GPUs that the driver spoke of."""
    claimed: set[ModelKey] = field(default_factory=set)
    """Models of which a server spoke, that came or went, or whose process is another one."""
    measured: set[ModelKey] = field(default_factory=set)
    """Models of whose process the driver or the operating system spoke."""
    worked: dict[ModelKey, bool] = field(default_factory=dict)
    """Models that told how they work, and whether that is otherwise than before, not only faster."""
    requests: dict[RunnerKey, tuple[FinishedRequest, ...]] = field(default_factory=dict)
    """Requests that were seen to end."""
    loads: bool = False
    """Whether loads have failed, been given up, or come to be too many."""
    system: bool = False
    """Whether the operating system spoke of RAM, swap and CPU."""
    learned: bool = False
    """Whether something was learned of this machine that an earlier run did not know."""

    @property
    def models(self) -> set[ModelKey]:
        """Every model that the sample bears on."""
        return self.claimed | self.measured | self.worked.keys()

    def work(self, model: ModelKey | None, *, anew: bool) -> None:
        """Add that a model told how it works; ``None`` is a process that no server claims."""
        if model is not None:
            self.worked[model] = anew or self.worked.get(model, False)

    def end_requests(self, runner: RunnerKey, requests: Iterable[FinishedRequest]) -> None:
        """Add requests of a runner that have ended."""
        ended = tuple(requests)
        if ended:
            self.requests[runner] = (*self.requests.get(runner, ()), *ended)
