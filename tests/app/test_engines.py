"""A server that takes its memory when it starts: row, page, card, verdict, cures and snapshot."""

from __future__ import annotations

import pytest
from tests.fakes.samples import GIB
from tests.scene.engine import NAME, TOKENS, WORKER, Engine

from gpumon.app.diagnosis.diagnosis import Diagnosis
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.views.gpu_page import gpu_page
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import model_row
from gpumon.app.views.page import PageView
from gpumon.collectors.samples import LogEvent, Reserve
from gpumon.widgets.views import Section

STARTED = LogEvent(kind="load_started")


def weights(gib: float, rank: int = 0) -> LogEvent:
    return LogEvent(kind="buffer", component="model", device=f"rank {rank}", size_bytes=int(gib * GIB))


def cache(gib: float, rank: int = 0) -> LogEvent:
    return LogEvent(kind="buffer", component="kv_cache", device=f"rank {rank}", size_bytes=int(gib * GIB))


def page(engine: Engine) -> PageView:
    return model_page(engine.model.id, engine.monitor.pictures, 60.0)


def section(engine: Engine, title: str) -> Section:
    return next(one for one in page(engine).sections if one.title == title)


def said(part: Section) -> dict[str, str]:
    return {fact.label: fact.value for fact in part.facts}


def busy(engine: Engine) -> Diagnosis:
    """Have it preempt requests for some seconds, and return what is said of that."""
    engine.set(0.99, requests_processing=7, requests_deferred=3, deferred_by_reason={"capacity": 3})
    for _ in range(5):
        engine.grow(preemptions_total=2.0, decoded_tokens_total=100.0)
        engine.run(1)
    return engine.model.diagnosis


# --- Whose memory it is


def test_what_its_workers_hold_is_the_models() -> None:
    engine = Engine(cards=2)
    engine.run(3)
    assert engine.model.memory.measured_vram_bytes == 40 * GIB
    assert engine.model.memory.measured_vram_by_gpu == {"GPU-0": 20 * GIB, "GPU-1": 20 * GIB}
    for at, gpu in enumerate(engine.gpus):
        assert [(held.name, held.pid) for held in gpu.models] == [(NAME, WORKER + at)]
        assert gpu.groups == ()


def test_no_part_of_it_is_spilled_and_nothing_is_guessed() -> None:
    engine = Engine()
    engine.run(3)
    row = model_row(engine.model)
    assert (row.spill_percent, row.ram_bytes, engine.model.level) == ("", None, "ok")
    assert engine.model.diagnosis.verdict.kind == "healthy"
    assert engine.model.pool is not None
    assert engine.model.pool.size_bytes is None, "neither log nor command line tells it"


# --- The reserve


def test_what_is_set_aside_and_not_used_is_a_reserve_on_its_card() -> None:
    engine = Engine()
    engine.log(STARTED, weights(8.0), cache(10.0))
    engine.set(0.25)
    engine.run(3)
    (gpu,) = engine.gpus
    kinds = {(one.label, one.kind): one.size_bytes for one in gpu.segments}
    assert kinds[NAME, "model"] == int(12.5 * GIB)
    assert kinds[f"{NAME}, set aside", "reserved"] == int(7.5 * GIB)
    sections = gpu_page(gpu.uuid, engine.monitor.pictures, 60.0).sections
    bar = next(bar for part in sections for bar in part.bars)
    assert [part.role for part in bar.parts] == ["model", "reserved"]
    assert bar.note.endswith("7.5 GiB of it set aside")


def test_where_the_log_tells_of_one_card_the_other_is_taken_to_be_as_it() -> None:
    engine = Engine(cards=2)
    engine.log(STARTED, weights(8.0), cache(10.0))
    engine.run(3)
    pool = engine.model.pool
    assert pool is not None
    assert (pool.size_bytes, pool.is_estimate, pool.source) == (20 * GIB, True, "server log")
    parts = {bar.label: bar.figure for bar in section(engine, "MEMORY").bars}
    assert (parts["weights"], parts["KV cache"]) == ("~16.0", "~20.0")


def test_where_it_tells_of_both_nothing_is_taken_for_granted() -> None:
    engine = Engine(cards=2)
    engine.log(STARTED, weights(8.0), weights(8.0, 1), cache(10.0), cache(10.0, 1))
    engine.run(3)
    assert engine.model.pool is not None
    assert not engine.model.pool.is_estimate
    assert {bar.label: bar.figure for bar in section(engine, "MEMORY").bars}["weights"] == "16.0"


