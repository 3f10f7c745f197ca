"""What a pane of a given height shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from gpumon.app.ui.layout import Content, Layout, plan

contents = st.builds(
    Content,
    gpus=st.integers(0, 16),
    models=st.integers(0, 40),
    verdict=st.integers(1, 2),
    models_shown=st.just(True),
    sources=st.integers(0, 8),
    alerts=st.integers(0, 50),
    memory=st.booleans(),
    feed=st.booleans(),
    chart=st.booleans(),
)


def lines(layout: Layout) -> int:
    panels = {"verdict", "sources", "gpus", "models", "memory", "alerts", "chart", "hints"}
    return sum(getattr(layout, field.name) for field in fields(Layout) if field.name in panels)


@given(height=st.integers(1, 120), content=contents)
def test_the_panels_never_take_more_lines_than_the_pane_has(height: int, content: Content) -> None:
    assert lines(plan(height, content)) <= height


@given(height=st.integers(12, 120), content=contents)
def test_gpus_and_models_are_there_wherever_there_are_any(height: int, content: Content) -> None:
    layout = plan(height, content)
    assert layout.models >= 1
    assert layout.gpus >= min(content.gpus, 1)


@given(height=st.integers(16, 120), content=contents)
def test_memory_and_hints_keep_a_line_however_many_models_there_are(height: int, content: Content) -> None:
    layout = plan(height, content)
    assert layout.hints == 1
    assert layout.memory >= (1 if content.memory else 0)


@given(content=contents)
def test_a_tall_pane_shows_every_row(content: Content) -> None:
    layout = plan(200, content)
    assert layout.gpus >= content.gpus * layout.lines_per_gpu
    assert layout.models >= content.models * layout.lines_per_model
    assert layout.alerts >= (content.alerts > 0 and content.feed)


def test_twelve_lines_keep_a_line_per_gpu_and_per_model() -> None:
    layout = plan(12, Content(gpus=2, models=3))
    assert layout.gpus >= 2
    assert layout.models >= 3


def test_a_large_pane_with_room_to_spare_draws_the_chart() -> None:
    assert plan(50, Content(gpus=1, models=1)).chart > 0
    assert plan(16, Content(gpus=1, models=1)).chart == 0
