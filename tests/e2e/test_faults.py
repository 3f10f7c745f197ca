"""A driver and a server that fail at the same time, in a terminal: both are named, and both come back."""

from __future__ import annotations

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.ollama.server import ANY_PATH, FakeOllama

MODEL = "qwen3:8b"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("unavailable_html", "HTTP 503"), ("hang", "not answering"), ("html_200", "another program")],
)
async def test_a_lost_gpu_and_a_server_that_fails_are_both_named_and_both_come_back(
    wrong: str, words: str, environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama
) -> None:
    ollama.catalog.load(MODEL)
    with Pane(gpumon(), environment, 120, 40) as pane:
        await pane.wait_for(MODEL, "GPU")
        fake_driver.lose(0)
        ollama.misbehave(ANY_PATH, wrong)
        await pane.wait_for("GPU 0 is lost", words)
        fake_driver.find(0)
        ollama.behave()
        await pane.wait_until(lambda screen: says_nothing_of(screen, "is lost", words), "both are back")


def says_nothing_of(screen: str, *words: str) -> bool:
    """Tell whether the model is there and, above the alerts of the past, none of the words."""
    now = screen.partition("Events")[0]
    return MODEL in now and not any(word in now for word in words)
