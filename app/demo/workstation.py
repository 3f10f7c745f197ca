"""Scenarios on one card: a load that fits, a spill, an eviction duel, a model far too large."""

from __future__ import annotations

from gpumon.app.demo.cards import MIB, RTX_3090, RTX_4070, RTX_4090
from gpumon.app.demo.host import Host
from gpumon.app.demo.machine import Machine, Program
from gpumon.app.demo.story import Happening, Request, Scenario, Stop


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
        Happening(110, Request("qwen3:32b", seconds=60)),
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
