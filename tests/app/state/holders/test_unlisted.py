"""Memory that no server owns up to: leaked runners, orphans, processes that were killed."""

from __future__ import annotations

from msgspec.structs import replace
from tests.app.state.holders.leaky import OTHER, THIRD, WORDS, Leaky, killed, leaked
from tests.fakes import process_samples as fakes
from tests.fakes.samples import START, claim, gpu, nvml, ollama
from tests.scene import Machine, Model, Program, after

from gpumon.app.alerts.alert import Alert
from gpumon.app.insight.owners import unlisted_runners
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.state.state import State
from gpumon.collectors.samples import ModelClaim, RunnerSettings


def headline(machine: Machine) -> str:
    return machine.monitor.pictures.health().sentence


def test_runners_that_ollama_does_not_list_are_named_with_what_they_hold_and_what_frees_it() -> None:
    machine = Leaky(leaked(301, OTHER), leaked(302, THIRD))
    machine.ollama().load(Model("qwen3:8b", gpu_gib=5))
    machine.run(50)
    [alert] = machine.alerts()
    assert (alert.kind, alert.severity, alert.message) == ("unlisted", "watch", WORDS)
    assert headline(machine) == WORDS

    snapshot = build_snapshot(machine.monitor.pictures)
    assert [entry.message for entry in snapshot.alerts] == [WORDS]
    assert snapshot.models[0].measured_vram_bytes == 5 * 1024**3


def test_a_model_that_is_unloaded_and_takes_its_time_is_not_leaked() -> None:
    machine = Leaky(leaked(301, OTHER))
    machine.ollama().load(Model("qwen3:8b", gpu_gib=5))
    machine.run(20)
    machine.leaked = ()
    machine.programs.clear()
    machine.run(30)
    assert machine.alerts() == []


def test_orphans_of_a_server_that_was_killed_are_named_alike() -> None:
    machine = Leaky()
    server = machine.ollama()
    server.load(Model("qwen3:8b", gpu_gib=5, pid=301, blob=OTHER))
    machine.run(5)
    server.unload(server.models[0])
    server.state, machine.has_server = "not_running", False
    machine.leaked = (leaked(301, OTHER, server_pid=None),)
    machine.starts(Program("llama-server", 5, pid=301))
    machine.run(40)
    [alert] = machine.alerts("unlisted")
    assert alert.message == (
        "5.0 GiB are held by a runner whose Ollama has ended (pid 301); to free it: sudo kill 301"
    )


def test_an_orphan_of_before_our_start_is_known_by_its_flags_and_is_no_model_of_its_own() -> None:
    orphan = leaked(301, OTHER, server_pid=None, parent_pid=1)
    orphan = replace(orphan, settings=replace(orphan.settings, child_of="ollama"))
    machine = Leaky(orphan)
    machine.ollama().load(Model("qwen3:8b", gpu_gib=5))
    machine.run(40)
    assert [record.claim.name for record in machine.state.models.values()] == ["qwen3:8b"]
    assert [alert.kind for alert in machine.alerts()] == ["unlisted"]


def test_a_llama_server_that_a_user_has_started_with_a_blob_is_no_orphan() -> None:
    machine = Leaky(leaked(301, OTHER, server_pid=None, parent_pid=1))
    machine.ollama().load(Model("qwen3:8b", gpu_gib=5))
    machine.run(40)
    assert machine.alerts() == []


def test_the_listed_model_keeps_its_process_though_its_file_is_not_known() -> None:
    machine = Leaky()
    model = machine.ollama().load(Model("qwen3:8b", gpu_gib=5, is_described=False))
    machine.run(5)
    machine.leaked = (leaked(301, OTHER), leaked(302, THIRD))
    machine.run(50)
    assert model.record.joined_by == "only one"
    assert machine.monitor.pictures.models()[0].memory.measured_vram_bytes == 5 * 1024**3


ENDED = "qwen3:8b is loaded no more: its process 100 has ended, Ollama still lists it"


