"""``gpumon exporter`` as its users have it: scraped by a real Prometheus, which evaluates the rules."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec.structs import replace
from tests.app.diagnosis.test_prompt_reread import Watched
from tests.app.outlets.exporter.telling import page_of
from tests.collectors.ollama.support import free_port
from tests.e2e.conftest import gpumon
from tests.fakes.nvml.driver import GIB
from tests.fakes.ollama.server import ANY_PATH, FakeOllama
from tests.fakes.processes.actor import compiler
from tests.fakes.recordings import scenario_samples
from tests.scene.engine import Engine

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.monitor import Monitor
from gpumon.app.outlets.exporter.page import Page
from gpumon.app.outlets.exporter.serve import MetricsServer
from gpumon.collectors.http.client import MIB, HttpClient
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import AnySample, NvmlSample

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")

DEADLINE_SECONDS = 60
FILES = files("gpumon.app.outlets.exporter").joinpath("files")


@contextlib.contextmanager
def exporting(environment: dict[str, str], *flags: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*gpumon(), "exporter", *flags],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def until_answered(client: HttpClient, path: str, holds: str) -> str:
    """Ask until an answer holds something; a gpumon that starts refuses at first."""
    end = time.monotonic() + DEADLINE_SECONDS
    text = ""
    while holds not in text:
        assert time.monotonic() < end, text or "no answer"
        with contextlib.suppress(Exception):
            text = (await client.get(path, 4 * MIB)).body.decode()
        await asyncio.sleep(0.1)
    return text


@pytest.fixture
async def exporter(environment: dict[str, str], ollama: FakeOllama) -> AsyncIterator[HttpClient]:
    ollama.catalog.load("llama3:8b", size_bytes=12 * GIB, size_vram_bytes=8 * GIB)
    port = free_port()
    with exporting(environment, "--listen", f"127.0.0.1:{port}"):
        client = HttpClient(parse_endpoint(f"127.0.0.1:{port}"))
        await until_answered(client, "/metrics", "gpumon_model_spilled_ratio{")
        yield client
        await client.close()


async def test_it_ends_at_once_when_it_is_told_to(environment: dict[str, str]) -> None:
    with exporting(environment, "--listen", f"127.0.0.1:{free_port()}") as process:
        assert process.stdout is not None
        url = process.stdout.readline().split(" at ")[1].strip()
        client = HttpClient(parse_endpoint(url.removesuffix("/metrics")))
        await until_answered(client, "/metrics", "gpumon_build_info")
        await client.close()
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.to_thread(process.communicate, None, DEADLINE_SECONDS)
    assert (process.returncode, out, err) == (0, "", "")


async def test_a_port_that_is_taken_is_one_line(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with exporting(environment, "--listen", where) as process:
            _, err = await asyncio.to_thread(process.communicate, None, DEADLINE_SECONDS)
    assert process.returncode not in {0, None}
    assert len(err.splitlines()) == 1
    assert where in err


async def test_the_file_for_node_exporter_is_there_and_goes_with_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "gpumon.prom"
    with exporting(environment, "--textfile", str(file), "--every", "1") as process:
        end = time.monotonic() + DEADLINE_SECONDS
        while not file.exists():
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        assert "gpumon_gpu_memory_capacity_bytes{" in file.read_text()
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, DEADLINE_SECONDS)
    assert not file.exists()


async def test_a_server_that_stops_is_a_figure_and_the_scrape_goes_on(
    exporter: HttpClient, ollama: FakeOllama
) -> None:
    ollama.misbehave(ANY_PATH, "reset_at_once")
    await until_answered(exporter, "/metrics", 'runtime="ollama",source="' + ollama.url + '"} 0.0')
    assert (await exporter.get("/metrics", 4 * MIB)).status == 200


@contextlib.contextmanager
def prometheus(folder: Path, *targets: str) -> Iterator[HttpClient]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    port = free_port()
    (folder / "rules.yml").write_text(FILES.joinpath("rules.yml").read_text().replace("for: 2m", "for: 0s"))
    settings = folder / "prometheus.yml"
    settings.write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n"
        f"scrape_configs: [{{job_name: gpumon, static_configs: [{{targets: {[*targets]}}}]}}]\n"
    )
    command = [program, f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}"]
    process = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield HttpClient(parse_endpoint(f"127.0.0.1:{port}"))
    finally:
        process.kill()
        process.wait()


async def answer(client: HttpClient, expression: str) -> dict[str, Any]:
    reply = await client.get(f"/api/v1/query?query={quote(expression)}", MIB)
    found: dict[str, Any] = json.loads(reply.body)
    assert found["status"] == "success", (expression, found)
    return found


def expressions() -> list[str]:
    """Return those of the dashboard, with its variables as Grafana fills them in for all."""
    panels = json.loads(FILES.joinpath("dashboard.json").read_text())["panels"]
    texts = (target["expr"] for panel in panels for target in panel.get("targets", ()))
    return [re.sub(r"\$(instance|model|gpu)", ".*", text).replace("$__rate_interval", "1m") for text in texts]


async def test_a_real_prometheus_scrapes_it_and_rings(exporter: HttpClient, tmp_path: Path) -> None:
    with prometheus(tmp_path, exporter.endpoint.authority) as client:
        spilled = quote("gpumon_model_spilled_ratio > 0.3")
        await until_answered(client, f"/api/v1/query?query={spilled}", "value")
        await until_answered(client, "/api/v1/alerts", "GpumonModelSpilled")
        await client.close()


def played(name: str, seconds: float) -> Page:
    """Return what is told at a second of a demonstration, in which a GPU also reports an error."""
    monitor = Monitor(Limits())
    page = page_of(monitor)
    for sample in scenario_samples(name, PRELUDE_SECONDS + seconds):
        monitor.feed(with_xid(sample))
    return page


def with_xid(sample: AnySample) -> AnySample:
    if not isinstance(sample, NvmlSample) or not sample.gpus:
        return sample
    return replace(sample, gpus=(replace(sample.gpus[0], xids=(79,)), *sample.gpus[1:]))


def turns_that_lose() -> Page:
    """Return what is told of a model of which a client's prompt is read again at each turn."""
    watched = Watched()
    page = page_of(watched.monitor)
    watched.talks()
    return page


