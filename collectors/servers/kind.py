"""What a kind of server says of itself: the base class, and what it is handed.

To add a kind, write one module with a subclass of ``ServerKind``:

1. Give it a ``name``, a ``label`` and, for ``gpumon doctor``, what it ``gives``.
2. Let ``recognise`` tell from a server's answers whether it is one.
3. Let ``converse`` return a ``Conversation`` (``gpumon.collectors.servers.conversation``): its ``look`` asks
   once and returns the models, each with what it does: slots, counters, or a rate that the server states.
4. Where its processes are seen, let ``recognise_process`` say what their command line and environment tell.
5. Override what else differs: what may be unloaded, the lines that users type, which claims are estimates.

Then name an instance in ``registry.py``, or, in a package of your own, as an entry point of the group
``gpumon.servers``. Nothing else in gpumon knows kinds by their names.
``tests/fakes/toy_kind.py`` is a whole kind in one file. What speaks HTTP is imported inside ``converse``.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from msgspec import Struct

from gpumon.collectors.samples import LoadFacts, ModelClaim, Orders, RunnerSettings
from gpumon.collectors.servers.talk import (
    Answers,
    Asked,
    FoundRunner,
    FoundServer,
    ProcessView,
    RunnerTalk,
    Talk,
)

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint
    from gpumon.collectors.samples import ModelFacts
    from gpumon.collectors.servers.port import Port
    from gpumon.collectors.source import Clock

MIB = 1024**2


class RunnerKind(Struct, frozen=True, kw_only=True):
    """What kinds of processes that hold a model have different."""

    name: str
    """Stable: it stands in samples and recordings."""
    format: str | None = None
    """Of the files that it loads: ``gguf``."""
    stands_alone: bool = False
    """Whether users start it themselves: then each is a model of its own, whether or not a URL is asked."""
    default_port: int | None = None
    """Where it listens unless told otherwise, where it stands alone."""
    by_itself: bool = False
    """Whether nothing but the process tells of its model, and no port is asked. It gives way to a process
    below it that tells more, and others of its like below it or beside it are its workers."""
    tells_rates: bool = True
    """Whether its port tells what its slots do or how many tokens it has generated."""
    update_hint: str | None = None
    """What to do for rates where ``tells_rates`` is false."""
    switches: Mapping[str, str] = {}
    """What to do for a path of its port that is switched off, by path: ``/slots``, ``/metrics``."""
    claim: Literal["exact", "estimate"] | None = None
    """What its server's claim of its memory is: sizes of buffers, or an estimate that may be far too high."""
    estimate_words: str | None = None
    """Why the driver may see less than is claimed, where the claim is an estimate."""
    claimed_when_loaded: bool = False
    """Whether its server lists it only when it is loaded; else from the start of its load."""
    margin_bytes: int = 1024 * MIB
    """Free memory that it leaves on each GPU when it decides what fits (llama.cpp: ``--fit-target``)."""
    layers_are_asked: bool = False
    """Whether a number of layers on its command line is a user's; else its server has chosen it."""
    unasked_layers: int | None = None
    """How many layers it puts on GPUs where nobody asks for any; ``None``: as many as fit there."""
    logs_context_last: bool = False
    """Whether it logs memory for the context after the weights are in place."""
    reads_file: bool = False
    """Whether its file is read here: the server that has started it does not describe its models."""
    stays_on_gpu: bool = False
    """Whether it starts only where all of it fits on GPUs, but for what it is told to keep in RAM."""
    moves_weights: bool = False
    """Whether it moves a loaded model out of the GPU and back while others take memory and return it; else
    a model stays where it was loaded."""
    has_workers: bool = False
    """Whether processes below it hold the model on GPUs: what these hold is then its own."""
    writes_log: bool = False
    """Whether what it writes is read as the log of a server, where that can be read."""


class Line(NamedTuple):
    """A line that a user types, and where it goes where that is no shell."""

    line: str | None = None
    where: str | None = None


NO_LINE = Line()


