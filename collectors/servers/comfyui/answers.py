"""What is read of ComfyUI's answers: its console, its graphs, its memory (0.3.64 to 0.38).

Sources: app/logger.py (the console keeps the last 300 writes, of a progress bar the latest), comfy/
model_management.py and comfy/model_patcher.py (how models are loaded), server.py (the rest).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from gpumon.collectors.http import fields
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import LoadFacts, PictureJob, RunnerSettings
from gpumon.collectors.servers.pictures import first_flag

MIB = 1024**2
LITTLE_BYTES = 256 * MIB
"""Less than this in torch's hands is no model."""
_BAR = re.compile(r"(\d{1,6})/(\d{1,6}) \[[\d:]+<([\d:]+|\?), *([\d.]+|\?)(it/s|s/it)", re.ASCII)
"""tqdm: ``7/20 [00:03<00:06,  2.10it/s]``."""
_WANTED = re.compile(r"Requested to load (\w{1,64})", re.ASCII)
_DYNAMIC = re.compile(r"Model (\w{1,64}) prepared for dynamic VRAM loading\. +(\d{1,9})MB Staged", re.ASCII)
_NUMBER = re.compile(r"[\d.]{1,40}", re.ASCII)
_BESIDE = re.compile(r"clip|temodel|vae|autoenc|vision|controln|controllora|t5|esrgan", re.IGNORECASE)
"""In names of models that do not draw: they wait in RAM by design while another works."""
_WHOLE, _IN_PART, _IN_LOWVRAM = "loaded completely", "loaded partially", "loaded in lowvram mode"
_LOWVRAM = "loading in lowvram mode"
WAYS = (_WHOLE, _IN_PART, _IN_LOWVRAM, _LOWVRAM)


class Weights(msgspec.Struct, frozen=True):
    """How the model that draws was loaded last; ``None`` is not told."""

    name: str
    on_gpu_bytes: int | None = None
    whole_bytes: int | None = None


class Bar(msgspec.Struct, frozen=True):
    """The sampler's progress."""

    step: int
    count: int
    seconds_per_step: float | None
    seconds_left: float | None


class Console:
    """Reads what is new in the console; of lines that are not known nothing is kept."""

    def __init__(self) -> None:
        self.bar: Bar | None = None
        self.weights: Weights | None = None
        self.ended = 0
        """Jobs that were seen to end."""
        self._newest = ""
        self._wanted: list[str] = []
        self._wholes: dict[str, int] = {}

    def read(self, said: RawObject) -> None:
        """Take in the answer: entries of time and text, oldest first."""
        newest = self._newest
        for raw in fields.field(said, "entries", fields.ROWS) or ():
            entry = fields.read(raw, fields.OBJECT) or {}
            at, text = fields.text(entry, "t") or "", fields.text(entry, "m")
            if at > newest and text is not None:
                self._take(text)
                self._newest = max(self._newest, at)

    def _take(self, text: str) -> None:
        if found := _BAR.search(text):
            self.bar = _bar(*found.groups())
        elif found := _WANTED.search(text):
            self._wanted.append(found[1])
        elif found := _DYNAMIC.search(text):
            self._load(found[1], None, int(found[2]) * MIB)
        elif "Prompt executed in" in text:
            self.bar, self.ended, self._wanted = None, self.ended + 1, []
        else:
            self._take_load(text)

    def _take_load(self, text: str) -> None:
        """Take in how a model was loaded.

        Of a part of it older versions say only how much is on the GPU: ``loaded partially 5300.2 5299.1 0``.
        """
        way = next((one for one in WAYS if one in text), None)
        if way is None:
            return
        name = self._wanted.pop(0) if self._wanted else self.weights.name if self.weights else ""
        told = text.partition(way)[2]
        numbers = [size for one in _NUMBER.findall(told) if (size := _bytes(one)) is not None]
        on_gpu = _mib(told, "loaded") or next(iter(numbers[1:] or numbers), None)
        whole = on_gpu if way == _WHOLE else self._wholes.get(name)
        if (offloaded := _mib(told, "offloaded")) is not None:
            whole = (on_gpu or 0) + offloaded
        if whole is not None:
            self._wholes[name] = whole
        self._load(name, on_gpu, whole)

    def _load(self, name: str, on_gpu: int | None, whole: int | None) -> None:
        if name and not _BESIDE.search(name):
            self.weights = Weights(name, on_gpu, whole)


def _mib(text: str, what: str) -> int | None:
    found = re.search(rf"([\d.]{{1,40}}) MB {what}", text, re.ASCII)
    return _bytes(found[1]) if found else None


def _bytes(mebibytes: str) -> int | None:
    """Return a size; none for the 1e32 MiB that stand for "as much as it takes"."""
    try:
        size = float(mebibytes) * MIB
    except ValueError:
        return None
    return int(size) if 0 <= size < fields.MOST else None


def _bar(step: str, count: str, left: str, rate: str, unit: str) -> Bar:
    value = float(rate) if rate.replace(".", "", 1).isdecimal() else 0.0
    seconds = (value if unit == "s/it" else 1 / value) if value else None
    return Bar(int(step), int(count), seconds, _seconds(left))


