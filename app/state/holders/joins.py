"""Joins the processes that hold models with the models that servers claim, by their files and names.

A pure function of what is known: the samples may arrive in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from gpumon.app.state.holders.addresses import published_ports, server_of, standalone_runner_at
from gpumon.app.state.places import is_loopback, place
from gpumon.app.state.records import JoinedBy, ModelKey, ModelRecord, RunnerKey, RunnerRecord, is_server
from gpumon.app.state.state import State
from gpumon.collectors.samples import BlobNames, InstalledModel, RunnerSettings, ServerProcess
from gpumon.collectors.servers.registry import kind_named

SHORT_HEX_DIGITS = 12


def name_of(state: State, settings: RunnerSettings, urls: Collection[str] = ()) -> str | None:
    """Return a name of what a runner loads; ``None`` where none is known.

    Of several names of one file that by which it was asked for before. ``urls`` are those at which clients
    reach it, where that is known.
    """
    if (told := _name_told(state, settings, urls)) is not None:
        return told
    if settings.model_name is not None:
        return settings.model_name
    names = list(dict.fromkeys(_names(state, settings.blob))) if settings.blob else []
    if len(names) < 2:
        return names[0] if names else None
    listed = (*state.models.values(), *reversed(state.departed))
    asked_for = (model.claim.name for model in listed if model.claim.name in names)
    return next(asked_for, names[0])


def _name_told(state: State, settings: RunnerSettings, urls: Collection[str]) -> str | None:
    """Return the name by which clients ask a server that starts others for what listens on a port.

    Two containers have the same ports inside: of two such servers the one at the URLs of the process counts.
    """
    port = settings.port
    if port is None or not state.routed:
        return None
    where = {place(url) for url in urls}
    told = {source: names[port] for source, names in state.routed.items() if port in names}
    if own := [name for source, name in told.items() if place(source) in where]:
        return own[0]
    return next(iter(told.values())) if len(set(told.values())) == 1 else None


def stand_in(settings: RunnerSettings) -> str:
    """Return what to call a runner's model while no name is known."""
    if settings.blob is not None:
        return settings.blob.removeprefix("sha256-")[:SHORT_HEX_DIGITS]
    path = settings.model_path or settings.model_name
    return path.rpartition("/")[2] if path else "unknown model"


def installed_bytes(state: State, settings: RunnerSettings) -> int | None:
    """Return the size of what a runner loads, by ``/api/tags``: of several names the least.

    It counts all files of the model, a projector in a file of its own included.
    """
    names = {settings.model_name} if settings.model_name else set()
    if settings.blob is not None:
        names.update(_names(state, settings.blob))
    if not names:
        return None
    sizes = (m.size_bytes for m in _installed(state) if m.name in names and not m.remote)
    return min((size for size in sizes if size), default=None)


def blobs_of(state: State, model: ModelRecord) -> frozenset[str]:
    """Return the files of a model's weights, as far as they are known.

    A digest is that of all its content: what another server shows of the same one holds here too.
    """
    digest = model.key.digest
    shown = (facts.blobs[:1] for facts in state.facts.values() if facts.digest == digest)
    return state.disk_blobs.get(digest, frozenset()).union(*shown)


def _names(state: State, blob: str) -> Iterator[str]:
    yield from (facts.name for facts in state.facts.values() if blob in facts.blobs[:1])
    for sample in state.blob_names.values():
        yield from sample.names.get(blob, ())


def _installed(state: State) -> Iterator[InstalledModel]:
    for sample in state.installed.values():
        yield from sample.models


Holders = Mapping[ModelKey, RunnerKey | None]
"""The processes by which models were held until now."""


class Match(NamedTuple):
    """A runner and a claim that are one."""

    runner: RunnerRecord
    model: ModelRecord
    by: JoinedBy


class Servers(NamedTuple):
    """Which processes may be behind which source."""

    certain: list[tuple[str, set[int]]]
    """Source and the PIDs of its server."""
    loose_sources: set[str]
    loose_pids: set[int]
    """Servers of which it is not known where they are reached; one of them may be behind a loose source."""


