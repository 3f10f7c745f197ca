"""The scenario of a shared server: eight cards, twenty models."""

from __future__ import annotations

from gpumon.app.demo.cards import L40S
from gpumon.app.demo.host import Host
from gpumon.app.demo.machine import Machine
from gpumon.app.demo.story import PRELUDE_SECONDS, Happening, Request, Scenario

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
