"""A model that is read from storage while it works: one word of it on every surface, with cause and cure."""

from __future__ import annotations

from typing import Any

import pytest
from tests.scene import Gpu, Machine, Model, Weights

from gpumon.app.diagnosis.diagnosis import Diagnosis
from gpumon.app.doctor.sources import source_checks
from gpumon.app.insight.loaded import loaded
from gpumon.app.picture.pictures import Pictures
from gpumon.app.snapshot.build import build_snapshot, why_document
from gpumon.app.snapshot.take import View
from gpumon.app.state.rates.disk import UNDECIDED_SECONDS
from gpumon.app.state.state import Touched
from gpumon.app.views.model_process import runner_facts
from gpumon.collectors.servers.registry import kind_named

MIB = 1024**2
GIB = 1024**3


class Reading:
    """A model that is partly in RAM, and reads what of it is not."""

    def __init__(
        self, model: Model | None, *, ram_gib: float = 64.0, gpus: tuple[Gpu, ...] = (Gpu(),)
    ) -> None:
        self.machine = Machine(*gpus, ram_gib=ram_gib)
        self.model = self.machine.ollama().load(model) if model else self.machine.llama_server()
        self.read = 0
        self.more: dict[str, Any] = {}

    def works(self, seconds: int = 30, *, mib: int = 1200, faults: int = 900) -> None:
        for _ in range(seconds):
            self.read += mib * MIB
            self.model.figures = {
                "read_bytes": self.read,
                "major_faults": faults * int(self.machine.now),
                "file_bytes": 3 * GIB,
                "rss_bytes": 5 * GIB,
                **self.more,
            }
            self.model.cpu_percent = 150.0
            self.machine.look()
            self.machine.now += 1

    @property
    def found(self) -> Diagnosis:
        pictures = self.machine.monitor.pictures
        pictures.refresh()
        return pictures.models()[0].diagnosis


@pytest.fixture
def larger() -> Reading:
    """A MoE of 90 GiB, 70 GiB of which belong into 64 GiB of RAM."""
    one = Reading(Model("qwen3:235b", gpu_gib=20, ram_gib=70, context=32768, quantization="Q4_K_M"))
    one.works()
    return one


def test_every_surface_says_it_and_agrees(larger: Reading) -> None:
    snapshot = build_snapshot(larger.machine.monitor.pictures)
    [model] = snapshot.models
    pace, why = "1.2 GiB/s", "70.0 GiB of it belong in RAM, which has 64.0 GiB"
    words = f"qwen3:235b is read from disk while it works: {pace}; {why}"
    assert (model.level, model.verdict.kind, model.sentence) == ("bad", "read_from_disk", words)
    assert (snapshot.level, snapshot.sentence) == ("bad", words)
    [alert] = larger.machine.alerts("read_from_disk")
    assert (alert.severity, alert.message) == ("bad", words)
    pictures = larger.machine.monitor.pictures
    assert words in [check.found for check in source_checks(pictures, in_container=False)]
    told = why_document(pictures, pictures.models())
    assert (told.sentence, told.models[0].sentence) == (words, words)
    assert model.runner is not None
    assert model.runner.disk_read_bytes_per_second == pytest.approx(1200 * MIB)
    assert model.runner.major_faults_per_second == pytest.approx(900)


def test_the_row_and_the_page_have_it(larger: Reading) -> None:
    pictures = larger.machine.monitor.pictures
    [model] = pictures.models()
    assert model.notes[0].startswith("is read from disk while it works: 1.2 GiB/s")
    details = pictures.details(model.key)
    assert details is not None
    facts = {fact.label: fact.value for fact in runner_facts(details, {})}
    assert facts["read from disk"] == "1.2 GiB/s"
    assert facts["  pages waited for"] == "900/s"


def test_the_evidence_names_each_figure_and_its_source(larger: Reading) -> None:
    evidence = {(one.name, one.value, one.source) for one in larger.found.verdict.evidence}
    assert evidence >= {
        ("read from disk", "1.2 GiB/s", "/proc/PID/io"),
        ("waits for a page", "900/s", "/proc/PID/stat"),
        ("of its files in RAM", "3.0 GiB", "/proc/PID/status"),
        ("belongs in RAM", "70.0 GiB", "/api/ps"),
        ("RAM", "64.0 GiB", "/proc/meminfo"),
    }


