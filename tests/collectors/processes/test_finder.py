"""Servers and runners are found, followed and let go, at a bounded cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.processes.tree import OLLAMA_SERVE, OTHER_BLOB, CountingProc, FakeProc, llama_server
from tests.fakes.toy_kind import ToyKind

from gpumon.collectors.processes.finder import (
    NO_CHILDREN_SECONDS,
    REFRESH_SECONDS,
    SEARCH_SECONDS,
    Finder,
    Found,
)
from gpumon.collectors.servers.registry import BUILT_IN, Registry
from gpumon.collectors.servers.talk import ProcessView

NOTHING: frozenset[int] = frozenset()


class Looking:
    """A finder on a tree, and the time."""

    def __init__(self, tree: FakeProc) -> None:
        self.proc = CountingProc(tree.root)
        self.finder = Finder(self.proc)
        self.now = 0.0

    def look(self, *gpu_pids: int, after: float = 1.0) -> Found:
        self.now += after
        self.proc.looked_at.clear()
        return self.finder.look(frozenset(gpu_pids), self.now)


@pytest.fixture
def looking(tree: FakeProc) -> Looking:
    return Looking(tree)


def runners_of(found: Found) -> dict[int, int | None]:
    """Return each runner's server."""
    return {runner.pid: runner.server_pid for runner in found.runners}


def servers_of(found: Found) -> dict[int, str]:
    return {server.pid: server.kind for server in found.servers}


def test_a_server_and_its_runners_are_found_at_the_first_look(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE)
    tree.add(200, llama_server(), parent=100)
    tree.add(201, llama_server(OTHER_BLOB), parent=100)
    found = looking.look()
    assert servers_of(found) == {100: "ollama"}
    assert runners_of(found) == {200: 100, 201: 100}


def test_a_new_runner_is_found_by_the_next_look_without_a_walk(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE)
    looking.look()
    tree.add(200, llama_server(), parent=100)
    assert runners_of(looking.look()) == {200: 100}
    assert looking.proc.walks == 1


def test_a_runner_started_by_any_thread_of_its_server_is_found(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE)
    looking.look()
    tree.add(200, llama_server(), parent=100)
    tree.write(100, "task/100/children", b"")
    tree.adopt(100, 200, thread=107)
    assert runners_of(looking.look()) == {200: 100}


def test_a_runner_below_a_wrapper_is_its_servers(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, ("llama-swap", "--config", "/c"))
    tree.add(150, ("/bin/sh", "-c", "llama-server -m /a.gguf"), parent=100)
    looking.look()
    tree.add(200, ("llama-server", "-m", "/a.gguf"), parent=150)
    found = looking.look()
    assert servers_of(found) == {100: "llama_swap"}
    assert runners_of(found) == {200: 100}


def test_a_runner_belongs_to_the_nearest_server(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, ("llama-swap", "--config", "/c"))
    tree.add(150, ("llama-server", "--port", "9000"), parent=100)
    tree.add(200, ("llama-server", "-m", "/a.gguf"), parent=150)
    found = looking.look()
    assert servers_of(found) == {100: "llama_swap", 150: "llama_server"}
    assert runners_of(found) == {200: 150}


def test_a_llama_server_of_its_own_has_no_server(tree: FakeProc, looking: Looking) -> None:
    tree.add(200, ("llama-server", "-m", "/a.gguf"))
    found = looking.look()
    assert (servers_of(found), runners_of(found)) == ({}, {200: None})


def test_ollamas_look_for_gpus_is_not_reported(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE)
    tree.add(200, ("llama-server", "--port", "9000", "--host", "127.0.0.1"), parent=100)
    tree.add(201, ("ollama", "gpu-discover", "--lib-dir", "/d"), parent=100)
    tree.add(202, ("llama-server", "--list-devices", "--offline", "--verbose"), parent=100)
    found = looking.look(200, 201, 202)
    assert servers_of(found) == {100: "ollama"}
    assert found.runners == ()


def test_a_child_that_has_not_yet_executed_its_program_is_not_taken_for_a_server(
    tree: FakeProc, looking: Looking
) -> None:
    tree.add(100, OLLAMA_SERVE)
    tree.add(200, OLLAMA_SERVE, parent=100)
    assert servers_of(looking.look()) == {100: "ollama"}
    tree.write(200, "cmdline", b"\0".join(word.encode() for word in llama_server()) + b"\0")
    assert runners_of(looking.look()) == {200: 100}


def test_a_runner_that_ended_is_let_go(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE)
    tree.add(200, llama_server(), parent=100)
    looking.look()
    tree.end(200)
    assert looking.look().runners == ()


