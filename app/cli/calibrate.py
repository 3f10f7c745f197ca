"""``gpumon calibrate``: measure once how fast this machine reads its RAM, so that splits can be estimated."""

from __future__ import annotations

from argparse import Namespace

from gpumon.app.cli.commands import Commands, add_command
from gpumon.app.cli.output import print_text
from gpumon.app.errors import GpumonError

_WHAT = "measurement"


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "calibrate", "measure how fast RAM is read, once, for the estimates of split models"
    )
    parser.set_defaults(execute=execute)


def execute(options: Namespace) -> int:
    """Say what is done, do it, print the bandwidth."""
    del options
    from gpumon.app.learned.file import remember_ram_bandwidth
    from gpumon.app.physics.hardware import ram_peak_of_measurement
    from gpumon.collectors.system.ram_bandwidth import CannotMeasureError, measure_ram_bandwidth, thread_count

    print_text(f"Reading up to 1 GiB of RAM with {_threads(thread_count())}, about three seconds.\n", _WHAT)
    try:
        measured = measure_ram_bandwidth()
    except CannotMeasureError as error:
        raise GpumonError(str(error)) from None
    nominal = _gigabytes(ram_peak_of_measurement(measured))
    print_text(f"RAM is read at {_gigabytes(measured)}, which stands for a nominal {nominal}.\n", _WHAT)
    remember_ram_bandwidth(measured)
    print_text("Kept for gpumon. A busy machine reads slower: repeat it when this one is idle.\n", _WHAT)
    return 0


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def _gigabytes(bytes_per_second: float) -> str:
    return f"{bytes_per_second / 1e9:.1f} GB/s"
