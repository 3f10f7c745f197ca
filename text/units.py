"""Quantities as a person reads them. Everything takes base units; ``None`` is written as a dash."""

from __future__ import annotations

import math
import time

KIB = 1024
MIB = 1024**2
GIB = 1024**3

UNKNOWN = "-"


def gib(size_bytes: float | None) -> str:
    """Write bytes as GiB with one decimal and no unit: ``11.3``; a trace is not nothing: ``<0.1``."""
    if size_bytes is None:
        return UNKNOWN
    return "<0.1" if 0 < size_bytes < 0.05 * GIB else f"{size_bytes / GIB:.1f}"


def size(size_bytes: float | None) -> str:
    """Write bytes with the largest fitting unit: ``11.3 GiB``, ``640 MiB``, ``12 KiB``."""
    if size_bytes is None:
        return UNKNOWN
    if abs(size_bytes) >= 0.95 * GIB:
        return f"{size_bytes / GIB:.1f} GiB"
    if abs(size_bytes) >= MIB:
        return f"{size_bytes / MIB:.0f} MiB"
    return f"{size_bytes / KIB:.0f} KiB"


def byte_rate(bytes_per_second: float | None) -> str:
    """Write a rate of bytes: ``1.2 GiB/s``."""
    return UNKNOWN if bytes_per_second is None else f"{size(bytes_per_second)}/s"


def percent(value: float | None) -> str:
    """Write a percentage (0 to 100) without decimals: ``42%``."""
    return UNKNOWN if value is None else f"{value:.0f}%"


def watts(value: float | None) -> str:
    """Write watts without decimals: ``310 W``."""
    return UNKNOWN if value is None else f"{value:.0f} W"


def celsius(value: float | None) -> str:
    """Write degrees: ``71°C``."""
    return UNKNOWN if value is None else f"{value:.0f}°C"


def rate(tokens_per_second: float | None) -> str:
    """Write a token rate: two significant digits below 10, else none: ``4.8 tok/s``, ``41 tok/s``."""
    if tokens_per_second is None:
        return UNKNOWN
    digits = 1 if tokens_per_second < 9.95 else 0
    return f"{tokens_per_second:.{digits}f} tok/s"


def step_rate(seconds_per_step: float | None) -> str:
    """Write how fast steps of a picture go, as is usual: ``2.1 it/s``, below one a second ``1.4 s/it``."""
    if seconds_per_step is None or seconds_per_step <= 0:
        return UNKNOWN
    is_slow = seconds_per_step > 1
    value = seconds_per_step if is_slow else 1 / seconds_per_step
    return f"{value:.{1 if value < 9.95 else 0}f} {'s/it' if is_slow else 'it/s'}"


def tokens(count: int | None) -> str:
    """Write a token count as people name contexts: ``4096`` as ``4k``, ``131072`` as ``128k``."""
    if count is None:
        return UNKNOWN
    if count >= 1024:
        thousands = count / 1024
        return f"{thousands:.0f}k" if thousands >= 10 or thousands == int(thousands) else f"{thousands:.1f}k"
    return str(count)


def countdown(seconds: float) -> str:
    """Write what is left in minutes begun, the last two in seconds: a row is to change seldom."""
    if seconds < 120:
        return duration(seconds)
    minutes = math.ceil(seconds / 60)
    return f"{minutes}m" if minutes < 60 else duration(60 * minutes)


def duration(seconds: float | None) -> str:
    """Write a duration in at most two units: ``8s``, ``4m 12s``, ``2h 05m``, ``3d 04h``."""
    if seconds is None:
        return UNKNOWN
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600:02d}h"


def ago(seconds: float) -> str:
    """Write how long ago something was in one unit, so that it changes seldom: ``2 min ago``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


TO_THE_SECOND = "%H:%M:%S"
TO_THE_MINUTE = "%H:%M"


def clock(at: float, form: str = TO_THE_SECOND) -> str:
    """Write a Unix time as local clock time; one that no calendar has is unknown."""
    try:
        return time.strftime(form, time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return UNKNOWN
