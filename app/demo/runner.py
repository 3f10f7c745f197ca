"""One loaded model: how it loads, works and waits, by Ollama's rules (llama-server as the runner)."""

from __future__ import annotations

from msgspec import Struct, field

from gpumon.app.cuda import CUDA_CONTEXT_BYTES
from gpumon.app.demo.models import Llm, Placement, compute_bytes
from gpumon.collectors.samples import ModelClaim

START_SECONDS = 1.0
CONTEXT_SECONDS = 0.6
WARM_UP_SECONDS = 1.4
PREFILL_SECONDS = 2.0
PROMPT_TOKENS = 1400
FULL_SECONDS = 1.0
"""Until a request has ended whose answer fills the context: one look of whoever polls."""
LAST_WORDS_SECONDS = 4.0
"""What a request still takes once a user unloads the model: a demonstration keeps nobody waiting."""
FOREVER_SECONDS = 9_223_372_036.0
"""``keep_alive: -1`` is the largest Go duration, about 292 years."""
EFFICIENCY = 0.89
"""Part of the memory's bandwidth that decoding reaches on cards with GDDR6."""
SECONDS_PER_LAYER = 45e-6
CPU_SLOWDOWN = 17.0
"""How much longer a byte takes from RAM than from VRAM on a usual PC."""
SATURATING_CLOCK_SHARE = 0.87
"""Of the usual clock: below it the kernels ask for less than the memory can give, and decoding slows down."""


class Work(Struct, frozen=True):
    """What a runner does to the machine at one moment."""

    gpu_share: float = 0.0
    """Part of the time in which kernels run, 0 to 1."""
    gpu_effort: float = 0.0
    """Power drawn above idle, 0 to 1 of what the limit allows."""
    cpu_threads: float = 0.0
    receive_bytes_per_second: float = 0.0
    """To the GPU, over PCIe."""


