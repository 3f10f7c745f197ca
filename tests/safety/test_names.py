"""Names of models from outside are shown as they are and obeyed by nothing, in every output."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from pathlib import Path

from tests.fakes.ollama.server import FakeOllama
from tests.safety.conftest import Run

NAMES = {
    "escape": "a\x1b]0;owned\x07\x1b[2J",
    "bidi": "a\u202eevil\u2066b",
    "zero width": "a\u200bb\ufeffc",
    "markup": "[bold red on white]a[/] [@click=app.quit]b[/]",
    "format": "%s%n{0}{name.__class__}$(touch owned)`touch owned`",
    "path": "../../../../tmp/owned",
    "lines": "a\nb\r\nc\u2028d",
    "long": "x" * 10_000,  # no name: its row is one of those that cannot be understood
    "wide": "\u6f22" * 300,
    "combining": "a" + "\u0301" * 300,
}
LONGEST_LINE = 3000


def harmful(text: str) -> set[str]:
    """Return what a terminal might obey, the end of a line aside."""
    return {
        hex(ord(char))
        for char in text
        if char != "\n" and unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}
    }


async def test_names_are_obeyed_by_no_output(run: Run, ollama: FakeOllama, tmp_path: Path) -> None:
    for name in NAMES.values():
        ollama.catalog.load(name, size_bytes=10**10, size_vram_bytes=5 * 10**9)
    commands = ("why", "doctor", "snapshot")
    why, doctor, snapshot = await asyncio.gather(
        *(run(command, OLLAMA_HOST=ollama.url) for command in commands)
    )
    for said in (why, doctor):
        assert harmful(said.output + said.errors) == set()
        assert max(map(len, said.output.splitlines())) <= LONGEST_LINE
    names = {model["name"] for model in json.loads(snapshot.output)["models"]}
    assert names == set(NAMES.values()) - {NAMES["long"]}, "a document for programs holds them as they are"
    assert "\x1b" not in snapshot.output
    assert not list(tmp_path.rglob("owned"))  # noqa: ASYNC240 - a small folder of this test
