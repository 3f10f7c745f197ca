"""Where logs are looked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.collectors.server_log.support import server

from gpumon.collectors.samples import ServerProcess
from gpumon.collectors.server_log.follower import Place
from gpumon.collectors.server_log.source import find_places, nothing_found

PID = 77


@dataclass
class Machine:
    """A home and a ``/proc`` of our own making."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    def write(self, name: str, modified: float = 1000.0) -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
        os.utime(file, (modified, modified))
        return file

    def output(self, target: Path | str, pid: int = PID, output: int = 2) -> None:
        link = self.root / "proc" / str(pid) / "fd" / str(output)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def control_group(self, group: str, pid: int = PID) -> None:
        self.write(f"proc/{pid}/cgroup").write_text(f"0::{group}\n")

    def places(self, *servers: ServerProcess, named: tuple[Path, ...] = ()) -> list[Place]:
        usual = [self.root / "var" / "log" / "ollama.log"]
        return list(find_places(servers, named, self.home, self.root / "proc", usual))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_files_that_the_user_names_are_the_only_ones(machine: Machine) -> None:
    machine.write("home/.ollama/logs/server.log")
    named = machine.root / "mine.log"
    assert machine.places(server(PID), named=(named,)) == [Place(named, named=True)], (
        "even one that is not there yet"
    )


def test_the_file_that_a_server_writes_to_is_found(machine: Machine) -> None:
    file = machine.write("somewhere.log", modified=1.0)
    machine.output(file, output=1)
    machine.output(file, output=2)
    assert machine.places(server(PID)) == [Place(file)]


def test_a_server_that_writes_to_a_terminal_or_a_socket_has_no_file(machine: Machine) -> None:
    machine.output("/dev/null", output=1)
    machine.output("socket:[123]", output=2)
    assert machine.places(server(PID)) == []


def test_a_file_that_was_deleted_has_no_name(machine: Machine) -> None:
    machine.output(f"{machine.root}/gone.log (deleted)")
    assert machine.places(server(PID)) == []


def test_the_desktop_apps_log_is_found_if_this_server_wrote_it(machine: Machine) -> None:
    file = machine.write("home/.ollama/logs/server.log", modified=1000)
    assert machine.places(server(started=900)) == [Place(file)]
    assert machine.places(server(started=1100)) == [], "of an earlier run"


def test_with_no_server_known_a_usual_file_is_followed_from_its_end(machine: Machine) -> None:
    file = machine.write("var/log/ollama.log")
    assert machine.places() == [Place(file, from_end=True)]


def test_the_log_next_to_the_models_is_found(machine: Machine) -> None:
    file = machine.write("other/.ollama/logs/server.log")
    models = machine.root / "other" / ".ollama" / "models"
    assert machine.places(server(models_path=str(models))) == [Place(file)]


def test_one_file_under_two_names_is_followed_once(machine: Machine) -> None:
    file = machine.write("home/.ollama/logs/server.log")
    (machine.root / "var" / "log").mkdir(parents=True)
    (machine.root / "var" / "log" / "ollama.log").symlink_to(file)
    assert machine.places(server(started=900)) == [Place(file)]


def test_a_service_has_the_journal(machine: Machine) -> None:
    machine.control_group("/system.slice/ollama.service")
    (place,) = machine.places(server(PID, started=900.0))
    assert place.source == "log journal ollama"
    assert place.since == pytest.approx(900, abs=5)


@pytest.mark.parametrize(
    "group",
    ["/user.slice/session-1.scope", "/user.slice/user@1000.service/app.slice/ollama.service", "/"],
)
def test_what_is_no_service_of_the_system_has_no_journal(machine: Machine, group: str) -> None:
    machine.control_group(group)
    assert machine.places(server(PID)) == []


def test_a_service_that_writes_to_a_file_has_no_journal(machine: Machine) -> None:
    machine.control_group("/system.slice/ollama.service")
    file = machine.write("somewhere.log")
    machine.output(file)
    assert machine.places(server(PID)) == [Place(file)]


def test_the_log_of_a_server_in_a_container_is_read_where_it_can_be(machine: Machine) -> None:
    machine.output(machine.write("bind-mounted.log"), output=2)
    contained = server(PID, other_namespace=True)
    assert machine.places(contained) == [Place(machine.root / "bind-mounted.log")]


def test_the_log_that_docker_keeps_of_a_container_is_read(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = "0123456789abcdef" * 4
    kept = machine.write(f"docker/{container}/{container}-json.log")
    pattern = f"{machine.root}/docker/{{container}}/{{container}}-json.log"
    monkeypatch.setattr(
        "gpumon.collectors.server_log.source.CONTAINER_LOGS", (pattern, "/nowhere/{container}")
    )
    machine.control_group(f"/system.slice/docker-{container}.scope")
    machine.output("pipe:[77]")
    assert machine.places(server(PID, other_namespace=True)) == [Place(kept)]
    machine.control_group("/system.slice/ollama.service")
    assert machine.places(server(PID, other_namespace=True)) == []


def test_of_a_container_without_such_a_file_it_is_said(machine: Machine) -> None:
    machine.output("pipe:[77]")
    contained = server(PID, other_namespace=True)
    assert machine.places(contained) == []
    assert "container" in str(nothing_found([contained]).detail)


def test_what_is_missing_is_said_with_the_next_step() -> None:
    assert nothing_found([]).state == "absent"
    health = nothing_found([server()])
    assert health.hint is not None
    assert "> FILE 2>&1" in health.hint
