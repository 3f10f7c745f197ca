"""Everything that the dashboard shows, built at one instant."""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.fuses import GPUMON_SOURCE
from gpumon.app.insight.health import health
from gpumon.app.insight.wording import runtime_name
from gpumon.app.monitor import Monitor
from gpumon.app.state.places import is_server
from gpumon.app.views.alerts import alert_rows, clock_words
from gpumon.app.views.facts.spill import explanation
from gpumon.app.views.gpus import gpu_rows
from gpumon.app.views.levels import Levels
from gpumon.app.views.loads import load_rows
from gpumon.app.views.memory import memory_row
from gpumon.app.views.models import SortKey, model_rows
from gpumon.app.views.sources import source_rows
from gpumon.text.safe import visible
from gpumon.widgets.views import AlertRow, GpuRow, MemoryRow, ModelRow, SourceRow, VerdictView


class ModelOrder(Struct, frozen=True):
    """Which models are shown, and in which order."""

    sort: SortKey = "name"
    descending: bool = False
    filter_text: str = ""


class DashboardView(Struct, frozen=True):
    """One instant of the dashboard; the chart is built apart, as it is drawn less often."""

    verdict: VerdictView
    gpus: tuple[GpuRow, ...]
    models: tuple[ModelRow, ...]
    memory: MemoryRow
    sources: tuple[SourceRow, ...]
    alerts: tuple[AlertRow, ...]
    time: float = 0.0
    """Of the newest sample that it was built from."""


NOTHING = DashboardView(VerdictView("unknown", ""), (), (), MemoryRow(), (), ())
"""What stands in for the picture before the first one."""

_Aging = TypeVar("_Aging", GpuRow, ModelRow, MemoryRow)


def dashboard_view(
    monitor: Monitor, order: ModelOrder, interval: float, before: DashboardView = NOTHING
) -> DashboardView:
    """Build what the dashboard shows of ``monitor`` now.

    A panel that fails shows what it showed in ``before``, the picture before this one, marked as old; a line
    among the sources names it.
    """
    state, alerts, guard = monitor.state, monitor.alerts, monitor.fuses.guard
    levels, seconds = Levels(alerts.active), state.now - before.time
    gpus = tuple(_aged(row, seconds) for row in before.gpus)
    with guard("panel gpus"):
        gpus = gpu_rows(state, levels)
    models = tuple(_aged(row, seconds) for row in before.models)
    with guard("panel models"):
        models = _models(monitor, order, levels)
    memory = _aged(before.memory, seconds)
    with guard("panel memory"):
        memory = memory_row(state, levels)
    feed = before.alerts
    with guard("panel alerts"):
        feed = alert_rows(alerts, state.now)
    monitor.note_faults()
    verdict = VerdictView("unknown", "how things are cannot be told: internal error")
    with guard("verdict"):
        verdict = verdict_view(monitor, interval)
    return DashboardView(verdict, gpus, models, memory, _sources(monitor), feed, state.now)


def _models(monitor: Monitor, order: ModelOrder, levels: Levels) -> tuple[ModelRow, ...]:
    state = monitor.state
    return (
        *load_rows(state, order.filter_text),
        *model_rows(state, levels, order.sort, order.descending, order.filter_text, monitor.spill),
    )


def _sources(monitor: Monitor) -> tuple[SourceRow, ...]:
    with monitor.fuses.guard("panel sources"):
        monitor.note_faults()
        return source_rows(monitor.state)
    return (SourceRow("watch", GPUMON_SOURCE, monitor.fuses.words() or ""),)


def _aged(row: _Aging, seconds: float) -> _Aging:
    """Return a row that could not be built anew after so many ``seconds``."""
    return replace(row, age_seconds=(row.age_seconds or 0.0) + max(0.0, seconds))


def verdict_view(monitor: Monitor, interval: float) -> VerdictView:
    """Return the health line, with versions, interval and the time of the newest sample at its right."""
    state = monitor.state
    found = health(
        state,
        monitor.alerts.active,
        monitor.limits.spill_bad_percent,
        lambda model: explanation(monitor.spill(model)),
    )
    versions = [
        f"{runtime_name(source.runtime)} {visible(source.version)}"
        for source in state.sources.values()
        if source.version is not None and is_server(source.name)
    ]
    driver = [f"driver {state.driver_version}"] if state.driver_version else []
    right = (*driver, *versions, f"every {interval:g} s", clock_words(state.now) if state.now else "")
    return VerdictView(found.level, found.sentence, right=right)
