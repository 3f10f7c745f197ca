"""Checks of the sources and of the runners' own ports, from what they have said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gpumon.app.doctor.check import Check, Status
from gpumon.app.fuses import GPUMON_SOURCE
from gpumon.app.insight.health import Level, has_trouble, is_unasked_for
from gpumon.app.insight.wording import DRIVER_SOURCE, address, short_source_words, source_label
from gpumon.app.picture.gpu import GpuPicture, runner_name
from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.holders.addresses import server_of, unexplained
from gpumon.app.state.places import LOG_PREFIX, LOG_SEARCH, place
from gpumon.app.state.records import RunnerRecord, SourceRecord, is_server
from gpumon.app.state.state import State
from gpumon.collectors.runners.target import NO_PORT
from gpumon.collectors.samples import ServerProcess
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import kind_named
from gpumon.text import units
from gpumon.text.safe import visible

GIVES = "token rates, context in use, phases of a load"
NAME = "ports of models"
NAMESPACE_STEP = "run gpumon as root on the host, in the same container, or that with --network host"


def runner_checks(state: State) -> Iterator[Check]:
    """Yield a check of each runner's port; one that says so where no model is loaded."""
    if not state.runners:
        words = "no model is loaded on this machine"
        yield Check(kind="port", name=NAME, status="nothing", found=words, gives=GIVES)
    for runner in state.runners.values():
        status, found, step = _port(runner)
        port = runner.process.settings.port
        yield Check(
            kind="port",
            name=f"port {port}" if port else f"process {runner.key.pid}",
            status=status,
            found=f"{visible(runner_name(runner, state))}{_on(runner)}: {found}",
            gives=GIVES if _is_llamas(runner) else runner.server_kind.gives,
            step=step,
        )


def _on(runner: RunnerRecord) -> str:
    return "" if _is_llamas(runner) else f" on {runner.server_kind.label}"


def _is_llamas(runner: RunnerRecord) -> bool:
    """Whether its port tells what that of llama.cpp does, or is not known to tell anything else."""
    return runner.server_kind.facts_source == ServerKind.facts_source


def _port(runner: RunnerRecord) -> tuple[Status, str, str | None]:
    """Return how a runner answers, in words, and what to do."""
    answer = runner.answer
    if runner.kind.by_itself:
        return "partly", f"found; {visible(runner.server_kind.label)} does not tell its rate", None
    if answer is None:
        return "missing", "has not answered", None
    if answer.state == "unreachable":
        step = None if answer.detail == NO_PORT else NAMESPACE_STEP
        return "missing", visible(answer.detail or "out of reach"), step
    if answer.state in {"foreign", "failing"}:
        return "missing", visible(answer.detail or "another program answers"), None
    return _rates(runner, has_metrics="/metrics" in runner.meter.rates.sources)


def _rates(runner: RunnerRecord, *, has_metrics: bool) -> tuple[Status, str, str | None]:
    kind, sources = runner.kind, runner.meter.rates.sources
    if not kind.tells_rates:
        return "partly", "answers, but has no token rates", kind.update_hint
    if runner.facts is not None and runner.facts.slots_enabled is False:
        return "partly", "answers, /slots is switched off", kind.switches.get("/slots")
    if sources and not {"/slots", "/metrics"} & set(sources):
        return "works", visible(" and ".join(sources)), None
    if not _is_llamas(runner):
        detail = runner.answer.detail if runner.answer else None
        return ("works", visible(" and ".join(sources)), None) if sources else ("partly", _told(detail), None)
    if has_metrics:
        return "works", "/slots and /metrics", None
    return "works", "/slots", kind.switches.get("/metrics") if runner.process.server_pid is None else None


def _told(detail: str | None) -> str:
    return visible(detail or "answers, and tells no rates")


RUNNER_PREFIX = "runner "
COVERED = frozenset({DRIVER_SOURCE, "system", "processes", "runners", LOG_SEARCH})
"""Sources that have a check of their own."""

OTHER_GIVES = {
    "gpumon": "what it shows beside it; report it with the log",
    "learned": "usual rates and corrections, from earlier runs",
}

CONTAINER_DRIVER_STEP = "start the container with --gpus all (needs the NVIDIA Container Toolkit)"
CONTAINER_SERVER_STEP = "in a container: --network host, or --url http://HOST:11434"


def source_checks(pictures: Pictures, *, in_container: bool) -> Iterator[Check]:
    """Yield a check for each source, GPU, model and runner, those that the main job rests on first.

    What is said of a GPU or a model is drawn from its picture, as on every other surface.
    """
    state = pictures.state
    yield _driver(state, in_container)
    yield from map(_gpu, pictures.gpus())
    yield from _unopened(state)
    pictures.refresh()
    yield from map(_model, pictures.models())
    for name, source in state.sources.items():
        if is_server(name) and not source.is_pointless:
            yield _server(source, state, in_container)
    yield from map(_unasked, unasked_urls(state))
    yield from map(_hidden, _unreadable(state))
    yield from map(_contained, unasked_in_containers(state))
    yield _processes(state)
    yield from runner_checks(state)
    yield _logs(state)
    yield _memory(state)
    yield _pressure(state)
    yield from map(_other, _others(state.sources.values()))


