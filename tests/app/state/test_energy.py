"""What a request took of its GPUs: known where nobody else can have been at work on them."""

from __future__ import annotations

from tests.app.diagnosis.scenes import Other, Scene
from tests.app.diagnosis.test_prompt_reread import Watched

POWER = {"power_watts": 200.0}


def energy_of(scene: Scene) -> list[float | None]:
    one = Watched(scene)
    one.machine.run(2)
    one.talker.at, one.talker.rate = 5.0, 4000.0
    for _ in range(2):
        for sample in one.talker.request(16_000):
            one.machine.look(at=sample.time - one.machine.sent[0].time)
            one.machine.say(sample)
    [runner] = [runner for runner in one.monitor.state.runners.values() if runner.requests]
    return [request.energy_joules for request in runner.requests]


def test_one_that_was_alone_took_the_power_of_its_card() -> None:
    [first, second] = energy_of(Scene(in_ram_gib=0.0, context=65536, reading=POWER))
    assert first is not None
    assert 200.0 * 4.0 <= first <= 200.0 * 7.5
    assert second is not None


def test_beside_a_program_that_may_compute_nothing_is_known() -> None:
    scene = Scene(in_ram_gib=0.0, reading=POWER, others=(Other("python", 2.0),))
    assert energy_of(scene) == [None, None]


def test_without_the_power_nothing_is_known() -> None:
    scene = Scene(in_ram_gib=0.0, reading={"power_watts": None})
    assert energy_of(scene) == [None, None]
