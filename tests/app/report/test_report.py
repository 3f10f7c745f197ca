"""The report as a whole: as text, Markdown and a page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from tests.app.report.rows import gpu_minute, load, machine_minute, material, model_minute, request, trouble

from gpumon.app.report.document import WIDTH, markdown_lines, text_lines
from gpumon.app.report.material import Material
from gpumon.app.report.page import page
from gpumon.app.report.sections import document_of


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def busy_hour(**of_model: object) -> Material:
    spill = trouble(
        30,
        decode_tokens_per_second=10.0,
        full_tokens_per_second=40.0,
        cause="its context is too large: a request asked for 32768 tokens",
        cure="shrink the context to 6400 tokens",
        command="/set parameter num_ctx 6400",
    )
    return material(
        *map(machine_minute, range(60)),
        *(model_minute(at, **of_model) for at in range(60)),
        *(gpu_minute(at, used_bytes=8 * 2**30, total_bytes=12 * 2**30) for at in range(60)),
        *(request(at, prompt_tokens=900, decoded_tokens=120, **of_model) for at in range(12)),
        load(0, evicted='["other:7b"]'),
        spill,
    )


def text(material: Material, *, is_unicode: bool = True) -> str:
    return "\n".join(text_lines(document_of(material), is_unicode=is_unicode))


class TestText:
    def test_no_line_is_wider_than_a_small_terminal(self) -> None:
        long = busy_hour(name="hf.co/somebody/A-Very-Long-Name-Of-A-Model-Indeed-GGUF:Q4_K_M")
        assert max(map(len, text(long).splitlines())) <= WIDTH

    def test_what_was_wrong_is_told_with_cost_cause_and_cure(self) -> None:
        found = text(busy_hour())
        assert "▲ llama3:8b SPILLED: 1 time, 10m 00s in all, 5m 00s of it at work" in found
        assert "10 tok/s in place of about 40 tok/s wholly on GPUs: about 3m 45s longer" in " ".join(
            found.split()
        )
        assert "▸ /set parameter num_ctx 6400" in found

    def test_energy_that_nobody_told_is_a_dash_and_no_nought(self) -> None:
        row = next(line for line in text(busy_hour()).splitlines() if line.startswith("llama3:8b"))
        assert row.split()[-1] == "-"
        assert "0 Wh" not in text(busy_hour())

    def test_how_much_of_the_span_was_watched_is_said(self) -> None:
        assert "watched 1h 00m of 1h 00m" in text(busy_hour())

    def test_it_is_ascii_where_that_is_wanted(self) -> None:
        assert text(busy_hour(), is_unicode=False).isascii()

    def test_of_a_quiet_span_each_section_says_so(self) -> None:
        quiet = text(material(machine_minute()))
        for words in (
            "No model was loaded.",
            "No load was seen.",
            "No GPU was seen.",
            "No request was seen to end.",
        ):
            assert words in quiet


class TestMarkdown:
    def test_tables_have_a_rule_and_names_are_no_markup(self) -> None:
        lines = [*markdown_lines(document_of(busy_hour(name="a|b*c")))]
        assert "| model | loaded | busy | requests | tokens | tok/s | in RAM | energy |" in lines
        assert any("a\\|b\\*c" in line for line in lines)
        assert "  - `/set parameter num_ctx 6400`" in lines


class _Seen(HTMLParser):
    """Keeps which elements are open, and what leads anywhere."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class TestPage:
    def test_it_is_whole_has_pictures_and_needs_no_network(self) -> None:
        written, seen = page(document_of(busy_hour()), 1_800_000_000.0), _Seen()
        seen.feed(written)
        assert seen.open == []
        assert {"svg", "rect", "polyline", "table", "code"} <= seen.tags
        assert seen.links == []
        assert not seen.tags & {"script", "link", "img", "iframe"}
        assert "url(" not in written
        assert "@import" not in written

    def test_names_are_no_markup(self) -> None:
        written = page(document_of(busy_hour(name="<script>alert(1)</script>")), 0.0)
        assert "<script" not in written
        assert "&lt;script&gt;" in written

    def test_it_is_dark_where_that_is_preferred_and_light_on_paper(self) -> None:
        written = page(document_of(busy_hour()), 0.0)
        assert "@media (prefers-color-scheme:dark)" in written
        assert "@media print" in written
        assert written.count("{") == written.count("}")

    def test_a_gap_is_a_gap(self) -> None:
        with_gap = material(
            *(machine_minute(at) for at in range(60)),
            *(gpu_minute(at, used_bytes=2**30, total_bytes=2**33) for at in (*range(20), *range(40, 60))),
        )
        assert page(document_of(with_gap), 0.0).count("<polyline") == 2