class LoadDefaults(NamedTuple):
    """How a server loads a model of which nobody says otherwise; ``None`` where it is not set."""

    context_length: int | None = None
    """Tokens of each slot."""
    slots: int | None = None
    cache_type: str | None = None
    devices: str | None = None
    """What ``CUDA_VISIBLE_DEVICES`` says."""
    by_slot: bool = False
    """Whether CUDA counts the cards by their slots, as the driver does, and not the fastest first."""


Omission = Literal["sliding_window", "projector", "draft"]


class AskedKind(ABC):
    """How a kind of server is recognised and asked, and what its processes tell."""

    name: ClassVar[str]
    """Stable: it stands in samples, the snapshot and recordings."""
    label: ClassVar[str]
    """What people call it: ``Ollama``."""
    gives: ClassVar[str] = "its models"
    """What it adds to what the driver shows, for ``gpumon doctor``."""
    default_url: ClassVar[str | None] = None
    """Where it listens unless told otherwise."""
    paths: ClassVar[frozenset[str]] = frozenset()
    """Paths that sentences about it may name: a redacted recording keeps them."""
    has_url: ClassVar[bool] = True
    """Whether a server process of this kind tells of models at its URL: one that is found is asked there."""
    program_starts: ClassVar[tuple[str, ...]] = ()
    """How the names of its programs begin, in lower case: a process on a GPU that holds a model."""
    runners: ClassVar[tuple[RunnerKind, ...]] = ()
    """The kinds of processes that hold its models."""

    makes_pictures: ClassVar[bool] = False
    """Whether it makes pictures, no tokens: a row also without a model; what it claims are weights alone."""

    def identity(self, claim: ModelClaim) -> str:
        """Return what tells its models apart: one that holds one at a time may keep its row."""
        return claim.digest or claim.name

    # --- How it is recognised and asked

    imitates: ClassVar[str | None] = None
    """Name of a kind whose API it answers as well: it is looked for before that one is believed."""

    async def recognise(self, answers: Answers) -> bool:
        """Whether these are its answers. Look at ``header`` and ``seen`` first: each request is logged."""
        del answers
        return False

    def converse(self, asked: Asked) -> Talk | None:
        """Return a new conversation with a server; ``None`` for a kind that is not asked by its URL."""
        del asked
        return None

    url_variable: ClassVar[str | None] = None
    """Variable of gpumon's own environment that names its URL."""
    key_words: ClassVar[str] = "HTTP 401: credentials are asked for"
    """What it says where it does so."""
    key_hint: ClassVar[str] = "name its key under headers in the settings, or use --url with user:password@"
    """What to do where it asks for credentials."""

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return what to do where nothing listens at ``endpoint``."""
        del endpoint
        return f"start {self.label}, or check --url"

    address_hint: ClassVar[str] = "check --url"
    """What to do where another program answers."""

    # --- What its processes tell

    is_last_resort: ClassVar[bool] = False
    """Whether a process is shown to all other kinds first, those of other packages too."""
    environment: ClassVar[frozenset[str]] = frozenset()
    """Variables that are read from its processes. Never one that holds a secret."""
    kept_variables: ClassVar[frozenset[str]] = frozenset()
    """Those of a server process that go into its sample as they are: settings, no URL and no path."""
    runners_are: ClassVar[Literal["claimed", "routed", "alone"]] = "alone"
    """What the child processes of a server are: ``claimed``, it lists their models itself, and they are
    joined by file or name; ``routed``, each is reached at the server's URL under its model's name;
    ``alone``, each is a model of its own, asked on its own port. A server that holds its model itself is
    joined by its address."""
    tells_work: ClassVar[bool] = True
    """Whether its URL tells what a model does that is held by a child process; else the child is asked."""
    children_serve: ClassVar[bool] = True
    """Whether a child may be a server itself; Ollama's look for GPUs resembles a router."""
    keeps_blobs: ClassVar[bool] = False
    """Whether it keeps models as files named ``sha256-<hex>``, so that such a file points to it."""

    def recognise_process(self, process: ProcessView) -> FoundServer | FoundRunner | None:
        """Return what a process is to this kind; ``None`` for what is none of its own."""
        del process
        return None

    def converse_with_runner(
        self, runner: str, port: Port, clock: Clock, *, may_sleep: bool
    ) -> RunnerTalk | None:
        """Return how a process of the kind ``runner`` is asked; ``None``: by ``converse``, or not at all.

        ``may_sleep``: it was started to fall asleep when idle, and must not be kept awake.
        """
        del runner, port, clock, may_sleep
        return None

    def told_url(self, argv: Sequence[str], environ: Mapping[str, str] | None) -> str | None:
        """Return where it was told to listen; ``environ`` is ``None`` where it may not be read."""
        del argv, environ
        return None

    def models_path(self, environ: Mapping[str, str], home: str | None) -> str | None:
        """Return the folder of its models' manifests; ``home`` is that of the server's user."""
        del environ, home
        return None

    def claim_of(self, name: str, settings: RunnerSettings | None, facts: LoadFacts | None) -> ModelClaim:
        """Return what a process says of its model where no server claims memory for it."""
        told, known = settings or RunnerSettings(), facts or LoadFacts()
        return ModelClaim(
            name=name,
            context_length=known.context_length or told.context_length,
            format=next((runner.format for runner in self.runners if runner.format), None),
            quantization=known.quantization,
        )

    def holds(self, claim: ModelClaim, settings: RunnerSettings) -> bool:
        """Whether its own words say that a process with ``settings`` holds a model: by their port."""
        told = claim.settings
        return told is not None and told.port is not None and told.port == settings.port


