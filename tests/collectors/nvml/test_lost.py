"""GPUs off the bus, drivers unloaded, reloaded, replaced: what is said, and the way back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.collectors.nvml.conftest import ManualClock
from tests.fakes.nvml import build
from tests.fakes.nvml.driver import (
    DRIVER_NOT_LOADED,
    GPU_IS_LOST,
    INVALID_ARGUMENT,
    NO_PERMISSION,
    RESET_REQUIRED,
    UNINITIALIZED,
    UNKNOWN,
    FakeDriver,
)

from gpumon.collectors.nvml.source import RESTART_AFTER_POLLS, Monitor
from gpumon.collectors.samples import NvmlSample

INIT = "nvmlInitWithFlags"

Read = Callable[[], NvmlSample]


@pytest.fixture
def two_gpus(fake_driver: FakeDriver) -> FakeDriver:
    fake_driver.state.gpu_count = 2
    return fake_driver


@pytest.fixture
def read(monitor: Monitor, clock: ManualClock) -> Read:
    def read() -> NvmlSample:
        clock.advance(1.0)
        return monitor.read()

    return read


def states(sample: NvmlSample) -> list[str]:
    return [gpu.state for gpu in sample.gpus]


# ------------------------------------------------------------------------------------- one GPU is lost


def test_a_lost_gpu_says_so_and_the_other_goes_on(two_gpus: FakeDriver, read: Read) -> None:
    read()
    two_gpus.lose(1)
    well, lost = read().gpus
    assert (well.state, well.memory is not None) == ("ok", True)
    assert (lost.state, lost.detail, lost.memory) == ("lost", "GPU is lost", None)
    assert lost.name == "NVIDIA GeForce RTX 4090"


def test_a_lost_gpu_that_answers_again_is_ok(two_gpus: FakeDriver, read: Read) -> None:
    read()
    two_gpus.lose(1)
    read()
    two_gpus.find(1)
    assert states(read()) == ["ok", "ok"]
    assert two_gpus.calls(INIT) == 1


def test_a_gpu_that_is_lost_in_the_middle_of_a_reading_shows_no_half_of_it(
    two_gpus: FakeDriver, read: Read
) -> None:
    read()
    two_gpus.error("nvmlDeviceGetPowerUsage", GPU_IS_LOST, gpu=1)
    lost = read().gpus[1]
    assert (lost.state, lost.memory, lost.temperature_celsius) == ("lost", None, None)


def test_a_gpu_that_needs_a_reset_is_lost(two_gpus: FakeDriver, read: Read) -> None:
    two_gpus.error("nvmlDeviceGetUtilizationRates", RESET_REQUIRED, gpu=1)
    assert read().gpus[1].detail == "GPU requires restart"


def test_a_gpu_that_was_lost_before_the_start_is_named_in_the_health(
    two_gpus: FakeDriver, read: Read
) -> None:
    two_gpus.lose(1)
    sample = read()
    assert states(sample) == ["ok"]
    assert sample.health.state == "serving"
    assert sample.health.detail == "GPU 1 cannot be opened: GPU is lost"


def test_a_gpu_that_was_lost_before_the_start_joins_when_it_is_back(two_gpus: FakeDriver, read: Read) -> None:
    two_gpus.lose(1)
    read()
    two_gpus.find(1)
    sample = read()
    assert states(sample) == ["ok", "ok"]
    assert sample.health.detail is None


def test_nvml_starts_anew_when_a_gpu_stays_lost(two_gpus: FakeDriver, read: Read) -> None:
    read()
    two_gpus.lose(1)
    for _ in range(RESTART_AFTER_POLLS + 1):
        sample = read()
    assert two_gpus.calls(INIT) == 2
    assert states(sample) == ["ok", "lost"]
    assert sample.gpus[1].detail == "GPU is lost"


def test_restarts_for_a_gpu_that_stays_lost_become_rare(two_gpus: FakeDriver, read: Read) -> None:
    read()
    two_gpus.lose(1)
    for _ in range(100):
        read()
    assert two_gpus.calls(INIT) <= 7


def test_stale_handles_are_replaced(two_gpus: FakeDriver, read: Read) -> None:
    uuids = [gpu.uuid for gpu in read().gpus]
    every = [name for name in build.functions() if name.startswith("nvmlDeviceGet") and "Handle" not in name]
    for function in set(every) - {"nvmlDeviceGetCount_v2"}:
        two_gpus.error(function, INVALID_ARGUMENT, gpu=0)
    for _ in range(RESTART_AFTER_POLLS):
        assert states(read()) == ["failing", "ok"]
    for function in every:
        two_gpus.error(function, 0, gpu=0)
    sample = read()
    assert states(sample) == ["ok", "ok"]
    assert [gpu.uuid for gpu in sample.gpus] == uuids


# ----------------------------------------------------------------------------------- GPUs come and go


def test_a_gpu_that_is_added_appears(fake_driver: FakeDriver, read: Read) -> None:
    read()
    fake_driver.state.gpu_count = 3
    assert [gpu.index for gpu in read().gpus] == [0, 1, 2]


def test_a_gpu_that_is_taken_away_stays_as_lost(two_gpus: FakeDriver, read: Read) -> None:
    read()
    two_gpus.state.gpu_count = 1
    gone = read().gpus[1]
    assert (gone.state, gone.detail) == ("lost", "the driver no longer lists it")


def test_no_gpu_at_all_is_absent(fake_driver: FakeDriver, read: Read) -> None:
    fake_driver.state.gpu_count = 0
    health = read().health
    assert (health.state, health.detail) == ("absent", "the NVIDIA driver finds no GPU")
    assert health.hint == "check that it is seen: lspci -d 10de:"


def test_a_gpu_keeps_its_identity_when_indices_change(two_gpus: FakeDriver, read: Read) -> None:
    two_gpus[0].temperature_celsius, two_gpus[1].temperature_celsius = 50, 60
    before = {gpu.uuid: gpu.temperature_celsius for gpu in read().gpus}
    two_gpus.reorder(1, 0)
    two_gpus.load()
    after = read().gpus
    assert {gpu.uuid: gpu.temperature_celsius for gpu in after} == before
    assert [gpu.temperature_celsius for gpu in after] == [60, 50]


# -------------------------------------------------------------------------------- the driver goes away


def test_a_reloaded_driver_is_read_again_in_the_same_poll(two_gpus: FakeDriver, read: Read) -> None:
    read()
    two_gpus.load()
    sample = read()
    assert states(sample) == ["ok", "ok"]
    assert all(gpu.facts for gpu in sample.gpus), "a new start brings the facts again"


def test_an_unloaded_driver_is_said_with_what_to_do(two_gpus: FakeDriver, read: Read) -> None:
    read()
    two_gpus.unload()
    sample = read()
    assert sample.health.state == "failing"
    assert sample.health.detail == "the nvidia kernel module is not loaded"
    assert sample.health.hint == "load it: sudo modprobe nvidia"
    assert states(sample) == ["lost", "lost"]


def test_a_driver_that_comes_back_is_used_again(two_gpus: FakeDriver, read: Read) -> None:
    read()
    two_gpus.unload()
    read()
    two_gpus.load()
    assert states(read()) == ["ok", "ok"]


def test_a_version_mismatch_is_said_with_what_to_do(fake_driver: FakeDriver, read: Read) -> None:
    read()
    fake_driver.upgrade("600.1")
    health = read().health
    assert (health.state, health.detail) == ("failing", "driver and library versions differ")
    assert health.hint == "reboot, or reload the nvidia kernel module"


def test_a_version_mismatch_that_ends_is_recovered_from(fake_driver: FakeDriver, read: Read) -> None:
    fake_driver.upgrade("600.1")
    read()
    fake_driver.upgrade(build.LIBRARY_VERSION)
    assert states(read()) == ["ok"]


def test_no_permission_is_forbidden(fake_driver: FakeDriver, read: Read) -> None:
    fake_driver.error(INIT, NO_PERMISSION)
    assert read().health.state == "forbidden"


def test_an_error_without_a_meaning_of_ours_is_given_in_the_drivers_words(
    fake_driver: FakeDriver, read: Read
) -> None:
    fake_driver.error(INIT, UNKNOWN)
    assert read().health.detail == "the NVIDIA driver says: Unknown Error"


def test_a_driver_that_is_gone_in_every_reading_is_failing(fake_driver: FakeDriver, read: Read) -> None:
    read()
    fake_driver.error("nvmlDeviceGetPowerUsage", UNINITIALIZED)
    sample = read()
    assert sample.health.state == "failing"
    assert states(sample) == ["lost"]


def test_nvml_is_shut_down_when_counting_gpus_fails(fake_driver: FakeDriver, read: Read) -> None:
    fake_driver.error("nvmlDeviceGetCount_v2", UNKNOWN)
    assert read().health.state == "failing"
    assert fake_driver.calls("nvmlShutdown") == 1


def test_a_count_that_is_refused_once_changes_nothing(fake_driver: FakeDriver, read: Read) -> None:
    read()
    fake_driver.error("nvmlDeviceGetCount_v2", UNKNOWN)
    assert states(read()) == ["ok"]
    assert fake_driver.calls(INIT) == 1


def test_a_driver_that_is_not_loaded_at_the_start_is_found_when_it_is(
    fake_driver: FakeDriver, read: Read
) -> None:
    fake_driver.error(INIT, DRIVER_NOT_LOADED)
    assert read().gpus == ()
    fake_driver.error(INIT, 0)
    assert states(read()) == ["ok"]


# --------------------------------------------------------------------- the library on disk is replaced

READER = """
import sys
from pathlib import Path
from gpumon.collectors.nvml.driver import load_pynvml
from gpumon.collectors.nvml.source import Monitor
from gpumon.collectors.source import SystemClock
monitor = Monitor(SystemClock(), load_pynvml, Path("/nonexistent"), Path("/nonexistent"))
for line in sys.stdin:
    print(monitor.read().health.state, flush=True)
