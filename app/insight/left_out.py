"""What of a model is on no GPU, of a server that claims nothing: an estimate, and what explains it.

Where nobody has said how many layers, ``--fit`` of llama-server takes as many as leave a margin of each GPU
free (llama.cpp: ``common/fit.cpp``). Where that margin alone explains what is missing it is told as what it
is, with what it costs, and raises no alarm; where memory was short for other reasons it is a spill.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpumon.app.insight.intent import cpu_choice, hidden_gpus, intent_of
from gpumon.app.insight.wording import amount
from gpumon.app.physics.by_card import BUFFERS
from gpumon.app.state.places import is_local
from gpumon.app.state.records import GpuRecord, Intent, ModelRecord, RunnerRecord
from gpumon.app.state.records.machine import free_bytes
from gpumon.app.state.state import State
from gpumon.app.state.work import server_facts
from gpumon.collectors.samples import UNSETTLED_STATES, GpuProcess, Orders
from gpumon.text.units import MIB

LEAST_FREE_BYTES = 128 * MIB
"""What must stay free of a GPU in any case: nine of ten predictions of the need are closer."""


class Margin(NamedTuple):
    """What a runtime keeps free on purpose."""

    setting: str
    """As it is typed: ``--fit-target 1024``."""
    bytes: int
    """Of each GPU."""
    is_told: bool
    """Whether a user has asked for so much; else it is the runtime's own."""


