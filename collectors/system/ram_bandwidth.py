"""A short measurement of how fast all cores together read RAM. Only ever made when the user asks for it."""

from __future__ import annotations

import ctypes
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil

MIB = 1024**2
ROUNDS = 3
ROUND_SECONDS = 0.6
MOST_THREADS = 64
LEAST_TOTAL_BYTES = 256 * MIB
MOST_TOTAL_BYTES = 1024 * MIB
"""Well above the last-level caches of workstations, so that RAM is read and no cache."""
_SHARE_OF_FREE_RAM = 0.25
_FILL = 1
_SOUGHT = 0
"""A byte that is nowhere in the buffers: ``memchr`` has to read them to the end."""


class CannotMeasureError(Exception):
    """The measurement cannot be made; its text is one line."""


def measure_ram_bandwidth() -> float:
    """Return bytes per second that this machine's cores read from RAM together, the best of three rounds.

    Every thread scans a buffer of its own with the C library's ``memchr``, during which Python's lock is
    released. Takes about three seconds.

    Raises ``CannotMeasureError``.
    """
    threads = thread_count()
    buffers = _buffers(threads, _total_bytes(psutil.virtual_memory().available))
    with ThreadPoolExecutor(threads) as pool:
        return max(_round(pool, buffers) for _ in range(ROUNDS))


def thread_count() -> int:
    """Return one thread per physical core that this process may use: more do not read faster."""
    allowed = len(psutil.Process().cpu_affinity())
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed, MOST_THREADS))


def _total_bytes(available_bytes: int) -> int:
    total = min(MOST_TOTAL_BYTES, int(available_bytes * _SHARE_OF_FREE_RAM))
    if total < LEAST_TOTAL_BYTES:
        raise CannotMeasureError("too little free RAM to measure with: 1 GiB is needed")
    return total


def _buffers(count: int, total_bytes: int) -> list[ctypes.Array[ctypes.c_char]]:
    """Return buffers whose every page is real: pages that were never written are one page of zeros."""
    size = total_bytes // count
    buffers = [ctypes.create_string_buffer(size) for _ in range(count)]
    for buffer in buffers:
        ctypes.memset(buffer, _FILL, size)
    return buffers


def _round(pool: ThreadPoolExecutor, buffers: list[ctypes.Array[ctypes.c_char]]) -> float:
    start = threading.Barrier(len(buffers))
    return sum(pool.map(lambda buffer: _scan(buffer, start), buffers))


def _scan(buffer: ctypes.Array[ctypes.c_char], start: threading.Barrier) -> float:
    """Return bytes per second at which one thread reads its buffer, over and over."""
    memchr = ctypes.CDLL(None).memchr
    memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    memchr.restype = ctypes.c_void_p
    start.wait()
    begun, passes = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begun) < ROUND_SECONDS:
        memchr(buffer, _SOUGHT, len(buffer))
        passes += 1
    return passes * len(buffer) / elapsed
