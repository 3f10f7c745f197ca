"""The line for a status bar in the form that each bar reads. What each wants is in docs/outlets.md."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping

import msgspec

from gpumon.app.insight.health import Level
from gpumon.app.outlets import Form
from gpumon.app.outlets.line import SEPARATOR, Part, Status, fitted

STREAM_HEADS: Mapping[Form, str] = {"i3bar": '{"version":1}\n[\n[],\n'}
"""What goes before the first line of a stream: of an endless array, for i3bar and swaybar."""

_GROUNDS: Mapping[Level, str] = {"bad": "fg=white,bg=red", "watch": "fg=black,bg=yellow"}
"""Of tmux: on a ground of their own words can be read on a bar of any colour, the green of old too."""
_HEX: Mapping[Level, str] = {"bad": "#ff5555", "watch": "#f1c40f"}
SHORT_CELLS = 20
"""The short text of a block, which i3bar shows where it has no room."""


def written(found: Status, form: Form, cells: int | None = None, *, in_stream: bool = False) -> str:
    """Return the line in at most ``cells``, colours and quotes not counted; no line end.

    ``in_stream`` says that others come before and after it.
    """
    line = _FORMS[form](found, fitted(found, cells))
    return f"[{line}]," if in_stream and form in STREAM_HEADS else line


def text_of(parts: tuple[Part, ...]) -> str:
    """Return the parts as plain text."""
    return SEPARATOR.join(part.ways[0] for part in parts)


def _plain(_found: Status, parts: tuple[Part, ...]) -> str:
    return text_of(parts)


def _tmux(_found: Status, parts: tuple[Part, ...]) -> str:
    """Colour the words alone: after them the default is that of the bar, whatever it is."""
    return _painted(parts, _GROUNDS, "#[{}]", "#[fg=default,bg=default]")


def _polybar(_found: Status, parts: tuple[Part, ...]) -> str:
    return _painted(parts, _HEX, "%{{F{}}}", "%{F-}")


def _painted(parts: tuple[Part, ...], colours: Mapping[Level, str], begin: str, end: str) -> str:
    return SEPARATOR.join(
        f"{begin.format(colours[part.level])}{part.ways[0]}{end}" if part.level in colours else part.ways[0]
        for part in parts
    )


def _waybar(found: Status, parts: tuple[Part, ...]) -> str:
    """Return the object that waybar reads with ``return-type: json``; text and tooltip are markup there."""
    document: dict[str, object] = {
        "text": html.escape(text_of(parts), quote=False),
        "alt": found.level,
        "tooltip": html.escape("\n".join(found.lines), quote=False),
        "class": found.level,
    }
    if found.vram_percent is not None:
        document["percentage"] = found.vram_percent
    return _json(document)


def _i3bar(found: Status, parts: tuple[Part, ...]) -> str:
    """Return a block of the protocol that i3bar and swaybar read."""
    short = text_of(fitted(found, SHORT_CELLS))
    document: dict[str, object] = {
        "name": "gpumon",
        "full_text": text_of(parts),
        "short_text": short,
        "markup": "none",
        "urgent": False,
    }
    if found.level in _HEX:
        document["color"] = _HEX[found.level]
    return _json(document)


def _document(found: Status, parts: tuple[Part, ...]) -> str:
    return _json(
        {
            "text": text_of(parts),
            "level": found.level,
            "sentence": found.sentence,
            "complete": found.is_complete,
            "models": found.models,
            "spill_percent": found.spill_percent,
            "decode_tokens_per_second": found.decode_tokens_per_second,
            "vram_used_bytes": found.vram_used_bytes,
            "vram_total_bytes": found.vram_total_bytes,
        }
    )


def _json(document: object) -> str:
    return msgspec.json.encode(document).decode()


_FORMS: Mapping[Form, Callable[[Status, tuple[Part, ...]], str]] = {
    "plain": _plain,
    "tmux": _tmux,
    "starship": _plain,
    "polybar": _polybar,
    "waybar": _waybar,
    "i3bar": _i3bar,
    "json": _document,
}
