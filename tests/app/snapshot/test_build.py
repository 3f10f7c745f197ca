from __future__ import annotations

import msgspec
from msgspec.structs import replace
from tests.fakes.process_samples import BLOB, runner, server

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.picture.pictures import Pictures
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import HolderEntry, ReturnedEntry, Snapshot
from gpumon.collectors.samples import (
    AnySample,
    GpuMemory,
    GpuProcess,
    GpuReading,
    HolderProcess,
    LogEvent,
    LogSample,
    ModelClaim,
    NvmlSample,
    ProcessSample,
    ServerSample,
    SourceHealth,
    SourceSilent,
    SystemSample,
)

SERVING = SourceHealth(state="serving")
URL = "http://127.0.0.1:11434"


def snapshot_of(*samples: AnySample) -> Snapshot:
    monitor = Monitor(Limits())
    for sample in samples:
        monitor.feed(sample)
    return build_snapshot(monitor.pictures)


def gpu(**fields: object) -> NvmlSample:
    reading = replace(GpuReading(uuid="GPU-1", index=0, name="RTX"), **fields)
    return NvmlSample(time=10.0, source="nvml", health=SERVING, gpus=(reading,))


def model(**fields: object) -> ServerSample:
    claim = replace(ModelClaim(name="qwen3:14b", digest="ab"), **fields)
    return ServerSample(kind="ollama", time=10.0, source=URL, health=SERVING, models=(claim,))


def test_with_nothing_known_every_key_is_there_and_null() -> None:
    document = msgspec.json.decode(msgspec.json.encode(snapshot_of()))
    assert document == {
        "schema": 2,
        "time": 0.0,
        "host": None,
        "level": "unknown",
        "sentence": "waiting for the first answer",
        "complete": True,
        "missing": [],
        "sources": [],
        "gpus": [],
        "memory": {"total_bytes": None, "available_bytes": None, "swap_used_bytes": None},
        "models": [],
        "alerts": [],
        "returned": [],
    }


def test_a_gpu_that_says_little_has_every_key() -> None:
    entry = msgspec.to_builtins(snapshot_of(gpu()).gpus[0])
    known = {"uuid": "GPU-1", "index": 0, "name": "RTX", "state": "ok"}
    assert {key: value for key, value in entry.items() if value is not None} == known
    assert len(entry) == 17


def test_a_gpu_is_given_with_memory_and_processes() -> None:
    memory = GpuMemory(total_bytes=24, used_bytes=10, reserved_bytes=1, free_bytes=13)
    processes = (GpuProcess(pid=7, vram_bytes=10, name="llama-server"),)
    entry = snapshot_of(gpu(memory=memory, processes=processes, throttle_reasons=("power cap",))).gpus[0]
    assert (entry.vram_total_bytes, entry.vram_used_bytes) == (24, 10)
    assert (entry.vram_reserved_bytes, entry.vram_free_bytes) == (1, 13)
    assert entry.processes is not None
    assert msgspec.to_builtins(entry.processes[0]) == {
        "pid": 7,
        "name": "llama-server",
        "vram_bytes": 10,
        "model": None,
    }
    assert entry.throttle_reasons == ("power cap",)
    assert entry.unified is False


def test_no_process_is_not_the_same_as_unknown_processes() -> None:
    assert snapshot_of(gpu(processes=())).gpus[0].processes == ()
    assert snapshot_of(gpu(processes=None)).gpus[0].processes is None


def test_a_lost_gpu_has_an_identity_and_no_values() -> None:
    memory = GpuMemory(total_bytes=24, used_bytes=10)
    lost = snapshot_of(gpu(state="lost", memory=memory, power_watts=3.0, temperature_celsius=40)).gpus[0]
    assert (lost.uuid, lost.state) == ("GPU-1", "lost")
    assert (lost.vram_total_bytes, lost.power_watts, lost.temperature_celsius) == (None, None, None)


def test_a_model_has_its_claim_spill_and_the_words_of_ollama_ps() -> None:
    entry = snapshot_of(
        model(size_bytes=100, size_vram_bytes=62, context_length=4096, expires_at=310.0)
    ).models[0]
    assert (entry.claimed_size_bytes, entry.claimed_vram_bytes) == (100, 62)
    assert entry.spill_fraction == 0.38
    assert entry.processor == "38%/62% CPU/GPU"
    assert (entry.runtime, entry.url, entry.digest) == ("ollama", URL, "ab")
    assert (entry.context_length, entry.expires_at) == (4096, 310.0)


def test_the_decode_rate_is_null_where_nothing_measures_it() -> None:
    assert snapshot_of(model()).models[0].decode_tokens_per_second is None


def test_a_claim_that_makes_no_sense_has_no_spill() -> None:
    entry = snapshot_of(model(size_bytes=10, size_vram_bytes=20)).models[0]
    assert (entry.spill_fraction, entry.processor) == (None, "Unknown")


