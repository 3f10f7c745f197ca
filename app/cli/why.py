"""``gpumon why``: what is wrong with the loaded models, why, and what to change."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gpumon.app.cli.commands import Commands, add_command
from gpumon.app.cli.effective import load_settings
from gpumon.app.cli.flags import add_source_flags
from gpumon.app.cli.output import print_text
from gpumon.app.errors import GpumonError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumon.app.config.settings import Settings
    from gpumon.app.diagnosis.diagnosis import Diagnosis
    from gpumon.app.insight.health import Health
    from gpumon.app.monitor import Monitor
    from gpumon.app.state.records import ModelRecord

EXIT_WELL = 0
EXIT_WRONG = 1
EXIT_NOTHING_READ = 2


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "why", "say what is wrong with the loaded models, and what to change")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a loaded model; all of them if not given")
    parser.add_argument(
        "--recording", type=Path, metavar="FILE", help="judge the end of a recording in place of this machine"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    parser.set_defaults(execute=execute)
    add_source_flags(parser)


def execute(options: Namespace) -> int:
    """Print each model's verdicts, cause, cost and remedies; return 0, 1 or 2 by how things are."""
    from gpumon.app.insight.health import health

    settings = load_settings(options).settings
    monitor = _replayed(settings, options.recording) if options.recording else _looked(settings)
    found = _found(monitor, options.model)
    whole = health(monitor.state, monitor.alerts.active, monitor.limits.spill_bad_percent)
    text = _document(monitor, whole, found) if options.json else _words(whole, found)
    print_text(text, "report")
    return _exit_code(whole, [diagnosis for _, diagnosis in found], one=options.model is not None)


def _looked(settings: Settings) -> Monitor:
    """Ask every source of this machine."""
    import asyncio

    from gpumon.app.monitor import Monitor
    from gpumon.app.session.build import live_feed
    from gpumon.app.snapshot.take import take_snapshot

    monitor = Monitor(settings.alerts.limits())
    feed = live_feed(settings, monitor)
    asyncio.run(take_snapshot(feed, monitor, expected=feed.names))
    return monitor


def _replayed(settings: Settings, path: Path) -> Monitor:
    """Take all samples of a recording.

    Raises:
        RecordingError: it cannot be read, or is no recording.
    """
    from gpumon.app.monitor import Monitor
    from gpumon.app.recording.lines import Header
    from gpumon.app.recording.reader import read_recording

    monitor = Monitor(settings.alerts.limits())
    for item in read_recording(path).items():
        if isinstance(item, Header):
            monitor.reset()
        else:
            monitor.feed(item)
    return monitor


def _found(monitor: Monitor, wanted: str | None) -> list[tuple[ModelRecord, Diagnosis]]:
    """Return the models that were asked for, by name.

    Raises:
        GpumonError: there is no such model.
    """
    state, diagnoses = monitor.state, monitor.diagnoses
    names = {wanted, f"{wanted}:latest"}
    found = [
        (state.models[key], diagnosis)
        for key, diagnosis in diagnoses.items()
        if wanted is None or state.models[key].claim.name in names
    ]
    if wanted is not None and not found:
        raise GpumonError(f"{wanted} is not loaded")
    return sorted(found, key=lambda pair: (pair[0].claim.name, pair[0].key))


def _words(whole: Health, found: Sequence[tuple[ModelRecord, Diagnosis]]) -> str:
    from gpumon.app.diagnosis.report import report_lines

    lines = [whole.sentence]
    for model, diagnosis in found:
        lines += ["", *report_lines(model.claim.name, diagnosis)]
    return "\n".join([*lines, ""])


def _document(monitor: Monitor, whole: Health, found: Sequence[tuple[ModelRecord, Diagnosis]]) -> str:
    import msgspec

    from gpumon.app.snapshot.diagnosis import diagnosis_entry, why_document

    models = (diagnosis_entry(model.claim.name, model.key.source, one) for model, one in found)
    document = why_document(monitor.state.now, whole.level, whole.sentence, models)
    return f"{msgspec.json.format(msgspec.json.encode(document), indent=2).decode()}\n"


def _exit_code(whole: Health, found: Sequence[Diagnosis], *, one: bool) -> int:
    """Return 2 where nothing could be read; 1 where something is wrong with what was asked for."""
    if whole.exit_code == EXIT_NOTHING_READ:
        return EXIT_NOTHING_READ
    is_wrong = any(diagnosis.verdict.severity in {"bad", "watch"} for diagnosis in found)
    return EXIT_WRONG if is_wrong or (not one and whole.exit_code) else EXIT_WELL
