"""``gpumon fit`` of image models: names, flags, files, JSON, exit codes, wrong values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.app.physics.test_picture_files import FLUX, GUIDANCE, SDXL
from tests.fakes.gguf.writer import FakeGguf, tiny_llama
from tests.fakes.nvml.driver import FakeDriver

from gpumon.app.cli.fit.pictures import FLAGS, is_picture
from gpumon.app.cli.main import main
from gpumon.collectors.gguf.tensors import Tensor
from gpumon.collectors.safetensors import Tensors
from gpumon.text.units import GIB

UNREACHABLE = "http://127.0.0.1:9"
KEYS = {
    "model",
    "kind",
    "width",
    "height",
    "frames",
    "batch",
    "steps",
    "quant",
    "fits",
    "how",
    "required_vram_bytes",
    "available_vram_bytes",
    "parts",
    "sampling_bytes",
    "decoding_bytes",
    "decoding_in_tiles_bytes",
    "overhead_bytes",
    "ram_bytes",
    "spill_fraction",
    "largest_batch",
    "largest_side",
    "longest_frames",
    "seconds_per_step",
    "seconds_per_picture",
    "smaller",
}


@pytest.fixture(autouse=True)
def no_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("GPUMON_CONFIG", str(settings))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "no-models"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("gpumon.app.cli.fit.disk.SERVICE_HOMES", ())


def fit(*arguments: str) -> int:
    return main(["fit", *arguments])


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = fit("--json", *arguments)
    return code, json.loads(capsys.readouterr().out)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line of an error."""
    assert fit(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.removeprefix("gpumon: ").strip()


def save(path: Path, tensors: Tensors) -> Path:
    header, end = {}, 0
    for name, one in tensors.items():
        offsets = [end, end + one.bytes]
        header[name] = {"dtype": one.type_name, "shape": one.shape, "data_offsets": offsets}
        end += one.bytes
    raw = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(raw).to_bytes(8, "little") + raw)
        stream.truncate(8 + len(raw) + end)  # a sparse file: nobody reads the data
    return path