def test_a_zombie_is_let_go(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE)
    tree.add(200, llama_server(), parent=100)
    looking.look()
    tree.stat(200, "llama-server", 100, start_ticks=20_000, state="Z")
    assert looking.look().runners == ()


def test_a_pid_used_again_is_another_runner(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE)
    tree.add(200, llama_server(), parent=100, start_ticks=1)
    (before,) = looking.look().runners
    tree.end(200)
    tree.add(200, llama_server(OTHER_BLOB), parent=100, start_ticks=2)
    (after,) = looking.look().runners
    assert (before.start_ticks, after.start_ticks) == (1, 2)
    assert after.settings.blob == OTHER_BLOB


def test_a_runner_outlives_its_server_as_one_of_its_own(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE)
    tree.add(200, llama_server(), parent=100)
    looking.look()
    tree.end(100)
    tree.stat(200, "llama-server", 1, start_ticks=20_000)
    assert runners_of(looking.look()) == {200: None}


def test_a_runner_new_on_a_gpu_is_found_with_its_server(tree: FakeProc, looking: Looking) -> None:
    looking.look()
    tree.add(100, OLLAMA_SERVE)
    tree.add(200, llama_server(), parent=100)
    found = looking.look(200)
    assert (servers_of(found), runners_of(found)) == ({100: "ollama"}, {200: 100})
    assert looking.proc.walks == 1


def test_of_an_unknown_process_on_a_gpu_no_more_than_its_ancestors_are_read_and_once(
    tree: FakeProc, looking: Looking
) -> None:
    for pid in range(1000, 1100):
        tree.add(pid, ("/usr/bin/daemon",))
    tree.add(50, ("/bin/bash",))
    tree.add(60, ("python3", "train.py"), parent=50)
    looking.look()
    looking.look(60)
    assert set(looking.proc.looked_at) == {50, 60}
    looking.look(60)
    assert looking.proc.looked_at == [60]


def test_a_gpu_process_of_another_namespace_is_passed_over(looking: Looking) -> None:
    assert looking.look(99_999) == Found((), ())


def test_a_quiet_look_reads_only_the_known_among_many(tree: FakeProc, looking: Looking) -> None:
    for pid in range(1000, 1300):
        tree.add(pid, ("/usr/bin/daemon",))
    tree.add(100, OLLAMA_SERVE)
    tree.add(200, llama_server(), parent=100)
    looking.look(200)
    looking.look(200)
    assert set(looking.proc.looked_at) == {100, 200}
    assert len(looking.proc.looked_at) <= 6


@pytest.mark.parametrize(
    ("argv", "seconds"), [(("/usr/bin/daemon",), SEARCH_SECONDS), (OLLAMA_SERVE, REFRESH_SECONDS)]
)
def test_all_processes_are_walked_seldom(
    tree: FakeProc, looking: Looking, argv: tuple[str, ...], seconds: float
) -> None:
    tree.add(100, argv)
    for _ in range(61):
        looking.look()
    assert looking.proc.walks == 1 + 60 // seconds


def test_a_server_that_starts_later_is_found_by_a_walk(tree: FakeProc, looking: Looking) -> None:
    looking.look()
    tree.add(100, OLLAMA_SERVE)
    assert servers_of(looking.look(after=SEARCH_SECONDS)) == {100: "ollama"}


def test_without_lists_of_children_walks_are_more_frequent(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE, children_listed=False)
    looking.look()
    tree.add(200, llama_server(), parent=100, children_listed=False)
    assert runners_of(looking.look(after=NO_CHILDREN_SECONDS)) == {200: 100}


def test_a_server_with_endless_children_is_bounded(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE)
    looking.look()
    for pid in range(1000, 1600):
        tree.add(pid, ("/bin/true",), parent=100)
    looking.look()
    assert len(set(looking.proc.looked_at)) < 300


def test_a_circle_of_parents_ends(tree: FakeProc, looking: Looking) -> None:
    tree.add(60, ("python3",), parent=61)
    tree.add(61, ("bash",), parent=60)
    assert looking.look(60) == Found((), ())


@pytest.mark.parametrize("stat", [b"", b"200 (x", b"200 (x) S 1 2 3", b"200 (x) S " + b"y " * 50])
def test_a_broken_stat_is_passed_over(tree: FakeProc, looking: Looking, stat: bytes) -> None:
    tree.add(200, llama_server())
    tree.write(200, "stat", stat)
    assert looking.look(200) == Found((), ())


def test_a_name_with_brackets_does_not_shift_the_fields(tree: FakeProc, looking: Looking) -> None:
    tree.add(200, llama_server(), name="a) S (b", start_ticks=5)
    (runner,) = looking.look().runners
    assert (runner.stat.name, runner.start_ticks) == ("a) S (b", 5)


