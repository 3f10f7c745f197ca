from __future__ import annotations

import pytest
from tests.app.alerts.watching import watch
from tests.fakes.process_samples import holding, processes, runner
from tests.fakes.samples import START, claim, gpu, nvml, ollama, ollama_down, silent, system

from gpumon.app.insight.health import Health, health
from gpumon.collectors.samples import AnySample


def verdict(*samples: AnySample) -> Health:
    monitor = watch(*samples)
    return health(monitor.state, monitor.alerts.active)


NO_DRIVER = nvml(0, state="absent")
NO_OLLAMA = ollama_down(0, "not_running")
CARD = nvml(0, gpu())
LOST = nvml(0, gpu(state="lost", detail="fell off the bus"))
SPILLED = claim("llama3:70b", ram_gib=18.2, gpu_gib=24.1)


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        ([CARD, ollama(0, [claim("a"), claim("b"), claim("c")])], "all 3 models on GPU"),
        ([CARD, ollama(0, [claim("a")])], "1 model on GPU"),
        ([CARD, ollama(0)], "no model loaded"),
        ([NO_DRIVER, ollama(0)], "no model loaded; no GPU driver here"),
        ([nvml(0), ollama(0)], "no model loaded; no GPU here"),
        (
            [NO_DRIVER, ollama(0, [claim(ram_gib=4, gpu_gib=0)])],
            "1 model in RAM, no GPU here",
        ),
        ([NO_DRIVER, ollama(0, [claim("a"), claim("b")])], "both models on GPU; no GPU driver here"),
        ([CARD, NO_OLLAMA], "1 GPU well; no Ollama at 127.0.0.1:11434"),
        ([nvml(0, gpu(state="asleep"), state="asleep"), ollama(0)], "no model loaded"),
    ],
)
def test_when_all_is_well_it_says_so_and_names_what_is_missing(
    samples: list[AnySample], sentence: str
) -> None:
    assert verdict(*samples) == Health("ok", sentence, 0)


def test_a_model_of_unknown_placement_is_not_called_well() -> None:
    sentence = "2 models loaded, placement of 1 unknown"
    assert verdict(CARD, ollama(0, [claim("a"), claim("b", ram_gib=None)])) == Health("unknown", sentence, 0)


def test_of_one_model_the_placement_is_unknown() -> None:
    assert (
        verdict(CARD, ollama(0, [claim("a", ram_gib=None)])).sentence == "1 model loaded, placement unknown"
    )


def test_a_first_model_that_loads_is_named() -> None:
    load = processes(0.5, runner(100, None, name="qwen3:14b", started=START))
    assert verdict(CARD, ollama(0), load) == Health("ok", "qwen3:14b is loading", 0)


def test_several_first_loads_are_counted() -> None:
    starting = [runner(pid, None, name=f"model-{pid}", started=START) for pid in (100, 101)]
    assert verdict(CARD, ollama(0), processes(0.5, *starting)).sentence == "2 models are loading"


def test_one_spill_is_told_with_its_size() -> None:
    assert verdict(CARD, ollama(0, [SPILLED])) == Health("bad", "llama3:70b spills 18.2 GiB (43%) to RAM", 1)


def test_several_spills_name_the_worst() -> None:
    models = [claim("a", ram_gib=1), SPILLED, claim("c")]
    assert verdict(CARD, ollama(0, models)).sentence == "2 models spill to RAM: worst llama3:70b 43%"


def test_a_model_wholly_on_the_cpu_is_told_so() -> None:
    found = verdict(CARD, ollama(0, [claim("embed", ram_gib=0.6, gpu_gib=0)]))
    assert found == Health("bad", "embed runs wholly on the CPU, 0.6 GiB in RAM", 1)


def test_a_small_spill_is_worth_watching() -> None:
    assert verdict(CARD, ollama(0, [claim(ram_gib=0.1)])).level == "watch"


def test_a_lost_gpu_comes_before_a_spill() -> None:
    assert verdict(LOST, ollama(0, [SPILLED])) == Health("bad", "GPU 0 is lost: fell off the bus", 1)


def test_a_bad_spill_comes_before_a_gpu_worth_watching() -> None:
    assert "spills" in verdict(nvml(0, gpu(state="failing")), ollama(0, [SPILLED])).sentence


def test_an_alert_is_told_in_its_own_words() -> None:
    low = [system(at, available_gib=3.2) for at in range(6)]
    assert verdict(CARD, ollama(0), *low) == Health("bad", "RAM is running out: 3.2 GiB (5%) available", 1)


def test_a_server_that_stopped_is_worth_watching() -> None:
    found = verdict(CARD, ollama(0), ollama_down(1, "not_running"))
    assert found == Health("watch", "Ollama stopped", 1)