def join(state: State) -> None:
    """Join all runners and claims again."""
    before = {key: runner.model for key, runner in state.runners.items()}
    holders = {key: model.runner for key, model in state.models.items()}
    for runner in state.runners.values():
        runner.model = None
    for model in state.models.values():
        model.runner = model.joined_by = None
    for match in _matches(state, holders):
        match.runner.model = match.model.key
        match.model.runner, match.model.joined_by = match.runner.key, match.by
        if match.model.facts is None and match.runner.file is not None:
            match.model.facts = match.runner.file.facts
    for runner in state.runners.values():
        if runner.model != before[runner.key]:
            runner.claimed_since = _claimed_since(state, runner)
            runner.unclaimed_since = state.now if runner.model is None else None
    for key, model in state.models.items():
        _note_end(state, model, holders[key])
        if model.runner != holders[key]:
            state.touched.claimed.add(key)


def may_be_claimed(state: State, runner: RunnerRecord) -> bool:
    """Return whether a server that is asked may have started a runner; also before any server was heard."""
    if not any(map(is_server, state.sources)):
        return True
    servers, pid = _servers(state), runner.process.server_pid
    if any(pid in pids for _, pids in servers.certain):
        return True
    return bool(servers.loose_sources) and pid in servers.loose_pids


def sources_of(state: State, runner: RunnerRecord) -> list[str]:
    """Return the sources that are certain to be the server of a runner."""
    pid = runner.process.server_pid
    return [source for source, pids in _servers(state).certain if pid in pids]


def blobs_by_digest(samples: Iterable[BlobNames]) -> dict[str, frozenset[str]]:
    """Return the blobs of the weights by the digest of the manifest, from what is on disk."""
    blobs: dict[str, set[str]] = {}
    for sample in samples:
        for blob, names in sample.names.items():
            for digest in {sample.digests[name] for name in names if name in sample.digests}:
                blobs.setdefault(digest, set()).add(blob)
    return {digest: frozenset(found) for digest, found in blobs.items()}


def _note_end(state: State, model: ModelRecord, holder: RunnerKey | None) -> None:
    """Note that the process that held a model has ended, until another one holds it."""
    if model.runner is not None:
        model.runner_ended = model.ended_runner = None
    elif holder is not None and holder not in state.runners:
        model.runner_ended, model.ended_runner = state.now, holder


def _claimed_since(state: State, runner: RunnerRecord) -> float | None:
    """Return when its model was last claimed, if that was not said of a process before it."""
    seen = state.models[runner.model].seen if runner.model else None
    return seen if seen is not None and seen >= runner.first_seen else None


def _matches(state: State, holders: Holders) -> Iterator[Match]:
    if not state.runners or not state.models:
        return
    yield from _address_matches(state)
    servers = _servers(state)
    for source, pids in servers.certain:
        yield from _certain_matches(state, _runners_of(state, pids), _models_of(state, {source}), holders)
    loose_runners = _runners_of(state, servers.loose_pids)
    yield from _unique_matches(state, loose_runners, _models_of(state, servers.loose_sources))


def _address_matches(state: State) -> Iterator[Match]:
    """Yield what a server that holds its only model itself and its process have in common: their address."""
    counts = Counter(key.source for key in state.models)
    for model in state.models.values():
        own = state.runners.get(model.process) if model.process else None
        if own is not None:
            yield Match(own, model, "process")
        elif counts[model.key.source] == 1 and not _claims_one_by_one(model.runtime):
            runner = standalone_runner_at(state, model.key.source)
            if runner is not None:
                yield Match(runner, model, "address")


def _servers(state: State) -> Servers:
    sources = sorted(filter(is_server, state.sources))
    certain = [(source, pids) for source in sources if (pids := _listening(state, source))]
    found = {pid for _, pids in certain for pid in pids}
    loose_pids = {server.pid for server in state.servers if _is_loose(server)} - found
    loose_sources = {source for source in sources if is_loopback(source)} - {source for source, _ in certain}
    loose_sources -= {source for source in sources if _is_certain(state.sources[source].runtime)}
    if len(loose_pids) == len(loose_sources) == 1:
        return Servers([*certain, (loose_sources.pop(), loose_pids)], set(), set())
    return Servers(certain, loose_sources, loose_pids)


def _claims_one_by_one(runtime: str | None) -> bool:
    """Whether models of such a server are held by child processes, which are joined by file or name."""
    return kind_named(runtime).runners_are == "claimed"


def _is_certain(runtime: str | None) -> bool:
    """Whether a source is known to be joined by its address."""
    return runtime is not None and not _claims_one_by_one(runtime)


def _listening(state: State, source: str) -> set[int]:
    where = place(state.upstreams.get(source, source))
    return {server.pid for server in state.servers if where in {place(url) for url in server.reached}}


def _is_loose(server: ServerProcess) -> bool:
    """Return whether it is not known where it is reached: a container may publish any port."""
    return not server.reached and kind_named(server.kind).has_url


