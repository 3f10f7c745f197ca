"""Takes in what servers say: how they are, which models they have, how these work, what their files hold.

A model is told of by its server's URL or, where no URL is asked, by the process that holds it.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.app.state.histories import arrive, key_alone, leave
from gpumon.app.state.holders.addresses import addresses_of, own_addresses, server_of, stands_alone
from gpumon.app.state.holders.doors import front_of, hide_back_doors
from gpumon.app.state.holders.joins import join
from gpumon.app.state.holders.measured import is_steady
from gpumon.app.state.places import place
from gpumon.app.state.records import (
    ModelKey,
    ModelRecord,
    RunnerKey,
    RunnerRecord,
    Served,
    SourceRecord,
)
from gpumon.app.state.records.model import with_facts
from gpumon.app.state.state import State, hear
from gpumon.app.state.work import follow_picture, follow_work, hear_work, note_job, seen_request
from gpumon.collectors.samples import (
    HEALTHY_STATES,
    LOADING_STATES,
    InstalledModels,
    ModelClaim,
    ModelFacts,
    RunnerSettings,
    ServerSample,
    WorkSample,
)
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import kind_named

MODELS_END_WITH = frozenset({"not_running"})
"""States of a server in which its models are known to be gone; in the others they are only not confirmed: a
page of a proxy in between looks like another program."""

CLOCK_RESOLUTION_SECONDS = 2.0
"""An HTTP ``Date`` header counts whole seconds; a smaller difference says nothing."""

FACTS_KEPT = 500


def apply_server(state: State, sample: ServerSample) -> None:
    """Take in one look at a server: how it is, and its models."""
    if sample.known_by == "process" and sample.health.state == "absent":
        _forget_server(state, sample.source)
        return
    if sample.known_by == "process" and _is_named(state, sample.source):
        return
    is_new, before = sample.source not in state.sources, set(state.models)
    state.touched.processes = True
    source = hear(state, sample.source, sample.health, sample.version, sample.kind)
    if source.known_by != sample.known_by:
        source.known_by = sample.known_by
        state.touched.sources.add(sample.source)
    if (offset := sample.clock_offset_seconds) is not None:
        source.clock_offset_seconds = offset if abs(offset) > CLOCK_RESOLUTION_SECONDS else 0.0
    if sample.models is not None:
        _note_meter(state, sample)
        _note_routes(state, sample.source, sample.models, kind_named(sample.kind))
        shown = [claim for claim in sample.models if _is_shown(state, sample.source, claim)]
        keys = {_apply_claim(state, sample, claim) for claim in shown}
        _depart(state, sample.source, keep=keys)
    elif sample.health.state in MODELS_END_WITH:
        _depart(state, sample.source, keep=set(), server_ended=True)
    follow_processes(state)
    if is_new or before != state.models.keys():
        join(state)
    close_back_doors(state)


def close_back_doors(state: State) -> None:
    """Keep one row of each model that is reached through several servers."""
    if hide_back_doors(state):
        join(state)


def _is_named(state: State, url: str) -> bool:
    """Whether a server that was found is asked already because somebody has named it."""
    others = (one for name in state.servers_here if (one := state.sources[name]).known_by != "process")
    return any(place(one.name) == place(url) for one in others)


def _forget_server(state: State, name: str) -> None:
    """Forget a server that nobody has named and whose process has ended, or that is asked by another name."""
    _depart(state, name, keep=set(), server_ended=True)
    if state.sources.pop(name, None) is not None:
        state.touched.sources.add(name)
    if name in state.servers_here:
        state.servers_here.remove(name)
    state.metered.pop(name, None)
    state.routed.pop(name, None)
    follow_processes(state)
    join(state)


def apply_work(state: State, sample: WorkSample) -> None:
    """Take in one poll of a model's work; where its process is known, it is that of the process."""
    if sample.pid is not None and sample.started is not None:
        runner = state.runners.get(RunnerKey(sample.pid, sample.started))
        if runner is not None:
            _take_of_process(state, runner, sample)
        return
    record = _named(state, sample)
    if record is None:
        _take_from_behind(state, sample)
    elif not _is_told_behind(state, record):
        _take_of_server(state, record, sample, is_told=record.kind.tells_work)


def _take_from_behind(state: State, sample: WorkSample) -> None:
    """Take in what the server behind another one says of a model that is shown under the other's name."""
    record = front_of(state, sample.source, sample.model) if sample.model is not None else None
    if record is None or (
        record.kind.tells_work and record.served and state.sources[record.key.source].healthy
    ):
        return
    runner = state.runner_of(record)
    if runner is not None:
        _take_of_process(state, runner, sample)
        return
    _change_teller(record, sample.source)
    _take_of_server(state, record, sample, is_told=True)


def _is_told_behind(state: State, record: ModelRecord) -> bool:
    """Whether the server behind its own tells how a model works; else its own is heard again."""
    source = state.sources.get(record.behind) if record.behind else None
    if source is not None and source.healthy:
        return True
    _change_teller(record, None)
    return False


def _change_teller(record: ModelRecord, behind: str | None) -> None:
    """Begin anew to measure how a model works where another server tells of it from now on."""
    if record.behind != behind:
        record.behind, record.served = behind, None


