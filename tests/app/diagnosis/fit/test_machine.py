"""A fit on a machine of which something was learned."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from gpumon.app.diagnosis.fit.machine import Machine, fit_on
from gpumon.app.diagnosis.fit.report import FitReport
from gpumon.app.diagnosis.fit.text import fit_lines
from gpumon.app.physics.geometry import LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Card
from gpumon.app.state.records.learned import LearnedRecord, MemoryKey, ScaleKey
from gpumon.collectors.samples import MemoryCorrection, ModelFacts, ModelWeights, RateScale

GIB, MIB = 2**30, 2**20
CARD = Card("RTX 4090", 24 * GIB, 23 * GIB, 1008e9, "nvidia_gddr6", uuid="GPU-1")
SMALL = replace(CARD, vram_free_bytes=6 * GIB)
FACTS = ModelFacts(
    time=0.0,
    source="x",
    name="llama3.1:8b",
    digest="d",
    architecture="llama",
    blobs=("sha256-weights",),
    trained_context_length=131072,
    layer_count=32,
    embedding_length=4096,
    geometry={
        "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": 8,
        "llama.attention.key_length": 128,
        "llama.attention.value_length": 128,
    },
    weights=ModelWeights(
        layer_bytes=(130 * MIB,) * 32,
        expert_bytes=(0,) * 32,
        token_embedding_bytes=280 * MIB,
        output_bytes=410 * MIB,
        element_count=8_000_000_000,
    ),
)
FILE_BYTES = (130 * 32 + 690) * MIB


def fit(machine: Machine, context: int = 4096, facts: ModelFacts = FACTS, **more: int) -> FitReport:
    report = fit_on(machine, facts, LoadOptions(context), FILE_BYTES + more.get("projector_bytes", 0))
    assert isinstance(report, FitReport)
    return report


def test_what_earlier_loads_took_besides_is_added() -> None:
    learned = LearnedRecord()
    learned.memory[MemoryKey("d", ("GPU-1",))] = MemoryCorrection(
        digest="d", gpu_uuids=("GPU-1",), difference_bytes=GIB, observation_count=2
    )
    plain, corrected = fit(Machine((CARD,))), fit(Machine((CARD,), learned=learned))
    assert corrected.required_vram_bytes - plain.required_vram_bytes == GIB
    assert any("+1.00 GiB" in line for line in fit_lines(corrected))
    assert (corrected.max_context or {})["f16"] or ((plain.max_context or {})["f16"] or 0) > 0


def test_a_correction_can_decide_whether_it_fits() -> None:
    learned = LearnedRecord()
    learned.memory[MemoryKey("d", ("GPU-1",))] = MemoryCorrection(
        digest="d", gpu_uuids=("GPU-1",), difference_bytes=GIB, observation_count=2
    )
    assert fit(Machine((SMALL,))).fits
    assert fit(Machine((SMALL,), learned=learned)).fits is False


def test_observed_rates_of_the_same_card_scale_the_estimate() -> None:
    learned = LearnedRecord()
    for value, is_moe, uuid in ((0.5, False, "GPU-1"), (0.1, True, "GPU-1"), (0.1, False, "GPU-2")):
        learned.scales[ScaleKey((uuid,), is_moe, False)] = RateScale(
            gpu_uuids=(uuid,), is_moe=is_moe, is_split=False, scale=value, observation_count=3
        )
    plain, scaled = fit(Machine((CARD,))).decode, fit(Machine((CARD,), learned=learned)).decode
    assert plain is not None
    assert scaled is not None
    assert scaled.expected == pytest.approx(plain.expected / 2)
    assert scaled.high / scaled.expected < plain.high / plain.expected, "the band is narrower"


def test_a_split_has_a_rate_where_the_firmware_names_the_ram() -> None:
    assert fit(Machine((SMALL,)), 65536).decode is None
    assert fit(Machine((SMALL,), 51.2e9), 65536).decode is not None


def test_a_projector_in_a_file_of_its_own_is_needed_too() -> None:
    with_projector = msgspec.structs.replace(FACTS, blobs=("sha256-weights", "sha256-projector"))
    found = fit(Machine((CARD,)), facts=with_projector, projector_bytes=800 * MIB)
    assert found.need.projector_bytes == 800 * MIB


def test_what_else_belongs_to_a_model_of_one_file_is_no_projector() -> None:
    assert fit(Machine((CARD,)), projector_bytes=10 * MIB).need.projector_bytes == 0


@pytest.mark.parametrize(("context", "batch"), [(4096, 512), (8192, 1024), (40960, 2048)])
def test_the_micro_batch_is_the_one_that_ollama_takes(context: int, batch: int) -> None:
    assert fit(Machine((CARD,)), context).options.micro_batch_size == batch


def test_where_memory_is_short_it_is_the_least() -> None:
    assert fit(Machine((SMALL,)), 40960).options.micro_batch_size == 512


def test_one_that_the_modelfile_names_stands() -> None:
    facts = msgspec.structs.replace(FACTS, parameters={"num_batch": "256"})
    report = fit_on(Machine((CARD,)), facts, LoadOptions(40960, micro_batch_size=256))
    assert isinstance(report, FitReport)
    assert report.options.micro_batch_size == 256


def test_a_model_of_unknown_architecture_is_not_guessed_at() -> None:
    facts = ModelFacts(time=0, source="x", name="m", digest="d", architecture="rwkv99")
    assert isinstance(fit_on(Machine((CARD,)), facts, LoadOptions(4096)), NoGeometry)
