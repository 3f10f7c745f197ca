"""What the doctor says of each source."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import processes, server
from tests.fakes.samples import log, system
from tests.fakes.served_samples import served
from tests.scene import Gpu, Machine, Model, after

from gpumon.app.doctor.check import Check, Kind, report_of
from gpumon.app.doctor.sources import source_checks
from gpumon.collectors.samples import (
    GpuSlow,
    LoadFacts,
    MemoryPressure,
    SourceHealth,
)


def checks(machine: Machine, *, in_container: bool = False) -> list[Check]:
    return [*source_checks(machine.pictures, in_container=in_container)]


def check(kind: Kind, machine: Machine, *, in_container: bool = False) -> Check:
    """Return the first check of a kind."""
    return next(one for one in checks(machine, in_container=in_container) if one.kind == kind)


def well(*gpus: Gpu) -> Machine:
    """Return a machine that has a driver and an Ollama without a model."""
    machine = Machine(*gpus)
    machine.driver_version, machine.ollama().version = "570.86", "0.33.0"
    return machine


def without_driver(machine: Machine | None = None) -> Machine:
    machine = machine or Machine()
    machine.gpus, machine.driver, machine.driver_version = [], "absent", None
    machine.driver_detail = "no NVIDIA driver: libnvidia-ml.so.1 not found"
    machine.driver_hint = "install it"
    return machine


def stopped(machine: Machine | None = None) -> Machine:
    machine = machine or well()
    [server] = machine.servers
    server.state, server.detail = "not_running", "connection refused at 127.0.0.1:11434"
    server.hint = "start it with: ollama serve"
    return machine


class TestDriver:
    def test_one_that_answers_is_named_with_its_version(self) -> None:
        found = check("driver", well().look("driver"))
        assert (found.status, found.found, found.step) == ("works", "driver 570.86", None)

    def test_one_that_is_not_there_says_what_to_install(self) -> None:
        found = check("driver", without_driver().look("driver"))
        assert (found.status, found.step) == ("missing", "install it")

    def test_on_a_machine_without_a_gpu_nothing_is_missing(self) -> None:
        machine = well()
        machine.gpus, machine.driver, machine.driver_version = [], "idle", None
        machine.driver_detail = "no GPU in this machine"
        found = check("driver", machine.look("driver", "servers"), in_container=True)
        assert (found.status, found.found, found.step) == ("nothing", "no GPU in this machine", None)

    def test_in_a_container_the_host_must_hand_it_in(self) -> None:
        found = check("driver", without_driver().look("driver"), in_container=True)
        assert found.step is not None
        assert "--gpus all" in found.step

    def test_for_a_gpu_of_another_maker_the_host_need_hand_in_nothing(self) -> None:
        machine = without_driver()
        machine.other_makers, machine.driver_hint = ("AMD",), "what servers say of it is shown"
        found = check("driver", machine.look("driver"), in_container=True)
        assert (found.status, found.step) == ("missing", "what servers say of it is shown")

    def test_a_gpu_whose_processes_are_not_listed_works_in_part(self) -> None:
        found = check("gpu", Machine(Gpu(lists_processes=False)).look("driver"))
        assert found.status == "partly"
        assert "lists no processes" in found.found

    def test_a_lost_gpu_works_in_part_and_says_where_to_look(self) -> None:
        found = check("gpu", Machine(Gpu(state="lost", detail="fell off the bus")).look("driver"))
        assert (found.status, found.step) == ("partly", "look for NVRM in: sudo dmesg")
        assert "fell off the bus" in found.found

    def test_one_of_four_that_cannot_be_opened_is_named_as_missing(self) -> None:
        machine = well(*(Gpu(more={"index": index, "uuid": f"GPU-{index}"}) for index in (0, 2, 3)))
        machine.driver_detail = "GPU 1 cannot be opened: UNKNOWN"
        found = checks(machine.look())
        gpus = [(one.name, one.status) for one in found if one.kind == "gpu"]
        assert gpus == [("GPU 0", "works"), ("GPU 2", "works"), ("GPU 3", "works"), ("GPU 1", "missing")]
        assert report_of(found).exit_code == 1

    def test_a_gpu_in_mig_mode_says_that_nobody_can_be_measured(self) -> None:
        card = Gpu(more={"slow": GpuSlow(mig_mode=True)})
        found = check("gpu", Machine(card).look("driver"))
        assert found.found.endswith("MIG is on: who holds how much is not known")


def test_a_model_is_spoken_of_as_on_every_other_surface() -> None:
    machine = well()
    machine.servers[0].load(Model("qwen3:8b", gpu_gib=4, ram_gib=4))
    found = check("model", machine.look("driver", "servers"))
    [model] = machine.pictures.models()
    assert (found.name, found.status, found.found) == ("qwen3:8b", "partly", model.sentence)


class TestServers:
    def test_one_that_answers_is_named_with_its_version_and_models(self) -> None:
        machine = well()
        machine.servers[0].load(Model())
        found = check("server", machine.look("servers"))
        assert (found.status, found.found) == ("works", "version 0.33.0, 1 model loaded")

    def test_one_that_is_stopped_says_how_to_start_it_or_to_ask_another(self) -> None:
        found = check("server", stopped().look("servers"))
        assert found.status == "missing"
        assert found.step == "start it with: ollama serve; or name another with --url or OLLAMA_HOST"

    def test_in_a_container_loopback_is_another(self) -> None:
        found = check("server", stopped().look("servers"), in_container=True)
        assert found.step is not None
        assert "--network host" in found.step

    def test_one_of_another_user_of_which_nothing_tells_where_it_listens_is_pointed_at(self) -> None:
        hidden = replace(server(10), kind="llama_server", urls=(), user="root")
        machine = well().look("servers").say(processes(1, servers=[hidden]))
        found = [one for one in checks(machine) if one.kind == "server"]
        assert [(one.name, one.status) for one in found[1:]] == [("llama-server of root", "nothing")]
        assert found[1].found.startswith("process 10 runs here; where it listens may not be read")
        assert found[1].step == "gpumon --url http://127.0.0.1:PORT"

    def test_one_whose_port_may_not_be_read_is_not_what_answers_in_its_place(self) -> None:
        health = SourceHealth(state="foreign", detail="its port may not be read", hint="name it")
        said = replace(served(0, state="foreign"), health=health, known_by="process")
        found = check("server", after(said))
        assert (found.status, found.step) == ("nothing", "name it")

    def test_one_that_runs_here_and_is_not_asked_is_pointed_at(self) -> None:
        machine = Machine()
        machine.ollama().is_here = False
        machine.ollama("http://127.0.0.1:9999").is_asked = False
        found = [one for one in checks(machine.look("servers", "processes")) if one.kind == "server"]
        assert [one.step for one in found] == [None, "gpumon --url http://127.0.0.1:9999"]

    def test_one_that_is_asked_under_another_spelling_is_not_pointed_at(self) -> None:
        machine = Machine()
        machine.ollama("http://localhost:11434").is_here = False
        machine.ollama().is_asked = False
        machine.look("servers", "processes")
        assert len([one for one in checks(machine) if one.kind == "server"]) == 1


class TestProcesses:
    def test_what_is_not_readable_names_the_user_who_can_read_it(self) -> None:
        machine = well()
        machine.servers[0].load(Model(figures={"user": "ollama", "unreadable": ("io: permission denied",)}))
        found = check("processes", machine.look("processes"))
        assert found.status == "partly"
        assert found.step is not None
        assert "sudo -u ollama gpumon" in found.step

    def test_processes_that_cannot_be_looked_at_are_missing(self) -> None:
        forbidden = SourceHealth(state="forbidden", detail="/proc: permission denied")
        found = check("processes", after(replace(processes(0), health=forbidden)))
        assert found.found == "/proc: permission denied"


class TestPorts:
    @staticmethod
    def answering(model: Model) -> Machine:
        """Return a machine on which a model's own port has answered."""
        machine = well()
        machine.servers[0].load(model)
        return machine.look("processes").look("ports", at=1)

    def test_without_a_model_there_is_nothing_to_ask(self) -> None:
        assert check("port", well().look("processes")).status == "nothing"

    def test_slots_that_answer_work(self) -> None:
        machine = well()
        model = machine.servers[0].load(Model())
        machine.look("processes")
        model.works(processing=False)
        assert check("port", machine.look("ports", at=1)).status == "works"

    def test_slots_that_are_switched_off_say_the_flag(self) -> None:
        model = Model(port="ready", load_facts=LoadFacts(slots_enabled=False))
        found = check("port", self.answering(model))
        assert (found.status, found.step) == ("partly", "start llama-server with --slots")

    def test_an_older_runner_has_no_rates(self) -> None:
        found = check("port", self.answering(Model(port="ready", kind="ollama_runner")))
        assert found.status == "partly"
        assert found.step is not None
        assert "0.30" in found.step

    def test_a_runner_in_a_container_is_out_of_reach(self) -> None:
        found = check("port", self.answering(Model(port="unreachable")))
        assert found.status == "missing"
        assert found.step is not None
        assert "--network host" in found.step


