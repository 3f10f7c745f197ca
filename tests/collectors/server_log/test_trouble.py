"""Why a log cannot be read, in words."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from gpumon.collectors.server_log.follower import Place, trouble

JOURNAL = Place(since=0.0)


def test_a_missing_file_is_absent(tmp_path: Path) -> None:
    health = trouble(FileNotFoundError(2, "gone"), Place(tmp_path / "x.log"))
    assert health.state == "absent"
    assert health.detail == f"no such file: {tmp_path}/x.log"


def test_a_file_that_its_group_may_read_names_the_group(tmp_path: Path) -> None:
    file = tmp_path / "x.log"
    file.touch()
    file.chmod(0o640)
    group = grp.getgrgid(file.stat().st_gid).gr_name
    health = trouble(PermissionError(13, "no"), Place(file))
    assert health.state == "forbidden"
    assert health.hint == f"add yourself to group {group} (sudo usermod -aG {group} $USER) and log in again"


def test_a_file_that_its_owner_alone_may_read_names_no_group(tmp_path: Path) -> None:
    file = tmp_path / "x.log"
    file.touch()
    file.chmod(0o600)
    hint = trouble(PermissionError(13, "no"), Place(file)).hint
    assert hint == "run gpumon as the user who runs the server"


def test_a_directory_in_the_way_names_its_group(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    hint = trouble(PermissionError(13, "no"), Place(tmp_path / "closed" / "x.log")).hint
    assert hint is not None
    assert grp.getgrgid(tmp_path.stat().st_gid).gr_name in hint


def test_another_error_is_named(tmp_path: Path) -> None:
    health = trouble(OSError(5, os.strerror(5)), Place(tmp_path))
    assert (health.state, health.detail) == ("failing", f"Input/output error: {tmp_path}")


@pytest.mark.parametrize(
    ("error", "state", "word"),
    [
        (PermissionError(13, "no"), "forbidden", "systemd-journal"),
        (FileNotFoundError(2, "no"), "absent", "no system journal"),
        (OSError("libsystemd.so.0: cannot open shared object file"), "absent", "cannot be loaded"),
    ],
)
def test_a_journal_that_cannot_be_read_says_what_to_do(error: OSError, state: str, word: str) -> None:
    health = trouble(error, JOURNAL)
    assert health.state == state
    assert word in f"{health.detail} {health.hint}"
