"""Rows from the series of exporters, as Prometheus answers: ``GET /api/v1/query`` of version 2.42."""

from __future__ import annotations

import msgspec
import pytest

from gpumon.app.fleet.prometheus import OLD_SECONDS, QueryError, Value, machines, read_answer
from gpumon.app.views.prometheus import machine_rows

GIB = 1024**3
NOW = 1_790_000_000.0
MODEL = {"model": "qwen3:14b", "server": "http://127.0.0.1:11434", "digest": "abc", "runtime": "ollama"}


def series(name: str, value: str | float, instance: str = "box:9836", **labels: str) -> dict[str, object]:
    return {"metric": {"__name__": name, "instance": instance, **labels}, "value": [NOW, str(value)]}


SPILL = [
    series("gpumon_level", 1, level="bad"),
    series("gpumon_level", 0, level="ok"),
    series("gpumon_model_verdict", 1, verdict="spilled", cause="", level="bad", **MODEL),
    series("gpumon_model_spilled_ratio", 0.38, basis="claim", **MODEL),
    series("gpumon_model_decode_tokens_per_second", 7, basis="measured", **MODEL),
    series("gpumon_model_fitting_tokens_per_second", 47, basis="estimate", **MODEL),
    series("gpumon_gpu_memory_used_bytes", 11 * GIB, gpu="0", gpu_uuid="GPU-1"),
    series("gpumon_gpu_memory_capacity_bytes", 12 * GIB, gpu="0", gpu_uuid="GPU-1"),
]


def answer(*results: dict[str, object]) -> list[Value]:
    document = {"status": "success", "data": {"resultType": "vector", "result": list(results)}}
    return read_answer(msgspec.json.encode(document))


def seen(instance: str = "box:9836", at: float = NOW) -> dict[str, object]:
    return {"metric": {"instance": instance}, "value": [NOW, str(at)]}


def test_a_spill_reads_as_on_the_dashboard() -> None:
    [row] = machine_rows(machines(answer(*SPILL), answer(seen()), NOW))
    assert (row.name, row.level, row.head, row.subject) == ("box", "bad", "SPILLED", "qwen3:14b")
    assert row.facts == ("38% in RAM", "7.0 tok/s, 47 if it fitted")
    assert row.gpus == ((11 * GIB, 12 * GIB),)
    assert (row.models, row.tokens_per_second) == (1, 7.0)


def test_what_is_no_number_is_unknown() -> None:
    values = answer(
        series("gpumon_level", "NaN", level="ok"),
        series("gpumon_gpu_memory_used_bytes", "+Inf", gpu="0", gpu_uuid="GPU-1"),
        series("gpumon_gpu_memory_capacity_bytes", 12 * GIB, gpu="0", gpu_uuid="GPU-1"),
    )
    [row] = machine_rows(machines(values, answer(seen()), NOW))
    assert (row.level, row.gpus, row.tokens_per_second) == ("unknown", ((None, 12 * GIB),), None)


def test_trouble_of_no_model_is_told_by_its_alert() -> None:
    values = answer(
        series("gpumon_level", 1, level="bad"),
        series("gpumon_alert_active", 1, rule="gpu_lost", level="bad", subject="GPU 1"),
    )
    [row] = machine_rows(machines(values, answer(seen()), NOW))
    assert (row.head, row.subject, row.facts) == ("LOST", "GPU 1", ())


def test_a_machine_that_is_scraped_no_more_is_old_and_shows_no_figure() -> None:
    found = machines([], answer(seen(at=NOW - 600)), NOW)
    [row] = machine_rows(found)
    assert (row.level, row.is_old, row.sentence) == ("unknown", True, "last seen 10m 00s ago")
    assert (row.models, row.gpus) == (None, ())


def test_figures_of_an_old_scrape_are_not_shown_as_of_now() -> None:
    found = machines(answer(*SPILL), answer(seen(at=NOW - OLD_SECONDS - 1)), NOW)
    assert machine_rows(found)[0].is_old


def test_one_that_was_seen_too_shortly_to_tell_when_is_old_too() -> None:
    [row] = machine_rows(machines([], answer(seen(at=0)), NOW))
    assert (row.sentence, row.age_seconds) == ("last seen within the hour", None)


def test_two_exporters_on_one_host_keep_their_ports() -> None:
    values = answer(
        series("gpumon_level", 1, "box:9836", level="ok"), series("gpumon_level", 1, "box:9837", level="ok")
    )
    assert [row.name for row in machine_rows(machines(values, [], NOW))] == ["box:9836", "box:9837"]


def test_names_from_outside_are_made_harmless() -> None:
    values = answer(series("gpumon_level", 1, "b\x1b[2Jx", level="ok"))
    assert "\x1b" not in machine_rows(machines(values, [], NOW))[0].name


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no Prometheus"),
        (b"<html>", "no Prometheus"),
        (b"[]", "no Prometheus"),
        (b'{"status":"error","error":"parse \\u001b[2J error"}', "it says: parse"),
        (b'{"status":"success","data":{"resultType":"matrix","result":[]}}', "no Prometheus"),
        (b"[" * 100_000, "no Prometheus"),
    ],
)
def test_what_is_no_answer_is_told_in_one_line(body: bytes, words: str) -> None:
    with pytest.raises(QueryError, match=words) as caught:
        read_answer(body)
    assert "\x1b" not in str(caught.value)
