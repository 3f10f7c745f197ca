"""What the page of an image generator says: the picture under way, and what is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.model import ModelPicture
from gpumon.app.state.rates.picture import Drawing
from gpumon.app.views.page import GPUMON
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import BarPart, BarRow, Fact, Section

COMMAND_LINE = "command line"


def picture_section(model: ModelPicture) -> Section:
    """Return how far the picture under way is, how fast it goes, its size, and what waits behind it."""
    now = model.drawing
    if now is None:
        return Section("PICTURE UNDER WAY")
    return Section("PICTURE UNDER WAY", facts=tuple(_facts(model, now)), bars=tuple(_steps(now)))


def _steps(now: Drawing) -> Iterator[BarRow]:
    step, count = now.job.step, now.job.step_count
    if step is None or not count:
        return
    done, left = BarPart(float(step), "rate"), BarPart(float(max(0, count - step)), "planned")
    yield BarRow("steps", f"{step}/{count}", (done, left), float(max(step, count)))


def _facts(model: ModelPicture, now: Drawing) -> Iterator[Fact]:
    job, source = now.job, model.rate_source or ""
    if now.seconds_per_step is not None:
        before = now.best_seconds_per_step
        words = f", {units.step_rate(before)} at best in this run" if before else ""
        yield Fact("a step takes", f"{units.step_rate(now.seconds_per_step)}{words}", source)
    elif job.step is None:
        yield Fact("", "how far it is is not told")
    if now.seconds_left is not None:
        yield Fact("time left", f"about {units.duration(now.seconds_left)}, for these steps", source)
    if job.started is not None:
        yield Fact("under way for", units.duration(model.at - job.started), GPUMON)
    if job.width and job.height:
        at_once = f", {job.batch_size} at once" if (job.batch_size or 1) > 1 else ""
        yield Fact("size", f"{job.width}x{job.height}{at_once}", source)
    if job.waiting is not None:
        yield Fact("queued behind it", str(job.waiting), source)


def picture_facts(details: ModelDetails) -> list[Fact]:
    """Return the figures of an image generator: nothing of tokens, slots or layers."""
    model, facts = details.picture, details.server_facts
    claim, said = model.claim, model.kind.claim_source
    setting = model.process.settings.offload if model.process else None
    told = setting or (claim.settings.offload if claim.settings else None)
    return [
        Fact("server", model.server_label, GPUMON),
        Fact("version", visible((facts.build if facts else None) or units.UNKNOWN), said),
        Fact("file", visible((facts.model_path if facts else None) or units.UNKNOWN), said),
        Fact("sort of model", visible(claim.family or units.UNKNOWN), said),
        Fact("weights", units.size(claim.size_bytes), said),
        Fact("  of it on GPU", units.size(facts.weights_on_gpu_bytes if facts else None), said),
        *([Fact("asked for", visible(told), COMMAND_LINE)] if told else []),
        *(
            [Fact("statistics", visible(details.statistics_detail), GPUMON)]
            if details.statistics_detail
            else []
        ),
    ]
