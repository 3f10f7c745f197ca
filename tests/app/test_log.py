"""The log: made with its first record, private, bounded, and without a name of the user's."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpumon.app.log import FILES_KEPT, LOG_BYTES_MAXIMUM, LogFile, log_path, log_path_words, start_log
from gpumon.app.recording.redaction import Redaction

pytestmark = pytest.mark.internal_errors

_log = logging.getLogger("gpumon.test")


@pytest.fixture(autouse=True)
def _no_log_afterwards() -> Iterator[None]:
    yield
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LogFile)]:
        root.removeHandler(handler)
    logging.getLogger("gpumon").setLevel(logging.NOTSET)


def start(*, debug: bool = False) -> None:
    start_log(lambda: Redaction().words, debug=debug)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_no_file_is_made_before_the_first_record() -> None:
    start()
    assert not log_path().parent.exists()


def test_file_and_folder_are_the_owners_alone_whatever_the_umask() -> None:
    start()
    before = os.umask(0)
    try:
        _log.info("x")
    finally:
        os.umask(before)
    assert (mode(log_path()), mode(log_path().parent)) == (0o600, 0o700)


def test_a_folder_that_others_could_read_is_closed() -> None:
    log_path().parent.mkdir(parents=True, mode=0o755)
    log_path().parent.chmod(0o755)
    start()
    _log.info("x")
    assert mode(log_path().parent) == 0o700


@pytest.mark.parametrize(("debug", "lines"), [(False, 1), (True, 2)])
def test_more_is_logged_for_who_debugs(debug: bool, lines: int) -> None:
    start(debug=debug)
    _log.debug("detail")
    _log.info("event")
    assert len(log_path().read_text().splitlines()) == lines


def test_the_environment_asks_for_more_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUMON_DEBUG", "1")
    start()
    _log.debug("detail")
    assert "detail" in log_path().read_text()


@pytest.mark.parametrize(
    "name",
    [
        "http://alice:secret@box.example:11434",
        "log /home/alice/ollama.log",
        "/home/alice/models",
        "connection refused at 10.1.2.3",
    ],
)
def test_what_names_hosts_paths_and_secrets_is_replaced(name: str) -> None:
    start()
    _log.info("source %s is failing", name)
    text = log_path().read_text()
    assert "source " in text
    for word in ("alice", "secret", "box.example", "ollama.log", "10.1.2.3"):
        assert word not in text


def test_one_name_has_one_stand_in_and_our_own_sources_keep_theirs() -> None:
    start()
    for name in ("http://box:1", "http://box:1", "nvml", "server log"):
        _log.info("source %s", name)
    first, second, *own = log_path().read_text().splitlines()
    assert first.partition("source ")[2] == second.partition("source ")[2]
    assert [line.partition("source ")[2] for line in own] == ["nvml", "server log"]


def test_an_error_is_logged_by_its_type_and_lines_and_not_by_its_text() -> None:
    start()
    try:
        raise ValueError("Bearer secret")
    except ValueError:
        _log.exception("internal error in %s", "rule spill")
    text = log_path().read_text()
    assert "internal error in rule spill" in text
    assert "builtins.ValueError" in text
    assert "in test_an_error_is_logged_by_its_type" in text
    assert "Bearer secret" not in text.replace('raise ValueError("Bearer secret")', "")
    assert str(Path(__file__).parent) not in text, "the path may name the user"


def test_what_others_log_goes_there_and_not_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    start()
    logging.getLogger("asyncio").warning("socket.send() raised exception at http://box:1")
    assert "socket.send() raised exception" in log_path().read_text()
    assert "box" not in log_path().read_text()
    assert capfd.readouterr() == ("", "")


def test_it_is_bounded() -> None:
    start()
    for _ in range(5 * LOG_BYTES_MAXIMUM // 100_000):
        _log.info("x" * 100_000)
    files = sorted(path.name for path in log_path().parent.iterdir())
    assert files == ["gpumon.log", "gpumon.log.1", "gpumon.log.2"]
    assert len(files) == FILES_KEPT
    assert all(path.stat().st_size <= LOG_BYTES_MAXIMUM for path in log_path().parent.iterdir())


def test_a_log_that_cannot_be_written_ends_nothing_and_says_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log_path().mkdir(parents=True)
    start()
    _log.error("x")
    assert capfd.readouterr() == ("", "")


def test_a_record_that_cannot_be_formatted_ends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    handler = LogFile(lambda: Redaction().words)
    handler.handle(logging.LogRecord("gpumon.test", logging.ERROR, __file__, 1, "%s and %s", ("one",), None))
    assert capfd.readouterr() == ("", "")


def test_its_place_is_said_as_a_person_would_type_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME")
    assert log_path_words() == "~/.local/state/gpumon/gpumon.log"
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert log_path_words() == "/elsewhere/gpumon/gpumon.log"
