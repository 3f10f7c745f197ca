"""The file of the history: what is written is read, and once; what goes wrong is one line."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from msgspec.structs import asdict
from tests.app.history.rows import (
    ALL,
    LLAMA,
    MINUTE,
    machine_minute,
    model_minute,
    request,
    run,
    tokens,
    written,
)

from gpumon.app.history import file as file_module
from gpumon.app.history.file import Bounds, HistoryFile, compact
from gpumon.app.history.reader import History, HistoryError
from gpumon.app.history.schema import MIGRATIONS, VERSION, version_of

SAMPLES = Path(__file__).parent / "samples"
DAY = 86_400
ROOMY = Bounds(90 * DAY, 2**40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gpumon" / "history.db"


class TestWhatIsWrittenIsRead:
    def test_a_minute_of_a_model(self, path: Path) -> None:
        written(path, [model_minute(tokens=123)])
        with History.open(path) as history:
            [one] = history.model_minutes(ALL)
        assert (one.host, one.server, one.kind, one.name, one.digest, one.quantization) == ("desk", *LLAMA)
        assert (one.minute, one.decoded_tokens, one.vram_bytes) == (MINUTE, 123, 8 * 2**30)
        assert one.prefill_tokens_per_second is None, "what is unknown stays so"

    def test_of_one_model_alone(self, path: Path) -> None:
        written(path, [model_minute(), model_minute(model=LLAMA._replace(name="other"), number=2)])
        with History.open(path) as history:
            assert [one.name for one in history.model_minutes(ALL, "other")] == ["other"]

    def test_the_run_that_wrote_it(self, path: Path) -> None:
        written(path, [model_minute()])
        with History.open(path) as history:
            [one] = history.sessions()
        assert asdict(one) == {"session": 1, "seen": MINUTE, **asdict(run())}

    def test_models_of_two_quantizations_are_two(self, path: Path) -> None:
        written(path, [model_minute(), model_minute(model=LLAMA._replace(quantization="Q8_0"), number=2)])
        with History.open(path) as history:
            assert len({one.quantization for one in history.model_minutes(ALL)}) == 2

    def test_a_row_of_the_same_number_is_replaced(self, path: Path) -> None:
        written(path, [request(tokens=1), request(tokens=2)])
        with History.open(path) as history:
            assert [one.decoded_tokens for one in history.requests(ALL)] == [2]

    def test_only_its_owner_can_read_it(self, path: Path) -> None:
        with contextlib.closing(HistoryFile(path, run())) as file:
            file.write([model_minute()], MINUTE)
            assert {one.stat().st_mode & 0o777 for one in path.parent.iterdir()} == {0o600}
        assert path.parent.stat().st_mode & 0o777 == 0o700

    def test_it_can_be_read_while_it_is_written(self, path: Path) -> None:
        with contextlib.closing(HistoryFile(path, run())) as file:
            file.write([model_minute(0)], MINUTE)
            with History.open(path) as history:
                file.write([model_minute(1)], MINUTE)
                assert len(history.model_minutes(ALL)) == 2


class TestSeveralRunsOfOneMachine:
    """What two of them saw counts once, and what one alone saw counts too."""

    def test_of_a_minute_that_both_watched_one_counts(self, path: Path) -> None:
        written(path, [model_minute(tokens=100)])
        written(path, [model_minute(tokens=101)], run("two"))
        assert tokens(path) == [100]

    def test_the_one_that_watched_for_longer_counts(self, path: Path) -> None:
        written(path, [model_minute(watched=20, tokens=30)])
        written(path, [model_minute(watched=60, tokens=101)], run("two"))
        assert tokens(path) == [101]

    def test_a_model_that_was_loaded_twice_within_a_minute_loses_nothing(self, path: Path) -> None:
        parts = [(14, 1), (37, 2)], [(13, 3), (38, 4)]
        for session, rows in zip(("one", "two"), parts, strict=True):
            written(
                path,
                [
                    model_minute(watched=watched, tokens=count, number=number)
                    for number, (watched, count) in enumerate(rows)
                ],
                run(session),
            )
        assert tokens(path) == [1, 2]

    def test_a_minute_that_one_alone_watched_counts(self, path: Path) -> None:
        written(path, [model_minute(0, tokens=1)])
        written(path, [model_minute(1, tokens=2)], run("two"))
        assert tokens(path) == [1, 2]

    def test_a_request_that_both_saw_end_counts_once(self, path: Path) -> None:
        written(path, [request(ended=10.0)])
        written(path, [request(ended=11.5)], run("two"))
        with History.open(path) as history:
            assert [one.session for one in history.requests(ALL)] == [1]

    def test_another_request_counts_too(self, path: Path) -> None:
        written(path, [request(ended=10.0, task=7)])
        written(path, [request(ended=11.5, task=8)], run("two"))
        with History.open(path) as history:
            assert [one.task_id for one in history.requests(ALL)] == [7, 8]

    def test_another_host_counts_too(self, path: Path) -> None:
        written(path, [model_minute(), machine_minute()])
        written(path, [model_minute(), machine_minute()], run("two", host="rack"))
        with History.open(path) as history:
            assert {one.host for one in history.model_minutes(ALL)} == {"desk", "rack"}
            assert {one.host for one in history.machine_minutes(ALL)} == {"desk", "rack"}

    def test_two_processes_write_at_once_and_lose_nothing(self, path: Path) -> None:
        script = """
            import sys
            from pathlib import Path
            from tests.app.history.rows import MINUTE, LLAMA, model_minute, run
            from gpumon.app.history.file import HistoryFile
            file = HistoryFile(Path(sys.argv[1]), run(sys.argv[2]))
            model = LLAMA._replace(name=sys.argv[2])
            for minute in range(100):
                file.write([model_minute(minute, model=model), model_minute(minute, number=2)], MINUTE)
        """
        started = [started_python(script, str(path), name) for name in ("one", "two")]
        for process in started:
            process.communicate()
        assert [process.returncode for process in started] == [0, 0]
        with History.open(path) as history:
            minutes = history.model_minutes(ALL)
        assert {name: sum(one.name == name for one in minutes) for name in ("one", "two", LLAMA.name)} == {
            "one": 100,
            "two": 100,
            LLAMA.name: 100,
        }


def started_python(script: str, *arguments: str, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    """Start a program that has gpumon and these tests at hand; its files may be so large at the most."""

    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=limit,  # noqa: PLW1509 - one thread
    )


class TestTrouble:
    def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"no database at all" * 100)
        with contextlib.closing(HistoryFile(path, run())) as file:
            words = file.write([model_minute()], MINUTE)
        assert words == f"{path} is damaged: moved to history.db.bad"
        assert path.with_name("history.db.bad").read_bytes().startswith(b"no database")
        assert len(tokens(path)) == 1

    def test_one_that_is_damaged_inside_is_moved_with_what_was_not_yet_in_it(self, path: Path) -> None:
        written(path, [model_minute(minute, number=minute) for minute in range(2000)])
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))
        with contextlib.closing(HistoryFile(path, run())) as again:
            words = again.write([model_minute()], MINUTE)
        assert words is not None
        assert path.with_name("history.db.bad").exists()
        assert len(tokens(path)) == 1

    def test_a_file_of_a_newer_gpumon_is_left_as_it_is(self, path: Path) -> None:
        written(path, [model_minute()])
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        before = path.read_bytes()
        for use in (lambda: History.open(path), lambda: HistoryFile(path, run()).write([model_minute()], 0)):
            with pytest.raises(HistoryError, match="was written by a newer gpumon"):
                use()
        assert path.read_bytes() == before

    def test_a_database_of_another_program_is_left_as_it_is(self, path: Path) -> None:
        path.parent.mkdir()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE notes (text)")
        with pytest.raises(HistoryError, match="is a database of another program"):
            HistoryFile(path, run()).write([model_minute()], MINUTE)
        assert not path.with_name("history.db.bad").exists()

    def test_a_home_that_may_only_be_read_is_one_line(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> int:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        monkeypatch.setattr(file_module, "open_private", refuse)
        with pytest.raises(HistoryError, match=r"not kept: .*history\.db: read-only file system"):
            HistoryFile(path, run()).write([model_minute()], MINUTE)

    def test_another_that_holds_it_is_waited_for_and_then_told(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(file_module, "BUSY_SECONDS", 0.0)
        written(path, [model_minute(0)])
        file = HistoryFile(path, run())
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(HistoryError, match="another process holds it"):
                file.write([model_minute(1)], MINUTE)
        file.write([model_minute(1)], MINUTE)
        file.close()
        assert len(tokens(path)) == 2

    def test_a_full_disk_keeps_what_there_was_and_is_one_line(self, path: Path) -> None:
        script = """
            import sys
            from pathlib import Path
            from tests.app.history.rows import MINUTE, model_minute, run
            from gpumon.app.history.file import HistoryFile
            from gpumon.app.history.reader import HistoryError
            file = HistoryFile(Path(sys.argv[1]), run())
            for minute in range(100_000):
                try:
                    file.write([model_minute(minute)], MINUTE)
                except HistoryError as error:
                    print(minute, error)
                    break
        """
        process = started_python(script, str(path), limit_bytes=400_000)
        said, _ = process.communicate()
        count, _, words = said.strip().partition(" ")
        assert process.returncode == 0
        assert words.startswith(f"the history is not kept: {path}: ")
        assert 0 < int(count) == len(tokens(path))

    def test_a_process_that_is_killed_while_it_writes_loses_what_it_had_not_written(self, path: Path) -> None:
        script = """
            import sys
            from itertools import count
            from pathlib import Path
            from tests.app.history.rows import MINUTE, model_minute, run
            from gpumon.app.history.file import HistoryFile
            file = HistoryFile(Path(sys.argv[1]), run())
            for minute in count():
                file.write([model_minute(minute)], MINUTE)
                print(minute, flush=True)
        """
        process = started_python(script, str(path))
        assert process.stdout is not None
        for _ in range(20):
            process.stdout.readline()
        process.kill()
        said = process.communicate()[0].split()
        kept = tokens(path)
        assert len(kept) >= int(said[-1] if said else 19) + 1
        written(path, [model_minute(-1)], run("two"))
        assert len(tokens(path)) == len(kept) + 1

    def test_a_file_that_is_removed_while_it_is_open_is_begun_anew(self, path: Path) -> None:
        with contextlib.closing(HistoryFile(path, run())) as file:
            file.write([model_minute(0)], MINUTE)
            for one in path.parent.iterdir():
                one.unlink()
            file.write([model_minute(1)], MINUTE)
        assert len(tokens(path)) == 1

    def test_none_is_one_line(self, path: Path) -> None:
        with pytest.raises(HistoryError, match="there is no history"):
            History.open(path)


class TestVersions:
    @pytest.mark.parametrize("version", [0, 1])
    def test_a_file_of_an_earlier_version_is_read_and_written(self, path: Path, version: int) -> None:
        path.parent.mkdir()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript((SAMPLES / f"v{version}.sql").read_text(encoding="utf-8"))
        written(path, [model_minute(5)], run("later"))
        with History.open(path) as history:
            assert len(history.model_minutes(ALL)) == version + 1
            assert len(history.requests(ALL)) == version

    def test_each_step_is_done_once_and_what_was_there_stays(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written(path, [model_minute()])
        steps: list[int] = []

        def add_a_column(connection: sqlite3.Connection) -> None:
            steps.append(version_of(connection))
            connection.execute("ALTER TABLE sessions ADD COLUMN more TEXT")

        monkeypatch.setattr("gpumon.app.history.schema.MIGRATIONS", (*MIGRATIONS, add_a_column))
        for place in ("schema", "file", "reader"):
            monkeypatch.setattr(f"gpumon.app.history.{place}.VERSION", VERSION + 1)
        written(path, [model_minute(1)], run("two"))
        written(path, [model_minute(2)], run("three"))
        assert steps == [VERSION]
        assert len(tokens(path)) == 3


class TestBounds:
    def test_by_age_the_oldest_day_goes_and_no_more_at_a_time(self, path: Path) -> None:
        minutes = [0, DAY // 60, 2 * DAY // 60]
        with contextlib.closing(HistoryFile(path, run())) as file:
            file.write([model_minute(minute, tokens=minute) for minute in minutes], MINUTE)
            file.forget(ROOMY, MINUTE + 400 * DAY)
        assert tokens(path) == minutes[1:]

    def test_what_is_not_old_stays(self, path: Path) -> None:
        with contextlib.closing(HistoryFile(path, run())) as file:
            file.write([model_minute(0)], MINUTE)
            file.forget(ROOMY, MINUTE + 89 * DAY)
        assert len(tokens(path)) == 1

    def test_by_size_the_oldest_days_go_until_the_rest_has_room(self, path: Path) -> None:
        hours = [model_minute(hour * 60, number=hour, tokens=hour) for hour in range(24 * 100)]
        with contextlib.closing(HistoryFile(path, run())) as file:
            file.write(hours, MINUTE)
            with History.open(path) as history:
                limit = history.used_bytes() * 3 // 4
            file.forget(Bounds(900 * DAY, limit), MINUTE + 100 * DAY)
        with History.open(path) as history:
            assert history.used_bytes() <= limit
        left = tokens(path)
        assert len(left) > 1200
        assert left[-1] == 24 * 100 - 1, "the newest is kept"

    def test_a_file_that_has_reached_its_size_stays_about_as_large(self, path: Path) -> None:
        sizes = []
        with contextlib.closing(HistoryFile(path, run())) as file:
            for day in range(12):
                first = day * 1440
                rows = [model_minute(minute, number=minute) for minute in range(first, first + 1440)]
                file.write(rows, MINUTE)
                file.forget(Bounds(900 * DAY, 600_000), MINUTE + (day + 1) * DAY)
                sizes.append(path.stat().st_size)
        assert max(sizes[6:]) == min(sizes[6:])
        assert max(sizes) < 1_500_000

    def test_compacting_gives_back_what_was_forgotten(self, path: Path) -> None:
        with contextlib.closing(HistoryFile(path, run())) as file:
            file.write([model_minute(minute, number=minute) for minute in range(3000)], MINUTE)
            file.forget(Bounds(DAY, 1), MINUTE + 400 * DAY)
        before = path.stat().st_size
        compact(path)
        assert path.stat().st_size < before / 2
