"""Checks of the runners' own ports: the rung that gives live token rates."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.doctor.check import Check, Status
from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.state import State
from gpumon.app.views.runners import runner_name
from gpumon.text.safe import visible

GIVES = "token rates, context in use, phases of a load"
NAME = "ports of models"
NAMESPACE_STEP = "run gpumon in the same container, or on the host with --network host"


def runner_checks(state: State) -> Iterator[Check]:
    """Give a check of each runner's port; one that says so where no model is loaded."""
    if not state.runners:
        words = "no model is loaded on this machine"
        yield Check(kind="port", name=NAME, status="nothing", found=words, gives=GIVES)
    for runner in state.runners.values():
        status, found, step = _port(runner)
        port = runner.process.settings.port
        yield Check(
            kind="port",
            name=f"port {port}" if port else f"process {runner.key.pid}",
            status=status,
            found=f"{visible(runner_name(runner, state))}: {found}",
            gives=GIVES,
            step=step,
        )


def _port(runner: RunnerRecord) -> tuple[Status, str, str | None]:
    """Return how a runner answers, in words, and what to do."""
    answer = runner.answer
    if answer is None:
        return "missing", "has not answered", None
    if answer.state == "unreachable":
        return "missing", visible(answer.detail or "out of reach"), NAMESPACE_STEP
    if answer.state in {"foreign", "failing"}:
        return "missing", visible(answer.detail or "another program answers"), None
    return _rates(runner, has_metrics="/metrics" in runner.meter.rates.sources)


def _rates(runner: RunnerRecord, *, has_metrics: bool) -> tuple[Status, str, str | None]:
    kind, sources = runner.kind, runner.meter.rates.sources
    if not kind.tells_rates:
        return "partly", "answers, but has no token rates", kind.update_hint
    if runner.facts is not None and runner.facts.slots_enabled is False:
        return "partly", "answers, /slots is switched off", kind.switches.get("/slots")
    if sources and not {"/slots", "/metrics"} & set(sources):
        return "works", visible(" and ".join(sources)), None
    if has_metrics:
        return "works", "/slots and /metrics", None
    return "works", "/slots", kind.switches.get("/metrics") if runner.process.server_pid is None else None
