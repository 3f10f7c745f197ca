"""Figures of the process that holds a model: its measure, settings, rates and last requests."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.app.insight.agreement import Agreement, agreement_of
from gpumon.app.state.holders.measured import measured_by_gpu, measured_vram_bytes, runner_of
from gpumon.app.state.rates.values import FinishedRequest, RunnerRates
from gpumon.app.state.records import ModelRecord, RunnerRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import rates_of, requests_of
from gpumon.app.views.facts.placement import placement_facts
from gpumon.app.views.page import NVML, PROC, about, request_labels, text_of
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact

REQUESTS_SHOWN = 5


def runner_facts(record: ModelRecord, state: State) -> list[Fact]:
    """Return the figures of the process behind a model; one that says so where none can be told."""
    runner = runner_of(record, state)
    if runner is None:
        return [
            Fact("process", "cannot be told from here", PROC),
            *_rates(rates_of(record, state)),
            *_requests(requests_of(record, state)),
        ]
    return [
        *_measured(record, state),
        *_process(runner),
        *_settings(runner),
        *placement_facts(runner.placement),
        *_rates(runner.rates),
        *_requests(runner.requests),
    ]


def _measured(record: ModelRecord, state: State) -> list[Fact]:
    compared = agreement_of(record, state)
    facts = [Fact("VRAM measured", units.size(measured_vram_bytes(record, state)), NVML)]
    if record.claims_memory:
        facts.append(Fact("claim and driver", _agreement_words(compared), "NVML, /api/ps"))
    by_gpu = measured_by_gpu(record, state)
    if len(by_gpu) > 1:
        facts += [
            Fact(f"  on GPU {state.gpus[uuid].reading.index}", units.size(size), NVML)
            for uuid, size in by_gpu.items()
            if uuid in state.gpus
        ]
    return facts


def _agreement_words(compared: Agreement) -> str:
    if compared.difference_bytes is None:
        return "cannot be compared"
    words = compared.kind.replace("_", " ")
    because = f": {compared.cause}" if compared.cause else ""
    return f"{words} ({units.size(abs(compared.difference_bytes))} apart){because}"


def _process(runner: RunnerRecord) -> list[Fact]:
    process = runner.process
    user = f" of {visible(process.user)}" if process.user else ""
    facts = [
        Fact("process", f"{process.kind.replace('_', '-')} {process.pid}{user}", PROC),
        Fact("RAM resident", units.size(process.rss_bytes), PROC),
        Fact("  of it mapped from files", units.size(process.file_bytes), PROC),
        Fact("CPU (one core is 100%)", units.percent(process.cpu_percent), PROC),
    ]
    return facts + [Fact("not readable", visible(words), PROC) for words in process.unreadable]


def _settings(runner: RunnerRecord) -> list[Fact]:
    settings = runner.process.settings
    cache = {settings.cache_type_k, settings.cache_type_v} - {None}
    layers = "as many as fit" if settings.gpu_layers is None else str(settings.gpu_layers)
    return [
        Fact("slots", text_of(settings.parallel), "command line"),
        Fact("GPU layers asked for", layers, "command line"),
        Fact("KV cache type", visible(", ".join(sorted(map(str, cache)))) or "f16 (default)", "command line"),
        Fact("flash attention", visible(settings.flash_attention or units.UNKNOWN), "command line"),
        Fact("batch", text_of(settings.batch_size), "command line"),
    ]


def _rates(rates: RunnerRates) -> list[Fact]:
    if not rates.sources:
        return []
    origin = ", ".join(rates.sources)
    lower = "at least " if rates.decoded_total_is_lower_bound else ""
    return [
        Fact("decode rate", about(units.rate(rates.decode_rate), estimate=rates.is_estimate), origin),
        Fact("prefill rate", units.rate(rates.prefill_rate), origin),
        Fact("requests running", text_of(rates.running), origin),
        Fact("requests waiting", text_of(rates.waiting), origin),
        Fact("context in use", _context(rates), origin),
        Fact("tokens generated", f"{lower}{text_of(rates.decoded_total)}", origin),
    ]


def _context(rates: RunnerRates) -> str:
    if rates.context_tokens is None:
        return units.UNKNOWN
    return f"{rates.context_tokens} of {text_of(rates.context_length)} tokens"


def _requests(requests: Sequence[FinishedRequest]) -> list[Fact]:
    newest_first = list(requests)[: -REQUESTS_SHOWN - 1 : -1]
    labels = request_labels("last request")
    return [
        Fact(label, _request(request), request.source)
        for label, request in zip(labels, newest_first, strict=False)
    ]


def _request(request: FinishedRequest) -> str:
    count = f"{'>= ' if request.decoded_is_lower_bound else ''}{text_of(request.decoded_tokens)}"
    parts = [
        f"{count} tokens in {units.duration(request.ended - request.started)}",
        f"decode {units.rate(request.decode_rate)}",
        f"prefill {units.rate(request.prefill_rate)}",
        f"first token {units.duration(request.first_token_seconds)}",
    ]
    return ", ".join(part for part in parts if not part.endswith(units.UNKNOWN))
