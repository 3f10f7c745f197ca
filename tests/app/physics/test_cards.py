"""Cards by name, as people write them."""

from __future__ import annotations

import pytest

from gpumon.app.physics.cards import KNOWN_CARDS, KnownCard, UnknownCardError, named_card


@pytest.mark.parametrize(
    ("written", "meant", "gib"),
    [
        ("4090", "RTX 4090", 24),
        ("rtx4090", "RTX 4090", 24),
        ("NVIDIA GeForce RTX 3090", "RTX 3090", 24),
        ("RTX 5060 Ti 16GB", "RTX 5060 Ti", 16),
        ("5060ti 8 gib", "RTX 5060 Ti", 8),
        ("a100 80GB", "A100", 80),
        ("H100 SXM", "H100", 80),
        ("rtx pro 6000", "RTX PRO 6000 Blackwell", 96),
        ("RTX 6000 Ada Generation", "RTX 6000 Ada", 48),
        ("7900xtx", "RX 7900 XTX", 24),
        ("NVIDIA GeForce RTX 4070 Laptop GPU", "RTX 4070 Laptop", 8),
        ("4070", "RTX 4070", 12),
        ("A100-SXM4-80GB", "A100", 80),
        ("rtx 3090 24g", "RTX 3090", 24),
        ("4090 mobile", "RTX 4090 Laptop", 16),
        ("DGX Spark", "GB10", 128),
        ("strix halo", "Ryzen AI Max+ 395", 96),
    ],
)
def test_a_card_is_known_however_it_is_written(written: str, meant: str, gib: int) -> None:
    card = named_card(written)
    assert (card.name, card.vram_total_bytes) == (meant, gib * 1024**3)


def test_an_idle_card_has_less_free_than_its_name_says() -> None:
    card = named_card("4090")
    assert 0.95 < card.vram_free_bytes / card.vram_total_bytes < 1


@pytest.mark.parametrize(
    ("written", "driver_gib"),
    [
        ("t4", 15.0),
        ("l4", 22.49),
        ("a10g", 22.49),
        ("l40s", 44.99),
        ("p40", 22.38),
        ("a2", 15.0),
        ("a16", 15.0),
    ],
)
def test_a_card_that_corrects_errors_has_what_its_driver_reports(written: str, driver_gib: float) -> None:
    card = named_card(written)
    assert card.vram_total_bytes / 1024**3 == pytest.approx(driver_gib, abs=0.01)
    assert card.vram_free_bytes < card.vram_total_bytes


def test_a_name_of_several_cards_asks_which() -> None:
    with pytest.raises(UnknownCardError, match='which one: "RTX 5060 Ti 8GB" or "RTX 5060 Ti 16GB"'):
        named_card("5060 ti")


def test_a_misspelt_name_is_answered_with_what_may_be_meant() -> None:
    with pytest.raises(UnknownCardError, match="did you mean RTX 4090 24GB"):
        named_card("RTX 409")


def test_an_unknown_name_says_what_to_do_instead() -> None:
    with pytest.raises(UnknownCardError, match="--vram"):
        named_card("Voodoo")


@pytest.mark.parametrize("known", KNOWN_CARDS, ids=lambda card: f"{card.name} {card.vram_gib}GB")
def test_every_card_is_found_by_its_full_name(known: KnownCard) -> None:
    assert named_card(f"{known.name} {known.vram_gib}GB").name == known.name
