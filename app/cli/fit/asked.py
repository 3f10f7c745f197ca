"""The flags of ``gpumon fit``, checked: one clear line for each value that cannot be used."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from msgspec import Struct

from gpumon.app.cli.fit.wishes import wishes_of
from gpumon.app.diagnosis.fit.wishes import NO_WISHES, Wishes
from gpumon.app.errors import GpumonError
from gpumon.app.physics.cards import UnknownCardError, named_card
from gpumon.app.physics.geometry import CacheType
from gpumon.app.physics.hardware import Card

MOST_TOKENS = 2**28
MOST_SLOTS = 1024
MOST_BYTES = 2**50

_UNITS = {
    "mib": 2**20, "gib": 2**30, "tib": 2**40, "mb": 10**6, "gb": 10**9, "tb": 10**12, "m": 2**20, "g": 2**30,
}  # fmt: skip
_QUANTITY = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
_DIGITS = re.compile(r"\d{1,12}", re.ASCII)
_TOKENS = re.compile(
    r"(\d{1,12}|\d{1,3}(?:[,_]\d{3}){1,3}|\d{1,6}(?:\.\d{1,3})?(?=[km]))([km]?)", re.IGNORECASE | re.ASCII
)
_SEVERAL = re.compile(r"([1-9]|1[0-6])\s*[x*\u00d7]\s*(\S.*)", re.IGNORECASE)
_AS_CARDS_ARE_SOLD = {"": "gib", "g": "gib", "gb": "gib"}
"""A card of 24 GB has 24 GiB."""


class Asked(Struct, frozen=True):
    """What the user wants to know; ``None`` where nothing was said."""

    model: str
    """Empty: all that are installed."""
    context_length: int | None = None
    cache_type: CacheType | None = None
    parallel: int | None = None
    cards: tuple[Card, ...] = ()
    """Hardware you do not have; empty: that of this machine."""
    ram_bandwidth_bytes_per_second: float | None = None
    wishes: Wishes = NO_WISHES
    quant: str | None = None
    """A quantisation, of a model that is not installed in it."""
    parameters: str | None = None
    """The size of a model that nobody has described: ``13b``, ``30b-a3b``."""
    shows_all: bool = False


def asked_of(options: Namespace) -> Asked:
    """Return the flags as values.

    Raises:
        GpumonError: one of them cannot be used.
    """
    if options.model is not None and not options.model.strip():
        raise GpumonError("MODEL is empty: name an installed model, or a .gguf file")
    return Asked(
        model=options.model or "",
        context_length=tokens(options.num_ctx, "--num-ctx", MOST_TOKENS),
        cache_type=cache_type(options.kv_cache_type),
        parallel=whole(options.parallel, "--parallel", MOST_SLOTS),
        cards=cards(options.gpu or [], options.vram or [], bandwidth(options.bandwidth, "--bandwidth")),
        ram_bandwidth_bytes_per_second=bandwidth(options.ram_bandwidth),
        wishes=wishes_of(options),
        parameters=_parameters(options.params),
        shows_all=options.all,
    )


def _parameters(text: str | None) -> str | None:
    if text is None:
        return None
    from gpumon.app.physics.catalog.shapes import size_named

    if size_named(text) is None:
        raise GpumonError(f'--params: "{text}" is no number of parameters; write it as 13b, or 30b-a3b')
    return text.strip().lower()


def quantisation(text: str | None) -> str | None:
    """Return a quantisation of a language model as llama.cpp names it."""
    if text is None:
        return None
    from gpumon.app.physics.catalog.names import quant_named
    from gpumon.app.physics.catalog.quants import MIXES

    found = quant_named(text)
    if found is None:
        raise GpumonError(f'--quant: "{text}" is none of {", ".join(MIXES)}')
    return found


def tokens(text: str | None, flag: str, most: int) -> int | None:
    """Return a number of tokens, also as people write it: ``8k`` is 8192, ``131,072``."""
    if text is None:
        return None
    match = _TOKENS.fullmatch(text.strip())
    scale = {"": 1, "k": 1024, "m": 1024**2}[match[2].lower()] if match else 0
    value = round(float(match[1].replace(",", "").replace("_", "")) * scale) if match else 0
    if not 1 <= value <= most:
        raise GpumonError(f'{flag}: "{text}" is no whole number from 1 to {most}')
    return value


def whole(text: str | None, flag: str, most: int) -> int | None:
    """Return a number from 1 to ``most``."""
    if text is None:
        return None
    if not _DIGITS.fullmatch(text) or not 1 <= int(text) <= most:
        raise GpumonError(f'{flag}: "{text}" is no whole number from 1 to {most}')
    return int(text)


def cache_type(text: str | None, flag: str = "--kv-cache-type") -> CacheType | None:
    """Return a type of the KV cache."""
    if text is None:
        return None
    known: tuple[CacheType, ...] = get_args(CacheType)
    found = next((kind for kind in known if kind == text.lower()), None)
    if found is None:
        raise GpumonError(f'{flag}: "{text}" is none of {", ".join(known)}')
    return found


def cards(names: list[str], sizes: list[str], rate: float | None = None) -> tuple[Card, ...]:
    """Return the cards that were described: by name, by memory, or by both, pair by pair.

    ``rate`` is the bandwidth of those without a name.
    """
    names = [name for text in names for name in _each(text)]
    if rate is not None and (names or not sizes):
        raise GpumonError("--bandwidth is that of a card without a name: say its memory with --vram")
    if names and sizes and len(names) != len(sizes):
        raise GpumonError("--gpu and --vram: give as many of the one as of the other, or only one kind")
    memory = [_size(size) for size in sizes]
    if not names:
        return tuple(
            Card(f"a GPU with {_said(size)} free", free, free, rate, "nvidia_gddr6")
            for size, free in zip(sizes, memory, strict=True)
        )
    named = [_named(name) for name in names]
    if not sizes:
        return tuple(named)
    return tuple(_with_free(card, free) for card, free in zip(named, memory, strict=True))


def _each(text: str) -> list[str]:
    """Return the names of ``2x3090``: twice the same."""
    found = _SEVERAL.fullmatch(text.strip())
    return [found[2]] * int(found[1]) if found else [text]


def _said(size: str) -> str:
    return f"{size.strip()}GiB" if size.strip()[-1:].isdigit() else size


def bandwidth(text: str | None, flag: str = "--ram-bandwidth") -> float | None:
    """Return bytes per second of "60GB/s"."""
    if text is None:
        return None
    value = _bytes(text.removesuffix("/s"))
    if not value:
        raise GpumonError(f'{flag}: "{text}" is no bandwidth; write it as 60GB/s')
    return value


def _named(name: str) -> Card:
    try:
        return named_card(name)
    except UnknownCardError as error:
        raise GpumonError(f"--gpu: {error}") from None


def _with_free(card: Card, free_bytes: int) -> Card:
    return Card(
        name=card.name,
        vram_total_bytes=max(card.vram_total_bytes, free_bytes),
        vram_free_bytes=free_bytes,
        bandwidth_bytes_per_second=card.bandwidth_bytes_per_second,
        card_class=card.card_class,
    )


def _size(text: str) -> int:
    value = _bytes(text, _AS_CARDS_ARE_SOLD)
    if not value:
        raise GpumonError(f'--vram: "{text}" is no size; write it as 12GiB')
    return round(value)


def _bytes(text: str, aliases: Mapping[str, str] = MappingProxyType({})) -> float | None:
    """Return a quantity of bytes with its unit; ``None`` for anything else, and for nothing or too much."""
    match = _QUANTITY.fullmatch(text.strip())
    named = match[2].lower() if match else ""
    unit = _UNITS.get(aliases.get(named, named))
    value = float(match[1]) * unit if match and unit else 0.0
    return value if 0 < value <= MOST_BYTES else None
