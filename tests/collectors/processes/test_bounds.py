"""Where the cost of a look ends: pauses, generations, lengths, each from both of its sides."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.collectors.processes.test_finder import Looking, runners_of, servers_of
from tests.collectors.processes.test_manifests import HOME, manifest, read, store
from tests.collectors.processes.test_server_details import ANY, Reading, listen, socket_line
from tests.fakes.processes.tree import BOOT_TIME, OLLAMA_SERVE, FakeProc, llama_server

from gpumon.collectors.processes.finder import NO_CHILDREN_SECONDS, REFRESH_SECONDS, SEARCH_SECONDS
from gpumon.collectors.processes.holders import HolderReader, holder_group, holder_name
from gpumon.collectors.processes.manifests import MANIFEST_BYTES
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.samples import HolderProcess


@pytest.fixture
def looking(tree: FakeProc) -> Looking:
    return Looking(tree)


class TestWalks:
    """When all processes are gone through."""

    def test_without_a_server_as_soon_as_the_search_is_due_and_no_sooner(
        self, tree: FakeProc, looking: Looking
    ) -> None:
        looking.look()
        tree.add(100, OLLAMA_SERVE)
        assert servers_of(looking.look(after=SEARCH_SECONDS - 1)) == {}
        assert servers_of(looking.look(after=1)) == {100: "ollama"}

    def test_with_a_server_as_soon_as_the_refresh_is_due_and_no_sooner(
        self, tree: FakeProc, looking: Looking
    ) -> None:
        tree.add(100, OLLAMA_SERVE)
        looking.look()
        tree.add(101, ("llama-swap", "--config", "/c"))
        assert set(servers_of(looking.look(after=REFRESH_SECONDS - 1))) == {100}
        assert set(servers_of(looking.look(after=1))) == {100, 101}

    def test_where_children_are_not_listed_no_sooner_than_its_pause(
        self, tree: FakeProc, looking: Looking
    ) -> None:
        tree.add(100, OLLAMA_SERVE, children_listed=False)
        looking.look()
        tree.add(200, llama_server(), parent=100, children_listed=False)
        assert runners_of(looking.look(after=NO_CHILDREN_SECONDS - 1)) == {}
        assert runners_of(looking.look(after=1)) == {200: 100}

    def test_a_kernel_that_lists_children_after_all_is_walked_seldom_again(
        self, tree: FakeProc, looking: Looking
    ) -> None:
        tree.add(100, OLLAMA_SERVE, children_listed=False)
        looking.look()
        tree.write(100, "task/100/children", b"")
        looking.look()
        looking.look(after=NO_CHILDREN_SECONDS)
        assert looking.proc.walks == 1


class TestGenerations:
    """How far below a server its runners are looked for."""

    def chain(self, tree: FakeProc, looking: Looking, length: int) -> dict[int, int | None]:
        """Return the runners found below as many wrappers."""
        tree.add(100, OLLAMA_SERVE)
        looking.look()
        for pid in range(101, 101 + length):
            tree.add(pid, ("/bin/sh", str(pid)), parent=pid - 1)
        tree.add(500, llama_server(), parent=100 + length)
        return runners_of(looking.look())

    def test_one_sixteen_generations_below_is_found(self, tree: FakeProc, looking: Looking) -> None:
        assert set(self.chain(tree, looking, 15)) == {500}

    def test_one_further_below_is_not(self, tree: FakeProc, looking: Looking) -> None:
        assert self.chain(tree, looking, 16) == {}

    def test_as_many_as_the_limit_are_gone_through(self, tree: FakeProc, looking: Looking) -> None:
        tree.add(100, OLLAMA_SERVE)
        looking.look()
        for pid in range(1000, 1300):
            tree.add(pid, ("/bin/true",), parent=100)
        looking.look()
        assert len({pid for pid in looking.proc.looked_at if pid >= 1000}) == 255

    def test_children_of_a_runner_are_its_own_affair(self, tree: FakeProc, looking: Looking) -> None:
        tree.add(100, OLLAMA_SERVE)
        tree.add(200, llama_server(), parent=100)
        looking.look()
        tree.add(300, llama_server(port=7), parent=200)
        assert runners_of(looking.look()) == {200: 100}


class TestHolders:
    """Names of who else is on a GPU."""

    def test_a_name_is_cut_only_where_it_is_as_long_as_the_kernel_allows(self) -> None:
        assert holder_name("abcdefghijklmno", ["abcdefghijklmnopq"]) == "abcdefghijklmnopq"
        assert holder_name("abcdefghijklmn", ["abcdefghijklmnopq"]) == "abcdefghijklmn"

    def test_a_name_that_is_another_is_kept(self) -> None:
        assert holder_name("VLLM::EngineCor", ["python3"]) == "VLLM::EngineCor"

    def test_the_path_of_a_script_is_looked_through_up_to_a_length(self) -> None:
        near, far = "/" + "x" * 507 + "vllm", "/" + "x" * 508 + "vllm"
        groups = [holder_group("python3", ["python3", path], None, contained=False) for path in (near, far)]
        assert groups == ["runtime", "other"]

    def test_options_of_an_interpreter_that_have_a_value_do_not_hide_the_script(self) -> None:
        argv = ["python3", "-W", "ignore", "-X", "dev", "-u", "vllm.py"]
        assert holder_group("python3", argv, None, contained=False) == "runtime"
        assert holder_group("python3", ["python3", "-W", "vllm", "x.py"], None, contained=False) == "other"

    def test_one_that_hides_its_command_line_keeps_its_name(self, tree: FakeProc) -> None:
        tree.add(50, ("blender",))
        (tree.root / "50/cmdline").unlink()
        assert HolderReader(Proc(tree.root)).read([50], 0.0) == (
            HolderProcess(pid=50, started=BOOT_TIME + 50.0, name="blender", group="other"),
        )

    def test_they_stand_in_order_of_pid(self, tree: FakeProc) -> None:
        for pid in (50, 60, 40):
            tree.add(pid, ("x",))
        assert [one.pid for one in HolderReader(Proc(tree.root)).read([60, 40, 50], 0.0)] == [40, 50, 60]

    def test_a_pid_used_again_is_named_anew(self, tree: FakeProc) -> None:
        tree.add(50, ("blender",), start_ticks=1)
        reader = HolderReader(Proc(tree.root))
        reader.read([50], 0.0)
        tree.end(50)
        tree.add(50, ("firefox",), start_ticks=2)
        [found] = reader.read([50], 1.0)
        assert (found.name, found.group) == ("firefox", "browser")

    def test_the_working_directory_tells_what_a_python_program_is(self, tree: FakeProc) -> None:
        tree.add(50, ("python3", "main.py"))
        tree.link(50, "cwd", "/home/anna/ComfyUI")
        assert HolderReader(Proc(tree.root)).read([50], 0.0)[0].group == "runtime"


@pytest.mark.parametrize(("user_id", "port"), [(999, 9000), (1000, 11434), (1, 9000), (0, 11434)])
def test_the_only_socket_of_a_user_is_believed_of_services_alone(
    tree: FakeProc, user_id: int, port: int
) -> None:
    tree.add(100, OLLAMA_SERVE, user_id=user_id)
    listen(tree, socket_line(ANY, 9000, 1, user_id=user_id))
    assert Reading(tree).read().urls == (f"http://127.0.0.1:{port}",)


@pytest.mark.parametrize(("more", "names"), [(0, ["qwen3:8b"]), (1, [])])
def test_a_manifest_is_read_up_to_2_mib(tmp_path: Path, more: int, names: list[str]) -> None:
    assert MANIFEST_BYTES == 2 * 1024 * 1024
    raw = manifest()
    store(tmp_path, f"{HOME}/qwen3/8b", raw + b" " * (MANIFEST_BYTES - len(raw) + more))
    assert list(read(tmp_path).digests) == names