def _driver(state: State, in_container: bool) -> Check:
    source = state.sources.get(DRIVER_SOURCE)
    version = f"driver {state.driver_version}" if state.driver_version else None
    works = source is not None and source.healthy and bool(state.gpus)
    is_without = source is not None and source.health.state == "idle"
    step = None if source is None else source.health.hint
    if in_container and not (works or is_without or state.other_gpu_makers):
        step = CONTAINER_DRIVER_STEP
    return Check(
        kind="driver",
        name=source_label(DRIVER_SOURCE),
        status="works" if works else "nothing" if is_without else "missing",
        found=visible(_said(source) if not works or version is None else version),
        gives="memory of each GPU by process, utilisation, power, heat, throttling",
        step=visible(step) if step else None,
        needed=True,
    )


def _gpu(gpu: GpuPicture) -> Check:
    reading, memory = gpu.reading, gpu.memory
    lists = reading.processes is not None
    status: Status = "works" if lists and reading.state in {"ok", "asleep"} else "partly"
    found = visible(reading.name or "unnamed GPU")
    if memory is not None:
        found = f"{found}, {units.size(memory.total_bytes)}"
    if reading.state != "ok":
        found = f"{found}, {visible(reading.detail or reading.state)}"
    elif not lists:
        found = f"{found}; the driver lists no processes"
    elif gpu.slow.mig_mode and not reading.processes:
        found = f"{found}; MIG is on: who holds how much is not known"
    elif gpu.alert is not None:
        found = f"{found}; {gpu.alert.message}"
    return Check(
        kind="gpu",
        name=gpu.label,
        status=status,
        found=found,
        gives="VRAM in use, and by whom",
        step=None if status == "works" else "look for NVRM in: sudo dmesg",
        needed=True,
    )


def _unopened(state: State) -> Iterator[Check]:
    """Yield a check of each GPU that the driver lists and does not open."""
    driver = state.sources.get(DRIVER_SOURCE)
    if driver is None or not has_trouble(driver):
        return
    for words in (driver.health.detail or "").split("; "):
        name, cannot, _ = words.partition(" cannot be opened")
        yield Check(
            kind="gpu",
            name=visible(name) if cannot else "a GPU",
            status="missing",
            found=visible(words),
            gives="VRAM in use, and by whom",
            step=visible(driver.health.hint or ""),
            needed=True,
        )


MODEL_STATUS: dict[Level, Status] = {"ok": "works", "watch": "partly", "bad": "partly", "unknown": "nothing"}


def _model(model: ModelPicture) -> Check:
    return Check(
        kind="model",
        name=model.label,
        status=MODEL_STATUS[model.level],
        found=model.sentence,
        gives="",
        step=None if model.level in {"ok", "unknown"} else "gpumon why",
    )


def _server(source: SourceRecord, state: State, in_container: bool) -> Check:
    loaded = sum(key.source == source.name for key in state.models)
    models = "1 model loaded" if loaded == 1 else f"{loaded} models loaded"
    step = source.hint
    if source.health.state == "not_running" and source.elsewhere is None:
        other = CONTAINER_SERVER_STEP if in_container else "or name another with --url or OLLAMA_HOST"
        step = "; ".join(filter(None, (step, other)))
    return Check(
        kind="server",
        name=source_label(source.name, source.runtime),
        status="works" if source.healthy else "nothing" if is_unasked_for(source) else "missing",
        found=f"version {visible(source.version or units.UNKNOWN)}, {models}"
        if source.healthy
        else visible(_said(source)),
        gives=kind_named(source.runtime).gives,
        step=None if source.healthy or not step else visible(step),
        needed=True,
    )


def unasked_urls(state: State) -> tuple[str, ...]:
    """Return where servers listen that run here and are not asked."""
    asked = {place(name) for name in state.sources if is_server(name)}
    servers = (one for one in state.servers if kind_named(one.kind).has_url)
    found = (url for server in servers for url in server.reached[:1])
    return tuple(dict.fromkeys(url for url in found if place(url) not in asked))


def _unasked(url: str) -> Check:
    name = f"server at {address(url)}"
    return _not_asked(name, "runs here and is not asked", visible(f"gpumon --url {url}"))


def _unreadable(state: State) -> list[ServerProcess]:
    """Return the servers of other users here of which nothing tells where they listen."""
    here = (one for one in state.servers if not one.other_namespace and not one.urls)
    return [one for one in here if kind_named(one.kind).has_url]


def _hidden(server: ServerProcess) -> Check:
    whose = f" of {visible(server.user)}" if server.user else ""
    found = f"process {server.pid} runs here; where it listens may not be read, so it is not asked"
    return _not_asked(f"{kind_named(server.kind).label}{whose}", found, "gpumon --url http://127.0.0.1:PORT")