def test_a_size_that_was_asked_for_is_an_estimate() -> None:
    engine = Engine(reserve=Reserve(cache_bytes=6 * GIB))
    engine.run(3)
    pool = engine.model.pool
    assert pool is not None
    assert (pool.size_bytes, pool.is_estimate, pool.source) == (6 * GIB, True, "command line")


def test_one_that_sleeps_has_given_it_back() -> None:
    engine = Engine()
    engine.log(STARTED, weights(8.0), cache(10.0))
    engine.run(3)
    engine.state, engine.detail = "asleep", "asleep at level 1: its weights are in RAM"
    engine.gib_on_each = 1.0
    engine.run(8)
    assert engine.model.pool is None
    assert engine.model.doing == "asleep"
    (gpu,) = engine.gpus
    assert not any(one.label.endswith("set aside") for one in gpu.segments)


# --- What is said of it


def test_the_page_says_how_full_it_is_what_it_holds_and_what_is_found_in_it() -> None:
    engine = Engine()
    engine.set(
        0.25,
        requests_processing=2,
        requests_deferred=1,
        deferred_by_reason={"deferred": 1},
        prefix_tokens_total=1000.0,
        prefix_tokens_found_total=600.0,
        read_bytes_total=0.0,
    )
    engine.run(2)
    engine.grow(read_bytes_total=5e11, prefix_tokens_total=100.0, prefix_tokens_found_total=90.0)
    engine.run(1)
    part = section(engine, "KV CACHE")
    assert (part.bars[0].figure, part.bars[0].note) == ("25%", "12k of 48k tokens")
    told = said(part)
    assert told["room for"] == "1.5 contexts of 32k"
    assert told["waiting"] == "1 for deferred"
    assert told["preempted"] == "none"
    assert told["prompt tokens found"] == "90% in the last minute, 63% in all"
    assert told["each GPU reads"].endswith("of its best")


def test_its_row_says_it_while_requests_are_at_work() -> None:
    engine = Engine()
    engine.run(3)
    assert model_row(engine.model).notes == ()
    engine.set(0.43, requests_processing=1)
    engine.run(2)
    assert "KV cache 43% of 48k tokens" in model_row(engine.model).notes


def test_its_page_names_its_own_settings() -> None:
    engine = Engine(reserve=Reserve(gpu_share=0.85, graphs=False))
    engine.run(3)
    told = {fact.label: fact.value for fact in page(engine).facts}
    assert told["reserves of each GPU"] == "85%"
    assert told["CUDA graphs"].startswith("off by choice")
    assert "GPU layers asked for" not in told


def test_the_snapshot_has_it() -> None:
    engine = Engine()
    engine.log(STARTED, weights(8.0), cache(10.0))
    busy(engine)
    (entry,) = build_snapshot(engine.monitor.pictures).models
    assert entry.cache is not None
    assert (entry.cache.used_fraction, entry.cache.capacity_tokens) == (0.99, TOKENS)
    assert (entry.cache.size_bytes, entry.cache.size_is_estimate) == (10 * GIB, False)
    assert (entry.cache.preempted_last_minute, entry.cache.waiting_by_reason) == (8, {"capacity": 3})
    assert (entry.runtime, entry.verdict.kind, entry.level) == ("vllm", "cache_full", "watch")


# --- A cache that is full


def test_preemptions_of_a_full_cache_are_a_verdict_with_cause() -> None:
    found = busy(Engine())
    assert (found.verdict.kind, found.verdict.severity) == ("cache_full", "watch")
    assert "preempts requests: the KV cache is full" in found.verdict.sentence
    assert found.cause is not None
    assert found.cause.sentence == (
        "its KV cache holds 48k tokens, and the 7 requests at work want more; one may take 32k"
    )


def test_its_cures_are_lines_to_type() -> None:
    found = busy(Engine(reserve=Reserve(gpu_share=0.8)))
    lines = [(one.action, one.command) for one in found.remedies]
    assert lines == [
        ("quantize_cache", "--kv-cache-dtype fp8"),
        ("reduce_parallel", "--max-num-seqs 6"),
        ("shrink_context", "--max-model-len 6144"),
    ]
    assert {one.where for one in found.remedies} == {"on the command line of vllm serve"}


def test_more_of_the_card_is_a_cure_where_it_is_free() -> None:
    engine = Engine(reserve=Reserve(gpu_share=0.8))
    engine.gib_on_each = 16.0
    lines = [one.command for one in busy(engine).remedies]
    assert "--gpu-memory-utilization 0.95" in lines


