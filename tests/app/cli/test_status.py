"""``gpumon status`` without a look: what cannot be looked at is a line, too, and no error of the bar's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.scene import Gpu, Machine, Model

from gpumon.app.cli import status
from gpumon.app.cli.main import main
from gpumon.app.config.settings import Settings
from gpumon.app.monitor import Monitor

Looked = tuple[Monitor, tuple[str, ...]]


@pytest.fixture(autouse=True)
def no_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("GPUMON_CONFIG", str(settings))


@pytest.fixture
def see(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], None]:
    """Have a look find this machine."""

    def seen(machine: Machine) -> None:
        def looked(_settings: Settings, *, silently: bool) -> Looked:
            assert silently
            return machine.monitor, ()

        monkeypatch.setattr(status, "looked", looked)

    return seen


def spilled(name: str = "qwen3:8b") -> Machine:
    machine = Machine(Gpu(gib=12))
    machine.ollama().load(Model(name, gpu_gib=4, ram_gib=2))
    machine.run(3)
    return machine


@pytest.mark.parametrize(("flags", "code"), [((), 0), (("--exit-code",), 1)])
def test_a_spill_is_one_line_and_an_exit_code_where_that_is_asked_for(
    see: Callable[[Machine], None], flags: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    see(spilled())
    assert main(["status", *flags]) == code
    assert capsys.readouterr().out == "SPILLED qwen3:8b 33%, 4.0/12.0 GiB\n"


def test_it_is_as_wide_as_it_may_be(
    see: Callable[[Machine], None], capsys: pytest.CaptureFixture[str]
) -> None:
    see(spilled())
    assert main(["status", "--width", "12", "--format", "tmux"]) == 0
    assert capsys.readouterr().out == "#[fg=white,bg=red]SPILLED 33%#[fg=default,bg=default]\n"


def test_a_hostile_name_is_harmless_in_a_terminal_too(
    see: Callable[[Machine], None], capsys: pytest.CaptureFixture[str]
) -> None:
    see(spilled("evil#(touch x)\x1b[31m\n%{F#f00}"))
    assert main(["status"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("SPILLED evil_(touch x)__31m__")


@pytest.mark.parametrize("follow", [(), ("--follow",)])
def test_a_setting_that_cannot_be_used_is_told_in_the_line(
    follow: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--url", "http://127.0.0.1:99999", *follow]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("gpumon: --url: ")
    assert said.err == ""


def test_that_is_an_exit_code_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--exit-code", "--format", "waybar", "--url", "http://127.0.0.1:99999"]) == 2
    assert json.loads(capsys.readouterr().out)["class"] == "bad"


@pytest.mark.internal_errors
def test_a_fault_of_ours_is_a_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_settings: Settings, *, silently: bool) -> Looked:
        raise RuntimeError("broken")

    monkeypatch.setattr(status, "looked", broken)
    assert main(["status"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("gpumon: internal error (RuntimeError)")
    assert said.err == ""


@pytest.mark.parametrize("width", ["0", "-3", "wide", "9" * 30, "٣"])
def test_a_width_that_is_none_is_refused(width: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", f"--width={width}"]) == 2
    assert "expected a number of cells" in capsys.readouterr().err


def test_a_form_that_nobody_reads_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--format", "html"]) == 2
    assert "waybar" in capsys.readouterr().err
