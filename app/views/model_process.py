"""Figures of what runs a model: its process or server, its settings, rates and requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gpumon.app.insight.agreement import Agreement
from gpumon.app.insight.by_card import CardShare
from gpumon.app.insight.intent import parts_words
from gpumon.app.insight.left_out import LeftOut
from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.model import ModelPicture
from gpumon.app.state.rates.disk import Moved
from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates
from gpumon.app.state.records import Placement
from gpumon.app.state.work import METER
from gpumon.app.views.page import GPUMON, NVML, PROC, about, request_labels, text_of
from gpumon.collectors.samples import (
    BufferComponent,
    LoadFacts,
    MeteredModel,
    MeteredRequest,
    RunnerProcess,
    RunnerSettings,
)
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import kind_of_runner
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact

LOG = "server log"
ALL_LAYERS = 9999
"""What stands for all of them in the settings of a process."""

COMPONENT_WORDS: dict[BufferComponent, str] = {
    "model": "weights",
    "kv_cache": "KV cache",
    "recurrent_state": "recurrent state",
    "compute": "compute",
    "output": "output",
}


def placement_facts(placement: Placement | None) -> list[Fact]:
    """Return what the log says of a load; nothing where it says nothing."""
    return [] if placement is None else [*_layers(placement), *_buffers(placement), *_retries(placement)]


def _layers(placement: Placement) -> Iterator[Fact]:
    on_gpu, count = placement.layers_on_gpu, placement.layer_count
    if on_gpu is not None and count is not None:
        yield Fact("layers on GPU", f"{on_gpu} of {count}", LOG, "watch" if on_gpu < count else None)
    if placement.layers_overflowing:
        yield Fact("layers with experts in RAM", text_of(placement.layers_overflowing), LOG, "watch")


def _buffers(placement: Placement) -> Iterator[Fact]:
    devices = sorted({(not key.on_gpu, key.device) for key in placement.buffers})
    for in_ram, device in devices:
        label = f"buffers on {visible(device)}{' (RAM)' if in_ram else ''}"
        yield Fact(label, ", ".join(_parts(placement, device)), LOG)


def _parts(placement: Placement, device: str) -> Iterator[str]:
    sizes = {key.component: size for key, size in placement.buffers.items() if key.device == device}
    for component, words in COMPONENT_WORDS.items():
        if sizes.get(component):
            yield f"{words} {units.size(sizes[component])}"


def _retries(placement: Placement) -> Iterator[Fact]:
    if placement.retries:
        yield Fact("tries before that ran out of memory", text_of(placement.retries), LOG, "watch")


REQUESTS_SHOWN = 5
WORKERS_NAMED = 8


def runner_facts(details: ModelDetails, gpu_indices: Mapping[str, int]) -> list[Fact]:
    """Return the figures of the process behind a model; one that says so where none can be told."""
    model = details.picture
    work = [*_rates(model.rates), *_no_rates(details), *_requests(details.requests)]
    work = [] if model.kind.makes_pictures else work
    if model.process is None:
        return [Fact("process", "cannot be told from here", PROC), *work]
    return [
        *_measured(model, gpu_indices, details.expected_by_card),
        *_process(model.process, details.started_by),
        *_disk(details.disk),
        *(
            []
            if model.kind.makes_pictures
            else _settings(model.process.settings, kind_of_runner(model.process.kind))
        ),
        *placement_facts(details.log),
        *work,
    ]


def _measured(
    model: ModelPicture, gpu_indices: Mapping[str, int], expected: Sequence[CardShare] = ()
) -> Iterator[Fact]:
    words = units.size(model.memory.measured_vram_bytes)
    yield Fact("VRAM measured", words if model.memory.measurable else "not known (MIG)", NVML)
    if model.memory.claims_memory and not model.kind.makes_pictures:
        yield Fact(
            "claim and driver", _agreement_words(model.memory.agreement), f"NVML, {model.kind.claim_source}"
        )
    by_gpu, by_settings = model.memory.measured_vram_by_gpu or {}, {one.uuid: one for one in expected}
    is_one = max(len(by_gpu), len(by_settings)) < 2
    for uuid in (one for one in gpu_indices if one in by_gpu or one in by_settings):
        if not is_one:
            yield Fact(f"  on GPU {gpu_indices[uuid]}", units.size(by_gpu.get(uuid, 0)), NVML)
        if uuid in by_settings:
            yield Fact("  expected there" if not is_one else "  expected", *_expected(by_settings[uuid]))


def _expected(share: CardShare) -> tuple[str, str]:
    """Return what is to be expected on a GPU by its parts, and what that rests on."""
    source = "settings, file, free memory" if share.by_free_memory else "settings, file"
    return parts_words(share.bytes, share.parts), source


def _agreement_words(compared: Agreement) -> str:
    if compared.difference_bytes is None:
        return "cannot be compared"
    words = "agree" if compared.kind == "agrees" else compared.kind.replace("_", " ")
    because = f": {compared.cause}" if compared.cause else ""
    return f"{words} ({units.size(abs(compared.difference_bytes))} apart){because}"


def _process(process: RunnerProcess, started_by: str | None) -> list[Fact]:
    user = f" of {visible(process.user)}" if process.user else ""
    by = f", started by {started_by}" if started_by else ""
    facts = [
        Fact("process", f"{process.kind.replace('_', '-')} {process.pid}{user}{by}", PROC),
        *_workers(process),
        Fact("RAM resident", units.size(process.rss_bytes), PROC),
        Fact("  of it mapped from files", units.size(process.file_bytes), PROC),
        *_limit(process),
        Fact("CPU (one core is 100%)", units.percent(process.cpu_percent), PROC),
    ]
    return facts + [Fact("not readable", visible(words), PROC) for words in process.unreadable]


def _workers(process: RunnerProcess) -> list[Fact]:
    """Name the processes that hold it together with the one that started them."""
    pids = [str(pid) for pid, _ in process.workers]
    named = ", ".join(pids[:WORKERS_NAMED]) + (", …" if len(pids) > WORKERS_NAMED else "")
    return [Fact("  with its workers", named, PROC)] if pids else []


def _limit(process: RunnerProcess) -> list[Fact]:
    if process.ram_limit_bytes is None:
        return []
    return [Fact("RAM that its group may take", units.size(process.ram_limit_bytes), "/sys/fs/cgroup")]


def _disk(moved: Moved | None) -> list[Fact]:
    """Say what it reads from storage, where it does: at the load and, where RAM is short, at work."""
    if moved is None or not (moved.read_bytes or moved.major_faults):
        return []
    return [
        Fact("read from disk", units.byte_rate(moved.read_bytes), PROC),
        Fact("  pages waited for", f"{moved.major_faults or 0:.0f}/s", PROC),
    ]


def _settings(settings: RunnerSettings, kind: ServerKind) -> list[Fact]:
    if (told := kind.told_words(settings)) is not None:
        return [Fact(name, visible(words), "command line") for name, words in told]
    cache = {settings.cache_type_k, settings.cache_type_v} - {None}
    asked = "all" if settings.gpu_layers == ALL_LAYERS else str(settings.gpu_layers)
    layers = "as many as fit" if settings.gpu_layers is None else asked
    orders = " ".join(kind.orders_words(settings.orders))
    return [
        *([Fact("placement asked for", visible(orders), "command line")] if orders else []),
        Fact("slots", text_of(settings.parallel), "command line"),
        Fact("GPU layers asked for", layers, "command line"),
        Fact("KV cache type", visible(", ".join(sorted(map(str, cache)))) or "f16 (default)", "command line"),
        Fact("flash attention", visible(settings.flash_attention or units.UNKNOWN), "command line"),
        Fact("batch", text_of(settings.batch_size), "command line"),
    ]


def _no_rates(details: ModelDetails) -> Iterator[Fact]:
    """Say why nobody tells a rate; where its server claims no memory its statistics say so."""
    model = details.picture
    if details.statistics_detail and model.memory.claims_memory and not model.rates.sources:
        yield Fact("decode rate", f"not known: {visible(details.statistics_detail)}", GPUMON)


def _rates(rates: RunnerRates) -> list[Fact]:
    if not rates.sources:
        return []
    origin = ", ".join(rates.sources)
    lower = "at least " if rates.decoded_total_is_lower_bound else ""
    too_short = [Fact("requests too short for a rate", f"at least {rates.unmeasured_requests}", origin)]
    return [
        *(too_short if rates.unmeasured_requests else []),
        Fact(
            "decode rate",
            about(units.rate(rates.decode_tokens_per_second), estimate=rates.is_estimate),
            origin,
        ),
        Fact("prefill rate", units.rate(rates.prefill_tokens_per_second), origin),
        Fact("requests running", text_of(rates.running), origin),
        Fact("requests waiting", text_of(rates.waiting), origin),
        Fact("context in use", _context(rates), origin),
        Fact("tokens generated", f"{lower}{text_of(rates.decoded_total)}", origin),
    ]


def _context(rates: RunnerRates) -> str:
    if rates.context_tokens is None:
        return units.UNKNOWN
    return f"{rates.context_tokens} of {text_of(rates.context_length)} tokens"


def _requests(newest_first: Sequence[FinishedRequest]) -> list[Fact]:
    return [
        Fact(label, _request(request), request.source)
        for label, request in zip(request_labels("last request"), newest_first[:REQUESTS_SHOWN], strict=False)
    ]


def _request(request: FinishedRequest) -> str:
    count = f"{'>= ' if request.decoded_is_lower_bound else ''}{text_of(request.decoded_tokens)}"
    parts = [
        f"{count} tokens in {units.duration(request.ended - request.started)}",
        f"decode {units.rate(request.decode_tokens_per_second)}",
        f"prefill {units.rate(request.prefill_tokens_per_second)}",
        f"first token {units.duration(request.first_token_seconds)}",
    ]
    return ", ".join(part for part in parts if not part.endswith(units.UNKNOWN))


def meter_facts(metered: MeteredModel | None) -> list[Fact]:
    """Return what the meter before a model's server has counted; nothing where there is none."""
    if metered is None:
        return []
    newest_first = metered.requests[: -REQUESTS_SHOWN - 1 : -1]
    return [
        *_totals(metered),
        *(
            Fact(label, _metered_request(one), METER)
            for label, one in zip(request_labels("last metered request"), newest_first, strict=False)
        ),
    ]


