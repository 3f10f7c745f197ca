"""The settings file to start from."""

from __future__ import annotations

import re
import tomllib

from gpumon.app.config.entries import Entry, checked, leaves
from gpumon.app.config.printed import template
from gpumon.app.config.schema import settings_of
from gpumon.app.config.settings import Settings


def without_marks(text: str) -> str:
    return re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)


def test_as_written_it_sets_nothing() -> None:
    assert tomllib.loads(template()) == {}


def test_with_the_marks_removed_every_line_is_a_setting_that_can_be_used() -> None:
    tree = tomllib.loads(without_marks(template()))
    assert checked({path: Entry(value, "template") for path, value in leaves(tree)})


def test_it_holds_every_key() -> None:
    there = {path[:2] for path, _ in leaves(tomllib.loads(without_marks(template())))}
    assert {key.path for key in settings_of(Settings) if key.path != ("headers",)} <= there
