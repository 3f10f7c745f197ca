"""Lines of the alert feed: nothing is said twice."""

from __future__ import annotations

from tests.app.alerts.watching import raised, watch
from tests.fakes.samples import START, ollama, ollama_down, silent

from gpumon.app.views.alerts import alert_row


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
