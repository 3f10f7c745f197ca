"""Names from outside made harmless: control characters and escapes are shown, never obeyed."""

from __future__ import annotations

import unicodedata

_HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(name: str, limit: int = 200) -> str:
    r"""Return ``name`` with every control, format (bidi, zero-width) and unassigned character shown.

    Controls become their Unicode pictures (``\x1b`` is ``␛``), the others ``\u{hex}``; a name longer than
    ``limit`` characters ends in an ellipsis.
    """
    cut = name if len(name) <= limit else name[: limit - 1] + "…"
    return cut if cut.isascii() and cut.isprintable() else "".join(map(_shown, cut))


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in _HIDDEN_CATEGORIES:
        return f"\\u{{{code:x}}}"
    return character
