"""A coverage-guided run over one reader: ``python -m tests.fuzz "/api/ps" -max_total_time=60``.

Needs the package atheris, which no test does; further arguments are libFuzzer's. What raises anything but
what is documented is written to a file: keep it in ``tests/fuzz/found`` under the reader's name.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from contextlib import suppress
from pathlib import Path


def main() -> None:
    """Run until libFuzzer's limits, or the first fault."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["gpumon"]):
        parsers = importlib.import_module("tests.fuzz.parsers")
    parser = parsers.PARSERS[sys.argv[1]]

    def look(data: bytes) -> None:
        with suppress(*parser.may_raise):
            parser.read(data)

    with tempfile.TemporaryDirectory() as corpus:
        Path(corpus, "example").write_bytes(parser.example)
        atheris.Setup([sys.argv[0], corpus, *sys.argv[2:]], look)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
