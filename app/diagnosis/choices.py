"""What of a model is in RAM because its user wants it so: what it costs, and what would fit beside it.

More is left free than for a load that fits as a whole: experts in RAM pass through buffers of the card, and a
full one falls off a cliff (docs/diagnosis.md).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import SPARE_BYTES, Arithmetic, NoArithmetic
from gpumon.app.diagnosis.diagnosis import Cause, CauseKind, Evidence
from gpumon.app.diagnosis.margins import WORTH_PERCENT, Better, Choice, for_margin, told
from gpumon.app.diagnosis.subject import Subject, intended, rate_of
from gpumon.app.diagnosis.words import ARITHMETIC, COMMAND_LINE, METRICS, NVML, size_evidence
from gpumon.app.insight.intent import cpu_choice, intent_of
from gpumon.app.insight.pool import pool_of
from gpumon.app.insight.wording import amount
from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.hardware import Band
from gpumon.app.physics.memory import Placement
from gpumon.app.physics.orders import with_experts_kept
from gpumon.app.physics.placement import place
from gpumon.app.physics.speed import ram_bandwidth_of_rate
from gpumon.app.state.work import own_rates
from gpumon.collectors.samples import NO_ORDERS
from gpumon.collectors.servers.kind import NO_LINE, Line
from gpumon.text import units
from gpumon.text.safe import visible


def by_layers_alone(subject: Subject) -> bool:
    """Return whether nothing but a number of layers explains what is in RAM."""
    is_chosen = subject.loaded.by_choice and cpu_choice(subject.model, subject.state) is None
    return is_chosen and intent_of(subject.model, subject.state).keeps == ("layers",)


def choice_of(subject: Subject) -> Choice | None:
    """Return the choice that explains all of a model that is in RAM; of the CPU alone nothing is told."""
    setting, state = subject.loaded.choice, subject.state
    if setting is None or not subject.is_spilled or cpu_choice(subject.model, state) is not None:
        return None
    intent, arithmetic = intent_of(subject.model, state), _observed(subject)
    if isinstance(arithmetic, NoArithmetic):
        problem = intent.problem or arithmetic.reason
        return Choice(setting, intent.kept_bytes, _unnamed(intent.keeps), None, None, None, None, problem)
    held = subject.runner.measured_vram_bytes if subject.runner else None
    left_out = subject.loaded.left_out
    if left_out is not None and left_out.margin is not None:
        return for_margin(subject, arithmetic, left_out, left_out.margin)
    return Choice(
        setting=setting,
        kept_bytes=intent.kept_bytes,
        what=_what(arithmetic, intent.keeps),
        rate=_rate_now(subject, arithmetic),
        whole_rate=rate_of(subject, arithmetic, *_all_on_gpu(arithmetic)),
        free_bytes=max(0, arithmetic.room.free_total_bytes - (held or 0)),
        better=_better(subject, arithmetic, intent.keeps),
    )


def _observed(subject: Subject) -> Arithmetic | NoArithmetic:
    """Return the arithmetic; where the bandwidth of RAM is not known, with what the measured rate shows."""
    arithmetic, measured = subject.arithmetic, subject.rates.measured
    if isinstance(arithmetic, NoArithmetic) or not measured:
        return arithmetic
    hardware, tokens = arithmetic.hardware, subject.rates.usual_context_tokens
    if hardware.ram_bandwidth_bytes_per_second is not None:
        return arithmetic
    found = ram_bandwidth_of_rate(
        arithmetic.geometry, arithmetic.options, hardware, intended(arithmetic), tokens, measured
    )
    return replace(arithmetic, hardware=replace(hardware, ram_bandwidth_bytes_per_second=found))


def _rate_now(subject: Subject, arithmetic: Arithmetic) -> Band | None:
    """Return the rate with the present settings."""
    return rate_of(subject, arithmetic, arithmetic.geometry, arithmetic.options, intended(arithmetic))


def _unnamed(keeps: tuple[str, ...]) -> str:
    return {"experts": "experts", "cache": "its context", "layers": "layers"}.get(keeps[0], "a part of it")


def _what(arithmetic: Arithmetic, keeps: tuple[str, ...]) -> str:
    """Name what is in RAM."""
    geometry, count = arithmetic.geometry, len(arithmetic.geometry.layers)
    if "layers" in keeps:
        return f"{arithmetic.layer_count - (arithmetic.options.gpu_layers or 0)} of {count + 1} layers"
    experts = sum(layer.kept_expert_bytes > 0 for layer in geometry.layers)
    if experts and all(layer.kept_bytes == layer.kept_expert_bytes for layer in geometry.layers):
        whole = all(layer.kept_expert_bytes in {0, layer.expert_bytes} for layer in geometry.layers)
        return f"{'the experts' if whole else 'a part of the experts'} of {experts} of {count} layers"
    if geometry.kept_bytes:
        return f"weights of {sum(layer.kept_bytes > 0 for layer in geometry.layers)} of {count} layers"
    return "its context"


def _all_on_gpu(arithmetic: Arithmetic) -> tuple[Geometry, LoadOptions, Placement]:
    """Return the model as if nothing of it were kept back, and GPUs as large as that needs."""
    bare = with_experts_kept(arithmetic.geometry, 0)
    options = replace(arithmetic.options, gpu_layers=arithmetic.layer_count, cache_on_gpu=True)
    return bare, options, place(bare, options, arithmetic.room.capacity_bytes)


class _Candidate(NamedTuple):
    """A setting to try."""

    line: Line
    geometry: Geometry
    options: LoadOptions


def _better(subject: Subject, arithmetic: Arithmetic, keeps: tuple[str, ...]) -> Better | None:
    """Return the setting that leaves the least in RAM of those that fit, if it is worth the change."""
    usable = arithmetic.usable(arithmetic.room.free_bytes)

    def fits(candidate: _Candidate) -> bool:
        placed = place(candidate.geometry, candidate.options, usable, SPARE_BYTES)
        return _all_fits(placed, candidate.options, usable)

    for candidates in _series(subject, arithmetic, keeps):
        first = bisect_left(candidates, 1, key=lambda one: int(fits(one)))
        if first < len(candidates):
            return _gained(subject, arithmetic, candidates[first], usable)
    return None


def _gained(
    subject: Subject, arithmetic: Arithmetic, found: _Candidate, usable: Sequence[int]
) -> Better | None:
    placed = place(found.geometry, found.options, usable, SPARE_BYTES)
    rate = rate_of(subject, arithmetic, found.geometry, found.options, placed)
    now = _rate_now(subject, arithmetic)
    gain = round(100 * (rate.expected / now.expected - 1)) if rate and now else None
    kept_bytes = intent_of(subject.model, subject.state).ram_bytes or 0
    frees_bytes = max(0, kept_bytes - placed.ram_bytes)
    if (100 * frees_bytes / kept_bytes if gain is None and kept_bytes else gain or 0) < WORTH_PERCENT:
        return None
    return Better(found.line, frees_bytes, placed.vram_bytes, rate, gain)


def _all_fits(placed: Placement, options: LoadOptions, usable: Sequence[int]) -> bool:
    """Return whether the layers that are asked for are on GPUs, and each GPU holds its part."""
    wanted = placed.layer_count if options.gpu_layers is None else options.gpu_layers
    if placed.layers_on_gpu < min(wanted, placed.layer_count):
        return False
    pairs = zip(placed.vram_bytes_by_gpu, usable, strict=True)
    return all(not held or held + SPARE_BYTES <= free for held, free in pairs)


def _series(
    subject: Subject, arithmetic: Arithmetic, keeps: tuple[str, ...]
) -> Iterator[Sequence[_Candidate]]:
    """Yield settings of one kind at a time, the most on the card first."""
    geometry, asked = arithmetic.geometry, arithmetic.options
    if "cache" in keeps:
        line = subject.model.kind.set_cache_on_gpu
        yield [_Candidate(line, geometry, replace(asked, cache_on_gpu=True))]
    if "layers" in keeps:
        yield _by_experts(subject, arithmetic) if geometry.is_moe else _by_layers(subject, arithmetic)
    elif geometry.is_moe and set(keeps) & {"experts", "tensors"}:
        yield _by_experts(subject, arithmetic)
    elif "tensors" in keeps:
        yield _by_tensors(subject, arithmetic)


def _by_tensors(subject: Subject, arithmetic: Arithmetic) -> Sequence[_Candidate]:
    """Return the dense weights of ever more layers in RAM, but fewer than now; of patterns nothing at all."""
    geometry, options = arithmetic.geometry, replace(arithmetic.options, gpu_layers=None)
    runner = subject.runner
    orders = runner.process.settings.orders if runner else NO_ORDERS
    if runner is None or orders.overrides or not orders.ffn_layers:
        return [_Candidate(NO_LINE, with_experts_kept(geometry, 0), options)]
    kind, is_variable = runner.server_kind, "ffn_layers" in orders.by_environment
    found = []
    for count in range(min(orders.ffn_layers, len(geometry.layers))):
        words = kind.setting_words("ffn_layers", count, in_environment=is_variable)
        line = Line(words, kind.set_layers(0).where)
        found.append(_Candidate(line, _kept_in_first(geometry, count), options))
    return found


def _kept_in_first(geometry: Geometry, count: int) -> Geometry:
    """Return the model with what is kept of its first layers, and of no others."""
    bare = (replace(layer, kept_bytes=0) for layer in geometry.layers[count:])
    return replace(geometry, layers=(*geometry.layers[:count], *bare))


def _by_experts(subject: Subject, arithmetic: Arithmetic) -> Sequence[_Candidate]:
    """Return all layers on the card, with the experts of ever more of them in RAM, but fewer than now."""
    geometry, options = arithmetic.geometry, replace(arithmetic.options, gpu_layers=None)
    kind, count, asked = subject.model.kind, len(geometry.layers), arithmetic.options.gpu_layers
    are_layers = asked is not None and asked <= count
    most = count if are_layers else sum(layer.kept_expert_bytes > 0 for layer in geometry.layers)
    found = []
    for layers in range(most):
        line = told(subject, "expert_layers", kind.set_expert_layers(layers))
        if are_layers:
            all_layers = told(subject, "gpu_layers", kind.set_layers(count + 1))
            line = Line(f"{all_layers.line} {line.line}", line.where) if layers else all_layers
        found.append(_Candidate(line, with_experts_kept(geometry, layers), options))
    return found


def _by_layers(subject: Subject, arithmetic: Arithmetic) -> Sequence[_Candidate]:
    """Return more layers on the card than now, all of them first."""
    options, kind = arithmetic.options, subject.model.kind
    counts = range(arithmetic.layer_count, options.gpu_layers or 0, -1)
    return [
        _Candidate(
            told(subject, "gpu_layers", kind.set_layers(layers)),
            arithmetic.geometry,
            replace(options, gpu_layers=layers),
        )
        for layers in counts
    ]


def choice_words(choice: Choice) -> str:
    """Say what is in RAM, by which setting, and whether more would fit: the cause of a chosen placement."""
    words = choice.words
    if choice.problem is not None:
        return f"{words}; how much that is cannot be told: {choice.problem}"
    if choice.free_bytes is None:
        return words
    free = f"{amount(choice.free_bytes)} are free"
    return f"{words}; {free}: {choice.better.words if choice.better else 'no more would fit'}"


def gpu_layers(subject: Subject) -> Cause | None:
    """Find a number of layers, set by hand or the server's own, that is lower than what would go on GPUs."""
    runner, count = subject.runner, _layer_count(subject)
    if runner is None or count is None or not runner.kind.layers_are_asked:
        return None
    told = runner.process.settings.gpu_layers
    asked = runner.kind.unasked_layers if told is None else told
    if asked is None or asked >= count:
        return None
    if not isinstance(subject.arithmetic, NoArithmetic) and _layers_that_fit(subject.arithmetic) <= asked:
        return None
    kind = subject.model.kind
    words = f"{kind.layers_setting} {asked} was set by hand, of {count} layers"
    if told is None:
        words = f"{visible(kind.label)} puts {asked or 'no'} layers on the GPU without {kind.layers_setting}"
    evidence = Evidence(
        "GPU layers asked for", "none" if told is None else f"{asked} of {count}", COMMAND_LINE
    )
    return Cause("gpu_layers", words, (evidence,))


