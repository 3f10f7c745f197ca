"""The geometry of loaded models, worked out once for each file, and the options of their loads."""

from __future__ import annotations

from typing import NamedTuple, get_args

from msgspec.structs import replace

from gpumon.app.physics.geometry import CacheType, Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.orders import ordered
from gpumon.app.physics.shape import geometry_of
from gpumon.app.state.holders.addresses import server_of
from gpumon.app.state.places import is_local
from gpumon.app.state.records import ModelKey, ModelRecord, RunnerKey, RunnerRecord, ServerLog
from gpumon.app.state.state import State
from gpumon.app.state.work import server_facts
from gpumon.collectors.samples import FileFacts, ModelFacts, Orders, RunnerSettings

NO_SETTINGS = RunnerSettings()
UNDESCRIBED = NoGeometry("what its file holds is not known")


class _Known(NamedTuple):
    facts: ModelFacts
    file_bytes: int | None
    runner: RunnerKey | None
    shape: Geometry | NoGeometry


class Shapes:
    """Remembers what is loaded."""

    def __init__(self) -> None:
        self._known: dict[ModelKey, _Known] = {}

    def of(self, model: ModelRecord, state: State) -> Geometry | NoGeometry:
        """Return the geometry of a model, worked out again only when more is known of it."""
        size, before = file_bytes_of(model, state), self._known.get(model.key)
        known = (model.facts, size, model.runner)
        if before is not None and before.facts is model.facts and before[1:3] == known[1:]:
            return before.shape
        shape = shape_of(model, state)
        if model.facts is not None:
            self._known[model.key] = _Known(model.facts, size, model.runner, shape)
        return shape

    def forget(self, state: State) -> None:
        """Forget the models that are no longer loaded."""
        for key in self._known.keys() - state.models.keys():
            del self._known[key]


def shape_of(model: ModelRecord, state: State) -> Geometry | NoGeometry:
    """Return the geometry of a model, or why it is not known."""
    runner = state.runner_of(model)
    file = runner.file if runner else None
    if model.facts is None:
        return NoGeometry(file.problem) if file and file.problem else UNDESCRIBED
    shape = geometry_of(model.facts, file_bytes_of(model, state))
    if isinstance(shape, NoGeometry):
        return shape
    orders = settings_of(model, runner).orders
    return ordered(_with_projector(shape, orders, file), model.facts, orders)


def _with_projector(shape: Geometry, orders: Orders, file: FileFacts | None) -> Geometry:
    if orders.projector_on_gpu is False:
        return replace(shape, projector_bytes=0)
    if file is not None and file.projector_bytes and not shape.projector_bytes:
        return replace(shape, projector_bytes=file.projector_bytes)
    return shape


def settings_of(model: ModelRecord, runner: RunnerRecord | None) -> RunnerSettings:
    """Return how the process of a model was started: as it is seen, else as a router says."""
    return runner.process.settings if runner else model.claim.settings or NO_SETTINGS


def file_bytes_of(model: ModelRecord, state: State) -> int | None:
    """Return the size of a model's files, by ``/api/tags`` of its server."""
    installed = state.installed.get(model.key.source)
    rows = (row for row in (installed.models if installed else ()) if row.digest == model.key.digest)
    return next((row.size_bytes for row in rows), None)


DEFAULT_CACHE_TYPE: CacheType = "f16"
DEFAULT_MICRO_BATCH = 512
_NO_FLASH_ATTENTION = frozenset({"off", "0", "false", "disabled"})


def load_options(model: ModelRecord, runner: RunnerRecord | None, state: State) -> LoadOptions | None:
    """Return how the model was loaded; ``None`` where its context or its type of cache is not known.

    What the command line leaves out has the runtime's default (ollama: envconfig/config.go).
    """
    facts, server = server_facts(model, state), server_of(state, runner) if runner else None
    options = options_of_settings(
        settings_of(model, runner),
        model.claim.context_length,
        log_of(model, state),
        facts.slot_count if facts else None,
    )
    if options and options.gpu_layers is None and runner is not None:
        options = replace(options, gpu_layers=runner.kind.unasked_layers)
    spreads = model.kind.spreads(server.settings if server else {})
    return replace(options, spread=True) if options and spreads else options


def options_of_settings(
    settings: RunnerSettings,
    claimed_context: int | None = None,
    log: ServerLog | None = None,
    slot_count: int | None = None,
) -> LoadOptions | None:
    """Return the options on a command line; ``None`` where context or type of cache is not known.

    Where nobody has asked for a number of slots, those that a llama-server has share one cache.
    """
    context = settings.context_length or claimed_context
    k_type, v_type = (cache_type_named(said) for said in cache_types(settings, log))
    if not context or k_type is None or v_type is None:
        return None
    return LoadOptions(
        context_length=context,
        parallel=settings.parallel or slot_count or 1,
        cache_type_k=k_type,
        cache_type_v=v_type,
        micro_batch_size=settings.micro_batch_size or settings.batch_size or DEFAULT_MICRO_BATCH,
        flash_attention=settings.flash_attention not in _NO_FLASH_ATTENTION,
        gpu_layers=settings.gpu_layers,
        unified_cache=is_unified(settings, slot_count),
        cache_on_gpu=settings.orders.cache_on_gpu is not False,
        gpu_shares=tuple(share for share in settings.orders.tensor_split if share),
    )


def is_unified(settings: RunnerSettings, slot_count: int | None) -> bool:
    """Return whether all slots share one cache: as told, else where the server has chosen their number."""
    if settings.unified_cache is not None:
        return settings.unified_cache
    return settings.parallel is None and (slot_count or 1) > 1


def cache_types(settings: RunnerSettings, log: ServerLog | None) -> tuple[str, str]:
    """Return the types of K and V: of a process that is seen its own, else those of the server."""
    server = log.settings.get("OLLAMA_KV_CACHE_TYPE") if log else None
    is_seen = settings.model_path is not None or settings.blob is not None
    default = DEFAULT_CACHE_TYPE if is_seen else server or DEFAULT_CACHE_TYPE
    return settings.cache_type_k or default, settings.cache_type_v or default


def cache_type_named(said: str) -> CacheType | None:
    """Return the type that a word names; ``None`` for one whose size is not known."""
    word = said.strip().lower()
    return next((kind for kind in get_args(CacheType) if kind == word), None)


def log_of(model: ModelRecord, state: State) -> ServerLog | None:
    """Return the log of a model's server: the only one there is, of a server on this machine."""
    if len(state.logs) != 1 or not is_local(model.key.source, state.servers):
        return None
    return next(iter(state.logs.values()))
