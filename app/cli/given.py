"""What was given as flags, as settings; apart from the parser, which a start without a flag does without."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from argparse import Namespace
    from types import SimpleNamespace

    from gpumon.app.config.entries import Entries
    from gpumon.app.config.keys import KeyPath

    Options: TypeAlias = Namespace | SimpleNamespace

_KEYS: dict[str, KeyPath] = {
    "interval": ("interval_seconds",),
    "ca_file": ("ca_file",),
    "insecure": ("insecure",),
    "theme": ("theme",),
    "glyphs": ("glyphs",),
    "mouse": ("mouse",),
    "bell": ("bell",),
}
_SPELLINGS = {"glyphs": "--ascii or --unicode"}


def flag_entries(options: Options) -> Entries:
    """Return the settings that were given as flags.

    Raises:
        ConfigError: a header is not written as one.
    """
    from gpumon.app.config.entries import Entry
    from gpumon.app.config.headers import header_entries

    given = vars(options)
    entries: Entries = {
        key: Entry(given[name], flag_name(name), is_text=isinstance(given[name], str))
        for name, key in _KEYS.items()
        if name in given
    }
    if "url" in given:
        entries["urls",] = Entry(given["url"], "--url")
    return entries | header_entries(given.get("header", ()), "--header")


def flag_name(name: str) -> str:
    """Return how the flag behind an attribute is spelled."""
    return _SPELLINGS.get(name, f"--{name.replace('_', '-')}")