def _layers_that_fit(arithmetic: Arithmetic) -> int:
    """Return how many layers the runtime would have chosen to put on the GPUs."""
    options = replace(arithmetic.options, gpu_layers=None)
    free, margin = arithmetic.free_at_load_bytes, arithmetic.margin_bytes
    return place(arithmetic.geometry, options, free, margin).layers_on_gpu


def _layer_count(subject: Subject) -> int | None:
    """Return the blocks and the output: by the file, else by the log."""
    if not isinstance(subject.arithmetic, NoArithmetic):
        return subject.arithmetic.layer_count
    if subject.model.facts is not None and subject.model.facts.layer_count:
        return subject.model.facts.layer_count + 1
    placement = subject.runner.placement if subject.runner else None
    return placement.layer_count if placement else None


def chosen(subject: Subject) -> Cause | None:
    """Say what the user keeps in RAM, where that explains all that is there."""
    choice = choice_of(subject)
    if choice is None:
        return None
    source = ARITHMETIC if choice.kept_free else COMMAND_LINE
    evidence = [Evidence("setting", visible(choice.setting), source)]
    if choice.kept_bytes is not None:
        evidence.append(size_evidence("kept in RAM", choice.kept_bytes, ARITHMETIC))
    if choice.free_bytes is not None:
        evidence.append(size_evidence("free", choice.free_bytes, NVML))
    kind: CauseKind = "safety_margin" if choice.kept_free else "kept_in_ram"
    return Cause(kind, choice_words(choice), tuple(evidence))


