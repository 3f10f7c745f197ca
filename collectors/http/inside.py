"""Connections inside another network namespace: that of a container, whose loopback is not ours.

A socket belongs to the namespace of the thread that makes it, so one is made by a thread that has entered it
and ends; nothing else of this program ever leaves its own (man 2 setns: CAP_SYS_ADMIN is needed).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import select
import socket
import threading
from collections.abc import Iterable
from typing import Any

import httpcore

CLONE_NEWNET = 0x40000000
"""linux/sched.h"""


def socket_inside(namespace: str, family: socket.AddressFamily) -> socket.socket:
    """Return a new socket of a namespace (``/proc/PID/ns/net``); raise ``OSError`` where it is shut to us."""
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


class Inside(httpcore.AsyncNetworkBackend):
    """Connects inside a namespace."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of httpcore
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection; raise what ``httpcore`` does."""
        del local_address, socket_options
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            end = socket_inside(self._namespace, family)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_connect(end, (host, port))
        except BaseException as error:
            end.close()
            if isinstance(error, TimeoutError):
                raise httpcore.ConnectTimeout(str(error)) from error
            if isinstance(error, OSError):
                raise httpcore.ConnectError(str(error)) from error
            raise
        return Stream(end)


class Stream(httpcore.AsyncNetworkStream):
    """One connection."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return what has come, nothing at the end."""
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.get_running_loop().sock_recv(self._end, max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send all of it."""
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_sendall(self._end, buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Close it."""
        self._end.close()

    def get_extra_info(self, info: str) -> object:
        """Return whether more has come than was asked for, or its end: ``httpcore`` then lets go of it."""
        if info != "is_readable":
            return None
        if self._end.fileno() < 0:
            return True
        waiting = select.poll()
        waiting.register(self._end, select.POLLIN)
        return bool(waiting.poll(0))
