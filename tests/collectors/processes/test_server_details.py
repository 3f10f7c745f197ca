"""Where a server listens and where its models are."""

from __future__ import annotations

import pwd
from collections.abc import Sequence

import pytest
from tests.fakes.processes.tree import BLOB, MODELS, OLLAMA_SERVE, OLLAMA_USER_ID, FakeProc, llama_server

from gpumon.collectors.processes.finder import Finder
from gpumon.collectors.processes.owners import Users
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.processes.server_details import (
    REFRESH_SECONDS,
    START_UP_SECONDS,
    STARTING_SECONDS,
    ServerReader,
)
from gpumon.collectors.processes.sockets import PROVEN_SECONDS
from gpumon.collectors.samples import ServerProcess

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LOOPBACK, ANY, ANY_6 = "0100007F", "00000000", "0" * 32
LOOPBACK_6, MAPPED = "0" * 24 + "01000000", "0000000000000000FFFF00000100007F"


def socket_line(address: str, port: int, inode: int, user_id: int = OLLAMA_USER_ID, state: str = "0A") -> str:
    rest = f"00000000:0000 {state} 00000000:00000000 00:00000000 00000000  {user_id}  0 {inode} 1 0 100"
    return f"   0: {address}:{port:04X} {rest}\n"


def user_named(user_id: int) -> pwd.struct_passwd:
    return pwd.struct_passwd(("ollama", "x", user_id, user_id, "", "/usr/share/ollama", "/bin/false"))


class Reading:
    """A finder and a reader of its servers."""

    def __init__(self, tree: FakeProc) -> None:
        proc = Proc(tree.root)
        self._finder = Finder(proc)
        self._reader = ServerReader(proc, Users(user_named))

    def read(self, now: float = 0.0) -> ServerProcess:
        (server,) = self.read_all(now)
        return server

    def read_all(self, now: float = 0.0) -> Sequence[ServerProcess]:
        found = self._finder.look(frozenset(), now)
        return self._reader.read(found.servers, found.runners, now)


def listen(tree: FakeProc, *lines: str, family: str = "tcp", pid: int = 100) -> None:
    tree.write(pid, f"net/{family}", (HEADER + "".join(lines)).encode())


def open_socket(tree: FakeProc, inode: int) -> None:
    tree.link(100, f"fd/{inode}", f"socket:[{inode}]")


def environ(tree: FakeProc, *pairs: str, pid: int = 100) -> None:
    tree.write(pid, "environ", b"".join(pair.encode() + b"\0" for pair in pairs))


@pytest.fixture
def server(tree: FakeProc) -> Reading:
    tree.add(100, OLLAMA_SERVE)
    return Reading(tree)


@pytest.mark.parametrize(
    ("address", "family", "url"),
    [
        (LOOPBACK, "tcp", "http://127.0.0.1:11434"),
        (ANY, "tcp", "http://127.0.0.1:11434"),
        ("0501A8C0", "tcp", "http://192.168.1.5:11434"),
        (ANY_6, "tcp6", "http://127.0.0.1:11434"),
        (LOOPBACK_6, "tcp6", "http://[::1]:11434"),
        (MAPPED, "tcp6", "http://127.0.0.1:11434"),
    ],
)
def test_its_own_sockets_say_where_it_listens(
    tree: FakeProc, server: Reading, address: str, family: str, url: str
) -> None:
    open_socket(tree, 7)
    other = socket_line(LOOPBACK, 22, 8)
    client = socket_line(LOOPBACK, 50000, 7, state="01")
    listen(tree, other, client, socket_line(address, 11434, 7), family=family)
    assert server.read().urls == (url,)


def test_a_server_that_does_not_listen_yet_is_expected_where_it_was_told_and_looked_at_again_soon(
    tree: FakeProc, server: Reading
) -> None:
    environ(tree, "OLLAMA_HOST=localhost:9000")
    listen(tree)
    open_socket(tree, 7)
    assert server.read().urls == ("http://localhost:9000",)
    listen(tree, socket_line(LOOPBACK, 9000, 7))
    assert server.read(STARTING_SECONDS).urls == ("http://127.0.0.1:9000",)


