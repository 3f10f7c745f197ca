"""Programs that only start the servers of models: each child is a model of its own, and says who started it.

They are told by their processes alone: RamaLama by the name that it gives to its containers, which Podman's
``conmon`` has on its command line (ramalama/common.py, August 2026: ``genname``), Jan by its program.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from gpumon.collectors.servers.command_line import program_name
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.talk import FoundServer, ProcessView


class Launcher(ServerKind):
    """Known by the name of its program."""

    gives = "nothing: its models are asked one by one"
    has_url = False
    programs: ClassVar[frozenset[str]] = frozenset()

    def recognise_process(self, process: ProcessView) -> FoundServer | None:
        """Return a server for a process of its own."""
        return FoundServer(self.name) if self.is_own(process.argv) else None

    def is_own(self, argv: Sequence[str]) -> bool:
        """Whether a command line is one of its own."""
        return program_name(argv).lower() in self.programs


CONTAINER = "ramalama-"
"""Begins the names of its containers where the user gives them none."""


class RamaLamaKind(Launcher):
    """Runs llama-server, vLLM or MLX, in a container of Podman unless told otherwise."""

    name, label = "ramalama", "RamaLama"
    programs = frozenset({"ramalama"})

    def is_own(self, argv: Sequence[str]) -> bool:
        """Whether it is the keeper of one of its containers, or its own program in an interpreter."""
        program = program_name(argv).lower()
        if program == "conmon":
            return any(flag == "-n" and name.startswith(CONTAINER) for flag, name in pairwise(argv))
        script = program_name(argv[1:2]) if program.startswith(("python", "pypy")) else program
        return script in self.programs and "serve" in argv


class JanKind(Launcher):
    """A desktop program that starts a llama-server for each model."""

    name, label = "jan", "Jan"
    programs = frozenset({"jan"})


LAUNCHERS: tuple[ServerKind, ...] = (RamaLamaKind(), JanKind())