class ServerKind(AskedKind):
    """One kind of server. Instances hold nothing: there is one for the whole program."""

    # --- What its names and figures mean

    def full_name(self, name: str) -> str:
        """Return a model's name with all that its clients may leave out, so that two spellings compare."""
        return name

    context_variable: ClassVar[str | None] = None
    """Variable of the server's environment that sets the context of its models."""

    def default_context(self, total_vram_bytes: int) -> int | None:
        """Return the context it takes where nobody asks for one; ``None`` where it is the model's own."""
        del total_vram_bytes
        return None

    def load_defaults(self, settings: Mapping[str, str]) -> LoadDefaults:
        """Return how it loads models by the ``settings`` of its environment or its log."""
        del settings
        return LoadDefaults()

    short_requests_hint: ClassVar[str] = ""
    """What would tell the rate of requests too short to be seen, behind words that say so."""
    facts_source: ClassVar[str] = "/props"
    """Where it tells what does not change while a model is loaded: the path."""
    claim_source: ClassVar[str] = "server"
    """Where its claims of memory stand: the path."""
    estimate_source: ClassVar[str] = "NVML"
    """What an estimate of its models' placement rests on where it claims nothing."""
    claim_leaves_out: ClassVar[frozenset[Omission]] = frozenset()
    """What its claims of memory are known to leave out."""
    engine_cost: ClassVar[float | None] = None
    """Time for a token over that of llama.cpp's own benchmark; ``None``: what a server usually costs."""
    manages_memory: ClassVar[bool] = False
    """Whether it loads, evicts and unloads models by itself."""

    full_context_words: ClassVar[str] = ""
    """What becomes of a request that fills its context."""
    keep_window: ClassVar[Line] = NO_LINE
    """How to keep the whole context of layers that attend to the last tokens alone."""

    def spreads(self, settings: Mapping[str, str]) -> bool:
        """Return whether by its ``settings`` a model goes to all GPUs though one would hold it."""
        del settings
        return False

    def reserved_bytes(self, settings: Mapping[str, str]) -> int:
        """Return what is to be left free of each GPU by its ``settings``, beside what is always."""
        del settings
        return 0

    # --- What a user can do

    unload_words: ClassVar[str] = "it does not unload a model when asked"
    """Why a model cannot be unloaded, where ``unloads`` is false."""
    unloads: ClassVar[bool] = False

    async def unload(self, endpoint: Endpoint, name: str) -> str | None:
        """Ask to unload a model, after the user has said yes; return what went wrong in one line."""
        del endpoint, name
        return self.unload_words

    async def describe(self, endpoint: Endpoint, clock: Clock, name: str, digest: str) -> ModelFacts | str:
        """Return what the file of an installed model holds, without loading it; else what went wrong."""
        del endpoint, clock, name, digest
        return "its server does not say"

    def read_installed(self, models_path: str, name: str, digest: str) -> ModelFacts | None:
        """Return what the file of an installed model holds, from the directory of models; may block."""
        del models_path, name, digest
        return None

    context_note: ClassVar[str] = ""
    """What else decides the context, behind the advice to shrink it."""

    def set_context(self, tokens: int, slots: int) -> Line:
        """Return how to ask for ``tokens`` in each of ``slots``."""
        del tokens, slots
        return NO_LINE

    def set_cache_type(self, cache_type: str, *, has_flash_attention: bool) -> Line:
        """Return how to ask for a type of context cache; one that is quantised needs flash attention."""
        del cache_type, has_flash_attention
        return NO_LINE

    shares_context: ClassVar[bool] = False
    """Whether it is told the context of all slots together: with fewer slots each would have more."""

    def set_slots(self, slots: int) -> Line:
        """Return how to ask for a number of slots."""
        del slots
        return NO_LINE

    flags: ClassVar[Mapping[Literal["gpu_share", "weights_in_ram_gib"], str]] = {}
    """Flags that set what each GPU gives: its part of 0 to 1, GiB of weights that stay in RAM."""

    def told_words(self, settings: RunnerSettings) -> Sequence[tuple[str, str]] | None:
        """Return what its command line asks for, by name, for its page; ``None``: in llama.cpp's terms."""
        del settings
        return None

    layers_setting: ClassVar[str] = "-ngl"
    """What users call the number of layers on the GPU."""

    def set_layers(self, layers: int) -> Line:
        """Return how to ask for layers on the GPU."""
        del layers
        return NO_LINE

    def set_expert_layers(self, layers: int) -> Line:
        """Return how to keep the experts of some layers in RAM."""
        del layers
        return NO_LINE

    keep_in_ram: ClassVar[Line] = NO_LINE
    """How to load weights into memory of their own in place of mapping their file."""
    set_cache_on_gpu: ClassVar[Line] = NO_LINE
    """How to keep the context where the layers are."""

    def setting_words(self, name: str, value: int | None, *, in_environment: bool) -> str:
        """Return how a user has typed a setting of ``Orders``."""
        del in_environment
        return name if value is None else f"{name} {value}"

    def orders_words(self, orders: Orders) -> tuple[str, ...]:
        """Return what was asked for of a placement, as a user has typed it."""
        del orders
        return ()

    def as_variable(self, line: Line) -> Line:
        """Return how to ask for the same where variables say it now; the line itself where there are none."""
        return line

    def stop(self, url: str, name: str) -> str | None:
        """Return the shell line that unloads a model; ``None`` where there is none."""
        del url, name
        return None

    restart: ClassVar[Line] = NO_LINE
    """How to restart the server."""
    keep_longer: ClassVar[Line] = NO_LINE
    """How to keep models loaded for longer after a request."""

    def fix_context(self, tokens: int) -> Line:
        """Return how to give a model one context that clients need not ask for."""
        del tokens
        return NO_LINE

    def shrink_all(self, *, context_length: int | None, cache_type: str | None) -> Line:
        """Return how to load all models with less: of the two what is not ``None``."""
        del context_length, cache_type
        return NO_LINE

    def allow_loaded(self, count: int) -> Line:
        """Return how to let the server keep more models loaded."""
        del count
        return NO_LINE

    def loaded_limit(self, settings: Mapping[str, str]) -> int | None:
        """Return how many models the server may keep loaded by its ``settings``; ``None`` where not set."""
        del settings
        return None
