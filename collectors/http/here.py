"""The way to a server of this machine: connections of our own, read and written by ``h11``.

Once a second and model, this is most of what gpumon asks. A client that looks for proxies, cookies and
redirects, and a pool that serves any number of hosts, take several times what the exchange itself takes. The
server may be in another network namespace: that of a container, whose loopback is not ours.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import ssl
import threading
from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

import h11

from gpumon.collectors.http.endpoint import SCHEME_PORTS, Endpoint, HostAddress
from gpumon.collectors.http.failure import RequestError, connect_kind

MOST_AT_ONCE = 2
"""One poll, and one errand beside it."""
KEPT_SECONDS = 30.0
MAX_HEAD_BYTES = 100 * 1024
"""Of an answer; ``httpcore`` takes as many."""
PATHS_KEPT = 64
"""A router's paths name its models, of which there may be any number."""
SENT_AS_IT_IS = "/?&=%:@!$'()*+,;~[]"

RawReply = tuple[int, Mapping[str, str], bytes]
"""Status, headers by names in small letters, and the body as it came."""
Headers = list[tuple[bytes, bytes]]


class Here:
    """The connections to one server."""

    def __init__(self, endpoint: Endpoint, headers: Mapping[str, str], connect_seconds: float) -> None:
        """Raise ``RequestError`` where a header cannot be sent or the certificates cannot be read."""
        self._endpoint = endpoint
        self._address = endpoint.address
        if self._address.scheme not in SCHEME_PORTS:
            raise RequestError("unusable")
        self._connect_seconds = connect_seconds
        self._headers = _raw_headers(headers, self._address)
        self._tls = _tls(endpoint)
        self._gets: dict[str, h11.Request] = {}
        self._idle: list[_Line] = []
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    async def ask(self, path: str, body: bytes | None, max_bytes: int) -> RawReply:
        """GET, or POST a body; read no more than ``max_bytes``; raise ``RequestError``."""
        async with self._room:
            request = self._get(path) if body is None else self._request(b"POST", path, body)
            line = self._kept()
            if line is None:
                return await self._over(await self._connect(), request, body, max_bytes)
            try:
                return await self._over(line, request, body, max_bytes)
            except RequestError:
                # The server may have closed it at this very moment (RFC 9112, 9.3.1).
                if body is not None or line.has_heard:
                    raise
            return await self._over(await self._connect(), request, body, max_bytes)

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().abort()
        await asyncio.sleep(0)  # then they are closed

    async def _over(self, line: _Line, request: h11.Request, body: bytes | None, max_bytes: int) -> RawReply:
        try:
            reply = await line.exchange(request, body, max_bytes)
        except h11.LocalProtocolError:
            line.abort()
            raise RequestError("unusable") from None
        except BaseException:
            line.abort()
            raise
        if line.renew():
            self._idle.append(line)
        return reply

    def _kept(self) -> _Line | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            line = self._idle.pop()
            if line.is_open and now - line.idle_since < KEPT_SECONDS:
                line.is_idle = False
                return line
            line.abort()
        return None

    async def _connect(self) -> _Line:
        try:
            async with asyncio.timeout(self._connect_seconds):
                return await self._connected()
        except TimeoutError:
            raise RequestError("connect_timeout") from None
        except (OSError, UnicodeError) as error:
            raise RequestError(connect_kind(error)) from None

    async def _connected(self) -> _Line:
        loop, address = asyncio.get_running_loop(), self._address
        name = address.host.partition("%")[0] if self._tls else None
        if self._endpoint.namespace is not None:
            end = await connected_inside(self._endpoint.namespace, address.host, address.port)
            _, line = await loop.create_connection(_Line, sock=end, ssl=self._tls, server_hostname=name)
        else:
            _, line = await loop.create_connection(
                _Line, address.host, address.port, ssl=self._tls, server_hostname=name
            )
        return line

    def _get(self, path: str) -> h11.Request:
        request = self._gets.get(path)
        if request is None:
            if len(self._gets) == PATHS_KEPT:
                self._gets.clear()
            request = self._gets[path] = self._request(b"GET", path, None)
        return request

    def _request(self, method: bytes, path: str, body: bytes | None) -> h11.Request:
        headers = self._headers if body is None else [*self._headers, (b"Content-Length", b"%d" % len(body))]
        target = quote(self._address.path + path, SENT_AS_IT_IS)
        try:
            return h11.Request(method=method, headers=headers, target=target)
        except h11.LocalProtocolError:
            raise RequestError("unusable") from None


