"""The words for models, GPUs and sources that verdicts and alerts share; all harmless to draw."""

from __future__ import annotations

from collections.abc import Container, Iterable

from gpumon.app.insight.xids import OF_PROGRAMS, xid_words
from gpumon.app.state.records import GpuRecord, ModelKey, ModelRecord, SourceRecord, XidError, is_server
from gpumon.app.state.records.model import Split, go_round
from gpumon.collectors.samples import GpuState, SourceState
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import kind_named
from gpumon.text.safe import visible
from gpumon.text.units import UNKNOWN, gib

DRIVER_SOURCE = "nvml"

GPU_STATE_WORDS: dict[GpuState, str] = {
    "ok": "is well",
    "lost": "is lost",
    "asleep": "is asleep",
    "failing": "answers with errors",
}
STATE_WORDS: dict[SourceState, str] = {
    "serving": "is answering",
    "idle": "is idle",
    "absent": "is not there",
    "not_running": "is not running",
    "refused": "refuses the connection",
    "unreachable": "cannot be reached",
    "hanging": "is not answering",
    "foreign": "is answered by another program",
    "nonsense": "answers what cannot be understood",
    "forbidden": "does not let us ask",
    "failing": "is failing",
    "asleep": "is asleep",
}
"""What follows the name of a source; "is" falls away where the name stands in a column of its own."""

SOURCE_LABELS = {
    DRIVER_SOURCE: "GPU driver",
    "system": "RAM and CPU",
    "processes": "the list of processes",
}
"""Sources that are not called by their own name."""

READ_SOURCES = frozenset({"system", "processes"})
"""Those that are read from the operating system, and do not fail but cannot be read."""

DETAIL_SAYS_IT: frozenset[SourceState] = frozenset({"absent", "refused", "foreign"})
"""States of which the detail is a sentence of its own."""


def gpu_label(gpu: GpuRecord) -> str:
    """Name a GPU as its owner does: ``GPU 0``."""
    return f"GPU {gpu.reading.index}"


def gpu_state_words(gpu: GpuRecord) -> str:
    """Say what a GPU that does not answer as it should is like: ``GPU 0 is lost: …``."""
    words, detail = GPU_STATE_WORDS[gpu.reading.state], gpu.reading.detail
    said = "" if detail is None or words in detail else f": {visible(detail)}"
    if (error := lost_by(gpu)) is not None and xid_words(error.number).short not in said:
        said = f": {xid_words(error.number).whole}"
    return f"{gpu_label(gpu)} {words}{said}"


LOST_BY_SECONDS = 30.0
"""An Xid error so long before a GPU is lost is what it is lost by."""


def lost_by(gpu: GpuRecord) -> XidError | None:
    """Return the Xid error that came with the loss of a GPU; ``None`` where none was told, or it is there."""
    latest, lost = (gpu.xids[-1] if gpu.xids else None), gpu.lost_since
    if latest is None or lost is None or latest.number in OF_PROGRAMS:
        return None
    return latest if latest.last >= lost - LOST_BY_SECONDS else None


def model_id(key: ModelKey) -> str:
    """Write the identity of a loaded model as one string."""
    return " ".join(key)


def shared_names(models: Iterable[ModelRecord]) -> frozenset[str]:
    """Return the names that models of more than one server have."""
    servers: dict[str, str] = {}
    return frozenset(
        model.claim.name
        for model in models
        if servers.setdefault(model.claim.name, model.key.source) != model.key.source
    )


def model_label(model: ModelRecord, shared: Container[str]) -> str:
    """Name a model; with its server where its name is ``shared`` by several."""
    name = model.claim.name
    return f"{visible(name)} @ {address(model.key.source)}" if name in shared else visible(name)


def source_label(source: str, runtime: str | None = None) -> str:
    """Name a source: ``GPU driver``, ``Ollama at 127.0.0.1:11434``."""
    if is_server(source):
        return f"{runtime_name(runtime)} at {address(source)}"
    return SOURCE_LABELS.get(source) or visible(source)


def runtime_name(runtime: str | None) -> str:
    """Name what serves models; until a server has answered, it is taken for the default kind."""
    return kind_label(kind_named(runtime))


def kind_label(kind: ServerKind) -> str:
    """Name a kind of server."""
    return visible(kind.label)


def address(source: str) -> str:
    """Write the URL of a server as host and port."""
    return visible(source.split("://", 1)[-1].rstrip("/"))


def source_words(source: SourceRecord) -> str:
    """Say how a source is: ``Ollama stopped: connection refused at 127.0.0.1:11434``."""
    label, state = source_label(source.name, source.runtime), source.health.state
    if source.silent_seconds is not None:
        return f"{label} is not answering"
    if _speaks_of_gpus(source):
        return visible(source.health.detail or "")
    if state == "not_running" and source.answered is not None:
        what = runtime_name(source.runtime) if is_server(source.name) else label
        return with_detail(f"{what} stopped", source)
    if state == "foreign":
        return with_detail(f"another program answers at {address(source.name)}", source)
    return _with_words(f"{label} {_state_words(source)}", "" if state == "refused" else _own_detail(source))


