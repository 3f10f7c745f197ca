"""Image models by the names that people write, and what a name may mean that is not known."""

from __future__ import annotations

import difflib
import re

from gpumon.app.physics.pictures.models import MODELS, PictureModel

_SIGNS = (
    ("turbo", "sdxl-turbo", "xl"),
    ("light", "sdxl-lightning", "xl"),
    ("xl", "sdxl", ""),
    ("pony", "sdxl", ""),
    ("illustrious", "sdxl", ""),
    ("noob", "sdxl", ""),
    ("schnell", "flux.1-schnell", ""),
    ("flux.?2", "flux.2-dev", ""),
    ("flux", "flux.1-dev", ""),
    ("qwen.?image", "qwen-image", ""),
    ("z.?image", "z-image-turbo", ""),
    ("wan.?2.?2", "wan2.2-14b", ""),
    ("hidream", "hidream-i1", ""),
    ("hunyuan.?video", "hunyuan-video", ""),
    ("sd.?3.?5", "sd3.5-large", ""),
    ("sd.?3", "sd3-medium", ""),
    ("sd.?1", "sd1.5", ""),
)
"""Words in the name of a fine-tuned model that say what it is of: the word, the model, a second word."""
_NOISE = re.compile(r"[\s_]+")
_MOST_NEAR = 3
_LIKENESS = 0.72


def _plain(name: str) -> str:
    return _NOISE.sub("-", name.strip().casefold())


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


BY_NAME: dict[str, PictureModel] = {
    _letters(name): model for model in MODELS for name in (model.key, *model.names)
}


def picture_named(name: str) -> PictureModel | None:
    """Return the model of a name: "flux", "FLUX.1-schnell", "sd15", "black-forest-labs/FLUX.1-dev".

    A name with a tag is one of Ollama's.
    """
    plain = _plain(name)
    if ":" in plain or not plain.isascii():
        return None
    return BY_NAME.get(_letters(plain)) or BY_NAME.get(_letters(plain.rpartition("/")[2]))


def near_pictures(name: str) -> tuple[str, ...]:
    """Return the models that a user may mean: of a fine-tuned one the original, else those alike.

    Of a name with a tag none: it is one of Ollama's.
    """
    plain = _plain(name)
    if ":" in plain:
        return ()
    for word, key, second in _SIGNS:
        if re.search(word, plain) and second in plain:
            return (key,)
    alike = difflib.get_close_matches(_letters(plain), BY_NAME, _MOST_NEAR, _LIKENESS)
    return tuple(dict.fromkeys(BY_NAME[one].key for one in alike))
