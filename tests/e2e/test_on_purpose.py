"""Placement on purpose with real processes, a real file and HTTP: what every command says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.test_found_servers import Machine, finding, machine, models_of, run  # noqa: F401
from tests.e2e.tmux import Pane
from tests.fakes.gguf.mixture import dense, mixture
from tests.fakes.http import as_json
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.nvml.driver import GIB, MIB
from tests.fakes.processes.actor import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")

CARD_MIB = 12288


@pytest.fixture
def moe(tmp_path: Path) -> Path:
    return mixture().write(tmp_path / "Qwen3-30B-A3B.gguf")


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return dense().write(tmp_path / "Llama-8B.gguf")


def started(
    machine: Machine,  # noqa: F811
    path: Path | str,
    *flags: str,
    vram_gib: float | tuple[float, float] = 0.0,
    **variables: str,
) -> FakeLlamaServer:
    """Start a llama-server on a file, which holds so much of the card, or of two; 12 GiB are all that has."""
    server = FakeLlamaServer()
    server.alias = Path(path).stem
    server.simulation.context_length = 16384
    meta = {"n_params": 30_500_000_000, "size": 16 * GIB}
    server.answers["/v1/models"] = as_json(
        {"data": [{"id": server.alias, "owned_by": "llamacpp", "meta": meta}]}
    )
    argv = ["llama-server", "-m", str(path), "-c", "16384", "-np", "1", "--port", "PORT", *flags]
    actor = machine.run(server, *argv, **variables)
    held = vram_gib if isinstance(vram_gib, tuple) else (vram_gib,)
    machine.driver.state.gpu_count = len(held)
    for gpu, size_gib in enumerate(held):
        machine.driver[gpu].total_bytes = CARD_MIB * MIB
        if size_gib:
            machine.driver.run(gpu, actor.pid, round(size_gib * GIB))
    return server


def spills(document: dict[str, Any]) -> list[str]:
    """Return the alerts on models: other programs of this machine may listen on usual ports."""
    return [one["message"] for one in document["alerts"] if one["kind"] != "source"]


async def looked(
    environment: dict[str, str], server: FakeLlamaServer
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return what snapshot says of the whole and of the model, and what why says; exit codes agree."""
    async with server:
        code, document, _ = await run(environment, "snapshot")
        why_code, words, _ = await run(environment, "why")
        json_code, told, _ = await run(environment, "why", "--json")
    (model,) = models_of(document, server.url)
    assert (document["complete"], code, json_code) == (True, why_code, why_code)
    assert [one["sentence"] for one in told["models"]] == [model["sentence"]]
    assert (told["level"], told["sentence"]) == (document["level"], document["sentence"])
    return document, model, words


@pytest.mark.parametrize(
    ("flags", "variables", "setting", "line"),
    [
        (["-ngl", "99", "--n-cpu-moe", "40"], {}, "--n-cpu-moe 40", "--n-cpu-moe 21"),
        (
            ["-ngl", "99", "-ot", r"blk\.([0-9]|[1-3][0-9])\.ffn_.*_exps\.=CPU"],
            {},
            "--override-tensor",
            "--n-cpu-moe 21",
        ),
        ([], {"LLAMA_ARG_N_CPU_MOE": "40"}, "LLAMA_ARG_N_CPU_MOE=40", "LLAMA_ARG_N_CPU_MOE=21"),
    ],
)
async def test_experts_in_ram_by_choice(
    finding: dict[str, str],  # noqa: F811
    machine: Machine,  # noqa: F811
    moe: Path,
    flags: list[str],
    variables: dict[str, str],
    setting: str,
    line: str,
) -> None:
    server = started(machine, moe, *flags, vram_gib=4.9, **variables)
    document, model, words = await looked(finding, server)
    assert (document["level"], model["level"], model["spill_percent"]) == ("watch", "watch", None)
    assert document["sentence"] == model["sentence"]
    assert model["sentence"].startswith(f"{server.alias}.gguf keeps 12.7 GiB in RAM by choice ({setting})")
    assert model["verdict"]["kind"] == "in_ram_by_choice"
    assert spills(document) == []
    cause = model["cause"]["sentence"]
    assert cause.startswith(f"the experts of 40 of 48 layers are kept in RAM by {setting}; ")
    assert f"GiB are free: {line} also fits" in cause
    assert cause in words
    assert [remedy["command"] for remedy in model["remedies"]] == [line]


