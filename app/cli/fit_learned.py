"""What earlier runs have learned of this machine, as far as it bears on ``gpumon fit``."""

from __future__ import annotations

from dataclasses import replace

from gpumon.app.learned.place import learned_path
from gpumon.app.physics.bandwidth import ram_peak_of_measurement
from gpumon.app.physics.hardware import Hardware
from gpumon.collectors.dmi import read_ram_bandwidth
from gpumon.collectors.learned.document import Document, DocumentError, read
from gpumon.collectors.samples import RateScale


def learned() -> Document:
    """Return what the state directory holds; a file that cannot be used teaches nothing."""
    try:
        return read(learned_path())
    except (DocumentError, OSError):
        return Document()


def ram_bandwidth(document: Document) -> float | None:
    """Return the nominal bandwidth of RAM: as measured by ``gpumon calibrate``, else by the firmware."""
    measured = document.ram_bandwidth_bytes_per_second
    return ram_peak_of_measurement(measured) if measured else read_ram_bandwidth().bytes_per_second


def calibrated(hardware: Hardware, document: Document, *, is_moe: bool) -> Hardware:
    """Return the hardware with the scales that were observed on just these cards, of this kind of model."""
    uuids = tuple(sorted(card.uuid for card in hardware.cards if card.uuid is not None))
    fitting = [scale for scale in document.scales if (scale.gpu_uuids, scale.is_moe) == (uuids, is_moe)]
    if not uuids or not fitting:
        return hardware
    return replace(
        hardware,
        decode_scale=_scale(fitting, is_split=False),
        cpu_scale=_scale(fitting, is_split=True),
        is_calibrated=True,
    )


def _scale(scales: list[RateScale], *, is_split: bool) -> float:
    return next((scale.scale for scale in scales if scale.is_split == is_split), 1.0)
