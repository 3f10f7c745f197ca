from __future__ import annotations

import msgspec
from msgspec.structs import replace
from tests.fakes.samples import GIB, OLLAMA, START, claim, nvml, ollama, silent, system
from tests.scene import BLOB, Gpu, Machine, Model, Program, after, loaded

from gpumon.app.picture.pictures import Pictures
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import GpuEntry, HolderEntry, ModelEntry, ReturnedEntry, Snapshot
from gpumon.collectors.samples import GpuMemory, GpuProcess, GpuReading, LogEvent


def snapshot_of(machine: Machine) -> Snapshot:
    return build_snapshot(machine.pictures)


def gpu(**fields: object) -> GpuEntry:
    """Return the entry of a GPU that says nothing but this."""
    reading = replace(GpuReading(uuid="GPU-1", index=0, name="RTX"), **fields)
    return snapshot_of(after(nvml(10, reading))).gpus[0]


def model(**fields: object) -> ModelEntry:
    """Return the entry of a model of which its server says this, and what it must."""
    said = replace(claim("qwen3:14b"), size_bytes=None, size_vram_bytes=None, **fields)
    return snapshot_of(after(ollama(10, [said]))).models[0]


def on_gpu(gpu_gib: float, ram_gib: float = 0.0) -> Machine:
    """Return a machine with a model, after its driver and its server have spoken."""
    return loaded(Model("qwen3:14b", gpu_gib=gpu_gib, ram_gib=ram_gib)).machine.look("driver", "servers")


def test_with_nothing_known_every_key_is_there_and_null() -> None:
    document = msgspec.json.decode(msgspec.json.encode(snapshot_of(Machine())))
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
        "events": [],
        "returned": [],
        "left": [],
    }


def test_a_gpu_that_says_little_has_every_key() -> None:
    entry = msgspec.to_builtins(gpu())
    known = {"uuid": "GPU-1", "index": 0, "name": "RTX", "state": "ok", "xid_errors": ()}
    assert {key: value for key, value in entry.items() if value is not None} == known
    assert len(entry) == 18


def test_a_gpu_is_given_with_memory_and_processes() -> None:
    memory = GpuMemory(total_bytes=24, used_bytes=10, reserved_bytes=1, free_bytes=13)
    processes = (GpuProcess(pid=7, vram_bytes=10, name="llama-server"),)
    entry = gpu(memory=memory, processes=processes, throttle_reasons=("power cap",))
    assert (entry.vram_total_bytes, entry.vram_used_bytes) == (24, 10)
    assert (entry.vram_reserved_bytes, entry.vram_free_bytes) == (1, 13)
    assert entry.processes is not None
    assert msgspec.to_builtins(entry.processes[0]) == {
        "pid": 7,
        "name": "llama-server",
        "vram_bytes": 10,
        "model": None,
        "took_bytes": None,
        "took_at": None,
    }
    assert entry.throttle_reasons == ("power cap",)
    assert entry.unified is False


def test_no_process_is_not_the_same_as_unknown_processes() -> None:
    assert gpu(processes=()).processes == ()
    assert gpu(processes=None).processes is None


def test_a_lost_gpu_has_an_identity_and_no_values() -> None:
    memory = GpuMemory(total_bytes=24, used_bytes=10)
    lost = gpu(state="lost", memory=memory, power_watts=3.0, temperature_celsius=40)
    assert (lost.uuid, lost.state) == ("GPU-1", "lost")
    assert (lost.vram_total_bytes, lost.power_watts, lost.temperature_celsius) == (None, None, None)


def test_a_model_has_its_claim_spill_and_the_words_of_ollama_ps() -> None:
    claimed = replace(claim("qwen3:14b", digest="ab"), size_bytes=100, size_vram_bytes=62)
    said = replace(claimed, context_length=4096, expires_at=310.0)
    [entry] = snapshot_of(after(ollama(0, [said]))).models
    assert (entry.claimed_size_bytes, entry.claimed_vram_bytes) == (100, 62)
    assert entry.spill_fraction == 0.38
    assert entry.processor == "38%/62% CPU/GPU"
    assert (entry.runtime, entry.url, entry.digest) == ("ollama", OLLAMA, "ab")
    assert (entry.context_length, entry.expires_at) == (4096, 310.0)


def test_the_decode_rate_is_null_where_nothing_measures_it() -> None:
    assert model().decode_tokens_per_second is None