def test_bytes_that_are_no_text_are_shown(tree: FakeProc, looking: Looking) -> None:
    tree.add(200, ("llama-server", "-m", b"/\xff\x1b.gguf"))
    (runner,) = looking.look().runners
    assert runner.settings.model_path == "/\\xff\x1b.gguf"


def test_without_proc_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Finder(CountingProc(tmp_path / "none")).look(NOTHING, 0.0)


def test_a_runner_that_only_its_environment_tells_of_is_found(tree: FakeProc, looking: Looking) -> None:
    tree.add(300, ("/app/llama-server",))
    tree.write(300, "environ", b"LLAMA_ARG_MODEL=/m/a.gguf\0LLAMA_API_KEY=secret\0LLAMA_ARG_PORT=9000\0")
    [runner] = looking.look().runners
    assert (runner.kind, runner.settings.model_path, runner.settings.port) == (
        "llama_server",
        "/m/a.gguf",
        9000,
    )
    assert "secret" not in repr(runner)


def test_where_the_environment_may_not_be_read_it_is_taken_for_a_router(
    tree: FakeProc, looking: Looking
) -> None:
    tree.add(300, ("/app/llama-server",))
    assert servers_of(looking.look()) == {300: "llama_server"}


def test_a_kind_that_fails_costs_itself_only(tree: FakeProc) -> None:
    class Faulty(ToyKind):
        name = label = "faulty"

        def recognise_process(self, process: ProcessView) -> None:
            raise KeyError(process)

    registry = Registry((Faulty(), *BUILT_IN))
    tree.add(100, OLLAMA_SERVE)
    assert servers_of(Finder(CountingProc(tree.root), registry).look(NOTHING, 1.0)) == {100: "ollama"}
    assert registry.problems == {"faulty": "internal error: KeyError"}


def test_a_server_that_is_started_anew_is_found_within_a_second_or_two(
    tree: FakeProc, looking: Looking
) -> None:
    tree.add(100, OLLAMA_SERVE)
    looking.look()
    tree.end(100)
    assert servers_of(looking.look()) == {}
    tree.add(110, OLLAMA_SERVE)
    tree.add(200, llama_server(), parent=110)
    assert runners_of(looking.look()) == {200: 110}


def test_one_that_stays_away_is_looked_for_less_and_less(tree: FakeProc, looking: Looking) -> None:
    tree.add(100, OLLAMA_SERVE)
    looking.look()
    tree.end(100)
    for _ in range(32):
        looking.look()
    assert looking.proc.walks <= 8


SERVE = ("/usr/bin/python3", "/usr/local/bin/vllm", "serve", "Qwen/Qwen3-8B")


def test_what_is_on_a_gpu_below_a_kind_with_workers_is_a_worker_and_no_runner(
    tree: FakeProc, looking: Looking
) -> None:
    tree.add(300, SERVE)
    tree.add(301, ("VLLM::EngineCore",), parent=300)
    tree.add(302, ("VLLM::Worker_TP0",), parent=301)
    tree.add(303, ("VLLM::Worker_TP1",), parent=301)
    (runner,) = looking.look(302, 303).runners
    assert (runner.pid, runner.kind) == (300, "vllm")
    assert [one.pid for one in runner.workers] == [302, 303]
    (runner,) = looking.look(303).runners
    assert [one.pid for one in runner.workers] == [303], "one that has left the GPU is none any more"


def test_one_that_has_not_named_itself_yet_is_a_worker_too(tree: FakeProc, looking: Looking) -> None:
    tree.add(300, SERVE)
    tree.add(301, ("/usr/bin/python3", "-c", "from multiprocessing.spawn import spawn_main"), parent=300)
    tree.add(302, SERVE, parent=300)
    (runner,) = looking.look(301, 302).runners
    assert [one.pid for one in runner.workers] == [301, 302]


def test_of_two_each_has_its_own_workers(tree: FakeProc, looking: Looking) -> None:
    for base in (300, 400):
        tree.add(base, SERVE)
        tree.add(base + 1, ("VLLM::EngineCore",), parent=base)
    tree.add(500, ("python3", "train.py"))
    found = looking.look(301, 401, 500)
    own = {one.pid: [worker.pid for worker in one.workers] for one in found.runners}
    assert own == {300: [301], 400: [401]}


def test_a_child_of_a_kind_without_workers_is_none(tree: FakeProc, looking: Looking) -> None:
    tree.add(300, ("llama-server", "-m", "/m/a.gguf"))
    tree.add(301, ("helper",), parent=300)
    assert [one.workers for one in looking.look(301).runners] == [()]
