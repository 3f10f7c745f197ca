"""The conversation with a llama-server about one model: loading, what it is, then slots while it works."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.samples import LoadFacts, ModelState, Said, Slot, WorkCounters
from gpumon.collectors.servers.llama_server.bodies import (
    Leftovers,
    Properties,
    parse_counters,
    parse_slots,
    properties_of,
    with_models,
)
from gpumon.collectors.servers.llama_server.kind import HEADERS, IK_LLAMA
from gpumon.collectors.servers.llama_server.pace import IdlePace
from gpumon.collectors.servers.port import NotServedError, Port, StillLoadingError
from gpumon.collectors.source import Clock


def alive_path(port: Port) -> str:
    """Return the path by which a server is asked whether it is well.

    ik_llama.cpp's ``/health`` waits behind the batch that is computed, and reads changed weights anew where
    ``LLAMA_HOTSWAP_ENABLED`` is set (examples/server/server.cpp, August 2026); its ``/props`` does neither.
    """
    return "/props" if port.server == IK_LLAMA else "/health"


class SlotWork(NamedTuple):
    """What a slot does, as far as counters depend on it.

    They grow when a prompt has been read (``prompt_*``) and when an answer ends (``tokens_predicted_*``)
    (llama.cpp: tools/server/server-context.cpp, ``on_prompt_eval``, ``on_prediction``).
    """

    task_id: int | None
    """Kept by a slot that rests, so that a request between two looks shows."""
    processing: bool
    decoding: bool


class Work:
    """The slots and counters of one server at the latest look."""

    def __init__(self) -> None:
        self._slots: tuple[Slot, ...] | None = None
        self._counters: WorkCounters | None = None

    def forget(self) -> None:
        """Know nothing, as before the first look."""
        self._slots = self._counters = None

    def goes_on(self, slots: tuple[Slot, ...] | None) -> bool:
        """Whether nothing has begun, got to its first token or ended since the latest look."""
        if slots is None or self._slots is None or _works(slots) != _works(self._slots):
            return False
        return all(map(_continues, self._slots, slots))

    def has_begun(self, slots: tuple[Slot, ...] | None) -> bool:
        """Whether a request has begun since the latest look, though it may have ended by now."""
        return slots is not None and self._slots is not None and _tasks(slots) != _tasks(self._slots)

    def has_counted(self, counters: WorkCounters | None) -> bool:
        """Whether the counters have grown since they were read."""
        before = self._counters
        return before is not None and counters is not None and _counted(counters) != _counted(before)

    def see(self, slots: tuple[Slot, ...] | None, counters: WorkCounters | None = None) -> None:
        """Take in a look; what it leaves out stays as it was, but for the slots of one that failed."""
        self._slots = slots
        self._counters = counters or self._counters


def _tasks(slots: tuple[Slot, ...]) -> list[tuple[int, int | None]]:
    return [(slot.slot_id, slot.task_id) for slot in slots]


def _counted(counters: WorkCounters) -> tuple[float | None, float | None]:
    return counters.decoded_tokens_total, counters.prompt_tokens_total


def _works(slots: tuple[Slot, ...]) -> list[tuple[int, SlotWork]]:
    return [
        (slot.slot_id, SlotWork(slot.task_id, slot.processing, bool(slot.decoded_tokens))) for slot in slots
    ]


def _continues(before: Slot, after: Slot) -> bool:
    """Whether two looks at a slot with one task number see one task; numbers start again after a reload."""
    if not after.processing:
        return True
    return after.task_id is not None and (after.decoded_tokens or 0) >= (before.decoded_tokens or 0)


PROPS_SECONDS = 2.0
"""Between two looks whether a server that may fall asleep has: ``/props`` writes no log and wakes nothing."""

COUNTERS_SECONDS = 5.0
"""So old counters may be while the same requests are at work: what waits for a slot shows only there."""


class LlamaServer:
    """Asks ``/health`` until ready; ``/slots`` at every turn while busy, seldom while idle."""

    refused_state: ModelState = "starting"

    def __init__(
        self,
        port: Port,
        clock: Clock,
        may_sleep: bool,
        *,
        router_model: str | None = None,
        idle_pace: IdlePace | None = None,
    ) -> None:
        """``router_model`` is the name of the model where ``port`` is that of a router."""
        self._port = port
        self._clock = clock
        self._may_sleep = may_sleep
        self._router_model = router_model
        self._idle_pace = idle_pace or IdlePace()
        self._work = Work()
        self._leftovers = Leftovers()
        self.forget()

    def forget(self) -> None:
        """Ask from the start, as after a load."""
        self._ready = False
        self._busy = False
        self._asleep = False
        self._asked_at = float("-inf")
        self._counted_at = float("-inf")
        self._steady = False
        self._work.forget()

    async def close(self) -> None:
        """Nothing is open but the port."""

    async def ask(self, active: bool | None, /) -> Said | None:
        """Return what it says now, ``None`` where it is better not asked; raise ``RequestError``."""
        try:
            return await self._next(active)
        except StillLoadingError:
            self.forget()
            return Said("loading")
        except NotServedError as refusal:
            return Said("failing", str(refusal))

    async def _next(self, active: bool | None) -> Said | None:
        now = self._clock.now()
        if not self._ready:
            return await self._load(active)
        if self._busy or self._idle_pace.due(now, active):
            return await self._statistics(active)
        if (self._may_sleep or self._asleep) and now - self._asked_at >= PROPS_SECONDS:
            return await self._look_after_sleeper(active)
        return None

    async def _load(self, active: bool | None) -> Said:
        await self._body("/health")
        facts = await self._facts()
        self._ready = True
        if self._asleep:
            return Said("asleep", facts=facts)
        said = await self._measure(None, facts, slots_wanted=True)
        if active:
            self._idle_pace.found_loaded(self._clock.now())
        return said

    async def _facts(self) -> LoadFacts | None:
        """Return what it is; a server that wants a key says nothing."""
        properties = await self._properties()
        if properties is None:
            return None
        try:
            models = await self._body("/v1/models")
            return with_models(properties.facts, models, self._router_model)
        except NotServedError:
            return properties.facts

    async def _body(self, path: str) -> bytes:
        return await self._port.get_body(path, HEADERS)

    async def _properties(self) -> Properties | None:
        self._asked_at = self._clock.now()
        try:
            properties = properties_of(await self._body("/props"), self._port.server)
        except NotServedError:
            return None
        if properties is not None:
            self._note(properties)
        return properties

    def _note(self, properties: Properties) -> None:
        self._asleep = properties.sleeping
        self._may_sleep = self._may_sleep or properties.sleeping
        if properties.facts.metrics_enabled is False:
            self._port.refuse("/metrics", "/metrics: turned off")
        if properties.facts.slots_enabled is False:
            self._port.refuse("/slots", "/slots: turned off")

    async def _look(self) -> LoadFacts | None:
        """Ask whether it sleeps; return what it is where it has been loaded again since."""
        was_asleep = self._asleep
        await self._properties()
        return await self._facts() if was_asleep and not self._asleep else None

    async def _look_after_sleeper(self, active: bool | None) -> Said:
        facts = await self._look()
        if facts is not None:  # a request has woken it
            return await self._measure(active, facts, slots_wanted=True)
        return Said("asleep" if self._asleep else "ready")

    async def _statistics(self, active: bool | None) -> Said:
        """Ask for slots and counters; first of all whether it sleeps, for ``/slots`` would wake it."""
        facts: LoadFacts | None = None
        if not self._busy or self._clock.now() - self._asked_at > PROPS_SECONDS:
            facts = await self._look()
            if self._asleep:
                self._busy = False
                return Said("asleep")
        self._asked_at = self._clock.now()
        # Reading the slots restarts its timer: unless it is at work anyway, that would keep it awake.
        wanted = not self._may_sleep or bool(active) or facts is not None
        return await self._measure(active, facts, slots_wanted=wanted)

    async def _measure(self, active: bool | None, facts: LoadFacts | None, slots_wanted: bool) -> Said:
        """Read the counters, then the slots; the slots alone while the same requests are at work.

        In this order a request that ends in between is missing from both for one turn; in the other it would
        be counted twice. So where slots that were read alone show a change, they are read again.
        """
        counters: WorkCounters | None = None
        slots: tuple[Slot, ...] | None = None
        try:
            slots = await self._slots_alone()
            if slots is None:
                counters = await self._counters()
                if self._busy or (slots_wanted and not _rests(counters)):
                    slots = await self._slots()
        except RequestError as failure:
            return await self._unanswered(failure, counters, facts)
        begun, counted = self._work.has_begun(slots), self._work.has_counted(counters)
        self._note_work(slots, counters)
        if _is_at_work(slots, counters):
            if self._busy and begun:
                self._idle_pace.found_next(self._clock.now())
            self._busy = True
        else:
            was_busy = self._busy or begun or counted
            self._idle_pace.found_idle(self._clock.now(), active, was_busy, slots is not None)
            self._busy = False
        return Said("ready", self._port.refusal("/slots"), facts=facts, slots=slots, counters=counters)

    async def _slots_alone(self) -> tuple[Slot, ...] | None:
        """Return the slots where they show that the last counters still hold; ``None`` where not."""
        counted_lately = self._clock.now() - self._counted_at < COUNTERS_SECONDS
        if not (self._busy and self._steady and counted_lately):
            return None
        slots = await self._slots()
        return slots if self._work.goes_on(slots) else None

    def _note_work(self, slots: tuple[Slot, ...] | None, counters: WorkCounters | None = None) -> None:
        self._steady = self._work.goes_on(slots)
        self._work.see(slots, counters)

    async def _unanswered(
        self, failure: RequestError, counters: WorkCounters | None, facts: LoadFacts | None
    ) -> Said:
        """Return ``busy`` where statistics wait behind a batch; raise where it does not answer at all."""
        self._note_work(None)
        if failure.kind != "timeout":
            raise failure
        await self._body(alive_path(self._port))
        self._busy = True
        return Said("busy", "statistics wait behind a batch", facts=facts, counters=counters)

    async def _counters(self) -> WorkCounters | None:
        asked_at = self._clock.now()
        try:
            counters = parse_counters(await self._body("/metrics"))
        except NotServedError:
            return None
        self._counted_at = asked_at
        return counters

    async def _slots(self) -> tuple[Slot, ...] | None:
        try:
            slots = parse_slots(await self._body("/slots"))
        except NotServedError:
            return None
        return self._leftovers.taken_out(slots) if self._port.server == IK_LLAMA else slots


def _is_at_work(slots: tuple[Slot, ...] | None, counters: WorkCounters | None) -> bool:
    if slots is None:
        return counters is not None and bool(counters.requests_processing)
    return any(slot.processing for slot in slots)


def _rests(counters: WorkCounters | None) -> bool:
    """Whether the counters alone show that nothing runs."""
    return counters is not None and counters.requests_processing == 0
