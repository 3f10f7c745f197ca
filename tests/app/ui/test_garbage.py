"""What the start has made is not looked at again."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from gpumon.app.ui.app import spare_what_lasts


@pytest.fixture
def collector() -> Iterator[None]:
    """Leave the collector as it was."""
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("collector")
def test_what_there_is_is_spared_and_collecting_goes_on() -> None:
    gc.disable()
    spare_what_lasts()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