"""


@pytest.fixture
def reader(fake_driver: FakeDriver, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Another process that reads whenever it is told to, with a library of its own in ``tmp_path``."""
    shutil.copy(fake_driver.library, tmp_path / build.SONAME)
    environment = fake_driver.environment() | {"LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": ".dev"}
    command = [sys.executable, "-c", READER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def read() -> str:
            stdin.write("\n")
            stdin.flush()
            return stdout.readline().strip()

        yield read
        stdin.close()


def test_an_upgraded_driver_is_used_without_a_new_start_of_the_program(
    fake_driver: FakeDriver, reader: Callable[[], str], tmp_path: Path
) -> None:
    assert reader() == "serving"
    fake_driver.upgrade("590.1")
    upgraded = tmp_path / "new"
    shutil.copy(build.library("590.1"), upgraded)
    upgraded.replace(tmp_path / build.SONAME)
    assert reader() == "failing", "the old library is still mapped"
    assert reader() == "serving"


# ------------------------------------------------------------------------------ two GPUs of one UUID

UUID = "GPU-00000000-1111-2222-3333-444444444444"
FIRST, SECOND = f"{UUID}@00000000:01:00.0", f"{UUID}@00000000:02:00.0"


@pytest.fixture
def twins(two_gpus: FakeDriver) -> FakeDriver:
    two_gpus[1].uuid = two_gpus[0].uuid
    return two_gpus


def ids(sample: NvmlSample) -> list[str]:
    return [gpu.uuid for gpu in sample.gpus]


def test_two_gpus_of_one_uuid_are_told_apart_by_where_they_are(twins: FakeDriver, read: Read) -> None:
    assert ids(read()) == [FIRST, SECOND]


def test_a_third_gpu_keeps_its_own_uuid(twins: FakeDriver, read: Read) -> None:
    twins.state.gpu_count = 3
    assert ids(read()) == [FIRST, SECOND, "GPU-00000002-1111-2222-3333-444444444444"]


def test_twins_keep_their_ids_when_the_driver_numbers_them_anew(twins: FakeDriver, read: Read) -> None:
    read()
    twins.reorder(1, 0)
    twins.load()
    assert ids(read()) == [SECOND, FIRST]


def test_a_twin_keeps_its_id_when_the_other_is_lost_or_gone(twins: FakeDriver, read: Read) -> None:
    read()
    twins.lose(1)
    lost = read()
    twins.find(1)
    twins.state.gpu_count = 1
    gone = read()
    assert (ids(lost), states(lost)) == ([FIRST, SECOND], ["ok", "lost"])
    assert (ids(gone), states(gone)) == ([FIRST, SECOND], ["ok", "lost"])


def test_a_twin_that_opens_late_leaves_no_third_row(twins: FakeDriver, read: Read) -> None:
    twins.error("nvmlDeviceGetHandleByIndex_v2", UNKNOWN, 1)
    alone = read()
    twins.error("nvmlDeviceGetHandleByIndex_v2", 0, 1)
    assert (ids(alone), ids(read())) == ([UUID], [FIRST, SECOND])


def test_gpus_of_one_uuid_and_no_pci_address_go_by_their_index(twins: FakeDriver, read: Read) -> None:
    twins.error("nvmlDeviceGetPciInfo_v3", NO_PERMISSION)
    assert ids(read()) == [f"{UUID}@0", f"{UUID}@1"]
