"""Views as the app might hand them over, shared by the tests of the panels."""

from __future__ import annotations

from msgspec.structs import replace

from gpumon.widgets.hints import Hint
from gpumon.widgets.views import (
    BarPart,
    BarRow,
    BarSegment,
    ChartSeries,
    ChartView,
    CureRow,
    EventRow,
    Fact,
    GpuRow,
    HostRow,
    InstalledRow,
    JobView,
    MemoryRow,
    ModelRow,
    RequestRow,
    Section,
    SourceRow,
    Trend,
    VerdictView,
)

GIB = 1024**3
RAMP: Trend = tuple(float(step * 5 % 100) for step in range(60))
RAMP_WITH_GAP: Trend = (*RAMP[:20], *[None] * 15, *RAMP[35:])

BUSY_GPU = GpuRow(
    key="GPU-a",
    index=0,
    name="NVIDIA GeForce RTX 4090",
    level="ok",
    total_bytes=24 * GIB,
    used_bytes=int(6.7 * GIB),
    free_bytes=int(16.7 * GIB),
    segments=(
        BarSegment("qwen3:8b", int(5.2 * GIB), "model"),
        BarSegment("nomic-embed-text", int(1.1 * GIB), "model"),
        BarSegment("Xorg", int(0.4 * GIB), "process"),
        BarSegment("reserved", int(0.6 * GIB), "reserved"),
    ),
    utilization_percent=42.0,
    utilization_trend=RAMP_WITH_GAP,
    power_watts=212.0,
    power_limit_watts=450.0,
    temperature_celsius=61.0,
    slowdown_celsius=90.0,
)
HOT_GPU = replace(
    BUSY_GPU,
    key="GPU-b",
    index=1,
    name="NVIDIA H100 80GB HBM3",
    level="watch",
    total_bytes=80 * GIB,
    used_bytes=int(62.3 * GIB),
    free_bytes=int(16.7 * GIB),
    segments=(
        BarSegment("llama3.3:70b-instruct-q8_0", int(41.3 * GIB), "model"),
        BarSegment("qwen3:32b", 21 * GIB, "model"),
        BarSegment("reserved", GIB, "reserved"),
    ),
    utilization_percent=98.0,
    temperature_celsius=84.0,
    slowdown_celsius=87.0,
    power_watts=688.0,
    power_limit_watts=700.0,
    notes=("power cap", "PCIe x8 of x16"),
)
ASLEEP_GPU = GpuRow(key="GPU-c", index=2, name="NVIDIA GeForce RTX 3090", notes=("asleep",))
LOST_GPU = GpuRow(
    key="GPU-d", index=3, name="NVIDIA GeForce RTX 3090", level="bad", notes=("lost: needs a reset",)
)
UNIFIED_GPU = replace(BUSY_GPU, key="GPU-e", index=4, name="NVIDIA GB10", unified=True, total_bytes=120 * GIB)
OLD_GPU = replace(BUSY_GPU, key="GPU-f", index=5, level="unknown", age_seconds=12.0)
GPUS = (BUSY_GPU, HOT_GPU, ASLEEP_GPU, LOST_GPU, UNIFIED_GPU, OLD_GPU)

FITTING_MODEL = ModelRow(
    key="8b",
    name="qwen3:8b",
    level="ok",
    runtime="ollama",
    quantization="Q4_K_M",
    parameter_size="8.2B",
    gpu_bytes=int(5.2 * GIB),
    ram_bytes=0,
    spill_percent="",
    context_length=4096,
    context_used_tokens=812,
    decode_tokens_per_second=87.3,
    rate_trend=RAMP,
    state="idle",
    until="4 minutes from now",
    time_left="4m 12s",
)
SPILLED_MODEL = replace(
    FITTING_MODEL,
    key="32b",
    name="qwen3:32b",
    level="bad",
    parameter_size="32.8B",
    gpu_bytes=int(14.2 * GIB),
    ram_bytes=int(7.3 * GIB),
    spill_percent="34%",
    context_length=32768,
    context_used_tokens=8300,
    decode_tokens_per_second=4.8,
    state="busy",
    until="Forever",
    time_left="",
)
IDLE_GENERATOR = ModelRow(
    key="comfy",
    name="ComfyUI",
    level="ok",
    runtime="ComfyUI",
    gpu_bytes=int(0.4 * GIB),
    state="idle",
    makes_pictures=True,
)
DRAWING_GENERATOR = replace(
    IDLE_GENERATOR,
    key="sdxl",
    name="sd_xl_base_1.0",
    gpu_bytes=int(6.6 * GIB),
    state="busy",
    job=JobView(7, 20, 1.42, 9.0),
)
SPILLED_GENERATOR = replace(
    DRAWING_GENERATOR,
    key="flux",
    name="flux1-dev-fp8",
    level="watch",
    gpu_bytes=int(9.2 * GIB),
    ram_bytes=int(2.1 * GIB),
    spill_percent="19%",
    job=JobView(12, 28, 5.2, 62.0),
    notes=("flux1-dev-fp8 is loaded in part",),
)
BUSY_GENERATOR = replace(
    DRAWING_GENERATOR, key="untold", name="InvokeAI", job=JobView(None, None, None, 75.0)
)
GENERATORS = (IDLE_GENERATOR, DRAWING_GENERATOR, SPILLED_GENERATOR, BUSY_GENERATOR)

