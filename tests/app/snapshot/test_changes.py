"""What is news after a snapshot, and what is not: from both sides of each threshold."""

from __future__ import annotations

import pytest
from tests.fakes.samples import claim, ollama
from tests.scene import Gpu, Machine, Model, Program
from tests.scene.things import working_slot

from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.changes import FIGURES_SECONDS, Changes, have_moved, state_of, without_figures
from gpumon.app.snapshot.watch import taken

MIB = 1024**2


class Watched:
    """A machine, and whether a look at it is news."""

    def __init__(self, *gpus: Gpu) -> None:
        self.machine = Machine(*gpus)
        self.server = self.machine.ollama()
        self.changes = Changes()

    def is_news(self, after: float = 1.0) -> bool:
        self.machine.now += after
        self.machine.look()
        return self.changes.is_news(build_snapshot(self.machine.monitor.pictures))

    def settle(self, looks: int = 5) -> None:
        """Look until nothing of the start is news any more."""
        for _ in range(looks):
            self.is_news()
        assert not self.is_news()

    def load(self, **fields: float) -> Model:
        model = self.server.load(Model("qwen3:14b", **fields))  # type: ignore[arg-type]
        assert self.is_news()
        self.settle()
        return model


@pytest.fixture
def watched() -> Watched:
    one = Watched(Gpu())
    assert one.is_news(), "the first is"
    one.settle()
    return one


def test_the_same_again_is_no_news(watched: Watched) -> None:
    assert not any(watched.is_news(60) for _ in range(10))


def test_a_model_that_comes_and_goes_is_news(watched: Watched) -> None:
    model = watched.load(gpu_gib=6)
    watched.server.unload(model)
    assert watched.is_news()


def test_a_spill_is_news_and_so_is_each_further_percent(watched: Watched) -> None:
    model = watched.load(gpu_gib=8)
    model.gpu_gib, model.ram_gib = 7, 1
    assert watched.is_news()
    watched.settle()
    model.gpu_gib, model.ram_gib = 6.9, 1.1
    assert watched.is_news()


def test_a_model_that_begins_to_work_and_to_rest_is_news(watched: Watched) -> None:
    model = watched.load(gpu_gib=8)
    model.works()
    assert watched.is_news()
    watched.settle()
    model.works(processing=False)
    assert any(watched.is_news() for _ in range(5))


def test_its_rate_and_tokens_are_news_once_in_ten_seconds(watched: Watched) -> None:
    model = watched.load(gpu_gib=8)
    told = []
    for second in range(41):
        model.port, model.slots = "ready", [working_slot(0, 1, 500, 1 + 40 * second)]
        told.append(watched.is_news())
    state_known = 5
    assert 3 <= sum(told[state_known:]) <= 4, told


def test_memory_that_moves_by_less_than_its_step_is_never_news(watched: Watched) -> None:
    watched.machine.available_gib -= 255 / 1024
    assert not watched.is_news(FIGURES_SECONDS)
    watched.machine.available_gib -= 1 / 1024
    assert watched.is_news(1), "the last line is old enough"


def test_figures_wait_for_ten_seconds_after_any_line(watched: Watched) -> None:
    watched.load(gpu_gib=8)
    watched.machine.available_gib -= 4
    waited = 1
    while not watched.is_news():
        waited += 1
        assert waited <= FIGURES_SECONDS
    watched.machine.available_gib -= 4
    assert not watched.is_news(FIGURES_SECONDS - 1)
    assert watched.is_news(1)


def test_a_gpu_that_is_lost_is_news(watched: Watched) -> None:
    watched.machine.gpus[0].state = "lost"
    assert watched.is_news()


@pytest.mark.parametrize(("degrees", "is_news"), [(2, False), (3, True)])
def test_a_gpu_that_warms_is_told_by_steps(watched: Watched, degrees: int, is_news: bool) -> None:
    watched.machine.gpus[0].temperature = 50 + degrees
    assert watched.is_news(FIGURES_SECONDS) is is_news


def test_another_kind_of_program_on_a_gpu_is_news_and_one_more_of_it_is_not(watched: Watched) -> None:
    watched.machine.starts(Program("firefox", 0.1, pid=201, group="browser"))
    assert watched.is_news()
    watched.settle()
    watched.machine.starts(Program("firefox", 0.1, pid=202, group="browser"))
    assert not watched.is_news()


def test_a_server_that_stops_is_news_and_one_that_rests_is_not(watched: Watched) -> None:
    watched.server.state = "idle"
    assert not watched.is_news()
    watched.server.state = "not_running"
    assert watched.is_news()


def test_an_alert_is_news_when_it_comes_and_when_it_ends(watched: Watched) -> None:
    watched.machine.swap_in = 200 * MIB
    before = state_of(build_snapshot(watched.machine.monitor.pictures))
    assert any(watched.is_news() for _ in range(9))
    assert build_snapshot(watched.machine.monitor.pictures).alerts
    assert state_of(build_snapshot(watched.machine.monitor.pictures)) != before
    watched.settle()
    watched.machine.swap_in = 210 * MIB
    assert not watched.is_news(), "its figures are in its message alone"
    watched.machine.swap_in = 0
    assert any(watched.is_news() for _ in range(30))


def test_what_is_missing_is_news() -> None:
    changes, machine = Changes(), Machine().run()
    pictures = machine.monitor.pictures
    assert changes.is_news(build_snapshot(pictures, ["http://box"]))
    assert changes.is_news(build_snapshot(pictures))
    assert not changes.is_news(build_snapshot(pictures))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("RAM is running out: 1.0 GiB (4%) available", "RAM is running out: 990 MiB (3%) available"),
        ("swapping: 12 MB/s in, 0 B/s out", "swapping: 1.2 GB/s in, 900 kB/s out"),
        (
            "a spills 4.0 GiB (33%) to RAM since 10:22: 5.1 tok/s",
            "a spills 4.1 GiB (<1%) to RAM since 10:23: 12 tok/s",
        ),
    ],
)
def test_figures_in_a_sentence_are_no_words_of_it(before: str, after: str) -> None:
    assert without_figures(before) == without_figures(after)


def test_other_words_are() -> None:
    assert without_figures("GPU 0 is hot: 90 °C") != without_figures("GPU 0 is lost")


@pytest.mark.parametrize(
    ("name", "before", "after", "moved"),
    [
        ("decode_tokens_per_second", 40.0, 41.9, False),
        ("decode_tokens_per_second", 40.0, 42.0, True),
        ("decode_tokens_per_second", 40.0, 38.0, True),
        ("decode_tokens_per_second", 40.0, None, True),
        ("decode_tokens_per_second", None, None, False),
        ("decode_tokens_per_second", 0.0, 0.0, False),
        ("utilization_percent", 50, 59, False),
        ("utilization_percent", 50, 40, True),
        ("power_watts", 100.0, 109.9, False),
        ("tokens_generated_total", 100, 101, True),
    ],
)
def test_a_figure_has_moved_by_its_step(
    name: str, before: float | None, after: float | None, moved: bool
) -> None:
    assert have_moved({("m", name): before}, {("m", name): after}) is moved


def test_an_event_alone_is_no_news() -> None:
    machine, changes, told = Machine(), Changes(), []
    for at, models in enumerate([[claim("a")], [], [], [], [], []]):
        machine.say(ollama(at, models, source="http://box:11434"))
        snapshot = taken(machine.monitor, ())
        told.append((changes.is_news(snapshot), len(snapshot.events)))
    assert told == [(True, 0), (True, 0), (False, 0), (False, 0), (False, 1), (False, 1)]