def _runners_of(state: State, pids: Collection[int]) -> list[RunnerRecord]:
    """Return the runners of servers, the newest first: an older one is about to end."""
    own = (one for one in state.runners.values() if (server := server_of(state, one)) and server.pid in pids)
    return sorted(own, key=lambda runner: (runner.key.started, runner.key.pid), reverse=True)


def _models_of(state: State, sources: Collection[str]) -> list[ModelRecord]:
    return sorted((m for m in state.models.values() if m.key.source in sources), key=lambda m: m.key)


def _certain_matches(
    state: State, runners: list[RunnerRecord], models: list[ModelRecord], holders: Holders
) -> Iterator[Match]:
    free, unmatched = list(runners), []
    for model in models:
        match = next((m for runner in free if (m := _match(state, runner, model))), None)
        if match is not None:
            free.remove(match.runner)
            yield match
        else:
            unmatched.append(model)
    for model in list(unmatched):
        if (match := _still_held(state, free, model, holders)) is not None:
            free.remove(match.runner)
            unmatched.remove(model)
            yield match
    if len(unmatched) == 1:
        yield from _left_over(state, free, unmatched[0])


def _still_held(
    state: State, runners: list[RunnerRecord], model: ModelRecord, holders: Holders
) -> Match | None:
    """Return the process that held a model before, of which nothing says otherwise, whoever else comes."""
    held = (one for one in _may_hold(state, runners, model) if one.key == holders.get(model.key))
    return next((Match(one, model, "only one") for one in held), None)


def _left_over(state: State, runners: list[RunnerRecord], model: ModelRecord) -> Iterator[Match]:
    """Yield the one process that is left for the one model whose file is not known."""
    left = _may_hold(state, runners, model)
    if len(left) == 1:
        yield Match(left[0], model, "only one")


def _may_hold(state: State, runners: list[RunnerRecord], model: ModelRecord) -> list[RunnerRecord]:
    """Return the processes of which nothing is known; those of other models by their names are none."""
    unknown = (one for one in runners if _nothing_known(state, one, model))
    return [one for one in unknown if not _is_another(state, one, model)]


def may_be_listed(state: State, runner: RunnerRecord, source: str) -> bool:
    """Return whether a process may hold a model that its server lists and that no process is known to hold.

    It may where it tells neither its file nor a name.
    """
    settings = runner.process.settings
    if settings.blob is not None or settings.model_name is not None:
        return False
    return any(model.runner is None for model in _models_of(state, {source}))


def _is_another(state: State, runner: RunnerRecord, model: ModelRecord) -> bool:
    """Return whether a process holds a model that is known to have another name."""
    blob, full_name = runner.process.settings.blob, model.kind.full_name
    names = {full_name(name) for name in _names(state, blob)} if blob is not None else set()
    return bool(names) and full_name(model.claim.name) not in names


def _unique_matches(state: State, runners: list[RunnerRecord], models: list[ModelRecord]) -> Iterator[Match]:
    """Yield the matches in which neither side has another choice."""
    matches = [m for runner in runners for model in models if (m := _match(state, runner, model))]
    for match in matches:
        if sum(other.runner is match.runner or other.model is match.model for other in matches) == 1:
            yield match


def _match(state: State, runner: RunnerRecord, model: ModelRecord) -> Match | None:
    settings = runner.process.settings
    if settings.blob is not None and settings.blob in blobs_of(state, model):
        return Match(runner, model, "blob")
    full_name = model.kind.full_name
    if settings.model_name is not None and full_name(settings.model_name) == full_name(model.claim.name):
        return Match(runner, model, "name")
    is_child = runner.process.server_pid is not None
    ports = frozenset() if is_child else published_ports(runner.process)
    is_told = _names_one_of(model, ports) if ports else is_told_of(settings, model)
    return Match(runner, model, "address") if is_told else None


def _names_one_of(model: ModelRecord, ports: Collection[int]) -> bool:
    """Whether the server of a model sends its requests to one of these ports."""
    told = model.claim.settings
    return told is not None and told.port in ports


def is_told_of(settings: RunnerSettings, model: ModelRecord) -> bool:
    """Return whether the server of a model says which process holds it: by its port, or by its file."""
    return model.kind.holds(model.claim, settings)


def _nothing_known(state: State, runner: RunnerRecord, model: ModelRecord) -> bool:
    return runner.process.settings.model_name is None and not blobs_of(state, model)
