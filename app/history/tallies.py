"""What comes together of a model and of a GPU within a minute. Pure: whoever feeds these says the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, field

from gpumon.app.history.file import GpuName
from gpumon.app.history.rows import ModelName
from gpumon.app.insight.activity import activity
from gpumon.app.insight.falls import costly_reasons
from gpumon.app.state.places import PROCESS_PREFIX, is_loopback
from gpumon.app.state.rates.figures import RunnerRates
from gpumon.app.state.records import GpuRecord, ModelRecord, is_server
from gpumon.app.state.state import State
from gpumon.app.state.work import rates_of
from gpumon.collectors.http.endpoint import parse_host

if TYPE_CHECKING:
    from gpumon.app.picture.model import ModelPicture

HOLD_SECONDS = 15.0
"""What was seen stands until the next look, but no longer: between them the machine may have slept."""
OF_A_PROCESS = "process"
"""The server of what its process alone tells of: its PID would make another model of each start."""


def model_name(record: ModelRecord | ModelPicture) -> ModelName:
    """Return by what a model is known from run to run."""
    claim = record.claim
    server = server_name(record.key.source)
    return ModelName(server, record.kind.name, claim.name, claim.digest, claim.quantization)


def server_name(source: str) -> str:
    """Return the URL of a server, written in one way where it is on this machine."""
    if source.startswith(PROCESS_PREFIX) or not is_server(source):
        return OF_A_PROCESS
    if not is_loopback(source):
        return source
    address = parse_host(source)
    return f"{source.partition('://')[0]}://127.0.0.1:{address.port}{address.path}".rstrip("/")


def gpu_name(record: GpuRecord) -> GpuName:
    """Return by what a GPU is known, and how it is called."""
    return GpuName(record.reading.uuid, record.reading.index, record.reading.name)


class Mean(Struct):
    """A figure over time: its mean while it was known, and its peak."""

    seconds: float = 0.0
    sum: float = 0.0
    peak: float | None = None
    last: float | None = None

    def add(self, value: float | None, seconds: float) -> None:
        """Go on with a value; what it was before has stood for ``seconds``."""
        if self.last is not None:
            self.sum += self.last * seconds
            self.seconds += seconds
        self.last = value
        if value is not None:
            self.peak = value if self.peak is None else max(self.peak, value)

    @property
    def mean(self) -> float | None:
        """The mean; the only value there is of one that has just come."""
        return self.sum / self.seconds if self.seconds else self.last

    def begin(self) -> Mean:
        """Return what to go on with in the next minute."""
        return Mean(peak=self.last, last=self.last)


class TokenCount:
    """Counts the tokens of one model by a total that starts again with its process or its server."""

    def __init__(self) -> None:
        self._basis: object = None
        self._total: float | None = None

    def grown(self, rates: RunnerRates, basis: object, *, from_start: bool) -> int | None:
        """Return by how many tokens the total has grown; ``None`` where there is none.

        Another ``basis`` is another count: of it all counts that was counted ``from_start`` of the watch.
        """
        total = rates.decoded_total
        if total is None:
            return None
        if basis != self._basis:
            self._basis, self._total = basis, 0.0 if from_start else None
        before, self._total = self._total, total
        if before is None:
            return 0
        return round(total - before if total >= before else total)


class Requests(Struct):
    """Requests that have ended within the minute."""

    count: int = 0
    prompt_tokens: int | None = None
    kept_tokens: int | None = None
    reread_tokens: int | None = None
    lost_seconds: float | None = None
    energy_joules: float | None = None

    def add(self, values: Mapping[str, object]) -> None:
        """Add the figures of the row of a request."""
        self.count += 1
        for name in ("prompt_tokens", "kept_tokens", "reread_tokens", "lost_seconds", "energy_joules"):
            more = values[name]
            if isinstance(more, int | float):
                setattr(self, name, (getattr(self, name) or 0) + more)


class ModelTally(Struct):
    """A model within the minute that is going on."""

    name: ModelName
    seen: float
    watched_seconds: float = 0.0
    busy_seconds: float = 0.0
    waiting_seconds: float = 0.0
    decoded_tokens: float | None = None
    is_estimate: bool = False
    decode: Mean = field(default_factory=Mean)
    prefill: Mean = field(default_factory=Mean)
    requests: Requests = field(default_factory=Requests)
    count: TokenCount = field(default_factory=TokenCount)
    is_busy: bool = False
    is_waiting: bool = False
    placed: dict[str, object] = field(default_factory=dict)
    """Memory, context and level as they were last pictured."""

    def see(self, record: ModelRecord, state: State, began: float) -> None:
        """Take in what is known of it now; ``began`` is since when anybody watches."""
        rates = rates_of(record, state)
        seconds = self._pass(state.now)
        self._count(rates, record, seconds, began)
        self.decode.add(rates.decode_tokens_per_second, seconds)
        self.prefill.add(rates.prefill_tokens_per_second, seconds)
        self.is_busy = activity(record, state) == "busy"
        self.is_waiting = bool(rates.waiting)

    def _pass(self, now: float) -> float:
        seconds = min(max(0.0, now - self.seen), HOLD_SECONDS)
        self.seen = now
        self.watched_seconds += seconds
        self.busy_seconds += seconds if self.is_busy else 0.0
        self.waiting_seconds += seconds if self.is_waiting else 0.0
        return seconds

    def _count(self, rates: RunnerRates, record: ModelRecord, seconds: float, began: float) -> None:
        basis = (record.runner, rates.sources == ("meter",))
        is_new = record.runner is not None and record.runner.started >= began
        grown: float | None = self.count.grown(rates, basis, from_start=is_new)
        if grown is None and self.decode.last is not None:
            grown, self.is_estimate = self.decode.last * seconds, True
        if grown is not None:
            self.decoded_tokens = (self.decoded_tokens or 0.0) + grown
            self.is_estimate = self.is_estimate or rates.is_estimate or rates.decoded_total_is_lower_bound

    def picture(self, model: ModelPicture) -> None:
        """Note where it is, and how it is doing."""
        memory, rates = model.memory, model.rates
        measured = memory.measured_vram_bytes
        self.placed = {
            "full_tokens_per_second": model.full.tokens_per_second if model.full else None,
            "vram_bytes": memory.gpu_bytes if measured is None else measured,
            "ram_bytes": memory.ram_bytes,
            "spill_fraction": memory.placement.spill_fraction if memory.can_spill else None,
            "context_length": model.claim.context_length or rates.context_length,
            "context_tokens": rates.context_tokens,
            "level": model.level,
            "trouble": model.trouble,
        }

    def row(self) -> dict[str, object]:
        """Return the figures of the minute."""
        tokens, requests = self.decoded_tokens, self.requests
        return {
            "watched_seconds": self.watched_seconds,
            "busy_seconds": self.busy_seconds,
            "decoding_seconds": self.decode.seconds,
            "waiting_seconds": self.waiting_seconds,
            "decoded_tokens": None if tokens is None else round(tokens),
            "decoded_is_estimate": int(self.is_estimate),
            "requests": requests.count,
            "prompt_tokens": requests.prompt_tokens,
            "kept_tokens": requests.kept_tokens,
            "reread_tokens": requests.reread_tokens,
            "lost_seconds": requests.lost_seconds,
            "energy_joules": requests.energy_joules,
            "decode_tokens_per_second": self.decode.mean,
            "decode_tokens_per_second_peak": self.decode.peak,
            "prefill_tokens_per_second": self.prefill.mean,
            **({"level": "unknown", "trouble": "unknown"} | self.placed),
        }

    def begin(self) -> None:
        """Begin the next minute."""
        tokens = self.decoded_tokens
        self.watched_seconds = self.busy_seconds = self.waiting_seconds = 0.0
        self.decoded_tokens = None if tokens is None else tokens - round(tokens)
        self.is_estimate, self.requests = False, Requests()
        self.decode, self.prefill = self.decode.begin(), self.prefill.begin()


class GpuTally(Struct):
    """A GPU within the minute that is going on."""

    name: GpuName
    seen: float
    watched_seconds: float = 0.0
    throttled_seconds: float = 0.0
    energy_joules: float | None = None
    figures: dict[str, Mean] = field(default_factory=dict)
    reasons: dict[str, None] = field(default_factory=dict)
    costly: Sequence[str] = ()
    total_bytes: int | None = None
    power_limit_watts: float | None = None

    def see(self, record: GpuRecord, now: float) -> None:
        """Take in a look of the driver."""
        reading, before = record.reading, self.seen
        seconds, self.seen = min(max(0.0, now - before), HOLD_SECONDS), now
        self.watched_seconds += seconds
        self.throttled_seconds += seconds if self.costly else 0.0
        self.costly = costly_reasons(reading) or ()
        self.reasons |= dict.fromkeys(self.costly)
        for figure, value in _figures(record):
            self.figures.setdefault(figure, Mean()).add(value, seconds)
        joules = record.energy.joules(before, now)
        if joules is not None:
            self.energy_joules = (self.energy_joules or 0.0) + joules
        self.total_bytes = record.total_bytes
        self.power_limit_watts = reading.power_limit_watts

    def row(self, level: str) -> dict[str, object]:
        """Return the figures of the minute."""
        means: dict[str, object] = {}
        for figure, mean in self.figures.items():
            is_bytes = figure.endswith("_bytes")
            means[figure] = round(mean.mean) if is_bytes and mean.mean is not None else mean.mean
            means[f"{figure}_peak"] = mean.peak
        return {
            **means,
            "watched_seconds": self.watched_seconds,
            "total_bytes": self.total_bytes,
            "power_limit_watts": self.power_limit_watts,
            "throttled_seconds": self.throttled_seconds,
            "throttle_reasons": ", ".join(self.reasons) or None,
            "energy_joules": self.energy_joules,
            "level": level,
        }

    def begin(self) -> None:
        """Begin the next minute."""
        self.watched_seconds = self.throttled_seconds = 0.0
        self.energy_joules = None
        self.figures = {figure: mean.begin() for figure, mean in self.figures.items()}
        self.reasons = dict.fromkeys(self.costly)


class Trouble:
    """A time in which one thing is wrong with a model."""

    def __init__(self, number: int, model: ModelName, started: float) -> None:
        self.number = number
        self.model = model
        self.started = self.until = started
        self._busy_seconds = 0.0
        self._rate = Mean()
        self._said: dict[str, object] = {}

    def go_on(self, picture: ModelPicture, *, is_busy: bool) -> None:
        """Take in that it goes on, with what is said of it now."""
        seconds, self.until = picture.at - self.until, picture.at
        self._busy_seconds += seconds if is_busy else 0.0
        self._rate.add(picture.rates.decode_tokens_per_second, seconds)
        found = picture.diagnosis
        cure = found.remedies[0] if found.remedies else None
        self._said = {
            "kind": picture.trouble,
            "level": picture.level,
            "sentence": picture.sentence,
            "cause": found.cause.sentence if found.cause else None,
            "cure": cure.sentence if cure else None,
            "command": cure.command if cure else None,
            "full_tokens_per_second": picture.full.tokens_per_second if picture.full else None,
        }

    def row(self, wall: Callable[[float], float]) -> dict[str, object]:
        """Return all that is to be said of it so far; ``wall`` sets times of samples by the clock."""
        return {
            **self._said,
            "started": wall(self.started),
            "until": wall(self.until),
            "busy_seconds": self._busy_seconds,
            "decode_tokens_per_second": self._rate.mean,
        }


class _Figure(NamedTuple):
    name: str
    value: float | None


def _figures(record: GpuRecord) -> tuple[_Figure, ...]:
    reading = record.reading
    return (
        _Figure("used_bytes", reading.memory.used_bytes if reading.memory else None),
        _Figure("utilization_percent", reading.utilization_percent),
        _Figure("temperature_celsius", reading.temperature_celsius),
        _Figure("power_watts", reading.power_watts),
    )
