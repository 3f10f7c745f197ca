"""The manual page, written from the argument parser: ``make man``."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from unittest.mock import patch

from argparse_manpage.manpage import Manpage

from gpumon.app.cli.parser import build_parser

# Where a usage line breaks differs between versions of Python; man fills the lines itself.
_ENVIRONMENT = {"COLUMNS": "10000", "NO_COLOR": "1"}
_SUMMARY = "which model holds which GPU memory, live"


def manual() -> str:
    """Return ``gpumon.1``, the same on every machine and on every day."""
    with patch.dict(os.environ, _ENVIRONMENT):
        page = Manpage(build_parser())
        page.description = _SUMMARY
        _, _, body = str(page).partition("\n")
    return f'.TH GPUMON "1" "" "gpumon {version("gpumon-llm")}" "User Commands"\n{body.rstrip()}\n'


if __name__ == "__main__":
    sys.stdout.write(manual())