class TestKilled:
    def alert(self, machine: Machine) -> Alert:
        [alert] = machine.alerts()
        return alert

    def test_the_process_of_a_listed_model_that_is_killed_is_an_alert_and_the_headline(self) -> None:
        machine = killed()
        alert = self.alert(machine)
        assert (alert.kind, alert.severity) == ("ended", "bad")
        assert alert.message == ENDED
        assert headline(machine) == ENDED

    def test_the_log_says_by_which_signal(self) -> None:
        machine = killed(how="signal: killed")
        assert "its process 100 has ended (signal: killed)" in self.alert(machine).message

    def test_its_bytes_are_no_longer_counted_and_the_row_says_so(self) -> None:
        model = killed().monitor.pictures.models()[0]
        assert (model.memory.gpu_bytes, model.memory.ram_bytes, model.memory.spill_percent) == (
            None,
            None,
            "",
        )
        assert (model.doing, model.level, model.memory.processor) == ("gone", "bad", "Unknown")
        assert model.notes[0].startswith("is loaded no more: its process 100 has ended")

    def test_a_process_that_comes_back_ends_it(self) -> None:
        machine = killed()
        machine.servers[0].models[0].is_running = True
        machine.servers[0].models[0].pid = 101
        machine.run(10)
        assert machine.alerts("ended") == []


def test_a_llama_server_alone_that_is_killed_leaves_a_word() -> None:
    machine = Leaky()
    model = fakes.runner(301, None, server_pid=None)
    machine.leaked = (replace(model, settings=replace(model.settings, model_path="/m/Qwen3-14B.gguf")),)
    machine.run(1)
    machine.say(fakes.answer(machine.now, pid=301))
    machine.run(5)
    assert [one.claim.name for one in machine.state.models.values()] == ["Qwen3-14B.gguf"]
    machine.leaked = ()
    machine.run(3)
    assert [alert.message for alert in machine.monitor.alerts.recent] == [
        "Qwen3-14B.gguf: its llama-server, process 301, has ended"
    ]
    assert machine.alerts() == []


def test_beside_a_spill_it_is_told_after_the_verdict() -> None:
    machine = Leaky(leaked(301, OTHER), leaked(302, THIRD))
    machine.ollama().load(Model("qwen3:8b", gpu_gib=5, ram_gib=5))
    machine.run(50)
    pictures = machine.monitor.pictures
    whole = pictures.health()
    assert "qwen3:8b" in whole.sentence
    assert pictures.besides(whole) == (WORDS,)


def test_leaked_runners_whose_ports_say_nothing_are_no_loads_for_ever() -> None:
    machine = Leaky()
    machine.ollama().load(Model("qwen3:8b", gpu_gib=5))
    machine.run(5)
    started = START + machine.now
    machine.leaked = (leaked(301, OTHER, started=started), leaked(302, THIRD, started=started))
    machine.starts(Program("llama-server", 7, pid=301))
    machine.starts(Program("llama-server", 7, pid=302))
    machine.run(70)
    assert machine.state.loads == {}
    assert [alert.message for alert in machine.alerts()] == [WORDS]


def test_processes_that_tell_nothing_may_hold_the_models_that_are_listed() -> None:
    """Two workers of an LM Studio, two backends of a LocalAI: nobody says which model each of them holds."""
    nameless = [replace(fakes.runner(pid), settings=RunnerSettings()) for pid in (301, 302)]

    def watched(*listed: ModelClaim) -> State:
        """Return what two minutes of steady memory come to."""
        looks = (
            (
                fakes.processes(second, *nameless),
                nvml(second, fakes.holding(gpu(), {301: 5.0, 302: 2.0})),
                ollama(second, listed),
            )
            for second in range(120)
        )
        return after(*(sample for look in looks for sample in look)).state

    assert unlisted_runners(watched(claim("a"), claim("b"))) == {}
    [found] = unlisted_runners(watched()).values()
    assert len(found.runners) == 2, "where none is listed they are nobody's"
