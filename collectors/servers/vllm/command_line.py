"""The command line of vLLM, in the ways in which people start it (vllm: engine/arg_utils.py, cli/main.py).

``vllm serve MODEL`` shows as its interpreter with the script: ``python /venv/bin/vllm serve MODEL``; the
image ``vllm/vllm-openai`` and older guides run a module with ``--model``. ``--api-key`` is not looked at, and
a file of ``--config`` is not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from gpumon.collectors.samples import Orders, Reserve, RunnerSettings
from gpumon.collectors.servers.command_line import Flags, model_called, program_name, visible_devices

SERVERS = ("vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server")
"""Modules that are servers themselves; a file of one is run as well."""
COMMANDS = frozenset({"vllm", "vllm.entrypoints.cli.main"})
"""Modules that take a command."""
COMMAND = "serve"
SPELLINGS = {
    "--model": "model",
    "--served-model-name": "name",
    "--port": "port",
    "--host": "host",
    "--max-model-len": "context",
    "--max-num-seqs": "requests",
    "--max-num-batched-tokens": "batch",
    "--kv-cache-dtype": "cache_type",
    "--quantization": "quantization",
    "-q": "quantization",
    "--tensor-parallel-size": "tensor",
    "-tp": "tensor",
    "--pipeline-parallel-size": "pipeline",
    "-pp": "pipeline",
    "--data-parallel-size": "data",
    "-dp": "data",
    "--gpu-memory-utilization": "share",
    "--kv-cache-memory-bytes": "cache_bytes",
    "--cpu-offload-gb": "weights_in_ram",
    "--kv-offloading-size": "cache_in_ram",
    "--swap-space": "swap",
    "--enforce-eager": "eager",
    "--no-enforce-eager": "graphs",
    "--enable-sleep-mode": "sleep",
    "--disable-log-stats": "mute",
}
SWITCHES = frozenset({"eager", "graphs", "sleep", "mute"})
_ONE_VALUE = frozenset(SPELLINGS.values()) - SWITCHES - {"name"}
"""Meanings of flags that take one value and no more."""
OTHER_SWITCHES = ("--trust-remote-code", "--enable-", "--no-", "--disable-", "--async-scheduling")
"""How other flags begin that take no value: a model may stand behind one."""
_AMOUNT = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([kKmMgGtT]?)\Z", re.ASCII)
_SCALES = {sign: 10 ** (3 * power) for power, sign in enumerate(("", "k", "m", "g", "t"))}
_SCALES |= {sign: 2 ** (10 * power) for power, sign in enumerate(("", "K", "M", "G", "T"))}
"""Small letters are decimal, capitals binary (vllm: ``human_readable_int``)."""
GIB = 2**30
LEGACY_SWAP = "swap"
"""GiB of RAM for each GPU, up to 0.11; nothing comes of it in newer versions but for beam search."""


def settings_of(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> RunnerSettings | None:
    """Return what a process was told; ``None`` for one that is no vLLM that serves."""
    words = _own_words(argv)
    if words is None:
        return None
    flags = Flags(words, SPELLINGS, SWITCHES)
    cache_type = flags.text("cache_type")
    cache_type = None if cache_type == "auto" else cache_type
    return RunnerSettings(
        model_name=model_called(flags.text("name") or flags.text("model") or _positional(words)),
        port=flags.integer("port", 1, 65535),
        host=flags.text("host"),
        context_length=_amount(flags.text("context")),
        parallel=_amount(flags.text("requests")),
        batch_size=_amount(flags.text("batch")),
        cache_type_k=cache_type,
        cache_type_v=cache_type,
        metrics=False if flags.has("mute") else None,
        orders=Orders(visible_devices=visible_devices((environ or {}).get("CUDA_VISIBLE_DEVICES"))),
        reserve=_reserve(flags),
        quantization=flags.text("quantization"),
    )


def _reserve(flags: Flags) -> Reserve:
    counts = (flags.integer(name, 1, 4096) or 1 for name in ("tensor", "pipeline", "data"))
    share = _number(flags.text("share"))
    return Reserve(
        gpu_share=share if share is not None and 0 < share <= 1 else None,
        cache_bytes=_amount(flags.text("cache_bytes")),
        gpu_count=math.prod(counts),
        weights_in_ram_bytes=_gib(flags.text("weights_in_ram")),
        cache_in_ram_bytes=_gib(flags.text("cache_in_ram")) or _gib(flags.text(LEGACY_SWAP)),
        graphs=False if flags.switch("eager") else True if flags.has("graphs") else None,
        may_sleep=bool(flags.switch("sleep")),
    )


def _own_words(argv: Sequence[str]) -> list[str] | None:
    """Return the words from its own program on, that word first; ``None`` for another program."""
    at = _begin(argv)
    if at is None:
        return None
    return [argv[0], *(_dashed(word) for word in argv[at:])]


def _begin(argv: Sequence[str]) -> int | None:
    """Return where the arguments of the server begin."""
    program = program_name(argv).lower()
    if program == "vllm":
        return _behind_command(argv, 1)
    if not program.startswith(("python", "pypy")):
        return None
    at = _script(argv)
    if at is None:
        return None
    word = argv[at]
    module = argv[at + 1] if word == "-m" and at + 1 < len(argv) else None
    if module is not None:
        return at + 2 if module in SERVERS else _behind_command(argv, at + 2) if module in COMMANDS else None
    path = word.replace("\\", "/")
    if any(path.endswith(f"{server.replace('.', '/')}.py") for server in SERVERS):
        return at + 1
    is_script = path.rpartition("/")[2] == "vllm" or path.endswith("vllm/entrypoints/cli/main.py")
    return _behind_command(argv, at + 1) if is_script else None


def _behind_command(argv: Sequence[str], at: int) -> int | None:
    return at + 1 if at < len(argv) and argv[at] == COMMAND else None


def _script(argv: Sequence[str]) -> int | None:
    """Return where an interpreter is told what to run: the script, or ``-m``."""
    words = iter(range(1, len(argv)))
    for at in words:
        word = argv[at]
        if word == "-m" or not word.startswith("-"):
            return at
        if word == "-c":
            return None
        if word in ("-X", "-W"):
            next(words, None)
    return None


def _dashed(word: str) -> str:
    """Write a flag as it is declared: vLLM takes ``--max_model_len`` too."""
    if not word.startswith("--"):
        return word
    flag, equals, value = word.partition("=")
    return f"{flag.replace('_', '-')}{equals}{value}"


def _positional(words: Sequence[str]) -> str | None:
    """Return the model that stands without a flag: first, or last where no flag can claim it.

    What stands behind a flag that is not known, or that takes several values, may be one of them: a key.
    """
    if len(words) < 2:
        return None
    if not words[1].startswith("-"):
        return words[1]
    last, before = words[-1], words[-2]
    if last.startswith("-") or len(words) < 3:
        return None
    is_flag_with_value = before.startswith("-") and "=" in before
    is_value = not before.startswith("-") and SPELLINGS.get(words[-3]) in _ONE_VALUE
    return last if is_flag_with_value or is_value or _is_switch(before) else None


def _is_switch(word: str) -> bool:
    return SPELLINGS.get(word) in SWITCHES or word.startswith(OTHER_SWITCHES)


def _amount(text: str | None) -> int | None:
    """Return a number of tokens or bytes: ``32768``, ``32k``, ``25.6K``; ``None`` for ``auto`` and -1."""
    found = _AMOUNT.match(text or "")
    return round(float(found[1]) * _SCALES[found[2]]) or None if found else None


def _gib(text: str | None) -> int | None:
    number = _number(text)
    return None if number is None else round(number * GIB) or None


def _number(text: str | None) -> float | None:
    found = _AMOUNT.match(text or "")
    return float(found[1]) if found and not found[2] else None
