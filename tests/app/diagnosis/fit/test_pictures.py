"""The report of an image model, and its words."""

from __future__ import annotations

import pytest

from gpumon.app.diagnosis.fit.picture_text import answer_words, picture_lines, picture_rows
from gpumon.app.diagnosis.fit.pictures import PictureAsked, PictureReport, picture_report
from gpumon.app.diagnosis.fit.report import HostMemory
from gpumon.app.physics.cards import named_card
from gpumon.app.physics.pictures.names import picture_named
from gpumon.app.physics.pictures.need import place_picture
from gpumon.app.physics.pictures.recognised import FileFacts
from gpumon.text.units import GIB


def report(
    name: str, *cards: str, host: HostMemory | None = None, facts: FileFacts | None = None, **asked: object
) -> PictureReport:
    model = picture_named(name)
    assert model is not None
    question = PictureAsked(name, **asked)  # type: ignore[arg-type]
    return picture_report(question, model, tuple(map(named_card, cards)), host, facts)


def rows(found: PictureReport) -> dict[str, str]:
    return {label: text for label, text in picture_rows(found) if label}


class TestTheAnswer:
    @pytest.mark.parametrize(
        ("name", "card", "words"),
        [
            ("sdxl", "rtx 4090", "fits all at once: needs 11.52 GiB, can use 22.89 GiB of RTX 4090"),
            ("sdxl", "rtx 3050", "fits by turns: needs 6.38 GiB, can use 7.37 GiB of RTX 3050"),
            ("flux", "rtx 4090", "fits in part: needs 23.96 GiB, can use 22.89 GiB of RTX 4090"),
        ],
    )
    def test_says_how_it_fits(self, name: str, card: str, words: str) -> None:
        assert answer_words(report(name, card)) == words

    def test_without_a_card_says_what_it_needs_and_asks_for_one(self) -> None:
        words = "cannot tell: needs 6.38 GiB; of which GPU, say with --gpu NAME or --vram SIZE"
        assert answer_words(report("sdxl")) == words

    def test_a_picture_too_large_for_a_step_does_not_fit(self) -> None:
        found = report("flux", "rtx 3070", width=8192, height=8192)
        assert answer_words(found).startswith("does not fit: needs")
        assert "a smaller --size, or fewer at a time" in rows(found)["to do"]

    def test_guidance_that_fits_only_one_by_one_fits_tightly(self) -> None:
        found = report("wan2.2", "rtx 4090", precision="fp8")
        assert answer_words(found).startswith("fits tightly: needs 20.01 GiB")
        assert rows(found)["to do"] == "ComfyUI: nothing to set"

    def test_where_ram_is_too_little_it_does_not_run(self) -> None:
        found = report("flux", "rtx 3060", host=HostMemory(8 * GIB))
        assert found.lacks_ram
        assert answer_words(found) == "does not run: 22 GiB would wait in RAM, 8 here"

    def test_no_line_is_wider_than_a_terminal(self) -> None:
        for name in ("sdxl", "hidream", "wan2.2-14b", "qwen-image-lightning"):
            for card in ("gtx 1050 ti", "rtx 3060", "rtx pro 6000 blackwell"):
                assert max(map(len, picture_lines(report(name, card)))) <= 80