class TestLogs:
    def test_a_log_that_is_followed_is_named(self) -> None:
        followed = log(0, source="server log"), log(0, source="log /var/log/ollama.log")
        found = check("log", after(*followed))
        assert (found.status, found.found) == ("works", "/var/log/ollama.log")

    def test_a_journal_that_may_not_be_read_says_the_group(self) -> None:
        denied = log(
            0,
            source="log journal ollama",
            state="forbidden",
            detail="journal: permission denied",
            hint="sudo usermod -aG systemd-journal $USER",
        )
        found = check("log", well().look("processes").say(log(0, source="server log"), denied))
        assert (found.status, found.needed) == ("missing", False)
        assert found.step == "sudo usermod -aG systemd-journal $USER"

    def test_without_a_server_there_is_none_to_read(self) -> None:
        absent = log(0, source="server log", state="absent", detail="no server is running")
        assert check("log", after(absent)).status == "nothing"


def test_a_server_in_a_container_that_nobody_asks_is_pointed_at() -> None:
    machine = Machine()
    inside = machine.ollama("http://127.0.0.1:11500", pid=10)
    inside.is_contained, inside.is_asked = True, False
    found = next(one for one in checks(machine.look("processes")) if one.name == "Ollama in a container")
    assert (found.status, found.found) == ("nothing", "process 10 runs here and is not asked")
    assert "the port that the container publishes" in (found.step or "")
    machine.ollama(pid=11)
    machine.look("processes", "servers")
    assert "Ollama in a container" in {one.name for one in checks(machine)}, "that is another"
    published = Machine()
    published.ollama("http://127.0.0.1:11500", pid=10).is_contained = True
    published.look("processes", "servers")
    assert "Ollama in a container" not in {one.name for one in checks(published)}


