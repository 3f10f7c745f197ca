"""The model that ``gpumon fit`` is asked about: from a file, or from the servers in the settings."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from gpumon.app.cli.fit.disk import facts_on_disk, on_disk
from gpumon.app.diagnosis.fit.report import INSTALLED, Origin, Resident
from gpumon.app.errors import GpumonError
from gpumon.collectors.gguf.file import GgufError, gguf_file_bytes, read_gguf
from gpumon.collectors.http.client import MAX_DETAIL_BYTES, MAX_LISTING_BYTES, HttpClient, Reply, TimeLimits
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.samples import (
    AnySample,
    InstalledModel,
    InstalledModels,
    ModelClaim,
    ModelFacts,
    ServerSample,
    SourceHealth,
)
from gpumon.collectors.servers.ollama import classify
from gpumon.collectors.servers.ollama.bodies import BodyError, Listing, parse_ps, parse_show, parse_tags
from gpumon.collectors.servers.registry import DEFAULT
from gpumon.collectors.source import SystemClock
from gpumon.text.safe import visible

_Row = TypeVar("_Row", ModelClaim, InstalledModel)
_DEFAULT_HOST = "registry.ollama.ai"
_DEFAULT_NAMESPACE = "library"
_DEFAULT_TAG = "latest"
_NEAR_SHOWN = 4
_NEAR_LEAST = 0.7
"""Of ``difflib``'s likeness: a letter or two are wrong."""
_SIZE = re.compile(r"[0-9.]+[bm]", re.IGNORECASE)
"""A tag alone: no model is called so, and nothing of the name can be pulled."""
_SOON = TimeLimits(connect=0.3, total=0.5)


NO_SERVER = "no server is in the settings: give --url, or a .gguf file"


class NoAnswerError(GpumonError):
    """Nothing answers at a server's address."""


class NotInstalledError(GpumonError):
    """A server has no such model."""

    def __init__(self, words: str, url: str | None, near: Sequence[str]) -> None:
        super().__init__(words)
        self.url = url
        self.near = tuple(near)
        """Installed ones of a like name."""


class FullName(NamedTuple):
    """A model's name with all that Ollama lets one leave out."""

    host: str
    namespace: str
    model: str
    tag: str


class Model(Struct, frozen=True):
    """A model's facts, and what its server has loaded."""

    facts: ModelFacts
    file_bytes: int | None = None
    url: str | None = None
    """Of its server; ``None`` for a file."""
    is_local: bool = True
    """Whether it would be loaded on this machine."""
    own_vram_bytes: int = 0
    """What it holds already: that is free for it."""
    others: tuple[Resident, ...] = ()
    origin: Origin = INSTALLED


def is_file(name: str) -> bool:
    """Return whether the user means a file: no model's name begins like a path."""
    is_path = name.startswith(("/", "./", "../"))
    return is_path or name.lower().endswith(".gguf") or Path(name).is_file()


def model_of_file(path: Path) -> Model:
    """Return the model in a GGUF file.

    Raises:
        GpumonError: it cannot be read, or is none.
    """
    try:
        return Model(read_gguf(path), gguf_file_bytes(path), origin=Origin("file"))
    except GgufError as error:
        raise GpumonError(str(error)) from None


async def loaded_here(endpoints: Sequence[Endpoint]) -> tuple[Resident, ...]:
    """Return what the servers of this machine have loaded; one that does not answer soon has nothing."""
    clients = [HttpClient(endpoint, _SOON) for endpoint in endpoints if endpoint.is_loopback]
    found = await asyncio.gather(*map(_loaded_or_nothing, clients))
    return tuple(resident for residents in found for resident in residents)


async def _loaded_or_nothing(client: HttpClient) -> list[Resident]:
    try:
        listing = await _listing(client, "/api/ps", MAX_LISTING_BYTES, parse_ps)
    except GpumonError:
        return []
    finally:
        await client.close()
    return _residents(listing.models)


def _residents(models: Sequence[ModelClaim], *, makes_room: bool = False) -> list[Resident]:
    held = ((model.name, model.size_vram_bytes) for model in models)
    return [Resident(name, size, makes_room) for name, size in held if size]


