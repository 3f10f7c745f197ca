"""Checks of the runners' own ports: the rung that gives live token rates."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.doctor.check import Check, Status
from gpumon.app.picture.gpu import runner_name
from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.state import State
from gpumon.text.safe import visible

GIVES = "token rates, context in use, phases of a load"
NAME = "ports of models"
OLD_RUNNER_STEP = "Ollama 0.30 or newer tells its token rates"
NAMESPACE_STEP = "run gpumon in the same container, or on the host with --network host"
SLOTS_STEP = "start llama-server with --slots"
METRICS_STEP = "start llama-server with --metrics for exact totals"


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
    if runner.process.kind != "llama_server":
        return "partly", "answers, but has no token rates", OLD_RUNNER_STEP
    if runner.facts is not None and runner.facts.slots_enabled is False:
        return "partly", "answers, /slots is switched off", SLOTS_STEP
    if has_metrics:
        return "works", "/slots and /metrics", None
    return "works", "/slots", METRICS_STEP if runner.process.server_pid is None else None
