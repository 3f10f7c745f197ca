"""The built-in scenarios: workstations, fleets and machines in trouble, by name."""

from __future__ import annotations

import difflib

from gpumon.app.demo.hardware import L40S, RTX_3090, RTX_4070, RTX_4090, Host
from gpumon.app.demo.machine import Machine, Program
from gpumon.app.demo.story import (
    PRELUDE_SECONDS,
    AirflowBlocked,
    GpuLost,
    Happening,
    Request,
    Scenario,
    ServerDown,
    Stop,
)
from gpumon.app.errors import GpumonError
from gpumon.text.units import MIB


def desktop(vram_mib: int) -> tuple[Program, ...]:
    """Return the programs of a desktop session that hold ``vram_mib`` of the first card."""
    return (
        Program("Xorg", pid=1874, gpu=0, vram_bytes=vram_mib * MIB * 6 // 10),
        Program("gnome-shell", pid=2103, gpu=0, vram_bytes=vram_mib * MIB * 4 // 10),
    )


FITS = Scenario(
    name="fits",
    description="a model loads, fits into VRAM and works",
    build=lambda: Machine((RTX_4090,), Host("workbench", ram_gib=64, cores=16, base_gib=7.5)),
    programs=desktop(640),
    prelude=(
        Happening(5, Request("llama3.2:3b", seconds=20)),
        Happening(90, Request("llama3.2:3b", seconds=35)),
        Happening(200, Request("llama3.2:3b", seconds=30)),
    ),
    story=(
        Happening(6, Request("qwen3:14b", seconds=45, context=16384)),
        Happening(80, Request("llama3.2:3b", seconds=12)),
        Happening(100, Request("qwen3:14b", seconds=60, context=16384)),
        Happening(190, Request("qwen3:14b", seconds=20, context=16384)),
        Happening(225, Stop("qwen3:14b")),
    ),
    story_seconds=240,
)

SPILL = Scenario(
    name="spill",
    description="a second client asks for a larger context, and the model spills to RAM",
    build=lambda: Machine((RTX_4070,), Host("workbench", ram_gib=32, cores=16, base_gib=7.2)),
    programs=desktop(1320),
    prelude=(
        Happening(10, Request("qwen2.5-coder:14b", seconds=40)),
        Happening(95, Request("qwen2.5-coder:14b", seconds=55)),
        Happening(210, Request("qwen2.5-coder:14b", seconds=40)),
        Happening(280, Request("qwen2.5-coder:14b", seconds=20)),
    ),
    story=(
        Happening(8, Request("qwen2.5-coder:14b", seconds=75, context=32768)),
        Happening(110, Request("qwen2.5-coder:14b", seconds=90, context=32768)),
        Happening(220, Request("qwen2.5-coder:14b", seconds=40)),
        Happening(300, Request("qwen2.5-coder:14b", seconds=30)),
    ),
    story_seconds=340,
)

EVICT = Scenario(
    name="evict",
    description="two models take turns and push each other out of VRAM",
    build=lambda: Machine((RTX_3090,), Host("workbench", ram_gib=64, cores=24, base_gib=9.0)),
    programs=desktop(420),
    prelude=(
        Happening(10, Request("qwen3:32b", seconds=45)),
        Happening(110, Request("mistral-small:24b", seconds=60)),
        Happening(230, Request("qwen3:32b", seconds=30)),
    ),
    story=(
        Happening(10, Request("mistral-small:24b", seconds=16)),
        Happening(38, Request("qwen3:32b", seconds=16)),
        Happening(72, Request("mistral-small:24b", seconds=14)),
        Happening(100, Request("qwen3:32b", seconds=20)),
    ),
    story_seconds=140,
)

SEVENTY = Scenario(
    name="70b",
    description="a 70B model on a 24 GB card: half of it runs from RAM, and the machine swaps",
    build=lambda: Machine(
        (RTX_3090,),
        Host("workbench", ram_gib=32, cores=16, base_gib=11.6, ram_bandwidth_bytes_per_second=89.6e9),
    ),
    programs=desktop(420),
    prelude=(
        Happening(15, Request("llama3.1:8b", seconds=40, context=8192)),
        Happening(120, Request("llama3.1:8b", seconds=70, context=8192)),
        Happening(230, Request("llama3.1:8b", seconds=30, context=8192)),
    ),
    story=(
        Happening(6, Request("llama3.3:70b", seconds=120)),
        Happening(180, Request("llama3.3:70b", seconds=60)),
        Happening(280, Request("llama3.1:8b", seconds=40, context=8192)),
    ),
    story_seconds=360,
)


THROTTLE = Scenario(
    name="throttle",
    description="the airflow is blocked, and the card slows itself down",
    build=lambda: Machine((RTX_4090,), Host("workbench", ram_gib=64, cores=16, base_gib=7.5)),
    programs=desktop(640),
    # As many requests as make a rate the usual one: what the heat costs is said against that.
    prelude=tuple(Happening(at, Request("qwen3:32b", 40, context=8192)) for at in range(5, 300, 50)),
    story=(
        *(Happening(at, Request("qwen3:32b", 51, context=8192)) for at in range(0, 150, 50)),
        Happening(2, AirflowBlocked(0, factor=2.1, seconds=130)),
        *(Happening(at, Request("qwen3:32b", 45, context=8192)) for at in (170, 225)),
    ),
    story_seconds=280,
)

GPU_LOST = Scenario(
    name="gpu-lost",
    description="one of two cards falls off the bus, and comes back",
    build=lambda: Machine((RTX_3090, RTX_3090), Host("rack", ram_gib=128, cores=32, base_gib=11.0)),
    prelude=(
        Happening(10, Request("qwen3:32b", seconds=60, context=8192, gpus=(0,))),
        Happening(20, Request("mistral-small:24b", seconds=80, context=8192, gpus=(1,))),
        Happening(180, Request("qwen3:32b", seconds=100, context=8192, gpus=(0,))),
        Happening(200, Request("mistral-small:24b", seconds=140, context=8192, gpus=(1,))),
    ),
    story=(
        Happening(15, GpuLost(1, seconds=45)),
        Happening(40, Request("qwen3:32b", seconds=40, context=8192, gpus=(0,))),
        Happening(75, Request("mistral-small:24b", seconds=70, context=8192, gpus=(1,))),
        Happening(160, Request("qwen3:32b", seconds=40, context=8192, gpus=(0,))),
    ),
    story_seconds=240,
)

RESTART = Scenario(
    name="restart",
    description="Ollama stops, its models are gone, and it is started again",
    build=lambda: Machine((RTX_4090,), Host("workbench", ram_gib=64, cores=16, base_gib=7.5)),
    programs=desktop(640),
    prelude=(
        Happening(10, Request("qwen3:14b", seconds=60, context=16384)),
        Happening(30, Request("llama3.2:3b", seconds=20)),
        Happening(150, Request("qwen3:14b", seconds=80, context=16384)),
        Happening(270, Request("llama3.2:3b", seconds=20)),
    ),
    story=(
        Happening(10, ServerDown(seconds=35)),
        Happening(60, Request("qwen3:14b", seconds=60, context=16384)),
        Happening(75, Request("llama3.2:3b", seconds=25)),
        Happening(160, Request("qwen3:14b", seconds=60, context=16384)),
    ),
    story_seconds=240,
)


_MODELS: tuple[tuple[str, int, tuple[int, ...]], ...] = (
    ("llama3.3:70b", 4096, (0,)),
    ("deepseek-r1:70b", 4096, (1,)),
    ("qwen2.5:72b", 16384, (2, 3)),
    ("qwen3:32b", 16384, (4,)),
    ("qwen2.5-coder:14b", 16384, (4,)),
    ("qwen3:4b", 8192, (4,)),
    ("qwen2.5-coder:32b", 16384, (5,)),
    ("phi4:14b", 8192, (5,)),
    ("qwen3:1.7b", 8192, (5,)),
    ("qwen3:14b", 16384, (6,)),
    ("llama3.1:8b", 32768, (6,)),
    ("codestral:22b", 8192, (6,)),
    ("mistral:7b", 8192, (7,)),
    ("mistral-small:24b", 16384, (7,)),
    ("deepseek-r1:8b", 16384, (7,)),
    ("granite3.3:8b", 8192, (7,)),
    ("llama3.2:3b", 8192, (3,)),
    ("qwen3:8b", 8192, (3,)),
    ("qwen2.5-coder:7b", 8192, (3,)),
    ("deepseek-r1:14b", 8192, (3,)),
)
"""(model, context, cards it is kept on)"""

STORY_SECONDS = 400


def _request(number: int, seconds: float) -> Request:
    name, context, gpus = _MODELS[number]
    return Request(name, seconds=seconds, context=context, gpus=gpus)


def _prelude() -> tuple[Happening, ...]:
    loads = [Happening(2 + 7 * number, _request(number, 20 + number)) for number in range(len(_MODELS))]
    later = range(160, PRELUDE_SECONDS, 13)
    return tuple(loads) + tuple(Happening(at, _request(at * 7 % len(_MODELS), 25 + at % 30)) for at in later)


def _story() -> tuple[Happening, ...]:
    return tuple(
        Happening(at, _request(at // 5 * 7 % len(_MODELS), 15 + at * 11 % 50))
        for at in range(0, STORY_SECONDS, 5)
    )


FLEET = Scenario(
    name="fleet",
    description="a server with eight cards and twenty models",
    build=lambda: Machine(
        (L40S,) * 8,
        Host("inference-01", ram_gib=512, cores=64, base_gib=24.0),
        keep_alive_seconds=86400.0,
        read_bytes_per_second=5.5e9,
    ),
    prelude=_prelude(),
    story=_story(),
    story_seconds=STORY_SECONDS,
)


_ALL = (FITS, SPILL, EVICT, SEVENTY, FLEET, THROTTLE, GPU_LOST, RESTART)


def list_scenarios() -> tuple[Scenario, ...]:
    """Return every scenario, the simplest first; ``name`` and ``description`` are for a list."""
    return _ALL


def scenario_named(name: str) -> Scenario:
    """Return the scenario called ``name``.

    Raises:
        GpumonError: there is none; the text names the nearest ones.
    """
    by_name = {scenario.name: scenario for scenario in _ALL}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=2, cutoff=0.5)
    known = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(by_name)}"
    raise GpumonError(f"no scenario {name!r}: {known}")