def engine_at_work() -> Page:
    """Return what is told of a server with a cache of all contexts, and requests that wait."""
    engine = Engine()
    page = page_of(engine.monitor)
    engine.set(0.99, requests_processing=7, requests_deferred=3, deferred_by_reason={"capacity": 3})
    for _ in range(5):
        engine.grow(
            preemptions_total=2.0,
            decoded_tokens_total=100.0,
            prompt_tokens_total=50.0,
            prefix_tokens_total=50.0,
            prefix_tokens_found_total=40.0,
        )
        engine.run(1)
    return page


async def generating(monitor: Monitor) -> None:
    """Let a machine go on, two hundred samples a second."""
    for sample in scenario_samples("throttle", PRELUDE_SECONDS + 3600):
        monitor.feed(sample)
        await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def scenes() -> AsyncIterator[list[str]]:
    """Serve what is told of machines on which together there is everything that the dashboard shows."""
    alive = Monitor(Limits())
    moving = page_of(alive)
    pages = [played(name, 40) for name in ("spill", "throttle", "gpu-lost")]
    pages += [played("70b", 10), engine_at_work(), turns_that_lose(), moving]
    servers, targets = [], []
    for page in pages:
        listening = socket.create_server(("127.0.0.1", 0))
        servers.append(await MetricsServer(page, "1.2.3").start(listening))
        targets.append(f"127.0.0.1:{listening.getsockname()[1]}")
    going = asyncio.create_task(generating(alive))
    yield targets
    going.cancel()
    for server in servers:
        server.close()


async def test_every_expression_of_the_dashboard_has_an_answer(tmp_path: Path) -> None:
    async with scenes() as targets:
        with prometheus(tmp_path, *targets) as client:
            await until_answered(client, "/-/ready", "Ready")
            left = set(expressions())
            end = time.monotonic() + DEADLINE_SECONDS
            while left and time.monotonic() < end:
                left -= {one for one in left if await has_data(client, one)}
                await asyncio.sleep(0.2)
            await client.close()
    assert left == set()


async def has_data(client: HttpClient, expression: str) -> bool:
    result = (await answer(client, expression))["data"]["result"]
    return any(not math.isnan(float(one["value"][1])) for one in result)
