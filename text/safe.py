"""Names from outside made harmless: control characters and escapes are shown, not obeyed; fewer words."""

from __future__ import annotations

import re
import unicodedata

_HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


_SURROGATES = re.compile("[\ud800-\udfff]+")


def visible(name: str, limit: int = 200) -> str:
    r"""Return ``name`` with every control, format (bidi, zero-width) and unassigned character shown.

    Controls become their Unicode pictures (``\x1b`` is ``␛``), the others ``\u{hex}``; a name longer than
    ``limit`` characters ends in an ellipsis.
    """
    cut = name if len(name) <= limit else name[: limit - 1] + "…"
    return cut if cut.isascii() and cut.isprintable() else "".join(map(_shown, cut))


def printable(text: str) -> str:
    """Return ``text`` of any number of lines with every character shown that ``visible`` shows."""
    return "\n".join(
        line if line.isascii() and line.isprintable() else "".join(map(_shown, line))
        for line in text.split("\n")
    )


def escaped_json(text: str, encoding: str = "utf-8") -> str:
    r"""Return JSON with those characters escaped that ``visible`` shows, or that ``encoding`` lacks.

    Both stand in strings alone (but for line ends), so the document says the same: ``\u009b``.
    """
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(_escaped(one) if _needs_escape(one, encoding) else one for one in text)


def well_formed(value: object) -> object:
    """Return lists, dictionaries and strings with a replacement mark for what is half a character.

    The kernel cuts names of processes in mid-character, and JSON may hold one surrogate alone.
    """
    if isinstance(value, str):
        return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {well_formed(key): well_formed(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [well_formed(one) for one in value]
    return value


def _needs_escape(character: str, encoding: str) -> bool:
    if character.isascii():
        return character == "\x7f"
    if unicodedata.category(character) in _HIDDEN_CATEGORIES:
        return True
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return True
    return False


def _escaped(character: str) -> str:
    """Write a character as JSON does, one beyond the first plane as a pair (RFC 8259, section 7)."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in _HIDDEN_CATEGORIES:
        return f"\\u{{{code:x}}}"
    return character


def short_gpu_name(name: str) -> str:
    """Leave out the words that every card of the maker bears: ``RTX 4090``."""
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ")
