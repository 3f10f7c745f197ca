"""What is known in other forms than a screen or a snapshot: a line for a status bar, a card to paste."""

from __future__ import annotations

from typing import Literal

Form = Literal["plain", "tmux", "starship", "polybar", "waybar", "i3bar", "json"]
"""What reads the line of ``gpumon status``."""