def test_one_in_a_container_is_named_by_the_port_that_is_known_to_lead_there() -> None:
    machine = Machine()
    inside = machine.ollama("http://127.0.0.1:8010", pid=10)
    inside.is_contained, inside.is_published, inside.is_asked = True, True, False
    names = {one.name: one for one in checks(machine.look("processes"))}
    assert "Ollama in a container" not in names
    assert names["server at 127.0.0.1:8010"].step == "gpumon --url http://127.0.0.1:8010"


def test_without_proc_nobody_is_told_to_boot_otherwise() -> None:
    unmounted = SourceHealth(state="absent", detail="/proc is not mounted", hint="mount it")
    machine = after(replace(processes(0), health=unmounted, servers=None))
    found = {one.name: one for one in checks(machine)}
    assert (found["processes"].status, found["processes"].step) == ("missing", "mount it")
    pressure = found["memory pressure"]
    assert (pressure.found, pressure.step) == ("not known: /proc is not mounted", None)


def test_memory_pressure_that_the_kernel_keeps_works() -> None:
    with_pressure = replace(system(0), pressure=MemoryPressure(some_percent=0.0))
    told = [checks(after(sample)) for sample in (with_pressure, system(0))]
    statuses = [[one.status for one in found if one.kind == "memory"] for found in told]
    assert statuses == [["works", "works"], ["works", "missing"]]


@pytest.mark.parametrize(
    ("machine", "code"),
    [(well(), 0), (without_driver(well()), 1), (without_driver(stopped()), 2)],
    ids=["what is needed works", "something needed is missing", "neither driver nor server"],
)
def test_the_exit_code_says_whether_what_is_needed_works(machine: Machine, code: int) -> None:
    assert report_of(checks(machine.look())).exit_code == code
