"""The source that asks one llama-server by its URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpumon.collectors.clock import Clock
from gpumon.collectors.http.client import HttpClient, RequestError, TimeLimits
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.llama_server.health import LOADING, foreign, health_of_failure
from gpumon.collectors.llama_server.identity import Identity, UnusableError, body_of, identify
from gpumon.collectors.llama_server.listing import parse_router_models
from gpumon.collectors.llama_server.model_port import ModelPort
from gpumon.collectors.llama_server.talks import Talks
from gpumon.collectors.runners.llama_server import LlamaServer
from gpumon.collectors.runners.pace import IdlePace
from gpumon.collectors.runners.port import Port, StillLoadingError
from gpumon.collectors.runners.said import ForeignProgramError
from gpumon.collectors.samples import AnySample, LlamaServerSample, ServedModel, SourceHealth

IDENTIFY_SECONDS = 30.0
"""Between two looks what it is: a small model is loaded anew between two polls. It writes no log."""
REMOTE_IDLE_SECONDS = 2.0
MAX_DOUBLINGS = 4
FAILURE_CAP_SECONDS = 10.0
FORBIDDEN_SECONDS = 60.0
"""After a refusal: each one is a warning in the server's log."""

IsActive = Callable[[str], bool | None]
"""Whether the process behind a model seems to work; ``None`` where that cannot be told."""


class LlamaServerSource:
    """Polls ``/health`` or a router's ``/models``, and of each loaded model its statistics when due."""

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        active: IsActive | None = None,
        limits: TimeLimits | None = None,
        *,
        trusted: bool = False,
    ) -> None:
        """``trusted``: a proxy stands before it, so its answers need not say where they come from."""
        self._endpoint = endpoint
        self._clock = clock
        self._client = HttpClient(endpoint, limits)
        self._port = Port(self._client)
        self._port.trusted = trusted
        self._talks = Talks(clock, self._begin, active)
        self._identity: Identity | None = None
        self._identified_at = float("-inf")
        self._failures = 0
        self._forbidden = False

    @property
    def name(self) -> str:
        """The server's URL without credentials."""
        return self._endpoint.url

    async def poll(self) -> Sequence[AnySample]:
        """Return which models there are now, then what was asked of each of them."""
        try:
            return await self._ask()
        except StillLoadingError:
            self._forget()
            return [self._sample(LOADING, models=())]
        except UnusableError as problem:
            return [self._failed(problem.health)]
        except ForeignProgramError:
            return [self._failed(foreign(self._endpoint))]
        except RequestError as failure:
            return [self._failed(health_of_failure(failure.kind, self._endpoint))]

    def delay(self, interval: float) -> float:
        """Return seconds to the next poll: slower when idle and far away, doubling up to a cap on failure."""
        if self._forbidden:
            return max(interval, FORBIDDEN_SECONDS)
        if self._failures:
            doubled = 2.0 ** min(self._failures - 1, MAX_DOUBLINGS)
            return min(max(interval, doubled), max(interval, FAILURE_CAP_SECONDS))
        near = self._endpoint.is_loopback or self._talks.busy
        return interval if near else max(interval, REMOTE_IDLE_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _ask(self) -> list[AnySample]:
        identity = await self._identify()
        if identity.is_router:
            models = parse_router_models(await body_of(self._port, self._client, "/models"))
        else:
            await body_of(self._port, self._client, "/health")
            models = (ServedModel(name=identity.model or self._endpoint.authority, state="ready"),)
        if models is None:
            return [self._failed(SourceHealth(state="nonsense", detail="its list of models is none"))]
        said = await self._talks.poll(models)
        self._failures, self._forbidden = 0, False
        return [
            self._sample(SourceHealth(state="serving" if models else "idle"), self._with_states(models)),
            *(self._talks.sample(name, one, self.name) for name, one in said),
        ]

    async def _identify(self) -> Identity:
        now = self._clock.now()
        if self._identity is None or now - self._identified_at >= IDENTIFY_SECONDS:
            identity = await identify(self._port, self._client)
            if identity != self._identity:
                self._talks.forget()
            self._identity, self._identified_at = identity, now
        return self._identity

    def _begin(self, model: ServedModel) -> LlamaServer:
        """Return a new conversation about a model.

        A router tells whether the model may fall asleep; of another server that is not known.
        """
        is_router = self._identity is not None and self._identity.is_router
        port = ModelPort(self._client, model.name) if is_router else Port(self._client)
        port.trusted = self._port.trusted
        sleep_seconds = model.settings.sleep_idle_seconds if model.settings else None
        return LlamaServer(
            port,
            self._clock,
            may_sleep=bool(sleep_seconds and sleep_seconds > 0),
            router_model=model.name if is_router else None,
            idle_pace=IdlePace(patient=model.settings is None),
        )

    def _with_states(self, models: tuple[ServedModel, ...]) -> tuple[ServedModel, ...]:
        """Return the models as they were last heard to be: a server without router may be asleep."""
        return tuple(self._talks.with_state(model) for model in models)

    def _failed(self, health: SourceHealth) -> LlamaServerSample:
        self._failures += 1
        self._forbidden = health.state == "forbidden"
        self._forget()
        return self._sample(health, models=None)

    def _forget(self) -> None:
        self._identity = None
        self._talks.forget()

    def _sample(self, health: SourceHealth, models: tuple[ServedModel, ...] | None) -> LlamaServerSample:
        version = self._identity.version if self._identity else None
        return LlamaServerSample(
            time=self._clock.now(), source=self.name, health=health, version=version, models=models
        )
