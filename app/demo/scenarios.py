"""The built-in scenarios: workstations, fleets and machines in trouble, by name."""

from __future__ import annotations

import difflib

from gpumon.app.demo.generator import FLUX, SDXL, Generator
from gpumon.app.demo.hardware import L40S, RTX_3090, RTX_4070, RTX_4090, Host
from gpumon.app.demo.machine import Machine, Program
from gpumon.app.demo.story import (
    PRELUDE_SECONDS,
    AirflowBlocked,
    Caption,
    Draw,
    Free,
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
        Happening(5, Request("llama3.2:3b", seconds=11)),
        Happening(90, Request("llama3.2:3b", seconds=11)),
        Happening(200, Request("llama3.2:3b", seconds=11)),
    ),
    story=(
        Happening(6, Request("qwen3:14b", seconds=45, context=16384)),
        Happening(80, Request("llama3.2:3b", seconds=12)),
        Happening(100, Request("qwen3:14b", seconds=60, context=16384)),
        Happening(190, Request("qwen3:14b", seconds=20, context=16384)),
        Happening(225, Stop("qwen3:14b")),
    ),
    story_seconds=240,
    captions=(
        Caption(0, "a small model is loaded; a larger one is asked for in a moment"),
        Caption(6, "qwen3:14b loads: how far it is, and how long still"),
        Caption(15, "both are on the GPU whole, so both run at full speed"),
        Caption(26, "Enter opens a model's page, f says what else would fit"),
        Caption(60, "its request is done; it stays loaded until it expires"),
        Caption(102, "at work again, as fast as this card can be expected to be"),
        Caption(226, "qwen3:14b was unloaded, and its memory came back"),
    ),
)

SPILL = Scenario(
    name="spill",
    description="a second client asks for a larger context, and the model spills to RAM",
    build=lambda: Machine((RTX_4070,), Host("workbench", ram_gib=32, cores=16, base_gib=7.2)),
    programs=desktop(1320),
    prelude=(
        Happening(-60, Request("qwen2.5-coder:14b", seconds=40)),
        Happening(95, Request("qwen2.5-coder:14b", seconds=55)),
        Happening(210, Request("qwen2.5-coder:14b", seconds=40)),
        Happening(280, Request("qwen2.5-coder:14b", seconds=20)),
    ),
    story=(
        Happening(8, Request("qwen2.5-coder:14b", seconds=75, context=32768)),
        Happening(110, Request("qwen2.5-coder:14b", seconds=45, context=6400)),
        Happening(190, Request("qwen2.5-coder:14b", seconds=30, context=6400)),
    ),
    story_seconds=240,
    captions=(
        Caption(0, "all of it is on the GPU: 45 tokens a second"),
        Caption(9, "a client asks for a context of 32768: it is loaded again for that"),
        Caption(18, "now it is too large: 5.5 GiB of it run from RAM"),
        Caption(28, "45 tokens a second have become 7: the GPU waits for the CPU"),
        Caption(38, "the cure stands in the first lines: y copies it, Enter says why"),
        Caption(60, "f says what would fit, u unloads it, } plays the next scenario"),
        Caption(111, "somebody has typed the cure: num_ctx 6400"),
        Caption(119, "all of it is on the GPU again, as fast as before"),
    ),
)

EVICT = Scenario(
    name="evict",
    description="two models take turns and push each other out of VRAM",
    build=lambda: Machine((RTX_3090,), Host("workbench", ram_gib=64, cores=24, base_gib=9.0)),
    programs=desktop(420),
    prelude=(
        Happening(10, Request("qwen3:32b", seconds=45)),
        Happening(110, Request("mistral-small:24b", seconds=50)),
        Happening(230, Request("qwen3:32b", seconds=30)),
    ),
    story=(
        Happening(10, Request("mistral-small:24b", seconds=16)),
        Happening(38, Request("qwen3:32b", seconds=16)),
        Happening(72, Request("mistral-small:24b", seconds=14)),
        Happening(100, Request("qwen3:32b", seconds=20)),
    ),
    story_seconds=140,
    captions=(
        Caption(0, "qwen3:32b fills the card; another model is asked for in a moment"),
        Caption(11, "no room for both: Ollama unloads one to load the other"),
        Caption(23, "each request now waits for a load: they evict each other"),
        Caption(40, "and back: qwen3:32b makes the other one leave"),
        Caption(54, "its answers are as fast as ever: the loads are what takes long"),
        Caption(75, "on and on, each load costs ten seconds of waiting"),
    ),
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
        Happening(120, Request("llama3.1:8b", seconds=50, context=8192)),
        Happening(230, Request("llama3.1:8b", seconds=30, context=8192)),
    ),
    story=(
        Happening(6, Request("llama3.3:70b", seconds=120)),
        Happening(180, Request("llama3.3:70b", seconds=60)),
        Happening(280, Request("llama3.1:8b", seconds=40, context=8192)),
    ),
    story_seconds=360,
    captions=(
        Caption(0, "a card of 24 GB; a model of 40 GB is asked for in a moment"),
        Caption(8, "it loads although it cannot fit: the rest will go to RAM"),
        Caption(20, "what does not fit fills the RAM, and this machine has 32 GB"),
        Caption(33, "half of it runs from RAM: 2.5 tokens a second"),
        Caption(43, "and RAM is full: the machine begins to swap"),
        Caption(54, "Enter says what would fit: a smaller quantisation of it"),
        Caption(282, "a model that fits: the card has room again, and so has RAM"),
    ),
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
    captions=(
        Caption(0, "39 tokens a second; something is about to cover the fans"),
        Caption(10, "it heats up: at 90 degrees this card slows itself down"),
        Caption(29, "there: its clocks fall from 2800 to 1700 MHz"),
        Caption(38, "which costs a third of the speed: 28 tokens a second, not 39"),
        Caption(52, "Tab, then Enter: the card's clocks, power and heat"),
        Caption(134, "the fans are free again: it cools, and the clocks come back"),
    ),
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
    captions=(
        Caption(0, "two cards, each with a model at work"),
        Caption(15, "GPU 1 has fallen off the bus, and its model is gone"),
        Caption(25, "the other card goes on; nothing that is unknown is drawn as zero"),
        Caption(60, "the card is back, and empty"),
        Caption(75, "its model is asked for and loads again"),
    ),
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
        Happening(270, Request("llama3.2:3b", seconds=11)),
    ),
    story=(
        Happening(10, ServerDown(seconds=35)),
        Happening(60, Request("qwen3:14b", seconds=60, context=16384)),
        Happening(75, Request("llama3.2:3b", seconds=25)),
        Happening(160, Request("qwen3:14b", seconds=60, context=16384)),
    ),
    story_seconds=240,
    captions=(
        Caption(0, "two models are loaded; Ollama is about to stop"),
        Caption(11, "Ollama does not answer: how to start it stands beside that"),
        Caption(46, "Ollama is back, with nothing loaded"),
        Caption(60, "the first request has its model loaded again"),
    ),
)

