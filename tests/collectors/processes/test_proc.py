"""What is read of single files of /proc, and how much of each."""

from __future__ import annotations

import pwd
import subprocess
from pathlib import Path

import pytest
from tests.fakes.processes.namespace import can_be_made, run_inside
from tests.fakes.processes.tree import FakeProc

from gpumon.collectors.processes.details import kibibytes
from gpumon.collectors.processes.owners import Users, is_contained, is_unreachable, owner_id
from gpumon.collectors.processes.proc import Proc, reason

KIB = 1024
COMMAND_LINE_BYTES = 64 * KIB
ENVIRONMENT_BYTES = 256 * KIB


@pytest.fixture
def proc(tree: FakeProc) -> Proc:
    return Proc(tree.root)


def test_of_the_environment_only_pairs_with_a_wanted_name_are_read(tree: FakeProc, proc: Proc) -> None:
    tree.write(100, "environ", b"A=1\0SECRET=2\0B\0C=a=b\0D=\0")
    assert proc.environment(100, {"A", "B", "C", "D"}) == {"A": "1", "C": "a=b", "D": ""}


def test_a_command_line_is_cut_where_it_is_longer_than_the_limit(tree: FakeProc, proc: Proc) -> None:
    tree.write(100, "cmdline", b"a" * COMMAND_LINE_BYTES)
    assert [len(word) for word in proc.command_line(100)] == [COMMAND_LINE_BYTES]
    tree.write(100, "cmdline", b"a" * (COMMAND_LINE_BYTES + 1))
    assert [len(word) for word in proc.command_line(100)] == [COMMAND_LINE_BYTES]


def test_a_variable_at_the_end_of_a_long_environment_is_read(tree: FakeProc, proc: Proc) -> None:
    wanted = b"\0A=1"
    tree.write(100, "environ", b"x" * (ENVIRONMENT_BYTES - len(wanted)) + wanted)
    assert proc.environment(100, {"A"}) == {"A": "1"}
    tree.write(100, "environ", b"x" * ENVIRONMENT_BYTES + wanted)
    assert proc.environment(100, {"A"}) == {}


def test_a_table_is_read_up_to_16_kib(tree: FakeProc, proc: Proc) -> None:
    line = b"A: 1\n"
    tree.write(100, "status", b"x" * (16 * KIB - len(line) - 1) + b"\n" + line)
    assert proc.table(100, "status") == {"A": "1"}
    tree.write(100, "status", b"x" * 16 * KIB + b"\n" + line)
    assert proc.table(100, "status") == {}


def test_lines_of_a_table_without_a_colon_are_passed_over(tree: FakeProc, proc: Proc) -> None:
    tree.write(100, "status", b"Name:\ta:b \nnothing\n")
    assert proc.table(100, "status") == {"Name": "a:b"}


def test_children_of_all_threads_are_listed_and_each_once(tree: FakeProc, proc: Proc) -> None:
    tree.add(100, ("server",))
    tree.adopt(100, 200)
    tree.adopt(100, 201, thread=101)
    assert sorted(proc.children(100)) == [200, 201]


def test_a_thread_that_ends_meanwhile_costs_its_children_only(tree: FakeProc, proc: Proc) -> None:
    tree.add(100, ("server",))
    tree.adopt(100, 200)
    (tree.root / "100/task/101").mkdir()
    assert proc.children(100) == [200]


def test_only_names_that_are_numbers_are_processes(tree: FakeProc, proc: Proc) -> None:
    (tree.root / "12a").mkdir()
    (tree.root / "\u0663").mkdir()
    assert proc.pids() == [1]


def test_a_stat_has_time_in_user_and_in_kernel_mode(tree: FakeProc, proc: Proc) -> None:
    tree.write(100, "stat", b"100 (a) S 7 1 1 0 -1 0 0 0 0 0 30 12 0 0 20 0 9 0 5000")
    stat = proc.stat(100)
    assert (stat.name, stat.state, stat.parent_pid) == ("a", "S", 7)
    assert (stat.cpu_ticks, stat.thread_count, stat.start_ticks) == (42, 9, 5000)


def test_a_stat_that_lacks_a_field_is_refused(tree: FakeProc, proc: Proc) -> None:
    tree.write(100, "stat", b"100 (a) S 7 1 1 0 -1 0 0 0 0 0 30 12 0 0 20 0 9 0")
    with pytest.raises(ValueError, match="cut short"):
        proc.stat(100)


@pytest.mark.parametrize(
    ("state", "alive"), [("R", True), ("S", True), ("D", True), ("Z", False), ("X", False)]
)
def test_zombies_and_the_dead_are_not_alive(tree: FakeProc, proc: Proc, state: str, alive: bool) -> None:
    tree.stat(100, "a", 1, start_ticks=1, state=state)
    assert proc.stat(100).is_alive is alive


