"""Where the latest load has put a model, by the server's log: layers, and buffers per device."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.state.records import Placement
from gpumon.app.views.page import text_of
from gpumon.collectors.samples import BufferComponent
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact

LOG = "server log"

COMPONENT_WORDS: dict[BufferComponent, str] = {
    "model": "weights",
    "kv_cache": "KV cache",
    "recurrent_state": "recurrent state",
    "compute": "compute",
    "output": "output",
}


def placement_facts(placement: Placement | None) -> list[Fact]:
    """Return what the log says of a load; nothing where it says nothing."""
    return [] if placement is None else [*_layers(placement), *_buffers(placement), *_retries(placement)]


def _layers(placement: Placement) -> Iterator[Fact]:
    on_gpu, count = placement.layers_on_gpu, placement.layer_count
    if on_gpu is not None and count is not None:
        yield Fact("layers on GPU", f"{on_gpu} of {count}", LOG, "watch" if on_gpu < count else None)
    if placement.layers_overflowing:
        yield Fact("layers with experts in RAM", text_of(placement.layers_overflowing), LOG, "watch")


def _buffers(placement: Placement) -> Iterator[Fact]:
    devices = sorted({(not key.on_gpu, key.device) for key in placement.buffers})
    for in_ram, device in devices:
        label = f"buffers on {visible(device)}{' (RAM)' if in_ram else ''}"
        yield Fact(label, ", ".join(_parts(placement, device)), LOG)


def _parts(placement: Placement, device: str) -> Iterator[str]:
    sizes = {key.component: size for key, size in placement.buffers.items() if key.device == device}
    for component, words in COMPONENT_WORDS.items():
        if sizes.get(component):
            yield f"{words} {units.size(sizes[component])}"


def _retries(placement: Placement) -> Iterator[Fact]:
    if placement.retries:
        yield Fact("tries before that ran out of memory", text_of(placement.retries), LOG, "watch")