def margin_of(runner: RunnerRecord) -> Margin | None:
    """Return what a process keeps free; ``None`` of one that does not choose its layers itself.

    It does not where the user has said anything of them.
    """
    settings, orders = runner.process.settings, runner.process.settings.orders
    fits_itself = runner.kind.layers_are_asked and runner.kind.unasked_layers is None
    if not fits_itself or orders.fit is False or settings.gpu_layers is not None or _are_placed(orders):
        return None
    told = max(orders.fit_target_bytes, default=None)
    size, name = runner.kind.margin_bytes if told is None else told, "fit_target"
    is_variable = name in orders.by_environment
    words = runner.server_kind.setting_words(name, size // MIB, in_environment=is_variable)
    return Margin(words, size, told is not None)


def _are_placed(orders: Orders) -> bool:
    """Return whether somebody has said which tensors go where: ``--fit`` then leaves all as it is."""
    experts = orders.expert_layers or orders.all_experts or orders.ffn_layers
    return bool(experts or orders.overrides or any(orders.tensor_split))


def explains(
    margin: Margin, model: ModelRecord, runner: RunnerRecord, state: State, missing_bytes: int
) -> bool:
    """Return whether the margin alone explains that so much of a model is on no GPU.

    It does where what was free at the load would have held the rest, and not beside the margin. What those
    hold that started later was free then. Where even the margin would be left now, somebody has gone since.
    """
    if not is_local(model.key.source, state.servers):
        return False
    gpus = list(_usable(runner, state))
    free = [_free_at_load(gpu, runner, state) for gpu in gpus]
    known = [size for size in free if size is not None]
    if not known or len(known) < len(free):
        return False
    left = sum(known) - missing_bytes
    return LEAST_FREE_BYTES * len(known) <= left < margin.bytes * len(known)


def _usable(runner: RunnerRecord, state: State) -> Iterator[GpuRecord]:
    hidden = hidden_gpus(runner, state)
    gpus = (gpu for uuid, gpu in state.gpus.items() if uuid not in hidden)
    return (gpu for gpu in gpus if gpu.reading.state != "lost")


def _free_at_load(gpu: GpuRecord, runner: RunnerRecord, state: State) -> int | None:
    """Return what is free beside a process, with what those hold that have started since."""
    memory = gpu.reading.memory
    free = None if memory is None or memory.unified else free_bytes(memory)
    if free is None:
        return None
    later = (one for one in gpu.reading.processes or () if _started(one, state) > runner.key.started)
    return free + sum(one.vram_bytes or 0 for one in later)


def _started(process: GpuProcess, state: State) -> float:
    """Return when a process on a GPU began; of one that does not tell it, it was always there."""
    holder = state.holders.get(process.pid)
    known = (key.started for key in state.runners if key.pid == process.pid)
    return process.started or (holder and holder.started) or next(known, 0.0)


LEAST_SHARE = 0.10
"""Part of the weights from which they count as left out: the token embedding stays in RAM by design, and the
context and the compute buffers, which the driver counts too, outweigh it."""


LEAST_BYTES = 320 * MIB
"""The same beside what is reckoned of a file: the driver's own part of a process differs by so much."""


class LeftOut(NamedTuple):
    """How much of a model's weights cannot be on a GPU."""

    bytes: int
    """Less than the settings lead one to expect, at the least. 0 where all that should be may be there."""
    weights_bytes: int
    measured_bytes: int
    chosen_bytes: int = 0
    """In RAM because the user has asked for it."""
    expected_bytes: int | None = None
    """Weights and context that settings and file lead one to expect on GPUs; ``None`` without the file."""
    margin: Margin | None = None
    """What the runtime keeps free, where that is why ``chosen_bytes`` are in RAM."""

    @property
    def words(self) -> str:
        """Say how much is in RAM that should not be: ``about 2.0 GiB of 5.0 GiB of weights in RAM``."""
        beyond = f"about {amount(self.bytes)}"
        if self.chosen_bytes:
            return f"{beyond} more in RAM than its settings keep there"
        if self.expected_bytes is None:
            return f"{beyond} of {amount(self.weights_bytes)} of weights in RAM"
        return f"{beyond} of {amount(self.expected_bytes)} of weights and context in RAM"


def left_out(model: ModelRecord, state: State) -> LeftOut | None:
    """Estimate what is on no GPU: what its settings put there less VRAM of the process.

    Without the file that is its weights (``/v1/models``, ``meta.size``). ``None`` where either is unknown or
    not settled, where memory without an owner may be the model's, where a part may be on what the driver here
    does not see, and of a server that tells.
    """
    runner = state.runner_of(model)
    if model.claims_memory or runner is None or runner.vram_confirmed is None or runner.kind.stays_on_gpu:
        return None
    intent, facts, measured = intent_of(model, state), server_facts(model, state), runner.measured_vram_bytes
    weights = (facts.weights_bytes if facts else None) or intent.weights_bytes
    is_settled = runner.answer is not None and runner.answer.state not in UNSETTLED_STATES
    if not weights or measured is None or not is_settled or intent.elsewhere:
        return None
    if cpu_choice(model, state) is not None:
        return LeftOut(0, weights, measured, max(0, weights - measured))
    if intent.vram_bytes is None:
        return _of_weights(intent, weights, measured, state)
    return _of_file(model, runner, intent, intent.vram_bytes, weights, measured, state)


def _of_weights(intent: Intent, weights: int, measured: int, state: State) -> LeftOut | None:
    """Compare what the driver sees with the weights, where more is not known of the file."""
    chosen, least = _chosen_bytes(intent, weights - measured), LEAST_SHARE * weights
    missing = weights - chosen - measured
    if missing >= least > missing - state.hidden_vram_bytes:
        return None
    return LeftOut(missing if missing >= least else 0, weights, measured, chosen)


def _of_file(
    model: ModelRecord,
    runner: RunnerRecord,
    intent: Intent,
    expected: int,
    weights: int,
    measured: int,
    state: State,
) -> LeftOut | None:
    """Compare what the driver sees with what settings and file put there."""
    chosen, missing = _chosen_bytes(intent, weights - measured), expected - measured
    least = max(LEAST_BYTES, LEAST_SHARE * max(weights, expected))
    if missing >= least > missing - state.hidden_vram_bytes:
        return None
    movable = sum(size for name, size in intent.vram_parts if name != BUFFERS)
    if missing < least:
        return LeftOut(0, weights, measured, chosen, movable)
    lacking, margin = min(missing, movable), margin_of(runner)
    if margin is not None and not chosen and explains(margin, model, runner, state, missing):
        return LeftOut(0, weights, measured, lacking, movable, margin)
    return LeftOut(lacking, weights, measured, chosen, movable)


def _chosen_bytes(intent: Intent, missing_bytes: int) -> int:
    """Return what is in RAM by choice; where that cannot be reckoned, all that is missing may be."""
    if intent.kept_bytes is not None:
        return intent.kept_bytes
    return max(0, missing_bytes) if set(intent.keeps) - {"layers"} else 0
