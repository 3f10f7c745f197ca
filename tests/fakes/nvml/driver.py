"""The Python side of the fake driver: changes what it says while programs talk to it.

with FakeDriver(tmp_path / "state", gpus=2) as driver:
    driver[0].temperature_celsius = 83
    driver.run(0, pid=4711, vram_bytes=8 * GIB)
    driver.error("nvmlDeviceGetFanSpeed", NOT_SUPPORTED)
    subprocess.run(["nvtop"], env=os.environ | driver.environment())
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.fakes.nvml import build
from tests.fakes.nvml.layout import ALL_GPUS, COMPUTE, GRAPHICS, MAX_GPUS, MAX_XIDS, MPS, Gpu, Process, State

GIB = 1024**3
MIB = 1024**2

UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
DRIVER_NOT_LOADED = 9
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
LIB_RM_VERSION_MISMATCH = 18
ARGUMENT_VERSION_MISMATCH = 25
UNKNOWN = 999

NOT_AVAILABLE = 2**64 - 1
"""What WDDM and WSL report as a process's memory."""

KINDS = {"compute": COMPUTE, "graphics": GRAPHICS, "mps": MPS}

_RTX_4090 = {
    "total_bytes": 24564 * MIB,
    "reserved_bytes": 400 * MIB,
    "temperature_celsius": 41,
    "fan_percent": 30,
    "power_milliwatts": 28_000,
    "power_limit_milliwatts": 450_000,
    "power_limit_default_milliwatts": 450_000,
    "power_limit_min_milliwatts": 150_000,
    "power_limit_max_milliwatts": 600_000,
    "sm_clock_mhz": 2520,
    "memory_clock_mhz": 10501,
    "max_sm_clock_mhz": 3105,
    "max_memory_clock_mhz": 10501,
    "performance_state": 2,
    "brand": 5,
    "architecture": 8,
    "memory_bus_width_bits": 384,
    "slowdown_celsius": 95,
    "shutdown_celsius": 100,
    "pcie_generation": 4,
    "pcie_width": 16,
    "pcie_generation_max": 4,
    "pcie_width_max": 16,
    "pcie_counters_supported": 1,
    "persistence_mode": 1,
}


