"""vLLM by its command line, in the forms in which people start it."""

from __future__ import annotations

import pytest

from gpumon.collectors.samples import Reserve, RunnerSettings
from gpumon.collectors.servers.sglang.kind import SglangKind
from gpumon.collectors.servers.talk import FoundRunner, ProcessView
from gpumon.collectors.servers.vllm.kind import VllmKind

GIB = 2**30
API_SERVER = "vllm.entrypoints.openai.api_server"


def recognised(line: str, **variables: str) -> RunnerSettings | None:
    found = VllmKind().recognise_process(ProcessView(line.split(), lambda: variables))
    assert found is None or isinstance(found, FoundRunner)
    return found.settings if found else None


def told(line: str, **variables: str) -> RunnerSettings:
    settings = recognised(line, **variables)
    assert settings is not None, line
    return settings


@pytest.mark.parametrize(
    "line",
    [
        "vllm serve Qwen/Qwen3-8B",
        "/venv/bin/python /venv/bin/vllm serve Qwen/Qwen3-8B",
        "/usr/bin/python3 /usr/local/bin/vllm serve --model Qwen/Qwen3-8B",
        "/usr/bin/python3.12 /usr/local/bin/vllm serve Qwen/Qwen3-8B --port 8000",
        f"python3 -m {API_SERVER} --model Qwen/Qwen3-8B",
        f"python -u -m {API_SERVER} --model=Qwen/Qwen3-8B",
        f"python -X importtime -m {API_SERVER} --model Qwen/Qwen3-8B",
        "python3 -m vllm.entrypoints.cli.main serve Qwen/Qwen3-8B",
        "python -m vllm serve Qwen/Qwen3-8B",
        "python /src/vllm/entrypoints/openai/api_server.py --model Qwen/Qwen3-8B",
        "/home/me/.cache/uv/env/bin/python3 /home/me/.cache/uv/env/bin/vllm serve Qwen/Qwen3-8B",
        "vllm serve --port 8000 Qwen/Qwen3-8B",
        "vllm serve --enforce-eager Qwen/Qwen3-8B",
        "vllm serve --trust-remote-code Qwen/Qwen3-8B",
        "vllm serve --max_model_len=4096 Qwen/Qwen3-8B",
    ],
)
def test_it_is_known_however_it_was_started(line: str) -> None:
    assert told(line).model_name == "Qwen/Qwen3-8B"


@pytest.mark.parametrize(
    "line",
    [
        "VLLM::EngineCore",
        "VLLM::Worker_TP0",
        "VLLM::APIServer_1",
        "python -c from multiprocessing.spawn import spawn_main; spawn_main() --multiprocessing-fork",
        "uv run vllm serve Qwen/Qwen3-8B",
        "docker run --gpus all -p 8000:8000 vllm/vllm-openai --model Qwen/Qwen3-8B",
        "bash -c vllm serve Qwen/Qwen3-8B",
        "vllm bench serve --model Qwen/Qwen3-8B",
        "vllm chat --url http://127.0.0.1:8000/v1",
        "vim vllm serve",
        "python vllm",
        "python -m vllm.entrypoints.openai.run_batch -i in -o out --model x",
        "python",
        "",
    ],
)
def test_what_serves_nothing_itself_is_none(line: str) -> None:
    assert recognised(line) is None


def test_its_settings_are_read_and_its_key_is_not() -> None:
    settings = told(
        "python3 /usr/local/bin/vllm serve /models/Qwen3-32B-FP8 --served-model-name qwen3 coder "
        "--host 0.0.0.0 --port 8010 --api-key sk-secret -tp 2 -pp 2 --max-model-len 32k --max-num-seqs 16 "
        "--gpu-memory-utilization 0.85 --kv-cache-dtype fp8 --quantization fp8 --enforce-eager "
        "--enable-sleep-mode --cpu-offload-gb 4 --kv-offloading-size 8",
        CUDA_VISIBLE_DEVICES="0,1",
    )
    assert (settings.model_name, settings.host, settings.port) == ("qwen3", "0.0.0.0", 8010)
    assert (settings.context_length, settings.parallel, settings.cache_type_k) == (32_000, 16, "fp8")
    assert settings.quantization == "fp8"
    assert settings.orders.visible_devices == ("0", "1")
    assert settings.reserve == Reserve(
        gpu_share=0.85,
        gpu_count=4,
        weights_in_ram_bytes=4 * GIB,
        cache_in_ram_bytes=8 * GIB,
        graphs=False,
        may_sleep=True,
    )
    assert "sk-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("written", "tokens"),
    [("32768", 32768), ("32k", 32000), ("32K", 32768), ("25.6k", 25600), ("auto", None), ("-1", None)],
)
def test_a_context_may_be_written_for_people(written: str, tokens: int | None) -> None:
    assert told(f"vllm serve m --max-model-len {written}").context_length == tokens


@pytest.mark.parametrize("share", ["1.5", "0", "x", "-0.5"])
def test_a_share_that_cannot_be_is_not_believed(share: str) -> None:
    assert told(f"vllm serve m --gpu-memory-utilization {share}").reserve.gpu_share is None


def test_a_file_of_settings_is_not_read_and_the_model_beside_it_is() -> None:
    assert told("vllm serve Qwen/Qwen3-8B --config /etc/vllm.yaml").model_name == "Qwen/Qwen3-8B"
    assert told("vllm serve --config /etc/vllm.yaml").model_name is None


HUB = "/root/.cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/b968826d9c46dd6066d109eabc6255188de91218"


@pytest.mark.parametrize("path", [HUB, f"{HUB}/"])
def test_a_model_in_the_cache_of_hugging_face_has_its_name_and_not_that_of_a_hash(path: str) -> None:
    assert told(f"vllm serve {path} --port 8000").model_name == "Qwen/Qwen3-8B"
    found = SglangKind().recognise_process(ProcessView(["sglang", "serve", "--model-path", path], dict))
    assert found is not None
    assert found.settings.model_name == "Qwen/Qwen3-8B"


@pytest.mark.parametrize(
    "rest", ["--api-key one secret", "--lora-modules a=/x b=/y", "--api-key secret", "--middleware a b"]
)
def test_what_stands_behind_a_flag_of_several_values_is_no_model(rest: str) -> None:
    assert told(f"vllm serve --config c.yaml {rest}").model_name is None


def test_a_folder_of_a_model_is_called_by_its_last_part() -> None:
    assert told("vllm serve /models/Qwen3-32B-FP8/").model_name == "Qwen3-32B-FP8"


def test_it_offers_its_own_flags() -> None:
    kind = VllmKind()
    assert kind.set_context(16384, 1).line == "--max-model-len 16384"
    assert kind.set_cache_type("fp8", has_flash_attention=True).line == "--kv-cache-dtype fp8"
    assert kind.set_slots(8).line == "--max-num-seqs 8"
    assert kind.flags["gpu_share"] == "--gpu-memory-utilization"
    assert not kind.unloads
    assert "stop its process" in kind.unload_words
