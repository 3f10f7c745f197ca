"""The head word of what is wrong, as every surface writes it: ``SPILLED``."""

from __future__ import annotations

SPILLED, IN_PART = "SPILLED", "IN PART"
HEADS = {
    "will_spill": "LOADING",
    "spill": SPILLED,
    "spilled": SPILLED,
    "hidden_spill": SPILLED,
    "likely_spill": SPILLED,
    "silent_fallback": "NOT ON GPU",
    "no_gpu_found": "NOT ON GPU",
    "lost_gpu": "LOST GPU",
    "crowded": "CROWDED",
    "read_from_disk": "FROM DISK",
    "stuck": "STUCK",
    "ended": "ENDED",
    "process_ended": "ENDED",
    "unlisted": "UNLISTED",
    "restarted": "RESTARTED",
    "vram_full": "FULL",
    "throttling": "THROTTLED",
    "throttled": "THROTTLED",
    "too_hot": "HOT",
    "gpu_lost": "LOST",
    "pcie_link": "SLOW LINK",
    "link_degraded": "SLOW LINK",
    "xid": "GPU ERROR",
    "ecc": "ECC ERRORS",
    "ram_low": "RAM LOW",
    "swapping": "SWAPPING",
    "source": "SILENT",
    "load_failed": "LOAD FAILED",
    "slower": "SLOWER",
    "below_baseline": "SLOWER",
    "cache_full": "CACHE FULL",
    "thrash": "THRASHING",
    "thrashing": "THRASHING",
    "evicted": "EVICTED",
    "long_context": "LONG CONTEXT",
    "parallel_requests": "SHARED",
    "loaded_in_part": IN_PART,
    "streams_weights": IN_PART,
    "prompt_reread": "READS AGAIN",
    "waiting": "WAITING",
    "context_full": "CONTEXT FULL",
}
"""The head word of each kind of alert and verdict."""
OTHER_HEADS = {"bad": "BAD", "watch": "WATCH"}
"""Of kinds that come with later versions of either."""

IN_RAM_HEADS = frozenset({SPILLED, "NOT ON GPU"})
"""What amounts to a share in RAM."""
