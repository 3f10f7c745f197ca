from __future__ import annotations

import pytest
from tests.fakes.samples import OLLAMA
from tests.scene import Gpu, Machine, Model

from gpumon.app.insight.health import Health, health
from gpumon.app.insight.wording import model_id
from gpumon.collectors.samples import SourceState

FAR = "http://far:11434"


def verdict(machine: Machine) -> Health:
    """Return level, sentence and exit code; what is wrong with what is tested by itself."""
    found = health(machine.state, machine.monitor.alerts.active)
    return Health(found.level, found.sentence, found.exit_code)


def test_what_is_wrong_is_named_with_what_it_is_about() -> None:
    machine = told(spilled())
    found = health(machine.state, ())
    [model] = machine.state.models
    assert (found.kind, found.subject_id) == ("spill", model_id(model))
    lost = health(told(gpus=(LOST,)).state, ())
    assert lost.kind == "gpu_lost"
    assert lost.subject_id in told(gpus=(LOST,)).state.gpus


def test_nothing_is_named_where_all_is_well() -> None:
    assert health(told(Model()).state, ())[3:] == ("", "")


def told(
    *models: Model,
    gpus: tuple[Gpu, ...] = (Gpu(),),
    driver: SourceState = "serving",
    server: SourceState | None = None,
    detail: str | None = None,
) -> Machine:
    """Return a machine whose driver and Ollama have each answered once."""
    machine = Machine()
    machine.gpus, machine.driver = list(gpus), driver
    ollama = machine.ollama()
    ollama.state, ollama.detail = server, detail
    for model in models:
        ollama.load(model)
    return machine.look("driver", "servers")


def spilled(name: str = "llama3:70b") -> Model:
    return Model(name, ram_gib=18.2, gpu_gib=24.1)


def unplaced(name: str) -> Model:
    return Model(name, ram_gib=None)


LOST = Gpu(state="lost", detail="fell off the bus")


@pytest.mark.parametrize(
    ("machine", "sentence"),
    [
        (told(Model("a"), Model("b"), Model("c")), "all 3 models on GPU"),
        (told(Model("a")), "1 model on GPU"),
        (told(), "no model loaded"),
        (told(gpus=(), driver="absent"), "no model loaded; no GPU driver here"),
        (told(gpus=()), "no model loaded; no GPU here"),
        (told(Model(ram_gib=4, gpu_gib=0), gpus=(), driver="absent"), "1 model in RAM, no GPU here"),
        (
            told(Model("a"), Model("b"), gpus=(), driver="absent"),
            "both models on GPU; no GPU driver here",
        ),
        (told(server="not_running"), "1 GPU well; no Ollama at 127.0.0.1:11434"),
        (told(gpus=(Gpu(state="asleep"),), driver="asleep"), "no model loaded"),
    ],
)
def test_when_all_is_well_it_says_so_and_names_what_is_missing(machine: Machine, sentence: str) -> None:
    assert verdict(machine) == Health("ok", sentence, 0)


def test_a_model_of_unknown_placement_is_not_called_well() -> None:
    sentence = "2 models loaded, placement of 1 unknown"
    assert verdict(told(Model("a"), unplaced("b"))) == Health("unknown", sentence, 0)


def test_of_one_model_the_placement_is_unknown() -> None:
    assert verdict(told(unplaced("a"))).sentence == "1 model loaded, placement unknown"


def test_a_first_model_that_loads_is_named() -> None:
    machine = told()
    machine.servers[0].starts(Model(blob=None, settings={"model_name": "qwen3:14b"}))
    assert verdict(machine.look("processes", at=0.5)) == Health("ok", "qwen3:14b is loading", 0)


def test_several_first_loads_are_counted() -> None:
    machine = told()
    for pid in (100, 101):
        machine.servers[0].starts(Model(pid=pid, blob=None, settings={"model_name": f"model-{pid}"}))
    assert verdict(machine.look("processes", at=0.5)).sentence == "2 models are loading"


def test_one_spill_is_told_with_its_size() -> None:
    assert verdict(told(spilled())) == Health("bad", "llama3:70b spills 18.2 GiB (43%) to RAM", 1)


def test_several_spills_name_the_worst() -> None:
    models = Model("a", ram_gib=1), spilled(), Model("c")
    assert verdict(told(*models)).sentence == "2 models spill to RAM: worst llama3:70b 43%"


def test_a_model_wholly_on_the_cpu_is_told_so() -> None:
    found = verdict(told(Model("embed", ram_gib=0.6, gpu_gib=0)))
    assert found == Health("bad", "embed runs wholly on the CPU, 0.6 GiB in RAM", 1)


def test_a_small_spill_is_worth_watching() -> None:
    assert verdict(told(Model(ram_gib=0.1))).level == "watch"


def test_a_lost_gpu_comes_before_a_spill() -> None:
    assert verdict(told(spilled(), gpus=(LOST,))) == Health("bad", "GPU 0 is lost: fell off the bus", 1)


def test_a_bad_spill_comes_before_a_gpu_worth_watching() -> None:
    assert "spills" in verdict(told(spilled(), gpus=(Gpu(state="failing"),))).sentence


def test_an_alert_is_told_in_its_own_words() -> None:
    machine = told()
    machine.available_gib = 3.2
    for at in range(6):
        machine.look("system", at=at)
    assert verdict(machine) == Health("bad", "RAM is running out: 3.2 GiB (5%) available", 1)


