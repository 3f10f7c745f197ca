"""Keys, bytes and resizes at random against the dashboard in a real tmux pane.

``python -m tests.fuzz.screen --seconds 600 --seed 7`` runs on until the time is over or the program has ended
otherwise than by a quit key; then it says with which seed and by which actions, and shows the crash report.
The same seed sends the same actions; what the program makes of them depends on the time, too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tests.e2e.tmux import Pane

ROOT = Path(__file__).parents[2]
SCENARIOS = ("fits", "spill", "evict", "70b", "fleet", "throttle", "gpu-lost", "restart", "full")
KEYS = (
    *"jkhlgGnpwsSaftu12345.,;:<>[]{}+-=?/y RIrk",
    *("Down", "Up", "Left", "Right", "PageDown", "PageUp", "Home", "End", "Enter", "Escape", "Tab", "BTab"),
    *("BSpace", "DC", "IC", "Space", "F1", "F3", "F4", "F6", "F12"),
    *("C-p", "C-l", "C-d", "C-u", "C-f", "C-b", "C-a", "C-e", "C-k", "C-w", "C-v", "C-x", "M-x", "C-Right"),
)
"""By tmux's names; neither what quits nor what suspends."""
SEQUENCES = (
    *(
        f"\x1b[<{button};{x};{y}{end}"
        for button in (0, 2, 35, 64, 65)
        for x, y in ((1, 1), (5, 3), (30, 9), (999, 999))
        for end in "Mm"
    ),
    *("\x1b[I", "\x1b[O", "\x1b[200~", "\x1b[201~", "\x1b[200~pasted \x1b[31m text\n\x1b[201~"),
    *(
        "\x1b[1;1R",
        "\x1b[?2026;2$y",
        "\x1b[48;24;80;480;640t",
        "\x1b[48;0;0;0;0t",
        "\x1b[<0;0;0M",
    ),
    *(
        "\x1b[99999999999u",
        "\x1b[1114112u",
        "\x1b[55296u",
        "\x1b[97;5u",
        "\x1b[;;u",
        "\x1b[1:2:3;4:5u",
        "\x1b[27;5;1~",
    ),
    *("\x1bOP", "\x1b\x1b\x1b", "\x1b]11;rgb:ffff/ffff/ffff\x1b\\", "\x1bP1$r0m\x1b\\", "\x1b[M\x7f\x7f\x7f"),
    *("é", "千问", "👩‍👧", "\u202e", "\u0301", "\x9b31m", "\x00", "\x7f"),
)
"""What terminals send, and what none should."""
NEVER_BYTES = frozenset({0x03, 0x1A, 0x1C, ord("q")})
"""Quit keys; and the one that ends what is stopped by its palette, and the shell around it (SIGQUIT)."""
SIZES = (
    (5, 40),
    (2, 5),
    (100, 80),
    (1, 15),
    (1, 1),
    (200, 50),
    (120, 40),
    (80, 24),
    (40, 12),
    (60, 3),
    (300, 90),
)
SETTLED_SIZE = (80, 24)
ACTIONS_PER_LOOK = 12
ACTIONS_PER_CHECK = 120
"""Between two checks that the keys are still obeyed."""
KEPT_ACTIONS = 60
ANSWER_SECONDS = 40.0


class FuzzError(Exception):
    """The program has ended, or answers no longer; says how, and after what."""


