"""What a command line says: every one that is known, and any that is not."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.processes.tree import BLOB

from gpumon.collectors.samples import Orders, RunnerSettings
from gpumon.collectors.servers.llama_server.command_line import blob_of, is_router, listening_address
from gpumon.collectors.servers.registry import BUILT_IN
from gpumon.collectors.servers.talk import FoundRunner, FoundServer, ProcessView


def recognised(
    argv: Sequence[str], environ: Mapping[str, str] | None = None
) -> FoundRunner | FoundServer | None:
    """Return what the first kind that knows a process takes it for."""
    found = (kind.recognise_process(ProcessView(argv, lambda: environ or {})) for kind in BUILT_IN)
    return next((one for one in found if one is not None), None)


def parse_runner(argv: Sequence[str]) -> tuple[str, RunnerSettings] | None:
    found = recognised(argv)
    return (found.kind, found.settings) if isinstance(found, FoundRunner) else None


def server_kind(argv: Sequence[str]) -> str | None:
    found = recognised(argv)
    return found.kind if isinstance(found, FoundServer) and not is_router(argv) else None


BLOB_PATH = f"/home/ollama/.ollama/models/blobs/{BLOB}"

OLLAMA_0_30 = f"""
/usr/lib/ollama/llama-server --model {BLOB_PATH} --port 36183 --host 127.0.0.1 --no-webui --offline
-c 131072 -np 1 --log-verbosity 4 --no-log-prefix --no-log-timestamps --no-jinja --chat-template chatml
--mmproj {BLOB_PATH} --flash-attn auto -b 512 -ub 512 --context-shift --keep 4
"""
OLLAMA_0_30_SETTINGS = RunnerSettings(
    model_path=BLOB_PATH,
    blob=BLOB,
    port=36183,
    host="127.0.0.1",
    context_length=131072,
    parallel=1,
    batch_size=512,
    micro_batch_size=512,
    flash_attention="auto",
    projector_path=BLOB_PATH,
    child_of="ollama",
)
ON_BLOB = RunnerSettings(model_path=BLOB_PATH, blob=BLOB, port=40000)

RUNNERS: list[tuple[str, str, RunnerSettings]] = [
    (OLLAMA_0_30, "llama_server", OLLAMA_0_30_SETTINGS),
    (
        f"llama-server --model {BLOB_PATH} --port 40000 -c 16384 -np 4 --load-mode none --lora /a --embedding"
        " -ngl 0 -t 8 --cache-type-k q8_0 --cache-type-v q4_0 --split-mode none --main-gpu 0"
        " --no-mmproj-offload --spec-type draft-mtp --spec-draft-n-max 3 --spec-draft-model /draft"
        " --image-min-tokens 1024",
        "llama_server",
        msgspec.structs.replace(
            ON_BLOB,
            context_length=4096,
            parallel=4,
            embedding=True,
            gpu_layers=0,
            threads=8,
            cache_type_k="q8_0",
            cache_type_v="q4_0",
            draft_path="/draft",
            orders=Orders(split_mode="none", main_gpu=0, projector_on_gpu=False, load_mode="none"),
        ),
    ),
    (
        "ollama runner --mlx-engine --model qwen3:8b --port 40000",
        "mlx_runner",
        RunnerSettings(model_name="qwen3:8b", port=40000),
    ),
    (
        "/usr/bin/ollama runner --imagegen-engine --model x/z-image-turbo --port 40000",
        "imagegen_runner",
        RunnerSettings(model_name="x/z-image-turbo", port=40000),
    ),
    (f"/usr/local/bin/ollama runner --model {BLOB_PATH} --port 40000", "ollama_runner", ON_BLOB),
    (
        f"/usr/local/bin/ollama runner --ollama-engine --model {BLOB_PATH} --port 40000",
        "ollama_runner",
        ON_BLOB,
    ),
    (
        f"ollama runner --ollama-engine --model {BLOB_PATH} --ctx-size 8192 --batch-size 512"
        " --n-gpu-layers 33 --threads 6 --flash-attn --kv-cache-type q8_0 --no-mmap --parallel 4"
        " --tensor-split 32,30 --multiuser-cache --port 40000",
        "ollama_runner",
        msgspec.structs.replace(
            ON_BLOB,
            context_length=2048,
            parallel=4,
            batch_size=512,
            gpu_layers=33,
            threads=6,
            flash_attention="on",
            cache_type_k="q8_0",
            cache_type_v="q8_0",
            orders=Orders(tensor_split=(32.0, 30.0), load_mode="none"),
        ),
    ),
    (
        f"/tmp/ollama123/runners/cuda_v12/ollama_llama_server --model {BLOB_PATH} --ctx-size 2048"
        " --batch-size 512 --embedding --n-gpu-layers 33 --parallel 1 --port 40000",
        "legacy_runner",
        msgspec.structs.replace(
            ON_BLOB, context_length=2048, parallel=1, batch_size=512, gpu_layers=33, embedding=True
        ),
    ),
    (
        f"/x/ollama_llama_server runner --model {BLOB_PATH} --port 40000",
        "legacy_runner",
        ON_BLOB,
    ),
    (
        "llama-server -m /models/a.gguf -ctk q8_0 -ctv q8_0 -fa -md /models/draft.gguf -mm /models/p.gguf"
        " --metrics --sleep-idle-seconds 300 -ngl 99",
        "llama_server",
        RunnerSettings(
            model_path="/models/a.gguf",
            cache_type_k="q8_0",
            cache_type_v="q8_0",
            flash_attention="on",
            draft_path="/models/draft.gguf",
            projector_path="/models/p.gguf",
            metrics=True,
            sleep_idle_seconds=300.0,
            gpu_layers=99,
        ),
    ),
    (
        "llama-server --model=/models/a.gguf --port=8081 --ctx-size=4096",
        "llama_server",
        RunnerSettings(model_path="/models/a.gguf", port=8081, context_length=4096),
    ),
    (
        "llama-server -hf org/repo:Q4_K_M -c 0 -ngl auto",
        "llama_server",
        RunnerSettings(model_name="org/repo:Q4_K_M"),
    ),
    (
        "llama-server --alias gemma --port 41234 --model /models/gemma.gguf",
        "llama_server",
        RunnerSettings(model_path="/models/gemma.gguf", model_name="gemma", port=41234),
    ),
]


@pytest.mark.parametrize(("line", "kind", "settings"), RUNNERS)
def test_a_runner_is_known_with_its_settings(line: str, kind: str, settings: RunnerSettings) -> None:
    assert parse_runner(shlex.split(line)) == (kind, settings)


def test_a_runner_on_windows_is_known() -> None:
    argv = ["C:\\Ollama\\llama-server.exe", "--model", f"C:\\U\\.ollama\\models\\blobs\\{BLOB}"]
    found = parse_runner(argv)
    assert found is not None
    assert found[1].blob == BLOB


LOOKS_FOR_GPUS = [
    "/usr/lib/ollama/llama-server --port 41000 --host 127.0.0.1 --no-webui --offline --verbose",
    "llama-server --list-devices --offline --verbose",
    "ollama gpu-discover --lib-dir /usr/lib/ollama",
]


@pytest.mark.parametrize("line", LOOKS_FOR_GPUS)
def test_a_look_for_gpus_is_neither_runner_nor_router(line: str) -> None:
    argv = shlex.split(line)
    assert (parse_runner(argv), is_router(argv), server_kind(argv)) == (None, False, None)


@pytest.mark.parametrize(
    "line",
    [
        "ollama serve",
        "ollama run qwen3:8b --model x",
        "ollama runner",
        "ollama runner --model",
        "ollama",
        "vim llama-server --model /a.gguf",
        "bash -c llama-server",
        "llama-cli --model /a.gguf",
        "llama-server --model",
        "llama-server --model /a.gguf --version",
        "''",
    ],
)
def test_other_programs_are_no_runners(line: str) -> None:
    assert parse_runner(shlex.split(line)) is None


@pytest.mark.parametrize(
    "line", ["llama-server", "llama-server --port 8080 --models-max 2", "llama-server --models-dir /models"]
)
def test_a_llama_server_without_model_is_a_router(line: str) -> None:
    assert is_router(shlex.split(line))


@pytest.mark.parametrize("line", ["llama-server --help", "llama-server -m /a.gguf", "bash llama-server"])
def test_what_holds_a_model_or_only_answers_a_question_is_no_router(line: str) -> None:
    assert not is_router(shlex.split(line))


def test_a_router_says_where_it_listens() -> None:
    assert listening_address(["llama-server", "--host", "0.0.0.0", "--port", "9000"]) == ("0.0.0.0", 9000)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("/usr/local/bin/ollama serve", "ollama"),
        ("ollama start", "ollama"),
        ("/Applications/Ollama.app/Contents/Resources/ollama serve", "ollama"),
        ("'C:\\Programs\\Ollama\\ollama.exe' serve", "ollama"),
        ("/nix/store/x/bin/.ollama-wrapped serve", "ollama"),
        ("llama-swap --config /etc/swap.yaml", "llama_swap"),
        ("/usr/bin/lemonade-server serve", "lemonade"),
        ("lemond", "lemonade"),
        ("sudo ollama serve", None),
        ("bash -c 'ollama serve'", None),
        ("ollama list serve", None),
    ],
)
def test_servers_are_known_by_the_program_they_are(line: str, kind: str | None) -> None:
    assert server_kind(shlex.split(line)) == kind


@pytest.mark.parametrize(
    ("flags", "tokens"),
    [
        ("-c 8192", 8192),
        ("-c 8192 -np 4", 2048),
        ("-c 8192 -np -1", 8192),
        ("-c 8192 -np 4 --kv-unified", 8192),
        ("-c 8192 --no-kv-unified", None),
        ("-c 0 -np 4", None),
        ("-np 4", None),
        ("-c 4096 -c 8192", 8192),
        ("-c many", None),
        ("-c 1 -np 2", None),
    ],
)
def test_context_length_is_per_slot(flags: str, tokens: int | None) -> None:
    found = parse_runner(["llama-server", "-m", "/a.gguf", *flags.split()])
    assert found is not None
    assert found[1].context_length == tokens


@pytest.mark.parametrize("port", ["0", "65536", "-1", "\uff19\uff10", "99999999999999999999999", "", "8080x"])
def test_an_impossible_port_is_unknown(port: str) -> None:
    found = parse_runner(["llama-server", "-m", "/a.gguf", "--port", port])
    assert found is not None
    assert found[1].port is None


@pytest.mark.parametrize("path", [None, "/a/b.gguf", f"/blobs/{BLOB}x", f"/x{BLOB}", "/blobs/sha256-abc"])
def test_a_path_outside_the_blobs_names_none(path: str | None) -> None:
    assert blob_of(path) is None


def test_keys_are_not_kept() -> None:
    found = parse_runner(["llama-server", "-m", "/a.gguf", "--api-key", "secret", "--hf-token", "secret"])
    assert "secret" not in repr(found)


def test_a_value_too_long_for_a_path_is_unknown() -> None:
    assert parse_runner(["llama-server", "-m", "x" * 5000]) is None


FLAGS = [
    "-m",
    "--model",
    "-c",
    "-np",
    "--port",
    "--host",
    "-fa",
    "-ngl",
    "-b",
    "-ub",
    "--embedding",
    "--metrics",
    "--sleep-idle-seconds",
    "-kvu",
    "--mlx-engine",
    "--imagegen-engine",
    "-model",
    "--model=",
    "--ctx-size=9",
    "runner",
    "serve",
    "--",
    "-",
    "=",
]
PROGRAMS = ["llama-server", "ollama", "ollama_llama_server", "/a/.llama-server-wrapped", ""]
WORDS = st.one_of(st.sampled_from(FLAGS), st.text(), st.binary().map(lambda raw: raw.decode("latin-1")))


@given(st.lists(WORDS), st.sampled_from(PROGRAMS))
def test_no_command_line_raises_or_makes_what_cannot_be_recorded(words: list[str], program: str) -> None:
    argv = [program, *words]
    found = parse_runner(argv)
    assert found is None or msgspec.json.encode(found[1])
    assert not (found and is_router(argv)), "a process is a runner or a router"
    server_kind(argv)


@given(st.lists(st.text()))
def test_any_words_at_all_are_survived(words: list[str]) -> None:
    parse_runner(words)
    is_router(words)
    server_kind(words)


ONLY_ENVIRONMENT = {
    "LLAMA_ARG_MODEL": "/models/Qwen3-14B-Q4_K_M.gguf",
    "LLAMA_ARG_CTX_SIZE": "32768",
    "LLAMA_ARG_N_PARALLEL": "2",
    "LLAMA_ARG_N_GPU_LAYERS": "99",
    "LLAMA_ARG_PORT": "8033",
    "LLAMA_ARG_FLASH_ATTN": "off",
    "LLAMA_ARG_ENDPOINT_METRICS": "1",
}


def settings_from(argv: str, environ: Mapping[str, str]) -> RunnerSettings:
    found = recognised(argv.split(), environ)
    assert isinstance(found, FoundRunner), found
    return found.settings


def test_a_llama_server_without_a_flag_is_known_by_its_environment() -> None:
    settings = settings_from("/app/llama-server", ONLY_ENVIRONMENT)
    assert settings == RunnerSettings(
        model_path="/models/Qwen3-14B-Q4_K_M.gguf",
        context_length=16384,
        parallel=2,
        gpu_layers=99,
        port=8033,
        flash_attention="off",
        metrics=True,
        orders=Orders(by_environment=("gpu_layers",)),
    )


def test_a_flag_wins_over_its_variable() -> None:
    settings = settings_from("llama-server -m /b.gguf -c 4096 -np 1", ONLY_ENVIRONMENT)
    assert (settings.model_path, settings.context_length, settings.port) == ("/b.gguf", 4096, 8033)


def test_a_folder_of_models_in_the_environment_makes_a_router() -> None:
    assert recognised(["llama-server"], {"LLAMA_ARG_MODELS_DIR": "/models"}) == FoundServer("llama_server")


def test_a_variable_that_may_hold_a_key_is_not_even_read() -> None:
    names = {name for kind in BUILT_IN for name in kind.environment}
    assert not any(word in name for name in names for word in ("KEY", "TOKEN", "PASSWORD", "SECRET"))


@pytest.mark.parametrize(
    ("alias", "name"),
    [("best,千问", "best"), (" best , x", "best"), (",best", "best"), ("best", "best"), (",", None)],
)
def test_of_several_aliases_the_first_is_the_name(alias: str, name: str | None) -> None:
    found = parse_runner(["llama-server", "-m", "/a.gguf", "-a", alias])
    assert found is not None
    assert found[1].model_name == name