def _seconds(clock: str) -> float | None:
    """Return the seconds of ``1:02:03``."""
    if clock == "?":
        return None
    parts = [int(part or 0) for part in clock.split(":")]
    return float(sum(part * 60**power for power, part in enumerate(reversed(parts))))


def _object(raw: msgspec.Raw) -> RawObject:
    return fields.read(raw, fields.OBJECT) or {}


class Plan(msgspec.Struct, frozen=True):
    """What is read of a graph: no word of a prompt."""

    job_id: str | None = None
    model: str | None = None
    steps: int | None = None
    width: int | None = None
    height: int | None = None
    batch_size: int | None = None


def plan_of(item: Sequence[msgspec.Raw] | None) -> Plan:
    """Return the plan of a queued item: its number, its id, its graph, and more that is not looked at."""
    if item is None or len(item) < 3:
        return Plan()
    graph = fields.read(item[2], fields.OBJECT) or dict[str, msgspec.Raw]()
    nodes = [fields.nested(_object(raw), "inputs") for raw in graph.values()]
    sized = next((one for one in nodes if {"width", "height", "batch_size"} <= one.keys()), {})
    names = (fields.text(node, key) for key in ("unet_name", "ckpt_name") for node in nodes)
    return Plan(
        fields.read(item[1], fields.TEXT),
        next(filter(None, names), None),
        max((steps for node in nodes if (steps := fields.amount(node, "steps"))), default=None),
        fields.amount(sized, "width"),
        fields.amount(sized, "height"),
        fields.amount(sized, "batch_size"),
    )


def _used_bytes(stats: RawObject) -> Iterator[int]:
    """Yield what torch has in use of each device."""
    for raw in fields.field(stats, "devices", fields.ROWS) or ():
        device = fields.read(raw, fields.OBJECT) or {}
        total, free = (fields.amount(device, key) for key in ("torch_vram_total", "torch_vram_free"))
        if total is not None and free is not None:
            yield total - free


class Desk:
    """What is known of one ComfyUI, from all that it has answered."""

    def __init__(self) -> None:
        self._console = Console()
        self._plan = Plan()
        self._model: str | None = None
        self._seen: tuple[int, int] | None = None
        """How many jobs there were, and how many had ended, when the graph was asked for."""
        self._version: str | None = None
        self.settings = RunnerSettings()
        self.has_worked = False
        """Whether a job was under way at the look before."""

    @property
    def is_unnamed(self) -> bool:
        """Whether something is loaded, and nothing has told which file."""
        return self._model is None and self._console.weights is not None

    @property
    def facts(self) -> LoadFacts:
        """What is loaded, as far as it is told."""
        weights = self._console.weights
        return LoadFacts(
            build=self._version,
            model_path=self._model,
            model_type=weights.name if weights else None,
            weights_bytes=weights.whole_bytes if weights else None,
            weights_on_gpu_bytes=weights.on_gpu_bytes if weights else None,
        )

    def take_stats(self, stats: RawObject, flags: Sequence[str], *, works: bool) -> None:
        """Take in ``/system_stats``: the version, how it was started, whether anything is loaded at all."""
        system = fields.nested(stats, "system")
        self._version = fields.text(system, "comfyui_version")
        self.settings = RunnerSettings(offload=first_flag([*fields.texts(system, "argv", 256)], flags))
        used = [*_used_bytes(stats)]
        if used and sum(used) < LITTLE_BYTES and not works:
            self._console.weights = self._model = None

    def read(self, said: RawObject) -> None:
        """Take in the console."""
        self._console.read(said)

    def is_another_job(self, count: int) -> bool:
        """Return whether the job under way may be another one than at the look before."""
        return self._seen != (count, self._console.ended)

    def begin(self, queue: RawObject) -> None:
        """Take in the graph of the job that is under way."""
        running = fields.field(queue, "queue_running", fields.ROWS) or ()
        pending = fields.field(queue, "queue_pending", fields.ROWS) or ()
        self._seen = (len(running) + len(pending), self._console.ended)
        self._plan = plan_of(fields.read(running[0], fields.ROWS)) if running else Plan()
        self._model = self._plan.model or self._model

    def recall(self, history: RawObject) -> None:
        """Take in the name of the file that the latest job had."""
        for raw in history.values():
            item = _object(raw)
            self._model = plan_of(fields.field(item, "prompt", fields.ROWS)).model

    def job(self, count: int) -> PictureJob | None:
        """Return the job under way, of the ``count`` that are not over."""
        self.has_worked = count > 0
        if not count:
            self._plan, self._seen = Plan(), None
            return None
        bar, plan = self._console.bar, self._plan
        return PictureJob(
            job_id=plan.job_id,
            step=bar.step if bar else None,
            step_count=bar.count if bar else plan.steps,
            seconds_per_step=bar.seconds_per_step if bar else None,
            seconds_left=bar.seconds_left if bar else None,
            width=plan.width,
            height=plan.height,
            batch_size=plan.batch_size,
            waiting=count - 1,
        )
