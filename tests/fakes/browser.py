"""A headless Chromium, told what to do by its DevTools protocol; skipped where there is none."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DEADLINE_SECONDS = 60.0
LOOK_SECONDS = 0.2


class Browser:
    """One page of a Chromium."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self.asked: list[str] = []
        """Every address that the page has asked for."""
        self.complaints: list[str] = []
        """What stands in its console as an error."""

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        await self._connection.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                message = json.loads((await self._connection.receive()).data)
                self._note(message)
                if message.get("id") == number:
                    assert "error" not in message, message
                    return dict(message["result"])

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") in {"Network.requestWillBeSent", "Network.webSocketCreated"}:
            self.asked.append(parameters.get("url") or parameters["request"]["url"])
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(parameters["entry"]["text"])

    async def open(self, url: str, width: int = 1280, height: int = 800) -> None:
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=0,
            mobile=width < 600,
        )
        await self.call("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:  # noqa: ANN401 - whatever the page says
        result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True)
        return result["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until the page finds ``expression`` true."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await self.value(expression):  # noqa: ASYNC110 - nobody else would tell
                await asyncio.sleep(LOOK_SECONDS)

    async def press(self, key: str) -> None:
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def picture(self) -> bytes:
        """Return a PNG of the page."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def browser(folder: Path, scale: float = 1) -> AsyncIterator[Browser]:
    """Start a Chromium with a profile of its own in ``folder``."""
    assert PROGRAM is not None
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        f"--force-device-scale-factor={scale:g}",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as http:
            pages = await (await http.get(f"http://127.0.0.1:{port}/json/list")).json(content_type=None)
            address = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
            async with http.ws_connect(address, max_msg_size=0) as connection:
                yield Browser(connection)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _port(file: Path) -> str:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(lines := _lines(file)) < 2:  # noqa: ASYNC110 - nobody else would tell
            await asyncio.sleep(LOOK_SECONDS)
    return lines[0]


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
