"""What the doctor says of each source."""

from __future__ import annotations

from msgspec.structs import replace
from tests.app.alerts.watching import watch
from tests.fakes.process_samples import answer, holding, processes, runner, server
from tests.fakes.samples import START, claim, gpu, nvml, ollama, system

from gpumon.app.doctor.check import Check, Kind, report_of
from gpumon.app.doctor.sources import source_checks
from gpumon.collectors.samples import (
    AnySample,
    GpuSlow,
    LoadFacts,
    LogSample,
    MemoryPressure,
    NvmlSample,
    ServerSample,
    SourceHealth,
)

URL = "http://127.0.0.1:11434"
NO_DRIVER = SourceHealth(
    state="absent", detail="no NVIDIA driver: libnvidia-ml.so.1 not found", hint="install it"
)
DRIVER = replace(nvml(0, holding(gpu(), {})), driver_version="570.86")
STOPPED = SourceHealth(
    state="not_running", detail="connection refused at 127.0.0.1:11434", hint="start it with: ollama serve"
)


def checks(*samples: AnySample, in_container: bool = False) -> list[Check]:
    return [*source_checks(watch(*samples).pictures, in_container=in_container)]


def check(kind: Kind, *samples: AnySample, in_container: bool = False) -> Check:
    """Return the first check of a kind."""
    return next(one for one in checks(*samples, in_container=in_container) if one.kind == kind)


def no_driver() -> NvmlSample:
    return NvmlSample(time=START, source="nvml", health=NO_DRIVER)


def log(health: SourceHealth, source: str = "server log") -> LogSample:
    return LogSample(time=START, source=source, health=health)


class TestDriver:
    def test_one_that_answers_is_named_with_its_version(self) -> None:
        found = check("driver", DRIVER)
        assert (found.status, found.found, found.step) == ("works", "driver 570.86", None)

    def test_one_that_is_not_there_says_what_to_install(self) -> None:
        found = check("driver", no_driver())
        assert (found.status, found.step) == ("missing", "install it")

    def test_on_a_machine_without_a_gpu_nothing_is_missing(self) -> None:
        health = SourceHealth(state="idle", detail="no GPU in this machine")
        found = check(
            "driver", NvmlSample(time=START, source="nvml", health=health), ollama(0, []), in_container=True
        )
        assert (found.status, found.found, found.step) == ("nothing", "no GPU in this machine", None)

    def test_in_a_container_the_host_must_hand_it_in(self) -> None:
        found = check("driver", no_driver(), in_container=True)
        assert found.step is not None
        assert "--gpus all" in found.step

    def test_a_gpu_whose_processes_are_not_listed_works_in_part(self) -> None:
        found = check("gpu", nvml(0, replace(gpu(), processes=None)))
        assert found.status == "partly"
        assert "lists no processes" in found.found

    def test_a_lost_gpu_works_in_part_and_says_where_to_look(self) -> None:
        found = check("gpu", nvml(0, gpu(state="lost", detail="fell off the bus")))
        assert (found.status, found.step) == ("partly", "look for NVRM in: sudo dmesg")
        assert "fell off the bus" in found.found

    def test_one_of_four_that_cannot_be_opened_is_named_as_missing(self) -> None:
        three = [holding(gpu(index), {}) for index in (0, 2, 3)]
        driver = replace(nvml(0, *three, detail="GPU 1 cannot be opened: UNKNOWN"), driver_version="570.86")
        found = checks(driver, ollama(0), system(0), processes(0))
        gpus = [(one.name, one.status) for one in found if one.kind == "gpu"]
        assert gpus == [("GPU 0", "works"), ("GPU 2", "works"), ("GPU 3", "works"), ("GPU 1", "missing")]
        assert report_of(found).exit_code == 1

    def test_a_gpu_in_mig_mode_says_that_nobody_can_be_measured(self) -> None:
        slow = GpuSlow(mig_mode=True)
        found = check("gpu", nvml(0, replace(holding(gpu(), {}), slow=slow)))
        assert found.found.endswith("MIG is on: who holds how much is not known")


def test_a_model_is_spoken_of_as_on_every_other_surface() -> None:
    samples = (DRIVER, ollama(0, [claim("qwen3:8b", gpu_gib=4, ram_gib=4)]))
    found = check("model", *samples)
    [model] = watch(*samples).pictures.models()
    assert (found.name, found.status, found.found) == ("qwen3:8b", "partly", model.sentence)


class TestServers:
    def test_one_that_answers_is_named_with_its_version_and_models(self) -> None:
        found = check("server", replace(ollama(0, [claim()]), version="0.33.0"))
        assert (found.status, found.found) == ("works", "version 0.33.0, 1 model loaded")

    def test_one_that_is_stopped_says_how_to_start_it_or_to_ask_another(self) -> None:
        found = check("server", ServerSample(kind="ollama", time=START, source=URL, health=STOPPED))
        assert found.status == "missing"
        assert found.step == "start it with: ollama serve; or name another with --url or OLLAMA_HOST"

    def test_in_a_container_loopback_is_another(self) -> None:
        found = check(
            "server", ServerSample(kind="ollama", time=START, source=URL, health=STOPPED), in_container=True
        )
        assert found.step is not None
        assert "--network host" in found.step

    def test_one_whose_port_may_not_be_read_is_not_what_answers_in_its_place(self) -> None:
        health = SourceHealth(state="foreign", detail="its port may not be read", hint="name it")
        said = ServerSample(kind="llama_server", time=START, source=URL, health=health, known_by="process")
        found = check("server", said)
        assert (found.status, found.step) == ("nothing", "name it")

    def test_one_that_runs_here_and_is_not_asked_is_pointed_at(self) -> None:
        samples = (ollama(0, []), processes(1, servers=[server(10, "http://127.0.0.1:9999")]))
        found = [one for one in checks(*samples) if one.kind == "server"]
        assert [one.step for one in found] == [None, "gpumon --url http://127.0.0.1:9999"]

    def test_one_that_is_asked_under_another_spelling_is_not_pointed_at(self) -> None:
        samples = (ollama(0, [], source="http://localhost:11434"), processes(1, servers=[server(10, URL)]))
        assert len([one for one in checks(*samples) if one.kind == "server"]) == 1