def test_a_server_that_stopped_is_worth_watching() -> None:
    machine = told()
    machine.servers[0].state = "not_running"
    assert verdict(machine.look("servers", at=1)) == Health("watch", "Ollama stopped", 1)


def test_a_server_that_refuses_us_is_trouble_from_the_start() -> None:
    found = verdict(told(server="forbidden", detail="401 Unauthorized"))
    sentence = "Ollama at 127.0.0.1:11434 does not let us ask: 401 Unauthorized"
    assert found == Health("bad", sentence, 1)


def test_a_silent_server_is_told_at_once_and_keeps_its_spill_in_the_verdict() -> None:
    idle, at_work = told(), told(spilled())
    for machine in (idle, at_work):
        machine.is_silent(at=3)
    assert verdict(idle).sentence == "Ollama at 127.0.0.1:11434 is not answering"
    assert "spills" in verdict(at_work).sentence


def test_nothing_read_is_unknown_and_names_each_missing_part() -> None:
    sentence = "no GPU driver here, no Ollama at 127.0.0.1:11434"
    machine = told(gpus=(), driver="absent", server="not_running")
    assert verdict(machine) == Health("unknown", sentence, 2)


def test_a_machine_of_which_only_the_memory_is_read_has_nothing_read() -> None:
    machine = told(gpus=(), driver="absent", server="not_running")
    assert verdict(machine.look("system")).exit_code == 2


def test_nothing_read_because_a_server_hangs_says_so() -> None:
    machine = Machine()
    machine.gpus, machine.driver = [], "absent"
    machine.look("driver").is_silent(OLLAMA, at=3)
    sentence = "Ollama at 127.0.0.1:11434 is not answering; no GPU driver here"
    assert verdict(machine) == Health("watch", sentence, 2)


def test_another_program_at_the_address_is_named_as_such() -> None:
    found = verdict(told(gpus=(), driver="absent", server="foreign", detail="nginx"))
    sentence = "another program answers at 127.0.0.1:11434: nginx; no GPU driver here"
    assert found == Health("bad", sentence, 2)


def test_a_driver_that_fails_is_named_before_the_gpus_that_are_lost_with_it() -> None:
    mismatch = "driver and library versions differ"
    machine = Machine(card := Gpu()).look("driver")
    card.state, card.detail = "lost", mismatch
    machine.driver, machine.driver_detail = "failing", mismatch
    assert verdict(machine.look("driver", at=1)).sentence == f"GPU driver is failing: {mismatch}"


def test_before_the_first_sample_it_waits() -> None:
    assert verdict(Machine()) == Health("unknown", "waiting for the first answer", 2)


def test_names_from_outside_are_shown_and_not_obeyed() -> None:
    assert verdict(told(Model("\x1b[2J", ram_gib=2))).sentence.startswith("␛[2J spills")


def test_a_remote_model_on_its_cpu_is_not_a_spill_because_of_a_gpu_here() -> None:
    machine = Machine()
    machine.ollama(FAR).load(Model(ram_gib=4, gpu_gib=0))
    assert verdict(machine.look("driver", "servers")) == Health("ok", "1 model in RAM", 0)
    machine.ollama().load(Model())
    sentence = "2 models, 1 in RAM where no GPU is known"
    assert verdict(machine.look("servers")) == Health("ok", sentence, 0)


def chosen(*others: Model, driver: SourceState = "serving") -> Health:
    """Return what is said of a model that was put on the CPU, and of others whose processes are not seen."""
    machine = told(gpus=(Gpu(),) if driver == "serving" else (), driver=driver)
    settings = {"model_name": "embed", "gpu_layers": 0}
    embed = Model("embed", ram_gib=0.6, gpu_gib=0, blob=None, is_described=False, settings=settings)
    [server] = machine.servers
    server.load(embed)
    machine.look("processes")
    for model in others:
        server.load(model)
    return verdict(machine.look("servers"))


def test_a_model_on_the_cpu_by_choice_is_well_and_counts_as_no_spill() -> None:
    sentence = "embed runs on the CPU by choice (num_gpu 0): 0.6 GiB in RAM"
    assert chosen() == Health("ok", sentence, 0)
    assert chosen(Model()) == Health("ok", "2 models, 1 on the CPU by choice", 0)
    assert chosen(spilled()) == verdict(told(spilled()))
    assert chosen(driver="absent").sentence.startswith("1 model in RAM")


def test_a_silent_fallback_is_told_in_its_own_words() -> None:
    machine = Machine(Gpu(unowned_gib=0.2))
    machine.ollama().load(Model(measured_gib=0.3, is_described=False))
    for at in range(2):
        machine.look("driver", "processes", "servers", at=at)
    found = verdict(machine)
    assert (found.level, "silent fallback" in found.sentence) == ("bad", True)


def test_a_gpu_that_was_lost_before_the_start_is_no_good_health() -> None:
    machine = Machine()
    machine.ollama()
    machine.driver_detail = "GPU 1 cannot be opened: GPU is lost"
    found = verdict(machine.look("driver", "servers"))
    assert (found.level, found.exit_code) == ("bad", 1)
    assert found.sentence == "GPU 1 cannot be opened: GPU is lost"
