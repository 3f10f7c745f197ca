"""Which model a name means, and in which quantisation: as ``ollama run`` and llama.cpp take names."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from typing import NamedTuple

from gpumon.app.physics.catalog.entries import Entry, catalog
from gpumon.app.physics.catalog.quants import MIXES

HUB_QUANT = "Q4_K_M"
"""What Ollama and llama.cpp take of a repository of the hub where no tag says otherwise."""
_NEAR_SHOWN = 4
_NEAR_LEAST = 0.72
_VARIANTS = frozenset(
    {"instruct", "it", "chat", "hf", "base", "text", "meta", "latest", "gguf", "ggml", "imatrix", "i1", "qat"}
    | {"thinking", "preview", "abliterated", "uncensored", "mlx", "awq", "gptq", "distill", "0528", "0414"}
    | {"v0.1", "v0.2", "v0.3", "v1.0", "v1.6", "1106", "2407", "2410", "2411", "2412", "2501", "2503"}
    | {"2505", "2506", "2512"}
)
"""Words of a name that change no shape."""
_PREFIX = re.compile(
    r"(?:https?://)?(?:(?:www\.)?(?:hf\.co|huggingface\.co|hf-mirror\.com|ollama\.com|registry\.ollama\.ai"
    r"|hub\.docker\.com)/)?"
)
_QUANT = re.compile(
    r"[-_.:](?:ud-)?((?:iq[1-4]|q[2-8]|tq[12])(?:_[a-z0-9]+)*|fp16|f16|bf16|f32|fp32|mxfp4(?:_moe)?)$"
)
_QUANTISER = re.compile(
    r"^(?:meta-llama|google|qwen|mistralai|microsoft|deepseek-ai|openai|zai-org|thudm|nvidia)_"
)
_SEPARATORS = re.compile(r"[-_:/\s]+")
_QUANT_ALIASES = {
    "FP16": "F16", "FP32": "F32", "HALF": "F16", "Q2": "Q2_K", "Q3": "Q3_K_M", "Q4": "Q4_K_M", "Q5": "Q5_K_M",
    "Q6": "Q6_K", "Q8": "Q8_0", "Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M", "Q6_K_XL": "Q6_K_L",
    "Q2_K_XL": "Q2_K_L", "Q4_K_XL": "Q4_K_L", "Q5_K_XL": "Q5_K_L", "INT8": "Q8_0", "INT4": "Q4_K_M",
}  # fmt: skip


class Found(NamedTuple):
    """A model of the catalogue, as it was asked for."""

    entry: Entry
    quant: str
    is_ollamas: bool
    """Whether it is the file of Ollama's library."""
    is_varied: bool = False
    """Whether files of that name differ in size: Unsloth's ``UD-Q4_K_XL``."""


def find(name: str, quant: str | None = None) -> Found | None:
    """Return the model of a name; ``quant`` is a known quantisation that comes before that of the name."""
    path, is_hub = _path_of(name)
    rest, named = _split_quant(path)
    key, by_name, by_hub = model_key(rest), _index(), _hub_index()
    entry = by_hub.get(key) or by_name.get(key) if is_hub else by_name.get(key) or by_hub.get(key)
    if entry is None:
        return None
    is_ollamas = entry.ollama and not is_hub
    asked = quant or quant_named(named or "")
    if named and asked is None:
        return None
    is_varied = quant is None and bool(re.search(r"[-:_]ud-", name, re.IGNORECASE))
    chosen = _kept(entry, asked) if asked else _default(entry, is_ollamas=is_ollamas)
    return Found(entry, chosen, is_ollamas, is_varied)


def _kept(entry: Entry, quant: str) -> str:
    """Return the quantisation; experts that were published in four bits stay so in files named F16."""
    return "MXFP4" if entry.quant == "MXFP4" and quant in {"F16", "BF16"} else quant


def _default(entry: Entry, *, is_ollamas: bool) -> str:
    if is_ollamas:
        return entry.quant
    return {"MXFP4": "MXFP4_MOE", "F16": "F16"}.get(entry.quant, HUB_QUANT)


def quant_named(text: str) -> str | None:
    """Return a quantisation as llama.cpp names it: ``q4`` is Q4_K_M; ``None`` for none that is known."""
    upper = text.strip().upper().replace("-", "_").removeprefix("UD_")
    upper = _QUANT_ALIASES.get(upper, upper)
    return upper if upper in MIXES else None


def model_key(name: str) -> str:
    """Return what tells models apart in a name: its words, run together, without those of no shape."""
    words = _SEPARATORS.split(_QUANTISER.sub("", name.lower()))
    return "".join(word for word in words if word and word not in _VARIANTS)


def near_models(name: str) -> tuple[str, ...]:
    """Return the names of the catalogue that a user may have meant."""
    key = model_key(_split_quant(_path_of(name)[0])[0])
    if len(key) < 2:
        return ()
    index = _hub_index() | _index()
    parts = [entry.name for other, entry in index.items() if key in other]
    alike = [index[one].name for one in difflib.get_close_matches(key, index, 3 * _NEAR_SHOWN, _NEAR_LEAST)]
    return tuple(dict.fromkeys(parts or alike))[:_NEAR_SHOWN]


def _path_of(name: str) -> tuple[str, bool]:
    """Return the name without host and owner, and whether it is one of the hub."""
    text = name.strip().lower()
    bare = _PREFIX.sub("", text, count=1)
    *owner, last = bare.split("/")
    is_library = owner in ([], ["library"])
    return last, bool(re.match(r"(?:https?://)?(?:hf\.|huggingface|hf-)", text)) or not is_library


def _split_quant(path: str) -> tuple[str, str | None]:
    """Return the name without its quantisation, and that."""
    found = _QUANT.search(path)
    if found is None:
        return path, None
    return path[: found.start()].removesuffix(":"), found[1]


@lru_cache(maxsize=1)
def _index() -> dict[str, Entry]:
    """Return the models by the key of each of Ollama's names; of two with the same the first counts."""
    index: dict[str, Entry] = {}
    for entry in catalog():
        for name in (entry.name, *entry.names):
            index.setdefault(model_key(name), entry)
    return index


@lru_cache(maxsize=1)
def _hub_index() -> dict[str, Entry]:
    """Return the same by the names of the hub: DeepSeek-R1 is another there."""
    index: dict[str, Entry] = {}
    for entry in catalog():
        index.setdefault(model_key(entry.hub.rpartition("/")[2]), entry)
    return index
