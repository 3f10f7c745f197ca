"""Runs the dashboard headless and prints what it did to the machine: ``python audited.py SECONDS``.

One line of JSON for each process started, file opened to write, and socket that listens.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn", "os.system"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

found: list[dict[str, str]] = []


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if event in STARTS:
        found.append({"event": event, "what": repr(arguments[0])})
    elif event == "open" and _writes(arguments):
        found.append({"event": "write", "what": str(arguments[0])})
    elif event == "socket.bind":
        found.append({"event": "bind", "what": repr(arguments[1])})


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return bool(set(mode) & set("wax+"))
    return bool((flags or 0) & WRITING)


async def main(seconds: float) -> None:
    # Here, as the hook must see what they import.
    from gpumon.app.config.settings import HistorySettings, ServerSettings, Settings  # noqa: PLC0415
    from gpumon.app.session.build import live_session  # noqa: PLC0415
    from gpumon.app.ui.app import GpumonApp  # noqa: PLC0415
    from gpumon.widgets.glyphs import UNICODE  # noqa: PLC0415

    kept = HistorySettings(enabled=os.environ.get("GPUMON_HISTORY") != "false")
    alone = ServerSettings(find=False)
    session = live_session(Settings(urls=(os.environ["OLLAMA_HOST"],), servers=alone, history=kept))
    async with GpumonApp(session, UNICODE).run_test(size=(120, 40)):
        await asyncio.sleep(seconds)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.addaudithook(note)
    asyncio.run(main(float(sys.argv[1])))
    sys.stdout.write(json.dumps(found))
