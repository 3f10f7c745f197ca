from __future__ import annotations

import pytest
from tests.app.alerts.watching import active, changes, feed, raised
from tests.fakes.process_samples import facts, holding, processes, runner
from tests.fakes.samples import START, claim, gpu, nvml, ollama, ollama_down, silent
from tests.scene import after

from gpumon.app.alerts.limits import Limits


def test_a_spill_is_raised_by_the_first_poll_that_shows_it() -> None:
    alert = after(nvml(0, gpu()), ollama(1, [claim(ram_gib=2.0)])).raised("spill")
    assert (alert.since, alert.duration_seconds(START + 1)) == (START + 1, 0.0)


def test_the_message_names_the_model_and_both_parts() -> None:
    alert = after(ollama(0, [claim("llama3:70b", ram_gib=18.2, gpu_gib=24.1)])).raised("spill")
    assert alert.message == "llama3:70b spill: 18.2 GiB (43%) in RAM, 24.1 GiB (57%) on GPU"
    assert alert.subject == "llama3:70b"


@pytest.mark.parametrize(
    ("ram_gib", "severity"), [(0.01, "watch"), (0.4, "watch"), (0.5, "bad"), (5.0, "bad")]
)
def test_a_spill_is_bad_from_five_percent(ram_gib: float, severity: str) -> None:
    monitor = after(ollama(0, [claim(ram_gib=ram_gib, gpu_gib=10.0 - ram_gib)])).monitor
    assert raised(monitor, "spill").severity == severity


def test_the_limit_between_watch_and_bad_can_be_set() -> None:
    monitor = after(ollama(0, [claim(ram_gib=5, gpu_gib=5)]), limits=Limits(spill_bad_percent=60)).monitor
    assert raised(monitor, "spill").severity == "watch"


def test_a_trace_in_ram_is_not_written_as_nothing() -> None:
    alert = after(ollama(0, [claim(ram_gib=0.01)])).raised("spill")
    assert alert.message == "llama3:70b spill: <0.1 GiB (<1%) in RAM, 10.0 GiB (>99%) on GPU"


def test_a_model_wholly_on_the_gpu_raises_nothing() -> None:
    assert after(nvml(0, gpu()), ollama(1, [claim()])).alert("spill") is None


def test_a_model_wholly_on_the_cpu_spills_where_the_driver_shows_a_gpu() -> None:
    alert = after(nvml(0, gpu()), ollama(1, [claim("embed", ram_gib=0.6, gpu_gib=0)])).raised("spill")
    assert alert.message == (
        "embed spill: runs wholly on the CPU, 0.6 GiB (100%) in RAM, 0.0 GiB (0%) on GPU"
    )
    assert alert.severity == "bad"


def test_a_model_wholly_on_the_cpu_is_as_it_should_be_without_a_gpu() -> None:
    monitor = after(nvml(0, state="absent"), ollama(1, [claim(ram_gib=4, gpu_gib=0)])).monitor
    assert active(monitor, "spill") is None


def test_vram_that_a_server_claims_proves_a_gpu_without_a_driver() -> None:
    on_cpu, on_gpu = claim("a", ram_gib=4, gpu_gib=0), claim("b")
    assert after(ollama(0, [on_cpu, on_gpu])).raised("spill").subject == "a"


def test_a_gpu_once_known_is_not_forgotten_when_its_model_goes() -> None:
    on_cpu, on_gpu = claim("a", ram_gib=4, gpu_gib=0), claim("b")
    monitor = after(ollama(0, [on_cpu, on_gpu]), ollama(1, [on_cpu]), ollama(9, [on_cpu])).monitor
    assert raised(monitor, "spill").since == START


def test_a_gpu_seen_after_the_model_turns_it_into_a_spill() -> None:
    monitor = after(ollama(0, [claim(ram_gib=4, gpu_gib=0)]), nvml(1, gpu())).monitor
    assert raised(monitor, "spill").severity == "bad"


def test_five_more_points_renew_the_alert_as_spilled_further() -> None:
    monitor = after(ollama(0, [claim(ram_gib=2, gpu_gib=8)])).monitor
    monitor.alerts.acknowledge_all()
    monitor.alerts.fresh()
    events = feed(monitor, [ollama(1, [claim(ram_gib=2.5, gpu_gib=7.5)])])
    assert changes(events) == ["renewed"]
    alert = raised(monitor, "spill")
    assert alert.message == "llama3:70b spilled further: 2.5 GiB (25%) in RAM, 7.5 GiB (75%) on GPU"
    assert (alert.since, alert.renewed, alert.acknowledged) == (START, START + 1, False)


def test_less_than_five_more_points_only_update_the_figures() -> None:
    monitor = after(ollama(0, [claim(ram_gib=2, gpu_gib=8)])).monitor
    monitor.alerts.acknowledge_all()
    monitor.alerts.fresh()
    assert feed(monitor, [ollama(1, [claim(ram_gib=2.4, gpu_gib=7.6)])]) == ()
    alert = raised(monitor, "spill")
    assert alert.message == "llama3:70b spill: 2.4 GiB (24%) in RAM, 7.6 GiB (76%) on GPU"
    assert alert.acknowledged


