"""What is said of an alert that is over."""

from __future__ import annotations

from gpumon.app.alerts.alert import Alert, AlertKind

RECOVERED_WORDS: dict[AlertKind, str] = {
    "spill": "{} is wholly on GPU again",
    "likely_spill": "{} no longer seems to spill",
    "vram_full": "{} memory is no longer nearly full",
    "throttling": "{} is no longer slowed down",
    "too_hot": "{} has cooled down",
    "gpu_lost": "{} is back",
    "pcie_link": "{} PCIe link is at its maximum again",
    "ram_low": "RAM is no longer running out",
    "swapping": "no longer swapping",
    "source": "{} is well again",
    "slower": "{} is no longer slower than usual",
    "thrash": "{} is no longer loaded again and again",
}
"""What is well again, of each kind that tells so by itself; ``{}`` is the subject."""


def ended_words(alert: Alert) -> str:
    """Say how an alert ended: what is well again, or what it was about and why nothing more is to be said."""
    words = RECOVERED_WORDS.get(alert.kind) if alert.ended == "recovered" else None
    return f"{alert.ended}: {alert.message}" if words is None else words.replace("{}", alert.subject)
