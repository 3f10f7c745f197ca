"""The key that unloads a model: a question, a request, and what came of it."""

from __future__ import annotations

from tests.app.ui.screen import dashboard, text
from tests.fakes.process_samples import answer, holding, processes, runner
from tests.fakes.samples import OLLAMA, claim, gpu, nvml, ollama
from tests.fakes.served_samples import LLAMA, served
from textual.pilot import Pilot

from gpumon.app.feeds.player import Player
from gpumon.app.ui.app import GpumonApp
from gpumon.collectors.samples import AnySample

MODEL = claim("qwen3:14b", gpu_gib=5.0)
LOADED: tuple[AnySample, ...] = (
    processes(0, runner(cpu_percent=0.0)),
    ollama(0.1, [MODEL]),
    nvml(0.2, holding(gpu(used_gib=6.0), {100: 5.0})),
)
GONE: tuple[AnySample, ...] = (
    processes(2),
    ollama(2.1, []),
    nvml(2.2, holding(gpu(used_gib=1.0), {})),
)


class Server:
    """Notes what it is asked to unload, and answers ``problem``."""

    def __init__(self, problem: str | None = None) -> None:
        self.asked: list[str] = []
        self._problem = problem

    async def unload(self, name: str) -> str | None:
        self.asked.append(name)
        return self._problem


def app_with(server: Server, *samples: AnySample) -> GpumonApp:
    return dashboard(samples or LOADED, unload={OLLAMA: server.unload})


async def told(pilot: Pilot[int]) -> str:
    """Return the last line of the screen, where notices stand."""
    return (await text(pilot)).splitlines()[-1]


async def test_the_question_says_what_goes_where_and_what_comes_back() -> None:
    async with app_with(Server()).run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("u")
        screen = await text(pilot)
    for words in ("Unload this model?", "qwen3:14b", "127.0.0.1:11434", "5.0 GiB of VRAM", "requests"):
        assert words in screen


async def test_no_notice_lies_over_the_question() -> None:
    async with app_with(Server()).run_test(size=(40, 12), notifications=True) as pilot:
        await pilot.press("tab", "y", "tab", "u")
        screen = await text(pilot)
    assert "y Enter yes" in screen
    assert "no model is selected" not in screen


async def test_the_question_is_answered_by_a_click() -> None:
    server = Server()
    async with app_with(server).run_test(size=(80, 24)) as pilot:
        await pilot.press("u")
        lines = (await text(pilot)).splitlines()
        line = next(number for number, line in enumerate(lines) if "y Enter yes" in line)
        await pilot.click(offset=(lines[line].index("n Esc no") + 1, line))
        assert "Unload this model?" not in await text(pilot)
        await pilot.press("u")
        await pilot.click(offset=(lines[line].index("y Enter yes") + 1, line))
        await pilot.pause()
    assert server.asked == ["qwen3:14b"]


async def test_a_request_that_runs_is_told_of_before() -> None:
    async with app_with(Server(), *LOADED, answer(1, processing=True)).run_test(
        size=(80, 24), notifications=True
    ) as pilot:
        await pilot.press("u")
        assert "finished first" in await text(pilot)


async def test_no_leaves_everything_as_it_is() -> None:
    server = Server()
    async with app_with(server).run_test(size=(80, 24), notifications=True) as pilot:
        for key in ("n", "escape"):
            await pilot.press("u", key)
            assert "Unload this model?" not in await text(pilot)
    assert server.asked == []


async def test_yes_asks_the_server_of_that_model() -> None:
    server = Server()
    async with app_with(server).run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("u", "y")
        assert "asked 127.0.0.1:11434 to unload qwen3:14b" in await told(pilot)
    assert server.asked == ["qwen3:14b"]


async def test_what_came_back_is_told_when_it_has() -> None:
    app = app_with(Server())
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("u", "enter")
        await pilot.pause()
        for sample in GONE:
            app.session.monitor.feed(sample)
        assert "qwen3:14b is unloaded: 5.0 GiB of VRAM came back in 2s" in await told(pilot)


async def test_a_refusal_is_told_in_the_servers_words() -> None:
    app = app_with(Server("model 'qwen3:14b' not found"))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("u", "y")
        await pilot.pause()
        assert "qwen3:14b was not unloaded: model 'qwen3:14b' not found" in await told(pilot)
        for sample in GONE:
            app.session.monitor.feed(sample)
        assert "came back" not in await told(pilot), "it went for another reason"


async def test_a_model_that_goes_during_the_question_is_not_asked_for() -> None:
    server = Server()
    app = app_with(server)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("u")
        for sample in GONE:
            app.session.monitor.feed(sample)
        await pilot.press("y")
        assert "no longer loaded" in await told(pilot)
    assert server.asked == []


async def test_the_page_of_a_model_unloads_that_model() -> None:
    server = Server()
    async with app_with(server).run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("enter", "u", "y")
        await pilot.pause()
    assert server.asked == ["qwen3:14b"]


async def test_a_gpu_is_no_model() -> None:
    async with app_with(Server()).run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("g", "u")
        assert "no model is selected" in await told(pilot)


async def test_a_llama_server_is_not_asked_to_unload() -> None:
    app = dashboard([served(0, "gemma"), served(1, "gemma")], unload={LLAMA: Server().unload})
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("u")
        assert "only an Ollama server unloads a model" in await told(pilot)


async def test_a_recording_has_nothing_to_unload() -> None:
    player = Player(lambda: iter(()))
    async with dashboard(LOADED, player=player).run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("u")
        assert "nothing to unload: this is not live" in await told(pilot)


async def test_markup_in_a_name_is_drawn_and_not_obeyed() -> None:
    app = app_with(Server(), ollama(0, [claim("[red]x[/red]")]))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("u")
        assert "[red]x[/red]" in await text(pilot)
        await pilot.press("y")
        assert "[red]x[/red]" in await told(pilot)
        assert "[red]x[/red]" in await text(pilot)