def _totals(metered: MeteredModel) -> list[Fact]:
    total = about(text_of(metered.decoded_tokens_total), estimate=metered.decoded_total_is_estimate)
    return [
        Fact("requests ended, metered", text_of(metered.requests_ended), METER),
        Fact("tokens generated, metered", total, METER),
        Fact("prompt tokens, metered", text_of(metered.prompt_tokens_total), METER),
    ]


def _metered_request(request: MeteredRequest) -> str:
    tokens = about(text_of(request.decoded_tokens), estimate=request.decoded_is_estimate)
    rate = about(units.rate(request.decode_tokens_per_second), estimate=request.decode_rate_is_estimate)
    parts = [
        f"{tokens} tokens in {units.duration(request.seconds)}",
        f"decode {rate}",
        f"prefill {units.rate(request.prefill_tokens_per_second)}",
        f"first token {units.duration(request.first_token_seconds)}",
        *([] if request.outcome == "finished" else [request.outcome]),
    ]
    return ", ".join(part for part in parts if not part.endswith(units.UNKNOWN))


MODELS = "/v1/models"
ARGUMENTS = "command line"

NO_FACTS = LoadFacts()


def served_facts(details: ModelDetails) -> list[Fact]:
    """Return the figures of a model of which its server tells file, slots and context, but no memory."""
    model, facts = details.picture, details.server_facts or NO_FACTS
    claim, told = model.claim, model.kind.facts_source
    return [
        Fact("server", model.server_label, GPUMON),
        Fact("build", visible(facts.build or units.UNKNOWN), told),
        Fact("file", visible(facts.model_path or units.UNKNOWN), told),
        Fact("weights", units.size(facts.weights_bytes), MODELS),
        _in_ram(model.memory.left_out),
        Fact(
            "context",
            _tokens(claim.context_length, " per slot"),
            told if facts.context_length else ARGUMENTS,
        ),
        Fact("trained context", _tokens(facts.trained_context_length), MODELS),
        Fact("slots", text_of(facts.slot_count), told),
        Fact("quantisation", visible(claim.quantization or units.UNKNOWN), MODELS),
        Fact("parameters", visible(claim.parameter_size or units.UNKNOWN), MODELS),
        *_detail(details.statistics_detail),
    ]


def _tokens(count: int | None, beside: str = "") -> str:
    return units.UNKNOWN if count is None else f"{count} tokens{beside}"


def _in_ram(found: LeftOut | None) -> Fact:
    """Say how much is in RAM: by choice, and at the least what else is on no GPU."""
    words = "none seen" if found else units.UNKNOWN
    if found and found.bytes:
        words = f"at least {units.size(found.bytes)}"
    if found and found.chosen_bytes:
        more = f", and {words} more" if found.bytes else ""
        why = f"for {visible(found.margin.setting)}" if found.margin else "by choice"
        words = f"{units.size(found.chosen_bytes)} {why}{more}"
    return Fact("in RAM (estimate)", words, "weights less VRAM measured")


def _detail(detail: str | None) -> Iterator[Fact]:
    """Say why something is not told: a path that is turned off, a key that is missing."""
    if detail:
        yield Fact("statistics", visible(detail), GPUMON)