async def listings(endpoint: Endpoint) -> tuple[AnySample, ...]:
    """Return what a server has installed, and what it has loaded, as samples.

    Raises:
        GpumonError: it does not answer.
    """
    client, now = HttpClient(endpoint), SystemClock().now()
    try:
        tags, loaded = await _both(client)
    finally:
        await client.close()
    health = SourceHealth(state="serving" if loaded.models else "idle")
    claims, source = tuple(loaded.models), endpoint.url
    return (
        ServerSample(time=now, source=source, kind=DEFAULT.name, health=health, models=claims),
        InstalledModels(time=now, source=source, models=tuple(tags.models)),
    )


async def _both(client: HttpClient) -> tuple[Listing[InstalledModel], Listing[ModelClaim]]:
    return await asyncio.gather(
        _listing(client, "/api/tags", MAX_DETAIL_BYTES, parse_tags),
        _listing(client, "/api/ps", MAX_LISTING_BYTES, parse_ps),
    )


async def model_of_servers(name: str, endpoints: Sequence[Endpoint]) -> Model:
    """Return the model from the first server that has it.

    Raises:
        GpumonError: none has it, or none answers.
    """
    problems: list[GpumonError] = []
    for endpoint in endpoints:
        if await _is_refused(endpoint):
            problems.append(_as_error(RequestError("refused"), endpoint))
            continue
        client = HttpClient(endpoint)
        try:
            return await _ask(name, client)
        except GpumonError as error:
            problems.append(error)
        finally:
            await client.close()
    if problems and all(isinstance(problem, NoAnswerError) for problem in problems):
        found = await _from_disk(name, endpoints)
        if found is not None:
            return found
    raise _together(problems)


def _together(problems: Sequence[GpumonError]) -> GpumonError:
    """Return what went wrong at all of the servers as one error."""
    words = "; ".join(map(str, problems)) or NO_SERVER
    lacking = next((one for one in problems if isinstance(one, NotInstalledError)), None)
    if lacking is not None:
        return NotInstalledError(words, lacking.url, lacking.near)
    silent = all(isinstance(problem, NoAnswerError) for problem in problems)
    return NoAnswerError(words) if silent else GpumonError(words)


async def _is_refused(endpoint: Endpoint) -> bool:
    """Return whether nothing listens there: that is found out without importing an HTTP client."""
    if not endpoint.is_loopback or endpoint.namespace is not None:
        return False
    address = endpoint.address
    try:
        async with asyncio.timeout(_SOON.connect):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError as error:  # of a time-out too
        return isinstance(error, ConnectionRefusedError)
    writer.close()
    return False


async def _from_disk(name: str, endpoints: Sequence[Endpoint]) -> Model | None:
    """Return the model from this disk, where it is there."""
    where = await on_disk(endpoints)
    model = None if where is None else by_name(name, where.models)
    facts = None if where is None or model is None else await facts_on_disk(where, model)
    return None if facts is None or where is None else Model(facts, where.size_of(facts.blobs))


async def _ask(name: str, client: HttpClient) -> Model:
    tags, loaded = await _both(client)
    installed = _installed(name, tags.models, client.endpoint)
    facts = await _facts(installed, client)
    own = [model for model in loaded.models if _same(model, installed)]
    return Model(
        facts=facts,
        file_bytes=installed.size_bytes,
        url=client.endpoint.url,
        is_local=client.endpoint.is_loopback,
        own_vram_bytes=sum(model.size_vram_bytes or 0 for model in own),
        others=tuple(_residents([one for one in loaded.models if one not in own], makes_room=True)),
    )


def by_name(name: str, models: Sequence[InstalledModel]) -> InstalledModel | None:
    """Return the model of a name: as Ollama takes it, else the only one of which it is a part."""
    wanted = full_name(name)
    found = next((model for model in models if full_name(model.name) == wanted), None)
    return found or _only_tag(name, models) or _only_near(name, models)


