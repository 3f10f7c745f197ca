"""What happens in a scenario, and when: a prelude, then a part that repeats for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple, Protocol

from msgspec import Struct

from gpumon.app.demo.generator import Diffusion
from gpumon.app.demo.machine import Machine, Program
from gpumon.collectors.samples import AnySample

PRELUDE_SECONDS = 300
"""History that lies before the moment at which a demonstration opens."""


class Event(Protocol):
    """Something that happens to a machine."""

    def happen(self, machine: Machine) -> None:
        """Make it so, at ``machine.now``."""
        ...


class Request(Struct, frozen=True):
    """A client asks ``model`` for work of this many seconds."""

    model: str
    seconds: float
    context: int = 4096
    gpus: tuple[int, ...] | None = None

    def happen(self, machine: Machine) -> None:
        """Hand it to the server."""
        machine.server.request(self.model, self.context, self.seconds, machine.now, self.gpus)


class Draw(Struct, frozen=True):
    """Somebody has the image generator draw a picture."""

    model: Diffusion
    steps: int = 20

    def happen(self, machine: Machine) -> None:
        """Queue it."""
        machine.generators[0].draw(self.model, self.steps)


class Free(Struct, frozen=True):
    """Somebody has the image generator free its memory."""

    def happen(self, machine: Machine) -> None:
        """Have it done."""
        machine.generators[0].free()


class Stop(Struct, frozen=True):
    """The user unloads ``model``."""

    model: str

    def happen(self, machine: Machine) -> None:
        """Hand it to the server."""
        machine.server.stop(self.model, machine.now)


class Unload(Struct, frozen=True):
    """Whoever watches the demonstration unloads ``model``."""

    model: str

    def happen(self, machine: Machine) -> None:
        """Hand it to the server."""
        machine.server.unload(self.model, machine.now)


class ServerDown(Struct, frozen=True):
    """Ollama ends, and is restarted after this many seconds."""

    seconds: float

    def happen(self, machine: Machine) -> None:
        """End the server."""
        machine.server.go_down(machine.now, self.seconds)


class GpuLost(Struct, frozen=True):
    """A card falls off the bus and comes back after this many seconds."""

    gpu: int
    seconds: float

    def happen(self, machine: Machine) -> None:
        """Lose the card."""
        machine.lose_gpu(self.gpu, self.seconds)


class AirflowBlocked(Struct, frozen=True):
    """Something covers the fans of a card for this many seconds."""

    gpu: int
    factor: float
    seconds: float

    def happen(self, machine: Machine) -> None:
        """Cover the fans."""
        machine.block_airflow(self.gpu, self.factor, self.seconds)


class Happening(Struct, frozen=True):
    """An event, this many seconds after the start of its part."""

    at: int
    event: Event


Orders = Mapping[int, Sequence[Event]]
"""What is done to the machine beside its story, by the second after the start of the samples."""
NO_ORDERS: Orders = {}


CAPTION_SECONDS = 9
"""How long a caption stays, unless the next one comes before."""


class Caption(NamedTuple):
    """What to look at, said this many seconds after the start of the story."""

    at: int
    words: str


class Scenario(Struct, frozen=True):
    """A demonstration: a machine and what happens to it."""

    name: str
    description: str
    """One line for a list."""
    build: Callable[[], Machine]
    prelude: tuple[Happening, ...]
    """What lies before the first sample has a negative time."""
    story: tuple[Happening, ...]
    story_seconds: int
    """After this many seconds the story begins again, on the same machine."""
    programs: tuple[Program, ...] = ()
    captions: tuple[Caption, ...] = ()
    """In the order in which they come."""

    def caption(self, second: int) -> str:
        """Return the words that belong to a second after the start of the samples; none for most."""
        moment = (second - PRELUDE_SECONDS) % self.story_seconds if second >= PRELUDE_SECONDS else -1
        begun = [caption for caption in self.captions if caption.at <= moment < caption.at + CAPTION_SECONDS]
        return begun[-1].words if begun else ""

    def samples(self, start: float, orders: Orders = NO_ORDERS) -> Iterator[AnySample]:
        """Yield samples for ever, one poll a second, the first at ``start`` (seconds since the epoch).

        ``orders`` may grow meanwhile.
        """
        machine = self.build()
        machine.programs = list(self.programs)
        for second in count(min(0, *(happening.at for happening in self.prelude))):
            machine.now = start + second
            for event in (*self._events(second), *orders.get(second, ())):
                event.happen(machine)
            machine.tick()
            if second == 0:
                machine.host.swap_out = None  # nobody has looked before
            if second >= 0:
                yield from machine.samples()

    def _events(self, second: int) -> list[Event]:
        if second < PRELUDE_SECONDS:
            return [happening.event for happening in self.prelude if happening.at == second]
        moment = (second - PRELUDE_SECONDS) % self.story_seconds
        return [happening.event for happening in self.story if happening.at == moment]
