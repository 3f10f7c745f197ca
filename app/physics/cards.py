"""Well-known cards by name, for hardware you do not have: memory and bandwidth of the data sheets."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

from gpumon.app.physics.hardware import Card, CardClass
from gpumon.text.units import GIB, MIB

_USABLE_SHARE = 0.97
"""What CUDA can hand out on an idle card (a 16 GB card: 15,840 of 16,384 MiB; 24 GB: 23.6 GiB)."""


class KnownCard(NamedTuple):
    """One line of a data sheet."""

    name: str
    vram_gib: int
    gigabytes_per_second: float
    card_class: CardClass
    driver_mib: int | None = None
    """What the driver reports where that is less than the name says: error correction, on by default on
    these cards, takes a sixteenth of GDDR memory (``nvidia-smi`` on several public machines each)."""


class UnknownCardError(Exception):
    """No card, or more than one, goes by a name; its text is one line."""


_GDDR6: CardClass = "nvidia_gddr6"
_GDDR7: CardClass = "nvidia_gddr7"
_HBM: CardClass = "nvidia_hbm"
_HOPPER: CardClass = "nvidia_hopper"
_PASCAL: CardClass = "nvidia_pascal"

KNOWN_CARDS: tuple[KnownCard, ...] = (
    KnownCard("GTX 1050 Ti", 4, 112, _PASCAL),
    KnownCard("GTX 1060", 6, 192, _PASCAL),
    KnownCard("GTX 1070", 8, 256, _PASCAL),
    KnownCard("GTX 1070 Ti", 8, 256, _PASCAL),
    KnownCard("GTX 1080", 8, 320, _PASCAL),
    KnownCard("GTX 1080 Ti", 11, 484, _PASCAL),
    KnownCard("Tesla P4", 8, 192, _PASCAL, driver_mib=7611),
    KnownCard("Tesla P40", 24, 347, "nvidia_p40", driver_mib=22919),
    KnownCard("Tesla P100", 16, 732, "nvidia_p100"),
    KnownCard("GTX 1650", 4, 128, _GDDR6),
    KnownCard("GTX 1660", 6, 192, _GDDR6),
    KnownCard("GTX 1660 Super", 6, 336, _GDDR6),
    KnownCard("GTX 1660 Ti", 6, 288, _GDDR6),
    KnownCard("RTX 2060", 6, 336, _GDDR6),
    KnownCard("RTX 2060", 12, 336, _GDDR6),
    KnownCard("RTX 2060 Super", 8, 448, _GDDR6),
    KnownCard("RTX 2070", 8, 448, _GDDR6),
    KnownCard("RTX 2070 Super", 8, 448, _GDDR6),
    KnownCard("RTX 2080", 8, 448, _GDDR6),
    KnownCard("RTX 2080 Super", 8, 496, _GDDR6),
    KnownCard("RTX 2080 Ti", 11, 616, _GDDR6),
    KnownCard("Titan RTX", 24, 672, _GDDR6),
    KnownCard("Tesla T4", 16, 320, _GDDR6, driver_mib=15360),
    KnownCard("RTX 3050", 8, 224, _GDDR6),
    KnownCard("RTX 3060", 12, 360, _GDDR6),
    KnownCard("RTX 3060 Ti", 8, 448, _GDDR6),
    KnownCard("RTX 3070", 8, 448, _GDDR6),
    KnownCard("RTX 3070 Ti", 8, 608, _GDDR6),
    KnownCard("RTX 3080", 10, 760, _GDDR6),
    KnownCard("RTX 3080", 12, 912, _GDDR6),
    KnownCard("RTX 3080 Ti", 12, 912, _GDDR6),
    KnownCard("RTX 3090", 24, 936, _GDDR6),
    KnownCard("RTX 3090 Ti", 24, 1008, _GDDR6),
    KnownCard("RTX A2000", 12, 288, _GDDR6),
    KnownCard("RTX A4000", 16, 448, _GDDR6),
    KnownCard("RTX A5000", 24, 768, _GDDR6),
    KnownCard("RTX A6000", 48, 768, _GDDR6),
    KnownCard("A10", 24, 600, _GDDR6, driver_mib=23028),
    KnownCard("A10G", 24, 600, _GDDR6, driver_mib=23028),
    KnownCard("A2", 16, 200, _GDDR6, driver_mib=15356),
    KnownCard("A16", 16, 200, _GDDR6, driver_mib=15356),  # one of its four GPUs
    KnownCard("A40", 48, 696, _GDDR6, driver_mib=46068),
    KnownCard("RTX 4060", 8, 272, _GDDR6),
    KnownCard("RTX 4060 Ti", 8, 288, _GDDR6),
    KnownCard("RTX 4060 Ti", 16, 288, _GDDR6),
    KnownCard("RTX 4070", 12, 504, _GDDR6),
    KnownCard("RTX 4070 Super", 12, 504, _GDDR6),
    KnownCard("RTX 4070 Ti", 12, 504, _GDDR6),
    KnownCard("RTX 4070 Ti Super", 16, 672, _GDDR6),
    KnownCard("RTX 4080", 16, 717, _GDDR6),
    KnownCard("RTX 4080 Super", 16, 736, _GDDR6),
    KnownCard("RTX 4090", 24, 1008, _GDDR6),
    KnownCard("RTX 2000 Ada", 16, 224, _GDDR6),
    KnownCard("RTX 4000 Ada", 20, 360, _GDDR6),
    KnownCard("RTX 4500 Ada", 24, 432, _GDDR6),
    KnownCard("RTX 5000 Ada", 32, 576, _GDDR6),
    KnownCard("RTX 6000 Ada", 48, 960, _GDDR6),
    KnownCard("L4", 24, 300, _GDDR6, driver_mib=23034),
    KnownCard("L20", 48, 864, _GDDR6, driver_mib=46068),
    KnownCard("L40", 48, 864, _GDDR6, driver_mib=46068),
    KnownCard("L40S", 48, 864, _GDDR6, driver_mib=46068),
    KnownCard("RTX 5050", 8, 320, _GDDR6),
    KnownCard("RTX 5060", 8, 448, _GDDR7),
    KnownCard("RTX 5060 Ti", 8, 448, _GDDR7),
    KnownCard("RTX 5060 Ti", 16, 448, _GDDR7),
    KnownCard("RTX 5070", 12, 672, _GDDR7),
    KnownCard("RTX 5070 Ti", 16, 896, _GDDR7),
    KnownCard("RTX 5080", 16, 960, _GDDR7),
    KnownCard("RTX 5090", 32, 1792, _GDDR7),
    KnownCard("RTX PRO 4000 Blackwell", 24, 672, _GDDR7),
    KnownCard("RTX PRO 4500 Blackwell", 32, 896, _GDDR7),
    KnownCard("RTX PRO 5000 Blackwell", 48, 1344, _GDDR7),
    KnownCard("RTX PRO 6000 Blackwell", 96, 1792, _GDDR7),
    KnownCard("RTX 3050 Laptop", 4, 192, _GDDR6),
    KnownCard("RTX 3060 Laptop", 6, 336, _GDDR6),
    KnownCard("RTX 3070 Laptop", 8, 448, _GDDR6),
    KnownCard("RTX 3080 Laptop", 8, 448, _GDDR6),
    KnownCard("RTX 3080 Laptop", 16, 448, _GDDR6),
    KnownCard("RTX 3080 Ti Laptop", 16, 512, _GDDR6),
    KnownCard("RTX 4050 Laptop", 6, 192, _GDDR6),
    KnownCard("RTX 4060 Laptop", 8, 256, _GDDR6),
    KnownCard("RTX 4070 Laptop", 8, 256, _GDDR6),
    KnownCard("RTX 4080 Laptop", 12, 432, _GDDR6),
    KnownCard("RTX 4090 Laptop", 16, 576, _GDDR6),
    KnownCard("RTX 5050 Laptop", 8, 384, _GDDR7),
    KnownCard("RTX 5060 Laptop", 8, 384, _GDDR7),
    KnownCard("RTX 5070 Laptop", 8, 384, _GDDR7),
    KnownCard("RTX 5070 Ti Laptop", 12, 672, _GDDR7),
    KnownCard("RTX 5080 Laptop", 16, 896, _GDDR7),
    KnownCard("RTX 5090 Laptop", 24, 896, _GDDR7),
    KnownCard("V100", 16, 897, _HBM),
    KnownCard("V100", 32, 897, _HBM),
    KnownCard("A30", 24, 933, _HBM),
    KnownCard("A100", 40, 1555, _HBM),
    KnownCard("A100", 80, 2039, _HBM),
    KnownCard("H100 PCIe", 80, 2039, _HOPPER),
    KnownCard("H100", 80, 3352, _HOPPER),
    KnownCard("GH200", 96, 4023, _HOPPER),
    KnownCard("H200", 141, 4800, _HOPPER),
    KnownCard("B200", 180, 8000, _HOPPER),
    KnownCard("GB10", 128, 273, "nvidia_soc"),
    KnownCard("Jetson AGX Orin", 64, 205, "nvidia_soc"),
    KnownCard("RX 6700 XT", 12, 384, "amd"),
    KnownCard("RX 6800 XT", 16, 512, "amd"),
    KnownCard("RX 6900 XT", 16, 512, "amd"),
    KnownCard("RX 7800 XT", 16, 624, "amd"),
    KnownCard("RX 7900 XT", 20, 800, "amd"),
    KnownCard("RX 7900 XTX", 24, 960, "amd"),
    KnownCard("RX 9060 XT", 16, 320, "amd"),
    KnownCard("RX 9070", 16, 640, "amd"),
    KnownCard("RX 9070 XT", 16, 640, "amd"),
    KnownCard("W7900", 48, 864, "amd"),
    KnownCard("Ryzen AI Max+ 395", 96, 256, "apu"),
)

_NOISE = re.compile(
    r"nvidia|geforce|amd|radeon|rtx|gtx|rx|tesla|gpu|graphics|generation|blackwell|sxm|edition"
)
_WORD = re.compile(r"[a-z]+|\d+")
_MEMORY = re.compile(r"\b(\d+)\s*g(?:i?b)?\b", re.IGNORECASE)
_OTHER_WORDS = (
    (re.compile(r"\bsxm\d\b"), ""),
    (re.compile(r"\bmobile\b|\bmax-?q\b"), "laptop"),
    (re.compile(r"\b(?:dgx )?spark\b"), "gb10"),
    (re.compile(r"\bstrix halo\b"), "ryzen ai max+ 395"),
)
"""What people write for a word of the data sheet."""


def named_card(name: str) -> Card:
    """Return the card that goes by a name, idle: "4090", "rtx 4090", "RTX 5060 Ti 16GB".

    Raises ``UnknownCardError``: there is none, or there are several and the name does not say which.
    """
    found = _cards_named(name)
    if not found:
        raise UnknownCardError(f"no card named {name!r} is known{_suggestion(name)}")
    if len(found) > 1:
        choices = " or ".join(f'"{card.name} {card.vram_gib}GB"' for card in found)
        raise UnknownCardError(f"which one: {choices}")
    return _as_card(found[0])


def _cards_named(name: str) -> list[KnownCard]:
    name = name.lower()
    for written, meant in _OTHER_WORDS:
        name = written.sub(meant, name)
    memory = _MEMORY.search(name)
    key = card_key(_MEMORY.sub(" ", name))
    same = [card for card in KNOWN_CARDS if card_key(card.name) == key]
    if memory is None:
        return same
    return [card for card in same if card.vram_gib == int(memory[1])]


def card_key(name: str) -> str:
    """Return the words that tell cards apart, run together."""
    return "".join(word for word in _WORD.findall(name.lower()) if not _NOISE.fullmatch(word))


def _suggestion(name: str) -> str:
    by_key = {card_key(card.name): f"{card.name} {card.vram_gib}GB" for card in KNOWN_CARDS}
    close = difflib.get_close_matches(card_key(_MEMORY.sub(" ", name)), by_key, n=3, cutoff=0.6)
    names = ", ".join(by_key[key] for key in close)
    return f"; did you mean {names}?" if names else "; say how much memory it has with --vram"


def _as_card(known: KnownCard) -> Card:
    total = known.vram_gib * GIB if known.driver_mib is None else known.driver_mib * MIB
    bandwidth = known.gigabytes_per_second * 1e9
    return Card(known.name, total, round(total * _USABLE_SHARE), bandwidth, known.card_class)
