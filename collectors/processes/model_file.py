"""How large the file is that a runner loads."""

from __future__ import annotations

import re
from pathlib import Path

_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf\Z", re.ASCII)
"""One of several files that make up a model (llama.cpp: tools/gguf-split)."""


def model_file_bytes(model_path: str | None, root: Path = Path("/")) -> int | None:
    """Return the size of the weights' file below ``root``; ``None`` where it cannot be seen, or is a part."""
    if model_path is None or not model_path.startswith("/") or _PART.search(model_path):
        return None
    try:
        return Path(f"{root}/{model_path}").stat().st_size or None
    except (OSError, ValueError):
        return None
