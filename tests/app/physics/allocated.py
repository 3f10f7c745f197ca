"""What llama.cpp allocates for a file of each architecture, as it logs it.

A row of ``allocated.jsonl`` is a file with the keys of a published model, loaded by llama.cpp b11549
(xllamacpp, without tensor data), and the sum of its lines ``llama_kv_cache: size``, in MiB, for each of
``LOADS``; ``null`` was not logged. ``state_mib`` is ``llama_memory_recurrent: size`` for one slot.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from tests.app.physics.model_facts import Value, facts

from gpumon.app.physics.geometry import LoadOptions
from gpumon.collectors.samples import ModelFacts

LOADS = (
    LoadOptions(8192),
    LoadOptions(32_768),
    LoadOptions(16_384, parallel=2),
    LoadOptions(32_768, parallel=4, unified_cache=True),
    LoadOptions(20_000, cache_type_k="q8_0", cache_type_v="q8_0"),
    LoadOptions(16_384, micro_batch_size=128),
)


class Allocated(NamedTuple):
    """MiB of K and V for each of ``LOADS``, none where nothing attends; MiB of the states of one slot."""

    model: ModelFacts
    cache_mib: tuple[float | None, ...]
    state_mib: float


def _row(line: str) -> tuple[str, Allocated]:
    row = json.loads(line)
    keys: dict[str, Value] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in row["keys"].items()
    }
    model = facts(row["architecture"], row["layers"], row["width"], keys)
    return row["model"], Allocated(model, tuple(row["cache_mib"]), row["state_mib"])


ALLOCATED = dict(map(_row, Path(__file__).with_name("allocated.jsonl").read_text("utf-8").splitlines()))
