"""Connections inside another network namespace: that of a container, whose loopback is not ours.

A socket belongs to the namespace of the thread that makes it, so one is made by a thread that has entered it
and ends; nothing else of this program ever leaves its own (man 2 setns: CAP_SYS_ADMIN is needed).
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import threading

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


async def connected_inside(namespace: str, host: str, port: int) -> socket.socket:
    """Return a connection inside a namespace; raise ``OSError``."""
    end = socket_inside(namespace, socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        await asyncio.get_running_loop().sock_connect(end, (host, port))
    except BaseException:
        end.close()
        raise
    return end
