from __future__ import annotations

from tests.fakes.samples import START
from tests.scene import BLOB, Machine, Model
from tests.scene.thrashing import again, taking_turns

from gpumon.app.state.loads.endings import FAILURE_KEPT_SECONDS, WINDOW_SECONDS
from gpumon.collectors.samples import LogEvent


def failed(
    name: str = "qwen:8b", *, pid: int = 100, until: float = 3.0, on: Machine | None = None
) -> Machine:
    """Have a process start that is gone ``until`` seconds later, with what is said of it in between."""
    machine = on or Machine()
    server = machine.servers[0] if machine.servers else machine.ollama()
    began = machine.now
    server.described.discard(name)
    model = server.starts(Model(name, pid=pid))
    machine.look("servers").look("processes", at=began + 0.5)
    server.unload(model)
    return machine.look("processes", at=began + until)


class TestLoadFailed:
    def test_a_load_that_failed_is_bad(self) -> None:
        alert = failed().look("processes", at=6).raised("load_failed")
        assert (alert.severity, alert.subject, alert.subject_id) == ("bad", "qwen:8b", BLOB)
        assert alert.message == "qwen:8b failed to load after 3s"

    def test_the_log_says_why(self) -> None:
        machine = Machine()
        server = machine.ollama()
        model = server.starts(Model("qwen:8b"))
        machine.look("servers").look("processes", at=0.5)
        why = LogEvent(kind="load_failed", text="exiting due to model loading error")
        machine.logs(LogEvent(kind="load_started", at=START, blob=BLOB), why)
        server.unload(model)
        alert = machine.look("processes", at=3).look("processes", at=6).raised("load_failed")
        assert alert.message.endswith(": exiting due to model loading error")

    def test_a_retry_at_once_is_no_failure_yet(self) -> None:
        machine = failed()
        assert machine.news() == []
        machine.now = 4
        machine.servers[0].starts(Model("qwen:8b", pid=101))
        for at in range(4, 20):
            machine.look("processes", at=at)
        assert machine.news() == []

    def test_a_retry_that_fails_too_is_one(self) -> None:
        machine = failed()
        machine.now = 4
        again_failed = failed(pid=101, until=5, on=machine).look("processes", at=12)
        assert again_failed.raised("load_failed").message == "qwen:8b failed to load after 5s"

    def test_a_later_load_ends_it(self) -> None:
        machine = failed().look("processes", at=6)
        assert machine.news() == ["raised"]
        machine.now = 60
        machine.servers[0].brings_up(Model("qwen:8b", pid=102))
        machine.look("processes", at=68)
        assert machine.news() == ["ended"]

    def test_it_ends_by_itself_after_a_while(self) -> None:
        machine = failed().look("processes", at=6)
        assert machine.alert("load_failed")
        assert machine.look("driver", at=3 + FAILURE_KEPT_SECONDS).alert("load_failed") is None

    def test_a_load_that_nobody_wanted_any_more_is_none(self) -> None:
        machine = Machine()
        machine.ollama().starts(Model("qwen:8b"))
        machine.look("servers").look("processes", at=0.5)
        machine.servers.clear()
        machine.look("processes", at=3).look("processes", at=9)
        assert machine.alert("load_failed") is None

    def test_names_are_harmless(self) -> None:
        alert = failed("a\x1b[31mb").look("processes", at=6).raised("load_failed")
        assert "\x1b" not in alert.message + alert.subject


class TestThrash:
    def test_it_is_worth_watching(self) -> None:
        alert = again(3).raised("thrash")
        assert (alert.severity, alert.subject, alert.measure) == ("watch", "a", 3)

    def test_it_ends_with_the_ten_minutes(self) -> None:
        machine = again(3).look("driver", at=1000 + WINDOW_SECONDS)
        assert machine.alert("thrash") is None

    def test_a_short_keep_alive_is_named(self) -> None:
        message = again(3, expires=20).raised("thrash").message
        assert message == "a is loaded again and again, 3 loads in 10 min: its keep_alive is too short"

    def test_two_models_are_named_together(self) -> None:
        message = taking_turns(4).raised("thrash").message
        assert message == "a and b evict each other: 4 loads in 10 min"

    def test_the_setting_that_changes_is_named(self) -> None:
        contexts = [{"context_length": tokens} for tokens in (4096, 8192, 4096)]
        message = again(3, settings=contexts).raised("thrash").message
        assert message.endswith(": context changes from 8192 to 4096")

    def test_more_loads_are_counted_without_a_new_alert(self) -> None:
        machine = again(3)
        assert machine.news() == ["raised"]
        machine.now = 199
        again(1, machine=machine)
        assert machine.news() == []
        assert machine.raised("thrash").measure == 4


def test_an_expiry_is_compared_by_our_clock() -> None:
    """The server's clock is ten minutes ahead, and so is each expiry that it names."""
    machine = Machine()
    machine.ollama().clock_offset_seconds = 600.0
    message = again(3, expires=620, machine=machine).raised("thrash").message
    assert message.endswith("its keep_alive is too short")
