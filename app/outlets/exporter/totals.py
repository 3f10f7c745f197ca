"""Counts that only grow while the program runs: tokens, prompts read again, energy, throttled time, Xids.

What servers and the driver count begins anew with them, and a model that is loaded again is another process.
A counter of Prometheus must not fall because of that, and must not jump by what was before anybody looked.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Hashable
from typing import NamedTuple

from msgspec import Struct, field

from gpumon.app.monitor import Monitor
from gpumon.app.outlets.exporter.identity import Identities, ModelLabels
from gpumon.app.state.records import ModelKey, ModelRecord
from gpumon.app.state.state import State, Touched
from gpumon.app.state.work import METER, answer_of, rates_of, requests_of
from gpumon.collectors.samples import AnySample, GpuReading, NvmlSample

GAP_SECONDS = 5.0
"""Between two looks at a GPU that are further apart nobody knows what it took."""
INTERVALS_IN_A_GAP = 3
MODELS_KEPT = 500


class Origin(NamedTuple):
    """Whose count it is, and how it is counted."""

    holder: Hashable
    footing: Hashable = None
    is_whole: bool = False
    """Whether the holder began while we watched, so that all it has counted is new."""


class Counter(Struct):
    """Follows a count of somebody else's."""

    total: float | None = None
    """``None`` until there is one."""
    last: float = 0.0
    origin: Origin | None = None
    """Whose count ``last`` is."""

    def follow(self, value: float | None, origin: Origin, *, from_zero: bool = False) -> None:
        """Add what a count has grown by.

        A fall is a count that has begun anew. The first count of another holder is added where it began
        ``from_zero`` while we watched, and else is where we begin to look. One that its holder counts
        otherwise from now on says what is new only where both began with it.
        """
        if value is None:
            return
        if self.origin is None or origin.holder != self.origin.holder:
            grown = value if from_zero else 0.0
        elif origin.footing != self.origin.footing:
            grown = max(value - self.last, 0.0) if origin.is_whole else 0.0
        else:
            grown = value - self.last if value >= self.last else value
        self.add(grown)
        self.last, self.origin = value, origin

    def add(self, amount: float) -> None:
        """Add what is known to be new."""
        self.total = (self.total or 0.0) + amount


class ModelTotals(Struct):
    """Of one model, in all its loads while we watch."""

    tokens: Counter = field(default_factory=Counter)
    reread_tokens: Counter = field(default_factory=Counter)
    reread_seconds: Counter = field(default_factory=Counter)
    prompt_tokens: Counter = field(default_factory=Counter)
    """Of prompts of which it is told how much was kept."""
    cached_tokens: Counter = field(default_factory=Counter)
    preemptions: Counter = field(default_factory=Counter)
    energy_joules: Counter = field(default_factory=Counter)
    requests: Counter = field(default_factory=Counter)
    requests_until: float = float("-inf")
    """When the latest request that is in here ended."""


