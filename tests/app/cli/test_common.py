"""What the terminal must be able to do."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from gpumon.app.cli.common import require_terminal, resolved_glyphs
from gpumon.app.errors import GpumonError


class Terminal(io.TextIOWrapper):
    """A stream with an encoding, that is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """All is well unless a test says otherwise."""
    monkeypatch.setenv("TERM", "xterm-256color")
    # pytest puts its own streams into the real sys when a test begins.
    streams = SimpleNamespace(stdin=Terminal(), stdout=Terminal(), stderr=Terminal())
    monkeypatch.setattr("gpumon.app.cli.common.sys", streams)
    return streams


def test_a_terminal_will_do() -> None:
    require_terminal()


def test_a_terminal_that_cannot_draw_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with pytest.raises(GpumonError, match=r"TERM=dumb.*gpumon snapshot"):
        require_terminal()


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_stream_that_leads_elsewhere_is_named(
    monkeypatch: pytest.MonkeyPatch, terminal: SimpleNamespace, name: str
) -> None:
    monkeypatch.setattr(terminal, name, io.StringIO())
    with pytest.raises(GpumonError, match=rf"{name} is none.*gpumon snapshot"):
        require_terminal()


def test_a_stream_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, terminal: SimpleNamespace
) -> None:
    monkeypatch.setattr(terminal, "stdin", None)
    with pytest.raises(GpumonError, match="stdin is none"):
        require_terminal()


def test_glyphs_are_unicode_where_the_terminal_reads_utf8() -> None:
    assert resolved_glyphs("auto") == "unicode"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_glyphs_are_ascii_where_the_terminal_reads_something_else(
    monkeypatch: pytest.MonkeyPatch, terminal: SimpleNamespace, encoding: str
) -> None:
    monkeypatch.setattr(terminal, "stderr", Terminal(encoding))
    assert resolved_glyphs("auto") == "ascii"


def test_glyphs_are_ascii_on_the_linux_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "linux")
    assert resolved_glyphs("auto") == "ascii"


def test_glyphs_that_are_chosen_are_kept(monkeypatch: pytest.MonkeyPatch, terminal: SimpleNamespace) -> None:
    monkeypatch.setattr(terminal, "stderr", Terminal("ascii"))
    assert resolved_glyphs("unicode") == "unicode"