def test_a_model_larger_than_ram_is_not_to_be_kept_there(larger: Reading) -> None:
    actions = [one.action for one in larger.found.remedies]
    assert "keep_in_ram" not in actions
    assert actions.index("smaller_quantization") < actions.index("shrink_context")
    context = next(one for one in larger.found.remedies if one.action == "shrink_context")
    assert context.command == "/set parameter num_ctx 16384"


def test_one_that_was_pushed_out_is_to_be_kept_and_who_holds_the_ram_is_named() -> None:
    one = Reading(Model("llama3:70b", gpu_gib=20, ram_gib=20))
    one.machine.available_gib = 6.0
    other = one.machine.servers[0].load(Model("phi4", gpu_gib=1, pid=101, blob="sha256-" + 64 * "b"))
    other.figures = {"rss_bytes": 12 * GIB}
    one.works()
    [found] = [m.diagnosis for m in one.machine.monitor.pictures.models() if m.claim.name == "llama3:70b"]
    assert found.verdict.sentence.endswith("1.2 GiB/s; others hold the RAM that its weights need")
    unload, keep = found.remedies[:2]
    assert (unload.action, unload.command, unload.frees_bytes) == (
        "unload_model",
        "ollama stop phi4",
        12 * GIB,
    )
    assert (keep.action, keep.command, keep.where) == (
        "keep_in_ram",
        "/set parameter use_mmap false",
        "in ollama run",
    )
    assert keep.arithmetic == "needs 20.0 GiB of 64.0 GiB of RAM"


def test_a_llama_server_is_given_its_flag() -> None:
    assert kind_named("llama_server").keep_in_ram.line == "--no-mmap"


def test_what_it_costs_is_the_rate_beside_that_from_ram() -> None:
    model = Model("llama3:70b", gpu_gib=14, ram_gib=10, weights=Weights(layer_mib=700))
    one = Reading(model, gpus=(Gpu(gib=16, name="NVIDIA GeForce RTX 4080"),))
    one.works(12)
    for _ in range(20):
        one.works(1)
        model.request(2.0, seconds=4)
    assert "2.0 tok/s" in one.found.verdict.sentence


def test_a_load_is_none() -> None:
    one = Reading(Model("llama3:70b", gpu_gib=20, ram_gib=20))
    one.model.port = "loading"
    one.works(60)
    assert not one.machine.alerts("read_from_disk")


def test_it_ends_when_it_works_from_ram_again(larger: Reading) -> None:
    larger.works(9, mib=0, faults=0)
    assert larger.machine.alerts("read_from_disk")
    larger.works(6, mib=0, faults=0)
    assert not larger.machine.alerts("read_from_disk")
    assert larger.found.verdict.kind == "spilled"


def test_without_a_gpu_it_is_told_too() -> None:
    one = Reading(Model("llama3:70b", gpu_gib=0, ram_gib=80))
    one.machine.gpus = []
    one.machine.driver = "absent"
    one.works()
    assert one.found.verdict.kind == "read_from_disk"
    assert "70b is read from disk" in build_snapshot(one.machine.monitor.pictures).sentence


def test_of_a_model_that_was_well_it_is_told_at_once() -> None:
    one = Reading(Model("llama3:70b", gpu_gib=0, ram_gib=80))
    one.machine.gpus = []
    one.machine.driver = "absent"
    one.works(8, mib=0, faults=0)
    unwatched = Pictures(one.machine.monitor.state)  # no alert makes it look again
    assert unwatched.models()[0].diagnosis.verdict.kind == "healthy"
    one.works(12)
    unwatched.invalidate(Touched())
    assert unwatched.models()[0].diagnosis.verdict.kind == "read_from_disk"


def test_where_the_bytes_are_another_users_the_faults_are_told() -> None:
    one = Reading(Model("llama3:70b", gpu_gib=20, ram_gib=70))
    for second in range(30):
        one.model.figures = {"major_faults": 700 * second, "file_bytes": 3 * GIB}
        one.model.cpu_percent = 150.0
        one.machine.look()
        one.machine.now += 1
    assert "works: 700 page faults a second; 70.0 GiB" in one.found.verdict.sentence
    [model] = build_snapshot(one.machine.monitor.pictures).models
    assert model.runner is not None
    assert model.runner.disk_read_bytes_per_second is None


SERVICE = "/system.slice/llm.service"