class GpuTotals(Struct):
    """Of one GPU while we watch."""

    energy_joules: Counter = field(default_factory=Counter)
    throttled_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By reason."""
    xids: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """By number."""


class _Look(NamedTuple):
    time: float
    reading: GpuReading


class Totals:
    """Takes every sample after the state has; the same samples give the same totals."""

    def __init__(self, monitor: Monitor, interval_seconds: float = 1.0) -> None:
        self._monitor = monitor
        self._gap_seconds = max(GAP_SECONDS, INTERVALS_IN_A_GAP * interval_seconds)
        self._models: OrderedDict[ModelLabels, ModelTotals] = OrderedDict()
        self._gpus: dict[str, GpuTotals] = defaultdict(GpuTotals)
        self._looks: dict[str, _Look] = {}
        self.identities = Identities()
        monitor.listen(self.take, "the exporter's counters")

    def of_model(self, labels: ModelLabels) -> ModelTotals:
        """Return the totals of a model."""
        found = self._models.get(labels) or ModelTotals()
        self._models[labels] = found
        self._models.move_to_end(labels)
        while len(self._models) > MODELS_KEPT:
            self._models.popitem(last=False)
        return found

    def of_gpu(self, uuid: str) -> GpuTotals:
        """Return the totals of a GPU."""
        return self._gpus[uuid]

    def take(self, sample: AnySample) -> None:
        """Take in one sample."""
        state = self._monitor.state
        if isinstance(sample, NvmlSample):
            for reading in sample.gpus:
                self._follow_gpu(_Look(sample.time, reading))
        for key in _models_touched(state.touched, state):
            if (record := state.models.get(key)) is not None:
                _follow(self.of_model(self.identities.of(record, state)), record, state)

    def _follow_gpu(self, look: _Look) -> None:
        reading, before = look.reading, self._looks.get(look.reading.uuid)
        totals = self._gpus[reading.uuid]
        self._looks[reading.uuid] = look
        for number in reading.xids:
            totals.xids[number] += 1
        for reason in reading.throttle_reasons or ():
            totals.throttled_seconds[reason] += (
                0.0  # begins at 0: nobody sees a counter grow that was not there
            )
        if reading.power_watts is not None:
            totals.energy_joules.add(0.0)
        seconds = look.time - before.time if before else 0.0
        if before is None or not 0 < seconds <= self._gap_seconds:
            return
        for reason in before.reading.throttle_reasons or ():
            totals.throttled_seconds[reason] += seconds
        if reading.power_watts is not None and before.reading.power_watts is not None:
            totals.energy_joules.add(seconds * (reading.power_watts + before.reading.power_watts) / 2)


def _models_touched(touched: Touched, state: State) -> set[ModelKey]:
    """Return the models of which a sample may have said something that is counted."""
    ended = (state.runners[key].model for key in touched.requests if key in state.runners)
    return touched.claimed | touched.worked.keys() | {key for key in ended if key is not None}


def _follow(totals: ModelTotals, record: ModelRecord, state: State) -> None:
    answer = answer_of(record, state)
    _follow_tokens(totals, record, state)
    origin = _origin(record, state)
    runner = state.runner_of(record)
    meter = runner.meter if runner else record.served.meter if record.served else None
    if meter is not None and _tells_prompts(record, state):  # both count from when the model is watched
        totals.reread_tokens.follow(meter.prompts.rereads.lost_tokens_total, origin, from_zero=True)
        totals.reread_seconds.follow(meter.prompts.rereads.lost_seconds_total, origin, from_zero=True)
    counters = answer.counters if answer else None
    is_told = counters is not None and counters.prefix_tokens_total is not None
    if counters is not None:
        is_new = origin.is_whole
        totals.preemptions.follow(counters.preemptions_total, origin, from_zero=is_new)
        totals.prompt_tokens.follow(counters.prefix_tokens_total, origin, from_zero=is_new)
        totals.cached_tokens.follow(counters.prefix_tokens_found_total, origin, from_zero=is_new)
    _add_requests(totals, record, state, prompts=not is_told)


def _origin(record: ModelRecord, state: State) -> Origin:
    runner = state.runner_of(record)
    if runner is None:
        return Origin(record.key)
    return Origin(runner.key, is_whole=runner.key.started > (state.began or 0.0))


def _follow_tokens(totals: ModelTotals, record: ModelRecord, state: State) -> None:
    """Add the tokens that are new: without a counter they are counted from when the model is watched."""
    rates, origin = rates_of(record, state), _origin(record, state)
    is_metered = rates.sources == (METER,)
    is_watched = rates.decoded_total_is_lower_bound and not is_metered
    counted = origin._replace(
        footing=(is_metered, rates.decoded_total_is_lower_bound),
        is_whole=origin.is_whole and not is_metered,
    )
    totals.tokens.follow(rates.decoded_total, counted, from_zero=counted.is_whole or is_watched)


def _tells_prompts(record: ModelRecord, state: State) -> bool:
    """Return whether it was ever told of a request how much of its prompt was kept."""
    return any(one.cached_tokens is not None for one in requests_of(record, state))


def _add_requests(totals: ModelTotals, record: ModelRecord, state: State, *, prompts: bool) -> None:
    """Add the requests that have ended since the last time; ``prompts`` where no counter tells of these."""
    latest = totals.requests_until
    for one in reversed(requests_of(record, state)):
        if one.ended <= totals.requests_until:
            break
        latest = max(latest, one.ended)
        totals.requests.add(1)
        if one.energy_joules is not None:
            totals.energy_joules.add(one.energy_joules)
        if prompts and one.prompt_tokens is not None and one.cached_tokens is not None:
            totals.prompt_tokens.add(one.prompt_tokens)
            totals.cached_tokens.add(one.cached_tokens)
    totals.requests_until = latest