LOADING_MODEL = ModelRow(key="new", name="gemma3:27b", state="loading", until="-")
OLD_MODEL = replace(FITTING_MODEL, key="old", name="llama3.2:3b", level="unknown", age_seconds=22.0)
ESTIMATED_MODEL = replace(FITTING_MODEL, key="est", name="模型-千问:7b", rate_is_estimate=True)
HUB_MODEL = replace(FITTING_MODEL, key="hub", name="hf.co/unsloth/Qwen3-Coder-30B-A3B-GGUF:UD-Q4_K_XL")
MODELS = (SPILLED_MODEL, FITTING_MODEL, LOADING_MODEL, OLD_MODEL, ESTIMATED_MODEL, HUB_MODEL)
SEVERAL_RUNTIMES = (
    replace(SPILLED_MODEL, runtime="Ollama"),
    replace(FITTING_MODEL, runtime="llama-server"),
    replace(LOADING_MODEL, runtime="llama-swap"),
    replace(OLD_MODEL, runtime="text-generation-webui"),
    replace(HUB_MODEL, runtime="vLLM"),
    replace(FITTING_MODEL, key="gone", name="phi4:14b", runtime="KoboldCpp", left_seconds=9.0),
)

MEMORY = MemoryRow(
    level="watch",
    total_bytes=64 * GIB,
    used_bytes=int(48.3 * GIB),
    available_bytes=14 * GIB,
    model_bytes=int(7.3 * GIB),
    swap_total_bytes=8 * GIB,
    swap_used_bytes=int(1.2 * GIB),
    swap_in_bytes_per_second=0.0,
    swap_out_bytes_per_second=12.0 * 1024**2,
    cpu_percent=37.0,
    pressure_percent=2.0,
)
SOURCES = (
    SourceRow("bad", "ollama", "not answering for 12s", "start it with: ollama serve"),
    SourceRow("watch", "log", "cannot be read: permission denied", "add yourself to the group of the file"),
)
EVENTS = (
    EventRow(
        key="a",
        time="14:02:11",
        ways=("qwen3:32b spilled: 7.4 GiB (34%) in RAM; 31 → 4.8 tok/s", "qwen3:32b spilled, 31 → 4.8 tok/s"),
        bare=("spilled: 7.4 GiB (34%) in RAM; 31 → 4.8 tok/s", "spilled, 31 → 4.8 tok/s"),
        model="qwen3:32b",
        names=("qwen3:32b",),
        level="bad",
        lasting="3m 12s",
        ongoing=True,
    ),
    EventRow(
        key="b",
        time="14:01:40",
        ways=("GPU 1 is slowed down: power cap",),
        level="watch",
        lasting="3m",
        ongoing=True,
        acknowledged=True,
    ),
    EventRow(
        key="c",
        time="14:02:11",
        ways=("qwen3:32b ready after 14s, context 32768", "qwen3:32b ready after 14s"),
        bare=("ready after 14s, context 32768", "ready after 14s"),
        model="qwen3:32b",
        names=("qwen3:32b",),
    ),
    EventRow(
        key="d",
        time="13:22:01",
        ways=("Ollama stopped: connection refused at 127.0.0.1:11434", "Ollama stopped"),
        level="bad",
        lasting="12s",
    ),
)
FACTS = (
    Fact("model", "qwen3:32b", "/api/ps"),
    Fact("on GPU", "14.2 GiB", "/api/ps"),
    Fact("measured", "14.4 GiB", "NVML"),
    Fact("verdict", "34% in RAM: a context of 32k needs 3.1 GiB more than GPU 0 has free", "insight", "bad"),
)
VERDICT = VerdictView(
    "bad",
    "qwen3:32b: 34% in system RAM, about 6x slower; a context of 16k would fit",
    marks=("DEMO",),
    right=("gpumon 0.1", "ollama 0.12.3", "1 s", "14:05:23"),
)
SPILL_VERDICT = VerdictView(
    "bad",
    "qwen3:32b spills 7.3 GiB (34%) to RAM; its context is too large",
    marks=("DEMO",),
    right=("14:05:23",),
    head="SPILLED",
    subject="qwen3:32b",
    facts=("34% in RAM", "4.8 tok/s, 31 if it fitted", "for 14s"),
    cause="its context is too large: a request asked for 32768 tokens",
    remedy="/set parameter num_ctx 16384",
    where="in ollama run",
    keys=(("y", "copy"), ("Enter", "why")),
)
HINTS = (
    Hint("q", "quit", "quit"),
    Hint("?", "help", "help"),
    Hint("enter", "details", "open"),
    Hint("p", "pause", "pause"),
    Hint("h", "history", "window"),
    Hint("s", "sort", "sort(1)"),
)
CHART = ChartView(
    "VRAM",
    "GiB",
    600.0,
    (
        ChartSeries("qwen3:32b", (*(float(step) for step in range(10)), *[None] * 10, *[12.0] * 20)),
        ChartSeries("in RAM", (4.0,) * 40),
    ),
    24.0,
)

