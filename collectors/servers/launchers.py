"""Programs that start llama-servers and are not asked themselves: each of those is a model of its own."""

from __future__ import annotations

from typing import ClassVar

from gpumon.collectors.servers.command_line import program_name
from gpumon.collectors.servers.kind import FoundServer, ProcessView, ServerKind


class _Launcher(ServerKind):
    """Known by the name of its program."""

    gives = "nothing: its models are asked one by one"
    programs: ClassVar[frozenset[str]]

    def recognise_process(self, process: ProcessView) -> FoundServer | None:
        """Return a server for a process of that program."""
        return FoundServer(self.name) if program_name(process.argv).lower() in self.programs else None


class _LlamaSwap(_Launcher):
    name, label = "llama_swap", "llama-swap"
    programs = frozenset({"llama-swap"})


class _Lemonade(_Launcher):
    name, label = "lemonade", "Lemonade"
    programs = frozenset({"lemond", "lemonade-server", "lemonade-server-dev", "lemonade-router"})


LAUNCHERS: tuple[ServerKind, ...] = (_LlamaSwap(), _Lemonade())
