"""The page of a model: verdict, claim, measure and geometry, each figure with its origin, and its history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpumon.app.physics.memory import MemoryNeed
from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.rates.figures import summary_of
from gpumon.app.state.records import Prediction
from gpumon.app.views import model_sections as sections
from gpumon.app.views.band import model_band
from gpumon.app.views.load_sections import load_progress, outcome
from gpumon.app.views.model_cache import cache
from gpumon.app.views.model_charts import charts
from gpumon.app.views.model_now import now
from gpumon.app.views.model_picture import picture_facts, picture_section
from gpumon.app.views.model_process import meter_facts, runner_facts, served_facts
from gpumon.app.views.models import finished_load_facts
from gpumon.app.views.page import GPUMON, SHOW, PageView, happened_at, text_of, window_of
from gpumon.collectors.processes.model_files import SOURCE as FILES_SOURCE
from gpumon.collectors.samples import ModelFacts, RateBaseline
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.kit.lines import Level
from gpumon.widgets.views import Fact, Section, VerdictView

if TYPE_CHECKING:
    from gpumon.app.history.trends import Trends

SAID = (
    "size claimed",
    "on GPU",
    "in RAM",
    "spilled",
    "part in RAM",
    "processor",
    "VRAM measured",
    "claim and driver",
    "context",
    "context in use",
    "decode rate",
    "prefill rate",
    "requests running",
    "requests waiting",
    "state",
    "kept until",
    "last request",
    "  the one before",
    "last metered request",
)
"""Labels of facts that the sections of the page say."""


def model_page(
    subject_id: str,
    pictures: Pictures,
    seconds: float,
    at: float | None = None,
    trends: Trends | None = None,
) -> PageView:
    """Build the page of the model whose alerts bear ``subject_id``, with at most ``seconds`` of history.

    ``at`` is the time of an event to mark; ``trends`` know what was before this run.
    """
    key = pictures.key_of(subject_id)
    if key is not None:
        pictures.refresh(key)
    details = pictures.details(key) if key is not None else None
    if key is None or details is None:
        left = (one.words for one in pictures.left() if one.id == subject_id)
        return PageView(VerdictView("unknown", next(left, "this model is no longer loaded")))
    model, gpus = details.picture, pictures.gpus()
    own = gpus_of(model, gpus)
    series = trends.of_model(model, seconds) if trends else model.series
    charted = replace(details, picture=replace(model, series=series))
    window = window_of((series.decode, series.claimed_vram), model.at, seconds, at)
    return PageView(
        model_band(model),
        model_facts(details, {gpu.uuid: gpu.index for gpu in gpus}),
        charts(charted, own, window, happened_at(at)),
        (*_sections(details, pictures.need(key), own), *_outcome(details)),
        tuple(_last_sections(details)),
        said=SAID,
    )


def _last_sections(details: ModelDetails) -> Iterator[Section]:
    """Yield the requests that were seen; where none was, what its server says of the latest one."""
    seen, last = sections.requests(details), details.picture.last
    if seen.requests:
        yield seen
    if not details.requests and last is not None:
        yield sections.last_request(last)


def gpus_of(model: ModelPicture, gpus: Sequence[GpuPicture]) -> tuple[GpuPicture, ...]:
    """Return the GPUs that a model is on; where that is not known, the only one there is."""
    held = model.memory.measured_vram_by_gpu or {}
    found = tuple(gpu for gpu in gpus if held.get(gpu.uuid))
    return found or (tuple(gpus) if len(gpus) == 1 and not model.memory.has_no_gpu else ())


def _sections(
    details: ModelDetails, need: MemoryNeed | None, gpus: Sequence[GpuPicture]
) -> Iterator[Section]:
    """Yield what is said at once: of a model that is well what it does, else what is wrong and what helps."""
    model = details.picture
    if model.load is not None:
        yield load_progress(model.load)
    if model.drawing is not None:
        yield picture_section(model)
    why, cures = sections.why(model), sections.cures(model.diagnosis.remedies)
    if model.level not in {"watch", "bad"} and not cures.cures:
        yield now(details)
        yield from _cache(details)
        yield sections.memory(details, need, gpus)
        return
    if why.facts:
        yield why
    if cures.cures:
        yield cures
    yield from _cache(details)
    yield sections.memory(details, need, gpus)
    yield now(details)


def _outcome(details: ModelDetails) -> Iterator[Section]:
    """Yield what was forecast of its load, where that was, beside the result."""
    if (found := outcome(details)).bars:
        yield found


def _cache(details: ModelDetails) -> Iterator[Section]:
    if details.picture.pool is not None:
        yield cache(details)


def model_facts(details: ModelDetails, gpu_indices: Mapping[str, int]) -> tuple[Fact, ...]:
    """Return the figures of a model's page; ``gpu_indices`` are by UUID."""
    model = details.picture
    return (
        *_told(details),
        *runner_facts(details, gpu_indices),
        *meter_facts(details.metered),
        *learned_facts(details),
        *finished_load_facts(details.finished_load),
        *_times(model),
        *(_geometry(details.facts) if _has_geometry(details) else ()),
    )