def by_settings(subject: Subject) -> Cause | None:
    """Say what would fit beside a choice of layers; of a difference from what was asked for only its figures.

    A runtime that is told where to put a model does not choose by the free memory.
    """
    choice, estimate = choice_of(subject), subject.loaded.left_out
    if choice is not None:
        return chosen(subject) if choice.better else None
    expected = intent_of(subject.model, subject.state).vram_bytes
    if estimate is None or not estimate.chosen_bytes or expected is None:
        return None
    seen = amount(estimate.measured_bytes)
    return Cause(
        "unknown",
        f"its settings put {amount(expected)} on the GPU, the driver sees {seen}; why cannot be told",
        (
            size_evidence("on GPU by its settings", expected, ARITHMETIC),
            size_evidence("VRAM measured", estimate.measured_bytes, NVML),
        ),
    )


def cache_too_small(subject: Subject) -> Cause | None:
    """Find that the requests under way want more than the cache of all contexts holds."""
    pool = pool_of(subject.model, subject.state)
    if pool is None or pool.figures.full_since is None:
        return None
    running, longest = own_rates(subject.model, subject.state).running, subject.model.claim.context_length
    holds = "no more" if pool.capacity_tokens is None else f"{units.tokens(pool.capacity_tokens)} tokens"
    who = f"the {running} requests at work" if running and running > 1 else "what is at work"
    each = "" if longest is None else f"; one may take {units.tokens(longest)}"
    words = f"its KV cache holds {holds}, and {who} want more{each}"
    used = Evidence("KV cache in use", units.percent((pool.figures.used_fraction or 0.0) * 100), METRICS)
    return Cause("cache_too_small", words, (used,))
