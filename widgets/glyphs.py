"""The kit's sets of glyphs, with names from outside written as in the rest of the program."""

from __future__ import annotations

from msgspec.structs import replace

from gpumon.text.safe import visible
from gpumon.widgets.kit import lines

UNICODE = replace(lines.UNICODE, safe=visible)
ASCII = replace(lines.ASCII, safe=visible)