class _Line(asyncio.Protocol):
    """One connection: one request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.is_idle = False
        self.idle_since = 0.0
        self.has_heard = False
        """Whether anything came since the last request was sent."""
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._is_answering = False
        self._is_lost = False
        self._is_broken = False
        self._waiting: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take in what comes of an answer; on an idle connection nobody has asked for anything."""
        if self.is_idle:
            self.abort()
            return
        self.has_heard = True
        self._http.receive_data(data)
        self._wake()

    def eof_received(self) -> None:
        """Take in that nothing more comes; the transport closes itself."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take in the end, whatever it was."""
        self._end(broken=exc is not None)

    @property
    def is_open(self) -> bool:
        """Whether another request may be sent."""
        return not self._is_lost and not self.transport.is_closing()

    def abort(self) -> None:
        """Close it at once."""
        self.transport.abort()

    async def exchange(self, request: h11.Request, body: bytes | None, max_bytes: int) -> RawReply:
        """Send a request and return its whole answer.

        Raises:
            RequestError: no such answer came.
            h11.LocalProtocolError: it cannot be sent.
        """
        self.has_heard = self._is_answering = False
        self._send(request, body)
        head = await self._event()
        while not isinstance(head, h11.Response):
            head = await self._event()  # 1xx
        self._is_answering = True
        raw = bytearray()
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            raw += cast("h11.Data", event).data
            if len(raw) > max_bytes:
                raise RequestError("too_large")
        return head.status_code, _fields(head), bytes(raw)

    def renew(self) -> bool:
        """Make ready for another request, or close it; return which.

        Bytes behind an answer, which nobody asked for, would be taken for the next one.
        """
        http = self._http
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE or not self.is_open:
            self.abort()
            return False
        if http.trailing_data[0]:
            self.abort()
            return False
        http.start_next_cycle()
        self.is_idle, self.idle_since = True, asyncio.get_running_loop().time()
        return True

    def _send(self, request: h11.Request, body: bytes | None) -> None:
        data = self._http.send(request) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        self._http.send(h11.EndOfMessage())
        self.transport.write(data)

    async def _event(self) -> h11.Event:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                if self._is_lost:
                    self._take_end()
                    continue
                self._waiting = asyncio.get_running_loop().create_future()
                await self._waiting
        except h11.RemoteProtocolError:
            raise RequestError("reset" if self._is_answering else "not_http") from None
        return cast("h11.Event", event)  # no PAUSED: nothing is upgraded

    def _take_end(self) -> None:
        """Take the end of the connection for that of the answer, which it may be, once."""
        if self._is_broken or self._http.their_state is not h11.SEND_BODY:
            raise RequestError("reset")
        self._is_broken = True
        self._http.receive_data(b"")

    def _end(self, *, broken: bool = False) -> None:
        if not self._is_lost:
            self._is_lost, self._is_broken = True, broken
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _raw_headers(headers: Mapping[str, str], address: HostAddress) -> Headers:
    try:
        raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        if not any(name.lower() == b"host" for name, _ in raw):
            raw.insert(0, (b"Host", _authority(address).encode("ascii")))
    except UnicodeError:
        raise RequestError("unusable") from None
    return raw


def _authority(address: HostAddress) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return host if address.port == SCHEME_PORTS.get(address.scheme) else f"{host}:{address.port}"


def _fields(head: h11.Response) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _tls(endpoint: Endpoint) -> ssl.SSLContext | None:
    """Return what TLS needs, ``None`` for plain HTTP: reading the certificates costs 40 ms."""
    if endpoint.address.scheme != "https":
        return None
    import httpx

    return httpx.create_ssl_context(verify=verification(endpoint))


def verification(endpoint: Endpoint) -> ssl.SSLContext | bool:
    """Return what ``httpx`` wants; reading the certificate store costs 40 ms and is left out for http.

    Raise ``RequestError`` where the CA file is unusable.
    """
    if endpoint.address.scheme != "https" or endpoint.insecure:
        return False
    if endpoint.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=endpoint.ca_file)
    except (OSError, ssl.SSLError):
        raise RequestError("ca_file") from None


CLONE_NEWNET = 0x40000000
"""linux/sched.h"""


def socket_inside(namespace: str, family: socket.AddressFamily) -> socket.socket:
    """Return a new socket of a namespace (``/proc/PID/ns/net``); raise ``OSError`` where it is shut to us.

    A socket belongs to the namespace of the thread that makes it, so one is made by a thread that has entered
    it and ends; nothing else of this program ever leaves its own (man 2 setns: CAP_SYS_ADMIN is needed).
    """
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            enter(namespace)
            made.append(socket.socket(family, socket.SOCK_STREAM))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make, name="inside a container")
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    made[0].setblocking(False)
    return made[0]


def enter(namespace: str) -> None:
    """Move the calling thread into a namespace, for the rest of its life; raise ``OSError``."""
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns is of Python 3.12
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)


async def connected_inside(namespace: str, host: str, port: int) -> socket.socket:
    """Return a connection inside a namespace; raise ``OSError``."""
    end = socket_inside(namespace, socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        await asyncio.get_running_loop().sock_connect(end, (host, port))
    except BaseException:
        end.close()
        raise
    return end
