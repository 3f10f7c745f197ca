"""Makes all families of what is known at one instant; nothing is kept of what is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gpumon.app.monitor import Monitor
from gpumon.app.outlets.exporter.identity import labels_of_load
from gpumon.app.outlets.exporter.machine import (
    GPU_LABELS,
    GPU_SERIES,
    PROGRAM_SERIES,
    SOURCE_LABELS,
    SOURCE_SERIES,
    SYSTEM_SERIES,
    GpuSubject,
    ProgramSubject,
    SourceSubject,
)
from gpumon.app.outlets.exporter.models import (
    LOAD_SERIES,
    MODEL_LABELS,
    MODEL_SERIES,
    LoadSubject,
    ModelSubject,
)
from gpumon.app.outlets.exporter.series import Family, Sample, Series, samples_of
from gpumon.app.outlets.exporter.totals import Totals
from gpumon.app.picture.gpu import driver_age
from gpumon.app.state.records import SourceRecord, is_server
from gpumon.text.safe import visible

DECLARED: tuple[tuple[tuple[str, ...], tuple[Series[Any], ...]], ...] = (
    ((), PROGRAM_SERIES),
    (SOURCE_LABELS, SOURCE_SERIES),
    (MODEL_LABELS, (*MODEL_SERIES, *(one for one in LOAD_SERIES if one.name != "gpumon_model_state"))),
    (GPU_LABELS, GPU_SERIES),
    ((), SYSTEM_SERIES),
)
"""All series with the labels of their subjects, in the order in which they are told."""
PLACE = "series of the exporter"


class Collector:
    """Makes the families of what a monitor knows."""

    def __init__(self, monitor: Monitor, version: str, interval_seconds: float = 1.0) -> None:
        self.monitor = monitor
        self._version = version
        self._totals = Totals(monitor, interval_seconds)

    def families(self, now: float) -> tuple[Family, ...]:
        """Return all families that have a figure. ``now`` is the time: if nobody speaks, it passes too."""
        self.monitor.note_faults()
        found = _Found()
        for series, subject, own in self._subjects(now):
            with self.monitor.fuses.guard(PLACE, tuple(own.values())):
                found.add(series, subject, own)
        return found.families()

    def _subjects(self, now: float) -> Iterator[tuple[tuple[Series[Any], ...], Any, dict[str, str]]]:
        state, pictures = self.monitor.state, self.monitor.pictures
        yield PROGRAM_SERIES, self._program(), {}
        for record in state.sources.values():
            if not record.is_pointless:
                yield SOURCE_SERIES, SourceSubject(record, now), _source_labels(record)
        for model in self._models():
            yield MODEL_SERIES, model, model.labels._asdict()
        for load in self._loads():
            yield LOAD_SERIES, load, load.labels._asdict()
        for gpu in pictures.gpus():
            subject = GpuSubject(gpu, self._totals.of_gpu(gpu.uuid), state.driver_version)
            yield GPU_SERIES, subject, {"gpu_uuid": visible(gpu.uuid), "gpu": str(gpu.index)}
        if state.system is not None:
            yield SYSTEM_SERIES, state.system.sample, {}

    def _program(self) -> ProgramSubject:
        pictures = self.monitor.pictures
        return ProgramSubject(
            self._version, pictures.health().level, pictures.active, self.monitor.state.began
        )

    def _models(self) -> Iterator[ModelSubject]:
        state, pictures = self.monitor.state, self.monitor.pictures
        is_measured_now = driver_age(state) is None
        cards = {uuid: str(gpu.reading.index) for uuid, gpu in state.gpus.items()}
        for picture in pictures.models():
            labels = self._totals.identities.of(state.models[picture.key], state)
            yield ModelSubject(picture, labels, self._totals.of_model(labels), is_measured_now, cards)

    def _loads(self) -> Iterator[LoadSubject]:
        state, pictures = self.monitor.state, self.monitor.pictures
        for load in pictures.loads():
            yield LoadSubject(load, labels_of_load(load, state), stands_alone=True)
        for model in pictures.models():
            if (own := model.load) is not None:
                labels = self._totals.identities.of(state.models[model.key], state)
                yield LoadSubject(own, labels, stands_alone=False)


def _source_labels(record: SourceRecord) -> dict[str, str]:
    runtime = record.runtime or "" if is_server(record.name) else ""
    return {"source": visible(record.name), "runtime": runtime}


class _Found:
    """Families in the order of their declaration, each label set once."""

    def __init__(self) -> None:
        self._samples: dict[str, dict[tuple[tuple[str, str], ...], Sample]] = {}

    def add(self, series: Iterable[Series[Any]], subject: Any, own: Mapping[str, str]) -> None:  # noqa: ANN401
        """Add what a subject has to say."""
        for one in series:
            for sample in samples_of(one, subject, own):
                under = self._samples.setdefault(one.name, {})
                under.setdefault(tuple(sorted(sample.labels.items())), sample)

    def families(self) -> tuple[Family, ...]:
        """Return those with a sample."""
        declared = (one for _, series in DECLARED for one in series)
        return tuple(
            Family(one.name, one.kind, one.help, tuple(self._samples[one.name].values()))
            for one in declared
            if one.name in self._samples
        )