class TestProcesses:
    def test_what_is_not_readable_names_the_user_who_can_read_it(self) -> None:
        hidden = replace(runner(), user="ollama", unreadable=("io: permission denied",))
        found = check("processes", processes(0, hidden))
        assert found.status == "partly"
        assert found.step is not None
        assert "sudo -u ollama gpumon" in found.step

    def test_processes_that_cannot_be_looked_at_are_missing(self) -> None:
        forbidden = SourceHealth(state="forbidden", detail="/proc: permission denied")
        assert check("processes", replace(processes(0), health=forbidden)).found == "/proc: permission denied"


class TestPorts:
    def test_without_a_model_there_is_nothing_to_ask(self) -> None:
        assert check("port", processes(0)).status == "nothing"

    def test_slots_that_answer_work(self) -> None:
        assert check("port", processes(0, runner()), answer(1, processing=False)).status == "works"

    def test_slots_that_are_switched_off_say_the_flag(self) -> None:
        off = replace(answer(1), facts=LoadFacts(slots_enabled=False))
        found = check("port", processes(0, runner()), off)
        assert (found.status, found.step) == ("partly", "start llama-server with --slots")

    def test_an_older_runner_has_no_rates(self) -> None:
        found = check("port", processes(0, runner(kind="ollama_runner")), answer(1))
        assert found.status == "partly"
        assert found.step is not None
        assert "0.30" in found.step

    def test_a_runner_in_a_container_is_out_of_reach(self) -> None:
        found = check("port", processes(0, runner()), answer(1, "unreachable"))
        assert found.status == "missing"
        assert found.step is not None
        assert "--network host" in found.step


class TestLogs:
    def test_a_log_that_is_followed_is_named(self) -> None:
        serving = SourceHealth(state="serving")
        found = check("log", log(serving), log(serving, "log /var/log/ollama.log"))
        assert (found.status, found.found) == ("works", "/var/log/ollama.log")

    def test_a_journal_that_may_not_be_read_says_the_group(self) -> None:
        denied = SourceHealth(
            state="forbidden",
            detail="journal: permission denied",
            hint="sudo usermod -aG systemd-journal $USER",
        )
        found = check(
            "log", processes(0), log(SourceHealth(state="serving")), log(denied, "log journal ollama")
        )
        assert (found.status, found.needed) == ("missing", False)
        assert found.step == "sudo usermod -aG systemd-journal $USER"

    def test_without_a_server_there_is_none_to_read(self) -> None:
        assert (
            check("log", log(SourceHealth(state="absent", detail="no server is running"))).status == "nothing"
        )


def test_a_server_in_a_container_that_nobody_asks_is_pointed_at() -> None:
    inside = processes(0, servers=[server(10, other_namespace=True)])
    found = next(one for one in checks(inside) if one.name == "Ollama in a container")
    assert (found.status, found.found) == ("nothing", "process 10 runs here and is not asked")
    assert "the port that the container publishes" in (found.step or "")
    published = ollama(0, [], source="http://127.0.0.1:11500")
    assert "Ollama in a container" not in {one.name for one in checks(inside, published)}
    own = processes(0, servers=[server(10, other_namespace=True), server(11)])
    assert "Ollama in a container" in {one.name for one in checks(own, ollama(0, []))}, "that is another"


def test_without_proc_nobody_is_told_to_boot_otherwise() -> None:
    unmounted = SourceHealth(state="absent", detail="/proc is not mounted", hint="mount it")
    found = {one.name: one for one in checks(replace(processes(0), health=unmounted, servers=None))}
    assert (found["processes"].status, found["processes"].step) == ("missing", "mount it")
    pressure = found["memory pressure"]
    assert (pressure.found, pressure.step) == ("not known: /proc is not mounted", None)


def test_memory_pressure_that_the_kernel_keeps_works() -> None:
    with_pressure = replace(system(0), pressure=MemoryPressure(some_percent=0.0))
    assert [one.status for one in checks(with_pressure) if one.kind == "memory"] == ["works", "works"]
    assert [one.status for one in checks(system(0)) if one.kind == "memory"] == ["works", "missing"]


class TestExitCode:
    WELL: tuple[AnySample, ...] = (DRIVER, ollama(0, []), processes(0), system(0))

    def code(self, *samples: AnySample) -> int:
        return report_of(checks(*samples)).exit_code

    def test_0_is_that_what_is_needed_works(self) -> None:
        assert self.code(*self.WELL) == 0

    def test_1_is_that_something_needed_is_missing(self) -> None:
        assert self.code(no_driver(), *self.WELL[1:]) == 1

    def test_2_is_neither_driver_nor_server(self) -> None:
        stopped = ServerSample(kind="ollama", time=START, source=URL, health=STOPPED)
        assert self.code(no_driver(), stopped, *self.WELL[2:]) == 2
