"""The state that the fake driver library and its Python controller share, defined once.

The C header is rendered from these structures, and the compiler checks the sizes, so the two sides cannot
drift apart. Values are what NVML reports, in NVML's units (milliwatts, MHz, bytes, percent).
"""

from __future__ import annotations

import ctypes
from typing import Any

MAX_GPUS = 16
MAX_PROCESSES = 32
MAX_FUNCTIONS = 768
MAX_XIDS = 64
ALL_GPUS = MAX_GPUS
"""Index into ``Function.error`` and ``hang`` that stands for every GPU and for calls without one."""

COMPUTE, GRAPHICS, MPS = 1, 2, 4
"""Bits of ``Process.kinds``."""


class Process(ctypes.Structure):
    """One row of a process list, handed out as it stands, however absurd."""

    pid: int
    kinds: int
    vram_bytes: int
    sm_percent: int
    padding: int
    _fields_ = [
        ("pid", ctypes.c_uint32),
        ("kinds", ctypes.c_uint32),
        ("vram_bytes", ctypes.c_uint64),
        ("sm_percent", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
    ]


_COUNTERS = (
    "total_bytes",
    "used_bytes",
    "reserved_bytes",
    "throttle_reasons",
    "ecc_corrected",
    "ecc_uncorrected",
    "pcie_transmit_bytes",
    "pcie_receive_bytes",
    "energy_millijoules",
)

_VALUES = (
    "lost",
    "utilization_percent",
    "memory_utilization_percent",
    "temperature_celsius",
    "fan_percent",
    "power_milliwatts",
    "power_limit_milliwatts",
    "power_limit_default_milliwatts",
    "power_limit_min_milliwatts",
    "power_limit_max_milliwatts",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "max_sm_clock_mhz",
    "max_memory_clock_mhz",
    "performance_state",
    "brand",
    "architecture",
    "memory_bus_width_bits",
    "slowdown_celsius",
    "shutdown_celsius",
    "pcie_generation",
    "pcie_width",
    "pcie_generation_max",
    "pcie_width_max",
    "pcie_counters_supported",
    "persistence_mode",
    "encoder_percent",
    "decoder_percent",
    "ecc_supported",
    "ecc_enabled",
    "mig_supported",
    "mig_mode",
    "process_count",
    "padding",
)


class Gpu(ctypes.Structure):
    """One GPU. ``lost`` makes every call about it answer GPU_IS_LOST."""

    lost: int
    total_bytes: int
    used_bytes: int
    reserved_bytes: int
    throttle_reasons: int
    ecc_corrected: int
    ecc_uncorrected: int
    pcie_transmit_bytes: int
    pcie_receive_bytes: int
    utilization_percent: int
    memory_utilization_percent: int
    temperature_celsius: int
    fan_percent: int
    power_milliwatts: int
    power_limit_milliwatts: int
    power_limit_default_milliwatts: int
    power_limit_min_milliwatts: int
    power_limit_max_milliwatts: int
    sm_clock_mhz: int
    memory_clock_mhz: int
    max_sm_clock_mhz: int
    max_memory_clock_mhz: int
    performance_state: int
    brand: int
    architecture: int
    memory_bus_width_bits: int
    slowdown_celsius: int
    shutdown_celsius: int
    pcie_generation: int
    pcie_width: int
    pcie_generation_max: int
    pcie_width_max: int
    pcie_counters_supported: int
    persistence_mode: int
    encoder_percent: int
    decoder_percent: int
    ecc_supported: int
    ecc_enabled: int
    mig_supported: int
    mig_mode: int
    process_count: int
    uuid: bytes
    name: bytes
    bus_id: bytes
    processes: ctypes.Array[Process]
    _fields_ = [
        *((name, ctypes.c_uint64) for name in _COUNTERS),
        *((name, ctypes.c_uint32) for name in _VALUES),
        ("uuid", ctypes.c_char * 96),
        ("name", ctypes.c_char * 96),
        ("bus_id", ctypes.c_char * 32),
        ("processes", Process * MAX_PROCESSES),
    ]


class Function(ctypes.Structure):
    """What one library function does besides answering; index ``ALL_GPUS`` holds for every call."""

    calls: int
    delay_microseconds: int
    error: ctypes.Array[ctypes.c_int32]
    hang: ctypes.Array[ctypes.c_uint8]
    _fields_ = [
        ("calls", ctypes.c_uint32),
        ("delay_microseconds", ctypes.c_uint32),
        ("error", ctypes.c_int32 * (MAX_GPUS + 1)),
        ("hang", ctypes.c_uint8 * (MAX_GPUS + 1)),
    ]


class State(ctypes.Structure):
    """Everything. ``order`` maps an index to a GPU, so that indices can change while UUIDs stay.

    ``xid_gpus`` and ``xid_numbers`` are the last of ``xid_count`` Xid errors, and where they happened.
    """

    driver_loaded: int
    driver_generation: int
    gpu_count: int
    blocked_threads: int
    cuda_version: int
    xid_count: int
    xid_gpus: ctypes.Array[ctypes.c_uint32]
    xid_numbers: ctypes.Array[ctypes.c_uint32]
    order: ctypes.Array[ctypes.c_uint32]
    driver_version: bytes
    kernel_version: bytes
    gpus: ctypes.Array[Gpu]
    functions: ctypes.Array[Function]
    _fields_ = [
        ("driver_loaded", ctypes.c_uint32),
        ("driver_generation", ctypes.c_uint32),
        ("gpu_count", ctypes.c_uint32),
        ("blocked_threads", ctypes.c_uint32),
        ("cuda_version", ctypes.c_uint32),
        ("xid_count", ctypes.c_uint32),
        ("xid_gpus", ctypes.c_uint32 * MAX_XIDS),
        ("xid_numbers", ctypes.c_uint32 * MAX_XIDS),
        ("order", ctypes.c_uint32 * MAX_GPUS),
        ("driver_version", ctypes.c_char * 80),
        ("kernel_version", ctypes.c_char * 80),
        ("gpus", Gpu * MAX_GPUS),
        ("functions", Function * MAX_FUNCTIONS),
    ]


_C_NAMES: dict[type, str] = {
    ctypes.c_uint8: "uint8_t",
    ctypes.c_int32: "int32_t",
    ctypes.c_uint32: "uint32_t",
    ctypes.c_uint64: "uint64_t",
    ctypes.c_char: "char",
    Process: "struct fake_process",
    Gpu: "struct fake_gpu",
    Function: "struct fake_function",
    State: "struct fake_state",
}


def c_header(functions: tuple[str, ...]) -> str:
    """Render the C declarations of the state and a number for each of ``functions``."""
    numbers = ",\n".join(f"    FAKE_{name} = {number}" for number, name in enumerate(functions))
    structures = "\n".join(_c_structure(kind) for kind in (Process, Gpu, Function, State))
    constants = (
        f"enum {{ FAKE_MAX_GPUS = {MAX_GPUS}, FAKE_ALL_GPUS = {ALL_GPUS}, FAKE_MAX_XIDS = {MAX_XIDS} }};"
    )
    return (
        f"#pragma once\n#include <stdint.h>\n{constants}\n{structures}\nenum fake_number {{\n{numbers}\n}};\n"
    )


def _c_structure(kind: type[ctypes.Structure]) -> str:
    fields = "\n".join(f"    {_c_field(name, type_)};" for name, type_, *_ in kind._fields_)
    name = _C_NAMES[kind]
    size = f'_Static_assert(sizeof({name}) == {ctypes.sizeof(kind)}, "{name} differs from Python\'s");'
    return f"{name} {{\n{fields}\n}};\n{size}"


def _c_field(name: str, kind: Any) -> str:  # noqa: ANN401 - ctypes has no public type for it
    if issubclass(kind, ctypes.Array):
        return f"{_C_NAMES[kind._type_]} {name}[{kind._length_}]"
    return f"{_C_NAMES[kind]} {name}"
