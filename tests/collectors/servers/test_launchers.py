"""Programs that only start the servers of models, known by their processes."""

from __future__ import annotations

import pytest

from gpumon.collectors.servers.registry import REGISTRY
from gpumon.collectors.servers.talk import FoundServer, ProcessView

CONMON = "/usr/bin/conmon --api-version 1 -c 4f2a -u 4f2a -r /usr/bin/crun -b /run/x -p /run/x/pidfile"


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"{CONMON} -n ramalama-7Kq2mXbT0a --exit-dir /run/exits", "ramalama"),
        ("/usr/bin/python3 /usr/local/bin/ramalama --nocontainer serve smollm", "ramalama"),
        ("ramalama serve smollm", "ramalama"),
        (f"{CONMON} -n postgres --exit-dir /run/exits", None),
        ("/usr/bin/python3 /usr/local/bin/ramalama list", None),
        ("/usr/bin/Jan", "jan"),
        ("/tmp/.mount_JanXYZ/usr/bin/Jan --no-sandbox", "jan"),
        ("janus", None),
    ],
)
def test_who_starts_servers(line: str, kind: str | None) -> None:
    found = [
        REGISTRY.kind(name).recognise_process(ProcessView(line.split(), dict)) for name in ("ramalama", "jan")
    ]
    assert [one for one in found if one] == ([FoundServer(kind)] if kind else [])