def test_growth_counts_from_the_last_renewal() -> None:
    grown = [ollama(at, [claim(ram_gib=ram, gpu_gib=10 - ram)]) for at, ram in enumerate((1, 1.6, 2.0, 2.1))]
    monitor = after().monitor
    assert changes(feed(monitor, grown)) == ["raised", "renewed", "renewed"]


def test_a_watch_that_becomes_bad_is_renewed() -> None:
    monitor = after(ollama(0, [claim(ram_gib=0.4, gpu_gib=9.6)])).monitor
    monitor.alerts.fresh()
    events = feed(monitor, [ollama(1, [claim(ram_gib=0.6, gpu_gib=9.4)])])
    assert [(event.change, event.alert.severity) for event in events] == [("renewed", "bad")]


def test_a_model_back_on_the_gpu_ends_it_as_recovered_from_the_first_good_poll() -> None:
    monitor = after(ollama(0, [claim(ram_gib=2)]), ollama(5, [claim()]), ollama(8, [claim()])).monitor
    ended = monitor.alerts.recent[0]
    assert (ended.ended, ended.until, active(monitor, "spill")) == ("recovered", START + 5, None)


def test_an_unloaded_model_ends_it_at_once() -> None:
    monitor = after(ollama(0, [claim(ram_gib=2)]), ollama(1, [])).monitor
    assert [(alert.ended, alert.until) for alert in monitor.alerts.recent] == [("unloaded", START + 1)]


def test_a_server_that_stopped_has_unloaded_its_models() -> None:
    monitor = after(ollama(0, [claim(ram_gib=2)]), ollama_down(1, "not_running")).monitor
    assert monitor.alerts.recent[0].ended == "unloaded"


def test_a_server_that_hangs_does_not_end_it() -> None:
    hanging = [ollama_down(at, "hanging") for at in range(1, 100)]
    assert after(ollama(0, [claim(ram_gib=2)]), *hanging, silent(100)).raised("spill").since == START


def test_a_claim_without_size_neither_raises_nor_ends_it() -> None:
    unknown = [ollama(at, [claim(ram_gib=None)]) for at in range(1, 20)]
    assert after(*unknown).alert("spill") is None
    assert after(ollama(0, [claim(ram_gib=2)]), *unknown).raised("spill").since == START


def test_the_same_name_on_two_servers_gives_two_alerts() -> None:
    monitor = after(
        ollama(0, [claim(ram_gib=2)]), ollama(0, [claim(ram_gib=2)], source="http://other:11434")
    ).monitor
    assert len({alert.key for alert in monitor.alerts.active}) == 2


def test_a_name_with_escapes_is_shown_and_not_obeyed() -> None:
    alert = after(ollama(0, [claim("\x1b[2Jevil\n", ram_gib=2)])).raised("spill")
    assert alert.subject == "␛[2Jevil␊"
    assert alert.message.isprintable()


def test_a_model_that_spills_in_every_other_poll_is_one_alert() -> None:
    polls = [ollama(at, [claim(ram_gib=2 * (at % 2))]) for at in range(100)]
    assert changes(feed(after().monitor, polls)) == ["raised"]


FAR = "http://far:11434"


def test_a_gpu_of_this_machine_says_nothing_of_a_remote_server() -> None:
    on_cpu = [claim(ram_gib=4, gpu_gib=0)]
    assert after(nvml(0, gpu()), ollama(1, on_cpu, source=FAR)).alert("spill") is None


def test_vram_that_a_remote_server_claims_proves_its_own_gpu_alone() -> None:
    on_cpu, on_gpu = claim("a", ram_gib=4, gpu_gib=0), claim("b")
    monitor = after(ollama(0, [on_cpu, on_gpu], source=FAR), ollama(1, [on_cpu])).monitor
    assert raised(monitor, "spill").subject_id.startswith(FAR)


ON_CPU = claim("embed", ram_gib=0.6, gpu_gib=0)


def test_a_process_on_no_gpu_is_told_so() -> None:
    joined = (processes(0, runner()), nvml(0, holding(gpu(), {7: 1.0})), ollama(1, [ON_CPU]))
    alert = after(*joined).raised("spill")
    assert alert.message.endswith("0.0 GiB (0%) on GPU; its process is on no GPU")
    assert alert.severity == "bad"


def test_the_cpu_by_choice_is_no_alarm() -> None:
    chosen = processes(0, runner(gpu_layers=0))
    assert after(chosen, nvml(0, holding(gpu(), {})), ollama(1, [ON_CPU])).alert("spill") is None


def test_layers_put_on_a_gpu_by_hand_are_no_choice_of_the_cpu() -> None:
    joined = (processes(0, runner(gpu_layers=20)), facts(0), nvml(0, holding(gpu(), {100: 6.0})))
    assert after(*joined, ollama(1, [claim(ram_gib=4, gpu_gib=6)])).raised("spill").severity == "bad"
