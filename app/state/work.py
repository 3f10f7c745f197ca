"""How a model works: what its process, its server or a meter says of its requests, and what holds it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from gpumon.app.state.holders.doors import hide_back_doors
from gpumon.app.state.holders.joins import join
from gpumon.app.state.places import is_loopback
from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates
from gpumon.app.state.rates.picture import Drawing, PictureTrack
from gpumon.app.state.rates.pool import PoolFigures
from gpumon.app.state.records import STALE_AFTER_SECONDS, GpuRecord, ModelRecord, RunnerRecord, SeenRequest
from gpumon.app.state.records.history import StepPace
from gpumon.app.state.state import State
from gpumon.collectors.samples import AT_HAND_STATES, LoadFacts, MeteredModel, MeterSample, WorkSample

HOLD_SECONDS = 5.0
"""So long a meter's word stands: it is asked more often than that."""

METER = "meter"
NO_RATES = RunnerRates()


def rates_of(record: ModelRecord, state: State) -> RunnerRates:
    """Return how fast a model works now; nothing but unknowns where nobody tells.

    Its process or its server tell best; a meter before them comes next.
    """
    own = own_rates(record, state)
    if record.pictures is not None:
        return replace(own, drawing=drawing_of(record, state))
    return own if own.sources else _metered_rates(record, state) or own


def own_rates(record: ModelRecord, state: State) -> RunnerRates:
    """Return how fast a model works by its process or, where that is not known, by its llama-server."""
    runner = state.runner_of(record)
    if runner is not None:
        return runner.rates.standing(state.now)
    return record.served.meter.rates.standing(state.now) if record.served else NO_RATES


def metered_of(record: ModelRecord, state: State) -> MeteredModel | None:
    """Return what a meter says of a model, unless that was long ago."""
    if record.metered_at is None or state.now - record.metered_at > HOLD_SECONDS:
        return None
    return record.metered


def _metered_rates(record: ModelRecord, state: State) -> RunnerRates | None:
    """Return the rates of the requests that went through a meter; ``None`` where there is none."""
    metered = metered_of(record, state)
    return None if metered is None else _rates_metered(metered)


def _rates_metered(metered: MeteredModel) -> RunnerRates:
    return RunnerRates(
        decode_tokens_per_second=metered.decode_tokens_per_second,
        is_estimate=metered.decode_rate_is_estimate,
        decoded_total=metered.decoded_tokens_total,
        decoded_total_is_lower_bound=True,
        running=metered.requests_running,
        sources=(METER,),
    )


def requests_of(model: ModelRecord, state: State) -> Sequence[FinishedRequest]:
    """Return the requests that were seen to end, oldest first."""
    runner = state.runner_of(model)
    if runner is not None:
        return runner.requests
    return model.served.requests if model.served else ()


def last_of(model: ModelRecord, state: State) -> SeenRequest | None:
    """Return what its server says of the latest request that has ended."""
    runner = state.runner_of(model)
    if runner is not None and runner.last is not None:
        return runner.last
    return model.served.last if model.served else None


def seen_request(before: SeenRequest | None, sample: WorkSample) -> SeenRequest | None:
    """Return the latest request after a look: a new one is known by its number, or else by its figures.

    A number that has fallen is that of a server that has started again; when its latest one ended is unknown.
    """
    said = sample.last
    if said is None or (before is not None and before.request == said):
        return before
    if before is None or (said.count or 0) < (before.request.count or 0):
        return SeenRequest(said, None, sample.origin)
    is_same = said.count is not None and said.count == before.request.count
    return SeenRequest(said, before.ended if is_same else sample.time, sample.origin)


def answer_of(model: ModelRecord, state: State) -> WorkSample | None:
    """Return the latest poll of its statistics."""
    runner = state.runner_of(model)
    if runner is not None:
        return runner.answer
    return model.served.answer if model.served else None


def drawing_of(model: ModelRecord, state: State) -> Drawing | None:
    """Return the picture that a generator works on, unless that was said long ago."""
    answer = answer_of(model, state) if model.pictures else None
    if answer is None or model.pictures is None or state.now - answer.time > STALE_AFTER_SECONDS:
        return None
    return model.pictures.now


def follow_picture(model: ModelRecord, sample: WorkSample, state: State) -> None:
    """Follow the picture that a generator works on."""
    if not model.kind.makes_pictures:
        return
    model.pictures = model.pictures or PictureTrack()
    model.pictures.feed(sample, model.claim.name, _received(model, state))


def _received(model: ModelRecord, state: State) -> float | None:
    """Return what the GPUs of a model receive over PCIe, in bytes per second."""
    runner = state.runner_of(model)
    held = [uuid for uuid, size in runner.vram_by_gpu.items() if size] if runner else []
    rates = [state.gpus[uuid].reading.pcie_receive_bytes_per_second for uuid in held if uuid in state.gpus]
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known and len(known) == len(rates) else None