class TestWhatItRestsOn:
    def test_the_parts_are_told_with_what_they_are(self) -> None:
        told = rows(report("flux", "rtx 4090", precision="fp8"))
        assert told["transformer"] == "  11.08 GiB   (11.9B, fp8)"
        assert told["text encoders"] == "   4.66 GiB   (CLIP-L, T5-XXL)"

    def test_a_part_in_ram_is_told_with_its_share(self) -> None:
        told = rows(report("flux", "rtx 3060", precision="fp8"))
        assert told["in RAM"] == "1.63 GiB (15%) of the transformer at every step"

    def test_text_encoders_larger_than_the_room_are_told(self) -> None:
        assert report("sd3", "rtx 3070").encoders_split
        assert not report("sdxl", "rtx 3070").encoders_split

    def test_of_two_cards_the_one_with_more_room_is_taken(self) -> None:
        found = report("sdxl", "rtx 3050", "rtx 3090")
        assert found.card is not None
        assert found.card.name == "RTX 3090"
        assert any("one of 2 GPUs" in text for _, text in picture_rows(found))

    def test_times_are_told_as_estimates(self) -> None:
        told = rows(report("sdxl", "rtx 3060"))
        assert told["a step, estimated"] == "about 0.78 s (0.64 s to 1.0 s)"
        assert told["a picture, est."] == "about 16 s (13 s to 20 s) in 20 steps"

    def test_of_what_was_never_published_no_time_is_told(self) -> None:
        assert rows(report("sd15", "rtx 3060"))["a step"] == "not known: nothing is published for this model"
        assert rows(report("sdxl", "gtx 1070"))["a step"] == "not known: nothing is published for this GPU"


class TestTheMostThatFits:
    @pytest.mark.parametrize(("name", "card"), [("sdxl", "rtx 3060"), ("z-image", "rtx 4080")])
    def test_one_more_in_the_batch_would_not_fit(self, name: str, card: str) -> None:
        found = report(name, card)
        assert found.most_batch
        assert report(name, card, batch=found.most_batch).fits
        assert not report(name, card, batch=found.most_batch + 1).fits

    def test_the_next_larger_square_would_not_fit(self) -> None:
        side = report("sdxl", "rtx 3060").most_side
        assert side
        assert report("sdxl", "rtx 3060", width=side, height=side).fits
        assert not report("sdxl", "rtx 3060", width=side + 64, height=side + 64).fits

    def test_of_a_video_it_is_frames(self) -> None:
        found = report("wan2.1-1.3b", "rtx 3060")
        assert found.most_side is None
        assert found.most_frames
        assert not report("wan2.1-1.3b", "rtx 3060", frames=found.most_frames + 4).fits

    def test_where_the_weights_alone_are_too_large_nothing_fits(self) -> None:
        found = report("flux", "rtx 3060")
        assert (found.most_batch, found.most_side) == (0, 0)
        assert "largest batch" not in rows(found)


class TestASmallerVariant:
    def test_the_most_exact_one_that_fits_is_proposed(self) -> None:
        found = report("flux", "rtx 3060")
        assert found.smaller is not None
        precision, need = found.smaller
        assert precision == "q6_k"
        assert place_picture(need, named_card("rtx 3060").vram_free_bytes).fits
        assert rows(found)["to do"].startswith("GGUF Q6_K fits: needs")
        assert "--quant q6_k" in rows(found)["to do"]

    def test_what_is_proposed_fits_when_it_is_asked_for(self) -> None:
        found = report("qwen-image", "rtx 4060 ti 16gb")
        assert found.smaller is not None
        assert report("qwen-image", "rtx 4060 ti 16gb", precision=found.smaller[0]).fits

    def test_none_is_proposed_where_it_fits(self) -> None:
        assert report("sdxl", "rtx 3060").smaller is None

    def test_a_stable_diffusion_is_told_the_flags_of_a1111(self) -> None:
        lines = picture_lines(report("sdxl", "rtx 3050"))
        assert lines[-1].strip() == "A1111, Forge: --medvram"


class TestAFile:
    facts = FileFacts("model", picture_named("sdxl"), 5 * GIB, GIB, 0, "fp8")

    def test_its_own_bytes_are_taken_and_what_it_lacks_is_the_published(self) -> None:
        weights = report("sdxl", "rtx 3060", facts=self.facts).need.weights
        assert (weights.core_bytes, weights.encoders_bytes) == (5 * GIB, GIB)
        assert weights.vae_bytes == report("sdxl").need.weights.vae_bytes

    def test_its_precision_is_told(self) -> None:
        found = report("sdxl", "rtx 3050", facts=self.facts)
        assert picture_lines(found)[0] == "sdxl  (1024x1024, fp8)"
        assert "encoders" in rows(found)["in RAM"]
