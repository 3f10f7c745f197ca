"""``gpumon web`` as a browser meets it: real requests, websockets and processes, and a real Chromium."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest
from tests.e2e.conftest import gpumon
from tests.fakes.browser import PROGRAM, browser
from tests.fakes.processes.actor import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")

WAIT_SECONDS = 60.0
PAINTED_BYTES = 15_000
"""Of a picture in which more is to be seen than an empty page."""


class Web:
    """The server under test, and a client of it."""

    def __init__(
        self, process: asyncio.subprocess.Process, address: str, client: aiohttp.ClientSession
    ) -> None:
        self.address = address
        self.base, _, self.token = address.partition("/?token=")
        self.process = process
        self._client = client

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self._client.get(self.base + path, headers=headers) as answer:
            return answer.status, await answer.text()

    @asynccontextmanager
    async def tab(self, token: str | None = None, **headers: str) -> AsyncIterator[Screen]:
        path = f"/ws/{self.token if token is None else token}?width=120&height=40"
        told = {"Origin": self.base} | headers
        async with self._client.ws_connect(self.base + path, headers=told, max_msg_size=0) as connection:
            yield Screen(connection)

    def tabs(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


class Screen:
    """What one tab was sent."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = connection

    async def until(self, text: str) -> None:
        """Read until the screen has shown a text; words are sent cell by cell where they have not changed."""
        seen = ""
        async with asyncio.timeout(WAIT_SECONDS):
            while text not in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen):
                message = await self._connection.receive()
                assert message.type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}, message
                seen += message.data.decode() if isinstance(message.data, bytes) else message.data

    async def type(self, keys: str) -> None:
        await self._connection.send_json(["stdin", keys])

    async def send(self, text: str) -> None:
        await self._connection.send_str(text)

    async def until_closed(self) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not self._connection.closed:
                await self._connection.receive()


@asynccontextmanager
async def web(environment: dict[str, str], *flags: str) -> AsyncIterator[Web]:
    process = await asyncio.create_subprocess_exec(
        *gpumon("web", "--listen", "127.0.0.1:0", *flags), env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        found = re.search(r"http\S+", line)
        assert found, line
        async with aiohttp.ClientSession() as client:
            yield Web(process, found[0], client)
        if process.returncode is None:
            process.terminate()
        assert await process.wait() in {0, -signal.SIGKILL}
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.05)


async def test_nothing_is_served_to_who_does_not_know_the_token_or_comes_from_elsewhere(
    bare_environment: dict[str, str],
) -> None:
    async with web(bare_environment, "--demo", "spill") as served:
        known = f"/?token={served.token}"
        for path in ("/", "/?token=x", "/ws", "/ws/x?width=80&height=24", "/download/x", "/nothing"):
            assert (await served.get(path, Origin=served.base))[0] == 403
        assert (await served.get(known, Host="evil.example"))[0] == 403
        assert (await served.get(known, Origin="http://evil.example"))[0] == 403
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with served.tab(**headers):
                    pass
            assert refused.value.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with served.tab("x"):
                pass
        assert served.tabs() == []
        status, page = await served.get(known)
        assert status == 200
        assert re.findall(r"(?:https?:)?//[a-z]", page) == []


async def test_all_tabs_are_fed_by_the_one_that_watches_and_end_when_they_are_closed(
    environment: dict[str, str],
) -> None:
    async with web(environment) as served, served.tab() as first:
        await first.until("RTX 4090")
        async with served.tab() as second:
            await second.until("RTX 4090")
            await until(lambda: len(served.tabs()) == 2, "two tabs, two processes")
            for process in served.tabs():
                assert process.net_connections("inet") == []
                assert not any("nvidia-ml" in one.path for one in process.memory_maps())
                assert served.token not in " ".join(process.cmdline())
        await until(lambda: len(served.tabs()) == 1, "the process of a closed tab ends")
        await first.type("q")
        await first.until_closed()
        await until(lambda: served.tabs() == [], "a dashboard that was left ends")


async def test_a_tab_that_hangs_holds_no_other_and_is_ended_when_it_is_closed(
    bare_environment: dict[str, str],
) -> None:
    async with web(bare_environment, "--demo", "spill") as served:
        async with served.tab() as stalled:
            await stalled.until("qwen")
            (process,) = served.tabs()
            process.send_signal(signal.SIGSTOP)
            async with served.tab() as other:
                await other.until("qwen")
                await other.type("?")
                await other.until("unload")
        await until(lambda: served.tabs() == [], "one that does not end is killed")


async def test_no_more_tabs_than_are_allowed(bare_environment: dict[str, str]) -> None:
    async with web(bare_environment, "--demo", "spill", "--tabs", "1") as served, served.tab() as only:
        await only.until("qwen")
        status, words = await served.get(f"/?token={served.token}")
        assert (status, words) == (
            503,
            "1 tabs are open, as many as gpumon web serves; close one, or see --tabs\n",
        )
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with served.tab():
                pass
        assert refused.value.status == 503


async def test_a_tab_is_to_look_at_only(bare_environment: dict[str, str]) -> None:
    async with web(bare_environment, "--demo", "spill") as served, served.tab() as tab:
        await tab.until("qwen")
        await tab.type("u")
        await tab.until("to look at only")


@pytest.mark.parametrize("message", ["", "{", "{}", "[]", '["stdin"]', '["resize", {}]', '["stdin", 5]'])
async def test_what_is_no_message_ends_its_tab_alone(bare_environment: dict[str, str], message: str) -> None:
    async with web(bare_environment, "--demo", "spill") as served:
        async with served.tab() as tab:
            await tab.send(message)
            await tab.until_closed()
        assert (await served.get(f"/?token={served.token}"))[0] == 200


async def test_tabs_end_with_the_one_that_watches_however_that_ends(bare_environment: dict[str, str]) -> None:
    async with web(bare_environment, "--demo", "spill") as served, served.tab() as tab:
        await tab.until("qwen")
        tabs = served.tabs()
        served.process.kill()
        await until(lambda: not any(map(psutil.Process.is_running, tabs)), "a tab without a feed ends")


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium")
@pytest.mark.parametrize(("width", "height"), [(1600, 900), (390, 844)], ids=["wide", "phone"])
async def test_a_real_browser_shows_it_and_asks_nobody_else(
    bare_environment: dict[str, str], tmp_path: Path, width: int, height: int
) -> None:
    async with web(bare_environment, "--demo", "spill") as served, browser(tmp_path / "profile") as page:
        await page.open(served.address, width, height)
        await page.until("document.body.classList.contains('-first-byte')")
        while len(await page.picture()) < PAINTED_BYTES:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert {address.split("/")[2] for address in page.asked} == {served.base.split("/")[2]}
        assert page.complaints == []
        assert await page.value("document.documentElement.scrollWidth <= innerWidth")
        if width > 600:  # no keyboard opens over it
            assert await page.value("document.activeElement.className") == "xterm-helper-textarea"


async def test_what_is_no_http_harms_nobody(bare_environment: dict[str, str]) -> None:
    async with web(bare_environment, "--demo", "spill") as served, served.tab() as tab:
        await tab.until("qwen")
        port = int(served.base.rpartition(":")[2])
        for data in (
            b"\x00\xff" * 500,
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /" + b"a" * 70_000,
            b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            assert answer == b"" or answer.split(b" ")[1] in {b"400", b"403"}
        assert (await served.get(f"/?token={served.token}"))[0] == 200
        await tab.type("?")
        await tab.until("unload")
