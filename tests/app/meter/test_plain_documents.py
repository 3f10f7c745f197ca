"""Nearly all documents of an answer are plain, and counted at a glance: as if read with care."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.app.meter.support import EVENTS, NDJSON

from gpumon.app.meter.book import Book, Reading
from gpumon.app.meter.documents import Documents, Framing
from gpumon.app.meter.json_fields import wanted_fields
from gpumon.collectors.samples import MeteredModel

TEXTS = st.sampled_from(["", " w", 'a "content":"b" c', "done", "é\n"])
ODD: st.SearchStrategy[object] = st.sampled_from(
    [None, True, False, 0, 7, 1.5, "x", "", [], ["x"], {}, {"a": 1}]
)
MOSTLY_TEXT = st.one_of(TEXTS, TEXTS, TEXTS, ODD)
COUNT = st.one_of(st.none(), st.integers(-1, 500), ODD)


def record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects with any of these fields, and now and then something else."""
    objects = st.fixed_dictionaries({}, optional=fields)
    return st.one_of(objects, objects, objects, objects, ODD)


USAGE = record(prompt_tokens=COUNT, completion_tokens=COUNT, output_tokens=COUNT)
DELTA = record(
    content=MOSTLY_TEXT,
    reasoning_content=MOSTLY_TEXT,
    reasoning=MOSTLY_TEXT,
    text=MOSTLY_TEXT,
    thinking=MOSTLY_TEXT,
    partial_json=ODD,
    tool_calls=st.lists(record(function=record(arguments=MOSTLY_TEXT)), max_size=2),
)
CHOICES = st.one_of(
    st.lists(
        record(delta=DELTA, text=MOSTLY_TEXT, finish_reason=st.one_of(st.none(), st.just("stop"), ODD)),
        max_size=2,
    ),
    ODD,
)
DOCUMENTS = record(
    model=st.one_of(st.sampled_from(["m", "n", ""]), ODD.filter(lambda value: value is not None)),
    choices=CHOICES,
    message=record(
        content=MOSTLY_TEXT, thinking=MOSTLY_TEXT, model=MOSTLY_TEXT, usage=USAGE, text=MOSTLY_TEXT
    ),
    delta=st.one_of(DELTA, TEXTS),
    response=st.one_of(TEXTS, record(usage=USAGE, model=MOSTLY_TEXT)),
    thinking=MOSTLY_TEXT,
    content=MOSTLY_TEXT,
    type=st.one_of(st.sampled_from(["content_block_delta", "message_stop", "response.completed"]), ODD),
    done=st.one_of(st.booleans(), ODD),
    stop=st.one_of(st.booleans(), ODD),
    usage=USAGE,
    timings=record(predicted_n=COUNT, predicted_per_second=COUNT, prompt_per_second=COUNT),
    eval_count=COUNT,
    eval_duration=COUNT,
    prompt_eval_count=COUNT,
    tokens_predicted=COUNT,
    tokens_evaluated=COUNT,
    other=ODD,
)


def framed(document: object, framing: str) -> bytes:
    text = msgspec.json.encode(document)
    return text + b"\n" if framing == NDJSON else b"event: x\r\ndata: %b\r\n\r\n" % text


def read(batches: Sequence[Sequence[bytes]], framing: str, request: bytes) -> tuple[MeteredModel, ...]:
    """Read an answer, a batch each second; return the book while it runs and after."""
    book, seconds = Book(), [100.0]
    reading = Reading(book, lambda: seconds[0])
    reading.request_piece(request)
    reading.answer_begins(framing, "")
    for batch in batches:
        reading.answer_piece(b"".join(batch))
        seconds[0] += 1
    during = book.models(seconds[0])
    reading.end("finished")
    return (*during, *book.models(seconds[0]))


@example([[{"choices": [{"text": " w"}, {"text": ""}]}]], NDJSON, b"{}")
@given(
    st.lists(st.lists(DOCUMENTS, max_size=3), max_size=4),
    st.sampled_from([NDJSON, EVENTS]),
    st.sampled_from([b"{}", b'{"model":"m"}']),
)
def test_whatever_comes_the_count_is_that_of_reading_with_care(
    batches: list[list[object]], framing: str, request: bytes
) -> None:
    sent = [[framed(document, framing) for document in batch] for batch in batches]
    with patch.object(Documents, "_plain", return_value=None):
        careful = read(sent, framing, request)
    assert read(sent, framing, request) == careful


@pytest.mark.parametrize(
    ("framing", "line"),
    [
        (
            "events",
            b'data: {"choices":[{"index":0,"delta":{"content":" w"},"finish_reason":null}],"usage":null}',
        ),
        (
            "events",
            b'data: {"choices":[{"delta":{"reasoning_content":" w"}}],"object":"chat.completion.chunk"}',
        ),
        ("events", b'data: {"choices":[{"text":" w","index":0,"logprobs":null,"finish_reason":null}]}'),
        (
            "events",
            b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" w"}}',
        ),
        (
            "lines",
            b'{"model":"m","created_at":"2026","message":{"role":"assistant","content":" w"},"done":false}',
        ),
        ("lines", b'{"model":"m","created_at":"2026","response":" w","done":false}'),
    ],
)
def test_what_servers_stream_is_plain(framing: Framing, line: bytes) -> None:
    documents = Documents(framing, wanted_fields(()))
    documents.is_named = True
    assert documents.feed(line + b"\n") == [1]