def _told(details: ModelDetails) -> list[Fact]:
    """Return what the server tells of a model."""
    model = details.picture
    if model.kind.makes_pictures:
        return picture_facts(details)
    return _claim(model) if model.memory.claims_memory else served_facts(details)


def _has_geometry(details: ModelDetails) -> bool:
    claims = details.picture.memory.claims_memory and not details.picture.kind.makes_pictures
    return claims or details.facts is not None


def learned_facts(details: ModelDetails) -> list[Fact]:
    """Return the usual decode rate, those of this run, and how near the prediction of memory is."""
    predicted = _predicted(details.prediction, by_choice=details.picture.memory.by_choice)
    return [*_of_this_run(details.picture), *_energy(details), *_usual(details.usual), *predicted]


def _of_this_run(model: ModelPicture) -> Iterator[Fact]:
    summary = summary_of(model.series.decode, model.at)
    if summary is not None:
        words = (
            f"last {units.rate(summary.last)}, average {units.rate(summary.average)}, "
            f"best {units.rate(summary.best)}"
        )
        yield Fact("decode rates", words, GPUMON)


def _energy(details: ModelDetails) -> Iterator[Fact]:
    """Say what 1,000 tokens took of its GPUs, where it was alone there."""
    wh = details.energy_wh_per_1000_tokens
    if wh is not None:
        words = f"{wh:.2g} Wh of its GPUs per 1,000 tokens generated, prompts and idle power included"
        yield Fact("energy", words, "NVML")


def _usual(usual: RateBaseline | None) -> Iterator[Fact]:
    if usual is None:
        return
    words = [
        units.rate(usual.decode_tokens_per_second),
        f"up to {units.tokens(usual.context_tokens_up_to)} tokens in the context",
    ]
    if usual.parallel > 1:
        words.append(f"each of {usual.parallel} requests")
    yield Fact("usual rate", ", ".join(words), f"learned from {usual.request_count} requests")


def _predicted(prediction: Prediction | None, *, by_choice: bool) -> Iterator[Fact]:
    if prediction is None:
        return
    words = f"predicted {units.size(prediction.expected_vram_bytes)}"
    if prediction.error_fraction is not None:
        off = f"error {abs(prediction.error_fraction):.0%}"
        words = f"{words}, measured {units.size(prediction.measured_vram_bytes)}, {off}"
    yield Fact("VRAM as it is set" if by_choice else "VRAM when wholly on GPU", words, "estimate")


def _claim(model: ModelPicture) -> list[Fact]:
    claim, said = model.claim, model.kind.claim_source
    alarm: Level | None = "bad" if model.memory.spill_percent else None
    is_part = model.memory.has_no_gpu or (model.memory.ram_bytes and not model.memory.spill_percent)
    part = "part in RAM" if is_part else "spilled"
    return [
        Fact("server", model.server_label, GPUMON),
        Fact("digest", visible(claim.digest or units.UNKNOWN), said),
        Fact("size claimed", units.size(claim.size_bytes), said),
        Fact("on GPU", units.size(model.memory.gpu_bytes), said),
        Fact("in RAM", units.size(model.memory.ram_bytes), said, alarm),
        Fact(part, model.ram_percent, said, alarm),
        Fact("processor", model.memory.processor, said),
        Fact("context", _per_slot(claim.context_length), said),
        Fact("quantisation", visible(claim.quantization or units.UNKNOWN), said),
        Fact("parameters", visible(claim.parameter_size or units.UNKNOWN), said),
        Fact("family", visible(claim.family or units.UNKNOWN), said),
    ]


def _times(model: ModelPicture) -> Iterator[Fact]:
    yield Fact("seen since", units.clock(model.first_seen), GPUMON)
    if model.spilled_since is not None and model.memory.can_spill:
        yield Fact("spilled since", units.clock(model.spilled_since), GPUMON)
    yield Fact("state", model.doing, GPUMON)
    if model.kind.manages_memory:
        yield Fact("kept until", model.until or units.UNKNOWN, model.kind.claim_source)


def _geometry(facts: ModelFacts | None) -> list[Fact]:
    if facts is None:
        return [Fact("geometry", "not known yet", SHOW)]
    said = "its file" if facts.source == FILES_SOURCE else SHOW
    return [
        Fact("architecture", visible(facts.architecture or units.UNKNOWN), said),
        Fact("layers", text_of(facts.layer_count), said),
        *_experts(facts, said),
        Fact("trained context", f"{text_of(facts.trained_context_length)} tokens", said),
        Fact("embedding length", text_of(facts.embedding_length), said),
        Fact("capabilities", visible(", ".join(facts.capabilities) or units.UNKNOWN), said),
    ]


def _experts(facts: ModelFacts, said: str) -> Iterator[Fact]:
    """Say how many experts a layer has, and how many a token passes through."""
    count, used = (
        facts.geometry.get(f"{facts.architecture}.{key}") for key in ("expert_count", "expert_used_count")
    )
    if count and used:
        yield Fact("experts", f"{used} of {count} for each token", said)


def _per_slot(tokens: int | None) -> str:
    return units.UNKNOWN if tokens is None else f"{tokens} tokens per slot"
