"""The sample types: what one source said at one instant, nothing derived.

A sample is immutable, typed and serialisable (a tagged ``msgspec`` struct), so that the live view, a
recording, a demonstration and a test are the same stream. ``None`` means that the source did not say.
Sizes are bytes, times are seconds since the Unix epoch, durations are seconds.
"""

from __future__ import annotations

from gpumon.collectors.samples.base import (
    HEALTHY_STATES,
    Fact,
    Sample,
    SourceHealth,
    SourceSilent,
    SourceState,
)
from gpumon.collectors.samples.gpu import (
    GpuFacts,
    GpuMemory,
    GpuProcess,
    GpuReading,
    GpuSlow,
    GpuState,
    NvmlSample,
)
from gpumon.collectors.samples.learned import (
    Learned,
    MemoryCorrection,
    RamObservation,
    RateBaseline,
    RateScale,
)
from gpumon.collectors.samples.llama_server import LlamaServerSample, ServedModel, ServedModelSample
from gpumon.collectors.samples.meter import MeteredModel, MeteredRequest, MeterSample
from gpumon.collectors.samples.ollama import (
    InstalledModel,
    ModelClaim,
    ModelWeights,
    OllamaInstalled,
    OllamaModelFacts,
    OllamaSample,
)
from gpumon.collectors.samples.runner import (
    BlobNames,
    HolderGroup,
    HolderProcess,
    ProcessSample,
    RunnerCounters,
    RunnerFacts,
    RunnerKind,
    RunnerProcess,
    RunnerSample,
    RunnerSettings,
    RunnerState,
    ServerKind,
    ServerProcess,
    Slot,
)
from gpumon.collectors.samples.server_log import BufferComponent, LogEvent, LogEventKind, LogSample
from gpumon.collectors.samples.system import MemoryPressure, SystemSample

AnySample = (
    NvmlSample
    | SystemSample
    | OllamaSample
    | OllamaModelFacts
    | OllamaInstalled
    | ProcessSample
    | BlobNames
    | RunnerSample
    | LogSample
    | MeterSample
    | LlamaServerSample
    | ServedModelSample
    | Learned
    | SourceSilent
)
"""The union that a recording line decodes to."""

__all__ = [
    "HEALTHY_STATES",
    "AnySample",
    "BlobNames",
    "BufferComponent",
    "Fact",
    "GpuFacts",
    "GpuMemory",
    "GpuProcess",
    "GpuReading",
    "GpuSlow",
    "GpuState",
    "HolderGroup",
    "HolderProcess",
    "InstalledModel",
    "Learned",
    "LlamaServerSample",
    "LogEvent",
    "LogEventKind",
    "LogSample",
    "MemoryCorrection",
    "MemoryPressure",
    "MeterSample",
    "MeteredModel",
    "MeteredRequest",
    "ModelClaim",
    "ModelWeights",
    "NvmlSample",
    "OllamaInstalled",
    "OllamaModelFacts",
    "OllamaSample",
    "ProcessSample",
    "RamObservation",
    "RateBaseline",
    "RateScale",
    "RunnerCounters",
    "RunnerFacts",
    "RunnerKind",
    "RunnerProcess",
    "RunnerSample",
    "RunnerSettings",
    "RunnerState",
    "Sample",
    "ServedModel",
    "ServedModelSample",
    "ServerKind",
    "ServerProcess",
    "Slot",
    "SourceHealth",
    "SourceSilent",
    "SourceState",
    "SystemSample",
]
