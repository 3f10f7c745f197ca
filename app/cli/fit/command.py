"""``gpumon fit``: does a model fit, where does each GiB go, how fast would it be; before it is loaded."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from gpumon.app.cli.commands import Commands, add_command
from gpumon.app.cli.effective import load_settings
from gpumon.app.cli.flags import add_source_flags
from gpumon.app.cli.output import print_json, print_text

if TYPE_CHECKING:
    from gpumon.app.diagnosis.fit.report import FitReport
    from gpumon.app.physics.geometry import NoGeometry

EXIT_FITS = 0
EXIT_DOES_NOT_FIT = 1
EXIT_CANNOT_TELL = 2


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "fit", "say whether a model fits on the GPUs, before it is loaded")
    parser.add_argument("model", metavar="MODEL", help="an installed model's name, or a .gguf file")
    load = parser.add_argument_group("how it would be loaded")
    load.add_argument("--num-ctx", metavar="TOKENS", help="context of each slot; Ollama's default if not set")
    load.add_argument("--kv-cache-type", metavar="TYPE", help="such as q8_0 or q4_0; f16 if not set")
    load.add_argument("--parallel", metavar="SLOTS", help="requests at a time; 1 if not set")
    hardware = parser.add_argument_group("hardware that one does not have")
    hardware.add_argument(
        "--gpu", action="append", metavar="NAME", help='a card, as in "rtx 4090"; may be repeated'
    )
    hardware.add_argument(
        "--vram", action="append", metavar="SIZE", help="free memory of a card: 12GiB; may be repeated"
    )
    hardware.add_argument("--ram-bandwidth", metavar="RATE", help="nominal bandwidth of RAM: 60GB/s")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    parser.set_defaults(execute=execute)
    add_source_flags(parser)


def execute(options: Namespace) -> int:
    """Print the report, and return 0 if the model fits, 1 if it does not, 2 if that cannot be told."""
    from gpumon.app.cli.fit.asked import asked_of

    asked = asked_of(options)  # before anything is asked of anyone: wrong values are found at once
    import asyncio

    from gpumon.app.cli.fit.answer import answer

    report = asyncio.run(answer(asked, load_settings(options).settings))
    if options.json:
        from gpumon.app.cli.fit.document import fit_document

        print_json(fit_document(report), "report")
    else:
        print_text(_words(asked.model, report), "report")
    return exit_code(report)


def exit_code(report: FitReport | NoGeometry) -> int:
    """Return what a script sees."""
    fits = getattr(report, "fits", None)
    if fits is None:
        return EXIT_CANNOT_TELL
    return EXIT_FITS if fits else EXIT_DOES_NOT_FIT


def _words(model: str, report: FitReport | NoGeometry) -> str:
    from gpumon.app.diagnosis.fit.text import fit_lines
    from gpumon.app.physics.geometry import NoGeometry
    from gpumon.text.safe import visible

    if isinstance(report, NoGeometry):
        return f"{visible(model, 80)}: cannot tell: {visible(report.reason)}\n"
    return "\n".join(fit_lines(report)) + "\n"
