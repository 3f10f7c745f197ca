from __future__ import annotations

import pytest
from tests.fakes.samples import START
from tests.scene import Gpu, Machine, Model, Program
from tests.scene.machine import Voice

from gpumon.app.alerts.alert import Alert
from gpumon.app.alerts.limits import Limits

FAR = "http://far:11434"
FIRST: tuple[Voice, ...] = ("driver", "servers")


def claimed(
    gpu_gib: float = 10.0,
    ram_gib: float | None = 0.0,
    *,
    name: str = "llama3:70b",
    on: Machine | None = None,
    url: str | None = None,
    whom: tuple[Voice, ...] = ("servers",),
) -> Model:
    """Return a model that its server claims to lie so, heard of these sources at 0."""
    machine = on or Machine()
    server = machine.ollama(url) if url else machine.ollama()
    model = server.load(Model(name, gpu_gib=gpu_gib, ram_gib=ram_gib))
    machine.look(*whom)
    return model


def spill(model: Model) -> Alert:
    return model.machine.raised("spill")


def moves(model: Model, ram_gib: float | None, gpu_gib: float = 10.0, *, at: float = 1.0) -> Machine:
    """Have its server claim it to lie otherwise from a time on."""
    model.ram_gib, model.gpu_gib = ram_gib, gpu_gib
    return model.machine.look("servers", at=at)


def test_a_spill_is_raised_by_the_first_poll_that_shows_it() -> None:
    machine = Machine().look("driver")
    machine.now = 1
    alert = spill(claimed(ram_gib=2.0, on=machine))
    assert (alert.since, alert.duration_seconds(START + 1)) == (START + 1, 0.0)


def test_the_message_names_the_model_and_both_parts() -> None:
    alert = spill(claimed(24.1, 18.2))
    assert alert.message == "llama3:70b spill: 18.2 GiB (43%) in RAM, 24.1 GiB (57%) on GPU"
    assert alert.subject == "llama3:70b"


@pytest.mark.parametrize(
    ("ram_gib", "severity"), [(0.01, "watch"), (0.4, "watch"), (0.5, "bad"), (5.0, "bad")]
)
def test_a_spill_is_bad_from_five_percent(ram_gib: float, severity: str) -> None:
    assert spill(claimed(10.0 - ram_gib, ram_gib)).severity == severity


def test_the_limit_between_watch_and_bad_can_be_set() -> None:
    machine = Machine(limits=Limits(spill_bad_percent=60))
    assert spill(claimed(5, 5, on=machine)).severity == "watch"


def test_a_trace_in_ram_is_not_written_as_nothing() -> None:
    alert = spill(claimed(10.0, 0.01))
    assert alert.message == "llama3:70b spill: <0.1 GiB (<1%) in RAM, 10.0 GiB (>99%) on GPU"


def test_a_model_wholly_on_the_gpu_raises_nothing() -> None:
    assert claimed(whom=FIRST).machine.alert("spill") is None


def test_a_model_wholly_on_the_cpu_spills_where_the_driver_shows_a_gpu() -> None:
    alert = spill(claimed(0, 0.6, name="embed", whom=FIRST))
    assert alert.message == (
        "embed spill: runs wholly on the CPU, 0.6 GiB (100%) in RAM, 0.0 GiB (0%) on GPU"
    )
    assert alert.severity == "bad"


def test_a_model_wholly_on_the_cpu_is_as_it_should_be_without_a_gpu() -> None:
    machine = Machine()
    machine.gpus, machine.driver = [], "absent"
    assert claimed(0, 4, on=machine, whom=FIRST).machine.alert("spill") is None


def two(url: str | None = None) -> Machine:
    """Return a machine of which nobody but a server speaks, with one model on its CPU and one on its GPU."""
    machine = Machine()
    server = machine.ollama(url) if url else machine.ollama()
    server.load(Model("a", ram_gib=4, gpu_gib=0))
    server.load(Model("b"))
    return machine.look("servers")


def test_vram_that_a_server_claims_proves_a_gpu_without_a_driver() -> None:
    assert two().raised("spill").subject == "a"


def test_a_gpu_once_known_is_not_forgotten_when_its_model_goes() -> None:
    machine = two()
    machine.servers[0].models.pop()
    machine.look("servers", at=1).look("servers", at=9)
    assert machine.raised("spill").since == START


def test_a_gpu_seen_after_the_model_turns_it_into_a_spill() -> None:
    assert claimed(0, 4).machine.look("driver", at=1).raised("spill").severity == "bad"


def seen_by_the_user(model: Model) -> Model:
    model.monitor.alerts.acknowledge_all()
    model.machine.news()
    return model


def test_five_more_points_renew_the_alert_as_spilled_further() -> None:
    model = seen_by_the_user(claimed(8, 2))
    assert moves(model, 2.5, 7.5).news() == ["renewed"]
    alert = spill(model)
    assert alert.message == "llama3:70b spilled further: 2.5 GiB (25%) in RAM, 7.5 GiB (75%) on GPU"
    assert (alert.since, alert.renewed, alert.acknowledged) == (START, START + 1, False)


