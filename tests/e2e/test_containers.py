"""Servers in containers that nobody has named: found by the port that is published, or asked inside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.test_found_servers import Machine, finding, machine, models_of, run
from tests.e2e.tmux import Pane, has_line
from tests.fakes.http import Listening
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.nvml.driver import GIB
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import compiler
from tests.fakes.processes.namespace import can_be_made, run_inside

pytestmark = [
    pytest.mark.skipif(compiler() is None, reason="no C compiler"),
    pytest.mark.skipif(not can_be_made(), reason="no network namespace can be made"),
]
__all__ = ["finding", "machine"]

WITHOUT_THE_RIGHT = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
BLOBS = "/root/.ollama/models/blobs"
either_way = pytest.mark.parametrize("before", [(), WITHOUT_THE_RIGHT], ids=["root", "without the right"])


def contain(machine: Machine, inside: Listening, address: str, argv: Sequence[str], child: str = "") -> int:
    """Run a server that is open to all of its own namespace; return its PID, or that of its child."""
    inside.host = "0.0.0.0"

    def start() -> int:
        actor = machine.run(inside, *argv)
        return actor.start(child.split()) if child else actor.pid

    return run_inside(start, address)


def publish(machine: Machine, published: Listening, inside: Listening, address: str) -> None:
    """Run the program by which Docker leads a port of this machine to one inside."""
    published.host = "0.0.0.0"
    here, there = ("-host-ip", "0.0.0.0"), ("-container-ip", address)
    ports = ("-host-port", "PORT", *there, "-container-port", str(inside.port))
    machine.run(published, "/usr/bin/docker-proxy", "-proto", "tcp", *here, *ports, "-use-listen-fd")


@asynccontextmanager
async def two_ollamas(machine: Machine) -> AsyncIterator[list[FakeOllama]]:
    """Two containers of one image, with one port inside, published under two numbers."""
    async with AsyncExitStack() as stack:
        published = [FakeOllama(), FakeOllama()]
        port = 0
        for number, (server, name) in enumerate(zip(published, ("qwen3:8b", "gemma3:27b"), strict=True)):
            server.catalog.load(name, size_bytes=(6 + number) * GIB)
            inside, address = FakeOllama(port), f"172.17.0.{2 + number}"
            blob = server.catalog.installed[name].blob
            child = f"llama-server --model {BLOBS}/{blob} --port 40{number}01"
            pid = contain(machine, inside, address, ["ollama", "serve"], child)
            port = inside.port
            machine.driver.run(0, pid, (6 + number) * GIB)
            publish(machine, server, inside, address)
            await stack.enter_async_context(server)
            await stack.enter_async_context(inside)
        yield published


@either_way
async def test_two_containers_of_one_image_are_watched_by_their_published_ports(
    before: Sequence[str], finding: dict[str, str], machine: Machine
) -> None:
    async with two_ollamas(machine) as published:
        _, document, _ = await run(finding, "snapshot", before=before)
        _, report, _ = await run(finding, "doctor", before=before)
    rows = [models_of(document, server.url) for server in published]
    assert [[(one["name"], one["measured_vram_bytes"]) for one in own] for own in rows] == [
        [("qwen3:8b", 6 * GIB)],
        [("gemma3:27b", 7 * GIB)],
    ]
    assert len(document["models"]) == 2
    assert document["complete"]
    assert "is not asked" not in report
    for server in published:
        assert f"Ollama at 127.0.0.1:{server.port}" in report
        assert {one.path for one in server.requests if one.method != "GET"} <= {"/api/show"}


async def test_one_that_is_named_is_asked_once(finding: dict[str, str], machine: Machine) -> None:
    async with two_ollamas(machine) as published:
        named = f"http://localhost:{published[0].port}"
        _, document, _ = await run(finding, "snapshot", "--url", named)
    assert sorted((one["name"], one["url"]) for one in document["models"]) == [
        ("gemma3:27b", published[1].url),
        ("qwen3:8b", named),
    ]


async def test_they_can_be_left_out(finding: dict[str, str], machine: Machine, tmp_path: Path) -> None:
    """Others may watch this machine at the same time: our requests bear a mark."""
    settings = tmp_path / "settings.toml"
    finding |= {"GPUMON_CONFIG": str(settings)}
    async with two_ollamas(machine) as published:
        marks = [f'[headers."{server.url}"]\nX-Test = "ours"\n' for server in published]
        settings.write_text("".join(marks))
        await run(finding, "snapshot", "--no-find")
        _, report, _ = await run(finding, "doctor", "--no-find")
        assert [asked_by_us(server) for server in published] == [0, 0]
        await run(finding, "snapshot")
        assert all(map(asked_by_us, published)), "the mark is there when they are asked"
    assert f"gpumon --url {published[0].url}" in report


def asked_by_us(server: FakeOllama) -> int:
    return sum("x-test" in one.headers for one in server.requests)


@either_way
async def test_a_llama_server_in_a_container_is_asked_at_its_published_port(
    before: Sequence[str], finding: dict[str, str], machine: Machine
) -> None:
    server, inside = FakeLlamaServer(), FakeLlamaServer()
    server.alias = "Qwen3-14B"
    argv = ("llama-server", "-m", "/models/Qwen3-14B.gguf", "--host", "0.0.0.0")
    pid = contain(machine, inside, "172.18.0.5", [*argv, "--port", "PORT"])
    machine.driver.run(0, pid, 11 * GIB)
    publish(machine, server, inside, "172.18.0.5")
    async with server, inside:
        _, document, _ = await run(finding, "snapshot", before=before)
        with Pane([*before, *gpumon()], finding, 140, 40) as pane:
            screen = await pane.wait_for_line("Qwen3-14B", "▆", "11.0", "·")
            assert "1 model on GPU" in screen
            assert has_line(screen, "RTX 4090", "Qwen3-14B", "11.0/24.0")
            assert "in a container" not in screen
    (model,) = document["models"]
    assert (model["url"], model["measured_vram_bytes"], model["activity"]) == (server.url, 11 * GIB, "idle")


@either_way
async def test_one_that_publishes_nothing_is_asked_inside_by_root_and_named_to_anybody(
    before: Sequence[str], finding: dict[str, str], machine: Machine
) -> None:
    inside = FakeOllama()
    inside.catalog.load("qwen3:8b", size_bytes=6 * GIB)
    contain(machine, inside, "10.4.0.2", ["ollama", "serve"])
    async with inside:
        _, document, _ = await run(finding, "snapshot", before=before)
        _, report, _ = await run(finding, "doctor", before=before)
    if before:
        assert document["models"] == []
        assert "Ollama in a container" in report
        assert "with the port that the container publishes" in " ".join(report.split())
    else:
        (model,) = document["models"]
        assert (model["name"], model["url"]) == ("qwen3:8b", f"http://10.4.0.2:{inside.port}")
        assert "is not asked" not in report


async def test_a_proxy_that_leads_to_another_program_shows_no_model(
    finding: dict[str, str], machine: Machine
) -> None:
    """Its answers decide, and not the line that leads there."""
    inside, other = FakeOllama(), FakeLlamaServer()
    contain(machine, inside, "172.17.0.2", ["ollama", "serve"])
    publish(machine, other, inside, "172.17.0.2")
    async with other, inside:
        _, document, _ = await run(finding, "snapshot")
    assert {one["runtime"] for one in document["models"]} == {"llama_server"}
