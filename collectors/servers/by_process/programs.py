"""The programs that serve models and tell gpumon nothing: how each is started, as its own sources have it.

What is not listed of a program's flags is not read, so that the value of a flag that is not known, a key
among them, is never taken for anything. A spelling with ``-`` stands for that with ``_`` as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

APP_SERVERS = frozenset({"uvicorn", "gunicorn", "hypercorn", "granian"})
"""Programs that are given the application to run, as ``package.module:name``."""


class Program(Struct, frozen=True, kw_only=True, eq=False):
    """One kind of server, by its command line."""

    name: str
    """Stable: it stands in samples and recordings."""
    label: str
    names: tuple[str, ...] = ()
    """Of its program, script or module, in lower case and without ``.py``."""
    scripts: tuple[str, ...] = ()
    """Names that others have as well: they count within a folder of its own, or with one of its ``marks``."""
    folders: tuple[str, ...] = ()
    """A part of the path, or of the working directory, in lower case."""
    marks: frozenset[str] = frozenset()
    """Flags that no other program has."""
    packages: tuple[str, ...] = ()
    """Of its application, where an application server runs it."""
    commands: tuple[str, ...] = ()
    """What must come first, if anything: one of these, of one or more words each."""
    model: str = ""
    """Flags that name the model or its file: here and below parted by spaces."""
    takes_model: bool = False
    """Whether the model stands without a flag behind the command."""
    alias: str = ""
    """Flags by which clients call it."""
    file: str = ""
    """Flags that name a file within ``model``."""
    folder: str = ""
    """Flags that name a folder of several models."""
    port: str = "--port"
    context: str = ""
    layers: str = ""
    """Layers on GPUs, of programs that are built on llama.cpp; -1 is all of them."""
    unasked_layers: int | None = None
    """How many go there where nobody asks."""
    threads: str = ""
    quantization: str = ""
    skipped: str = ""
    """Other flags with one value each: they may stand before a model without a flag."""
    environment: Mapping[str, str] = {}
    """Variables that stand for flags, by name: ``model``, ``port``, …"""
    defaults: Mapping[str, str] = {}
    is_for_embeddings: bool = False


ENGINE_FLAGS = "--host --dtype --tokenizer --revision --max-num-seqs --device --seed --log-level"

PROGRAMS = (
    Program(
        name="llama_cpp_python",
        label="llama-cpp-python",
        names=("llama_cpp.server",),
        packages=("llama_cpp",),
        model="--model",
        alias="--model-alias",
        context="--n-ctx",
        layers="--n-gpu-layers",
        unasked_layers=0,
        threads="--n-threads",
        environment={
            "MODEL": "model",
            "MODEL_ALIAS": "alias",
            "N_CTX": "context",
            "N_GPU_LAYERS": "layers",
            "PORT": "port",
        },
        defaults={"context": "2048"},  # llama_cpp/server/settings.py
    ),
    Program(
        name="llamafile",
        label="llamafile",
        names=("llamafile",),
        model="-m --model",
        alias="-a --alias",
        context="-c --ctx-size",
        layers="-ngl --gpu-layers --n-gpu-layers",
        threads="-t --threads",
    ),
    Program(
        name="text_generation_webui",
        label="text-generation-webui",
        scripts=("server",),
        folders=("text-generation-webui", "textgen", "oobabooga"),
        marks=frozenset({"--listen-port", "--api-port", "--loader", "--model-menu", "--extra-flags"}),
        model="--model",
        folder="--model-dir",
        port="--api-port",
        context="--ctx-size --n-ctx --max-seq-len",
        layers="--gpu-layers --n-gpu-layers",
        threads="--threads",
    ),
    Program(
        name="tgi",
        label="TGI",
        names=("text-generation-launcher",),
        model="--model-id",
        port="-p --port",
        context="--max-total-tokens",
        quantization="--quantize",
        environment={
            "MODEL_ID": "model",
            "PORT": "port",
            "QUANTIZE": "quantization",
        },
    ),
    Program(
        name="tgi",
        label="TGI",
        names=("text-generation-server",),
        commands=("serve",),
        takes_model=True,
        quantization="--quantize",
    ),
    Program(
        name="tei",
        label="Text Embeddings Inference",
        names=("text-embeddings-router",),
        model="--model-id",
        alias="--served-model-name",
        port="-p --port",
        environment={"MODEL_ID": "model", "SERVED_MODEL_NAME": "alias", "PORT": "port"},
        is_for_embeddings=True,
    ),
    Program(
        name="infinity",
        label="Infinity",
        names=("infinity_emb", "infinity-emb"),
        model="--model-id",
        alias="--served-model-name",
        environment={"INFINITY_MODEL_ID": "model", "INFINITY_PORT": "port"},
        is_for_embeddings=True,
    ),
    Program(
        name="lmdeploy",
        label="LMDeploy",
        names=("lmdeploy",),
        commands=("serve api_server",),
        takes_model=True,
        alias="--model-name",
        port="--server-port",
        context="--session-len",
        quantization="--model-format",
        skipped="--server-name --backend --tp --dp --max-batch-size --cache-max-entry-count --quant-policy "
        "--dtype --device --chat-template --cache-block-seq-len --revision --log-level",
    ),
    Program(
        name="tensorrt_llm",
        label="TensorRT-LLM",
        names=("trtllm-serve",),
        commands=("serve", ""),
        takes_model=True,
        alias="--served-model-name",
        context="--max-seq-len",
        skipped="--host --backend --tokenizer --tp-size --pp-size --ep-size --max-batch-size "
        "--max-num-tokens --kv-cache-free-gpu-memory-fraction --log-level --config --extra-llm-api-options",
    ),
    Program(
        name="triton",
        label="Triton",
        names=("tritonserver",),
        folder="--model-repository --model-store",
        port="--http-port",
    ),
    Program(
        name="mistral_rs",
        label="mistral.rs",
        names=("mistralrs-server", "mistralrs"),
        model="-m --model-id --quantized-model-id",
        file="-f --quantized-filename",
        port="-p --port",
        context="--max-seq-len --max-model-len",
        quantization="--isq --quant",
    ),
    Program(
        name="candle_vllm",
        label="candle-vllm",
        names=("candle-vllm",),
        model="--m --model-id --w --weight-path",
        file="--f --weight-file",
        port="--p --port",
        quantization="--isq --quant",
    ),
    Program(
        name="mlc_llm",
        label="MLC-LLM",
        names=("mlc_llm",),
        commands=("serve",),
        model="--model",
        takes_model=True,
        skipped="--model-lib --mode --device --host --overrides --engine",
    ),
    Program(
        name="aphrodite",
        label="Aphrodite",
        names=("aphrodite",),
        commands=("run", "serve"),
        takes_model=True,
        alias="--served-model-name",
        context="--max-model-len",
        quantization="-q --quantization",
        skipped=f"{ENGINE_FLAGS} -tp --tensor-parallel-size -pp --gpu-memory-utilization -gmu",
    ),
    Program(
        name="aphrodite",
        label="Aphrodite",
        names=("aphrodite.endpoints.openai.api_server",),
        model="--model",
        alias="--served-model-name",
        context="--max-model-len",
        quantization="-q --quantization",
    ),
    Program(
        name="lightllm",
        label="LightLLM",
        names=("lightllm.server.api_server",),
        model="--model-dir",
        alias="--model-name",
        context="--max-total-token-num",
    ),
    Program(
        name="ktransformers",
        label="KTransformers",
        names=("ktransformers", "ktransformers.local_chat", "ktransformers.server.main"),
        scripts=("main", "local_chat"),
        folders=("ktransformers",),
        model="--model-path",
        alias="--model-name",
        context="--cache-lens",
        threads="--cpu-infer",
    ),
    Program(
        name="fastchat",
        label="FastChat",
        names=(
            "fastchat.serve.model_worker",
            "fastchat.serve.multi_model_worker",
            "fastchat.serve.vllm_worker",
            "fastchat.serve.sglang_worker",
            "fastchat.serve.lightllm_worker",
        ),
        model="--model-path",
        alias="--model-names",
    ),
    Program(
        name="openllm",
        label="OpenLLM",
        names=("openllm",),
        commands=("serve", "run"),
        takes_model=True,
    ),
    Program(
        name="transformers",
        label="Transformers",
        names=("transformers", "transformers-cli"),
        commands=("serve",),
        model="--force-model",
        quantization="--quantization",
    ),
    Program(
        name="mlx_lm",
        label="MLX LM",
        names=("mlx_lm.server", "mlx_vlm.server"),
        model="--model",
    ),
    Program(
        name="mlx_lm",
        label="MLX LM",
        names=("mlx_lm", "mlx_vlm"),
        commands=("server",),
        model="--model",
    ),
    Program(
        name="omlx",
        label="oMLX",
        names=("omlx",),
        commands=("serve",),
        model="--model",
        folder="--model-dir",
    ),
    Program(
        name="xinference",
        label="Xinference",
        names=("xinference-local", "xinference-worker"),
        port="-p --port",
    ),
    Program(
        name="speaches",
        label="Speaches",
        packages=("speaches", "faster_whisper_server"),
        environment={"UVICORN_PORT": "port"},
    ),
    Program(
        name="powerinfer",
        label="PowerInfer",
        names=("powerinfer",),
        scripts=("main", "server"),
        folders=("powerinfer",),
        model="-m --model",
        context="-c --ctx-size",
        threads="-t --threads",
    ),
    Program(
        name="exllama",
        label="ExLlama",
        scripts=("chat", "chatbot", "webui"),
        folders=("exllama",),
        model="-m --model --model-dir -d --directory",
        context="-l --length",
    ),
    Program(
        name="gpt4all",
        label="GPT4All",
        names=("gpt4all", "gpt4all-chat"),
        scripts=("chat",),
        folders=("gpt4all",),
    ),
    Program(
        name="cortex",
        label="Jan (Cortex)",
        names=("cortex", "cortex-server", "cortex-nightly", "cortex-server-nightly"),
    ),
    Program(name="ray_serve", label="Ray Serve"),
)
