"""A picture of many models: what it costs grows with their number and no faster. Counted, not timed."""

from __future__ import annotations

from tests.scene import Machine, Model

from gpumon.app.views.dashboard import ModelOrder, dashboard_view


class CountedName(str):
    """A name that counts how often it is compared with another."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedName.compared += 1
        return super().__eq__(other)

    def __hash__(self) -> int:
        return super().__hash__()


def comparisons(count: int, ram_gib: float) -> int:
    """Return how often names are compared for the alerts and one picture of ``count`` models."""
    machine = Machine()
    server = machine.ollama()
    for number in range(count):
        server.load(Model(CountedName(f"m{number}"), ram_gib=ram_gib, is_described=False))
    machine.look("driver")
    claims = machine.samples("servers")
    CountedName.compared = 0
    monitor = machine.say(*claims).monitor
    assert len(dashboard_view(monitor, ModelOrder()).models) == count
    return CountedName.compared


def test_names_are_not_compared_each_with_each() -> None:
    assert comparisons(1000, ram_gib=0.0) <= 10 * 1000
    assert comparisons(200, ram_gib=1.0) <= 10 * 200


def test_diagnoses_of_models_that_have_gone_are_forgotten() -> None:
    machine = Machine()
    server = machine.ollama()
    for at in range(50):
        server.models = []
        server.load(Model(f"m{at}", ram_gib=1.0, is_described=False))
        dashboard_view(machine.look("servers", at=at).monitor, ModelOrder())
    assert len(machine.pictures._diagnoses) <= 2