def _take_of_server(state: State, record: ModelRecord, sample: WorkSample, *, is_told: bool) -> None:
    """Take in what is said at a URL; ``is_told``: of the work of its process as well."""
    record.served = served = record.served or Served(sample.state)
    note_job(record, served.answer, sample)
    served.answer, served.state, served.last = sample, sample.state, seen_request(served.last, sample)
    if sample.facts is not None and sample.facts != served.facts:
        served.facts = sample.facts
        record.claim = _with_facts(record, record.claim)
    runner = state.runner_of(record)
    if runner is not None:
        if is_told:
            _take_of_process(state, runner, sample)
        return
    state.touched.work(record.key, changed=True)
    served.take(sample)
    record.note_rates(served.meter.rates, state.now)
    follow_picture(record, sample, state)


def apply_facts(state: State, sample: ModelFacts) -> None:
    """Take in what the file of one model holds."""
    key = ModelKey(sample.source, sample.digest)
    state.facts[key] = sample
    if len(state.facts) > FACTS_KEPT:
        del state.facts[next(iter(state.facts))]
    if key in state.models:
        state.models[key].facts = sample
        state.touched.claimed.add(key)
    join(state)


def apply_installed(state: State, sample: InstalledModels) -> None:
    """Take in what a server has installed."""
    state.installed[sample.source] = sample


def follow_processes(state: State) -> bool:
    """Keep a model for each process that no URL tells of; return whether any has come or gone."""
    before = _by_process(state)
    wanted = _wanted(state)
    if not before and not wanted:
        return False
    for key in before.keys() - wanted.keys():
        depart(state, key, server_ended=before[key] not in state.runners)
    for key, runner in wanted.items():
        _keep(state, key, runner)
    return before != _by_process(state)


def depart(state: State, key: ModelKey, *, server_ended: bool = False) -> None:
    """Record that a model has been unloaded."""
    record = state.models.pop(key)
    record.server_ended = server_ended
    state.touched.claimed.add(key)
    record.gone = state.now
    state.departed.append(record)
    leave(state, record)


def _note_meter(state: State, sample: ServerSample) -> None:
    """Note whether a meter is on the way to a server."""
    if sample.metered:
        state.metered.setdefault(sample.source)
    else:
        state.metered.pop(sample.source, None)


def _note_routes(state: State, source: str, models: Sequence[ModelClaim], kind: ServerKind) -> None:
    """Note under which names clients reach the ports of processes that a server has started."""
    if not kind.tells_work:
        told = ((claim.settings.port, claim.name) for claim in models if claim.settings)
        state.routed[source] = {port: name for port, name in told if port is not None}


def _named(state: State, sample: WorkSample) -> ModelRecord | None:
    """Return the model of a server that a sample names."""
    if sample.model is None:
        return None
    found = state.models.get(ModelKey(sample.source, sample.model))
    own = (one for key, one in state.models.items() if key.source == sample.source)
    return found or next((one for one in own if one.claim.name == sample.model), None)


def _take_of_process(state: State, runner: RunnerRecord, sample: WorkSample) -> None:
    model = state.models.get(runner.model) if runner.model else None
    if model is not None and model.served is None:
        note_job(model, runner.answer, sample)
    changed = hear_work(runner, sample)
    if stands_alone(state, runner) and follow_processes(state):
        join(state)
    state.touched.work(runner.model, changed=changed)
    follow_work(state, runner, sample)


def _is_shown(state: State, source: str, claim: ModelClaim) -> bool:
    """Whether a model is to be shown: one whose process is seen to load is shown as a load already."""
    if claim.state != "loading":
        return True
    loading = (one for one in state.runners.values() if _is_of(one.process.settings, claim))
    return not any(place(source) in {place(url) for url in addresses_of(state, one)} for one in loading)


def _is_of(settings: RunnerSettings, claim: ModelClaim) -> bool:
    """Return whether a process was started for a model, by its name or by the port that its server tells."""
    told = claim.settings.port if claim.settings else None
    return settings.model_name == claim.name or (told is not None and told == settings.port)


def _apply_claim(state: State, sample: ServerSample, claim: ModelClaim) -> ModelKey:
    now = state.now
    key = ModelKey(sample.source, kind_named(sample.kind).identity(claim))
    state.touched.claimed.add(key)
    record = state.models.get(key)
    if record is None or not _is_of_kind(record, sample):
        record = ModelRecord(key, claim, first_seen=now, seen=now, facts=state.facts.get(key))
        record.kind, record.history = kind_named(sample.kind), arrive(state, key)
        state.models[key] = record
    record.expiry_moves = _expiry_moves(record, claim)
    record.stop_asked = _is_asked_to_stop(record, claim, now, state.sources[sample.source])
    if claim.state is not None:
        record.served = record.served or Served(claim.state)
        record.served.state = claim.state
    if record.stated is None or record.stated != claim:
        record.stated, record.claim = claim, _with_facts(record, claim)
    record.seen, record.process = now, None
    _take_memory(state, record)
    return key


