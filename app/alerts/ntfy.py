"""Notices by ntfy: one POST to the address of a topic (docs.ntfy.sh/publish).

The topic is as good as a password, so no message of ours holds the path of the address, nor a key.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from gpumon.collectors.http.endpoint import parse_endpoint

if TYPE_CHECKING:
    import httpx

    from gpumon.app.alerts.notices import Notice, NoticeLevel

LIMIT_SECONDS = 10.0
"""Of one attempt, all in all."""
RETRY_SECONDS = 5.0
WAITING_AT_MOST = 20
PRIORITIES: dict[NoticeLevel, str] = {"bad": "4", "watch": "3", "over": "2"}
"""1 to 5, of which 3 is the usual one."""
TAGS: dict[NoticeLevel, str] = {"bad": "rotating_light", "watch": "warning", "over": "white_check_mark"}
"""Short names of emoji, which are drawn before the title."""
WORTH_ANOTHER_TRY = frozenset({408, 425, 429, 500, 502, 503, 504})


class Ntfy:
    """Sends notices to a topic, one after the other, beside whatever else is done.

    What does not arrive is said once to ``say``, and not again before one has arrived.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        say: Callable[[str], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._endpoint = parse_endpoint(url, headers)
        self._say = say
        self._pause = pause
        self._waiting: list[Notice] = []
        self._sending: asyncio.Task[None] | None = None
        self._has_failed = False

    @property
    def host(self) -> str:
        """Who is asked, without the topic."""
        return self._endpoint.address.host

    def send(self, notice: Notice) -> None:
        """Send a notice soon; the oldest is let go where too many wait."""
        self._waiting = [*self._waiting[-WAITING_AT_MOST + 1 :], notice]
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send_all(), name="ntfy")

    async def close(self, grace_seconds: float = 2.0) -> None:
        """Give what is under way ``grace_seconds`` to arrive."""
        if self._sending is not None:
            with suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self._sending, grace_seconds)

    async def deliver(self, notice: Notice) -> str | None:
        """Send a notice, twice if need be; return why it has not arrived."""
        problem, is_worth_it = await self._attempt(notice)
        if problem is not None and is_worth_it:
            await self._pause(RETRY_SECONDS)
            problem, _ = await self._attempt(notice)
        return problem

    async def _send_all(self) -> None:
        while self._waiting:
            problem = await self.deliver(self._waiting.pop(0))
            if problem is not None and not self._has_failed:
                self._say(f"ntfy: {problem}")
            self._has_failed = problem is not None

    async def _attempt(self, notice: Notice) -> tuple[str | None, bool]:
        """Return why a notice has not arrived, and whether that may be otherwise in a moment."""
        import httpx  # noqa: PLC0415 - takes a while, and few send anything

        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                answer = await self._post(notice)
        except TimeoutError:
            return f"{self.host} has not answered in {LIMIT_SECONDS:g} s", True
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
            return f"{self.host} cannot be reached", True
        if answer.is_success:
            return None, False
        return (
            f"{self.host} has refused it (HTTP {answer.status_code})",
            answer.status_code in WORTH_ANOTHER_TRY,
        )

    async def _post(self, notice: Notice) -> httpx.Response:
        import httpx  # noqa: PLC0415

        headers = {
            **self._endpoint.headers,
            "User-Agent": "gpumon",
            "Content-Type": "text/plain; charset=utf-8",
            "Title": header_text(notice.title),
            "Priority": PRIORITIES[notice.level],
            "Tags": TAGS[notice.level],
        }
        async with httpx.AsyncClient(
            timeout=LIMIT_SECONDS, trust_env=not self._endpoint.is_loopback
        ) as client:
            return await client.post(
                self._endpoint.address.url_to_connect, content=notice.body.encode(), headers=headers
            )


def header_text(text: str) -> str:
    """Return a text as a header holds it: other letters than those of ASCII by RFC 2047, which ntfy reads."""
    if text.isascii() and text.isprintable():
        return text
    return f"=?UTF-8?B?{base64.b64encode(text.encode('utf-8', 'replace')).decode()}?="