def test_values_of_a_source_that_is_silent_stay_with_their_age() -> None:
    snapshot = snapshot_of(model(), SourceSilent(time=14.0, source=URL, seconds=4.0))
    source = snapshot.sources[0]
    assert (source.name, source.state, source.age_seconds) == (URL, "hanging", 4.0)
    assert source.detail == "no answer for 4 s"
    assert [entry.name for entry in snapshot.models] == ["qwen3:14b"]


def test_a_source_that_never_answered_has_no_age() -> None:
    health = SourceHealth(
        state="not_running", detail="connection refused", hint="start it with: ollama serve"
    )
    source = snapshot_of(ServerSample(kind="ollama", time=5.0, source=URL, health=health)).sources[0]
    assert (source.state, source.age_seconds) == ("not_running", None)
    assert (source.detail, source.hint) == ("connection refused", "start it with: ollama serve")


def test_memory_and_host_are_those_of_the_machine() -> None:
    snapshot = snapshot_of(
        SystemSample(
            time=3.0,
            source="system",
            host="box",
            ram_total_bytes=64,
            ram_used_bytes=20,
            ram_available_bytes=44,
        )
    )
    assert (snapshot.host, snapshot.time) == ("box", 3.0)
    assert (snapshot.memory.total_bytes, snapshot.memory.available_bytes) == (64, 44)
    assert snapshot.memory.swap_used_bytes is None


def test_active_alerts_are_given() -> None:
    alert = snapshot_of(gpu(state="lost", detail="GPU is lost")).alerts[0]
    assert (alert.kind, alert.severity, alert.since) == ("gpu_lost", "bad", 10.0)
    assert "lost" in alert.message


def test_gpus_and_models_have_a_steady_order() -> None:
    claims = tuple(ModelClaim(name=name, digest=name) for name in ("b", "a"))
    readings = (GpuReading(uuid="x", index=1), GpuReading(uuid="y", index=0))
    snapshot = snapshot_of(
        NvmlSample(time=1.0, source="nvml", health=SERVING, gpus=readings),
        ServerSample(kind="ollama", time=1.0, source=URL, health=SERVING, models=claims),
    )
    assert [entry.index for entry in snapshot.gpus] == [0, 1]
    assert [entry.name for entry in snapshot.models] == ["a", "b"]


def test_who_else_holds_memory_is_grouped() -> None:
    browser = HolderProcess(pid=7, name="firefox", group="browser")
    entry = snapshot_of(
        ProcessSample(time=9.0, source="processes", holders=(browser, replace(browser, pid=8))),
        gpu(processes=(GpuProcess(pid=7, vram_bytes=10), GpuProcess(pid=8, vram_bytes=5))),
    ).gpus[0]
    assert entry.holders == (HolderEntry(group="browser", vram_bytes=15, names=("firefox",)),)


def test_memory_that_came_back_is_listed() -> None:
    size = 1024**3
    before = gpu(
        memory=GpuMemory(total_bytes=24 * size, used_bytes=2 * size),
        processes=(GpuProcess(pid=7, vram_bytes=2 * size, name="blender"),),
    )
    after = replace(gpu(memory=GpuMemory(total_bytes=24 * size, used_bytes=0), processes=()), time=12.0)
    assert snapshot_of(before, after).returned == (
        ReturnedEntry(uuid="GPU-1", name="blender", vram_bytes=2 * size, time=12.0),
    )


def test_a_runner_has_the_layers_and_buffers_of_the_servers_log() -> None:
    started = LogEvent(kind="load_started", blob=BLOB, at=10.0)
    layers = LogEvent(kind="layers_offloaded", count=20, total=25)
    weights = LogEvent(kind="buffer", component="model", device="CUDA0", size_bytes=5)
    log = LogSample(time=10.0, source="log /l", health=SERVING, events=(started, layers, weights))
    held = ProcessSample(time=10.0, source="processes", servers=(server(),), runners=(runner(started=9.0),))
    entry = snapshot_of(held, model(), log).models[0].runner
    assert entry is not None
    assert (entry.layers_on_gpu, entry.layer_count) == (20, 25)
    assert entry.buffers_by_device == {"CUDA0": {"model": 5}}


def test_the_worst_that_is_true_is_said_with_its_level() -> None:
    split = model(size_bytes=4 * 1024**3, size_vram_bytes=3 * 1024**3)
    spilled = snapshot_of(gpu(), split)
    assert (spilled.level, spilled.sentence) == ("bad", "qwen3:14b spills 1.0 GiB (25%) to RAM")


def test_when_all_is_well_the_sentence_says_so() -> None:
    well = snapshot_of(gpu(), model(size_bytes=4 * 1024**3, size_vram_bytes=4 * 1024**3))
    assert (well.level, well.sentence) == ("ok", "1 model on GPU")


def test_the_level_follows_the_users_limit() -> None:
    monitor = Monitor(Limits())
    for sample in (gpu(), model(size_bytes=4 * 1024**3, size_vram_bytes=3 * 1024**3)):
        monitor.feed(sample)
    assert build_snapshot(Pictures(monitor.state, spill_bad_percent=30.0)).level == "watch"