def own_server(
    limit_mib: int | None, file_mib: int = 4000, group: str = "/system.slice/llm.service"
) -> Reading:
    """A llama-server that claims nothing, without a GPU; 100 MiB of it are mapped from no file."""
    one = Reading(None)
    one.machine.gpus, one.machine.driver = [], "absent"
    one.more = {
        "ram_limit_bytes": None if limit_mib is None else limit_mib * MIB,
        "ram_limit_group": None if limit_mib is None else group,
        "model_file_bytes": file_mib * MIB,
        "rss_bytes": 3 * GIB + 100 * MIB,
    }
    one.works(20)
    return one


@pytest.mark.parametrize(
    ("limit_mib", "cause", "words"),
    [
        (4099, "limited", "4.0 GiB of it belong in RAM, of which its control group may take 4.0 GiB"),
        (4100, "unknown", "though 32.0 GiB of RAM are available"),
        (None, "unknown", "though 32.0 GiB of RAM are available"),
        (64 * 1024, "unknown", "though 32.0 GiB of RAM are available"),  # no less than the machine has
    ],
)
def test_a_limit_of_its_group_is_the_cause_where_it_is_too_small(
    limit_mib: int | None, cause: str, words: str
) -> None:
    one = own_server(limit_mib)
    reading = loaded(one.machine.only_model(), one.machine.state).disk
    assert reading is not None
    assert (reading.cause, reading.needed_bytes) == (cause, 4100 * MIB)
    assert words in one.found.verdict.sentence


@pytest.mark.parametrize(
    ("group", "command"),
    [
        (
            SERVICE,
            "sudo systemctl set-property llm.service MemoryMax=4556M MemoryHigh=infinity",
        ),
        (
            f"/system.slice/docker-{'ab12' * 16}.scope",
            "docker update --memory 4556m --memory-swap 4556m ab12ab12ab12",
        ),
        (f"/docker/{'cd34' * 16}", "docker update --memory 4556m --memory-swap 4556m cd34cd34cd34"),
        (
            f"/machine.slice/libpod-{'ab12' * 16}.scope",
            "podman update --memory 4556m --memory-swap 4556m ab12ab12ab12",
        ),
        ("/kubepods/burstable/pod1", None),
        ("/system.slice/a;b.service", None),
    ],
)
def test_what_raises_the_limit_comes_first_and_is_as_large_as_it_must_be(
    group: str, command: str | None
) -> None:
    first, *others = own_server(2000, group=group).found.remedies
    assert (first.action, first.command) == ("raise_ram_limit", command)
    assert "take 4556 MiB of RAM" in first.sentence
    assert not {"keep_in_ram", "unload_model"} & {one.action for one in others}


def test_a_model_that_claims_nothing_and_is_larger_than_ram_is_said_to_be() -> None:
    """What is resident of it, by which it is shown, is never more than there is."""
    one = own_server(None, file_mib=80 * 1024)
    assert "80.1 GiB of it belong in RAM, which has 64.0 GiB" in one.found.verdict.sentence


def test_one_look_waits_until_it_is_known_whether_it_lasts() -> None:
    one = Reading(Model("llama3:70b", gpu_gib=20, ram_gib=70))
    one.works(3)
    [runner] = one.machine.monitor.state.runners.values()
    now = one.machine.monitor.state.now
    assert runner.disk.is_undecided(now)
    assert not runner.disk.is_undecided(now + UNDECIDED_SECONDS)
    view = View(one.machine.monitor, tuple)
    assert f"what process {runner.key.pid} reads from disk" in view.awaited()
    one.works(10)
    assert not [name for name in view.awaited() if "from disk" in name]


def test_the_page_and_the_snapshot_have_the_limit() -> None:
    one = own_server(2000)
    pictures = one.machine.monitor.pictures
    [entry] = build_snapshot(pictures).models
    assert entry.runner is not None
    assert entry.runner.ram_limit_bytes == 2000 * MIB
    [model] = pictures.models()
    details = pictures.details(model.key)
    assert details is not None
    facts = {fact.label: (fact.value, fact.origin) for fact in runner_facts(details, {})}
    assert facts["RAM that its group may take"] == ("2.0 GiB", "/sys/fs/cgroup")
    [free] = build_snapshot(own_server(None).machine.monitor.pictures).models
    assert free.runner is not None
    assert free.runner.ram_limit_bytes is None


def test_the_evidence_names_the_group_and_where_it_is_read() -> None:
    evidence = {(one.name, one.value, one.source) for one in own_server(2000).found.verdict.evidence}
    assert (f"RAM that {SERVICE} may take", "2.0 GiB", "/sys/fs/cgroup") in evidence