async def test_the_dashboard_tells_the_choice_and_the_better_number(
    finding: dict[str, str],  # noqa: F811
    machine: Machine,  # noqa: F811
    moe: Path,
) -> None:
    server = started(machine, moe, "-ngl", "99", "--n-cpu-moe", "40", vram_gib=4.9)
    async with server:
        with Pane(gpumon(), finding, 160, 40) as pane:
            screen = await pane.wait_for("by choice (--n-cpu-moe 40)", "--n-cpu-moe 21 also fits")
            assert "SPILL" not in screen
            pane.press("Enter")
            await pane.wait_for("~12.7", "by choice", "--n-cpu-moe 40")
            pane.press("d")
            await pane.wait_for("12.7 GiB by choice")
            pane.press("End")
            await pane.wait_for("qwen3moe", "8 of 128 for each token", "its file")


async def test_a_file_that_is_readable_is_read(
    finding: dict[str, str],  # noqa: F811
    machine: Machine,  # noqa: F811
    llama: Path,
) -> None:
    server = started(machine, llama, "-c", "65536", vram_gib=9.0)
    _, model, words = await looked(finding, server)
    assert model["cause"]["kind"] != "unknown"
    assert "what its file holds is not known" not in words
    assert "need: 1" in words


async def test_a_file_that_is_not_readable_is_said_to_be_so(
    finding: dict[str, str],  # noqa: F811
    machine: Machine,  # noqa: F811
    tmp_path: Path,
) -> None:
    server = started(machine, tmp_path / "gone.gguf", "--n-cpu-moe", "40", vram_gib=4.9)
    document, model, words = await looked(finding, server)
    assert (document["level"], model["level"]) == ("ok", "ok")
    assert "how much that is cannot be told: its file cannot be read: gone.gguf does not exist" in words


async def test_a_part_on_another_host_is_not_known_here(
    finding: dict[str, str],  # noqa: F811
    machine: Machine,  # noqa: F811
    moe: Path,
) -> None:
    server = started(machine, moe, "-ngl", "99", "--rpc", "192.0.2.7:50052", vram_gib=4.0)
    document, model, words = await looked(finding, server)
    assert (document["level"], model["level"], spills(document)) == ("unknown", "unknown", [])
    assert "where it is is not known here: a part of it may be on another host (--rpc)" in words
    assert "192.0.2.7" not in words


@pytest.mark.parametrize("flags", [[], ["-ngl", "0"], ["--device", "Vulkan0"]])
async def test_without_a_gpu_nothing_spills(
    finding: dict[str, str],  # noqa: F811
    machine: Machine,  # noqa: F811
    llama: Path,
    flags: list[str],
) -> None:
    server = started(machine, llama, *flags)
    document, model, words = await looked(finding | {"LD_LIBRARY_PATH": ""}, server)
    assert (model["spill_percent"], spills(document)) == (None, [])
    assert model["level"] in {"ok", "unknown"}
    assert "spill" not in words.casefold()
    assert "spill" not in document["sentence"].casefold()


async def test_the_cpu_by_choice_raises_no_alert(
    finding: dict[str, str],  # noqa: F811
    machine: Machine,  # noqa: F811
    llama: Path,
) -> None:
    server = started(machine, llama, "-ngl", "0", "--embedding")
    document, model, _ = await looked(finding, server)
    assert model["sentence"].endswith("runs on the CPU by choice (-ngl 0)")
    assert (model["spill_percent"], spills(document)) == (None, [])


async def test_each_of_two_cards_has_its_expected_share(
    finding: dict[str, str],  # noqa: F811
    machine: Machine,  # noqa: F811
    moe: Path,
) -> None:
    flags = ["-ngl", "99", "-ts", "1,1", "--n-cpu-moe", "22"]
    server = started(machine, moe, *flags, vram_gib=(2.4, 8.8))
    async with server:
        code, document, _ = await run(finding, "snapshot")
        with Pane(gpumon(), finding, 120, 40) as pane:
            await pane.wait_for("by choice (--n-cpu-moe 22)")
            pane.press("Enter")
            await pane.wait_for_line("on GPU", "11.2")
            pane.press("d")
            await pane.wait_for_line("expected there", "2.3 GiB: experts 0.9")
            screen = await pane.wait_for_line("expected there", "8.8 GiB: experts 7.3")
    (model,) = models_of(document, server.url)
    expected = [sum(parts.values()) / GIB for parts in model["expected_vram_by_gpu"].values()]
    assert [round(size, 1) for size in expected] == [2.3, 8.8]
    assert list(model["expected_vram_by_gpu"]) == list(model["measured_vram_by_gpu"])
    assert "experts" in model["expected_vram_by_gpu"][f"GPU-{1:08x}-1111-2222-3333-444444444444"]
    assert (code, spills(document)) == (1, [])
    assert screen.index("on GPU 0") < screen.index("on GPU 1")
