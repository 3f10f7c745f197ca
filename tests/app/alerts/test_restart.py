"""A server that is restarted: an event, no alarm, and no log takes the headline meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace
from tests.fakes.samples import START, log
from tests.scene import Gpu, Machine, Model

from gpumon.app.monitor import Monitor
from gpumon.collectors.samples import AnySample, LogSample, ProcessSample


class Restarted(Machine):
    """A machine whose Ollama starts anew when told."""

    server_started = START - 3600

    def _processes(self, models: Sequence[Model]) -> AnySample:
        sample = super()._processes(models)
        assert isinstance(sample, ProcessSample)
        servers = (replace(one, started=self.server_started) for one in sample.servers or ())
        return replace(sample, servers=tuple(servers))


def headline(monitor: Monitor) -> tuple[str, str]:
    found = monitor.pictures.health()
    return found.level, found.sentence


def logless(machine: Machine) -> LogSample:
    detail = "no server is running, so there is no log to read"
    return log(machine.now, source="server log", state="absent", detail=detail)


def restarted() -> Restarted:
    """Return a machine whose server was down for less than a second, which the log's source has seen."""
    machine = Restarted(Gpu(gib=24))
    server = machine.ollama()
    server.load(Model("qwen3:8b", gpu_gib=5))
    machine.say(log(0, source="server log"))
    machine.run(20)
    server.unload(server.models[0])
    machine.server_started = START + machine.now
    machine.say(logless(machine))
    machine.run(1)
    return machine


def test_a_restart_is_an_event_and_no_red_headline() -> None:
    machine = restarted()
    assert headline(machine.monitor) == ("ok", "no model loaded")
    assert machine.monitor.alerts.active == ()
    [event] = machine.monitor.events.feed.past
    assert event.words == "Ollama at 127.0.0.1:11434 has restarted; qwen3:8b went with it"
    assert not event.lasts


def test_the_log_that_was_gone_for_a_moment_never_takes_the_headline() -> None:
    machine = restarted()
    for _ in range(14):
        machine.say(logless(machine))
        machine.run(1)
        assert headline(machine.monitor)[0] == "ok"


def test_the_same_server_seen_again_has_not_restarted() -> None:
    machine = Restarted(Gpu(gib=24))
    machine.ollama()
    machine.run(60)
    assert machine.monitor.alerts.recent == ()
