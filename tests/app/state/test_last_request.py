"""What a server says of its last request is told as that of then, with its time, never as a rate of now."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import processes
from tests.fakes.samples import START
from tests.fakes.served_samples import LLAMA, alone, served
from tests.scene import Machine, after

from gpumon.app.cli.why import _words
from gpumon.app.snapshot.build import build_snapshot, why_document
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import model_rows
from gpumon.app.views.page import PageView
from gpumon.collectors.samples import LastRequest, WorkSample

NAME = "llama-3-8b"
FIRST = LastRequest(
    count=3,
    prompt_tokens=400,
    cached_tokens=380,
    decoded_tokens=126,
    prefill_tokens_per_second=800.0,
    decode_tokens_per_second=34.1,
    first_token_seconds=0.4,
    seconds=4.5,
)
SECOND = replace(FIRST, count=4, decode_tokens_per_second=21.0)


def said(at: float, last: LastRequest | None, rate: float | None = None) -> WorkSample:
    return WorkSample(
        time=START + at,
        source=LLAMA,
        model=NAME,
        state="ready",
        decode_tokens_per_second=rate,
        origin="/perf",
        last=last,
    )


def of_a_server(*samples: WorkSample) -> Machine:
    return after(served(0, NAME), *samples)


def note(monitor: Machine) -> str:
    [row] = model_rows(monitor.pictures)
    assert row.decode_tokens_per_second is None
    return " ".join(row.notes)


def page(monitor: Machine) -> PageView:
    [key] = monitor.state.models
    return model_page(" ".join(key), monitor.pictures, 300.0)


def test_one_that_had_ended_before_the_first_look_has_no_time() -> None:
    monitor = of_a_server(said(1, FIRST))
    assert note(monitor) == "last request 34 tok/s"
    [entry] = build_snapshot(monitor.pictures).models
    assert entry.last_request is not None
    assert entry.last_request.ended is None


def test_a_new_one_is_known_by_its_number_and_has_the_time_of_the_look() -> None:
    monitor = of_a_server(said(1, FIRST), said(5, SECOND), said(130, SECOND))
    assert note(monitor) == "last request 21 tok/s, 2 min ago"
    [entry] = build_snapshot(monitor.pictures).models
    assert entry.last_request is not None
    assert (entry.last_request.ended, entry.last_request.count) == (START + 5, 4)
    assert entry.last_request.source == "/perf"


def test_without_a_number_a_new_one_is_known_by_its_figures() -> None:
    first, second = replace(FIRST, count=None), replace(SECOND, count=None)
    assert note(of_a_server(said(1, first), said(2, first), said(9, second))) == (
        "last request 21 tok/s, just now"
    )


def test_the_first_one_since_the_server_started_has_a_time() -> None:
    monitor = of_a_server(said(1, LastRequest(count=0)), said(2, replace(FIRST, count=1)), said(65, None))
    assert note(monitor) == "last request 34 tok/s, 1 min ago"


def test_a_server_that_has_started_again_tells_of_no_time() -> None:
    monitor = of_a_server(said(1, FIRST), said(5, SECOND), said(9, replace(FIRST, count=2)))
    assert note(monitor) == "last request 34 tok/s"


def test_where_there_is_a_rate_of_now_the_row_says_nothing_of_the_last() -> None:
    [row] = model_rows(of_a_server(said(1, FIRST, rate=40.0)).pictures)
    assert (row.decode_tokens_per_second, row.notes) == (40.0, ())


@pytest.mark.parametrize("last", [None, LastRequest(count=0), LastRequest(count=5)])
def test_where_no_figure_is_told_nothing_is_said(last: LastRequest | None) -> None:
    monitor = of_a_server(said(1, last))
    assert note(monitor) == ""
    assert build_snapshot(monitor.pictures).models[0].last_request is None
    assert "LAST REQUEST" not in {section.title for section in page(monitor).beside}


def test_its_page_says_all_that_is_told_with_where_from() -> None:
    [section] = page(of_a_server(said(1, FIRST), said(2, SECOND))).beside
    assert (section.title, section.note) == ("LAST REQUEST", "just now")
    assert [fact.value for fact in section.facts] == [
        "400 tokens of prompt, 380 of them not read again",
        "read at 800 tok/s",
        "first token after 0.4 s",
        "126 tokens of reply",
        "generated at 21 tok/s",
        "took 4.5 s",
    ]
    assert {fact.origin for fact in section.facts} == {"/perf"}


def test_of_a_process_it_is_told_as_well() -> None:
    own = replace(said(1, FIRST), source="runner 500", model=None, pid=500, started=alone().started)
    assert note(after(processes(0, alone(), servers=()), own)) == "last request 34 tok/s"


def test_why_says_it_in_words_and_in_json() -> None:
    monitor = of_a_server(said(1, FIRST))
    models = monitor.pictures.models()
    assert "last     request: 400 tokens of prompt, 380 of them not read again, read at 800 tok/s" in _words(
        monitor.pictures.health(), models, ()
    )
    [entry] = why_document(monitor.pictures, models).models
    assert entry.last_request is not None
    assert entry.last_request.decode_tokens_per_second == 34.1
