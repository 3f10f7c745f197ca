"""The fake server itself: what tests in other processes rely on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def ask(url: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
    raw = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, raw, timeout=30) as reply:
        return json.load(reply)


def test_it_runs_by_itself_and_is_changed_while_it_runs() -> None:
    command = [sys.executable, "-m", "tests.fakes.ollama", "--load", "llama3:8b", "--version", "0.1.2"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as server:
        assert server.stdout
        url = server.stdout.readline().strip()
        assert ask(f"{url}/api/version") == {"version": "0.1.2"}
        ask(f"{url}/control", {"load": {"name": "qwen3:32b", "size_bytes": 9, "size_vram_bytes": 4}})
        ask(f"{url}/control", {"unload": "llama3:8b"})
        (row,) = ask(f"{url}/api/ps")["models"]
        assert (row["name"], row["size"], row["size_vram"]) == ("qwen3:32b", 9, 4)
        ask(f"{url}/control", {"misbehave": {"/api/ps": "top_list"}})
        assert ask(f"{url}/api/ps") == []
        ask(f"{url}/control", {"misbehave": {}})
        status = ask(f"{url}/control")
        assert status == {"loaded": ["qwen3:32b"], "requests": {"/api/version": 1, "/api/ps": 2}}
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
