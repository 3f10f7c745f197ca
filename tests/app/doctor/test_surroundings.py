"""What the doctor says of the terminal, the folders and the optional parts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gpumon.app.doctor.check import (
    Check,
    extra_checks,
    folder_checks,
    history_check,
    in_container,
    terminal_checks,
)

GOOD = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


def terminal(name: str, environ: dict[str, str], *, is_terminal: bool = True) -> Check:
    found = terminal_checks(environ, "unicode", is_terminal=is_terminal, mouse=True)
    return next(check for check in found if check.name == name)


@pytest.mark.parametrize(
    ("environ", "status", "found"),
    [
        (GOOD, "works", "16.7 million"),
        ({"TERM": "xterm-256color"}, "works", "256"),
        ({"TERM": "xterm"}, "partly", "16"),
        (GOOD | {"NO_COLOR": "1"}, "partly", "none: NO_COLOR is set"),
        ({"TERM": "dumb"}, "partly", "none"),
    ],
    ids=str,
)
def test_colours_are_read_from_the_environment(environ: dict[str, str], status: str, found: str) -> None:
    check = terminal("colours", environ)
    assert (check.status, check.found) == (status, found)


def test_a_dumb_terminal_is_missing_and_a_pipe_is_nothing() -> None:
    assert terminal("terminal", GOOD).status == "works"
    assert terminal("terminal", {"TERM": "dumb"}).status == "missing"
    assert terminal("terminal", GOOD, is_terminal=False).status == "nothing"


def test_of_a_pipe_nothing_is_said_but_that_it_is_one() -> None:
    [check] = terminal_checks({}, "ascii", is_terminal=False, mouse=True)
    assert (check.name, check.step) == ("terminal", None)


def test_tmux_must_be_told_to_pass_the_clipboard_on() -> None:
    assert terminal("clipboard", GOOD).step is None
    assert terminal("clipboard", GOOD | {"TMUX": "/tmp/x"}).step == "tmux set -g set-clipboard on"


def test_ascii_only_says_how_to_get_more() -> None:
    checks = terminal_checks({"TERM": "linux"}, "ascii", is_terminal=True, mouse=False)
    by_name = {check.name: check for check in checks}
    assert by_name["characters"].status == "partly"
    assert by_name["mouse"].status == "nothing"


def test_a_state_folder_that_can_be_made_works(tmp_path: Path) -> None:
    checks = {check.name: check for check in folder_checks(tmp_path / "no.toml", tmp_path / "new" / "gpumon")}
    assert checks["state folder"].status == "works"
    assert checks["settings file"].step == "gpumon config init"


def test_a_state_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    checks = {check.name: check for check in folder_checks(tmp_path / "file", tmp_path / "file" / "gpumon")}
    assert checks["state folder"].status == "missing"
    assert checks["settings file"].status == "works"


def test_a_container_is_told_by_its_mark(tmp_path: Path) -> None:
    assert not in_container((tmp_path / "mark",))
    (tmp_path / "mark").touch()
    assert in_container((tmp_path / "mark",))


def test_an_extra_that_is_not_installed_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "thing-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: thing\nVersion: 1.0\n"
        "Provides-Extra: far\nRequires-Dist: no-such-package-at-all>=1; extra == 'far'\n"
        "Provides-Extra: near\nRequires-Dist: pytest; extra == 'near'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    checks = {check.name: check for check in extra_checks("thing")}
    assert (
        checks["extra far"].step == f"python3 -m pip --python {sys.executable} install no-such-package-at-all"
    )
    assert checks["extra far"].found == "not installed: no-such-package-at-all"
    assert checks["extra near"].status == "works"


def test_without_package_metadata_nothing_is_said_of_extras() -> None:
    assert list(extra_checks("no-such-package-at-all")) == []


class TestHistory:
    def check(self, problem: str | None = None, size: int = 4096, *, is_on: bool = True) -> Check:
        return history_check(
            Path("/s/history.db"), problem, size, ", since 2026-11-01, of 3 runs", is_on=is_on
        )

    def test_where_it_lies_how_large_it_is_and_since_when(self) -> None:
        one = self.check()
        assert (one.status, one.found) == ("works", "/s/history.db, 4 KiB, since 2026-11-01, of 3 runs")

    def test_one_that_is_not_there_yet_is_nothing_wrong(self) -> None:
        one = self.check(size=0)
        assert (one.status, one.found) == ("nothing", "/s/history.db (not there yet)")

    def test_switched_off_it_is_not_used(self) -> None:
        one = self.check(is_on=False)
        assert one.status == "nothing"
        assert one.found.endswith("nothing is added: it is switched off")

    def test_one_that_cannot_be_read_says_why_and_what_to_do(self) -> None:
        one = self.check("cannot read /s/history.db: file is not a database")
        assert (one.status, one.step) == ("missing", "move /s/history.db away, and it begins anew")