def _installed(name: str, models: Sequence[InstalledModel], endpoint: Endpoint) -> InstalledModel:
    found = by_name(name, models)
    if found is None:
        near = near_names(name, [model.name for model in models if not model.remote])
        words = f"no model {name} is installed at {endpoint.authority}{_what_then(name, near)}"
        raise NotInstalledError(words, endpoint.url if endpoint.is_loopback else None, near)
    if found.remote:
        raise GpumonError(f"{name} is served by a cloud host: it is never loaded here")
    return found


def _only_tag(name: str, models: Sequence[InstalledModel]) -> InstalledModel | None:
    """Return the only installed model of a name that was given without a tag, whatever its tag is."""
    if ":" in name.rpartition("/")[2]:
        return None
    tags = [model for model in models if full_name(model.name)[:-1] == full_name(name)[:-1]]
    return tags[0] if len(tags) == 1 else None


def _only_near(name: str, models: Sequence[InstalledModel]) -> InstalledModel | None:
    """Return the only model of which a part of the name was given: ``70b`` for ``llama3.1:70b``."""
    near = near_names(name, [model.name for model in models if not model.remote])
    if ":" in name or "/" in name or len(near) != 1 or name.casefold() not in near[0].casefold():
        return None
    return next(model for model in models if model.name == near[0])


def near_names(name: str, installed: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a user may have meant: those of which it is the tag, a part, or a slip of one."""
    wanted, by_fold = name.casefold(), {one.casefold(): one for one in installed}
    tags = [one for one in by_fold if one.rpartition(":")[2] == wanted]
    parts = [one for one in by_fold if wanted in one]
    alike = difflib.get_close_matches(wanted, by_fold, _NEAR_SHOWN, _NEAR_LEAST)
    return tuple(by_fold[one] for one in tags or parts or alike)


def _what_then(name: str, near: Sequence[str]) -> str:
    if near:
        shown = [visible(one) for one in near[:_NEAR_SHOWN]]
        more = f" or {len(near) - len(shown)} more" if len(near) > len(shown) else ""
        return f"; did you mean {' or '.join(shown)}{more}?"
    return "" if _SIZE.fullmatch(name) else f"; try: ollama pull {name}"


def full_name(name: str) -> FullName:
    """Return a model's name as Ollama completes and compares it (ollama: types/model/name.go)."""
    *path, last = name.lower().rpartition("://")[2].split("/")
    model, _, tag = last.partition(":")
    host, namespace = ("/".join(path[:-1]), path[-1]) if path else ("", "")
    return FullName(host or _DEFAULT_HOST, namespace or _DEFAULT_NAMESPACE, model, tag or _DEFAULT_TAG)


def _same(claim: ModelClaim, installed: InstalledModel) -> bool:
    if claim.digest and installed.digest:
        return claim.digest == installed.digest
    return claim.name == installed.name


async def _facts(model: InstalledModel, client: HttpClient) -> ModelFacts:
    question = msgspec.json.encode({"model": model.name})
    try:
        reply = await client.post("/api/show", question, MAX_DETAIL_BYTES)
        body = _good_body(reply, client.endpoint)
        return parse_show(body, model.name, model.digest or "", 0.0, client.endpoint.url)
    except (RequestError, BodyError) as error:
        raise _as_error(error, client.endpoint) from None


async def _listing(
    client: HttpClient, path: str, max_bytes: int, parse: Callable[[bytes], Listing[_Row]]
) -> Listing[_Row]:
    try:
        return parse(_good_body(await client.get(path, max_bytes), client.endpoint))
    except (RequestError, BodyError) as error:
        raise _as_error(error, client.endpoint) from None


def _good_body(reply: Reply, endpoint: Endpoint) -> bytes:
    """Return the body of a good answer; raise ``BodyError`` with what the status says."""
    if reply.status == 200:
        return reply.body
    health = classify.health_of_status(reply, endpoint, DEFAULT)
    raise BodyError(health.detail if health and health.detail else f"HTTP {reply.status}")


def _as_error(error: RequestError | BodyError, endpoint: Endpoint) -> GpumonError:
    if isinstance(error, RequestError):
        health = classify.health_of_failure(error.kind, endpoint, DEFAULT)
        return NoAnswerError(f"{health.detail}; {health.hint}")
    return GpumonError(f"{endpoint.authority}: {error}")