def test_a_server_that_does_not_come_to_listen_is_looked_at_seldom(tree: FakeProc, server: Reading) -> None:
    environ(tree, "OLLAMA_HOST=localhost:9000")
    listen(tree)
    open_socket(tree, 7)
    for second in range(int(START_UP_SECONDS) + 1):
        server.read(float(second))
    listen(tree, socket_line(LOOPBACK, 9000, 7))
    later = START_UP_SECONDS + REFRESH_SECONDS
    assert server.read(later - 1).urls == ("http://localhost:9000",)
    assert server.read(later).urls == ("http://127.0.0.1:9000",)


def test_a_socket_of_its_runner_is_not_where_it_listens(tree: FakeProc, server: Reading) -> None:
    tree.add(200, llama_server(port=36183), parent=100)
    for inode in (7, 8):
        open_socket(tree, inode)
    listen(tree, socket_line(LOOPBACK, 36183, 7), socket_line(LOOPBACK, 11434, 8))
    assert server.read().urls == ("http://127.0.0.1:11434",)


class TestSeveralServers:
    """Servers 100 and 101; what may be read of them differs."""

    @pytest.fixture
    def servers(self, tree: FakeProc) -> Reading:
        for pid in (100, 101):
            tree.add(pid, OLLAMA_SERVE)
        return Reading(tree)

    def test_two_services_of_one_user_are_not_told_apart_by_its_sockets(
        self, tree: FakeProc, servers: Reading
    ) -> None:
        for pid in (100, 101):
            listen(tree, socket_line(ANY, 11434, 1), socket_line(ANY, 11435, 2), pid=pid)
        assert [server.urls for server in servers.read_all()] == [(), ()]

    def test_an_address_that_one_of_them_is_seen_to_have_is_not_guessed_for_the_other(
        self, tree: FakeProc, servers: Reading
    ) -> None:
        open_socket(tree, 7)
        listen(tree, socket_line(ANY, 11434, 7))
        assert [server.urls for server in servers.read_all()] == [("http://127.0.0.1:11434",), ()]

    def test_what_each_was_told_tells_them_apart(self, tree: FakeProc, servers: Reading) -> None:
        environ(tree, "OLLAMA_HOST=:9000")
        environ(tree, "OLLAMA_HOST=:9001", pid=101)
        urls = [server.urls for server in servers.read_all()]
        assert urls == [("http://127.0.0.1:9000",), ("http://127.0.0.1:9001",)]


def test_where_it_listens_is_looked_at_seldom(tree: FakeProc, server: Reading) -> None:
    open_socket(tree, 7)
    listen(tree, socket_line(LOOPBACK, 11434, 7))
    server.read()
    listen(tree, socket_line(LOOPBACK, 9000, 7))
    assert server.read(PROVEN_SECONDS - 1).urls == ("http://127.0.0.1:11434",)
    assert server.read(PROVEN_SECONDS).urls == ("http://127.0.0.1:9000",)


@pytest.mark.parametrize(
    ("pairs", "url"),
    [
        (["OLLAMA_HOST=0.0.0.0:9000"], "http://127.0.0.1:9000"),
        (["PATH=/bin", "no-pair"], "http://127.0.0.1:11434"),
    ],
)
def test_without_sockets_the_environment_says_where(
    tree: FakeProc, server: Reading, pairs: Sequence[str], url: str
) -> None:
    environ(tree, *pairs)
    assert server.read().urls == (url,)


def test_the_only_socket_of_a_service_user_beside_its_runners_is_the_servers(
    tree: FakeProc, server: Reading
) -> None:
    tree.add(200, llama_server(port=36183), parent=100)
    runner, foreign = socket_line(LOOPBACK, 36183, 1), socket_line(ANY, 22, 2, user_id=0)
    listen(tree, runner, foreign, socket_line(ANY, 9000, 3))
    assert server.read().urls == ("http://127.0.0.1:9000",)


@pytest.mark.parametrize("user_id", [0, 1000])
def test_the_sockets_of_root_and_of_people_prove_nothing(tree: FakeProc, user_id: int) -> None:
    tree.add(100, OLLAMA_SERVE, user_id=user_id)
    listen(tree, socket_line(ANY, 22, 1, user_id=user_id))
    assert Reading(tree).read().urls == ("http://127.0.0.1:11434",)


