"""Processes that are one model where only they tell of it: shards, workers, ranks, and whom they start."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.processes.tree import FakeProc

from gpumon.collectors.processes.finder import UNSETTLED_SECONDS, Finder, Found, Runner
from gpumon.collectors.processes.members import model_files, ports
from gpumon.collectors.processes.proc import Proc

LAUNCHER = ("text-generation-launcher", "--json-output")
ROUTER = ("text-generation-router", "--max-concurrent-requests", "128")
SHARD = ("/usr/bin/python3", "/opt/text-generation-server", "serve", "google/gemma-2b", "--sharded")
WEBUI = ("/w/bin/python", "/w/text-generation-webui/server.py", "--api")
LLAMA_SERVER = ("/w/llama-server", "--model", "/m/a.gguf", "--port", "5001")
SPAWNED = ("/v/bin/python", "-c", "from multiprocessing.spawn import spawn_main", "--multiprocessing-fork")


class Looking:
    """A finder on a tree, and the time."""

    def __init__(self, tree: FakeProc) -> None:
        self.finder = Finder(Proc(tree.root))
        self.now = 0.0

    def look(self, *gpu_pids: int, after: float = 1.0) -> Found:
        self.now += after
        return self.finder.look(frozenset(gpu_pids), self.now)

    def only(self, *gpu_pids: int, after: float = 1.0) -> Runner:
        [runner] = self.look(*gpu_pids, after=after).runners
        return runner


@pytest.fixture
def looking(tree: FakeProc) -> Looking:
    return Looking(tree)


def workers_of(found: Found) -> dict[int, list[int]]:
    return {runner.pid: [one.pid for one in runner.workers] for runner in found.runners}


def maps(*paths: str) -> bytes:
    """Return the map of a process that has files mapped, each after the first twice as large."""
    lines = (
        f"7f{at:02x}00000000-7f{at:02x}{2**at * 4096:08x} r--s 00000000 08:01 {at}     {path}"
        for at, path in enumerate(paths)
    )
    return "\n".join([*lines, "7fff00000000-7fff00001000 rw-p 00000000 00:00 0   [stack]"]).encode()


def listens(tree: FakeProc, pid: int, port: int) -> None:
    """Have a process listen on a port of the loopback address."""
    row = f"   0: 0100007F:{port:04X} 00000000:0000 0A 0:0 00:00000000 00000000  1000        0 {pid}77 1 0\n"
    tree.write(pid, "net/tcp", b"  sl  local_address rem_address   st\n" + row.encode())
    tree.link(pid, "fd/3", f"socket:[{pid}77]")


def test_the_shards_of_a_launcher_are_its_own_and_name_its_model(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, LAUNCHER)
    tree.add(101, SHARD, parent=100)
    tree.add(102, (*SHARD, "--master-rank"), parent=100)
    tree.add(103, ROUTER, parent=100)
    found = looking.look(101, 102)
    assert workers_of(found) == {100: [101, 102]}
    assert found.runners[0].settings.model_name == "google/gemma-2b", "its own is in its environment"


def test_the_order_in_which_they_are_seen_does_not_matter(tree: FakeProc, looking: Looking) -> None:
    tree.add(900, LAUNCHER)
    tree.add(101, SHARD, parent=900)
    assert workers_of(looking.look(101)) == {900: [101]}
    assert workers_of(looking.look(101)) == {900: [101]}


def test_whatever_is_on_a_gpu_below_one_belongs_to_it(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, ("lmdeploy", "serve", "api_server", "internlm/Intern-S1", "--tp", "2"))
    tree.add(101, SPAWNED, parent=100)
    tree.add(102, SPAWNED, parent=101)
    tree.add(103, SPAWNED, parent=100)
    assert workers_of(looking.look(101, 102)) == {100: [101, 102]}, "the third is on no GPU"


def test_the_ranks_of_one_launch_are_one(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, ("mpirun", "-n", "2", "trtllm-serve", "m/x"))
    tree.add(101, ("trtllm-serve", "m/x"), parent=100)
    tree.add(102, ("trtllm-serve", "m/x"), parent=100)
    assert workers_of(looking.look(101, 102)) == {101: [102]}


def test_two_of_one_kind_that_nobody_has_started_together_are_two(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, ("trtllm-serve", "m/x", "--port", "8000"))
    tree.add(101, ("trtllm-serve", "m/x", "--port", "8001"))
    assert workers_of(looking.look(100, 101)) == {100: [], 101: []}


def test_one_gives_way_to_a_child_that_tells_more(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, WEBUI)
    tree.add(101, LLAMA_SERVER, parent=100)
    runner = looking.only(100, 101)
    assert (runner.pid, runner.kind, runner.workers) == (101, "llama_server", ())


def test_it_comes_back_when_the_child_has_ended(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, WEBUI)
    tree.add(101, LLAMA_SERVER, parent=100)
    looking.look(100, 101)
    tree.end(101)
    assert looking.only(100).pid == 100


def test_one_that_names_no_model_and_is_on_no_gpu_holds_none(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, WEBUI)
    assert looking.look().runners == ()
    assert looking.only(100).pid == 100


def test_one_that_names_its_model_is_there_without_a_gpu(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, ("python", "-m", "llama_cpp.server", "--model", "/m/a.gguf"))
    assert looking.only().settings.model_path == "/m/a.gguf"


def test_a_model_that_is_loaded_later_is_found_by_its_file(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, WEBUI)
    tree.write(100, "maps", maps("/usr/lib/libc.so.6"))
    tree.write(100, "fd/.kept", b"")
    assert looking.only(100).settings.model_path is None
    tree.write(100, "maps", maps("/m/a.gguf", "/usr/lib/libtorch.so"))
    assert looking.only(100, after=UNSETTLED_SECONDS).settings.model_path == "/m/a.gguf"
    tree.write(100, "maps", maps("/m/b.gguf"))
    assert looking.only(100, after=UNSETTLED_SECONDS).settings.model_path == "/m/b.gguf", "it loads another"
    tree.write(100, "maps", maps())
    assert looking.only(100, after=UNSETTLED_SECONDS).settings.model_path == "/m/b.gguf", "what was seen last"


def test_a_python_program_becomes_a_server_once_it_listens(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, ("python", "app.py"))
    tree.write(100, "maps", maps("/m/Qwen3-8B/model.safetensors"))
    tree.write(100, "fd/.kept", b"")
    assert looking.look(100).runners == ()
    listens(tree, 100, 8000)
    (tree.root / "100/fd/.kept").unlink()
    runner = looking.only(100, after=UNSETTLED_SECONDS)
    assert (runner.kind, runner.settings.model_name, runner.settings.port) == ("python", "Qwen3-8B", 8000)


def test_what_may_not_be_looked_into_holds_nothing_that_is_known(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, ("python", "app.py"))
    assert looking.look(100).runners == ()


def test_the_largest_of_its_model_files_comes_first(tree: FakeProc) -> None:
    tree.add(100, ("python", "app.py"))
    draft, main = "/m/draft.gguf", "/m/main.gguf"
    tree.write(100, "maps", maps("/usr/lib/libc.so.6", draft, main))
    blob = "/h/models--Qwen--Qwen3-8B/blobs/69f7"
    tree.link(100, "fd/5", blob)
    tree.link(100, "fd/6", "/tmp/notes.txt")
    assert list(model_files(Proc(tree.root), 100)) == [main, draft, blob]


def test_a_map_that_makes_no_sense_names_nothing(tmp_path: Path) -> None:
    tree = FakeProc(tmp_path / "proc")
    tree.add(100, ("python",))
    tree.write(100, "maps", b"\xff\xfe nonsense\nzz-yy r--p 0 0 0 /m/a.gguf\n" + b"7f-80 r--p 0 0 0 relative")
    tree.link(100, "fd/0", "/dev/null")
    assert model_files(Proc(tree.root), 100) == []


def test_the_ports_of_a_process_are_those_of_its_own_sockets(tree: FakeProc) -> None:
    tree.add(100, ("python",))
    listens(tree, 100, 8000)
    assert ports(Proc(tree.root), 100) == [8000]
    assert ports(Proc(tree.root), 1) == ()