def pool_figures(model: ModelRecord, state: State) -> PoolFigures | None:
    """Return how full the cache of all contexts is; ``None`` where nothing tells, or that was long ago."""
    runner = state.runner_of(model)
    if runner is not None:
        return runner.pool.figures(state.now)
    return model.served.pool.figures(state.now) if model.served else None


def server_facts(model: ModelRecord, state: State) -> LoadFacts | None:
    """Return what its llama-server says of the file and the slots."""
    runner = state.runner_of(model)
    if runner is not None and runner.facts is not None:
        return runner.facts
    return model.served.facts if model.served else None


SEVERE_REASONS = ("thermal", "hardware", "brake")
"""Parts of the reasons for held clocks that pass; a power cap is how the machine is set up."""
SWAPPING_BYTES_PER_SECOND = 4.0 * 1024**2
AT_WORK_SECONDS = 3.0


def is_hindered(state: State, runner: RunnerRecord) -> bool:
    """Return whether heat, swapping, storage or another model at work on the same GPU slows a runner now."""
    is_alone = not _is_throttled(state, runner) and not any(_rivals(state, runner))
    return runner.disk.read_at is not None or _swaps(state) or not is_alone


def rivals(state: State, runner: RunnerRecord) -> list[RunnerRecord]:
    """Return the other runners at work on a GPU that this one uses."""
    return [*_rivals(state, runner)]


def _rivals(state: State, runner: RunnerRecord) -> Iterator[RunnerRecord]:
    since, own = state.now - AT_WORK_SECONDS, runner.vram_by_gpu.keys()
    for other in state.runners.values():
        at_work = other.worked is not None and other.worked >= since
        if at_work and other is not runner and not own.isdisjoint(other.vram_by_gpu):
            yield other


def _is_throttled(state: State, runner: RunnerRecord) -> bool:
    reasons = (
        reason
        for uuid in runner.vram_by_gpu
        if uuid in state.gpus
        for reason in state.gpus[uuid].reading.throttle_reasons or ()
    )
    return any(word in reason.lower() for reason in reasons for word in SEVERE_REASONS)


def _swaps(state: State) -> bool:
    if state.system is None:
        return False
    sample = state.system.sample
    moved = (sample.swap_in_bytes_per_second or 0.0) + (sample.swap_out_bytes_per_second or 0.0)
    return moved >= SWAPPING_BYTES_PER_SECOND


WORKING_CPU_PERCENT = 20.0
"""From here on a runner works on something; one that waits for requests uses next to nothing."""


def hear_work(runner: RunnerRecord, sample: WorkSample) -> bool:
    """Take in what a process says of its work; return whether anything but the counts has changed."""
    changed = _has_changed(runner.answer, sample)
    runner.answer, runner.last = sample, seen_request(runner.last, sample)
    runner.facts = sample.facts or runner.facts
    return changed


def note_job(model: ModelRecord, before: WorkSample | None, sample: WorkSample) -> None:
    """Note how long an image generator takes for a step, as it says itself or as two looks tell."""
    job, seconds = sample.job, _seconds_per_step(before, sample)
    if job is not None and seconds:
        size = (job.width, job.height, job.batch_size)
        model.history.take_step(StepPace(sample.time, seconds, job.job_id, size, model.claim.name))


def _seconds_per_step(before: WorkSample | None, sample: WorkSample) -> float | None:
    job, earlier = sample.job, before.job if before else None
    if job is None or job.seconds_per_step:
        return job.seconds_per_step if job else None
    if before is None or earlier is None or earlier.job_id != job.job_id:
        return None
    if earlier.step is None or job.step is None or job.step <= earlier.step:
        return None
    return (sample.time - before.time) / (job.step - earlier.step)


def follow_work(state: State, runner: RunnerRecord, sample: WorkSample) -> None:
    """Follow the requests of a process, and whether it is ready, after it has been heard and joined."""
    _follow_requests(state, runner, sample)
    _note_rates(state, runner)
    if is_working(sample) or runner.rates.awaited_until is not None:
        runner.worked = state.now
    if sample.state not in AT_HAND_STATES:
        runner.ready_since = None
    elif runner.ready_since is None:
        runner.ready_since = state.now


def hand_over(state: State) -> None:
    """Let each process have what its server has said of its work before the process was seen.

    One that rests is not asked again for as long as it rests.
    """
    for key, model in state.models.items():
        runner, said = state.runner_of(model), model.served.answer if model.served else None
        if runner is not None and runner.answer is None and said is not None and model.kind.tells_work:
            hear_work(runner, said)
            follow_work(state, runner, said)
            state.touched.work(key, changed=True)


def is_working(sample: WorkSample) -> bool:
    """Whether a model is said to work on a request."""
    running = sample.counters.requests_processing if sample.counters and sample.slots is None else None
    at_work = bool(running) or bool(sample.decode_tokens_per_second)
    return sample.state == "busy" or at_work or any(slot.processing for slot in sample.slots or ())