class Runner(Struct):
    """A ``llama-server`` child with one model; times are seconds since the Unix epoch."""

    llm: Llm
    context: int
    placement: Placement
    pid: int
    started: float
    read_bytes_per_second: float
    keep_alive_seconds: float
    bandwidth_bytes_per_second: float
    """Of the memory of the GPU that it is on."""
    turns: list[tuple[float, float]] = field(default_factory=list)
    """Begin and end of each request: one at a time, the others wait."""
    _lost: tuple[float, float] = (0.0, 0.0)
    """Begin of a request, and how many seconds of it slow clocks and other models have cost."""

    @property
    def busy_until(self) -> float:
        """When the last request that was accepted ends; 0 before the first."""
        return self.turns[-1][1] if self.turns else 0.0

    @property
    def prompt_tokens(self) -> int:
        """How long the prompt of each request is."""
        return min(PROMPT_TOKENS, self.context // 2)

    @property
    def weights_at(self) -> float:
        """When the weights have been read."""
        return self.started + START_SECONDS + self.llm.file_bytes / self.read_bytes_per_second

    @property
    def tokens_per_second(self) -> float:
        """Rate of decoding at the usual clocks, with the GPU to itself."""
        return self._rate(1.0)

    def _rate(self, gpu_share: float) -> float:
        """Return the rate of decoding: each token reads the weights once, those in RAM at the pace of RAM."""
        seconds = self.llm.file_bytes / (EFFICIENCY * self.bandwidth_bytes_per_second)
        in_ram = self.placement.spill_fraction
        on_gpu = seconds * (1 - in_ram) / gpu_share
        return 1 / (on_gpu + seconds * in_ram * CPU_SLOWDOWN + SECONDS_PER_LAYER * self.llm.layers)

    def step(self, clock_share: float, others: float, now: float) -> None:
        """Pass a second in which its slowest GPU ran at this share of its usual clock.

        ``others`` are the models that worked on it as well: they take turns.
        """
        gpu_share = min(1.0, clock_share / SATURATING_CLOCK_SHARE) / (1 + others)
        asked = self.asked(now)
        if asked is not None and gpu_share < 1:
            decoding = min(1.0, max(0.0, now - asked - PREFILL_SECONDS))
            lost = decoding * (1 - self._rate(gpu_share) / self.tokens_per_second)
            self._lost = (asked, self._lost_seconds(asked) + lost)

    def decoded_tokens(self, now: float) -> int:
        """Return how many tokens the request under way has got, 0 while there is none."""
        asked = self.asked(now)
        if asked is None:
            return 0
        seconds = now - asked - PREFILL_SECONDS - self._lost_seconds(asked)
        return min(int(max(0.0, seconds) * self.tokens_per_second), self.context - self.prompt_tokens)

    def _lost_seconds(self, asked: float) -> float:
        return self._lost[1] if self._lost[0] == asked else 0.0

    def read_bytes(self, now: float) -> int:
        """Return what it has read from storage."""
        return int(self.llm.file_bytes * self._progress(now))

    @property
    def ready_at(self) -> float:
        """When ``/api/ps`` begins to list the model: after the load."""
        return self.weights_at + CONTEXT_SECONDS + WARM_UP_SECONDS

    def request(self, now: float, seconds: float) -> None:
        """Accept a request that works for ``seconds``, after the load and the requests before it.

        As in Ollama, it ends sooner if its answer fills the context.
        """
        begin = max(now, self.ready_at, self.busy_until)
        full = PREFILL_SECONDS + (self.context - self.prompt_tokens) / self.tokens_per_second
        self.turns.append((begin, begin + min(seconds, full + FULL_SECONDS)))

    def finish(self, now: float) -> None:
        """Let the request under way end soon, take up no other, and be kept no longer."""
        self.keep_alive_seconds = 0.0
        last = now + LAST_WORDS_SECONDS
        self.turns = [(begin, min(end, last)) for begin, end in self.turns if begin < last]

    def asked(self, now: float) -> float | None:
        """Return when the request under way began, ``None`` while there is none."""
        return next((begin for begin, end in self.turns if begin <= now < end), None)

    def busy(self, now: float) -> bool:
        """Whether a request is under way or waits for the load."""
        return now < self.busy_until

    def expires_at(self, now: float) -> float:
        """Return ``expires_at`` as Ollama computes it: sliding until the first request has ended."""
        finished = max((end for _, end in self.turns if end <= now), default=now)
        return finished + self.keep_alive_seconds

    def vram_bytes(self, gpu: int, now: float) -> int:
        """Return what the driver sees on ``gpu``: the context, then growing weights, then KV and scratch."""
        claimed = self.placement.gpu_bytes.get(gpu)
        if claimed is None or now < self.started + START_SECONDS:
            return 0
        if now >= self.weights_at + CONTEXT_SECONDS:
            return claimed + CUDA_CONTEXT_BYTES
        kv_share = self.llm.kv_bytes(self.context) / (self.llm.file_bytes + self.llm.kv_bytes(self.context))
        weights = int((claimed - compute_bytes(self.llm, self.context)) * (1 - kv_share))
        return int(weights * self._progress(now)) + CUDA_CONTEXT_BYTES

    def ram_bytes(self, now: float) -> int:
        """Return what it holds in RAM: its own code, and the part of the model that is not on a GPU."""
        own = 450 * 1024**2
        return own + int(self.placement.ram_bytes * self._progress(now)) if now >= self.started else 0

    def work(self, now: float) -> Work:
        """Return what it does to the machine."""
        if now < self.started + START_SECONDS:
            return Work(cpu_threads=0.5)
        if now < self.ready_at:
            rate = self.read_bytes_per_second if now < self.weights_at else 0.0
            on_gpu = 1 - self.placement.spill_fraction
            return Work(0.03, 0.12, cpu_threads=1.2, receive_bytes_per_second=rate * on_gpu)
        asked = self.asked(now)
        if asked is None:
            return Work()
        return self._prefill() if now < asked + PREFILL_SECONDS else self._decoding()

    def claim(self, now: float) -> ModelClaim:
        """Return its row of ``/api/ps``."""
        return ModelClaim(
            name=self.llm.name,
            digest=self.llm.digest,
            size_bytes=self.placement.size_bytes,
            size_vram_bytes=self.placement.size_vram_bytes,
            context_length=self.context,
            expires_at=self.expires_at(now),
            format="gguf",
            family=self.llm.family,
            parameter_size=self.llm.parameter_size,
            quantization=self.llm.quantization,
        )

    def _progress(self, now: float) -> float:
        read = (now - self.started - START_SECONDS) * self.read_bytes_per_second
        return min(1.0, max(0.0, read / self.llm.file_bytes))

    def _prefill(self) -> Work:
        stream = 9e9 if self.placement.spill_fraction else 2e6
        return Work(0.99, 0.97, cpu_threads=1.0, receive_bytes_per_second=stream)

    def _decoding(self) -> Work:
        ram = self.placement.spill_fraction
        if not ram:
            gpus = len(self.placement.gpu_bytes)  # layers on several cards take turns
            return Work(0.96 / gpus, 0.93 / gpus, cpu_threads=1.0, receive_bytes_per_second=2e6)
        share = (1 - ram) / (1 - ram + ram * CPU_SLOWDOWN)
        return Work(share + 0.03, 0.14 + share, cpu_threads=8.0, receive_bytes_per_second=2.1e8)
