"""A fake vLLM, written from the declarations of 0.19 and 0.32 (v1/metrics/loggers.py, entrypoints/openai).

Its exposition is that of ``prometheus_client``: a HELP and a TYPE line for each family, counters with
``_total`` and a ``_created`` beside each, whole numbers as ``12.0``, from a million on as ``1.234567e+06``,
labels in order of their names, histograms with all their buckets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.fakes.http import Answer, as_json
from tests.fakes.routes import FakeRoutes

NAME = "Qwen/Qwen3-8B-AWQ"
OLD, NEW = "0.19.1", "0.32.0"
STARTED = 1_790_000_000.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def number(value: float) -> str:
    """Write a number as ``prometheus_client.utils.floatToGoString`` does."""
    if value == float("inf"):
        return "+Inf"
    text = repr(float(value))
    dot = text.find(".")
    if value > 0 and dot > 6 and "e" not in text:
        mantissa = f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0.")
        return f"{mantissa}e+0{dot - 1}"
    return text


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@dataclass
class Engine:
    """One engine: with ``--data-parallel-size`` there are several."""

    running: int = 0
    waiting: int = 0
    waiting_by_reason: dict[str, int] = field(default_factory=lambda: {"capacity": 0, "deferred": 0})
    used: float = 0.0
    prompt_tokens: float = 0.0
    cached_tokens: float = 0.0
    generated: float = 0.0
    preemptions: float = 0.0
    looked_up: float = 0.0
    found: float = 0.0
    read_bytes: float | None = None
    """Set with ``--enable-mfu-metrics``."""
    blocks: int | None = 3072
    sleep: str = "awake"


class FakeVllm(FakeRoutes):
    """Answers as ``vllm serve`` does once its engine is ready; before that its port is closed."""

    def __init__(self, port: int = 0, key: str | None = None, version: str = NEW, engines: int = 1) -> None:
        super().__init__({}, key)
        self.port = port
        self.open = frozenset({"/metrics", "/version", "/health", "/ping", "/load"})
        self.headers = {"server": "uvicorn"}
        self.unauthorized = as_json({"error": "Unauthorized"}, 401)
        self.version = version
        self.name = NAME
        self.adapters: list[str] = []
        self.context_length = 32768
        self.block_size = 16
        self.started: float | None = STARTED
        """``None`` as with ``--api-server-count 2``."""
        self.statistics = True
        """``False`` as with ``--disable-log-stats``."""
        self.engines = [Engine() for _ in range(engines)]
        self.routes = {
            "/v1/models": self.models,
            "/version": lambda: {"version": self.version},
            "/health": Answer(body=b"", content_type=None),
            "/metrics": self.metrics,
        }

    @property
    def engine(self) -> Engine:
        return self.engines[0]

    def restart(self) -> None:
        """Start anew: counters begin at nothing."""
        self.engines = [Engine() for _ in self.engines]
        self.started = None if self.started is None else self.started + 100

    def _answer(self, request: object) -> Answer:
        """Guard ``/v1`` only, as ``--api-key`` does: what is not there is 404 with or without a key."""
        path = request.path.partition("?")[0]  # type: ignore[attr-defined]
        if self.key is not None and not path.startswith("/v1") and path not in self.open:
            self.open |= {path}
        return super()._answer(request)  # type: ignore[arg-type]

    def models(self) -> dict[str, object]:
        row = {"object": "model", "created": 1790000000, "owned_by": "vllm", "permission": []}
        base = row | {"id": self.name, "root": self.name, "parent": None}
        base["max_model_len"] = self.context_length
        more = ({**row, "id": one, "root": f"/loras/{one}", "parent": self.name} for one in self.adapters)
        return {"object": "list", "data": [base, *more]}

    def metrics(self) -> Answer:
        return Answer(body=self.exposition().encode(), content_type=METRICS_TYPE)

    def exposition(self) -> str:
        lines = [*self._of_process(), *(self._of_engines() if self.statistics else ())]
        return "\n".join(lines) + "\n"

    def _of_process(self) -> Iterator[str]:
        yield "# HELP python_info Python platform information"
        yield "# TYPE python_info gauge"
        yield 'python_info{implementation="CPython",major="3",minor="12",version="3.12.11"} 1.0'
        if self.started is not None:
            yield "# HELP process_start_time_seconds Start time of the process since unix epoch in seconds."
            yield "# TYPE process_start_time_seconds gauge"
            yield f"process_start_time_seconds {number(self.started)}"

    def _of_engines(self) -> Iterator[str]:
        yield from self._gauge("num_requests_running", "Number of requests in execution batches.", "running")
        yield from self._gauge("num_requests_waiting", "Number of requests waiting to be run.", "waiting")
        if self.version != OLD:
            yield from self._reasons()
        yield from self._sleep()
        yield from self._gauge("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", "used")
        counters = {
            "prefix_cache_queries": "looked_up",
            "prefix_cache_hits": "found",
            "num_preemptions": "preemptions",
            "prompt_tokens": "prompt_tokens",
            "prompt_tokens_cached": "cached_tokens",
            "generation_tokens": "generated",
        }
        for name, of_engine in counters.items():
            yield from self._counter(name, of_engine)
        if self.engine.read_bytes is not None:
            yield from self._counter("estimated_read_bytes_per_gpu", "read_bytes")
        yield from self._histogram()
        yield from self._cache_config()

    def _labels(self, at: int, more: str = "") -> str:
        return f'engine="{at}",model_name="{escaped(self.name)}"{more}'

    def _gauge(self, name: str, help_text: str, of_engine: str) -> Iterator[str]:
        yield f"# HELP vllm:{name} {help_text}"
        yield f"# TYPE vllm:{name} gauge"
        for at, engine in enumerate(self.engines):
            yield f"vllm:{name}{{{self._labels(at)}}} {number(getattr(engine, of_engine))}"

    def _counter(self, name: str, of_engine: str) -> Iterator[str]:
        yield f"# HELP vllm:{name}_total Number of them."
        yield f"# TYPE vllm:{name}_total counter"
        for at, engine in enumerate(self.engines):
            yield f"vllm:{name}_total{{{self._labels(at)}}} {number(getattr(engine, of_engine))}"
        yield f"# HELP vllm:{name}_created Number of them."
        yield f"# TYPE vllm:{name}_created gauge"
        for at, _ in enumerate(self.engines):
            yield f"vllm:{name}_created{{{self._labels(at)}}} 1.790000000123e+09"

    def _reasons(self) -> Iterator[str]:
        yield "# HELP vllm:num_requests_waiting_by_reason Number of waiting requests by reason."
        yield "# TYPE vllm:num_requests_waiting_by_reason gauge"
        for at, engine in enumerate(self.engines):
            for reason, count in engine.waiting_by_reason.items():
                labels = self._labels(at, f',reason="{reason}"')
                yield f"vllm:num_requests_waiting_by_reason{{{labels}}} {number(count)}"

    def _sleep(self) -> Iterator[str]:
        yield "# HELP vllm:engine_sleep_state Engine sleep state; awake = 0 means engine is sleeping."
        yield "# TYPE vllm:engine_sleep_state gauge"
        for at, engine in enumerate(self.engines):
            for state in ("awake", "weights_offloaded", "discard_all"):
                labels = self._labels(at, f',sleep_state="{state}"')
                yield f"vllm:engine_sleep_state{{{labels}}} {number(engine.sleep == state)}"

    def _histogram(self) -> Iterator[str]:
        yield "# HELP vllm:time_to_first_token_seconds Histogram of time to first token in seconds."
        yield "# TYPE vllm:time_to_first_token_seconds histogram"
        for at, _ in enumerate(self.engines):
            for edge in (0.001, 0.005, 0.1, 1.0, 10.0, float("inf")):
                labels = f'engine="{at}",le="{number(edge)}",model_name="{escaped(self.name)}"'
                yield f"vllm:time_to_first_token_seconds_bucket{{{labels}}} 7.0"

    def _cache_config(self) -> Iterator[str]:
        yield "# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig"
        yield "# TYPE vllm:cache_config_info gauge"
        for at, engine in enumerate(self.engines):
            labels = (
                f'block_size="{self.block_size}",cache_dtype="auto",calculate_kv_scales="False",cpu_offload_gb="0",'
                f'enable_prefix_caching="True",engine="{at}",gpu_memory_utilization="0.92",'
                f'num_gpu_blocks="{engine.blocks}",sliding_window="None",swap_space_bytes="4294967296.0"'
            )
            yield f"vllm:cache_config_info{{{labels}}} 1.0"
