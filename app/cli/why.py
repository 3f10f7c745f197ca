"""``gpumon why``: what is wrong with the loaded models, why, and what to change."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gpumon.app.cli.common import load_settings, looked
from gpumon.app.cli.flags import Commands, add_command, add_source_flags
from gpumon.app.cli.hosts import add_host_flags
from gpumon.app.cli.output import print_json, print_text
from gpumon.app.errors import GpumonError
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpumon.app.config.settings import Settings
    from gpumon.app.insight.health import Health
    from gpumon.app.monitor import Monitor
    from gpumon.app.outlets.card import Computer
    from gpumon.app.picture.model import ModelPicture
    from gpumon.app.picture.pictures import Pictures

EXIT_WELL = 0
EXIT_WRONG = 1
EXIT_NOTHING_READ = 2
EVENTS_LOOKED_AT = 50


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "why", "say what is wrong with the loaded models, and what to change")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a loaded model; all of them if not given")
    parser.add_argument(
        "--recording", type=Path, metavar="FILE", help="judge the end of a recording in place of this machine"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON, for scripts")
    form.add_argument(
        "--card", action="store_true", help="print a card of 72 columns to paste, without private names"
    )
    form.add_argument("--markdown", action="store_true", help="print the card as Markdown")
    parser.add_argument(
        "--names",
        action="store_true",
        help="leave the names of hosts, users, paths and all models in the card",
    )
    parser.set_defaults(execute=execute)
    add_source_flags(parser)
    add_host_flags(parser)


def execute(options: Namespace) -> int:
    """Print each model's verdicts, cause, cost and remedies; return 0, 1 or 2 by how things are."""
    settings = load_settings(options).settings
    monitor, missing = (_replayed(settings, options.recording), ()) if options.recording else looked(settings)
    pictures = monitor.pictures
    pictures.refresh()
    from gpumon.app.insight.health import of_a_look

    found, whole = _found(pictures, options.model, missing), of_a_look(pictures.health(), missing)
    if options.card or options.markdown:
        print_text(_card(monitor, whole, found, options), "card")
    elif options.json:
        from gpumon.app.snapshot.build import why_document

        print_json(why_document(pictures, found, missing), "report")
    else:
        print_text(_words(whole, found, pictures.besides(whole)), "report")
    return _exit_code(whole, found, one=options.model is not None)


def _replayed(settings: Settings, path: Path) -> Monitor:
    """Replay a recording to its end: all of it, or of a long one the last hours.

    Raises:
        RecordingError: it cannot be read, or is no recording.
    """
    from gpumon.app.cli.recordings import replayed
    from gpumon.app.monitor import Monitor

    monitor = Monitor(settings.alerts.limits())
    replayed(path, monitor)
    return monitor


def _found(pictures: Pictures, wanted: str | None, missing: Sequence[str]) -> list[ModelPicture]:
    """Return the models that were asked for, by name.

    Raises:
        GpumonError: there is no such model.
    """
    names = {wanted, f"{wanted}:latest"}
    found = [model for model in pictures.models() if wanted is None or model.claim.name in names]
    if wanted is not None and not found:
        where = f"; not looked at in time: {', '.join(map(visible, missing))}" if missing else ""
        raise GpumonError(f"{wanted} is not loaded{where}")
    return found


def _words(whole: Health, found: Sequence[ModelPicture], besides: Sequence[str]) -> str:
    from gpumon.app.diagnosis.report import report_lines

    lines = [whole.sentence, *(f"also: {words}" for words in besides)]
    for model in found:
        worst, last = (model.level, model.sentence), model.last.sentence if model.last else ""
        lines += ["", *report_lines(model.claim.name, model.diagnosis, worst, last)]
    return "\n".join([*lines, ""])


def _card(monitor: Monitor, whole: Health, found: Sequence[ModelPicture], options: Namespace) -> str:
    from importlib.metadata import version

    from gpumon.app.cli.output import is_unicode
    from gpumon.app.outlets.card import ASCII, BLOCKS, UNKNOWN_COMPUTER, as_markdown, as_text, card
    from gpumon.app.outlets.covered import Cover

    glyphs = BLOCKS if is_unicode() else ASCII
    made = card(
        monitor.pictures,
        whole,
        found,
        monitor.events.latest(EVENTS_LOOKED_AT),
        computer=UNKNOWN_COMPUTER if options.recording else _this_computer(),
        version=version("gpumon-llm"),
        glyphs=glyphs,
        words=None if options.names else Cover(monitor.state).words,
    )
    return as_markdown(made) if options.markdown else as_text(made, glyphs=glyphs)


def _this_computer() -> Computer:
    """Return what this machine is, as far as it tells; a kernel of one's own keeps its name to itself."""
    import os
    import platform
    import re

    from gpumon.app.outlets.card import Computer

    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    cpu = f"{model[1] if model else platform.machine()}, {os.cpu_count()} threads"
    kernel = re.match(r"[\d.]+", platform.release())
    return Computer(cpu, f"{_system_name()}, {platform.system()} {kernel[0] if kernel else ''}".rstrip())


def _system_name() -> str:
    import platform

    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def _exit_code(whole: Health, found: Sequence[ModelPicture], *, one: bool) -> int:
    """Return 2 where nothing could be read; 1 where something is wrong with what was asked for."""
    if not one or whole.exit_code == EXIT_NOTHING_READ:
        return whole.exit_code
    is_wrong = any(model.level in {"bad", "watch"} for model in found)
    return EXIT_WRONG if is_wrong else EXIT_WELL
