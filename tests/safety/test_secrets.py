"""What is secret is in nothing that gpumon prints or writes, whatever a server does with it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.http import Answer
from tests.fakes.ollama.misbehaviour import error, html
from tests.fakes.ollama.server import FakeOllama
from tests.safety.conftest import Run

from gpumon.app.config.settings import LearnSettings, ServerSettings, Settings
from gpumon.app.crash import write_crash_report
from gpumon.app.recording.lines import new_header
from gpumon.app.recording.writer import Recorder
from gpumon.app.session.build import live_session
from gpumon.app.session.session import Session

PASSWORD, TOKEN, KEY = "pass-4711-word", "token-4711-bearer", "key-4711-header"
BASIC = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD, TOKEN, KEY, BASIC)

ANSWERS: dict[str, Callable[[str], Answer] | None] = {
    "well": None,
    "says them in an error": lambda words: error(500, f"bad: {words}"),
    "says them in a redirect": lambda words: Answer(
        302, b"", None, {"Location": f"http://{PASSWORD}/?{words}"}
    ),
    "forbids": lambda words: html(401, words),
}
"""What the server does, given the secrets that it was sent."""

COMMANDS = [
    ("snapshot",),
    ("why",),
    ("why", "--json"),
    ("doctor",),
    ("config",),
    ("--no-such-flag",),
    ("snapshot", "--ca-file", "/nowhere.pem"),
]


@pytest.mark.parametrize("answer", ANSWERS)
async def test_no_command_prints_or_writes_a_secret(
    answer: str, run: Run, ollama: FakeOllama, tmp_path: Path
) -> None:
    ollama.catalog.load("qwen3:8b")
    if (wrong := ANSWERS[answer]) is not None:
        ollama.misbehave("*", wrong(f"{PASSWORD} {KEY} {BASIC}"))
    url = ollama.url.replace("://", f"://user:{PASSWORD}@")
    variables = {"GPUMON_HEADER": f"X-Api-Key: {KEY}", "OLLAMA_HOST": url, "OLLAMA_API_KEY": TOKEN}
    results = await asyncio.gather(*(run(*command, **variables) for command in COMMANDS))
    said = "".join(result.output + result.errors for result in results)
    assert [secret for secret in SECRETS if secret in said] == []
    assert found_in_files(tmp_path) == []


@pytest.mark.parametrize("answer", ANSWERS)
async def test_no_recording_and_no_state_holds_a_secret(
    answer: str, ollama: FakeOllama, tmp_path: Path
) -> None:
    ollama.catalog.load("qwen3:8b")
    if (wrong := ANSWERS[answer]) is not None:
        ollama.misbehave("*", wrong(f"{PASSWORD} {KEY} Bearer {TOKEN}"))
    session = secret_session(ollama)
    session.recorder = Recorder(tmp_path / "run.jsonl", new_header(1.0))
    session.monitor.listen(session.recorder.write)
    heard = asyncio.Event()
    session.monitor.listen(lambda sample: heard.set() if sample.source == ollama.url else None)
    running = asyncio.create_task(session.feed.run(session.monitor))
    async with asyncio.timeout(20):
        await heard.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await session.close()
    assert (tmp_path / "run.jsonl").stat().st_size > 200
    assert found_in_files(tmp_path) == []
    assert [secret for secret in SECRETS if secret in repr(session.monitor.state)] == []


def secret_session(ollama: FakeOllama) -> Session:
    settings = Settings(
        urls=(ollama.url.replace("://", f"://user:{PASSWORD}@"),),
        headers={"*": {"Authorization": f"Bearer {TOKEN}", "X-Api-Key": KEY}},
        learn=LearnSettings(enabled=False),
        servers=ServerSettings(find=False),
    )
    return live_session(settings)


def test_a_crash_report_holds_no_text_of_an_exception(tmp_path: Path) -> None:
    try:
        try:
            raise ValueError(f"header {KEY}")
        except ValueError as cause:
            raise ExceptionGroup(TOKEN, [RuntimeError(PASSWORD)]) from cause
    except ExceptionGroup as defect:
        said = write_crash_report(defect, tmp_path)
    report = (tmp_path / "crash.txt").read_text()
    assert [secret for secret in SECRETS if secret in report.replace(Path(__file__).read_text(), "")] == []
    assert "builtins.ValueError" in report
    assert "builtins.RuntimeError" in report
    assert "test_secrets.py" in report, "where it came from"
    assert str(tmp_path / "crash.txt") in said


def found_in_files(folder: Path) -> list[str]:
    """Name the files in which a secret is."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 10**7)
    return [path.name for path in files if any(secret.encode() in path.read_bytes() for secret in SECRETS)]
