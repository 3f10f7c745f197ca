"""A fake SGLang 0.5.23: ``/v1/loads``, ``/v1/models``, ``/metrics`` where that is on (srt/entrypoints).

What it must not be asked is there as well, and noted.
"""

from __future__ import annotations

from tests.fakes.http import Answer, as_json
from tests.fakes.routes import FakeRoutes

NAME = "Qwen/Qwen3-32B"


class FakeSglang(FakeRoutes):
    """One model on ``accelerators`` GPUs, or on as many for each rank of data parallelism."""

    def __init__(self, *, ranks: int = 1, metrics: bool = False, key: str | None = None) -> None:
        super().__init__({"/v1/loads": self._loads, "/v1/models": self._models}, key)
        self.open = frozenset({"/health", "/health_generate", "/ready", "/metrics"})
        self.headers = {"Server": "uvicorn"}
        self.ranks, self.accelerators = ranks, 2
        self.model = NAME
        self.running = self.waiting = self.used = 0
        self.throughput = 0.0
        self.prefilled, self.prefill_us = 1000, 500_000
        self.grammar = 0
        self.retracted, self.prompts, self.cached = 3, 9000, 6000
        self.routes |= {"/api/tags": {"models": [{"name": NAME, "size": 0}]}}
        if metrics:
            self.routes["/metrics"] = self._metrics

    def _models(self) -> object:
        card = {"id": self.model, "object": "model", "owned_by": "sglang", "max_model_len": 32768}
        adapter = {**card, "id": "an-adapter", "parent": self.model, "max_model_len": None}
        return {"object": "list", "data": [card, adapter]}

    def _loads(self) -> object:
        loads = [self._load(rank) for rank in range(self.ranks)]
        return {
            "timestamp": "2026-11-30T12:00:00+00:00",
            "version": "0.5.23",
            "accelerator": "NVIDIA L40S",
            "num_accelerators": self.accelerators,
            "loads": loads,
        }

    def _load(self, rank: int) -> dict[str, object]:
        """``LoadSnapshot.to_dict`` with core, memory and queues (srt/managers/load_snapshot.py)."""
        return {
            "timestamp": 1.0,
            "dp_rank": rank,
            "num_running_reqs": self.running,
            "num_waiting_reqs": self.waiting,
            "num_waiting_uncached_tokens": 0,
            "num_used_tokens": self.used,
            "num_total_tokens": self.used,
            "num_active_tokens": self.used,
            "num_prealloc_ready_tokens": 0,
            "max_total_num_tokens": 100_000,
            "max_running_requests": 64,
            "token_usage": self.used / 100_000,
            "gen_throughput": self.throughput,
            "cache_hit_rate": 0.5,
            "utilization": 0.0,
            "total_prefill_uncached_tokens": self.prefilled,
            "total_prefill_busy_us": self.prefill_us,
            "decode_moments": None,
            "memory": {"weight_gb": 15.5, "kv_cache_gb": 4.0, "graph_gb": 0.4, "token_capacity": 100_000},
            "queues": {
                "waiting": self.waiting,
                "grammar": self.grammar,
                "paused": 0,
                "retracted": 0,
                "prealloc_ready": 0,
            },
        }

    def _metrics(self) -> Answer:
        """Ranks of one tensor repeat what they count (srt/observability/metrics_collector.py)."""
        label = f'model_name="{self.model}",dp_rank="0"'
        lines = [
            "# TYPE sglang:num_retracted_requests_total counter",
            *(
                f'sglang:num_retracted_requests_total{{{label},tp_rank="{rank}"}} {self.retracted}.0'
                for rank in range(self.accelerators)
            ),
            f"sglang:prompt_tokens_total{{{label}}} {self.prompts}.0",
            f'sglang:cached_tokens_total{{{label},cache_source="device"}} {self.cached}.0',
            f'sglang:cached_tokens_total{{{label},cache_source="host"}} 500.0',
        ]
        return Answer(body="\n".join([*lines, ""]).encode(), content_type="text/plain")


def without_loads(fake: FakeSglang) -> FakeSglang:
    """Return one of a version that does not tell its load."""
    fake.routes["/v1/loads"] = as_json({"detail": "Not Found"}, 404)
    return fake
