"""What a terminal makes of text with colours in it (ECMA-48, 8.3.117: SGR)."""

from __future__ import annotations

import re

SEQUENCE = re.compile(r"\x1b\[([0-9;:]*)m")


Cell = tuple[str, frozenset[str], str | None, str | None]


def cells(written: str) -> list[Cell]:
    """Return each character with the attributes and colours that a terminal gives it."""
    found: list[Cell] = []
    attributes: set[str] = set()
    foreground: str | None = None
    background: str | None = None
    at = 0
    while at < len(written):
        match = SEQUENCE.match(written, at)
        if match is None:
            found.append((written[at], frozenset(attributes), foreground, background))
            at += 1
            continue
        codes = match[1].replace(":", ";").split(";")
        while codes:
            code = codes.pop(0)
            if code in {"", "0"}:
                attributes, foreground, background = set(), None, None
            elif code in {"38", "48"}:
                colour, codes = ";".join(codes[:4]), codes[4:]
                foreground, background = (colour, background) if code == "38" else (foreground, colour)
            elif code.startswith(("3", "9")) and len(code) == 2:
                foreground = None if code == "39" else code
            elif code.startswith("4") and len(code) == 2:
                background = None if code == "49" else str(int(code) - 10)
            else:
                attributes.add(code)
        at = match.end()
    return found


def looks(written: str) -> list[Cell]:
    """Return the cells as they are seen: of a blank no colour."""
    return [
        (" ", frozenset(), None, background)
        if character == " "
        else (character, attributes, colour, background)
        for character, attributes, colour, background in cells(written)
    ]
