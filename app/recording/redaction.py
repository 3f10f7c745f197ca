"""Leaves out of a recording what names people, machines and models, and writes the copy."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

from gpumon.app.recording.keys import Keys, begins_block
from gpumon.app.recording.lines import Header, RecordingError, encode_header, encode_line
from gpumon.app.recording.packing import Press, form_of_name
from gpumon.app.recording.pseudonyms import Pseudonyms
from gpumon.app.recording.reader import Recording
from gpumon.collectors.samples import AnySample
from gpumon.collectors.servers.registry import REGISTRY

SHORTEST_KNOWN = 3
"""Shorter names are not looked for inside sentences."""

_URL_OR_PATH = re.compile(r"[^\s'\"(]*[/\\@][^\s'\")]*")
_ADDRESS = re.compile(r"(?<![\w.])(?!127\.)\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")
_SAID_BY_A_SERVER = re.compile(r"^(HTTP \d{3}): .*", re.DOTALL)
_FIGURE = re.compile(r"-?\d[\d.]*(?:[a-zA-Z]{0,2})|true|false|")
_OWN_SOURCES = re.compile(
    r"nvml|system|processes|files|runners|learned|server log|log journal [\w.-]+|(?:runner|process) \d+|"
)

Rule = Callable[["Redaction", str], str]


class Redaction:
    """Replaces the names in one recording. In sentences it finds those that it has met before."""

    def __init__(self) -> None:
        self.names = Pseudonyms()

    def header(self, header: Header) -> Header:
        """Return the header without the host's name."""
        return msgspec.structs.replace(header, host=self.names.of_host(header.host))

    def sample(self, sample: AnySample) -> AnySample:
        """Return the sample with stand-ins for names."""
        return cast("AnySample", self._struct(sample))

    def words(self, text: str) -> str:
        """Return the name of a source, or a sentence, with stand-ins for what it names."""
        is_source = " " not in text or text.startswith("log ")
        return _source(self, text) if is_source and ("/" in text) else _sentence(self, text)

    def _struct(self, value: msgspec.Struct) -> msgspec.Struct:
        changes = {}
        for name in value.__struct_fields__:
            old = getattr(value, name)
            new = self._value(old, _rule(type(value).__name__, name))
            if new is not old:
                changes[name] = new
        return msgspec.structs.replace(value, **changes) if changes else value

    def _value(self, value: object, rule: Rule) -> object:
        match value:
            case str():
                return rule(self, value)
            case msgspec.Struct():
                return self._struct(value)
            case tuple():
                return tuple(self._value(one, rule) for one in value)
            case dict():
                return self._mapping(value, rule)
        return value

    def _mapping(self, values: Mapping[object, object], rule: Rule) -> dict[object, object]:
        if isinstance(rule, _Keyed):
            return {self._value(key, rule.key): self._value(one, rule) for key, one in values.items()}
        return {key: self._value(one, rule) for key, one in values.items()}


class _Keyed:
    """The rule of a mapping of which the keys name something, too."""

    def __init__(self, key: Rule, value: Rule) -> None:
        self.key = key
        self._rule = value

    def __call__(self, redaction: Redaction, text: str) -> str:
        return self._rule(redaction, text)


def _keep(_redaction: Redaction, text: str) -> str:
    return text


def _model(redaction: Redaction, text: str) -> str:
    return redaction.names.of_model(text)


def _digest(redaction: Redaction, text: str) -> str:
    return redaction.names.of_digest(text)


def _gpu(redaction: Redaction, text: str) -> str:
    return redaction.names.of_gpu(text)


def _visible_device(redaction: Redaction, text: str) -> str:
    return text if text.isdecimal() else redaction.names.of_gpu(text)


def _path(redaction: Redaction, text: str) -> str:
    return redaction.names.of_path(text)


def _host(redaction: Redaction, text: str) -> str:
    return redaction.names.of_host(text)


def _url(redaction: Redaction, text: str) -> str:
    return redaction.names.of_url(text)


def _program(redaction: Redaction, text: str) -> str:
    return redaction.names.of("program", text)


def _user(redaction: Redaction, text: str) -> str:
    return redaction.names.of("user", text)


def _setting(redaction: Redaction, text: str) -> str:
    return text if _FIGURE.fullmatch(text) else redaction.names.of("value", text)


def _source(redaction: Redaction, text: str) -> str:
    if _OWN_SOURCES.fullmatch(text):
        return text
    kind, space, rest = text.partition(" ")
    if space and "://" in rest:
        return f"{kind} {redaction.names.of_url(rest)}"
    if space and rest.startswith("/"):
        return f"{kind} {redaction.names.of_path(rest)}"
    return redaction.names.of_url(text) if "://" in text else redaction.names.of_path(text)


