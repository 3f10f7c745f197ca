"""``--read-only``: no key asks a server to do anything."""

from __future__ import annotations

from gpumon.app.config.load import flag_entries, load
from gpumon.app.config.settings import Settings
from gpumon.app.session.build import live_session


def test_no_server_can_be_asked_to_unload() -> None:
    session = live_session(Settings(read_only=True))
    assert session.read_only
    assert not session.unload


def test_else_each_can() -> None:
    session = live_session(Settings())
    assert not session.read_only
    assert session.unload.get("http://127.0.0.1:11434") is not None


def test_it_is_a_flag_and_a_variable() -> None:
    assert load(flag_entries({"read_only": True}), {}).settings.read_only
    assert load({}, {"GPUMON_READ_ONLY": "1"}).settings.read_only
