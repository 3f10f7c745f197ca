"""The cards of this machine, as ``gpumon fit`` sees them."""

from __future__ import annotations

import asyncio
import contextlib

from gpumon.app.physics.hardware import Card, card_of
from gpumon.collectors.clock import SystemClock

_DRIVER_SECONDS = 5.0
"""A driver that does not answer in time is one whose memory is not known."""


async def cards_of_this_machine() -> tuple[Card, ...]:
    """Return the cards whose memory the driver tells; none are woken for it."""
    from gpumon.collectors.nvml.source import NvmlSource

    source = NvmlSource(SystemClock())
    try:
        async with asyncio.timeout(_DRIVER_SECONDS):
            samples = await source.poll()
    except TimeoutError:
        return ()
    finally:
        with contextlib.suppress(TimeoutError):
            await source.close()
    cards = (card_of(reading) for sample in samples for reading in sample.gpus)
    return tuple(card for card in cards if card is not None)
