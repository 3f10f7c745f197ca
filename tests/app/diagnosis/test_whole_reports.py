"""All that is said of a model, kept as text, every figure with its source.
``GPUMON_UPDATE_GOLDEN=1`` keeps what is said now.
Read a change of these as you would read code: a figure that moves to another line is a figure told wrongly.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.app.diagnosis.scenes import NAME, Other, Scene, answering, decoding, diagnosed
from tests.fakes.samples import system

from gpumon.app.diagnosis.report import report_lines
from gpumon.collectors.samples import AnySample, GpuSlow, LogEvent

GOLDEN = Path(__file__).parent / "golden"
LOGGED = LogEvent(kind="server_config", settings={"OLLAMA_CONTEXT_LENGTH": "65536"})
HOT = {"throttle_reasons": ("thermal slowdown (hardware)",), "temperature_celsius": 91}
CAPPED = {"throttle_reasons": ("power cap",), "power_limit_watts": 150.0, "power_watts": 149.0}
THREE = [Other("qwen3:8b", 3.0, pid=201), Other("phi4:14b", 2.5, pid=202), Other("steam", 1.5, pid=203)]
DESKTOP = [Other("qwen3:8b", 2.0, pid=201), Other("Xorg", 1.6, pid=202, group="desktop")]

SCENES: dict[str, tuple[Scene, Sequence[AnySample]]] = {
    "spill": (Scene(), decoding(5.0)),
    "spill-two-gpus": (Scene(second_gib=2.0, layer_mib=400, on_gpu_gib=11.0, in_ram_gib=4.0), ()),
    "context-of-a-request": (Scene(context=65536), decoding(5.0)),
    "context-of-the-modelfile": (Scene(context=65536, parameters={"num_ctx": "65536"}), ()),
    "context-of-the-server": (Scene(context=65536, log=[LOGGED]), ()),
    "context-of-the-log": (Scene(context=65536, log=[LogEvent(kind="default_context", count=65536)]), ()),
    "context-by-default": (
        Scene(total_gib=24, layer_mib=640, context=32768, on_gpu_gib=15, in_ram_gib=8),
        (),
    ),
    "slots": (Scene(context=16384, parallel=4), decoding(3.0, slots=2)),
    "cache-type": (Scene(context=32768, total_gib=13, cache_type="f32"), ()),
    "other-model": (Scene(others=[Other("qwen3:8b", 7.0)], on_gpu_gib=4.0), ()),
    "other-process": (Scene(others=[Other("blender", 7.0)], on_gpu_gib=4.0), ()),
    "several-others": (Scene(others=THREE, on_gpu_gib=4.0), ()),
    "others-and-the-desktop": (
        Scene(layer_mib=280, context=32768, others=DESKTOP, on_gpu_gib=5.0, in_ram_gib=8.0),
        (),
    ),
    "the-desktop": (
        Scene(context=2048, cache_type="q4_0", total_gib=6.7, others=DESKTOP[1:], on_gpu_gib=4.0),
        (),
    ),
    "several-models": (
        Scene(layer_mib=200, others=THREE[:2], on_gpu_gib=4.0, in_ram_gib=4.0, total_gib=9.5),
        decoding(4.0),
    ),
    "settings-together": (Scene(layer_mib=260, context=65536, parallel=2, total_gib=14.5), ()),
    "cache-already-small": (Scene(layer_mib=300, context=65536, cache_type="q4_0", total_gib=12.5), ()),
    "one-request": (Scene(), decoding(5.0, slots=1)),
    "margin": (Scene(total_gib=6.8, on_gpu_gib=5.0, in_ram_gib=1.0), ()),
    "layers-by-hand": (Scene(gpu_layers=20, on_gpu_gib=4.0), ()),
    "larger-than-gpu": (Scene(layer_mib=600, on_gpu_gib=11.0, in_ram_gib=9.0), ()),
    "experts": (
        Scene(architecture="qwen3moe", experts=8, layer_mib=600, on_gpu_gib=11.0, in_ram_gib=9.0),
        (),
    ),
    "gpu-not-used": (Scene(on_gpu_gib=0.0, in_ram_gib=5.0), ()),
    "no-gpu-found": (Scene(on_gpu_gib=0.0, in_ram_gib=5.0, log=[LogEvent(kind="no_gpu_found")]), ()),
    "by-choice": (Scene(gpu_layers=0, on_gpu_gib=0.0, in_ram_gib=5.0), ()),
    "not-described": (Scene(described=False), ()),
    "silent-fallback": (Scene(in_ram_gib=0.0, measured_gib=0.0), ()),
    "hidden-spill": (Scene(in_ram_gib=0.0, measured_gib=3.0), ()),
    "healthy": (Scene(in_ram_gib=0.0), decoding(70.0)),
    "healthy-at-rest": (Scene(in_ram_gib=0.0), ()),
    "long-context": (
        Scene(in_ram_gib=0.0, context=131072, total_gib=32.0, on_gpu_gib=21.0),
        decoding(20.0, context_tokens=120_000),
    ),
    "requests-at-once": (Scene(in_ram_gib=0.0, parallel=4), decoding(15.0, slots=4)),
    "heat": (Scene(in_ram_gib=0.0, reading=HOT, facts={"slowdown_celsius": 90}), ()),
    "power-cap": (Scene(in_ram_gib=0.0, reading=CAPPED, facts={"power_limit_default_watts": 200.0}), ()),
    "link": (
        Scene(in_ram_gib=0.0, reading={"slow": GpuSlow(pcie_width=4)}, facts={"pcie_width_max": 16}),
        (),
    ),
    "swapping": (Scene(), [system(2, swap_in=8 * 1024**2, swap_out=2 * 1024**2)]),
    "loading": (Scene(), [replace(answering(2.0), state="loading", slots=None)]),
}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("name", SCENES)
def test_all_is_said_with_what_it_rests_on(name: str) -> None:
    scene, more = SCENES[name]
    said = "\n".join(report_lines(NAME, diagnosed(scene, *more))) + "\n"
    kept = GOLDEN / f"{name}.txt"
    if os.environ.get("GPUMON_UPDATE_GOLDEN"):
        kept.write_text(said, encoding="utf-8")
    assert said == kept.read_text(encoding="utf-8")


def test_every_report_is_of_a_scene() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(SCENES)