def _speaks_of_gpus(source: SourceRecord) -> bool:
    """Return whether a driver that answers names GPUs that it cannot show: that is the sentence."""
    return source.name == DRIVER_SOURCE and source.health.state == "serving" and bool(source.health.detail)


def short_source_words(source: SourceRecord) -> str:
    """Say the same beside the name of the source: ``not running: connection refused``."""
    detail = _own_detail(source)
    if detail and (source.health.state in DETAIL_SAYS_IT or _speaks_of_gpus(source)):
        return detail
    return _with_words(_state_words(source).removeprefix("is "), detail)


def _state_words(source: SourceRecord) -> str:
    if source.health.state == "failing" and source.name in READ_SOURCES:
        return "cannot be read"
    return STATE_WORDS[source.health.state]


def _own_detail(source: SourceRecord) -> str:
    """Return the detail of a source beside its name, which has the address of a server already."""
    detail = visible(source.health.detail or "")
    return detail.removesuffix(f" at {address(source.name)}") if is_server(source.name) else detail


def with_detail(words: str, source: SourceRecord) -> str:
    """Add what is known beyond ``words``."""
    return _with_words(words, visible(source.health.detail or ""))


def _with_words(words: str, detail: str) -> str:
    """Put a detail after ``words``, which it may begin with or only repeat."""
    if not detail or detail in words:
        return words
    return detail if detail.startswith(words) else f"{words}: {detail}"


def missing_words(source: SourceRecord) -> str:
    """Say that a source is not there: ``no GPU driver here``, ``no Ollama at 127.0.0.1:11434``."""
    label = source_label(source.name, source.runtime)
    return f"no {label}" if is_server(source.name) else f"no {label} here"


def amount(size_bytes: int) -> str:
    """Write a part in GiB, one unit for all parts: ``18.2 GiB``; a trace is not nothing: ``<0.1 GiB``."""
    return f"{gib(size_bytes)} GiB"


def shares(split: Split) -> tuple[str, str]:
    """Write the RAM and the GPU share as percentages that add up; a trace is not nothing."""
    if split.spill_fraction is None:
        return UNKNOWN, UNKNOWN
    ram = go_round(split.spill_fraction * 100)
    if ram == 0 and split.ram_bytes:
        return "<1%", ">99%"
    if ram == 100 and split.gpu_bytes:
        return ">99%", "<1%"
    return f"{ram}%", f"{100 - ram}%"


def ended_words(name: str, model: ModelRecord, how: str | None) -> str:
    """Say that the process of a model has ended, and how if a log says so."""
    process = f"its process {model.ended_runner.pid}" if model.ended_runner else "its process"
    by = f" ({visible(how)})" if how else ""
    return f"{name} is loaded no more: {process} has ended{by}, {model.kind.label} still lists it"


def spill_words(split: Split) -> str:
    """Say what a model does that is not on the GPU as a whole: ``spills 18.2 GiB (43%) to RAM``."""
    in_ram = amount(split.ram_bytes or 0)
    if split.gpu_bytes == 0:
        return f"runs wholly on the CPU, {in_ram} in RAM"
    return f"spills {in_ram} ({shares(split)[0]}) to RAM"


def in_part_words(split: Split) -> str:
    """Say how an image generator has loaded a model: ``is loaded in part: 2.1 of 4.9 GiB stay in RAM``."""
    in_ram, whole = split.ram_bytes or 0, (split.ram_bytes or 0) + (split.gpu_bytes or 0)
    if split.gpu_bytes == 0:
        return f"stays in RAM as a whole: {amount(in_ram)}"
    return f"is loaded in part: {gib(in_ram)} of {amount(whole)} stay in RAM"


def spilled_words(model: ModelRecord, split: Split) -> str:
    """Say what a model does that is not on the GPU as a whole, as it is called for its kind."""
    return in_part_words(split) if model.kind.makes_pictures else spill_words(split)


def placement_words(split: Split) -> str:
    """Write where a model is: ``18.2 GiB (43%) in RAM, 24.1 GiB (57%) on GPU``."""
    if split.ram_bytes is None or split.gpu_bytes is None:
        return "placement unknown"
    ram_share, gpu_share = shares(split)
    parts = f"{amount(split.ram_bytes)} ({ram_share}) in RAM, {amount(split.gpu_bytes)} ({gpu_share}) on GPU"
    return f"runs wholly on the CPU, {parts}" if split.gpu_bytes == 0 else parts


def spill_percent(placement: Split, *, estimated: bool = False) -> str:
    """Write how much is spilled; nothing where nothing is."""
    if not placement.spill_fraction:
        return ""
    return f"{'~' if estimated else ''}{shares(placement)[0]}"


def processor_words(record: ModelRecord) -> str:
    """Write the PROCESSOR column of ``ollama ps`` with the shares that all surfaces give."""
    split = record.split
    if not split.ram_bytes or not split.gpu_bytes:
        return record.processor
    in_ram, on_gpu = shares(split)
    return f"{in_ram}/{on_gpu} CPU/GPU"
