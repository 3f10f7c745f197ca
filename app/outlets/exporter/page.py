"""The families in the text formats of Prometheus and OpenMetrics, by Prometheus' own client library."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector as ClientCollector

from gpumon.app.errors import GpumonError
from gpumon.app.outlets.exporter.collect import Collector
from gpumon.app.outlets.exporter.series import Family

SUFFIX = ".prom"
READABLE = 0o644
"""node_exporter is another user."""
_VERSIONS = re.compile(r"(?:(?!version=)[ -~]|version=\d+(?:\.\d+)*(?=[;, ]|$))*", re.ASCII)
"""An ``Accept`` whose versions are numbers: the client library takes them for such."""


class Body(NamedTuple):
    """What is answered to a scrape."""

    content_type: str
    text: bytes


class Page(ClientCollector):
    """What a scrape gets; made in the loop that feeds the monitor, so that nothing changes meanwhile."""

    def __init__(self, collector: Collector, now: Callable[[], float]) -> None:
        self._collector = collector
        self._now = now
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        self._kept: dict[str, tuple[object, bytes]] = {}

    def collect(self) -> Iterator[Metric]:
        """Yield what is known now."""
        return map(_metric, self._collector.families(self._now()))

    def body(self, accept: str = "") -> Body:
        """Return the page in the format that is asked for; several scrapes of one instant share it."""
        encode, content_type = choose_encoder(accept if _VERSIONS.fullmatch(accept) else "")
        instant = (self._collector.monitor.revision, int(self._now()))
        kept, text = self._kept.get(content_type, (None, b""))
        if kept != instant:
            text = encode(self._registry)
            self._kept[content_type] = (instant, text)
        return Body(content_type, text)

    def text(self) -> bytes:
        """Return the page as node_exporter reads it from a file."""
        return generate_latest(self._registry)


def _metric(family: Family) -> Metric:
    """Return a family as the client library has it: there the ends of names are added by their kind."""
    if family.kind == "info":
        made: Metric = InfoMetricFamily(family.name.removesuffix("_info"), family.help)
    elif family.kind == "counter":
        made = CounterMetricFamily(family.name.removesuffix("_total"), family.help)
    else:
        made = GaugeMetricFamily(family.name, family.help)
    for labels, value in family.samples:
        made.add_sample(family.name, {key: word for key, word in labels.items() if word}, value)
    return made


class TextFile:
    """A file that node_exporter reads: the old one or the new one, never half of one."""

    def __init__(self, path: Path) -> None:
        """Make sure that it can be written.

        Raises:
            GpumonError: it cannot, or node_exporter would not read it.
        """
        if path.suffix != SUFFIX:
            raise GpumonError(
                f"--textfile: node_exporter reads files that end in {SUFFIX}, and {path.name} does not"
            )
        if path.is_dir():
            raise GpumonError(f"cannot write {path}: is a directory")
        self.path = path
        self._beside(b"").unlink()

    def write(self, text: bytes) -> None:
        """Replace the file.

        Raises:
            GpumonError: it cannot be written.
        """
        written = self._beside(text)
        try:
            written.replace(self.path)
        except OSError as error:
            written.unlink(missing_ok=True)
            raise self._trouble(error) from None

    def remove(self) -> None:
        """Take the file away: nobody looks any more whether it is still true."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _beside(self, text: bytes) -> Path:
        """Write a file beside it, of a name that node_exporter passes over; return its path."""
        try:
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        except OSError as error:
            raise self._trouble(error) from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), READABLE)
                file.write(text)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            raise self._trouble(error) from None
        return Path(name)

    def _trouble(self, error: OSError) -> GpumonError:
        return GpumonError(f"cannot write {self.path}: {(error.strerror or str(error)).lower()}")
