"""Fake image generators, by the routes' own source: what they say, and prompts that nobody may keep.

ComfyUI 0.38 (server.py, api_server/routes/internal, app/logger.py), SD.Next of July 2026
(modules/api/server.py, modules/shared_state.py), AUTOMATIC1111 1.10 (modules/api/api.py), InvokeAI 6.14
(app/api/routers).
"""

from __future__ import annotations

from collections.abc import Callable

from tests.fakes.routes import FakeRoutes

GIB = 1024**3
PROMPT = "a lighthouse that nobody may read of"
CHECKPOINT = "sdxl/sd_xl_base_1.0.safetensors"
NAME = "sd_xl_base_1.0"
IN_PART = (
    "loaded partially; 2800.00 MB usable, 2790.00 MB loaded, 2107.00 MB offloaded, "
    "100.00 MB buffer reserved, lowvram patches: 0\n"
)
WHOLE = "loaded completely; 95367431640625005117571072.00 MB usable, 4897.00 MB loaded, full load: True\n"


def graph(model: str = CHECKPOINT, steps: int = 20, size: int = 1024, batch: int = 1) -> dict[str, object]:
    """Return a graph as ``POST /prompt`` takes it, with a prompt in it."""
    return {
        "3": {"class_type": "KSampler", "inputs": {"seed": 7, "steps": steps, "model": ["4", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": model}},
        "5": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": size, "height": size, "batch_size": batch},
        },
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": PROMPT, "clip": ["4", 1]}},
    }


class FakeComfyUi(FakeRoutes):
    """Has a queue, a console and memory, which a test fills."""

    def __init__(self) -> None:
        super().__init__(
            {
                "/system_stats": self._stats,
                "/prompt": lambda: {"exec_info": {"queue_remaining": len(self.jobs)}},
                "/queue": lambda: {"queue_running": self.jobs[:1], "queue_pending": self.jobs[1:]},
                "/history": lambda: self.history,
                "/internal/logs/raw": lambda: {"entries": self.entries, "size": {"cols": 80, "rows": 24}},
                "/free": {},
            }
        )
        self.argv = ["main.py"]
        self.jobs: list[object] = []
        self.history: dict[str, object] = {}
        self.entries: list[dict[str, str]] = []
        self.torch_bytes = 0
        """In use by torch."""

    def queue(self, job_id: str = "job-1", **plan: object) -> None:
        """Take up a job; the first is under way."""
        item = [len(self.jobs), job_id, graph(**plan), {"client_id": "theirs"}, ["9"]]  # type: ignore[arg-type]
        self.jobs.append(item)
        self.log("got prompt\n")

    def log(self, text: str) -> None:
        """Write to the console; a bar takes the place of the one before."""
        if text.startswith("\r") and self.entries and not self.entries[-1]["m"].endswith("\n"):
            del self.entries[-1]
        number = len(self.entries) + 1 + getattr(self, "_written", 0)
        self._written = number
        self.entries.append({"t": f"2026-11-30T10:00:00.{number:06d}", "m": text})

    def load(self, line: str = WHOLE, name: str = "SDXL") -> None:
        """Load the model that draws, and what reads the prompt."""
        self.torch_bytes = 5 * GIB
        self.log("Requested to load SDXLClipModel\n")
        self.log("loaded completely; 9.50 MB usable, 1560.80 MB loaded, full load: True\n")
        self.log(f"Requested to load {name}\n")
        self.log(line)

    def step(self, done: int, count: int = 20, rate: str = "1.42s/it", left: str = "00:18") -> None:
        """Draw the bar of the sampler."""
        self.log(f"\r {100 * done // count}%|####      | {done}/{count} [00:09<{left},  {rate}]")

    def finish(self) -> None:
        """End the job under way."""
        item = self.jobs.pop(0)
        assert isinstance(item, list)
        self.history = {str(item[1]): {"prompt": item, "outputs": {}, "status": {"status_str": "success"}}}
        self.log("\nPrompt executed in 28.40 seconds\n")

    def _stats(self) -> dict[str, object]:
        device = {
            "name": "cuda:0 NVIDIA GeForce RTX 4070",
            "type": "cuda",
            "index": 0,
            "vram_total": 12 * GIB,
            "vram_free": 4 * GIB,
            "torch_vram_total": self.torch_bytes + GIB // 8,
            "torch_vram_free": GIB // 8,
        }
        system = {
            "os": "posix",
            "ram_total": 32 * GIB,
            "ram_free": 20 * GIB,
            "comfyui_version": "0.38.1",
            "python_version": "3.12.3",
            "pytorch_version": "2.9.0+cu128",
            "embedded_python": False,
            "argv": self.argv,
        }
        return {"system": system, "devices": [device]}


class FakeSdNext(FakeRoutes):
    """Has a status; its ``progress`` would decode a preview."""

    def __init__(self) -> None:
        super().__init__(
            {
                "/sdapi/v1/status": lambda: self.status,
                "/sdapi/v1/checkpoint": lambda: self.checkpoint,
                "/sdapi/v1/memory": {"ram": {}, "cuda": {}},
            }
        )
        self.checkpoint: dict[str, object] = {
            "type": "sdxl",
            "class": "StableDiffusionXLPipeline",
            "title": f"{CHECKPOINT} [31e35c80fc]",
            "name": CHECKPOINT.removesuffix(".safetensors"),
            "filename": f"/srv/models/{CHECKPOINT}",
            "hash": "31e35c80fc",
        }
        self.status: dict[str, object] = {}
        self.rest()

    def rest(self) -> None:
        """Do nothing."""
        self._say("idle", "", id="", step=0, steps=0, progress=0, eta=None, elapsed=None)

    def draw(self, step: int, steps: int = 20, job_id: str = "9f1c", queued: int = 1) -> None:
        """Be at a step of a job."""
        self._say(
            "running",
            "Text",
            id=job_id,
            step=step,
            steps=steps,
            progress=step / steps,
            eta=18.2,
            queued=queued,
        )

    def _say(self, status: str, task: str, **more: object) -> None:
        shared = {
            "timestamp": None,
            "current": "",
            "job": 0,
            "jobs": 1,
            "total": 3,
            "queued": 0,
            "uptime": 900,
        }
        self.status = shared | {"status": status, "task": task, "elapsed": 10.0} | more


class FakeSdWebUi(FakeRoutes):
    """Tells its memory and its options; ``progress`` would decode a preview."""

    def __init__(self) -> None:
        super().__init__(
            {
                "/sdapi/v1/memory": lambda: {
                    "ram": {"free": 1, "used": 2, "total": 3},
                    "cuda": {"allocated": {"current": self.allocated_bytes, "peak": 0}},
                },
                "/sdapi/v1/options": {
                    "sd_model_checkpoint": f"{CHECKPOINT} [31e35c80fc]",
                    "samples_save": True,
                },
            }
        )
        self.allocated_bytes = 5 * GIB


class FakeInvokeAi(FakeRoutes):
    """Has a version and the counts of its queue."""

    def __init__(self) -> None:
        super().__init__(
            {
                "/api/v1/app/version": {"version": "6.14.0"},
                "/api/v1/queue/default/status": lambda: {
                    "queue": {
                        "queue_id": "default",
                        "item_id": 41 if self.running else None,
                        "pending": self.pending,
                        "in_progress": self.running,
                        "waiting": 0,
                        "completed": 40,
                        "failed": 0,
                        "canceled": 0,
                        "total": 41,
                    },
                    "processor": {"is_started": True, "is_processing": bool(self.running)},
                },
            }
        )
        self.running = self.pending = 0


GENERATORS: dict[str, tuple[Callable[[], FakeRoutes], str]] = {
    "ComfyUI": (FakeComfyUi, "ComfyUI"),
    "SD.Next": (FakeSdNext, NAME),
    "SD WebUI": (FakeSdWebUi, NAME),
    "InvokeAI": (FakeInvokeAi, "InvokeAI"),
}
"""Each by its label, with what its row is called at first."""