def test_a_server_that_refuses_us_is_trouble_from_the_start() -> None:
    found = verdict(CARD, ollama_down(0, "forbidden", "401 Unauthorized"))
    sentence = "Ollama at 127.0.0.1:11434 does not let us ask: 401 Unauthorized"
    assert found == Health("bad", sentence, 1)


def test_a_silent_server_is_told_at_once_and_keeps_its_spill_in_the_verdict() -> None:
    assert verdict(CARD, ollama(0), silent(3)).sentence == "Ollama at 127.0.0.1:11434 is not answering"
    assert "spills" in verdict(CARD, ollama(0, [SPILLED]), silent(3)).sentence


def test_nothing_read_is_unknown_and_names_each_missing_part() -> None:
    sentence = "no GPU driver here, no Ollama at 127.0.0.1:11434"
    assert verdict(NO_DRIVER, NO_OLLAMA) == Health("unknown", sentence, 2)


def test_a_machine_of_which_only_the_memory_is_read_has_nothing_read() -> None:
    assert verdict(NO_DRIVER, NO_OLLAMA, system(0)).exit_code == 2


def test_nothing_read_because_a_server_hangs_says_so() -> None:
    found = verdict(NO_DRIVER, silent(3))
    assert found == Health("watch", "Ollama at 127.0.0.1:11434 is not answering; no GPU driver here", 2)


def test_another_program_at_the_address_is_named_as_such() -> None:
    found = verdict(NO_DRIVER, ollama_down(0, "foreign", "nginx"))
    sentence = "another program answers at 127.0.0.1:11434: nginx; no GPU driver here"
    assert found == Health("bad", sentence, 2)


def test_a_driver_that_fails_is_named_before_the_gpus_that_are_lost_with_it() -> None:
    mismatch = "driver and library versions differ"
    found = verdict(CARD, nvml(1, gpu(state="lost", detail=mismatch), state="failing", detail=mismatch))
    assert found.sentence == f"GPU driver is failing: {mismatch}"


def test_before_the_first_sample_it_waits() -> None:
    assert verdict() == Health("unknown", "waiting for the first answer", 2)


def test_names_from_outside_are_shown_and_not_obeyed() -> None:
    assert verdict(CARD, ollama(0, [claim("\x1b[2J", ram_gib=2)])).sentence.startswith("␛[2J spills")


FAR = "http://far:11434"


def test_a_remote_model_on_its_cpu_is_not_a_spill_because_of_a_gpu_here() -> None:
    remote = ollama(0, [claim(ram_gib=4, gpu_gib=0)], source=FAR)
    assert verdict(CARD, remote) == Health("ok", "1 model in RAM", 0)
    sentence = "2 models, 1 in RAM where no GPU is known"
    assert verdict(CARD, ollama(0, [claim()]), remote) == Health("ok", sentence, 0)


def test_a_model_on_the_cpu_by_choice_is_well_and_counts_as_no_spill() -> None:
    embed = claim("embed", ram_gib=0.6, gpu_gib=0)
    chosen = processes(0, runner(blob=None, name="embed", gpu_layers=0))
    sentence = "embed runs on the CPU by choice (num_gpu 0): 0.6 GiB in RAM"
    assert verdict(CARD, chosen, ollama(0, [embed])) == Health("ok", sentence, 0)
    beside = verdict(CARD, chosen, ollama(0, [embed, claim()]))
    assert beside == Health("ok", "2 models, 1 on the CPU by choice", 0)
    assert verdict(CARD, chosen, ollama(0, [embed, SPILLED])) == verdict(CARD, ollama(0, [SPILLED]))
    assert verdict(NO_DRIVER, chosen, ollama(0, [embed])).sentence.startswith("1 model in RAM")


def test_a_silent_fallback_is_told_in_its_own_words() -> None:
    polls = [
        sample
        for at in range(2)
        for sample in (
            nvml(at, holding(gpu(used_gib=0.5), {100: 0.3})),
            processes(at, runner()),
            ollama(at, [claim()]),
        )
    ]
    found = verdict(*polls)
    assert (found.level, "silent fallback" in found.sentence) == ("bad", True)


def test_a_gpu_that_was_lost_before_the_start_is_no_good_health() -> None:
    monitor = watch(nvml(0, gpu(), detail="GPU 1 cannot be opened: GPU is lost"), ollama(0))
    found = health(monitor.state, monitor.alerts.active)
    assert (found.level, found.exit_code) == ("bad", 1)
    assert found.sentence == "GPU 1 cannot be opened: GPU is lost"
