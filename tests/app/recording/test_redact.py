"""A copy of a recording that can be shown to others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import msgspec.inspect as inspected
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.recordings import HEADER, scenario_samples, write_recording

from gpumon.app.cli.main import main
from gpumon.app.demo.scenarios import list_scenarios
from gpumon.app.recording.lines import RecordingError
from gpumon.app.recording.pseudonyms import Pseudonyms
from gpumon.app.recording.reader import Recording, read_recording
from gpumon.app.recording.redaction import RULES, Redaction, redact
from gpumon.collectors.samples import (
    AnySample,
    GpuProcess,
    GpuReading,
    LogEvent,
    LogSample,
    ModelClaim,
    ModelFacts,
    NvmlSample,
    Orders,
    ProcessSample,
    RunnerProcess,
    RunnerSettings,
    ServerProcess,
    ServerSample,
    SourceHealth,
    SourceSilent,
    SystemSample,
)

HOST, USER, MODEL, DIGEST, PROGRAM = (
    "skunkworks",
    "erika",
    "acme/secret-llm:70b",
    "c0ffee" * 10 + "abcd",
    "trainer",
)
UUID = "GPU-00000001-1111-2222-3333-444444444444"
URL = f"http://{HOST}.corp.example:11434"
FOLDER = f"/home/{USER}/projects"
MARKS = (
    HOST,
    USER,
    "acme",
    "secret",
    DIGEST[:16],
    PROGRAM,
    "projects",
    "corp.example",
    "10.1.2.3",
    UUID[:12],
)
"""Of none of them a trace may be left."""

SAMPLES: list[AnySample] = [
    SourceSilent(time=1.0, source=URL, seconds=3.0, detail=f"no answer from {HOST} for {MODEL}"),
    SystemSample(
        time=1.0, source="system", host=HOST, ram_total_bytes=7, ram_used_bytes=3, ram_available_bytes=4
    ),
    NvmlSample(
        time=1.0,
        source="nvml",
        health=SourceHealth(state="serving"),
        gpus=(
            GpuReading(
                uuid=UUID,
                index=0,
                name="NVIDIA H100",
                processes=(GpuProcess(pid=1, name=PROGRAM, vram_bytes=5),),
            ),
        ),
    ),
    ServerSample(
        kind="ollama",
        time=2.0,
        source=URL,
        health=SourceHealth(state="failing", detail=f"HTTP 500: cannot load {MODEL} of {USER}"),
        models=(ModelClaim(name=MODEL, digest=DIGEST, size_bytes=9, quantization="Q4_K_M"),),
    ),
    ModelFacts(
        time=2.0,
        source=URL,
        name=MODEL,
        digest=DIGEST,
        blobs=(f"sha256-{DIGEST}",),
        geometry={"general.organization": "acme", "llama.block_count": 32},
        parameters={"num_ctx": "8192"},
    ),
    ProcessSample(
        time=3.0,
        source="processes",
        servers=(
            ServerProcess(kind="ollama", pid=1, started=1.0, user=USER, urls=(URL,), models_path=FOLDER),
        ),
        runners=(
            RunnerProcess(
                pid=2,
                started=1.0,
                kind="llama_server",
                user=USER,
                settings=RunnerSettings(
                    model_path=f"{FOLDER}/blobs/sha256-{DIGEST}",
                    blob=f"sha256-{DIGEST}",
                    host="10.1.2.3",
                    port=5,
                ),
                unreadable=(f"{FOLDER}/x: permission denied",),
            ),
        ),
    ),
    LogSample(
        time=4.0,
        source=f"log {FOLDER}/server.log",
        health=SourceHealth(state="absent", detail=f"no such file: {FOLDER}/server.log of 10.1.2.3"),
        events=(
            LogEvent(kind="gpu_found", gpu_uuid=UUID, device="CUDA0", size_bytes=3),
            LogEvent(kind="server_config", settings={"OLLAMA_MODELS": FOLDER, "OLLAMA_NUM_PARALLEL": "2"}),
            LogEvent(kind="load_failed", text=f"cannot open {FOLDER}/weights for {USER}"),
        ),
    ),
]


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    path = tmp_path / "run.jsonl"
    write_recording(path, SAMPLES, msgspec.structs.replace(HEADER, host=HOST))
    return read_recording(path)


@pytest.fixture
def copy(recording: Recording, tmp_path: Path) -> Recording:
    redact(recording, tmp_path / "copy.jsonl")
    return read_recording(tmp_path / "copy.jsonl")


def test_no_name_is_left(copy: Recording) -> None:
    text = copy.path.read_text()
    assert [mark for mark in MARKS if mark in text] == []


def test_every_sample_is_still_there_with_its_figures(copy: Recording) -> None:
    assert figures(list(copy)) == figures(SAMPLES)
    assert (copy.unknown, copy.damaged) == (0, 0)


def test_what_is_no_name_stays(copy: Recording) -> None:
    text = copy.path.read_text()
    kept = (
        "NVIDIA H100",
        "Q4_K_M",
        "CUDA0",
        "llama.block_count",
        "8192",
        "HTTP 500",
        ":11434",
        "permission denied",
    )
    assert [word for word in kept if word not in text] == []


def test_what_belonged_together_still_does(copy: Recording) -> None:
    _, _, _, ollama, facts, processes, _ = copy
    assert isinstance(ollama, ServerSample)
    assert isinstance(facts, ModelFacts)
    assert isinstance(processes, ProcessSample)
    assert processes.servers is not None
    assert processes.runners is not None
    assert ollama.models is not None
    assert (ollama.models[0].name, ollama.models[0].digest) == (facts.name, facts.digest)
    assert ollama.source == facts.source == processes.servers[0].urls[0]
    settings = processes.runners[0].settings
    assert settings.blob == facts.blobs[0]
    assert settings.model_path is not None
    assert settings.model_path.endswith(f"/{settings.blob}")


def test_two_copies_have_nothing_in_common(recording: Recording, tmp_path: Path) -> None:
    redact(recording, tmp_path / "one.jsonl")
    redact(recording, tmp_path / "two.jsonl")
    names = [
        {sample.host for sample in read_recording(tmp_path / name) if isinstance(sample, SystemSample)}
        for name in ("one.jsonl", "two.jsonl")
    ]
    assert names[0].isdisjoint(names[1])


def test_a_file_that_is_there_is_not_written_over(recording: Recording, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(RecordingError, match=r"cannot write .*notes\.txt: file exists"):
        redact(recording, tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "precious"


def test_what_cannot_be_read_is_left_out_and_counted(recording: Recording, tmp_path: Path) -> None:
    with recording.path.open("ab") as file:
        file.write(b'{"type":"of tomorrow","secret":"skunkworks"}\n')
    done = redact(recording, tmp_path / "copy.jsonl")
    assert (done.samples, done.left_out) == (len(SAMPLES), 1)
    assert "skunkworks" not in (tmp_path / "copy.jsonl").read_text()


def test_the_command_says_what_it_has_done(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.jsonl"
    assert main(["redact", str(recording.path), str(copy)]) == 0
    assert capsys.readouterr().out == f"{copy}: {len(SAMPLES)} samples, names replaced\n"


@pytest.mark.parametrize("name", [scenario.name for scenario in list_scenarios()])
def test_every_scenario_can_be_redacted(name: str, tmp_path: Path) -> None:
    write_recording(tmp_path / "run.jsonl", scenario_samples(name, 3))
    recording = read_recording(tmp_path / "run.jsonl")
    redact(recording, tmp_path / "copy.jsonl")
    assert figures(list(read_recording(tmp_path / "copy.jsonl"))) == figures(list(recording))


def test_every_text_of_every_sample_has_a_rule() -> None:
    missing = sorted({path for path in texts(inspected.type_info(AnySample)) if path not in RULES})
    assert [path for path in missing if not path.endswith(".source")] == []


@given(st.text(), st.text())
def test_stand_ins_are_stable_and_differ_where_names_do(one: str, other: str) -> None:
    names = Pseudonyms()
    assert names.of_model(one) == names.of_model(one)
    assert (names.of_model(one) == names.of_model(other)) == (one == other)


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    redaction = Redaction()
    sample = SourceSilent(time=1.0, source=text, seconds=1.0, detail=text)
    assert isinstance(redaction.sample(sample), SourceSilent)
    for stand_in in (redaction.names.of_url, redaction.names.of_path, redaction.names.of_digest):
        assert stand_in(text) == stand_in(text)


def texts(kind: inspected.Type, path: str = "") -> Iterator[str]:
    """Yield the type and field of every text that is not one of few words."""
    match kind:
        case inspected.StructType():
            for field in kind.fields:
                yield from texts(field.type, f"{kind.cls.__name__}.{field.name}")
        case inspected.UnionType():
            for one in kind.types:
                yield from texts(one, path)
        case inspected.VarTupleType():
            yield from texts(kind.item_type, path)
        case inspected.DictType():
            yield from texts(kind.key_type, path)
            yield from texts(kind.value_type, path)
        case inspected.StrType():
            yield path


def figures(samples: object) -> object:
    """Leave nothing of samples but their shape and their numbers."""
    return without_texts(msgspec.json.decode(msgspec.json.encode(samples)))


def without_texts(value: object) -> object:
    match value:
        case str():
            return ""
        case dict():
            return sorted(repr(without_texts(one)) for one in value.values())
        case list():
            return [without_texts(one) for one in value]
    return value


def test_cards_that_were_chosen_by_their_identity_keep_one_stand_in() -> None:
    redaction = Redaction()
    orders = Orders(visible_devices=("0", UUID), devices=("CUDA1", "RPC"), tensor_split=(3.0, 1.0))
    process = RunnerProcess(pid=1, started=1.0, kind="llama_server", settings=RunnerSettings(orders=orders))
    sample = ProcessSample(
        time=1.0,
        source="processes",
        health=SourceHealth(state="serving"),
        servers=(),
        runners=(process,),
        holders=(),
    )
    gpu = redaction.sample(
        NvmlSample(
            time=1.0,
            source="nvml",
            health=SourceHealth(state="serving"),
            gpus=(GpuReading(uuid=UUID, index=0),),
        )
    )
    kept = redaction.sample(sample)
    assert isinstance(kept, ProcessSample)
    assert isinstance(gpu, NvmlSample)
    assert kept.runners is not None
    told = kept.runners[0].settings.orders
    assert told.visible_devices == ("0", gpu.gpus[0].uuid)
    assert UUID not in str(told)
    assert (told.devices, told.tensor_split) == (orders.devices, orders.tensor_split)
