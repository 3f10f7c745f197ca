"""The flags of ``gpumon fit`` as values, and one clear line for each that cannot be used."""

from __future__ import annotations

import pytest
from tests.fakes.ollama.catalog import GIB

from gpumon.app.cli.fit.asked import bandwidth, cache_type, cards, tokens, whole
from gpumon.app.cli.main import main
from gpumon.app.errors import GpumonError


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--num-ctx", "many", '"many" is no whole number from 1'),
        ("--num-ctx", "0", '"0" is no whole number from 1'),
        ("--num-ctx", "-5", '"-5" is no whole number from 1'),
        ("--parallel", "1.5", '"1.5" is no whole number from 1'),
        ("--kv-cache-type", "q3", '"q3" is none of f32, f16'),
        ("--gpu", "RTX 409", "did you mean RTX 4090 24GB"),
        ("--vram", "12km", '"12km" is no size; write it as 12GiB'),
        ("--bandwidth", "900", '"900" is no bandwidth; write it as 60GB/s'),
        ("--params", "13", '"13" is no number of parameters; write it as 13b'),
        ("--quant", "q9", '"q9" is none of F32, F16'),
        ("--vram", "0GiB", '"0GiB" is no size'),
        ("--vram", "nanGiB", '"nanGiB" is no size'),
        ("--vram", "99999999TB", '"99999999TB" is no size'),
        ("--ram-bandwidth", "60", '"60" is no bandwidth; write it as 60GB/s'),
    ],
)
def test_a_wrong_value_is_one_clear_line(
    flag: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "m", f"{flag}={value}"]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.startswith(f"gpumon: {flag}: ")
    assert err.count("\n") == 1


def test_an_empty_name_is_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", " "]) == 2
    assert capsys.readouterr().err.startswith("gpumon: MODEL is empty")


def test_names_and_sizes_go_in_pairs() -> None:
    with pytest.raises(GpumonError, match="as many of the one as of the other"):
        cards(["4090", "3090"], ["12GiB"])


def test_a_size_alone_is_a_card_of_unknown_bandwidth() -> None:
    (card,) = cards([], ["12GiB"])
    assert (card.vram_free_bytes, card.bandwidth_bytes_per_second) == (12 * GIB, None)


@pytest.mark.parametrize("size", ["24", "24GB", "24G", "24 GiB", "24gb", " 24 "])
def test_a_size_is_taken_as_cards_are_sold(size: str) -> None:
    (card,) = cards([], [size])
    assert card.vram_free_bytes == 24 * GIB


def test_a_card_without_a_name_can_have_a_bandwidth() -> None:
    (card,) = cards([], ["24"], 900e9)
    assert card.bandwidth_bytes_per_second == 900e9


def test_a_bandwidth_is_not_that_of_a_named_card() -> None:
    with pytest.raises(GpumonError, match="a card without a name"):
        cards(["4090"], [], 900e9)


@pytest.mark.parametrize(
    ("text", "value"),
    [("8192", 8192), ("8k", 8192), ("128K", 131_072), ("1m", 2**20), ("1.5k", 1536), ("131,072", 131_072)],
)
def test_a_context_is_read_as_people_write_it(text: str, value: int) -> None:
    assert tokens(text, "--num-ctx", 2**28) == value


@pytest.mark.parametrize("text", ["8kb", "k", "1,31", "1.5", "", "8 192", "-8k", "131,0720"])
def test_what_is_no_context_is_none(text: str) -> None:
    with pytest.raises(GpumonError, match="is no whole number"):
        tokens(text, "--num-ctx", 2**28)


def test_several_cards_can_be_named() -> None:
    assert [card.name for card in cards(["3090", "3090"], [])] == ["RTX 3090", "RTX 3090"]


@pytest.mark.parametrize("name", ["2x3090", "2 x rtx 3090", "2*3090"])
def test_several_of_the_same_card_can_be_named_at_once(name: str) -> None:
    assert [card.name for card in cards([name], [])] == ["RTX 3090", "RTX 3090"]


@pytest.mark.parametrize(
    ("text", "value"), [("60GB/s", 60e9), ("60 gb/s", 60e9), ("60GB", 60e9), ("50GiB/s", 50 * GIB)]
)
def test_a_bandwidth_is_read(text: str, value: float) -> None:
    assert bandwidth(text) == value


def test_nothing_asked_is_nothing_known() -> None:
    assert (whole(None, "--num-ctx", 9), cache_type(None), bandwidth(None), cards([], [])) == (
        None,
        None,
        None,
        (),
    )
