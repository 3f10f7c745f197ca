"""The watchers of all rules, by what they watch."""

from __future__ import annotations

from typing import Any, NamedTuple

from gpumon.app.alerts.alert import AlertKind
from gpumon.app.alerts.limits import Limits
from gpumon.app.alerts.rules import gpu
from gpumon.app.alerts.rules.host import ram_low, swapping
from gpumon.app.alerts.rules.load import load_failed, thrash
from gpumon.app.alerts.rules.model import likely_spill, spill
from gpumon.app.alerts.rules.rate import slower
from gpumon.app.alerts.rules.runner import hidden_spill, silent_fallback, stuck
from gpumon.app.alerts.rules.source import source
from gpumon.app.alerts.watcher import Rule, Watcher
from gpumon.app.insight.agreement import Loaded
from gpumon.app.insight.falls import Paced
from gpumon.app.state.records import FailedLoad, GpuRecord, ModelKey, SourceRecord, SystemRecord, Thrash

_RUNNER_RULES: dict[AlertKind, Rule[Loaded]] = {
    "silent_fallback": silent_fallback,
    "hidden_spill": hidden_spill,
    "likely_spill": likely_spill,
    "stuck": stuck,
}


class Watchers(NamedTuple):
    """A watcher for each rule."""

    spill: Watcher[ModelKey, Loaded]
    runners: tuple[Watcher[ModelKey, Loaded], ...]
    slower: Watcher[ModelKey, Paced]
    sources: Watcher[str, SourceRecord]
    failed_loads: Watcher[str, FailedLoad]
    thrash: Watcher[str, Thrash]
    gpus: tuple[Watcher[str, GpuRecord], ...]
    system: tuple[Watcher[str, SystemRecord], ...]

    @property
    def all(self) -> tuple[Watcher[Any, Any], ...]:
        """Every watcher."""
        models: tuple[Watcher[Any, Any], ...] = (self.spill, *self.runners, self.slower)
        return (*models, self.sources, self.failed_loads, self.thrash, *self.gpus, *self.system)


def watchers_of(limits: Limits) -> Watchers:
    """Return the watchers of all rules, none of which has seen anything."""
    measured, settled = limits.clear_seconds, limits.settled_seconds
    return Watchers(
        spill=Watcher("spill", spill, limits, clear_seconds=settled, vanished="unloaded"),
        runners=tuple(
            Watcher(kind, rule, limits, clear_seconds=settled, vanished="unloaded")
            for kind, rule in _RUNNER_RULES.items()
        ),
        slower=Watcher("slower", slower, limits, clear_seconds=measured, vanished="unloaded"),
        sources=Watcher("source", source, limits, clear_seconds=settled),
        failed_loads=Watcher("load_failed", load_failed, limits, clear_seconds=settled, vanished="recovered"),
        thrash=Watcher("thrash", thrash, limits, clear_seconds=settled, vanished="recovered"),
        gpus=_gpu_watchers(limits, measured, settled),
        system=(
            Watcher("ram_low", ram_low, limits, clear_seconds=measured),
            Watcher("swapping", swapping, limits, clear_seconds=measured),
        ),
    )


def _gpu_watchers(limits: Limits, measured: float, settled: float) -> tuple[Watcher[str, GpuRecord], ...]:
    return (
        Watcher("gpu_lost", gpu.gpu_lost, limits, clear_seconds=settled),
        Watcher("vram_full", gpu.vram_full, limits, clear_seconds=measured),
        Watcher("throttling", gpu.throttling, limits, clear_seconds=measured),
        Watcher("too_hot", gpu.too_hot, limits, clear_seconds=measured),
        Watcher("pcie_link", gpu.pcie_link, limits, clear_seconds=measured),
        Watcher("stuck", gpu.not_returned, limits, clear_seconds=settled),
        Watcher("ecc", gpu.ecc, limits, clear_seconds=settled),
    )