class FakeDriver:
    """A driver with up to 16 GPUs, each like an idle RTX 4090; ``driver[i]`` is the state of one GPU.

    The state is a file shared with the compiled library; every change is seen by the next call into it.
    """

    def __init__(self, path: Path, gpus: int = 1) -> None:
        self.path = path
        path.write_bytes(bytes(ctypes.sizeof(State)))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self.state = State.from_buffer(self._memory)
        self._numbers = {name: number for number, name in enumerate(build.functions())}
        self.library = build.library()
        self._fill()
        self.state.gpu_count = gpus

    def _fill(self) -> None:
        self.state.driver_loaded = 1
        self.state.driver_generation = 1
        self.state.cuda_version = 13000
        self.state.driver_version = self.state.kernel_version = build.LIBRARY_VERSION.encode()
        for index in range(MAX_GPUS):
            self.state.order[index] = index
            self._fill_gpu(index)

    def _fill_gpu(self, index: int) -> None:
        gpu = self[index]
        gpu.uuid = f"GPU-{index:08x}-1111-2222-3333-444444444444".encode()
        gpu.name = b"NVIDIA GeForce RTX 4090"
        gpu.bus_id = f"00000000:{index + 1:02X}:00.0".encode()
        for name, value in _RTX_4090.items():
            setattr(gpu, name, value)

    def __enter__(self) -> FakeDriver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __getitem__(self, gpu: int) -> Gpu:
        chosen: Gpu = self.state.gpus[gpu]
        return chosen

    def __len__(self) -> int:
        return self.state.gpu_count

    def environment(self) -> dict[str, str]:
        """Return the variables that make a program use this driver; add them to its environment."""
        folders = [str(self.library.parent), os.environ.get("LD_LIBRARY_PATH", "")]
        search = os.pathsep.join(filter(None, folders))
        return {"FAKE_NVML_STATE": str(self.path), "LD_LIBRARY_PATH": search}

    # ------------------------------------------------------------------------------------- processes

    def run(
        self, gpu: int, pid: int, vram_bytes: int, kinds: Sequence[str] = ("compute",), sm_percent: int = 0
    ) -> None:
        """Add a process that holds memory; the GPU's used memory grows with it."""
        self.list_process(gpu, pid, vram_bytes, kinds, sm_percent)
        self[gpu].used_bytes += vram_bytes

    def list_process(
        self, gpu: int, pid: int, vram_bytes: int, kinds: Sequence[str] = ("compute",), sm_percent: int = 0
    ) -> None:
        """Add a row to the process list as it stands, without touching the GPU's memory."""
        bits = sum(KINDS[kind] for kind in kinds)
        self[gpu].processes[self[gpu].process_count] = Process(pid, bits, vram_bytes, sm_percent)
        self[gpu].process_count += 1

    def end(self, gpu: int, pid: int) -> None:
        """Remove a process and give its memory back."""
        rows = [self[gpu].processes[i] for i in range(self[gpu].process_count)]
        stay = [Process(r.pid, r.kinds, r.vram_bytes, r.sm_percent) for r in rows if r.pid != pid]
        self[gpu].used_bytes -= sum(row.vram_bytes for row in rows if row.pid == pid)
        self[gpu].process_count = len(stay)
        for index, row in enumerate(stay):
            self[gpu].processes[index] = row

    # ---------------------------------------------------------------------------------------- trouble

    def error(self, function: str, code: int, gpu: int = ALL_GPUS) -> None:
        """Make ``function`` answer with ``code`` (0: as usual), for one GPU or for every call."""
        self.state.functions[self._numbers[function]].error[gpu] = code

    def delay(self, function: str, seconds: float) -> None:
        """Make every call of ``function`` take ``seconds``."""
        self.state.functions[self._numbers[function]].delay_microseconds = round(seconds * 1e6)

    def hang(self, function: str, gpu: int = ALL_GPUS) -> None:
        """Make ``function`` block until ``release``."""
        self.state.functions[self._numbers[function]].hang[gpu] = 1

    def release(self) -> None:
        """Let every call that hangs return."""
        for number in self._numbers.values():
            ctypes.memset(self.state.functions[number].hang, 0, MAX_GPUS + 1)

    @property
    def blocked_threads(self) -> int:
        """Threads that hang in a call just now, in all processes."""
        return self.state.blocked_threads

    def lose(self, gpu: int) -> None:
        """Let a GPU fall off the bus."""
        self[gpu].lost = 1

    def report_xid(self, gpu: int, number: int) -> None:
        """Report an Xid error to all who have asked for the events of a GPU."""
        at = self.state.xid_count % MAX_XIDS
        self.state.xid_gpus[at], self.state.xid_numbers[at] = gpu, number
        self.state.xid_count += 1

    def find(self, gpu: int) -> None:
        """Bring a lost GPU back."""
        self[gpu].lost = 0

    def unload(self) -> None:
        """Unload the kernel module: calls answer UNINITIALIZED, a new start DRIVER_NOT_LOADED."""
        self.state.driver_loaded = 0

    def load(self) -> None:
        """Load the kernel module (again): handles of before are void, and NVML must be started again."""
        self.state.driver_generation += 1
        self.state.driver_loaded = 1

    def upgrade(self, version: str) -> None:
        """Load a kernel module of another version than the library's."""
        self.state.kernel_version = self.state.driver_version = version.encode()
        self.load()

    def reorder(self, *order: int) -> None:
        """Number the GPUs again: ``order[index]`` is the GPU that has that index."""
        for index, gpu in enumerate(order):
            self.state.order[index] = gpu

    # ------------------------------------------------------------------------------------------ kinds

    def without_memory_v2(self) -> None:
        """Be a library from before R510."""
        self.error("nvmlDeviceGetMemoryInfo_v2", FUNCTION_NOT_FOUND)

    def unified(self, gpu: int) -> None:
        """Make a GPU share system RAM, as GB10 and Jetson Thor do."""
        for function in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetMemoryInfo_v2"):
            self.error(function, NOT_SUPPORTED, gpu)

    def datacenter(self, gpu: int) -> None:
        """Make a GPU like an H100: ECC and MIG, no fan."""
        device = self[gpu]
        device.name, device.brand, device.total_bytes = b"NVIDIA H100 80GB HBM3", 14, 81559 * MIB
        device.ecc_supported = device.ecc_enabled = device.mig_supported = 1
        self.error("nvmlDeviceGetFanSpeed", NOT_SUPPORTED, gpu)

    # ---------------------------------------------------------------------------------------- counting

    def calls(self, function: str) -> int:
        """Return how often ``function`` was called."""
        count: int = self.state.functions[self._numbers[function]].calls
        return count

    def call_counts(self) -> dict[str, int]:
        """Return the functions that were called, and how often."""
        return {name: self.calls(name) for name in self._numbers if self.calls(name)}

    def total_calls(self) -> int:
        """Return the number of calls of all functions."""
        return sum(self.call_counts().values())

    def reset_calls(self) -> None:
        """Start counting again."""
        for number in self._numbers.values():
            self.state.functions[number].calls = 0
