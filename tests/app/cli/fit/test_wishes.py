"""``gpumon fit`` with flags that say where a model should be: words, JSON, exit codes, wrong values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.app.physics.test_orders import MOE
from tests.fakes.gguf.mixture import dense, mixture

from gpumon.app.cli.main import main
from gpumon.app.diagnosis.arithmetic import SPARE_BYTES
from gpumon.app.diagnosis.fit.machine import Machine, fit_on
from gpumon.app.diagnosis.fit.report import FitReport, Resident
from gpumon.app.diagnosis.fit.text import fit_lines
from gpumon.app.diagnosis.fit.wishes import Wishes, with_wishes
from gpumon.app.physics.geometry import LoadOptions
from gpumon.app.physics.hardware import Card

GIB = 1024**3


@pytest.fixture(autouse=True)
def nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("GPUMON_CONFIG", str(settings))
    monkeypatch.setenv("GPUMON_FIND", "false")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    mixture().write(folder / "moe.gguf")
    dense().write(folder / "dense.gguf")
    return folder


class Asking:
    """Asks of a file on cards that nobody has."""

    def __init__(self, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.files, self.capsys = files, capsys

    def run(self, line: str, name: str = "moe") -> tuple[int, str, str]:
        """Return exit code, output and error."""
        words = [*line.split(), "--num-ctx", "16384", "--ram-bandwidth", "60GB/s"]
        if "--gpu" not in line:
            words += ["--gpu", "3060"]
        code = main(["fit", str(self.files / f"{name}.gguf"), *words])
        captured = self.capsys.readouterr()
        return code, captured.out, captured.err

    def json(self, line: str) -> tuple[int, dict[str, Any]]:
        code, out, _ = self.run(f"{line} --json")
        return code, json.loads(out)


@pytest.fixture
def ask(files: Path, capsys: pytest.CaptureFixture[str]) -> Asking:
    return Asking(files, capsys)


def test_experts_in_ram_fit_and_the_best_number_is_told(ask: Asking) -> None:
    code, out, _ = ask.run("--n-cpu-moe 40")
    assert code == 0
    assert "fits: needs 5.08 GiB, can use 11.19 GiB of RTX 3060" in out
    assert "in RAM by choice  experts of 40 of 48 layers, 12.66 GiB" in out
    assert "better            --n-cpu-moe 21 also fits: about +" in out


def test_the_best_number_is_what_it_says_and_one_less_does_not_fit(ask: Asking) -> None:
    assert ask.run("--n-cpu-moe 21")[0] == 0
    assert "better" not in ask.run("--n-cpu-moe 21")[1]
    code, out, _ = ask.run("--n-cpu-moe 20")
    assert code == 1
    assert "better            --n-cpu-moe 21 fits: about " in out


@pytest.mark.parametrize("flag", ["--cpu-moe", "-cmoe", "--n-cpu-moe 48", "-ncmoe 48"])
def test_all_ways_to_keep_all_experts(ask: Asking, flag: str) -> None:
    code, out, _ = ask.run(flag)
    assert code == 0
    assert "experts of 48 of 48 layers, 15.19 GiB" in out


def test_without_a_number_of_experts_nothing_is_told_of_them(ask: Asking) -> None:
    assert "n-cpu-moe" not in ask.run("")[1]
    assert "--n-cpu-moe 21 fits" in ask.run("--n-cpu-moe 0")[1]


def test_a_model_without_experts_has_none_to_keep(ask: Asking) -> None:
    code, out, _ = ask.run("--n-cpu-moe 4", "dense")
    assert code == 0
    assert "nothing: it has no experts (--n-cpu-moe 4)" in out


@pytest.mark.parametrize("flag", ["--num-gpu", "-ngl", "--n-gpu-layers"])
def test_layers_that_are_asked_for_and_fit_are_what_was_asked(ask: Asking, flag: str) -> None:
    code, out, _ = ask.run(f"{flag} 20")
    assert code == 0
    assert "fits as asked, 20 of 49 layers: needs 7.34 GiB, can use 11.19 GiB of RTX 3060" in out
    assert "on GPU            20 of 49 layers; 10.57 GiB (59%) in RAM" in out


def test_more_layers_than_fit_do_not(ask: Asking) -> None:
    code, out, _ = ask.run("-ngl 45")
    assert code == 1
    assert "as asked          45 layers need " in out


@pytest.mark.parametrize("line", ["-ngl 99 --gpu 4090", "-ngl all --gpu 4090", "-ngl 49 --gpu 4090"])
def test_all_layers(ask: Asking, line: str) -> None:
    code, out, _ = ask.run(line)
    assert code == 0
    assert "fits: needs" in out


def test_shares_decide_what_each_card_holds(ask: Asking) -> None:
    code, out, _ = ask.run("-ts 3,1 --gpu 3090 --gpu 3090")
    assert code == 0
    assert "on each card      13.69 GiB, 4.60 GiB" in out
    _, turned, _ = ask.run("-ts 1,3 --gpu 3090 --gpu 3090")
    assert "on each card      5.08 GiB, 13.21 GiB" in turned


def test_devices_are_those_and_in_that_order(ask: Asking) -> None:
    """The fastest is CUDA0."""
    assert "RTX 3060" in ask.run("--device CUDA1 --n-cpu-moe 40 --gpu 3060 --gpu 3090")[1]
    _, one = ask.json("--device CUDA1,CUDA0 -ts 1,2 --gpu 3090 --gpu 3060")
    _, other = ask.json("--device 0,1 -ts 2,1 --gpu 3090 --gpu 3060")
    assert one["vram_bytes_by_gpu"][0] < one["vram_bytes_by_gpu"][1]
    assert other["vram_bytes_by_gpu"][0] > other["vram_bytes_by_gpu"][1]


def test_types_of_the_cache_one_by_one(ask: Asking) -> None:
    assert "cache q8_0/q4_0" in ask.run("-ctk q8_0 -ctv q4_0")[1]
    assert "cache f16/q4_0" in ask.run("--cache-type-v q4_0")[1]
    assert "cache q8_0/q4_0" in ask.run("--kv-cache-type q8_0 -ctv q4_0")[1]


def test_json_has_the_placement(ask: Asking) -> None:
    code, found = ask.json("--n-cpu-moe 40")
    assert code == 0
    assert found["vram_bytes_by_gpu"] == [found["required_vram_bytes"]]
    assert 0 < found["kept_in_ram_bytes"] < found["ram_bytes"]
    best = found["best_n_cpu_moe"]
    assert (best["layers"], best["gain_percent"] > 40) == (21, True)
    assert best["decode_tokens_per_second"]["expected"] > found["decode_tokens_per_second"]["expected"]
    assert ask.json("-ngl 20")[1]["best_n_cpu_moe"] is None


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("-ngl -2", None),
        ("-ngl x", '--num-gpu: "x" is no whole number from 0 to 9999'),
        ("--num-gpu 10000", '--num-gpu: "10000" is no whole number from 0 to 9999'),
        ("--n-cpu-moe 1.5", '--n-cpu-moe: "1.5" is no whole number from 0 to 9999'),
        ("-ts a", '--tensor-split: "a" are no shares; write them as 3,1'),
        ("-ts 0,0", '--tensor-split: "0,0" are no shares; write them as 3,1'),
        ("-ts 1,,2", '--tensor-split: "1,,2" are no shares; write them as 3,1'),
        ("--device Vulkan0", '--device: "Vulkan0" names no cards; write them as CUDA1,CUDA0'),
        ("--device CUDA0,CUDA0", '--device: "CUDA0,CUDA0" names no cards; write them as CUDA1,CUDA0'),
        ("--device CUDA1", "--device: there is no CUDA1: 1 GPU is known"),
        ("-ctk q9", '--cache-type-k: "q9" is none of f32,'),
    ],
)
def test_a_wrong_value_is_one_line_and_ends_with_2(ask: Asking, line: str, error: str | None) -> None:
    try:
        code, _, said = ask.run(line)
    except SystemExit as stopped:  # of argparse
        code, said = int(stopped.code or 0), ask.capsys.readouterr().err
    assert code == 2
    if error is not None:
        assert said.startswith(f"gpumon: {error}")
        assert said.count("\n") == 1


def report(free_bytes: int, layers: int) -> FitReport:
    card = Card("a", 64 * GIB, free_bytes, 360e9, "nvidia_gddr6")
    found = fit_on(Machine((card,), 60e9), MOE, LoadOptions(16384), wishes=Wishes(expert_layers=layers))
    assert isinstance(found, FitReport)
    return found


def test_what_is_asked_for_holds_after_other_models_are_unloaded_too() -> None:
    card = Card("a", 24 * GIB, 6 * GIB, 360e9, "nvidia_gddr6")
    machine = Machine((card,), 60e9, others=(Resident("other", 6 * GIB, makes_room=True),))
    wishes = Wishes(gpu_layers=20)
    found = fit_on(machine, MOE, with_wishes(LoadOptions(16384), wishes), wishes=wishes)
    assert isinstance(found, FitReport)
    assert (found.fits, found.in_the_end.fits) == (False, True)
    assert found.in_the_end.wishes == wishes
    assert any(line.endswith("after unloading other (6.0 GiB) fits as asked") for line in fit_lines(found))


def test_the_best_number_leaves_512_mib_of_the_card_free_to_the_byte() -> None:
    found = report(10 * GIB, 40).best_experts
    assert found is not None
    free = found.need_bytes + SPARE_BYTES
    best, worse = report(free, 40).best_experts, report(free - 1, 40).best_experts
    assert best is not None
    assert worse is not None
    assert (best.layers, best.need_bytes) == (found.layers, found.need_bytes)
    assert worse.layers == best.layers + 1


def test_where_the_one_at_hand_is_as_good_nothing_better_is_told() -> None:
    """It may fit by less than is left free for the best: that is no worse number to be told."""
    found = report(10 * GIB, 40).best_experts
    assert found is not None
    tight = report(found.need_bytes + SPARE_BYTES - 1, found.layers)
    assert tight.fits
    assert tight.best_experts is not None
    assert tight.best_experts.layers == found.layers + 1
    assert not [line for line in fit_lines(tight) if "better" in line]


def test_where_not_even_all_experts_in_ram_are_enough_there_is_no_best() -> None:
    assert report(GIB, 40).best_experts is None


def test_without_names_of_tensors_experts_are_counted_by_layers() -> None:
    assert MOE.weights is not None
    nameless = replace(MOE, weights=replace(MOE.weights, tensors=()))
    card = Card("a", 64 * GIB, 12 * GIB, 360e9, "nvidia_gddr6")
    found = fit_on(Machine((card,)), nameless, LoadOptions(16384), wishes=Wishes(expert_layers=40))
    assert isinstance(found, FitReport)
    assert found.fits
