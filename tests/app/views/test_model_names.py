"""What models are called, in which order they stand, and what is said of a claim that makes no sense."""

from __future__ import annotations

from msgspec.structs import replace
from tests.app.state.states import state_of
from tests.fakes.samples import GIB, claim, gpu, nvml, ollama

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.picture.pictures import Pictures
from gpumon.app.views.dashboard import ModelOrder, dashboard_view
from gpumon.app.views.models import SORT_KEYS, model_rows
from gpumon.collectors.samples import AnySample
from gpumon.widgets.views import ModelRow

FAR = "http://box:11434"


def rows(*samples: AnySample) -> tuple[ModelRow, ...]:
    return model_rows(Pictures(state_of(*samples)), SORT_KEYS[0])


def test_a_model_of_two_servers_is_named_with_each() -> None:
    both = rows(ollama(0, [claim("qwen3:14b")]), ollama(1, [claim("qwen3:14b")], source=FAR))
    assert {row.name for row in both} == {"qwen3:14b @ 127.0.0.1:11434", "qwen3:14b @ box:11434"}


def test_models_of_different_names_keep_them_bare() -> None:
    both = rows(ollama(0, [claim("qwen3:14b")]), ollama(1, [claim("qwen3:8b")], source=FAR))
    assert {row.name for row in both} == {"qwen3:14b", "qwen3:8b"}


def test_the_alert_and_the_verdict_name_the_server_too() -> None:
    monitor = Monitor(Limits())
    spilled = claim("qwen3:14b", ram_gib=5.0)
    for sample in (
        nvml(0, gpu()),
        ollama(0.1, [claim("qwen3:14b")]),
        ollama(0.2, [spilled], source=FAR),
        ollama(1.2, [spilled], source=FAR),
    ):
        monitor.feed(sample)
    view = dashboard_view(monitor, ModelOrder(), 1.0)
    assert view.alerts[0].message.startswith("qwen3:14b @ box:11434 spill: 5.0 GiB")
    assert view.verdict.sentence.startswith("qwen3:14b @ box:11434 spills 5.0 GiB")


def test_what_spills_most_stands_first_and_equals_by_name() -> None:
    found = rows(ollama(0, [claim("b"), claim("c", ram_gib=1.0), claim("a"), claim("d", ram_gib=9.0)]))
    assert [row.name for row in found] == ["d", "c", "a", "b"]


def test_more_on_the_gpu_than_there_is_of_the_model_is_not_plausible() -> None:
    (row,) = rows(ollama(0, [replace(claim(), size_bytes=4 * GIB, size_vram_bytes=5 * GIB)]))
    assert row.notes == ("claim not plausible: 5.0 GiB on GPU of 4.0 GiB in all",)
    assert row.gpu_bytes is None
