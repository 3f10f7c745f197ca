"""The entries of models, and of the processes that hold them."""

from __future__ import annotations

from gpumon.app.diagnosis.diagnosis import Diagnosis
from gpumon.app.insight.activity import activity
from gpumon.app.insight.agreement import agreement_of
from gpumon.app.insight.learning.baselines import usual_rate
from gpumon.app.insight.left_out import left_out
from gpumon.app.snapshot.diagnosis import band_entry, cause_entry, remedy_entries, verdict_entry
from gpumon.app.snapshot.schema import ModelEntry, PredictionEntry, RunnerEntry
from gpumon.app.state.holders.measured import measured_by_gpu, measured_vram_bytes, runner_of
from gpumon.app.state.records import ModelRecord, Placement, Prediction, RunnerRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import rates_of


def names_by_pid(state: State) -> dict[int, str]:
    """Return the names of the models that processes hold, by PID."""
    joined = (
        (key.pid, state.models.get(runner.model)) for key, runner in state.runners.items() if runner.model
    )
    return {pid: model.claim.name for pid, model in joined if model is not None}


def model_entry(record: ModelRecord, state: State, found: Diagnosis) -> ModelEntry:
    """Return the entry of a loaded model: what is claimed, what is measured, how fast it runs, and why."""
    claim, runner = record.claim, runner_of(record, state)
    rates, compared, missing = rates_of(record, state), agreement_of(record, state), left_out(record, state)
    usual = usual_rate(state, record)
    return ModelEntry(
        name=claim.name,
        digest=claim.digest,
        runtime=record.runtime,
        url=record.key.source,
        claimed_size_bytes=claim.size_bytes,
        claimed_vram_bytes=claim.size_vram_bytes,
        spill_fraction=record.split.spill_fraction,
        processor=record.processor,
        context_length=claim.context_length,
        expires_at=claim.expires_at,
        measured_vram_bytes=measured_vram_bytes(record, state),
        measured_vram_by_gpu=measured_by_gpu(record, state) if runner else None,
        weights_in_ram_estimate_bytes=missing.bytes if missing else None,
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
        rate_is_estimate=None if rates.decode_rate is None else rates.is_estimate,
        tokens_generated_total=rates.decoded_total,
        tokens_generated_is_lower_bound=None
        if rates.decoded_total is None
        else rates.decoded_total_is_lower_bound,
        verdict=verdict_entry(found.verdict),
        cause=cause_entry(found.cause),
        remedies=remedy_entries(found),
        expected_tokens_per_second=band_entry(found.expected_now),
        baseline_tokens_per_second=usual.decode_tokens_per_second if usual else None,
        baseline_request_count=usual.request_count if usual else None,
        prediction=_prediction(runner.prediction) if runner and runner.prediction else None,
    )


def _prediction(prediction: Prediction) -> PredictionEntry:
    return PredictionEntry(
        vram_bytes=round(prediction.expected_vram_bytes),
        measured_vram_bytes=prediction.measured_vram_bytes,
        error_fraction=prediction.error_fraction,
    )


def _runner(record: ModelRecord, runner: RunnerRecord) -> RunnerEntry:
    process, settings, placed = runner.process, runner.process.settings, runner.placement
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
        layers_on_gpu=placed.layers_on_gpu if placed else None,
        layer_count=placed.layer_count if placed else None,
        layers_with_experts_in_ram=placed.layers_overflowing if placed else None,
        buffers_by_device=_buffers(placed) if placed else None,
        rss_bytes=process.rss_bytes,
        file_bytes=process.file_bytes,
        cpu_percent=process.cpu_percent,
    )


def _buffers(placed: Placement) -> dict[str, dict[str, int]] | None:
    by_device: dict[str, dict[str, int]] = {}
    for key, size_bytes in sorted(placed.buffers.items()):
        by_device.setdefault(key.device, {})[key.component] = size_bytes
    return by_device or None
