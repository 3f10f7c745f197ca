"""Everything that the dashboard shows, built at one instant."""

from __future__ import annotations

from msgspec import Struct

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


def dashboard_view(monitor: Monitor, order: ModelOrder, interval: float) -> DashboardView:
    """Build what the dashboard shows of ``monitor`` now."""
    state, alerts = monitor.state, monitor.alerts
    levels = Levels(alerts.active)
    return DashboardView(
        verdict=verdict_view(monitor, interval),
        gpus=gpu_rows(state, levels),
        models=(
            *load_rows(state, order.filter_text),
            *model_rows(state, levels, order.sort, order.descending, order.filter_text, monitor.spill),
        ),
        memory=memory_row(state, levels),
        sources=source_rows(state),
        alerts=alert_rows(alerts, state.now),
    )


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