def _sentence(redaction: Redaction, text: str) -> str:
    """Cut what a server has said, and replace every name that is known and all that looks like an address."""
    text = _SAID_BY_A_SERVER.sub(r"\1", text)
    known = redaction.names.known
    for name in sorted((name for name in known if len(name) >= SHORTEST_KNOWN), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", known[name].replace("\\", ""), text)
    text = _URL_OR_PATH.sub(lambda found: _unless_known(redaction, found[0]), text)
    return _ADDRESS.sub(lambda found: redaction.names.of_host(found[0]), text)


def _unless_known(redaction: Redaction, word: str) -> str:
    stand_ins = redaction.names.known.values()
    if word in _paths() or any(stand_in in word for stand_in in stand_ins):
        return word
    return redaction.names.of("p", word)


@cache
def _paths() -> frozenset[str]:
    """Return the paths that our own sentences name: those at which the kinds of servers are asked."""
    return frozenset().union(*(kind.paths for kind in REGISTRY.kinds()))


_KEPT: dict[str, tuple[str, ...]] = {
    "NvmlSample": ("driver_version", "other_makers"),
    "GpuReading": ("name", "pci_bus_id", "throttle_reasons"),
    "GpuFacts": ("brand",),
    "ServerSample": ("kind", "version"),
    "ModelClaim": ("format", "family", "parameter_size", "quantization"),
    "ModelFacts": ("architecture", "capabilities"),
    "RunnerSettings": (
        "cache_type_k",
        "cache_type_v",
        "child_of",
        "flash_attention",
        "offload",
        "quantization",
    ),
    "LoadFacts": ("build", "model_type", "quantization"),
    "Orders": ("by_environment", "devices", "draft_devices", "load_mode", "split_mode"),
    "Override": ("device", "pattern"),
    "TensorBytes": ("name",),
    "LogEvent": ("device", "library", "pci_bus_id"),
    "ServerProcess": ("kind",),
    "RunnerProcess": ("kind",),
    "PictureJob": ("job_id",),
    "WorkCounters": ("deferred_by_reason",),
    "WorkSample": ("origin",),
}
"""What names neither a person nor a thing of theirs."""

RULES: dict[str, Rule] = {
    **{f"{kind}.{field}": _keep for kind, fields in _KEPT.items() for field in fields},
    "GpuReading.uuid": _gpu,
    "LogEvent.gpu_uuid": _gpu,
    "RateBaseline.gpu_uuids": _gpu,
    "RateScale.gpu_uuids": _gpu,
    "MemoryCorrection.gpu_uuids": _gpu,
    "GpuProcess.name": _program,
    "HolderProcess.name": _program,
    "SystemSample.host": _host,
    "RunnerSettings.host": _host,
    "ModelFacts.name": _model,
    "InstalledModel.name": _model,
    "RunnerSettings.model_name": _model,
    "MeteredModel.name": _model,
    "ModelClaim.name": _model,
    "WorkSample.model": _model,
    "ModelClaim.digest": _digest,
    "ModelFacts.digest": _digest,
    "ModelFacts.blobs": _digest,
    "InstalledModel.digest": _digest,
    "RunnerSettings.blob": _digest,
    "LogEvent.blob": _digest,
    "RateBaseline.digest": _digest,
    "MemoryCorrection.digest": _digest,
    "Orders.visible_devices": _visible_device,
    "FileFacts.problem": _sentence,
    "BlobNames.names": _Keyed(_digest, _model),
    "BlobNames.digests": _Keyed(_model, _digest),
    "RunnerSettings.model_path": _path,
    "RunnerSettings.projector_path": _path,
    "RunnerSettings.draft_path": _path,
    "LoadFacts.model_path": _path,
    "LoadFacts.model_name": _model,
    "ServerProcess.models_path": _path,
    "ServerProcess.user": _user,
    "RunnerProcess.user": _user,
    "RunnerProcess.ram_limit_group": _path,
    "ServerProcess.urls": _url,
    "ServerProcess.published": _url,
    "RunnerProcess.published": _url,
    "MeterSample.server": _url,
    "MeterSample.upstream": _url,
    "ModelFacts.geometry": _setting,
    "ModelFacts.parameters": _setting,
    "LogEvent.settings": _setting,
    "ServerProcess.settings": _setting,
    "SourceHealth.detail": _sentence,
    "SourceHealth.hint": _sentence,
    "GpuReading.detail": _sentence,
    "RunnerProcess.unreadable": _sentence,
    "WorkSample.detail": _sentence,
    "SourceSilent.detail": _sentence,
    "LogEvent.text": _sentence,
}
"""By type and field; the ``source`` of every sample has its own. A test holds this list complete."""


def _rule(type_name: str, field: str) -> Rule:
    """Return the rule of a field; one of few words (a state, a kind) has none and stays."""
    return _source if field == "source" else RULES.get(f"{type_name}.{field}", _keep)


class Redacted(NamedTuple):
    """What a copy holds, and what it lacks."""

    samples: int
    left_out: int
    """Lines that were damaged or of a newer version: what cannot be read cannot be redacted."""


def redact(recording: Recording, path: Path) -> Redacted:
    """Write the recording to the new file ``path`` with stand-ins for names.

    It is read twice: a name may be said in a sentence before it is known to be one.

    Raises:
        RecordingError: it cannot be read, or the copy cannot be written; there is such a file already.
    """
    redaction, press = Redaction(), Press(form_of_name(path))
    for _ in _lines(recording, redaction):
        pass
    written = 0
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for line in _lines(recording, redaction):
                file.write(press.add(line))
                written += not begins_block(line)
            file.write(press.finish())
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
    return Redacted(written, recording.unknown + recording.damaged)


def _lines(recording: Recording, redaction: Redaction) -> Iterator[bytes]:
    keys = Keys()
    for item in recording.items():
        if isinstance(item, Header):
            keys = Keys()
            yield encode_header(redaction.header(item))
        else:
            sample = redaction.sample(item)
            line = encode_line(sample)
            yield from filter(None, (keys.due(sample, line), line))