INSTALLED = (
    InstalledRow(
        "1", "qwen2.5-coder:14b", 9 * GIB, "", int(14.6 * GIB), "watch",
        ("38% in RAM", "loaded, 38% in RAM"), (5.7, 7.0, 8.6), 6400,
    ),
    InstalledRow(
        "2", "llama3.1:8b", 5 * GIB, "", 9 * GIB, "ok", ("fits",), (133.0, 169.0, 215.0), 131072
    ),
    InstalledRow(
        "3", "phi4:14b", 9 * GIB, "", int(11.9 * GIB), "ok",
        ("after unload", "after unloading", "after unloading qwen2.5-coder:14b"), (78.0, 99.0, 125.0), 16384,
    ),
    InstalledRow(
        "4", "hf.co/unsloth/Llama-3.3-70B-Instruct-GGUF:Q4_K_M", 40 * GIB, "", 50 * GIB, "watch",
        ("spills 43%",), (0.7, 0.9, 1.0), 0,
    ),
    InstalledRow(
        "5", "deepseek-r1:671b", 377 * GIB, "", 400 * GIB, "bad",
        ("does not run", "does not run: needs 361 GiB of RAM", "does not run: needs 361 GiB of RAM, 32 here"),
        None, 0,
    ),
    InstalledRow("6", "strange:1b", GIB),
)  # fmt: skip
SECTIONS = (
    Section(
        "WHY",
        facts=(
            Fact("", "its context is too large: a request asked for 32768 tokens", "command line"),
            Fact("need", "14.3 GiB", "arithmetic"),
            Fact("free for it", "10.5 GiB", "NVML"),
        ),
    ),
    Section(
        "CURES",
        cures=(
            CureRow("/set parameter num_ctx 6400", "in ollama run: shrink the context", "6400", "~47", "9.4"),
            CureRow("take a smaller quantisation of it", "needs 9.0", vram="9.0", has_command=False),
        ),
    ),
    Section(
        "MEMORY",
        "GiB of 12.0 on GPU 0",
        bars=(
            BarRow("weights", "~8.4", (BarPart(8.4, "model"),), 14.6),
            BarRow("in RAM", "5.5", (BarPart(5.5, "ram"),), 14.6),
            BarRow("driver measures", "9.2", note="agrees (0.1 apart)"),
            BarRow("power", "267 of 450 W", (BarPart(267.0, "rate"),), 450.0, tracked=True, level="bad"),
        ),
    ),
    Section(
        "LAST REQUESTS",
        requests=(
            RequestRow("now", "1.1k", "310", "7.0", runs=True),
            RequestRow("10:36:02", "1.0k", ">=190", "46", "5s", kept="900", first="0.4s"),
        ),
    ),
)

HOSTS = [
    HostRow(
        "workbench",
        "me@workbench",
        "bad",
        "SPILLED",
        "qwen2.5-coder:14b",
        ("38% in RAM", "7.0 tok/s, 47 if it fitted", "for 57s"),
        cause="its context is too large: a request asked for 32768 tokens",
        remedy="/set parameter num_ctx 6400",
        where="in ollama run",
        gpus=((int(10.5 * GIB), 12 * GIB),),
        tokens_per_second=7.0,
        models=1,
        age_seconds=0.0,
    ),
    HostRow(
        "rig",
        "rig",
        "ok",
        sentence="all 4 models on GPU",
        gpus=((20 * GIB, 24 * GIB), (4 * GIB, 24 * GIB), (None, None)),
        tokens_per_second=1234.0,
        models=4,
        loading=1,
        age_seconds=0.0,
    ),
    HostRow(
        "eight",
        "eight",
        "ok",
        sentence="no model is loaded",
        gpus=((GIB, 80 * GIB),) * 8,
        models=0,
        age_seconds=0,
    ),
    HostRow(
        "laptop",
        "laptop",
        "unknown",
        sentence="last seen 12m 34s ago: both models on GPU",
        cause="it does not answer; it sleeps, or the network is down; tries again in 32s",
        gpus=((9 * GIB, 16 * GIB),),
        models=2,
        age_seconds=754.0,
        is_old=True,
    ),
    HostRow(
        "den", "den", "watch", sentence="it takes none of the keys that are offered", cause="ssh-copy-id den"
    ),
]
