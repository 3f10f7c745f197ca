"""What is kept in RAM on purpose, as values; and what a runtime leaves there to keep memory free.

The latter is no choice of the user's and no fault: it is told with what it costs, and with the margin with
which all of the model would fit.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import Arithmetic
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.insight.left_out import LeftOut, Margin
from gpumon.app.physics.hardware import Band
from gpumon.app.physics.placement import place
from gpumon.collectors.servers.kind import Line, ServerKind
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.text.units import MIB

WORTH_PERCENT = 5
"""Of the rate or, where that cannot be estimated, of what is kept: for less nobody starts a server again."""


class Better(NamedTuple):
    """A setting with which more would be on the card."""

    line: Line
    frees_ram_bytes: int
    need_bytes: int
    rate: Band | None
    gain_percent: int | None
    """Of the estimated rate; ``None`` where it cannot be estimated."""
    is_margin: bool = False
    """Whether it is what is kept free."""

    @property
    def words(self) -> str:
        """Say that it fits, and what it would give."""
        gain = "" if self.gain_percent is None else f", about +{self.gain_percent}%"
        if self.is_margin:
            return f"all of it fits with {self.line.line}{gain}"
        return f"{self.line.line or 'all of it'} also fits{gain}"


class Choice(NamedTuple):
    """A part in RAM that the user has asked for, or that its runtime has left there for a margin."""

    setting: str
    """As it was typed: ``--n-cpu-moe 40``."""
    kept_bytes: int | None
    what: str
    """``the experts of 40 of 48 layers``."""
    rate: Band | None
    """To be expected as it is."""
    whole_rate: Band | None
    """To be expected if all of it were on GPUs."""
    free_bytes: int | None
    better: Better | None
    problem: str | None = None
    """Why it cannot be reckoned."""
    kept_free: str = ""
    """By what a part was left there to keep how much free: ``llama-server's --fit … 1.0 GiB of each GPU``."""

    def why_in_ram(self, part: str) -> str:
        """Say that so much of a model is in RAM, and why: ``keeps 5.0 GiB in RAM by choice (-ngl 20)``."""
        if self.kept_free:
            return f"has{part} in RAM: {self.kept_free}"
        return f"keeps{part} in RAM by choice ({visible(self.setting)})"

    @property
    def words(self) -> str:
        """Say what is in RAM and why, without a name."""
        if self.kept_free:
            return f"{self.kept_free}: {self.what} {_are(self.what)} in RAM"
        return f"{self.what} {_are(self.what)} kept in RAM by {self.setting}"


PARTS = frozenset({"its context", "a part of it", "a part of its experts"})


def _are(what: str) -> str:
    return "is" if what in PARTS else "are"


def told(subject: Subject, setting: str, line: Line) -> Line:
    """Return a line as the user has told the setting: by a flag, or by a variable."""
    runner = subject.runner
    variables = runner.process.settings.orders.by_environment if runner else ()
    return subject.model.kind.as_variable(line) if setting in variables else line


FIT_TARGETS_MIB = (768, 512, 384, 256, 128)
"""Margins to advise, the largest with which all of it fits."""


def for_margin(subject: Subject, arithmetic: Arithmetic, found: LeftOut, margin: Margin) -> Choice:
    """Return what was left in RAM to keep a margin free, and the margin with which all would fit."""
    kind = subject.runner.server_kind if subject.runner else subject.model.kind
    by = f"{kind.label}'s {kind.setting_words('fit', None, in_environment=False)}"
    asked = f" ({visible(margin.setting)})" if margin.is_told else ""
    return Choice(
        setting=margin.setting,
        kept_bytes=found.chosen_bytes,
        what=_layers_for_margin(arithmetic),
        rate=subject.expected_now,
        whole_rate=subject.expected_fitting,
        free_bytes=max(0, arithmetic.room.free_total_bytes - found.measured_bytes),
        better=_smaller_margin(subject, arithmetic, found, kind),
        kept_free=f"{by} keeps {units.size(margin.bytes)} of each GPU free{asked}",
    )


def _layers_for_margin(arithmetic: Arithmetic) -> str:
    """Name what is in RAM: of a model with experts the runtime leaves nothing else there."""
    if arithmetic.geometry.is_moe:
        return "a part of its experts"
    free, wanted = (
        arithmetic.usable(arithmetic.free_at_load_bytes),
        replace(arithmetic.options, gpu_layers=None),
    )
    placed = place(arithmetic.geometry, wanted, free, arithmetic.margin_bytes)
    count = placed.layer_count - placed.layers_on_gpu
    return f"about {count} of {placed.layer_count} layers" if count > 0 else "a part of it"


def _smaller_margin(
    subject: Subject, arithmetic: Arithmetic, found: LeftOut, kind: ServerKind
) -> Better | None:
    """Return the largest margin with which all of it fits, if the gain is worth the change."""
    free, rate, now = arithmetic.room.free_bytes, subject.expected_fitting, subject.expected_now
    gain = round(100 * (rate.expected / now.expected - 1)) if rate and now else None
    smaller = (one for one in FIT_TARGETS_MIB if one * MIB < arithmetic.margin_bytes)
    target = next((one for one in smaller if arithmetic.fits(free, margin_bytes=one * MIB)), None)
    if target is None or (gain is not None and gain < WORTH_PERCENT):
        return None
    line = Line(kind.setting_words("fit_target", target, in_environment=False), kind.set_layers(0).where)
    asked = told(subject, "fit_target", line)
    return Better(asked, found.chosen_bytes, arithmetic.need_bytes(), rate, gain, is_margin=True)
