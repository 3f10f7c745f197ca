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
from gpumon.collectors.samples.learned import (
    Learned,
    MemoryCorrection,
    RamObservation,
    RateBaseline,
    RateScale,
)
from gpumon.collectors.samples.machine import (
    GpuFacts,
    GpuMemory,
    GpuProcess,
    GpuReading,
    GpuSlow,
    GpuState,
    MemoryPressure,
    NvmlSample,
    SystemSample,
)
from gpumon.collectors.samples.meter import MeteredModel, MeteredRequest, MeterSample
from gpumon.collectors.samples.process import (
    NO_ORDERS,
    NO_RESERVE,
    BlobNames,
    HolderGroup,
    HolderProcess,
    Orders,
    Override,
    ProcessSample,
    Reserve,
    RunnerProcess,
    RunnerSettings,
    ServerProcess,
)
from gpumon.collectors.samples.server import (
    FileFacts,
    InstalledModel,
    InstalledModels,
    KnownBy,
    ModelClaim,
    ModelFacts,
    ModelWeights,
    ServerSample,
    TensorBytes,
)
from gpumon.collectors.samples.server_log import BufferComponent, LogEvent, LogEventKind, LogSample
from gpumon.collectors.samples.work import (
    AT_HAND_STATES,
    LOADED_STATES,
    LOADING_STATES,
    UNSETTLED_STATES,
    CachePool,
    LastRequest,
    LoadFacts,
    ModelState,
    PictureJob,
    Said,
    Slot,
    WorkCounters,
    WorkSample,
)

AnySample = (
    NvmlSample
    | SystemSample
    | ServerSample
    | WorkSample
    | ModelFacts
    | FileFacts
    | InstalledModels
    | ProcessSample
    | BlobNames
    | LogSample
    | MeterSample
    | Learned
    | SourceSilent
)
"""The union that a recording line decodes to."""

__all__ = [
    "AT_HAND_STATES",
    "HEALTHY_STATES",
    "LOADED_STATES",
    "LOADING_STATES",
    "NO_ORDERS",
    "NO_RESERVE",
    "UNSETTLED_STATES",
    "AnySample",
    "BlobNames",
    "BufferComponent",
    "CachePool",
    "Fact",
    "FileFacts",
    "GpuFacts",
    "GpuMemory",
    "GpuProcess",
    "GpuReading",
    "GpuSlow",
    "GpuState",
    "HolderGroup",
    "HolderProcess",
    "InstalledModel",
    "InstalledModels",
    "KnownBy",
    "LastRequest",
    "Learned",
    "LoadFacts",
    "LogEvent",
    "LogEventKind",
    "LogSample",
    "MemoryCorrection",
    "MemoryPressure",
    "MeterSample",
    "MeteredModel",
    "MeteredRequest",
    "ModelClaim",
    "ModelFacts",
    "ModelState",
    "ModelWeights",
    "NvmlSample",
    "Orders",
    "Override",
    "PictureJob",
    "ProcessSample",
    "RamObservation",
    "RateBaseline",
    "RateScale",
    "Reserve",
    "RunnerProcess",
    "RunnerSettings",
    "Said",
    "Sample",
    "ServerProcess",
    "ServerSample",
    "Slot",
    "SourceHealth",
    "SourceSilent",
    "SourceState",
    "SystemSample",
    "TensorBytes",
    "WorkCounters",
    "WorkSample",
]
