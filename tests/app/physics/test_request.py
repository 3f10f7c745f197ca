"""The time until a first token and the energy of a thousand, as far as they can be told."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.physics.published import GPT_OSS_20B, LLAMA3_8B, RTX_4090, Row

from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.hardware import Band, Hardware
from gpumon.app.physics.request import first_token_seconds, power_watts, watt_hours

OPTIONS = LoadOptions(32_768)


def cards(limit: float | None = 450.0, count: int = 1) -> Hardware:
    hardware = RTX_4090.hardware(count)
    return replace(hardware, cards=tuple(replace(one, power_limit_watts=limit) for one in hardware.cards))


def first(tokens: int, geometry: Geometry = LLAMA3_8B) -> Band | None:
    placement = Row(geometry, RTX_4090, 0, "").placement
    return first_token_seconds(geometry, OPTIONS, cards(), placement, tokens)


def power(geometry: Geometry, hardware: Hardware, layers: int | None = None, count: int = 1) -> Band | None:
    return power_watts(geometry, hardware, Row(geometry, RTX_4090, 0, "", 64, count, layers).placement)


def test_a_prompt_of_512_tokens_is_read_in_about_as_long_as_was_published() -> None:
    """pp512 of 7139 tok/s: 72 ms, and one token more."""
    band = first(512)
    assert band is not None
    assert band.low < 0.08 < band.high


def test_a_longer_prompt_takes_longer_than_its_share() -> None:
    short, long = first(1000), first(20_000)
    assert short is not None
    assert long is not None
    assert long.expected > 20 * short.expected
    assert long.low < long.expected < long.high


def test_without_a_prompt_nothing_is_said() -> None:
    assert first(0) is None


def test_an_embedding_model_has_no_first_token() -> None:
    assert first(512, replace(LLAMA3_8B, writes=False)) is None


def test_a_dense_model_takes_nearly_the_limit() -> None:
    band = power(LLAMA3_8B, cards())
    assert band is not None
    assert 380 < band.low < band.expected < band.high == pytest.approx(450)


def test_one_with_experts_takes_less_and_one_partly_in_ram_least() -> None:
    dense, experts, split = (
        power(LLAMA3_8B, cards()),
        power(GPT_OSS_20B, cards()),
        power(LLAMA3_8B, cards(), 10),
    )
    assert dense is not None
    assert experts is not None
    assert split is not None
    assert dense.expected > experts.expected > split.expected


def test_two_cards_take_what_one_takes_for_they_work_in_turns() -> None:
    assert power(LLAMA3_8B, cards(count=2), count=2) == power(LLAMA3_8B, cards())


def test_without_a_limit_no_power_is_known() -> None:
    assert power(LLAMA3_8B, cards(None)) is None


def test_energy_is_power_over_rate() -> None:
    """427 W at 150 tok/s: 0.79 Wh for a thousand tokens."""
    energy = watt_hours(Band(120, 150, 187), Band(380, 427, 450))
    assert energy.expected == pytest.approx(0.79, abs=0.01)
    assert energy.low < energy.expected < energy.high
