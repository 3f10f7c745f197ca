"""``gpumon``, also as ``python -m gpumon.app``."""

from __future__ import annotations

import sys

from gpumon.app.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