def test_less_than_five_more_points_only_update_the_figures() -> None:
    model = seen_by_the_user(claimed(8, 2))
    assert moves(model, 2.4, 7.6).news() == []
    alert = spill(model)
    assert alert.message == "llama3:70b spill: 2.4 GiB (24%) in RAM, 7.6 GiB (76%) on GPU"
    assert alert.acknowledged


def test_growth_counts_from_the_last_renewal() -> None:
    model = claimed(9, 1)
    for at, ram_gib in enumerate((1.6, 2.0, 2.1), start=1):
        moves(model, ram_gib, 10 - ram_gib, at=at)
    assert model.machine.news() == ["raised", "renewed", "renewed"]


def test_a_watch_that_becomes_bad_is_renewed() -> None:
    model = claimed(9.6, 0.4)
    assert (model.machine.news(), spill(model).severity) == (["raised"], "watch")
    moves(model, 0.6, 9.4)
    assert (model.machine.news(), spill(model).severity) == (["renewed"], "bad")


def test_a_model_back_on_the_gpu_ends_it_as_recovered_from_the_first_good_poll() -> None:
    machine = moves(claimed(ram_gib=2), 0.0, at=5).look("servers", at=8)
    ended = machine.monitor.alerts.recent[0]
    assert (ended.ended, ended.until, machine.alert("spill")) == ("recovered", START + 5, None)


def test_an_unloaded_model_ends_it_at_once() -> None:
    model = claimed(ram_gib=2)
    model.server.unload(model)
    recent = model.machine.look("servers", at=1).monitor.alerts.recent
    assert [(alert.ended, alert.until) for alert in recent] == [("unloaded", START + 1)]


def test_a_server_that_stopped_has_unloaded_its_models() -> None:
    model = claimed(ram_gib=2)
    model.server.state = "not_running"
    assert model.machine.look("servers", at=1).monitor.alerts.recent[0].ended == "unloaded"


def test_a_server_that_hangs_does_not_end_it() -> None:
    model = claimed(ram_gib=2)
    model.server.state = "hanging"
    for at in range(1, 100):
        model.machine.look("servers", at=at)
    assert model.machine.is_silent(at=100).raised("spill").since == START


def test_a_claim_without_size_neither_raises_nor_ends_it() -> None:
    unknown, spilled = claimed(ram_gib=None), claimed(ram_gib=2)
    for at in range(1, 20):
        moves(unknown, None, at=at)
        moves(spilled, None, at=at)
    assert unknown.machine.alert("spill") is None
    assert spill(spilled).since == START


def test_the_same_name_on_two_servers_gives_two_alerts() -> None:
    machine = claimed(ram_gib=2).machine
    claimed(ram_gib=2, on=machine, url="http://other:11434")
    assert len({alert.key for alert in machine.alerts()}) == 2


def test_a_name_with_escapes_is_shown_and_not_obeyed() -> None:
    alert = spill(claimed(ram_gib=2, name="\x1b[2Jevil\n"))
    assert alert.subject == "␛[2Jevil␊"
    assert alert.message.isprintable()


def test_a_model_that_spills_in_every_other_poll_is_one_alert() -> None:
    model = claimed()
    for at in range(1, 100):
        moves(model, 2 * (at % 2), at=at)
    assert model.machine.news() == ["raised"]


def test_a_gpu_of_this_machine_says_nothing_of_a_remote_server() -> None:
    assert claimed(0, 4, url=FAR, whom=FIRST).machine.alert("spill") is None


def test_vram_that_a_remote_server_claims_proves_its_own_gpu_alone() -> None:
    machine = two(FAR)
    claimed(0, 4, name="a", on=machine)
    assert machine.raised("spill").subject_id.startswith(FAR)


def joined(
    gpu_gib: float, ram_gib: float, *, gpu_layers: int | None = None, beside: tuple[Program, ...] = ()
) -> Machine:
    """Return a machine with a model whose process is known, after a look at all of them."""
    machine = Machine(Gpu())
    machine.programs = list(beside)
    settings = {"gpu_layers": gpu_layers}
    machine.ollama().load(Model("embed", gpu_gib=gpu_gib, ram_gib=ram_gib, settings=settings))
    return machine.look("processes", "driver").look("servers", at=1)


def test_a_process_on_no_gpu_is_told_so() -> None:
    alert = joined(0, 0.6, beside=(Program("blender", 1.0, pid=7),)).raised("spill")
    assert alert.message.endswith("0.0 GiB (0%) on GPU; its process is on no GPU")
    assert alert.severity == "bad"


def test_the_cpu_by_choice_is_no_alarm() -> None:
    assert joined(0, 0.6, gpu_layers=0).alert("spill") is None


def test_layers_put_on_a_gpu_by_hand_are_no_choice_of_the_cpu() -> None:
    assert joined(6, 4, gpu_layers=20).raised("spill").severity == "bad"
