"""The entries of models, and of the processes that hold them."""

from __future__ import annotations

from gpumon.app.insight.activity import activity
from gpumon.app.insight.agreement import agreement_of
from gpumon.app.snapshot.schema import ModelEntry, RunnerEntry
from gpumon.app.state.measured import measured_by_gpu, measured_vram_bytes, runner_of
from gpumon.app.state.rate_values import RunnerRates
from gpumon.app.state.records import ModelRecord, RunnerRecord
from gpumon.app.state.state import State

NO_RATES = RunnerRates()


def names_by_pid(state: State) -> dict[int, str]:
    """Return the names of the models that processes hold, by PID."""
    joined = (
        (key.pid, state.models.get(runner.model)) for key, runner in state.runners.items() if runner.model
    )
    return {pid: model.claim.name for pid, model in joined if model is not None}


def model_entry(record: ModelRecord, state: State) -> ModelEntry:
    """Return the entry of a loaded model: what is claimed, what is measured, how fast it runs."""
    claim, runner = record.claim, runner_of(record, state)
    rates, compared = runner.rates if runner else NO_RATES, agreement_of(record, state)
    return ModelEntry(
        name=claim.name,
        digest=claim.digest,
        runtime="ollama",
        url=record.key.source,
        claimed_size_bytes=claim.size_bytes,
        claimed_vram_bytes=claim.size_vram_bytes,
        spill_fraction=record.split.spill_fraction,
        processor=record.processor,
        context_length=claim.context_length,
        expires_at=claim.expires_at,
        measured_vram_bytes=measured_vram_bytes(record, state),
        measured_vram_by_gpu=measured_by_gpu(record, state) if runner else None,
        agreement=compared.kind,
        agreement_cause=compared.cause,
        activity=activity(record, state),
        runner=_runner(record, runner) if runner else None,
        decode_tokens_per_second=rates.decode_rate,
        prefill_tokens_per_second=rates.prefill_rate,
        context_used_tokens=rates.context_tokens,
        requests_running=rates.running,
        requests_waiting=rates.waiting,
        rate_source=", ".join(rates.sources) or None,
        tokens_generated_total=rates.decoded_total,
        tokens_generated_is_lower_bound=None
        if rates.decoded_total is None
        else rates.decoded_total_is_lower_bound,
    )


def _runner(record: ModelRecord, runner: RunnerRecord) -> RunnerEntry:
    process, settings = runner.process, runner.process.settings
    return RunnerEntry(
        pid=process.pid,
        kind=process.kind,
        joined_by=record.joined_by,
        user=process.user,
        port=settings.port,
        context_length=settings.context_length,
        parallel=settings.parallel,
        gpu_layers=settings.gpu_layers,
        batch_size=settings.batch_size,
        kv_cache_type=settings.cache_type_k,
        flash_attention=settings.flash_attention,
        rss_bytes=process.rss_bytes,
        file_bytes=process.file_bytes,
        cpu_percent=process.cpu_percent,
    )
