"""What prints a line and ends must not wait for the screen, the network or the driver to be imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("textual", "rich", "httpx", "pynvml", "psutil", "plotext")
SCRIPT = """
import sys
from gpumon.app.cli.main import main
code = main(sys.argv[2:])
print("imported:", *(name for name in sys.argv[1].split(",") if name in sys.modules))
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["-v"], 0),
        (["help", "fit"], 0),
        (["--url", "http://127.0.0.1:99999"], 2),
        (["--help"], 0),
        (["config", "show"], 0),
        (["--interval", "never"], 2),
        (["completion", "bash"], 0),
        (["demo", "--list"], 0),
        (["fit", "llama3", "--num-ctx", "many"], 2),
        (["fit", "llama3.1:8b", "--gpu", "4090", "--url", "http://127.0.0.1:9"], 0),
        ([], 2),
    ],
    ids=str,
)
def test_a_command_that_needs_no_screen_imports_none(arguments: list[str], code: int) -> None:
    command = [sys.executable, "-c", SCRIPT, ",".join(HEAVY), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (code, "imported:"), done.stderr