FULL = Scenario(
    name="full",
    description="an answer fills the context and ends in the middle",
    build=lambda: Machine((RTX_4070,), Host("workbench", ram_gib=32, cores=16, base_gib=7.2)),
    programs=desktop(640),
    prelude=(
        Happening(-60, Request("qwen3:8b", seconds=30)),
        Happening(90, Request("qwen3:8b", seconds=25)),
        Happening(220, Request("qwen3:8b", seconds=30)),
    ),
    story=(
        Happening(3, Request("qwen3:8b", seconds=120)),
        Happening(60, Request("qwen3:8b", seconds=120)),
        Happening(112, Request("qwen3:8b", seconds=60, context=16384)),
        Happening(200, Request("qwen3:8b", seconds=25, context=16384)),
    ),
    story_seconds=240,
    captions=(
        Caption(0, "a long answer begins, with a context of 4096 tokens for it"),
        Caption(12, "prompt and answer share the context, and it fills up"),
        Caption(41, "full: what came first is dropped, and nobody was told"),
        Caption(52, "f says how large a context would still fit"),
        Caption(113, "the same request with a context of 16384"),
        Caption(130, "there is room for the answer, and all of it is on the GPU"),
    ),
)


PICTURES = Scenario(
    name="pictures",
    description="an image generator beside a language model, and a model of its own that fits in part",
    build=lambda: Machine(
        (RTX_4070,),
        Host("workbench", ram_gib=32, cores=16, base_gib=7.2),
        keep_alive_seconds=86400.0,
        generator=Generator(started=0.0),
    ),
    programs=desktop(420),
    prelude=(
        Happening(10, Draw(FLUX)),
        Happening(90, Free()),
        Happening(100, Request("qwen3:4b", seconds=15)),
        Happening(160, Draw(SDXL)),
        Happening(200, Request("qwen3:4b", seconds=15)),
        Happening(250, Draw(SDXL, steps=30)),
    ),
    story=(
        Happening(3, Draw(SDXL, steps=60)),
        Happening(12, Request("qwen3:4b", seconds=15)),
        Happening(50, Draw(FLUX, steps=24)),
        Happening(150, Stop("qwen3:4b")),
        Happening(155, Draw(FLUX, steps=24)),
        Happening(225, Free()),
        Happening(230, Request("qwen3:4b", seconds=15)),
    ),
    story_seconds=260,
    captions=(
        Caption(0, "ComfyUI draws with SDXL, beside a language model on one card"),
        Caption(14, "both at work take turns on the card: each has half of its speed"),
        Caption(56, "now with Flux: what does not fit stays in RAM, for each step again"),
        Caption(70, "a step took 2 seconds while all of it fitted; Enter says more"),
        Caption(151, "the language model was unloaded, and there is more room"),
        Caption(170, "all of Flux is on the card: a step takes 2 seconds again"),
        Caption(226, "ComfyUI has freed its memory, and goes on without a model"),
    ),
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
    captions=(
        Caption(0, "eight cards, twenty models: each bar says what lies where"),
        Caption(10, "what is at work has a rate, what rests has none"),
        Caption(20, "/ narrows the list by name, s sorts it, Enter opens a row"),
    ),
)


_ALL = (FITS, SPILL, EVICT, SEVENTY, FLEET, THROTTLE, GPU_LOST, RESTART, FULL, PICTURES)


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