def _not_asked(name: str, found: str, step: str) -> Check:
    return Check(kind="server", name=name, status="nothing", found=found, gives="its models", step=step)


def unasked_in_containers(state: State) -> list[ServerProcess]:
    """Return the servers in containers for which none of the servers that are asked can stand."""
    hidden = [one for one in state.servers if one.other_namespace and not one.reached]
    contained = [one for one in hidden if kind_named(one.kind).has_url]
    return contained[len(unexplained(state)) :]


def _contained(server: ServerProcess) -> Check:
    return _not_asked(
        f"{kind_named(server.kind).label} in a container",
        f"process {server.pid} runs here and is not asked",
        "gpumon --url http://127.0.0.1:PORT, with the port that the container publishes",
    )


def _processes(state: State) -> Check:
    source = state.sources.get("processes")
    unreadable = {words for runner in state.runners.values() for words in runner.process.unreadable}
    users = {runner.process.user for runner in state.runners.values() if runner.process.unreadable}
    works = source is not None and source.healthy
    found = _counts(state) if works else _said(source)
    if unreadable:
        found = f"{found}; not readable: {', '.join(sorted(unreadable))}"
    whose = next((user for user in users if user), "root")
    step = f"sudo -u {whose} gpumon shows the rest; nothing depends on it" if unreadable else None
    if not works and source is not None:
        step = source.health.hint
    return Check(
        kind="processes",
        name="processes",
        status="missing" if not works else "partly" if unreadable else "works",
        found=visible(found),
        gives="which process holds which model, its RAM, CPU and settings",
        step=visible(step) if step else None,
        needed=not works,
    )


def _counts(state: State) -> str:
    """Return how many servers there are, and how many processes of theirs; one alone is a server itself."""
    alone = sum(server_of(state, runner) is None for runner in state.runners.values())
    servers = len(state.servers) + alone
    return f"{servers} server{'s' * (servers != 1)}, {len(state.runners) - alone} of their processes"


def _logs(state: State) -> Check:
    logs = [source for source in state.sources.values() if source.name.startswith(LOG_PREFIX)]
    working = [one.name.removeprefix(LOG_PREFIX) for one in logs if one.health.state == "serving"]
    troubled = next((one for one in logs if one.health.state != "serving"), state.sources.get(LOG_SEARCH))
    nothing = not logs and not state.servers
    status: Status = "works" if working else "nothing" if nothing else "missing"
    hint = troubled.health.hint if troubled is not None and not working else None
    return Check(
        kind="log",
        name=LOG_SEARCH,
        status=status,
        found=visible(", ".join(working) or _said(troubled)),
        gives="layers and buffers per device, out-of-memory retries; never required",
        step=visible(hint) if hint else None,
    )


def _memory(state: State) -> Check:
    sample = state.system.sample if state.system else None
    swap = units.size(sample.swap_total_bytes) if sample and sample.swap_total_bytes != 0 else "no"
    return Check(
        kind="memory",
        name="RAM and swap",
        status="works" if sample else "missing",
        found=f"{units.size(sample.ram_total_bytes)} RAM, {swap} swap"
        if sample
        else visible(_said(state.sources.get("system"))),
        gives="where a spilled model goes, swapping, CPU",
        needed=True,
    )


def _pressure(state: State) -> Check:
    known = state.system is not None and state.system.sample.pressure is not None
    processes = state.sources.get("processes")
    has_proc = processes is None or processes.health.state not in {"absent", "forbidden"}
    missing = "the kernel keeps none" if has_proc else f"not known: {_said(processes)}"
    return Check(
        kind="memory",
        name="memory pressure",
        status="works" if known else "missing",
        found=visible("/proc/pressure/memory" if known else missing),
        gives="how long tasks wait for memory",
        step="boot with psi=1 (Linux 4.20 or newer)" if not known and has_proc else None,
    )


def _others(sources: Iterable[SourceRecord]) -> Iterator[SourceRecord]:
    prefixes = (LOG_PREFIX, RUNNER_PREFIX)
    return (
        source
        for source in sources
        if source.name not in COVERED and not is_server(source.name) and not source.name.startswith(prefixes)
    )


def _other(source: SourceRecord) -> Check:
    hint = None if source.healthy else source.health.hint
    return Check(
        kind="source",
        name=visible(source.name),
        status="works" if source.healthy else "missing",
        found=visible(_said(source)),
        gives=OTHER_GIVES.get(source.name, ""),
        step=visible(hint) if hint else None,
        needed=source.name == GPUMON_SOURCE,
    )


def _said(source: SourceRecord | None) -> str:
    """Return the source's own words of how it is."""
    if source is None:
        return "has not answered"
    if source.silent_seconds is not None:
        return f"no answer for {units.duration(source.silent_seconds)}"
    return source.health.detail or short_source_words(source)
