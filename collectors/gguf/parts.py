"""The files that a model is split into: ``name-00001-of-00003.gguf`` (llama.cpp: gguf-split)."""

from __future__ import annotations

import re
from pathlib import Path

from gpumon.collectors.gguf.errors import GgufError

MAX_PARTS = 1000

_PART = re.compile(r"(.*)-[0-9]{5}-of-([0-9]{5})\.gguf", re.DOTALL)


def parts_of(path: Path) -> list[Path]:
    """Return every file of the model that ``path`` is, or is a part of; raise ``GgufError``."""
    found = _PART.fullmatch(path.name)
    if found is None:
        return [path]
    count = int(found[2])
    if not 0 < count <= MAX_PARTS:
        raise GgufError(f"says that it is one of {count} parts")
    return [path.with_name(f"{found[1]}-{part:05}-of-{count:05}.gguf") for part in range(1, count + 1)]
