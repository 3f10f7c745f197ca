"""Completion scripts."""

from __future__ import annotations

import subprocess

import pytest

from gpumon.app.cli.main import main
from gpumon.app.cli.parser import SHELLS


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_knows_commands_and_flags(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("snapshot", "interval", "gpumon"))


def test_the_bash_script_is_bash(capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_bash_script_completes_files(capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    assert "COMPGEN=_shtab_compgen_files" in capsys.readouterr().out
