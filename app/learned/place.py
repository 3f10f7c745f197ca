"""Where what was learned is kept."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def learned_path() -> Path:
    """Return ``gpumon/learned.json`` in the platform's directory for state."""
    return platformdirs.user_state_path("gpumon", appauthor=False) / "learned.json"
