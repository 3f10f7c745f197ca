"""A fit report in words: lines of at most 80 columns, for the terminal and for a page of the dashboard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpumon.app.diagnosis.fit.report import FitReport, HostMemory, Resident
from gpumon.app.diagnosis.fit.wishes import NO_WISHES
from gpumon.app.diagnosis.words import band_words
from gpumon.app.physics.hardware import Band
from gpumon.app.physics.memory import Placement
from gpumon.app.physics.placement import RUNTIME_MARGIN_BYTES, place
from gpumon.text import units
from gpumon.text.safe import short_gpu_name, visible
from gpumon.text.units import GIB

_LABEL_WIDTH = 18
_NAME_WIDTH = 40
_SHOWN_FROM_BYTES = 5 * 1024**2
"""Less is 0.00 GiB."""


def fit_lines(report: FitReport) -> list[str]:
    """Return the report as lines; sizes are GiB, rates are estimates and say so."""
    return [
        f"{visible(report.name, _NAME_WIDTH)}  ({_asked(report)})",
        answer_words(report),
        *after_words(report),
        *origin_words(report),
        "",
        *(_row(label, text) for label, text in fit_rows(report)),
    ]


def origin_words(report: FitReport) -> Iterator[str]:
    """Say where the answer is from where that is no file, and that a context is longer than was trained."""
    origin = report.origin
    parts = f"{origin.quant}, {units.size(origin.file_bytes)}"
    if origin.kind == "catalog":
        about = "about " if origin.is_rough else ""
        yield f"from the catalogue, {origin.why}: {about}{parts}, published {origin.date}"
    if origin.kind == "size":
        yield f"what models of this size have, an estimate: {parts}"
    trained = report.geometry.trained_context_length
    if trained and report.options.context_length > trained:
        yield f"beyond the {trained} tokens of context that it was trained for"


def fit_rows(report: FitReport) -> Iterator[tuple[str, str]]:
    """Yield what the answer rests on, label and words: where the bytes go, what fits, how fast it is."""
    yield from _parts(report)
    yield from _place(report)
    yield from _rates(report)


def _asked(report: FitReport) -> str:
    options = report.options
    types = dict.fromkeys((options.cache_type_k, options.cache_type_v))
    slots = "1 slot" if options.parallel == 1 else f"{options.parallel} slots"
    return f"context {options.context_length}, {slots}, cache {'/'.join(types)}"


def answer_words(report: FitReport) -> str:
    """Say whether it fits, what it needs and what there is."""
    if report.lacks_ram:
        return f"does not run: {no_ram_words(report)}"
    if report.runs_from_ram:
        return _ram_words(report)
    if report.is_in_part and report.placement is not None:
        return _in_part_words(report, report.placement)
    needed = f"needs {_gib(report.required_vram_bytes)} GiB"
    if report.available_vram_bytes is None:
        return f"cannot tell: {needed}; of which GPU, say with --gpu NAME or --vram SIZE"
    margin = RUNTIME_MARGIN_BYTES * len(report.hardware.cards)
    usable = _gib(max(0, report.available_vram_bytes - margin))
    verdict = "fits" if report.fits else "does not fit"
    return f"{verdict}: {needed}, can use {usable} GiB of {_cards(report)}"


def _in_part_words(report: FitReport, placed: Placement) -> str:
    layers = f"{placed.offloaded_layers} of {placed.layer_count} layers"
    usable = max(0, (report.available_vram_bytes or 0) - RUNTIME_MARGIN_BYTES * len(report.hardware.cards))
    needed = f"needs {_gib(placed.vram_bytes)} GiB, can use {_gib(usable)} GiB of {_cards(report)}"
    return f"fits as asked, {layers}: {needed}"


def no_ram_words(report: FitReport) -> str:
    """Say how much RAM it needs, and what there is: ``needs 361 GiB of RAM, 32 here``."""
    placement, host = report.in_the_end.placement, report.host or HostMemory(0)
    needed = placement.ram_bytes if placement else 0
    swap = " with swap" if host.swap_bytes else ""
    return f"needs {needed / GIB:.0f} GiB of RAM, {host.bytes / GIB:.0f} here{swap}"


def after_words(report: FitReport) -> tuple[str, ...]:
    """Say what its server unloads to load it, and what is then; nothing where it unloads nothing."""
    if report.after is None or report.placement is None or report.lacks_ram:
        return ()
    fits = "fits as asked" if report.after.is_in_part else "fits"
    then = fits if report.after.fits else f"spills {_spilled(report.after.placement)}"
    return (f"spills {_spilled(report.placement)} now; after unloading {_names(report.evicted)} {then}",)


def _spilled(placement: Placement | None) -> str:
    return "" if placement is None else f"{placement.spill_fraction:.0%}"


def _names(models: Sequence[Resident]) -> str:
    """Name the models to unload: ``llama3.1:8b (5.2 GiB)``, ``3 models (21.4 GiB)``."""
    size = units.size(sum(model.vram_bytes for model in models))
    name = visible(models[0].name, _NAME_WIDTH - 8) if len(models) == 1 else f"{len(models)} models"
    return f"{name} ({size})"


def _ram_words(report: FitReport) -> str:
    """Say how fast it runs where there is no GPU, and whether RAM is enough."""
    rate = f"about {units.rate(report.decode.expected)}" if report.decode else "how fast is not known"
    needed, available = report.required_ram_bytes or 0, report.available_ram_bytes
    there = "" if available is None else f", {_gib(available)} GiB are available"
    if report.fits is False:
        return f"does not fit: no GPU here, and needs {_gib(needed)} GiB of RAM{there}"
    return f"runs from RAM, {rate}: no GPU here; needs {_gib(needed)} GiB{there}"


def _cards(report: FitReport) -> str:
    cards = report.hardware.cards
    name = visible(short_gpu_name(cards[0].name), 32)
    return name if len(cards) == 1 else f"{len(cards)} GPUs"


def _parts(report: FitReport) -> Iterator[tuple[str, str]]:
    need = report.need
    by_what = {"size": "parameters", "catalog": "name"}.get(report.origin.kind, "file's size")
    spread_evenly = "" if report.geometry.weights_measured else f"   (by the {by_what}: an estimate)"
    yield "weights", _size(need.weights_bytes) + spread_evenly
    yield from _if_any("projector", need.projector_bytes)
    other_caches = "   (others of this size: 0.4 to 2.8 times it)" if report.origin.kind == "size" else ""
    yield "KV cache", _size(need.kv_cache_bytes) + other_caches
    yield from _if_any("recurrent state", need.recurrent_state_bytes)
    yield from _if_any("compute buffers", need.compute_bytes)
    if report.runs_from_ram:
        yield "in RAM together", _size(report.required_ram_bytes or 0)
        return
    yield "CUDA itself", _size(need.overhead_bytes)
    if report.correction_bytes:
        yield "learned", f"{report.correction_bytes / GIB:+7.2f} GiB   (what earlier loads took besides)"
    low, high = (_gib(max(0, end + report.correction_bytes)) for end in (need.total.low, need.total.high))
    exactly = "" if low == high else f"   ({low} to {high})"
    yield "together", _size(report.required_vram_bytes) + exactly


def _if_any(label: str, size_bytes: int) -> Iterator[tuple[str, str]]:
    if size_bytes >= _SHOWN_FROM_BYTES:
        yield label, _size(size_bytes)


def _place(report: FitReport) -> Iterator[tuple[str, str]]:
    if report.placement is not None and not report.runs_from_ram:
        yield "on GPU", _placed(report.placement)
        yield from _wished(report)
        if report.options.gpu_layers == report.placement.layers_on_gpu and not report.fits:
            yield "", f"because of PARAMETER num_gpu {report.options.gpu_layers}"
    if report.may_be_split and report.placement is not None:
        yield "", "so close to full, Ollama may split it all the same, unless"
        yield "", f"PARAMETER num_gpu {report.placement.layer_count} is in its Modelfile"
    if report.max_context is not None:
        yield "largest context", _contexts(report)
    if report.after is not None and report.after.max_context is not None:
        yield "  with room made", _contexts(report.after)
    for index, model in enumerate(report.unload):
        words = f"{visible(model.name, _NAME_WIDTH - 8)}, {_gib(model.vram_bytes)} GiB"
        yield ("" if index else "to make room"), f"unload {words}"
    if report.after is not None and not report.lacks_ram:
        yield "", "(its server does so by itself)"


def _contexts(report: FitReport) -> str:
    contexts = report.max_context or {}
    return ", ".join(f"{kind} {tokens or 'none'}" for kind, tokens in contexts.items())


def _wished(report: FitReport) -> Iterator[tuple[str, str]]:
    """Yield what is in RAM because it was asked for, what each card holds, and what would be better."""
    wishes, geometry, best = report.wishes, report.geometry, report.best_experts
    if wishes.keeps_experts:
        count = sum(layer.kept_expert_bytes > 0 for layer in geometry.layers)
        experts = f"experts of {count} of {len(geometry.layers)} layers, {_gib(geometry.kept_bytes)} GiB"
        yield "in RAM by choice", experts if count else f"nothing: it has no experts ({wishes.experts_flag})"
    held = report.placement.vram_bytes_by_gpu if report.placement else ()
    if len(held) > 1 and wishes != NO_WISHES:
        yield "on each card", ", ".join(f"{_gib(size)} GiB" for size in held)
    if wishes.gpu_layers is not None and not report.fits:
        asked = place(geometry, report.options, [card.vram_free_bytes for card in report.hardware.cards])
        yield "as asked", f"{asked.layers_on_gpu} layers need {_gib(asked.vram_bytes)} GiB"
    if best is None:
        return
    kept = sum(layer.kept_expert_bytes > 0 for layer in geometry.layers)
    if not report.fits:
        yield "better", f"--n-cpu-moe {best.layers} fits{_rate_of(best.decode)}"
    elif best.layers < kept:
        yield "better", best.words


def _rate_of(band: Band | None) -> str:
    return "" if band is None else f": about {units.rate(band.expected)}"


def _placed(placement: Placement) -> str:
    """Say where a model goes in the words of llama.cpp's log, by which people set its options."""
    layers = f"{placement.offloaded_layers} of {placement.layer_count} layers"
    if placement.overflowing_layers:
        layers = f"{layers}, experts of {placement.overflowing_layers} in RAM"
    if placement.fits:
        return layers
    return f"{layers}; {_gib(placement.ram_bytes)} GiB ({placement.spill_fraction:.0%}) in RAM"


def _rates(report: FitReport) -> Iterator[tuple[str, str]]:
    if report.placement is None or not report.generates:
        return
    yield "decode, estimated", _band(report.decode) or _why_no_rate(report)
    if report.decode_full_context is not None:
        yield "  context full", _band(report.decode_full_context) or ""
    if report.after is not None and report.after.decode is not None:
        yield "  with room made", _band(report.after.decode) or ""
    if not report.in_the_end.fits and report.decode_fitting is not None:
        yield "  if it fitted", _band(report.decode_fitting) or ""


def _why_no_rate(report: FitReport) -> str:
    uses_gpu = report.placement is not None and report.placement.layers_on_gpu > 0
    if uses_gpu and any(card.bandwidth_bytes_per_second is None for card in report.hardware.cards):
        return "not known: the GPU's memory bandwidth is not (--gpu NAME)"
    return "not known: RAM bandwidth is not (run gpumon calibrate)"


def _band(band: Band | None) -> str | None:
    return None if band is None else band_words(band)


def _row(label: str, text: str) -> str:
    return f"  {label:<{_LABEL_WIDTH}}{text}"


def _size(size_bytes: float) -> str:
    return f"{_gib(size_bytes):>7} GiB"


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / GIB:.2f}"
