"""The page, and who is let in: it serves a dashboard by textual-serve, to those who know its address alone.

Three things are asked of a request. It must bear the token: nobody else on this machine or network knows it.
Its ``Host`` must be one by which this server is meant: a name that somebody else's DNS makes point here is
none (DNS rebinding). And where a browser says from which page it comes (``Origin``), that must be this one:
any site may open a websocket to any address.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp_jinja2
from aiohttp import web
from msgspec import Struct
from textual_serve.server import Server, to_int

from gpumon.app.web.tabs import TabService
from gpumon.collectors.http.endpoint import is_loopback_host

if TYPE_CHECKING:
    import socket

    from aiohttp.typedefs import Handler, Middleware

    from gpumon.app.listening import Address
    from gpumon.app.web.tabs import Tabs

TOKEN_BYTES = 24
FONT_SIZES = (6, 40)
MOST_MESSAGE_BYTES = 1024**2
"""Of what a browser sends at once: what is pasted."""
NO_TOKEN = "this address needs the token that gpumon web has printed with it\n"  # noqa: S105 - words
WRONG_HOST = "gpumon web is not meant by this name; --allow-host allows it\n"
WRONG_ORIGIN = "another site must not talk to gpumon web\n"
OPEN_PATHS = ("/static/",)
"""Style, script and fonts of textual-serve: nothing of anybody's."""

_log = logging.getLogger("gpumon.web")


class Door(Struct, frozen=True):
    """Says who is let in."""

    token: str
    hosts: Collection[str] = ()
    """Names that mean this server, besides those of loopback."""
    takes_addresses: bool = False
    """Whether any IP address means it, as where it listens on all: rebinding needs a name."""

    def refusal(self, host: str, origin: str | None, path: str, token: str) -> str:
        """Return why a request is refused in one line; nothing where it is let in."""
        if not self._is_meant(host):
            return WRONG_HOST
        is_socket = path.startswith("/ws")
        if (origin is not None or is_socket) and not _is_same(origin or "", host):
            return WRONG_ORIGIN
        if not path.startswith(OPEN_PATHS) and not self._is_known(token):
            return NO_TOKEN
        return ""

    def _is_known(self, token: str) -> bool:
        """Compare in a time that does not tell how much of it is right."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode())

    def _is_meant(self, host: str) -> bool:
        name = _name_of(host)
        if name is None:
            return False
        return is_loopback_host(name) or name in self.hosts or (self.takes_addresses and _is_address(name))


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class Page(Server):
    """textual-serve's server behind a door, with its own page, and tabs that are fed."""

    def __init__(self, address: Address, door: Door, tabs: Tabs, title: str = "gpumon") -> None:
        super().__init__(
            "gpumon",
            address.host,
            address.port,
            title=title,
            public_url=address.url,
            templates_path=Path(__file__).parent / "templates",
        )
        self._door = door
        self._tabs = tabs
        self._sockets: set[web.WebSocketResponse] = set()

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"{self.public_url}/?token={self._door.token}"

    async def application(self) -> web.Application:
        """Return what answers requests."""
        app = await self._make_app()
        app.router.add_get("/ws/{token}", self.handle_websocket)
        app.middlewares.append(_guard(self._door))
        app.on_response_prepare.append(_add_headers)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: the command does."""

    async def on_shutdown(self, app: web.Application) -> None:  # noqa: ARG002 - as the base has it
        """Close the tabs."""
        await asyncio.gather(*(one.close() for one in list(self._sockets)), return_exceptions=True)

    async def handle_index(self, request: web.Request) -> web.Response:
        """Serve the page: all of it comes from here, no font or script from elsewhere."""
        if self._tabs.is_full:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, self._full_words())
        nonce = secrets.token_urlsafe(12)
        request["nonce"] = nonce
        size = to_int(request.query.get("fontsize", "0"), 0)
        context = {
            "nonce": nonce,
            "title": self.title,
            "font_size": min(max(size, FONT_SIZES[0]), FONT_SIZES[1]) if size else None,
            "socket_path": f"/ws/{self._door.token}",
        }
        return aiohttp_jinja2.render_template("page.html", request, context)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run the dashboard of a tab until that is closed, or the dashboard left."""
        if self._tabs.is_full:
            raise web.HTTPServiceUnavailable(text=self._full_words())
        connection = web.WebSocketResponse(heartbeat=15, max_msg_size=MOST_MESSAGE_BYTES)
        self._tabs.count += 1
        try:
            await connection.prepare(request)
            self._sockets.add(connection)
            await self._run_tab(request, connection)
        finally:
            self._sockets.discard(connection)
            self._tabs.count -= 1
        return connection

    async def _run_tab(self, request: web.Request, connection: web.WebSocketResponse) -> None:
        service = TabService(
            self._tabs,
            write_bytes=connection.send_bytes,
            write_str=connection.send_str,
            close=connection.close,
            download_manager=self.download_manager,
        )
        width, height = (to_int(request.query.get(name, "80"), 80) for name in ("width", "height"))
        try:
            await service.start(width, height)
            await self._process_messages(connection, service)
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            _log.info("a tab sent what is no message (%s)", type(error).__name__)
        except ConnectionError:
            pass  # closed while it was written to
        finally:
            await service.stop()

    def _full_words(self) -> str:
        return f"{self._tabs.most} tabs are open, as many as gpumon web serves; close one, or see --tabs\n"


@asynccontextmanager
async def serving(page: Page, listening: socket.socket) -> AsyncIterator[None]:
    """Answer what comes to ``listening``; addresses, which hold the token, are not logged."""
    runner = web.AppRunner(
        await page.application(), access_log=None, handle_signals=False, shutdown_timeout=5.0
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        yield
    finally:
        await runner.cleanup()


def _guard(door: Door) -> Middleware:
    """Return what lets requests in, or refuses them before anything else is done with them."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.match_info.get("token") or request.query.get("token", "")
        hosts = request.headers.getall("Host", [])
        host = hosts[0] if len(hosts) == 1 else ""
        why = door.refusal(host, request.headers.get("Origin"), request.path, given)
        return _refused(HTTPStatus.FORBIDDEN, why) if why else await handler(request)

    return guard


def _refused(status: HTTPStatus, words: str) -> web.Response:
    return web.Response(status=status, text=words)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Let the page load nothing from elsewhere, stand in nobody's frame, and tell nobody its address."""
    script = f"'nonce-{request['nonce']}'" if "nonce" in request else ""
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {script}; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    response.headers["Server"] = "gpumon"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if not request.path.startswith(OPEN_PATHS):
        response.headers["Cache-Control"] = "no-store"


def _is_same(origin: str, host: str) -> bool:
    """Whether a page is this server's own: of the same name and port, whichever way TLS is put before it."""
    parts = urlsplit(origin)
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()


def _name_of(host: str) -> str | None:
    """Return the name in a ``Host`` without its port, ``None`` where there is none."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return None
    return None if "@" in host or "/" in host else name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