def test_a_descriptor_that_is_gone_points_nowhere(tree: FakeProc, proc: Proc) -> None:
    tree.link(100, "fd/3", "socket:[7]")
    tree.write(100, "fd/4", b"no link")
    assert sorted(proc.descriptors(100)) == ["", "socket:[7]"]


def test_the_title_of_a_list_of_sockets_is_left_out(tree: FakeProc, proc: Proc) -> None:
    tree.write(100, "net/tcp", b"title\nfirst\nsecond\n")
    assert proc.sockets(100, "tcp") == ["first", "second"]


def test_an_error_without_words_is_named_by_its_type() -> None:
    assert reason(PermissionError()) == "permissionerror"
    assert reason(PermissionError(13, "Permission denied")) == "permission denied"


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("2 kB", 2048),
        ("0 kB", 0),
        ("2", None),
        ("2 MB", None),
        ("-2 kB", None),
        ("2 kB more", None),
        ("", None),
    ],
)
def test_only_whole_kibibytes_are_a_size(line: str, size: int | None) -> None:
    assert kibibytes({"VmRSS": line}, "VmRSS") == size


class TestOwners:
    """Users and containers."""

    @pytest.mark.parametrize(
        ("line", "user"), [("1\t2\t3\t4", 2), ("1\t2\t3", None), ("1\t-2\t3\t4", None), ("", None)]
    )
    def test_the_effective_user_counts(self, line: str, user: int | None) -> None:
        assert owner_id({"Uid": line}) == user

    def entry(self, home: str) -> pwd.struct_passwd:
        return pwd.struct_passwd(("anna", "x", 1, 1, "", home, ""))

    def test_each_user_is_looked_up_once(self) -> None:
        asked: list[int] = []

        def look_up(user_id: int) -> pwd.struct_passwd:
            asked.append(user_id)
            return self.entry("/home/anna")

        users = Users(look_up)
        assert users.owner({"Uid": "1 1 1 1"}) == "anna"
        assert users.home(1) == Path("/home/anna")
        assert asked == [1]

    @pytest.mark.parametrize("error", [KeyError, OSError, OverflowError])
    def test_one_who_cannot_be_looked_up_is_a_number_without_a_home(self, error: type[Exception]) -> None:
        asked: list[int] = []

        def look_up(user_id: int) -> pwd.struct_passwd:
            asked.append(user_id)
            raise error

        users = Users(look_up)
        assert users.owner({"Uid": "7 7 7 7"}) == "7"
        assert users.home(7) is None
        assert asked == [7]

    def test_without_an_owner_there_is_no_name(self) -> None:
        assert Users(lambda _: self.entry("/")).owner({}) is None

    def test_an_empty_home_is_none(self) -> None:
        assert Users(lambda _: self.entry("")).home(1) is None

    @pytest.mark.parametrize(("namespace", "contained"), [("pid:[1]", False), ("pid:[2]", True)])
    def test_another_pid_namespace_is_a_container(
        self, tree: FakeProc, proc: Proc, namespace: str, contained: bool
    ) -> None:
        tree.add(100, ("a",))
        tree.link(100, "ns/pid", namespace)
        assert is_contained(proc, 100, proc.table(100, "status")) is contained

    def test_an_inner_pid_is_one_where_the_namespace_may_not_be_read(
        self, tree: FakeProc, proc: Proc
    ) -> None:
        tree.add(100, ("a",), namespace_pids=[7])
        tree.add(101, ("a",))
        found = [is_contained(proc, pid, proc.table(pid, "status")) for pid in (100, 101)]
        assert found == [True, False]
        assert [is_unreachable(proc, pid, proc.table(pid, "status")) for pid in (100, 101)] == [True, False]

    @pytest.mark.skipif(not can_be_made(), reason="no network namespace can be made")
    def test_the_table_of_sockets_of_another_namespace_is_another_file(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a namespace is may be read of one's own processes only; this of all."""

        def refuse(proc: Proc, pid: int | str, name: str) -> str:
            raise PermissionError(name)

        monkeypatch.setattr(Proc, "link", refuse)
        contained = run_inside(lambda: subprocess.Popen(["sleep", "60"]))
        beside = subprocess.Popen(["sleep", "60"])
        try:
            proc, inner = Proc(), {"NSpid": "9 1"}
            assert is_unreachable(proc, contained.pid, {})
            assert not is_unreachable(proc, beside.pid, inner), "a container with the network of its host"
        finally:
            for one in (contained, beside):
                one.kill()
                one.wait()