def _has_changed(before: WorkSample | None, sample: WorkSample) -> bool:
    return (
        before is None
        or before.state != sample.state
        or is_working(before) != is_working(sample)
        or sample.facts is not None
    )


def _follow_requests(state: State, runner: RunnerRecord, sample: WorkSample) -> None:
    runner.pool.feed(sample)
    runner.waits.feed(sample)
    finished = tuple(_with_energy(state, runner, one) for one in runner.meter.feed(sample))
    runner.requests.extend(finished)
    if (finished or runner.rates.slots) and is_hindered(state, runner):
        runner.pace.hindered_at = state.now
    for request in finished:
        runner.pace.end(request)
    runner.pace.see(state.now, runner.rates)
    state.touched.end_requests(runner.key, finished)


LEAST_ENERGY_SECONDS = 3.0
"""The power is read once a second: over less it says little."""


def _with_energy(state: State, runner: RunnerRecord, request: FinishedRequest) -> FinishedRequest:
    """Return a request with what its GPUs took from its start to its end, idle power and all."""
    began, gpus = request.started, [state.gpus.get(uuid) for uuid in runner.vram_by_gpu]
    is_short = request.ended - began < LEAST_ENERGY_SECONDS or began <= runner.first_seen
    if is_short or not gpus or _has_company(runner, began):
        return request
    known = [gpu for gpu in gpus if gpu is not None and _is_its_own(state, runner, gpu, began)]
    each = [gpu.energy.joules(began, request.ended) for gpu in known]
    if len(known) < len(gpus) or None in each:
        return request
    return replace(request, energy_joules=sum(joules or 0.0 for joules in each))


def _has_company(runner: RunnerRecord, since: float) -> bool:
    """Return whether other requests of its own were at work meanwhile."""
    return bool(runner.meter.rates.slots) or any(one.ended > since for one in runner.requests)


def _is_its_own(state: State, runner: RunnerRecord, gpu: GpuRecord, since: float) -> bool:
    """Return whether nobody else can have computed on a GPU; what draws a screen alone does not count."""
    resting = {
        pid
        for other in state.runners.values()
        if other.worked is None or other.worked < since
        for pid in other.pids
    }
    own, listed = runner.pids, gpu.reading.processes
    left = any(one.uuid == gpu.reading.uuid and one.time >= since for one in state.given_back)
    others = (one for one in listed or () if one.pid not in own | resting)
    return listed is not None and not left and all(one.kinds == ("graphics",) for one in others)


def _note_rates(state: State, runner: RunnerRecord) -> None:
    model = state.models.get(runner.model) if runner.model else None
    if model is None:
        return
    if runner.rates.sources or model.metered is None:
        model.note_rates(runner.rates, state.now)
    if runner.answer is not None:
        follow_picture(model, runner.answer, state)


def apply_meter(state: State, sample: MeterSample) -> None:
    """Take in one poll of a meter; it is no source of its own, as its server tells whether it is there."""
    if sample.server in state.metered:
        state.metered[sample.server] = sample
    _note_upstream(state, sample)
    for record in state.models.values():
        if record.key.source == sample.server:
            state.touched.claimed.add(record.key)
            _apply(state, record, _metered(record, sample))


def _metered(record: ModelRecord, sample: MeterSample) -> MeteredModel | None:
    """Return the requests to a model, however its clients spell its name; the last spelling counts."""
    full_name = record.kind.full_name
    wanted = full_name(record.claim.name)
    own = (one for one in sample.models or () if one.name is not None and full_name(one.name) == wanted)
    return next(reversed([*own]), None)


def _note_upstream(state: State, sample: MeterSample) -> None:
    """Remember the server behind a meter of this machine: its processes hold the models that are shown."""
    if sample.upstream is None or not is_loopback(sample.server):
        return
    if state.upstreams.get(sample.server) != sample.upstream:
        state.upstreams[sample.server] = sample.upstream
        hide_back_doors(state)
        join(state)


def _apply(state: State, record: ModelRecord, metered: MeteredModel | None) -> None:
    prefill_tokens_per_second = _new_prefill_rate(record.metered, metered)
    record.metered = metered
    record.metered_at = None if metered is None else state.now
    if metered is not None and not own_rates(record, state).sources:
        rates = replace(_rates_metered(metered), prefill_tokens_per_second=prefill_tokens_per_second)
        record.note_rates(rates, state.now)


def _new_prefill_rate(before: MeteredModel | None, metered: MeteredModel | None) -> float | None:
    """Return the prefill rate of the request that ended since the poll before: it is known no earlier."""
    if before is None or metered is None or metered.requests_ended <= before.requests_ended:
        return None
    return metered.requests[-1].prefill_tokens_per_second if metered.requests else None