class TestANamedModel:
    def test_that_fits_ends_with_0(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert fit("sdxl", "--gpu", "rtx 3060") == 0
        out = capsys.readouterr().out
        assert out.startswith("sdxl  (1024x1024, fp16)\nfits by turns: needs 6.38 GiB")

    def test_that_does_not_fit_ends_with_1(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert fit("flux", "--size", "1024x1024", "--batch", "2", "--quant", "fp8", "--gpu", "rtx 3060") == 1
        assert "fits in part: needs 13.87 GiB, can use 11.25 GiB of RTX 3060" in capsys.readouterr().out

    def test_without_a_gpu_says_what_it_needs_and_ends_with_2(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def none() -> tuple[()]:
            return ()

        monkeypatch.setattr("gpumon.app.cli.fit.answer.cards_of_this_machine", none)
        assert fit("sdxl") == 2
        assert "cannot tell: needs 6.38 GiB; of which GPU, say with --gpu NAME" in capsys.readouterr().out

    def test_on_this_machine_takes_the_memory_that_is_free_now(
        self, fake_driver: FakeDriver, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, found = document(capsys, "sdxl")
        assert fake_driver.state.gpu_count == 1
        assert (code, found["how"]) == (0, "all_at_once")
        assert 20 * GIB < found["available_vram_bytes"] < 24 * GIB

    def test_asks_no_server(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert fit("flux.1-schnell", "--gpu", "rtx 4090", "--quant", "fp8", "--url", UNREACHABLE) == 0
        assert capsys.readouterr().err == ""

    def test_memory_alone_is_enough_of_a_card(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, found = document(capsys, "qwen-image", "--vram", "24GiB", "--quant", "fp8")
        assert (code, found["how"]) == (0, "in_turns")
        assert found["seconds_per_step"] is None

    @pytest.mark.parametrize("name", ["FLUX.1-dev", "sd15", "stable-diffusion-xl", "Qwen-Image", "z-image"])
    def test_names_are_taken_as_people_write_them(self, name: str) -> None:
        assert is_picture(name)

    @pytest.mark.parametrize("name", ["llama3.1:8b", "sdxl:latest", "70b", "./a.gguf", "qwen3"])
    def test_other_names_mean_what_they_meant(self, name: str) -> None:
        assert not is_picture(name)


class TestJson:
    def test_has_exactly_the_keys_of_its_description(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, found = document(capsys, "sdxl", "--gpu", "rtx 3060")
        assert found.keys() == KEYS
        assert found["required_vram_bytes"].keys() == {"low", "expected", "high"}

    def test_all_at_once_is_the_sum_of_the_parts(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, found = document(capsys, "flux", "--gpu", "rtx 3060", "--quant", "fp8")
        parts = sum(part["bytes"] for part in found["parts"])
        largest = max(found["sampling_bytes"], found["decoding_bytes"])
        assert parts + largest + found["overhead_bytes"] == found["required_vram_bytes"]["high"]

    def test_a_video_has_frames_and_no_largest_square(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, found = document(capsys, "wan2.1-1.3b", "--gpu", "rtx 4090", "--frames", "41")
        assert (found["kind"], found["frames"], found["largest_side"]) == ("video", 41, None)
        assert found["longest_frames"] > 41

    def test_the_smaller_variant_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        _, found = document(capsys, "flux", "--gpu", "rtx 3060")
        assert found["smaller"]["quant"] == "q6_k"


class TestWrongValues:
    @pytest.mark.parametrize(
        "size", ["5x5", "1024x", "x", "-1x1024", "1024x1024x3", "99999x99999", "", "big"]
    )
    def test_a_size(self, size: str, capsys: pytest.CaptureFixture[str]) -> None:
        words = f'--size: "{size}" is no size from 64 to 16384 pixels; write it as 1024x1024'
        assert said(capsys, "sdxl", f"--size={size}") == words

    @pytest.mark.parametrize("batch", ["0", "-1", "2.5", "two", "5000"])
    def test_a_batch(self, batch: str, capsys: pytest.CaptureFixture[str]) -> None:
        words = f'--batch: "{batch}" is no whole number from 1 to 1024'
        assert said(capsys, "sdxl", f"--batch={batch}") == words

    def test_a_precision(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert said(capsys, "sdxl", "--quant", "q9").startswith('--quant: "q9" is none of fp32, fp16')

    def test_frames_of_a_picture(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert said(capsys, "sdxl", "--frames", "81") == "--frames means nothing here: sdxl makes pictures"

    def test_a_context_of_a_picture(self, capsys: pytest.CaptureFixture[str]) -> None:
        words = "--num-ctx means nothing here: sdxl is an image model"
        assert said(capsys, "sdxl", "--num-ctx", "8192") == words

    @pytest.mark.parametrize("flag", [flag for flag in FLAGS if flag != "quant"])
    def test_flags_of_pictures_for_a_language_model(
        self, flag: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        name = f"--{flag.replace('_', '-')}"
        words = f"{name} means nothing here: llama3 is no image model"
        assert said(capsys, "llama3", name, "8", "--url", UNREACHABLE) == words

    def test_flags_of_pictures_without_a_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "name an image model: sdxl, flux" in said(capsys, "--size", "512", "--url", UNREACHABLE)

    def test_an_unknown_card(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "did you mean" in said(capsys, "sdxl", "--gpu", "rtx 4099")

    def test_the_name_of_a_fine_tuned_model_is_answered_with_what_to_type(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = said(capsys, "juggernautXL_v9", "--url", UNREACHABLE)
        assert found.endswith("; or of image models: gpumon fit sdxl")

    def test_a_language_model_is_answered_as_ever(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert fit("llama3.1:70b", "--url", UNREACHABLE, "--gpu", "3060") == 1
        assert "image" not in capsys.readouterr().out


class TestAFile:
    def test_is_read_and_recognised(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = save(tmp_path / "my-mix.safetensors", FLUX | GUIDANCE)
        code, found = document(capsys, str(path), "--gpu", "rtx 4090")
        core = sum(one.bytes for one in (FLUX | GUIDANCE).values())
        assert (code, found["model"], found["quant"]) == (0, "flux.1-dev", "fp16")
        assert found["parts"][0] == {"name": "transformer", "bytes": core}

    def test_of_comfyui_is_found_by_its_name(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = tmp_path / "ComfyUI" / "models" / "checkpoints"
        folder.mkdir(parents=True)
        save(folder / "juggernautXL_v9.safetensors", SDXL)
        _, found = document(capsys, "juggernautXL_v9.safetensors", "--gpu", "rtx 4090")
        assert found["model"] == "sdxl"

    def test_in_gguf_is_recognised_by_its_family_and_size(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        flux = FakeGguf({"general.architecture": "flux"}, [Tensor("blocks", "Q4_K", (4096, 2_905_617))])
        path = flux.write(tmp_path / "flux1-dev-Q4_K_S.gguf")
        code, found = document(capsys, str(path), "--gpu", "rtx 3060")
        assert (code, found["model"], found["quant"]) == (0, "flux.1-dev", "GGUF Q4_K_S")
        assert found["parts"][0]["bytes"] == path.stat().st_size

    def test_in_gguf_of_a_language_model_means_what_it_meant(self, tmp_path: Path) -> None:
        assert not is_picture(str(tiny_llama().write(tmp_path / "tiny.gguf")))

    def test_of_an_unknown_kind_gives_its_weights_alone(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = save(tmp_path / "strange.safetensors", {"some.weight": FLUX["img_in.weight"]})
        assert said(capsys, str(path), "--gpu", "rtx 4090") == (
            "cannot tell what strange.safetensors is; its weights alone take 0.00 GiB"
        )

    def test_that_is_a_lora_says_so(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = save(tmp_path / "style.safetensors", {"a.lora_up.weight": FLUX["img_in.weight"]})
        assert "style.safetensors is a LoRA, no model" in said(capsys, str(path))

    def test_that_is_damaged_is_one_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 100)
        words = "bad.safetensors is no safetensors file, or is not whole"
        assert said(capsys, str(tmp_path / "bad.safetensors")) == words

    def test_that_is_not_there(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert said(capsys, "absent.safetensors") == "absent.safetensors does not exist"

    def test_that_is_a_pickle_is_not_opened(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert said(capsys, "model.ckpt") == (
            "model.ckpt is a pickle, which gpumon does not open: name the model, as in sdxl"
        )

    def test_a_name_with_control_characters_is_harmless(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = save(tmp_path / "a\x1b[31m.safetensors", SDXL)
        assert fit(str(path), "--gpu", "rtx 4090") == 0
        assert "\x1b" not in capsys.readouterr().out
