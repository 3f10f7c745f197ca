"""From parsed flags to the settings in effect."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gpumon.app.cli.given import flag_entries
from gpumon.app.cli.terminal import resolved_glyphs

if TYPE_CHECKING:
    from gpumon.app.cli.given import Options
    from gpumon.app.config.load import Loaded
    from gpumon.app.config.settings import Settings


def load_settings(options: Options) -> Loaded:
    """Return the settings in effect, with their origins.

    Raises:
        ConfigError: something that was set cannot be used.
    """
    from gpumon.app.config.load import load

    return load(flag_entries(options), os.environ, getattr(options, "config", None))


def screen_settings(options: Options) -> Settings:
    """Return the settings in effect, with glyphs that this terminal can show.

    Raises:
        ConfigError: something that was set cannot be used.
    """
    from msgspec.structs import replace

    settings = load_settings(options).settings
    return replace(settings, glyphs=resolved_glyphs(settings.glyphs))
