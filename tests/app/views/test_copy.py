"""Which command is copied, and what is said of it."""

from __future__ import annotations

import pytest

from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.views.actions import command_to_copy, copied_words


def remedy(command: str | None, where: str | None = None) -> Remedy:
    return Remedy("shrink_context", "shrink the context", command, "needs 5 of 6 GiB", where=where)


def test_the_best_remedy_with_a_command_is_taken() -> None:
    first, second = remedy("ollama stop a"), remedy("ollama stop b")
    assert command_to_copy((remedy(None), first, second)) is first


def test_without_a_command_there_is_nothing_to_copy() -> None:
    assert command_to_copy(()) is None
    assert command_to_copy((remedy(None),)) is None


@pytest.mark.parametrize(
    "command", ["ollama stop 'a\nreboot'", "ollama stop \x1b[2J", "ollama stop a\u202eb"]
)
def test_a_command_that_hides_something_is_passed_over(command: str) -> None:
    plain = remedy("ollama stop b")
    assert command_to_copy((remedy(command), plain)) is plain


def test_the_command_stands_before_where_it_goes() -> None:
    words = copied_words(remedy("/set parameter num_ctx 12288", "in ollama run"))
    assert words == "copied: /set parameter num_ctx 12288 (in ollama run)"
