from __future__ import annotations

from tests.fakes.ssh import ssh

__all__ = ["ssh"]