@dataclass
class Fuzz:
    """One run: what has been sent lately, and how much in all."""

    seed: int
    folder: Path
    sent: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_ACTIONS))
    actions: int = 0
    starts: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def run(self, goes_on: Callable[[Fuzz], bool]) -> None:
        """Start the program, and again whenever a quit key has ended it, while ``goes_on``.

        Raises:
            FuzzError: it ended otherwise, or does not answer.
        """
        while goes_on(self):
            self.starts += 1
            with Pane(self._command(), self._environment(), *SETTLED_SIZE) as pane:
                await self._one_life(pane, goes_on)

    async def _one_life(self, pane: Pane, goes_on: Callable[[Fuzz], bool]) -> None:
        await self._answers(pane)
        while goes_on(self):
            for _ in range(ACTIONS_PER_LOOK):
                self._act(pane)
                self.actions += 1
            await asyncio.sleep(self._random.choice((0.0, 0.0, 0.02, 0.3)))
            if await self._has_ended(pane):
                return
            if self.actions % ACTIONS_PER_CHECK == 0 and not await self._answers(pane):
                return

    async def _answers(self, pane: Pane) -> bool:
        """Whether the program still runs; it must then come back to a picture with its keys.

        Raises:
            FuzzError: it does not.
        """
        end = time.monotonic() + ANSWER_SECONDS
        pane.resize(SETTLED_SIZE[0] + 1, SETTLED_SIZE[1])  # a change, whatever size has been pretended
        pane.resize(*SETTLED_SIZE)
        while time.monotonic() < end:
            pane.send(b"\x1b[201~\x1b[I")  # what a paste or a blur has left open
            pane.press("Escape")
            await asyncio.sleep(0.3)
            if await self._has_ended(pane):
                return False
            if any(key in pane.screen() for key in ("quit", "help")):
                return True
        raise FuzzError(f"it answers no key within {ANSWER_SECONDS:g} s\n{pane.screen()}\n{self._history()}")

    async def _has_ended(self, pane: Pane) -> bool:
        """Whether a quit key has ended it.

        Raises:
            FuzzError: something else has.
        """
        end = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < end:
            with suppress(psutil.NoSuchProcess, subprocess.CalledProcessError):
                program = psutil.Process(pane.program_pid())
                if program.status() == psutil.STATUS_STOPPED:  # by its palette; there is no shell to say: fg
                    program.resume()
                return False
            pane.resize(200, 50)
            await asyncio.sleep(0.2)
            code = pane.exit_code()
            if code is not None:
                if code == 0 and "Traceback" not in pane.all_lines():
                    return True
                break
        raise FuzzError(f"{pane.all_lines()}\n{self._crash_report()}\n{self._history()}")

    def _act(self, pane: Pane) -> None:
        """Send something, or resize."""
        kind = self._random.choices(("keys", "bytes", "sequence", "resize"), (70, 8, 10, 12))[0]
        if kind == "keys":
            keys = self._random.choices(KEYS, k=self._random.randint(1, 4))
            self.sent.append(shlex.join(keys))
            pane.press(*keys)
        elif kind == "resize":
            size = self._size()
            self.sent.append(f"{size[0]}x{size[1]}")
            pane.resize(*size)
        else:
            data = self._bytes() if kind == "bytes" else self._random.choice(SEQUENCES).encode()
            self.sent.append(repr(data))
            pane.send(data)

    def _bytes(self) -> bytes:
        data = bytes(self._random.choices(range(256), k=self._random.randint(1, 6)))
        return bytes(byte for byte in data if byte not in NEVER_BYTES) or b"\xff"

    def _size(self) -> tuple[int, int]:
        if self._random.random() < 0.6:
            return self._random.choice(SIZES)
        return self._random.randint(1, 220), self._random.randint(1, 60)

    def _command(self) -> list[str]:
        options = self._random.choice(([], ["--ascii"], ["--mouse"]))
        return [sys.executable, "-m", "gpumon.app", "demo", self._random.choice(SCENARIOS), *options]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "GPUMON_FIND": "false",
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PYTHONPATH": str(ROOT / ".dev"),
            "LANG": "C.UTF-8",
            **self._random.choice(({"COLORTERM": "truecolor"}, {"NO_COLOR": "1"}, {})),
        }

    def _crash_report(self) -> str:
        path = self.folder / "state" / "gpumon" / "crash.txt"
        return path.read_text(encoding="utf-8") if path.exists() else "no crash report"

    def _history(self) -> str:
        return (
            f"seed {self.seed}, {self.actions} actions, {self.starts} starts; the last: {' '.join(self.sent)}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run by hand, and return 1 for a fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    options = parser.parse_args(arguments)
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        fuzz = Fuzz(options.seed, Path(folder))
        try:
            asyncio.run(fuzz.run(lambda _: time.monotonic() < end))
        except FuzzError as error:
            sys.stdout.write(f"{error}\n")
            return 1
    sys.stdout.write(f"seed {fuzz.seed}: {fuzz.actions} actions, {fuzz.starts} starts, no fault\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
