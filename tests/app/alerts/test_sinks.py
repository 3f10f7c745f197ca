from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import msgspec
import pytest

from gpumon.app.alerts.alert import Alert, AlertEvent
from gpumon.app.alerts.sinks import AT_ONCE, DEADLINE_SECONDS, WAITING_AT_MOST, AlertHook

ALERT = Alert(
    kind="spill",
    subject_id="http://127.0.0.1:11434 abc",
    subject="llama3:70b",
    severity="bad",
    since=1_700_000_000.0,
    message="llama3:70b spill: $(reboot) `reboot`; reboot",
)
RAISED = AlertEvent("raised", ALERT)
PATIENT = 30.0
"""A bound that is never reached unless something is broken."""


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-S", "-c", code, *map(str, arguments)]


async def run(command: list[str], events: int = 1, deadline_seconds: float = PATIENT) -> list[str]:
    """Tell ``command`` of events, wait until it has ended and return the notices."""
    notices: list[str] = []
    hook = AlertHook(command, notices.append, deadline_seconds)
    for _ in range(events):
        hook.tell(RAISED)
    await hook.close(grace_seconds=PATIENT)
    return notices


async def test_the_command_gets_one_json_object_on_its_standard_input(tmp_path: Path) -> None:
    got = tmp_path / "got"
    notices = await run(python("import sys; open(sys.argv[1], 'w').write(sys.stdin.read())", got))
    told = msgspec.json.decode(got.read_text())
    assert notices == []
    assert (told["change"], told["kind"], told["subject"]) == ("raised", "spill", "llama3:70b")
    assert (told["severity"], told["since"], told["message"]) == ("bad", ALERT.since, ALERT.message)
    assert (told["until"], told["ended"], told["acknowledged"]) == (None, None, False)


async def test_arguments_reach_the_command_as_they_are(tmp_path: Path) -> None:
    got = tmp_path / "got"
    await run(python("import sys; open(sys.argv[1], 'w').write(sys.argv[2])", got, "$HOME; `id`"))
    assert got.read_text() == "$HOME; `id`"


async def test_a_command_that_is_not_there_is_one_notice() -> None:
    (notice,) = await run(["/nonexistent/command"])
    assert notice.startswith("alert command /nonexistent/command cannot be started: ")


async def test_a_command_that_cannot_be_written_down_is_one_notice() -> None:
    (notice,) = await run(["a\0b"])
    assert notice.startswith("alert command a␀b cannot be started: ")


async def test_a_command_that_fails_is_one_notice() -> None:
    (notice,) = await run(python("raise SystemExit(3)"))
    assert notice.endswith("ended with status 3")


async def test_a_command_that_does_not_read_is_no_failure() -> None:
    assert await run(python("import os; os.close(0)")) == []


async def test_a_command_that_takes_too_long_is_ended() -> None:
    (notice,) = await run(python("import signal; signal.pause()"), deadline_seconds=0.05)
    assert notice.endswith("took longer than 0.05 s and was ended")


async def test_its_output_does_not_reach_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    await run(python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert capfd.readouterr() == ("", "")


class HeldProcess:
    """A process that ends when told to."""

    returncode = 0

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def communicate(self, _line: bytes) -> None:
        await self.may_end.wait()


async def test_only_a_few_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    running: list[HeldProcess] = []

    async def start(*_: object, **__: object) -> HeldProcess:
        running.append(HeldProcess())
        return running[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    hook = AlertHook(["held"], lambda _: None)
    for _ in range(AT_ONCE + 1):
        hook.tell(RAISED)
    await turns()
    assert len(running) == AT_ONCE
    running[0].may_end.set()
    await turns()
    assert len(running) == AT_ONCE + 1
    await hook.close(grace_seconds=0)


async def turns() -> None:
    """Let every task go on as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_cannot_be_kept_waiting_is_left_out_with_a_notice() -> None:
    notices: list[str] = []
    hook = AlertHook(python("import signal; signal.pause()"), notices.append)
    for _ in range(WAITING_AT_MOST + 1):
        hook.tell(RAISED)
    assert notices == [f"the alert command is too slow, left out: {ALERT.message}"]
    await hook.close(grace_seconds=0)


async def test_closing_ends_what_still_runs_and_those_it_started() -> None:
    """A grandchild connects; its connection ends when it does."""
    connected, ended = asyncio.Event(), asyncio.Event()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()
        ended.set()

    server = await asyncio.start_server(attend, "127.0.0.1", 0)
    code = (
        "import os, signal, socket, sys\n"
        "if os.fork() == 0: held = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "signal.alarm(60); signal.pause()"
    )
    async with server, asyncio.timeout(PATIENT):
        hook = AlertHook(python(code, server.sockets[0].getsockname()[1]), lambda _: None)
        hook.tell(RAISED)
        await connected.wait()
        await hook.close(grace_seconds=0)
        await ended.wait()


async def test_closing_without_anything_running_is_nothing() -> None:
    await AlertHook(["true"], lambda _: None).close()


def test_a_few_run_at_once_for_some_seconds_and_the_rest_wait() -> None:
    assert (AT_ONCE, DEADLINE_SECONDS, WAITING_AT_MOST) == (4, 10.0, 100)
