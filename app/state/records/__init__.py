"""What the state remembers: of each source, GPU, model, process, load and log, and of the machine."""

from __future__ import annotations

from gpumon.app.state.records.history import History, Mark, MarkKind
from gpumon.app.state.records.learned import BaselineKey, LearnedRecord, MemoryKey, ScaleKey
from gpumon.app.state.records.load import (
    PHASES,
    FailedLoad,
    FinishedLoad,
    Lesson,
    Load,
    LoadOutcome,
    LoadPhase,
    ReloadCause,
    SettingChange,
    TargetOrigin,
    Thrash,
)
from gpumon.app.state.records.log import BufferKey, Placement, RunnerEnd, ServerLog
from gpumon.app.state.records.machine import (
    Event,
    GaveBack,
    GpuRecord,
    Hold,
    Leftover,
    Returned,
    Step,
    SystemRecord,
    XidError,
)
from gpumon.app.state.records.model import (
    STALE_AFTER_SECONDS,
    JoinedBy,
    ModelRecord,
    Served,
    SourceRecord,
    is_server,
)
from gpumon.app.state.records.runner import (
    Intent,
    ModelKey,
    Prediction,
    RunnerKey,
    RunnerRecord,
    SeenRequest,
)

__all__ = [
    "PHASES",
    "STALE_AFTER_SECONDS",
    "BaselineKey",
    "BufferKey",
    "Event",
    "FailedLoad",
    "FinishedLoad",
    "GaveBack",
    "GpuRecord",
    "History",
    "Hold",
    "Intent",
    "JoinedBy",
    "LearnedRecord",
    "Leftover",
    "Lesson",
    "Load",
    "LoadOutcome",
    "LoadPhase",
    "Mark",
    "MarkKind",
    "MemoryKey",
    "ModelKey",
    "ModelRecord",
    "Placement",
    "Prediction",
    "ReloadCause",
    "Returned",
    "RunnerEnd",
    "RunnerKey",
    "RunnerRecord",
    "ScaleKey",
    "SeenRequest",
    "Served",
    "ServerLog",
    "SettingChange",
    "SourceRecord",
    "Step",
    "SystemRecord",
    "TargetOrigin",
    "Thrash",
    "XidError",
    "is_server",
]