def test_a_claim_that_makes_no_sense_has_no_spill() -> None:
    odd = replace(claim(), size_bytes=10, size_vram_bytes=20)
    [entry] = snapshot_of(after(ollama(0, [odd]))).models
    assert (entry.spill_fraction, entry.processor) == (None, "Unknown")


def test_values_of_a_source_that_is_silent_stay_with_their_age() -> None:
    machine = loaded(Model("qwen3:14b")).machine.look("servers", at=10)
    snapshot = snapshot_of(machine.say(silent(14, seconds=4.0)))
    source = snapshot.sources[0]
    assert (source.name, source.state, source.age_seconds) == (OLLAMA, "hanging", 4.0)
    assert source.detail == "no answer for 4 s"
    assert [entry.name for entry in snapshot.models] == ["qwen3:14b"]


def test_a_source_that_never_answered_has_no_age() -> None:
    server = Machine().ollama()
    server.state, server.detail, server.hint = (
        "not_running",
        "connection refused",
        "start it with: ollama serve",
    )
    source = snapshot_of(server.machine.look("servers")).sources[0]
    assert (source.state, source.age_seconds) == ("not_running", None)
    assert (source.detail, source.hint) == ("connection refused", "start it with: ollama serve")


def test_memory_and_host_are_those_of_the_machine() -> None:
    snapshot = snapshot_of(after(system(3, total_gib=64, available_gib=44)))
    assert (snapshot.host, snapshot.time) == ("box", START + 3.0)
    assert (snapshot.memory.total_bytes, snapshot.memory.available_bytes) == (64 * GIB, 44 * GIB)
    assert snapshot.memory.swap_used_bytes is None


def test_active_alerts_are_given() -> None:
    machine = Machine(Gpu(state="lost", detail="GPU is lost")).look("driver", at=10)
    alert = snapshot_of(machine).alerts[0]
    assert (alert.kind, alert.severity, alert.since) == ("gpu_lost", "bad", START + 10.0)
    assert "lost" in alert.message


def test_gpus_and_models_have_a_steady_order() -> None:
    machine = Machine(Gpu(), Gpu())
    machine.is_listed_backwards = True
    server = machine.ollama()
    for name in ("b", "a"):
        server.load(Model(name))
    snapshot = snapshot_of(machine.look("driver", "servers"))
    assert [entry.index for entry in snapshot.gpus] == [0, 1]
    assert [entry.name for entry in snapshot.models] == ["a", "b"]


def test_who_else_holds_memory_is_grouped() -> None:
    machine = Machine()
    for pid, gib in ((7, 10.0), (8, 5.0)):
        machine.starts(Program("firefox", gib, pid=pid, group="browser"))
    entry = snapshot_of(machine.look("processes", "driver")).gpus[0]
    assert entry.holders == (HolderEntry(group="browser", vram_bytes=15 * GIB, names=("firefox",)),)


def test_memory_that_came_back_is_listed() -> None:
    machine = Machine()
    machine.starts(Program("blender", 2.0, pid=7))
    machine.look("processes", "driver", at=10)
    machine.programs.clear()
    assert snapshot_of(machine.look("driver", at=12)).returned == (
        ReturnedEntry(uuid="GPU-0", name="blender", vram_bytes=2 * GIB, time=START + 12.0),
    )


def test_a_runner_has_the_layers_and_buffers_of_the_servers_log() -> None:
    started = LogEvent(kind="load_started", blob=BLOB, at=START)
    layers = LogEvent(kind="layers_offloaded", count=20, total=25)
    weights = LogEvent(kind="buffer", component="model", device="CUDA0", size_bytes=5)
    machine = loaded(Model(started=START - 1)).machine.look("processes", "servers")
    machine.logs(started, layers, weights)
    entry = snapshot_of(machine).models[0].runner
    assert entry is not None
    assert (entry.layers_on_gpu, entry.layer_count) == (20, 25)
    assert entry.buffers_by_device == {"CUDA0": {"model": 5}}


def test_the_worst_that_is_true_is_said_with_its_level() -> None:
    spilled = snapshot_of(on_gpu(3.0, ram_gib=1.0))
    assert (spilled.level, spilled.sentence) == ("bad", "qwen3:14b spills 1.0 GiB (25%) to RAM")


def test_when_all_is_well_the_sentence_says_so() -> None:
    well = snapshot_of(on_gpu(4.0))
    assert (well.level, well.sentence) == ("ok", "1 model on GPU")


def test_the_level_follows_the_users_limit() -> None:
    split = on_gpu(3.0, ram_gib=1.0)
    assert build_snapshot(Pictures(split.state, spill_bad_percent=30.0)).level == "watch"
