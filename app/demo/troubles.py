"""Scenarios in which something breaks: heat, a card off the bus, a server that restarts."""

from __future__ import annotations

from gpumon.app.demo.cards import RTX_3090, RTX_4090
from gpumon.app.demo.host import Host
from gpumon.app.demo.machine import Machine
from gpumon.app.demo.story import AirflowBlocked, GpuLost, Happening, Request, Scenario, ServerDown
from gpumon.app.demo.workstation import desktop

THROTTLE = Scenario(
    name="throttle",
    description="the airflow is blocked, and the card slows itself down",
    build=lambda: Machine((RTX_4090,), Host("workbench", ram_gib=64, cores=16, base_gib=7.5)),
    programs=desktop(640),
    prelude=(
        Happening(10, Request("qwen3:32b", seconds=90, context=8192)),
        Happening(140, Request("qwen3:32b", seconds=150, context=8192)),
    ),
    story=(
        Happening(0, Request("qwen3:32b", seconds=220, context=8192)),
        Happening(5, AirflowBlocked(0, factor=1.75, seconds=150)),
        Happening(250, Request("qwen3:32b", seconds=30, context=8192)),
    ),
    story_seconds=300,
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
