"""What image models need and how fast they are, against what was published; and what can never be."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.app.physics.published_pictures import (
    COMPUTED_IN_FP8,
    DRIVER,
    FIT_WITHOUT,
    FLUX_PEAK_OVER_LOADED_GIB,
    IN_TURNS,
    LOADED,
    STEPS,
    VIDEO,
    WHOLE,
    Loaded,
    Step,
    Turns,
    Whole,
)

from gpumon.app.physics.cards import named_card
from gpumon.app.physics.hardware import Band, Card
from gpumon.app.physics.pictures.models import MODELS, PictureModel
from gpumon.app.physics.pictures.names import BY_NAME, near_pictures, picture_named
from gpumon.app.physics.pictures.need import (
    RESERVED_BYTES,
    TILE_SIDE,
    PictureNeed,
    Wanted,
    decoding_bytes,
    has_bf16,
    picture_need,
    place_picture,
    usual_encoder_precision,
)
from gpumon.app.physics.pictures.pace import flops_of_step, seconds_per_step
from gpumon.app.physics.pictures.parts import BITS, Precision, precision_named
from gpumon.text.units import GIB, MIB


def model(name: str) -> PictureModel:
    found = picture_named(name)
    assert found is not None, name
    return found


def wanted(
    name: str,
    width: int | None = None,
    height: int | None = None,
    *,
    batch: int = 1,
    frames: int | None = None,
    precision: Precision | None = None,
    encoders: Precision | None = None,
) -> Wanted:
    of = model(name)
    core = precision or of.precision
    return Wanted(
        width or of.side, height or of.native_height, batch, frames or of.frames, core, encoders or core
    )


def need(name: str, **asked: object) -> PictureNeed:
    return picture_need(model(name), wanted(name, **asked))  # type: ignore[arg-type]


def off(predicted: float, measured: float) -> float:
    return predicted / measured - 1


class TestAgainstWhatWasPublished:
    @pytest.mark.parametrize("row", LOADED, ids=lambda row: f"{row.part.name} {row.precision}")
    def test_a_part_weighs_what_comfyui_loads(self, row: Loaded) -> None:
        assert row.part.bytes_in(row.precision) / MIB == pytest.approx(row.mib, abs=0.1 if row.mib % 1 else 1)

    def test_clip_and_t5_together_weigh_what_comfyui_loads_of_flux(self) -> None:
        small, large = need("flux", precision="fp8").weights, need("flux", precision="bf16").weights
        assert small.encoders_bytes / MIB == pytest.approx(4777.54, abs=1.5)  # CLIP stays in fp16
        assert large.encoders_bytes / MIB == pytest.approx(9319.23, abs=1.5)

    def test_decoding_is_within_six_percent_of_the_median_of_thirteen(self) -> None:
        computed = need("flux").decoding_bytes / GIB
        assert off(computed, median(FLUX_PEAK_OVER_LOADED_GIB)) == pytest.approx(-0.052, abs=0.002)
        errors = [abs(off(computed, row)) for row in FLUX_PEAK_OVER_LOADED_GIB]
        assert median(errors) == pytest.approx(0.055, abs=0.001)
        assert max(errors) < 0.18

    def test_parts_that_take_turns_are_within_three_percent(self) -> None:
        errors = [abs(off(turns_gib(row), row.gib)) for row in IN_TURNS]
        assert median(errors) == pytest.approx(0.0083, abs=0.0005)
        assert max(errors) < 0.03

    @pytest.mark.parametrize("row", WHOLE)
    def test_all_at_once_is_within_two_percent_by_pytorch(self, row: Whole) -> None:
        computed = need(row.model, width=row.width, height=row.height, precision="bf16")
        assert abs(off((computed.total.high - computed.overhead_bytes) / GIB, row.gib)) < 0.02

    @pytest.mark.parametrize("row", DRIVER, ids=lambda row: row.model)
    def test_all_at_once_is_within_five_percent_by_the_driver(self, row: Whole) -> None:
        computed = need(row.model, precision="bf16").total.high / GIB
        assert -0.05 < off(computed, row.gib) < 0

    @pytest.mark.parametrize("row", VIDEO, ids=lambda row: f"{row.width}x{row.height}")
    def test_a_video_is_within_a_sixth(self, row: Whole) -> None:
        computed = need(row.model, width=row.width, height=row.height, frames=row.frames)
        weights = computed.weights
        resident = weights.core_bytes + weights.encoders_bytes + weights.vae_bytes
        whole = computed.overhead_bytes + resident + computed.sampling_bytes
        assert abs(off(whole / GIB, row.gib)) < 0.17

    @pytest.mark.parametrize("row", STEPS, ids=lambda row: f"{row.model} {row.card}")
    def test_a_step_is_within_its_band(self, row: Step) -> None:
        assert band(row).low <= row.seconds <= band(row).high

    def test_the_middle_of_the_band_is_the_middle_of_the_rows(self) -> None:
        errors = [abs(off(band(row).expected, row.seconds)) for row in STEPS]
        assert median(errors) == pytest.approx(0.074, abs=0.002)
        assert max(errors) < 0.24

    @pytest.mark.parametrize("row", FIT_WITHOUT, ids=lambda row: row.model)
    def test_a_step_that_nothing_was_fitted_on(self, row: Step) -> None:
        assert band(row).low <= row.seconds <= band(row).high
        assert off(band(row).expected, row.seconds) == pytest.approx(0.13, abs=0.01)

    def test_what_is_computed_in_fp8_is_faster_than_told(self) -> None:
        row = COMPUTED_IN_FP8
        assert off(band(row).expected, row.seconds) == pytest.approx(0.42, abs=0.01)
        assert row.seconds < band(row).low

    def test_the_work_of_a_step_is_what_diffusers_counts(self) -> None:
        for name, counted in (("flux", 59_523e9), ("sdxl-lightning", 5_979.1e9), ("wan2.1-14b", 786e12)):
            of = model(name)
            assert of.work is not None
            dense = replace(of, guided=False, work=replace(of.work, attention_width=0))
            assert flops_of_step(dense, wanted(name)) == pytest.approx(counted, rel=0.003), name


def turns_gib(row: Turns) -> float:
    """Return the largest turn, by PyTorch: without the context."""
    of, asked = model(row.model), wanted(row.model, precision=row.core, encoders=row.encoders or row.core)
    found = picture_need(of, asked)
    weights = found.weights
    encoders = weights.encoders_bytes if row.encoders else 0
    sampling, decoding = weights.core_bytes + found.sampling_bytes, weights.vae_bytes + found.decoding_bytes
    return max(sampling, decoding, encoders) / GIB


def band(row: Step) -> Band:
    asked = wanted(row.model, row.width, row.height, batch=row.batch, frames=row.frames)
    found = seconds_per_step(model(row.model), asked, named_card(row.card))
    assert found is not None
    return found


class TestWhatMoreNeverSaves:
    names = st.sampled_from([one.key for one in MODELS])
    sides = st.integers(64, 4096)
    precisions = st.sampled_from(sorted(BITS))

    @given(names, sides, sides, sides, st.integers(1, 16), st.integers(0, 16))
    def test_more_pixels_or_pictures_never_need_less(
        self, name: str, width: int, height: int, more: int, batch: int, extra: int
    ) -> None:
        small = need(name, width=width, height=height, batch=batch).total
        large = need(name, width=width + more, height=height, batch=batch + extra).total
        assert all(less <= greater for less, greater in zip(small, large, strict=True))

    @given(names, precisions, precisions)
    def test_more_bits_never_need_less(self, name: str, one: Precision, other: Precision) -> None:
        few, many = sorted((one, other), key=lambda precision: BITS[precision])
        small, large = need(name, precision=few).total, need(name, precision=many).total
        assert all(less <= greater for less, greater in zip(small, large, strict=True))

    @given(names, sides, sides, st.integers(1, 8), precisions)
    def test_the_band_is_in_order(
        self, name: str, width: int, height: int, batch: int, bits: Precision
    ) -> None:
        found = need(name, width=width, height=height, batch=batch, precision=bits).total
        assert found.low <= found.expected <= found.high

    @given(names, precisions, st.integers(0, 200 * GIB), st.integers(0, 50 * GIB))
    def test_more_memory_never_places_worse(self, name: str, bits: Precision, free: int, more: int) -> None:
        order = ("not", "in_part", "tightly", "in_turns", "all_at_once")
        asked = need(name, precision=bits)
        small, large = place_picture(asked, free), place_picture(asked, free + more)
        assert order.index(small.how) <= order.index(large.how)
        assert small.spilled_bytes >= large.spilled_bytes

    @given(names, sides, sides, st.integers(1, 8))
    def test_a_larger_picture_never_takes_less_time(
        self, name: str, side: int, more: int, batch: int
    ) -> None:
        card = named_card("rtx 4090")
        few = seconds_per_step(model(name), wanted(name, side, side, batch=batch), card)
        many = seconds_per_step(model(name), wanted(name, side + more, side, batch=batch), card)
        assert (few is None) == (many is None)
        assert few is None or many is None or few <= many


class TestWhereItGoes:
    def test_just_enough_for_everything_is_all_at_once(self) -> None:
        asked = need("sdxl")
        enough = round(asked.total.high) + RESERVED_BYTES
        assert place_picture(asked, enough).how == "all_at_once"
        assert place_picture(asked, enough - 1).how == "in_turns"

    def test_too_little_for_the_weights_leaves_a_part_of_them_in_ram(self) -> None:
        asked = need("flux", precision="fp8")
        placed = place_picture(asked, round(asked.total.low) + RESERVED_BYTES - GIB)
        assert (placed.how, placed.spilled_bytes, placed.fits) == ("in_part", GIB, False)

    def test_too_little_for_a_step_is_no_place_at_all(self) -> None:
        assert place_picture(need("flux", width=4096, height=4096), 8 * GIB).how == "not"

    def test_no_memory_is_no_error(self) -> None:
        assert place_picture(need("sdxl"), 0).how == "not"


class TestWhatACardChanges:
    def test_a_card_without_bf16_decodes_in_fp32(self) -> None:
        asked = wanted("sdxl")
        of = model("sdxl")
        old = decoding_bytes(of, asked, named_card("rtx 2080 ti"), asked.pixels)
        assert old == 2 * decoding_bytes(of, asked, named_card("rtx 3060"), asked.pixels)

    def test_a_model_that_knows_no_fp16_samples_there_in_fp32(self) -> None:
        old, new = (
            picture_need(model("qwen-image"), wanted("qwen-image"), named_card(name))
            for name in ("rtx 2080 ti", "rtx 3090")
        )
        assert old.sampling_bytes == pytest.approx(2 * new.sampling_bytes, abs=1)

    def test_amd_decodes_with_more(self) -> None:
        asked = wanted("sdxl")
        more = decoding_bytes(model("sdxl"), asked, named_card("rx 7900 xtx"), asked.pixels)
        assert more == pytest.approx(2.73 * need("sdxl").decoding_bytes, rel=0.001)

    def test_the_first_tile_is_the_whole_of_a_small_picture(self) -> None:
        found = need("sd1.5", width=TILE_SIDE, height=TILE_SIDE)
        assert found.tiled_bytes == found.decoding_bytes

    @pytest.mark.parametrize(
        ("name", "is_new"),
        [
            ("NVIDIA GeForce RTX 3060", True),
            ("NVIDIA GeForce RTX 2070 SUPER", False),
            ("NVIDIA GeForce GTX 1660 Ti", False),
            ("Tesla T4", False),
            ("Quadro RTX 6000", False),
            ("NVIDIA RTX 6000 Ada Generation", True),
            ("Tesla P40", False),
            ("Tesla V100-SXM2-16GB", False),
            ("NVIDIA A100-SXM4-80GB", True),
            ("NVIDIA RTX 4000 Ada Generation", True),
            ("AMD Radeon RX 7900 XTX", True),
        ],
    )
    def test_bf16_came_with_ampere(self, name: str, *, is_new: bool) -> None:
        assert has_bf16(Card(name, GIB, GIB, None, "nvidia_gddr6")) == is_new

    def test_of_a_card_of_which_nothing_was_published_no_time_is_told(self) -> None:
        assert seconds_per_step(model("sdxl"), wanted("sdxl"), named_card("gtx 1080 ti")) is None

    def test_the_name_that_the_driver_gives_is_known(self) -> None:
        card = Card("NVIDIA GeForce RTX 3060", 12 * GIB, 12 * GIB, None, "nvidia_gddr6")
        assert seconds_per_step(model("sdxl"), wanted("sdxl"), card) is not None

    def test_a_laptop_card_is_not_the_desktop_card(self) -> None:
        assert seconds_per_step(model("sdxl"), wanted("sdxl"), named_card("rtx 4090 laptop")) is None


class TestNames:
    @pytest.mark.parametrize(
        ("name", "key"),
        [
            ("flux", "flux.1-dev"),
            ("flux.1-dev", "flux.1-dev"),
            ("FLUX.1-schnell", "flux.1-schnell"),
            ("black-forest-labs/FLUX.1-dev", "flux.1-dev"),
            ("sd15", "sd1.5"),
            ("sd1.5", "sd1.5"),
            ("SD 1.5", "sd1.5"),
            ("stable-diffusion-xl", "sdxl"),
            ("Qwen_Image", "qwen-image"),
            ("sd3.5", "sd3.5-large"),
            ("z-image", "z-image-turbo"),
            ("wan2.2", "wan2.2-14b"),
        ],
    )
    def test_names_are_taken_as_people_write_them(self, name: str, key: str) -> None:
        assert model(name).key == key

    @pytest.mark.parametrize("name", ["llama3", "qwen3:8b", "sdxl:latest", "", "qwen", "gemma3", "…"])
    def test_other_names_are_none(self, name: str) -> None:
        assert picture_named(name) is None

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("juggernautXL_v9", ("sdxl",)),
            ("juggernautXL…", ("sdxl",)),
            ("ponyDiffusionV6XL", ("sdxl",)),
            ("dreamshaperXL-lightning", ("sdxl-lightning",)),
            ("flux1-dev-kontext", ("flux.1-dev",)),
            ("qwen-image-edit", ("qwen-image",)),
            ("llama3.1:70b", ()),
            ("mistral", ()),
            ("some-xl:8b", ()),
            ("qwen3", ()),
        ],
    )
    def test_a_fine_tuned_model_is_likened_to_what_it_was_tuned_from(
        self, name: str, near: tuple[str, ...]
    ) -> None:
        assert near_pictures(name) == near

    def test_no_two_models_have_one_name(self) -> None:
        assert len(BY_NAME) == len({(name, one.key) for name, one in BY_NAME.items()})
        assert {one.key for one in BY_NAME.values()} == {one.key for one in MODELS}

    @given(st.text(max_size=300))
    def test_no_text_is_an_error(self, text: str) -> None:
        picture_named(text)
        near_pictures(text)

    @pytest.mark.parametrize(
        ("text", "precision"),
        [("fp8_e4m3fn", "fp8"), ("Q4_K_S", "q4_k"), ("Q8", "q8_0"), ("half", "fp16"), ("NF4", "nf4")],
    )
    def test_precisions_are_taken_as_files_are_called(self, text: str, precision: Precision) -> None:
        assert precision_named(text) == precision

    def test_an_unknown_precision_is_none(self) -> None:
        assert precision_named("q9") is None

    def test_a_text_encoder_beside_a_quantised_transformer_is_in_fp8(self) -> None:
        assert [usual_encoder_precision(one) for one in ("q4_k", "bf16", "nf4", "fp32")] == [
            "fp8", "bf16", "nf4", "fp32",
        ]  # fmt: skip
