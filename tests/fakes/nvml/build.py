"""Compiles the fake ``libnvidia-ml.so.1`` against NVIDIA's header from the ``nvidia-nvml-dev`` package."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from tests.fakes.nvml import layout

SONAME = "libnvidia-ml.so.1"
LIBRARY_VERSION = "580.95.05"
"""The version that the library itself has; the kernel module's is part of the state."""

_SOURCES = Path(__file__).parent
_DECLARATION = re.compile(r"nvmlReturn_t\s+DECLDIR\s+(nvml\w+)\s*\(")


class MissingHeaderError(RuntimeError):
    """``nvml.h`` is not installed."""


@functools.cache
def header() -> Path:
    """Return the path of ``nvml.h`` in this environment."""
    found = sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/**/nvml.h"))
    if not found:
        raise MissingHeaderError("nvml.h not found; install the package nvidia-nvml-dev")
    return found[0]


@functools.cache
def functions() -> tuple[str, ...]:
    """Return the name of every function that the header declares, in a fixed order."""
    names = sorted(set(_DECLARATION.findall(header().read_text(encoding="utf-8"))))
    assert len(names) <= layout.MAX_FUNCTIONS, "raise MAX_FUNCTIONS in layout.py"
    return tuple(names)


@functools.cache
def library(version: str = LIBRARY_VERSION) -> Path:
    """Return the path of the compiled library, building it where this version of it is not there yet.

    The folder is named by a hash of everything that goes in, and the file is moved into place whole, so
    that test processes can share it.
    """
    generated = {"fake_layout.h": layout.c_header(functions()), "unsupported.c": _unsupported()}
    target = _cache() / _digest(generated, version) / SONAME
    if not target.exists():
        _build(target, generated, version)
    return target


def _cache() -> Path:
    folder = Path(tempfile.gettempdir()) / f"gpumon-fake-nvml-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _digest(generated: dict[str, str], version: str) -> str:
    sha256 = hashlib.sha256(version.encode() + header().read_bytes())
    for text in (*generated.values(), *(path.read_text(encoding="utf-8") for path in _c_files())):
        sha256.update(text.encode())
    return sha256.hexdigest()[:16]


def _c_files() -> list[Path]:
    return sorted((*_SOURCES.glob("*.c"), *_SOURCES.glob("*.h")))


def _build(target: Path, generated: dict[str, str], version: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for name, text in generated.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        subprocess.run(_command(Path(folder), version), check=True)
        Path(folder, SONAME).replace(target)


def _command(folder: Path, version: str) -> list[str]:
    sources = [str(path) for path in (*_SOURCES.glob("*.c"), folder / "unsupported.c")]
    includes = [f"-I{folder}", f"-I{_SOURCES}", f"-I{header().parent}"]
    warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations"]
    flags = ["-O1", "-std=gnu11", "-shared", "-fPIC", "-pthread", f"-Wl,-soname,{SONAME}"]
    define = f'-DFAKE_LIBRARY_VERSION="{version}"'
    return ["cc", *flags, *warnings, *includes, define, "-o", str(folder / SONAME), *sources]


def _unsupported() -> str:
    """Write a weak stub for every function, which holds where no real one is written."""
    stubs = "\n".join(f"STUB({name})" for name in functions())
    macro = (
        "#define STUB(name) __attribute__((weak)) int name(void) { return fake_unsupported(FAKE_##name); }"
    )
    return f'#include "fake_layout.h"\nint fake_unsupported(enum fake_number number);\n{macro}\n{stubs}\n'