@pytest.mark.parametrize("line", ["", "x", "0: zz:1 0 0A 1 1 1 1 1 1", "0: 01:0001 0 0A 1 1 1 1 1 1"])
def test_a_broken_line_of_sockets_is_passed_over(tree: FakeProc, server: Reading, line: str) -> None:
    open_socket(tree, 7)
    listen(tree, line + "\n", socket_line(LOOPBACK, 11434, 7))
    assert server.read().urls == ("http://127.0.0.1:11434",)


@pytest.mark.parametrize(
    ("argv", "urls"),
    [
        (("llama-server", "--port", "9000", "--host", "::"), ("http://[::1]:9000",)),
        (("llama-server",), ("http://127.0.0.1:8080",)),
        (("llama-swap", "--config", "/c"), ("http://127.0.0.1:8080",)),
        (("lemond",), ("http://127.0.0.1:13305",)),
        (("lemonade-server", "serve"), ("http://127.0.0.1:8000",)),
        (("Jan",), ()),
    ],
)
def test_what_another_server_was_told_is_where_it_listens(
    tree: FakeProc, argv: Sequence[str], urls: tuple[str, ...]
) -> None:
    tree.add(100, argv)
    assert Reading(tree).read().urls == urls


def test_of_several_sockets_the_one_that_it_was_told_comes_first(tree: FakeProc) -> None:
    """Lemonade has one for websockets as well, with a lower number."""
    tree.add(100, ("lemond", "--port", "13306"))
    for number in (7, 8):
        open_socket(tree, number)
    listen(tree, socket_line(LOOPBACK, 9000, 7), socket_line(ANY, 13306, 8))
    assert Reading(tree).read().urls == ("http://127.0.0.1:13306", "http://127.0.0.1:9000")


def test_the_models_are_in_the_owners_home(server: Reading) -> None:
    found = server.read()
    assert (found.user, found.models_path) == ("ollama", MODELS)


@pytest.mark.parametrize(
    ("pairs", "path"),
    [
        (["OLLAMA_MODELS=/data/models"], "/data/models"),
        (["HOME=/home/me"], "/home/me/.ollama/models"),
        (["HOME=/home/me", "OLLAMA_MODELS= "], "/home/me/.ollama/models"),
    ],
)
def test_the_environment_says_where_the_models_are(
    tree: FakeProc, server: Reading, pairs: Sequence[str], path: str
) -> None:
    environ(tree, *pairs)
    assert server.read().models_path == path


def test_the_blob_of_a_runner_proves_where_the_models_are(tree: FakeProc, server: Reading) -> None:
    model = f"/var/lib/ollama/blobs/{BLOB}"
    tree.add(200, ("llama-server", "--model", model, "--port", "1"), parent=100)
    assert server.read().models_path == "/var/lib/ollama"
    tree.end(200)
    tree.write(100, "task/100/children", b"")
    assert server.read(1.0).models_path == "/var/lib/ollama", "it stays known when the model is unloaded"


def test_a_path_inside_a_container_is_unknown_outside(tree: FakeProc) -> None:
    tree.add(100, OLLAMA_SERVE, namespace_pids=[1])
    found = Reading(tree).read()
    assert (found.models_path, found.other_namespace) == (None, True)


def test_only_ollama_has_a_models_path(tree: FakeProc) -> None:
    tree.add(100, ("llama-swap",))
    assert Reading(tree).read().models_path is None


def test_settings_of_its_environment_are_kept_and_nothing_else_of_it(tree: FakeProc, server: Reading) -> None:
    told = ("OLLAMA_CONTEXT_LENGTH=65536", "OLLAMA_NUM_PARALLEL=4", "CUDA_VISIBLE_DEVICES=1")
    environ(tree, *told, "OLLAMA_HOST=:9000", "HOME=/home/anna", "OPENAI_API_KEY=secret", "OLLAMA_MODELS=/m")
    seen = server.read()
    assert seen.settings == dict(pair.split("=", 1) for pair in told)
    assert "secret" not in repr(seen)
