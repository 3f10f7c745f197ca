"""What is told to Prometheus: by its rules for names, nothing that is not known, nothing of what has gone."""

from __future__ import annotations

import math
import re
import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from tests.app.outlets.exporter.telling import NAMES, page_of, played, told, told_by, values
from tests.fakes.recordings import scenario_samples
from tests.fakes.samples import nvml, ollama_down
from tests.scene import Gpu, Machine, Model, after

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import list_scenarios
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.monitor import Monitor
from gpumon.app.outlets.exporter.collect import DECLARED, Collector

BASE_UNITS = ("bytes", "seconds", "celsius", "watts", "joules", "ratio", "tokens", "hertz")
NO_BASE_UNITS = re.compile(r"_(mib|gib|mb|kb|ms|milliseconds|percent|mhz|milliwatts|minutes)(_|$)")
SCENARIOS = [scenario.name for scenario in list_scenarios()]


def parsed(text: bytes) -> list[object]:
    """Read what is told as Prometheus' own client reads it."""
    return list(text_string_to_metric_families(text.decode()))  # type: ignore[no-untyped-call]


def spilled() -> Machine:
    machine = Machine(Gpu(gib=12))
    machine.ollama().load(Model("qwen3:14b", gpu_gib=6, ram_gib=3, pid=100))
    machine.run(3)
    return machine


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_name_is_as_prometheus_wants_it(name: str) -> None:
    assert re.fullmatch(r"gpumon_[a-z][a-z0-9_]*[a-z0-9]", name)
    assert not NO_BASE_UNITS.search(name), "base units alone"
    assert not name.endswith(("_sum", "_count", "_bucket", "_created"))


def test_each_series_says_what_it_is() -> None:
    for labels, series in DECLARED:
        for one in series:
            assert one.help.endswith("."), one.name
            assert not {"pid", "le", "quantile"} & {*labels, *one.labels}, one.name


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("seconds", [5, 40])
def test_whatever_happens_every_figure_is_one_and_stands_once(scenario: str, seconds: float) -> None:
    for name, samples in told(played(scenario, seconds)).items():
        assert name in NAMES
        assert all(math.isfinite(value) for _, value in samples), name
        marked = [tuple(sorted(labels.items())) for labels, _ in samples]
        assert len(set(marked)) == len(marked), name


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_promtool_finds_nothing_to_say_of_it(scenario: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    text = page_of(played(scenario, 40)).text()
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_openmetrics_is_told_to_who_asks_for_it() -> None:
    page = page_of(spilled().monitor)
    assert page.body("text/plain").content_type.startswith("text/plain")
    body = page.body("application/openmetrics-text; version=1.0.0")
    assert body.content_type.startswith("application/openmetrics-text")
    assert body.text.endswith(b"# EOF\n")
    assert parsed(body.text)


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/html;version=x", "application/openmetrics-text; version=é"]
)
def test_whatever_is_asked_for_there_is_an_answer(accept: str) -> None:
    assert page_of(spilled().monitor).body(accept).text.startswith(b"# HELP gpumon_build_info")


def test_a_spill_is_told_with_what_is_claimed_beside_what_is_measured() -> None:
    found = told(played("spill", 40))
    model = {"model": "qwen2.5-coder:14b"}
    assert values(found["gpumon_model_spilled_ratio"], **model) == [pytest.approx(0.38, abs=0.01)]
    assert values(found["gpumon_model_vram_bytes"], **model)[0] > 0
    assert values(found["gpumon_model_vram_claimed_bytes"], **model)[0] > 0
    assert values(found["gpumon_model_verdict"], verdict="spilled", **model) == [1.0]
    assert values(found["gpumon_model_decode_tokens_per_second"], **model) == [pytest.approx(7.0, abs=0.5)]
    assert values(found["gpumon_model_fitting_tokens_per_second"], **model)[0] > 40


def test_a_state_is_one_series_for_each_value() -> None:
    states = told(played("fits", 40))["gpumon_model_state"]
    found = [(labels, value) for labels, value in states if labels["model"] == "qwen3:14b"]
    assert sum(values(found)) == 1.0
    assert len(found) > 3


def test_a_model_that_has_gone_vanishes() -> None:
    machine = Machine(Gpu(gib=12))
    server = machine.ollama()
    model = server.load(Model("qwen3:14b", gpu_gib=6, pid=100))
    machine.run(3)
    collector = Collector(machine.monitor, "1")
    assert values(told_by(collector, machine.monitor)["gpumon_model_vram_bytes"], model="qwen3:14b")
    server.unload(model)
    machine.run(70)
    left = told_by(collector, machine.monitor)
    assert not any(labels.get("model") == "qwen3:14b" for found in left.values() for labels, _ in found)


def test_what_is_not_known_is_not_told() -> None:
    monitor = after(nvml(0), ollama_down(1, "not_running")).monitor
    assert "gpumon_gpu_memory_used_bytes" not in told(monitor)
    assert "gpumon_model_vram_bytes" not in told(monitor)


def test_a_source_that_fails_is_a_figure() -> None:
    machine = spilled()
    machine.monitor.feed(ollama_down(machine.now + 1, "not_running"))
    found = told(machine.monitor)["gpumon_source_up"]
    assert 0.0 in [value for labels, value in found if labels.get("runtime") == "ollama"]


def test_counters_never_go_back() -> None:
    monitor = Monitor(Limits())
    collector = Collector(monitor, "1")
    before: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for number, sample in enumerate(scenario_samples("throttle", PRELUDE_SECONDS + 60)):
        monitor.feed(sample)
        if number % 20:
            continue
        for name, samples in told_by(collector, monitor).items():
            for labels, value in samples if name.endswith("_total") else ():
                key = (name, tuple(sorted(labels.items())))
                assert value >= before.get(key, 0.0), key
                before[key] = value
    assert before


@pytest.mark.parametrize("name", ['a"b\\c\nd', "\x1b[31mred", "ü" * 300])
def test_a_name_from_outside_breaks_nothing(name: str) -> None:
    machine = Machine(Gpu(gib=12))
    machine.ollama().load(Model(name, gpu_gib=6, pid=100))
    machine.run(2)
    text = page_of(machine.monitor).body("application/openmetrics-text; version=1.0.0").text.decode()
    assert parsed(text.encode())
    assert "\x1b" not in text
