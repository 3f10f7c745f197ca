"""A few seconds of keys, bytes and resizes at random; ``make fuzz`` goes on for as long as wanted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.fuzz.screen import Fuzz

ACTIONS = int(os.environ.get("GPUMON_FUZZ_ACTIONS", "240"))


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
@pytest.mark.parametrize("seed", [1, 2])
async def test_keys_bytes_and_resizes_at_random_end_nothing(seed: int, tmp_path: Path) -> None:
    await Fuzz(seed, tmp_path).run(lambda fuzz: fuzz.actions < ACTIONS)
