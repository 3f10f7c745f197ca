"""A network namespace as a container has: what is opened and started in there is not on our loopback."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Callable
from typing import TypeVar

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
SIOCSIFADDR = 0x8916
IFF_UP = 1
_T = TypeVar("_T")


def run_inside(work: Callable[[], _T], address: str | None = None) -> _T:
    """Return what ``work`` does in a thread in a new namespace; raise ``OSError`` where none can be.

    The namespace has the address ``address`` of its own, beside that of its loopback.
    """
    done: list[_T] = []
    failed: list[OSError] = []

    def enter() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET) != 0:
            failed.append(OSError(ctypes.get_errno(), "no namespace"))
            return
        with socket.socket() as control:
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
            if address is not None:
                own = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(address))
                fcntl.ioctl(control, SIOCSIFADDR, own)
        done.append(work())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def can_be_made() -> bool:
    """Return whether this user may make one."""
    try:
        return os.geteuid() == 0 and run_inside(lambda: True)
    except OSError:
        return False
