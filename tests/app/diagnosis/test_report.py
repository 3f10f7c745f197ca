from __future__ import annotations

from tests.app.diagnosis.scenes import NAME, Other, Scene, decoding, diagnosed

from gpumon.app.diagnosis.report import report_lines


def test_every_statement_is_printed_with_what_it_rests_on() -> None:
    lines = list(report_lines(NAME, diagnosed(Scene(context=65536), *decoding(5.0))))
    assert lines[0] == NAME
    assert lines[1].startswith("  bad      llama3.1:8b spills")
    assert "             in RAM: 2.0 GiB (/api/ps)" in lines
    assert any(line.startswith("  remedy 1 ") for line in lines)
    assert any(line.endswith("(in ollama run)") for line in lines)


def test_names_from_outside_are_printed_harmless() -> None:
    scene = Scene(others=[Other("evil\x1b[2J", 7.0)], on_gpu_gib=4.0)
    lines = list(report_lines("a\nb", diagnosed(scene)))
    assert all(line.isprintable() for line in lines)
