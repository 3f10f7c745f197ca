"""Servers that are known by their process alone: each by command lines that people have published."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.toy_kind import ToyKind

from gpumon.collectors.samples import RunnerSettings
from gpumon.collectors.servers.by_process.kind import ALL_LAYERS, KNOWN_BY_PROCESS
from gpumon.collectors.servers.by_process.programs import PROGRAMS
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import BUILT_IN, Registry
from gpumon.collectors.servers.talk import FoundRunner, ProcessView

REGISTRY = Registry(BUILT_IN)

LINES = Path(__file__).with_name("command_lines.txt").read_text(encoding="utf-8").splitlines()
MODELS = [tuple(line.split(" | ")) for line in LINES if line and not line.startswith("#")]
"""Kind, model and command line."""

NAMELESS = [
    ("text-generation-launcher --json-output", "tgi"),
    ("xinference-local --host 0.0.0.0 --port 9997", "xinference"),
    ("/v/bin/python /v/bin/uvicorn --factory --host 0.0.0.0 speaches.main:create_app", "speaches"),
    ("uvicorn faster_whisper_server.main:app", "speaches"),
    ("/opt/gpt4all/bin/chat", "gpt4all"),
    ("cortex-server --port 39291", "cortex"),
    ("python server.py --listen-port 7860", "text_generation_webui"),
]

STRANGERS = [
    "python train.py --model /m/a.gguf",
    "python server.py",
    "python main.py --model_path /m/a",
    "uvicorn app.main:app --port 8000",
    "python -m fastchat.serve.controller",
    "python -m fastchat.serve.openai_api_server --port 8000",
    "lmdeploy chat internlm/internlm2-chat-7b",
    "mlc_llm chat HF://mlc-ai/x",
    "transformers env",
    "ray::ServeReplica:default:GroundingDINOModel",
    "docker run ghcr.io/huggingface/text-generation-inference --model-id x",
    "bash -c 'python -m llama_cpp.server --model x.gguf'",
    "vim llamafile.txt",
    "python",
    "python -c pass",
    "python -m",
    "/usr/bin/ape",
    "",
]


def recognised(
    argv: Sequence[str],
    environ: Mapping[str, str] | None = None,
    directory: str | None = None,
    files: Sequence[str] = (),
    ports: Sequence[int] = (),
    *,
    on_gpu: bool = True,
) -> FoundRunner | None:
    """Return what a process is to the first kind that knows it."""
    view = ProcessView(
        argv,
        lambda: environ or {},
        on_gpu=on_gpu,
        directory=lambda: directory,
        model_files=lambda: files,
        ports=lambda: ports,
    )
    found = (kind.recognise_process(view) for kind in REGISTRY.kinds())
    first = next((one for one in found if one is not None), None)
    assert first is None or isinstance(first, FoundRunner)
    return first


def settings_of(line: str, environ: Mapping[str, str] | None = None) -> RunnerSettings:
    found = recognised(shlex.split(line), environ)
    assert found is not None
    return found.settings


@pytest.mark.parametrize(("kind", "model", "line"), MODELS)
def test_a_command_line_tells_the_kind_and_the_model(kind: str, model: str, line: str) -> None:
    found = recognised(shlex.split(line))
    assert found is not None
    assert (found.kind, found.settings.model_name or found.settings.model_path) == (kind, model)


@pytest.mark.parametrize(("line", "kind"), NAMELESS)
def test_one_that_names_no_model_is_known_all_the_same(line: str, kind: str) -> None:
    found = recognised(shlex.split(line))
    assert found is not None
    assert (found.kind, found.settings.model_name, found.settings.model_path) == (kind, None, None)
    assert not found.is_settled, "it is looked at again"


@pytest.mark.parametrize("line", STRANGERS)
def test_what_is_like_one_is_none(line: str) -> None:
    assert recognised(shlex.split(line)) is None


def test_each_kind_of_the_table_is_tried() -> None:
    tried = {kind for kind, *_ in MODELS} | {kind for _, kind in NAMELESS}
    assert {one.name for one in PROGRAMS} <= tried


def test_its_settings_are_read() -> None:
    line = "python3 -m llama_cpp.server --model /m/a.gguf"
    told = settings_of(f"{line} --n_gpu_layers 20 --n_ctx 8192 --port 8001 --n_threads 6")
    assert (told.port, told.context_length, told.gpu_layers, told.threads) == (8001, 8192, 20, 6)
    tgi = settings_of("text-generation-launcher --model-id x/y --quantize awq --max-total-tokens 4096 -p 80")
    assert (tgi.port, tgi.context_length, tgi.quantization) == (80, 4096, "awq")
    assert settings_of("text-embeddings-router --model-id x/y").embedding


def test_llama_cpp_python_puts_no_layers_on_a_gpu_unless_told_and_all_with_minus_one() -> None:
    line = "python3 -m llama_cpp.server --model /m/a.gguf"
    assert settings_of(line).gpu_layers is None
    assert REGISTRY.runner("llama_cpp_python").unasked_layers == 0
    assert settings_of(f"{line} --n_gpu_layers -1").gpu_layers == ALL_LAYERS
    assert settings_of(line, {"N_GPU_LAYERS": "33"}).gpu_layers == 33


def test_its_environment_stands_for_flags_and_flags_count_more() -> None:
    told = {"MODEL_ID": "google/gemma-2b", "PORT": "80", "CUDA_VISIBLE_DEVICES": "1"}
    found = settings_of("text-generation-launcher", told)
    assert (found.model_name, found.port, found.orders.visible_devices) == ("google/gemma-2b", 80, ("1",))
    assert settings_of("text-generation-launcher --model-id x/y", told).model_name == "x/y"


def test_a_script_with_a_common_name_is_known_by_its_working_directory() -> None:
    argv = ["python", "server.py", "--model", "a"]
    assert recognised(argv) is None
    found = recognised(argv, directory="/home/u/text-generation-webui")
    assert found is not None
    assert found.kind == "text_generation_webui"


def test_the_files_that_it_holds_tell_the_model_where_nothing_else_does() -> None:
    hub = "/h/hub/models--Systran--faster-whisper-large-v3/blobs/69f7"
    speech = recognised(["uvicorn", "speaches.main:create_app"], files=[hub])
    assert speech is not None
    assert speech.settings.model_name == "Systran/faster-whisper-large-v3"
    chat = recognised(["gpt4all"], files=["/m/a.gguf"])
    assert chat is not None
    assert chat.settings.model_path == "/m/a.gguf"
    assert not chat.is_settled, "it may load another"


def test_a_name_without_folder_is_found_among_the_files_that_it_holds() -> None:
    argv = ["python", "server.py", "--model", "a.gguf", "--loader", "llama.cpp"]
    found = recognised(argv, files=["/w/user_data/models/a.gguf"])
    assert found is not None
    assert found.settings.model_path == "/w/user_data/models/a.gguf"
    bare = recognised(argv)
    assert bare is not None
    assert (bare.settings.model_path, bare.settings.model_name) == (None, "a.gguf"), "no path is guessed"


def test_files_are_looked_at_on_a_gpu_only() -> None:
    found = recognised(["gpt4all"], files=["/m/a.gguf"], on_gpu=False)
    assert found is not None
    assert found.settings.model_path is None


class TestPython:
    """A Python program of no table."""

    ARGV = ("/v/bin/python", "app.py")

    def test_that_listens_on_a_gpu_and_holds_a_model_is_a_server(self) -> None:
        weights = "/m/Qwen3-8B/model-00001-of-00002.safetensors"
        found = recognised(self.ARGV, files=[weights], ports=[9000, 8123])
        assert found is not None
        assert (found.kind, found.settings.model_name, found.settings.port) == ("python", "Qwen3-8B", 8123)

    @pytest.mark.parametrize(
        "lacking",
        [
            {"ports": []},
            {"files": []},
            {"on_gpu": False},
        ],
    )
    def test_is_none_where_any_of_the_three_is_missing(self, lacking: dict[str, list[int]]) -> None:
        whole = {"files": ["/m/a.gguf"], "ports": [8000], "on_gpu": True}
        assert recognised(self.ARGV, **(whole | lacking)) is None  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "argv",
        [
            ("python", "train.py"),
            ("python", "/src/finetune_lora.py"),
            ("python", "-m", "ipykernel_launcher", "-f", "kernel.json"),
            ("python", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()"),
            ("jupyter-lab",),
            ("/opt/blender",),
        ],
    )
    def test_training_and_notebooks_are_none(self, argv: tuple[str, ...]) -> None:
        assert recognised(argv, files=["/m/a.gguf"], ports=[8888, 29500]) is None


def test_other_kinds_are_shown_a_process_first_those_of_other_packages_too() -> None:
    registry = Registry(BUILT_IN)
    registry.add(ToyKind())
    names = [kind.name for kind in registry.kinds()]
    assert names[-1] == "python"
    assert names.index("toy") < names.index("tgi")


@pytest.mark.parametrize("kind", KNOWN_BY_PROCESS, ids=lambda kind: kind.name)
def test_nothing_is_asked_of_them(kind: ServerKind) -> None:
    assert not kind.has_url
    assert type(kind).converse is ServerKind.converse
    assert all(runner.by_itself and runner.default_port is None for runner in kind.runners)


WORDS = st.sampled_from(
    sorted(
        {word for *_, line in MODELS for word in shlex.split(line)}
        | {flag for one in PROGRAMS for flag in one.model.split()}
        | {"--tp", "--unknown", "-x", "", "="}
    )
)
SECRET = "hunter2"  # noqa: S105 - nobody's
SECRETS = st.sampled_from(["--api-key", "--hf-token", "--api-keys", "--admin-key", "--gradio-auth"])


ARGV = st.sampled_from([shlex.split(line) for *_, line in MODELS])
TEXTS = st.text(max_size=30)


@given(ARGV, st.lists(WORDS, max_size=6), SECRETS, st.data())
def test_no_value_of_a_flag_that_holds_a_secret_is_ever_kept(
    argv: list[str], more: list[str], flag: str, data: st.DataObject
) -> None:
    words = [*argv, *more]
    at = data.draw(st.integers(1, len(words)))
    told = data.draw(st.sampled_from([[flag, SECRET], [f"{flag}={SECRET}"], [flag, SECRET, SECRET]]))
    assert SECRET not in repr(recognised([*words[:at], *told, *words[at:]]))


@given(st.lists(st.one_of(WORDS, TEXTS), max_size=8), st.lists(TEXTS, max_size=3))
def test_no_command_line_whatsoever_raises(argv: list[str], files: list[str]) -> None:
    recognised(argv, files=files, ports=[1])
