"""What we rely on of Textual's private names: a test that fails here names what a new Textual has changed."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from rich.console import Console
from tests.app.ui.screen import dashboard
from textual import events
from textual._compositor import ChopsUpdate
from textual._parser import Parser
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers import linux_driver
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.screen import Screen

from gpumon.app.ui import textual_internals as internals
from gpumon.app.ui.app import is_terminal_gone
from gpumon.app.ui.screens.base import ListScreen

ROOT = Path(__file__).parents[3]
THE_FILE = ROOT / "app" / "ui" / "textual_internals.py"
SOURCES = [
    path for folder in ("app", "widgets") for path in (ROOT / folder).rglob("*.py") if path != THE_FILE
]


def test_only_one_file_imports_private_modules_or_names_of_textual_and_rich() -> None:
    found = [
        f"{path.name}: {node.module}.{alias.name}"
        for path in SOURCES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if re.match(r"(textual|rich)\b.*\._", f"{node.module}.{alias.name}")
    ]
    assert found == []


def test_only_one_file_overrides_a_private_method_of_textual() -> None:
    theirs = {name for kind in (App, Screen) for name in vars(kind) if re.match(r"_[a-z]", name)}
    found = [
        f"{path.name}: {node.name}"
        for path in SOURCES
        for kind in ast.walk(parsed(path))
        if isinstance(kind, ast.ClassDef) and kind.bases
        for node in kind.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in theirs
    ]
    assert found == []


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


class TestTheDriver:
    """``LinuxDriver`` makes its parser, writer and decoder by names of its module, its threads by methods."""

    def test_it_reads_by_the_names_that_we_replace(self) -> None:
        source = inspect.getsource(LinuxDriver.run_input_thread)
        assert "XTermParser(self._debug)" in source
        assert 'getincrementaldecoder("utf-8")()' in source

    def test_it_writes_by_the_name_that_we_replace(self) -> None:
        assert "WriterThread(self._file)" in inspect.getsource(LinuxDriver.start_application_mode)

    def test_the_names_are_replaced(self) -> None:
        names: Any = linux_driver
        assert names.XTermParser is internals.SteadyParser
        assert names.WriterThread is internals.SteadyWriter
        assert names.getincrementaldecoder("utf-8") is internals.SteadyDecoder

    def test_it_decodes_what_it_has_read_at_once(self) -> None:
        assert "decode(read(fileno, 1024 * 4), final=" in inspect.getsource(LinuxDriver.run_input_thread)

    def test_its_input_thread_runs_the_method_that_we_replace(self) -> None:
        assert "target=self._run_input_thread" in inspect.getsource(LinuxDriver.start_application_mode)

    def test_it_takes_the_terminal_back_in_the_method_that_we_replace(self) -> None:
        assert "signal.SIGCONT, self._sigcont_application" in inspect.getsource(LinuxDriver.__init__)
        assert "self._must_signal_resume = True" in inspect.getsource(LinuxDriver._sigtstp_application)

    async def test_the_app_takes_it(self) -> None:
        assert dashboard().get_driver_class() is internals.SteadyDriver


class TestTheDecoder:
    @pytest.mark.parametrize(
        ("data", "text"),
        [(b"a\xffb", "ab"), (b"\xc3\x28", "("), (b"\xe2\x82", ""), (b"\x80", ""), ("é€😀".encode(), "é€😀")],
    )
    def test_bytes_that_are_no_character_are_left_out(self, data: bytes, text: str) -> None:
        assert internals.SteadyDecoder().decode(data) == text

    def test_a_character_may_come_in_pieces(self) -> None:
        decoder = internals.SteadyDecoder()
        assert "".join(decoder.decode(bytes([byte])) for byte in "€".encode()) == "€"

    def test_the_end_of_the_input_is_a_terminal_that_has_gone(self) -> None:
        with pytest.raises(OSError, match="closed") as raised:
            internals.SteadyDecoder().decode(b"")
        assert is_terminal_gone(raised.value)


class TestTheParser:
    """``Parser`` is a generator that is fed one character at a time, and restarted by four of its fields."""

    def test_its_state_is_the_fields_that_we_set(self) -> None:
        assert {"_gen", "_awaiting", "_tokens", "_timeout_time"} <= vars(XTermParser()).keys()
        assert "self.parse(self._tokens.append)" in inspect.getsource(Parser.__init__)

    @pytest.mark.parametrize(
        "sequence",
        [
            "\x1b[99999999999u",
            "\x1b[1114112u",
            "\x1b[97;;99999999999u",
        ],
    )
    def test_after_what_cannot_be_understood_keys_are_read_again(self, sequence: str) -> None:
        parser = internals.SteadyParser()
        list(parser.feed(sequence))
        assert [event.key for event in parser.feed("j") if isinstance(event, events.Key)] == ["j"]

    def test_a_sequence_is_read_in_whichever_pieces_it_comes(self) -> None:
        whole = keys(internals.SteadyParser().feed("\x1b[Ak\x1b[5~"))
        parser = internals.SteadyParser()
        assert (
            keys(event for piece in ("\x1b", "[", "A", "k\x1b[5", "~") for event in parser.feed(piece))
            == whole
        )
        assert whole == ["up", "k", "pageup"]

    def test_the_end_of_the_input_ends_it(self) -> None:
        parser = internals.SteadyParser()
        assert list(parser.feed("")) == []
        assert parser.is_eof


def keys(messages: Iterable[Message]) -> list[str]:
    return [message.key for message in messages if isinstance(message, events.Key)]


class BrokenFile:
    def write(self, _text: str) -> None:
        raise ValueError("no longer a terminal")

    def flush(self) -> None:
        pass


class TestTheWriter:
    """``WriterThread`` takes texts from a bounded queue until it gets ``None``."""

    def test_its_queue_is_the_field_that_we_empty(self) -> None:
        queue = internals.SteadyWriter(BrokenFile())._queue  # type: ignore[arg-type]
        assert isinstance(queue, Queue)
        assert queue.maxsize > 0
        assert "self._queue.put(None)" in inspect.getsource(WriterThread.stop)

    def test_when_it_cannot_write_it_says_so_once_and_nobody_waits_for_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        died: list[BaseException | None] = []
        monkeypatch.setattr(threading, "excepthook", lambda death: died.append(death.exc_value))
        writer = internals.SteadyWriter(BrokenFile())  # type: ignore[arg-type]
        writer.start()
        for _ in range(100):
            writer.write("more than the queue holds")
        writer.stop()
        assert [type(error) for error in died] == [ValueError]


class TestTheApp:
    """``App`` hands every picture to ``_display`` and every error to ``_handle_exception``."""

    def test_it_has_the_methods_that_we_replace(self) -> None:
        assert list(inspect.signature(App._display).parameters) == ["self", "screen", "renderable"]
        assert list(inspect.signature(App._handle_exception).parameters) == ["self", "error"]

    def test_a_partial_update_is_made_of_what_we_read(self) -> None:
        update = ChopsUpdate([], [], [])
        assert (update.chops, update.spans, update.chop_ends) == ([], [], [])
        trimmed = internals.trimmed(update)
        assert isinstance(trimmed, internals.TrimmedUpdate)
        assert trimmed.render_segments(Console()) == ""

    def test_it_hands_a_key_on_by_the_method_that_we_replace(self) -> None:
        source = inspect.getsource(App.on_event)
        assert "forward_target = self.focused or self.screen" in source
        assert "forward_target._forward_event(event)" in source

    async def test_letters_keep_their_order_though_the_box_comes_between_them(self) -> None:
        app = dashboard()
        async with app.run_test() as pilot:
            await app.on_event(events.Key("a", "a"))  # to the screen, which has not looked at it yet
            screen = app.screen
            assert isinstance(screen, ListScreen)
            screen.action_filter()  # the slash before it is obeyed
            for letter in "bc":
                await app.on_event(events.Key(letter, letter))
            await pilot.pause()
            await app.on_event(events.Key("d", "d"))
            await pilot.pause()
            assert screen.query_one(internals.Box).value == "abcd"

    @pytest.mark.parametrize("turns", range(9))
    async def test_letters_keep_their_order_however_many_turns_lie_between_them(self, turns: int) -> None:
        app = dashboard()
        async with app.run_test() as pilot:
            for letter in "/abcdef":
                app.post_message(events.Key("slash" if letter == "/" else letter, letter))
                for _ in range(turns):
                    await asyncio.sleep(0)
            await pilot.pause()
            await pilot.pause()
            assert app.screen.query_one(internals.Box).value == "abcdef"

    def test_whatever_else_is_drawn_is_left_as_it_is(self) -> None:
        assert internals.trimmed("words") == "words"
        assert internals.trimmed(None) is None