def test_a_cache_in_eight_bits_gets_no_smaller() -> None:
    found = busy(Engine(cache_type="fp8"))
    assert "--kv-cache-dtype fp8" not in [one.command for one in found.remedies]


def test_it_is_an_alert_so_that_events_and_hooks_tell_of_it() -> None:
    engine = Engine()
    busy(engine)
    (alert,) = engine.monitor.pictures.active
    assert (alert.kind, alert.severity) == ("cache_full", "watch")
    assert alert.message == f"{NAME} preempts requests: the KV cache is full"
    engine.set(0.6, requests_deferred=0)
    engine.run(45)
    assert engine.monitor.pictures.active == ()


def test_it_is_over_when_nothing_is_preempted_any_more() -> None:
    engine = Engine()
    busy(engine)
    engine.set(0.6, requests_deferred=0)
    engine.run(31)
    assert engine.model.diagnosis.verdict.kind != "cache_full"
    assert engine.model.diagnosis.remedies == ()


@pytest.mark.parametrize("used", [0.6, 0.99])
def test_a_full_cache_without_preemptions_is_no_trouble(used: float) -> None:
    engine = Engine()
    engine.set(used, requests_processing=4)
    engine.run(20)
    assert engine.model.diagnosis.verdict.kind in {"healthy", "unknown"}


# --- Choices


def test_weights_in_ram_by_choice_are_told_as_one_with_what_it_costs() -> None:
    engine = Engine(reserve=Reserve(weights_in_ram_bytes=4 * GIB))
    engine.run(3)
    verdict = engine.model.diagnosis.verdict
    assert (verdict.kind, verdict.severity) == ("in_ram_by_choice", "ok")
    assert "keeps 4.0 GiB of the weights in RAM by choice (--cpu-offload-gb 4)" in verdict.sentence
    assert "for each step" in verdict.sentence
    row = model_row(engine.model)
    assert (row.ram_bytes, row.ram_is_estimate, row.spill_percent) == (4 * GIB, True, "")


# --- A load


def test_a_load_goes_by_its_log_while_its_port_is_closed() -> None:
    engine = Engine()
    engine.state, engine.started_before, engine.gib_on_each = "starting", 0.0, 1.0
    engine.run(2)
    engine.log(STARTED, LogEvent(kind="load_progress", fraction=0.5))
    engine.gib_on_each = 6.0
    engine.run(2)
    (load,) = engine.monitor.pictures.loads()
    assert (load.name, load.phase, load.fraction) == (NAME, "weights", 0.5)
    engine.log(LogEvent(kind="load_progress", fraction=1.0), weights(8.0))
    engine.run(2)
    engine.log(cache(10.0))
    engine.gib_on_each = 20.0
    engine.run(2)
    (load,) = engine.monitor.pictures.loads()
    assert load.phase in {"context", "warm_up"}
    engine.state = "ready"
    engine.run(2)
    assert engine.monitor.pictures.loads() == ()
    assert engine.model.claim.name == NAME


def test_one_that_does_not_fit_fails_to_start_and_its_log_says_why() -> None:
    engine = Engine()
    engine.state, engine.started_before, engine.gib_on_each = "starting", 0.0, 6.0
    engine.run(3)
    why = "less VRAM is free than it is told to take (--gpu-memory-utilization)"
    engine.log(STARTED, LogEvent(kind="load_failed", text=why))
    engine.run(2)
    for _ in range(4):
        engine.end()
    (alert,) = engine.monitor.pictures.active
    assert alert.kind == "load_failed"
    assert why in alert.message


# --- Prompts that are not found any more


def asked(engine: Engine, minutes: float, share: float) -> Diagnosis:
    """Have it look up prompts for some minutes, of which a share is found."""
    for _ in range(round(minutes * 60)):
        engine.grow(prefix_tokens_total=400.0, prefix_tokens_found_total=400.0 * share)
        engine.run(1)
    return engine.model.diagnosis


def test_prompts_that_are_not_found_any_more_are_a_verdict_and_no_alert() -> None:
    engine = Engine()
    engine.set(0.4, requests_processing=1)
    assert asked(engine, 5, 0.8).verdict.kind != "prompt_reread"
    found = asked(engine, 1.5, 0.1)
    assert (found.verdict.kind, found.verdict.severity) == ("prompt_reread", "watch")
    assert f"{NAME} finds 10% of its prompts' tokens in the cache" in found.verdict.sentence
    assert found.verdict.sentence.endswith("more read in the last minute")
    assert (found.cause, found.remedies) == (None, ())
    assert engine.monitor.pictures.active == ()