def _is_of_kind(record: ModelRecord, sample: ServerSample) -> bool:
    return record.kind.name == sample.kind or record.kind is kind_named(sample.kind)


def _with_facts(record: ModelRecord, claim: ModelClaim) -> ModelClaim:
    """Return ``claim`` with what else is known of the loaded model."""
    if record.served is None:
        return claim
    return with_facts(claim, record.kind.claim_of(claim.name, claim.settings, record.served.facts))


def _take_memory(state: State, record: ModelRecord) -> None:
    """Take in what is claimed of a model's memory, where anything is."""
    if not record.claims_memory:
        return
    now, split = state.now, record.split
    _note_steadiness(state, record)
    if split.gpu_bytes:
        state.gpu_claimed.add(record.key.source)
    if split.spill_fraction == 0:
        record.spilled_since, record.history.whole_until = None, now
    elif split.spill_fraction is not None and record.spilled_since is None:
        record.spilled_since = now
    history = record.history
    history.vram.add(now, split.gpu_bytes)
    history.ram.add(now, split.ram_bytes)


def _note_steadiness(state: State, record: ModelRecord) -> None:
    claimed_bytes, runner = record.split.gpu_bytes, state.runner_of(record)
    steady = is_steady(record.claim_steady_bytes, claimed_bytes)
    if not steady:
        record.claim_steady_bytes = claimed_bytes
    if runner is not None and (not steady or runner.claimed_since is None):
        runner.claimed_since = state.now


def _expiry_moves(record: ModelRecord, claim: ModelClaim) -> bool:
    """Whether the expiry was put off since the poll before.

    Until its first request has ended, Ollama counts the time left from the instant of the poll; from then
    on from the end of the last request (ollama: server/sched.go, server/routes.go).
    """
    before, after = record.claim.expires_at, claim.expires_at
    return before is not None and after is not None and after > before


STOP_SECONDS = 2.0
"""An expiry that was moved back by more than this was moved on purpose, and to now."""


def _is_asked_to_stop(record: ModelRecord, claim: ModelClaim, now: float, source: SourceRecord) -> bool:
    """Return whether a model is to go after its requests: ``ollama stop`` moves its expiry back to now.

    One that a long request has outlived lies in the past too, and was not moved (ollama: server/sched.go,
    ``expireRunner``).
    """
    before, after = record.claim.expires_at, claim.expires_at
    if after is None or after > now + source.clock_offset_seconds + STOP_SECONDS:
        return False
    moved_back = before is not None and before - after > STOP_SECONDS
    return record.stop_asked or moved_back


def _depart(state: State, source: str, keep: set[ModelKey], *, server_ended: bool = False) -> None:
    own = (key for key, model in state.models.items() if key.source == source and model.process is None)
    for key in [key for key in own if key not in keep]:
        depart(state, key, server_ended=server_ended)


def _by_process(state: State) -> dict[ModelKey, RunnerKey]:
    return {key: model.process for key, model in state.models.items() if model.process is not None}


def _wanted(state: State) -> dict[ModelKey, RunnerRecord]:
    """Return the processes to keep a model for; of two with one address and name the newest."""
    loaded = (runner for _, runner in sorted(state.runners.items(), key=lambda item: item[0].started))
    return {
        key_alone(state, runner): runner
        for runner in loaded
        if _is_loaded(runner) and stands_alone(state, runner) and not _is_asked_by_url(state, runner)
    }


def _is_loaded(runner: RunnerRecord) -> bool:
    """Whether its model is loaded, as far as anything says so."""
    answer = runner.answer
    return runner.load_over if answer is None else answer.state not in LOADING_STATES


def _is_asked_by_url(state: State, runner: RunnerRecord) -> bool:
    """Whether a source of its own kind that is well already tells of its model."""
    where = {place(url) for url in (*addresses_of(state, runner), *own_addresses(runner.process))}
    server = server_of(state, runner)
    own = {runner.server_kind.name, server.kind if server else None}
    is_told = runner.kind.by_itself and runner.process.settings.port is not None
    return any(
        (is_told or source.runtime in own) and source.health.state in HEALTHY_STATES and place(name) in where
        for name, source in state.sources.items()
    )


def _called(runner: RunnerRecord) -> str | None:
    """Return what a process calls its model where nothing else names it."""
    told = runner.process.settings
    is_named = told.blob or told.model_path or told.model_name
    return runner.facts.model_name if runner.facts and not is_named else None


def _keep(state: State, key: ModelKey, runner: RunnerRecord) -> None:
    kind = runner.server_kind
    record = state.models.get(key)
    if record is not None and record.process != runner.key:
        depart(state, key)
        record = None
    claim = kind.claim_of(_called(runner) or key.digest, runner.process.settings, runner.facts)
    if record is None or record.claim != claim or record.claims_memory:  # a claim is one at each look
        state.touched.claimed.add(key)
    if record is None:
        record = state.models[key] = ModelRecord(key, claim, first_seen=state.now, seen=state.now)
        record.kind, record.process, record.history = kind, runner.key, arrive(state, key)
    record.claim, record.stated, record.seen = claim, None, state.now
    _take_memory(state, record)
