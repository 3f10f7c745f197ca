"""Lines of the alert feed: nothing is said twice."""

from __future__ import annotations

from typing import get_args

from tests.app.alerts.watching import raised, watch
from tests.fakes.samples import START, claim, gpu, nvml, ollama, ollama_down, silent

from gpumon.app.alerts.alert import AlertKind
from gpumon.app.views.dashboard import RECOVERED_WORDS, alert_row
from gpumon.collectors.samples import AnySample
from gpumon.widgets.views import AlertRow


def test_a_server_that_the_message_names_by_its_address_is_not_named_again() -> None:
    refused = "connection refused at 127.0.0.1:11434"
    down = [ollama_down(at, "not_running", refused) for at in range(1, 6)]
    row = alert_row(raised(watch(ollama(0), *down), "source"), START + 5)
    assert (row.subject, row.message) == ("", f"Ollama stopped: {refused}")


def test_a_server_that_the_message_does_not_name_stands_before_it() -> None:
    down = [ollama_down(at, "not_running") for at in range(1, 6)]
    row = alert_row(raised(watch(ollama(0), *down), "source"), START + 5)
    assert (row.subject, row.message) == ("Ollama at 127.0.0.1:11434", "Ollama stopped")


def test_a_name_in_the_message_is_not_set_before_it() -> None:
    row = alert_row(raised(watch(ollama(0), silent(5, seconds=4)), "source"), START + 5)
    assert (row.subject, row.message) == ("", "Ollama at 127.0.0.1:11434 is not answering")


def ended(*samples: AnySample) -> AlertRow:
    (alert,) = watch(*samples).alerts.recent
    return alert_row(alert, START + 100)


def test_what_has_recovered_is_said_and_not_what_was_wrong() -> None:
    back: list[AnySample] = [nvml(at, gpu()) for at in range(2, 9)]
    row = ended(nvml(0, gpu()), nvml(1, gpu(state="lost", detail="fell off the bus")), *back)
    assert (row.subject, row.message, row.ongoing) == ("", "GPU 0 is back", False)


def test_a_source_that_has_recovered_is_named_once() -> None:
    down = [ollama_down(at, "failing") for at in range(1, 6)]
    row = ended(ollama(0), *down, *(ollama(at) for at in range(6, 11)))
    assert (row.subject, row.message) == ("", "Ollama at 127.0.0.1:11434 is well again")


def test_of_a_model_that_has_gone_it_is_said_what_was_wrong() -> None:
    row = ended(nvml(0, gpu()), ollama(0, [claim("a", ram_gib=5.0, gpu_gib=5.0)]), ollama(1))
    assert row.message == "unloaded: a spill: 5.0 GiB (50%) in RAM, 5.0 GiB (50%) on GPU"


def test_a_name_is_no_format_string() -> None:
    name, back = "{}{0}{name}", [claim("{}{0}{name}")]
    spilled = ollama(0, [claim(name, ram_gib=5.0)])
    row = ended(nvml(0, gpu()), spilled, *(ollama(at, back) for at in range(1, 7)))
    assert row.message == f"{name} is wholly on GPU again"


def test_kinds_that_end_otherwise_have_no_words_of_their_own() -> None:
    """A GPU and a model can be stuck; a failed load and errors that are counted are only forgotten.

    A hidden spill may end as a silent fallback, and that as a hidden spill.
    """
    others: set[AlertKind] = {"stuck", "load_failed", "restarted", "ecc", "hidden_spill", "silent_fallback"}
    assert set(get_args(AlertKind)) - RECOVERED_WORDS.keys() == others
