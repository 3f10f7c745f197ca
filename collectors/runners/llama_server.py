"""The conversation with a llama-server: loading, once what it is, then slots while it works."""

from __future__ import annotations

from gpumon.collectors.clock import Clock
from gpumon.collectors.http.client import RequestError
from gpumon.collectors.runners.bodies import Properties, parse_properties, parse_slots, with_models
from gpumon.collectors.runners.metrics import parse_counters
from gpumon.collectors.runners.pace import IdlePace
from gpumon.collectors.runners.port import NotServedError, Port, StillLoadingError
from gpumon.collectors.runners.said import Said
from gpumon.collectors.runners.work import Work
from gpumon.collectors.samples import RunnerCounters, RunnerFacts, RunnerState, Slot

PROPS_SECONDS = 2.0
"""Between two looks whether a server that may fall asleep has: ``/props`` writes no log and wakes nothing."""

COUNTERS_SECONDS = 5.0
"""So old counters may be while the same requests are at work: what waits for a slot shows only there."""


class LlamaServer:
    """Asks ``/health`` until ready; ``/slots`` at every turn while busy, seldom while idle."""

    refused_state: RunnerState = "starting"

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
        await self._port.get_llama("/health")
        facts = await self._facts()
        self._ready = True
        if self._asleep:
            return Said("asleep", facts=facts)
        return await self._measure(active, facts, slots_wanted=True)

    async def _facts(self) -> RunnerFacts | None:
        """Return what it is; a server that wants a key says nothing."""
        properties = await self._properties()
        if properties is None:
            return None
        try:
            models = await self._port.get_llama("/v1/models")
            return with_models(properties.facts, models, self._router_model)
        except NotServedError:
            return properties.facts

    async def _properties(self) -> Properties | None:
        self._asked_at = self._clock.now()
        try:
            properties = parse_properties(await self._port.get_llama("/props"))
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

    async def _look(self) -> RunnerFacts | None:
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
        facts: RunnerFacts | None = None
        if not self._busy or self._clock.now() - self._asked_at > PROPS_SECONDS:
            facts = await self._look()
            if self._asleep:
                self._busy = False
                return Said("asleep")
        self._asked_at = self._clock.now()
        # Reading the slots restarts its timer: unless it is at work anyway, that would keep it awake.
        wanted = not self._may_sleep or bool(active) or facts is not None
        return await self._measure(active, facts, slots_wanted=wanted)

    async def _measure(self, active: bool | None, facts: RunnerFacts | None, slots_wanted: bool) -> Said:
        """Read the counters, then the slots; the slots alone while the same requests are at work.

        In this order a request that ends in between is missing from both for one turn; in the other it would
        be counted twice. So where slots that were read alone show a change, they are read again.
        """
        counters: RunnerCounters | None = None
        slots: tuple[Slot, ...] | None = None
        try:
            slots = await self._slots_alone()
            if slots is None:
                counters = await self._counters()
                if self._busy or (slots_wanted and not _rests(counters)):
                    slots = await self._slots()
        except RequestError as failure:
            return await self._unanswered(failure, counters, facts)
        self._note_work(slots)
        self._settle(active, slots, counters)
        return Said("ready", self._port.refusal("/slots"), facts=facts, slots=slots, counters=counters)

    async def _slots_alone(self) -> tuple[Slot, ...] | None:
        """Return the slots where they show that the last counters still hold; ``None`` where not."""
        counted_lately = self._clock.now() - self._counted_at < COUNTERS_SECONDS
        if not (self._busy and self._steady and counted_lately):
            return None
        slots = await self._slots()
        return slots if self._work.goes_on(slots) else None

    def _note_work(self, slots: tuple[Slot, ...] | None) -> None:
        self._steady = self._work.goes_on(slots)
        self._work.see(slots)

    def _settle(
        self, active: bool | None, slots: tuple[Slot, ...] | None, counters: RunnerCounters | None
    ) -> None:
        if slots is None:
            busy = counters is not None and bool(counters.requests_processing)
        else:
            busy = any(slot.processing for slot in slots)
        if busy:
            self._busy = True
        else:
            self._rest(active, slots is not None)

    def _rest(self, active: bool | None, slots_read: bool) -> None:
        self._idle_pace.found_idle(self._clock.now(), active, self._busy, slots_read)
        self._busy = False

    async def _unanswered(
        self, failure: RequestError, counters: RunnerCounters | None, facts: RunnerFacts | None
    ) -> Said:
        """Tell a server whose statistics wait behind a batch from one that does not answer at all."""
        self._note_work(None)
        if failure.kind != "timeout":
            raise failure
        await self._port.get_llama("/health")
        self._busy = True
        return Said("busy", "statistics wait behind a batch", facts=facts, counters=counters)

    async def _counters(self) -> RunnerCounters | None:
        asked_at = self._clock.now()
        try:
            counters = parse_counters(await self._port.get_llama("/metrics"))
        except NotServedError:
            return None
        self._counted_at = asked_at
        return counters

    async def _slots(self) -> tuple[Slot, ...] | None:
        try:
            return parse_slots(await self._port.get_llama("/slots"))
        except NotServedError:
            return None


def _rests(counters: RunnerCounters | None) -> bool:
    """Tell whether the counters alone show that nothing runs."""
    return counters is not None and counters.requests_processing == 0
