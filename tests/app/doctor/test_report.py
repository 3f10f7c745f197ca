"""The doctor's report as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpumon.app.doctor.check import Check, Status, first_step, report_of, report_text

WORKS = Check(
    kind="driver", name="GPU driver", status="works", found="driver 570", gives="memory", needed=True
)
MISSING = Check(
    kind="log",
    name="server log",
    status="missing",
    found="permission denied: journal",
    gives="layers",
    step="sudo usermod -aG systemd-journal $USER",
)
WORDS = st.text(st.sampled_from("abc -./"), max_size=120)


def test_each_check_has_a_line_what_it_gives_and_what_to_do() -> None:
    assert report_text(report_of([WORKS, MISSING])).splitlines() == [
        "What to do first: sudo usermod -aG systemd-journal $USER (server log: permission",
        "                  denied: journal)",
        "",
        "missing   server log  permission denied: journal",
        "            gives layers",
        "            do    sudo usermod -aG systemd-journal $USER",
        "works     GPU driver  driver 570",
        "            gives memory",
        "",
        "What is needed works.",
    ]


def server(name: str, status: Status, step: str, *, needed: bool = False) -> Check:
    return Check(kind="server", name=name, status=status, found="found", gives="", step=step, needed=needed)


def test_what_comes_first_is_what_is_needed_and_nearest() -> None:
    silent = server("Ollama", "missing", "ollama serve", needed=True)
    unasked = server("server at :8080", "nothing", "gpumon --url :8080")
    driver = replace(WORKS, status="missing", step="sudo modprobe nvidia")
    assert first_step([WORKS, silent]).startswith("ollama serve")
    assert first_step([WORKS, silent, unasked]).startswith("gpumon --url")
    assert first_step([driver, silent, unasked]).startswith("sudo modprobe")
    assert first_step([MISSING, silent]).startswith("ollama serve")
    assert first_step([WORKS]) == "nothing: what is needed works"


def test_what_is_not_used_stands_last_and_reads_as_no_error() -> None:
    unused = server("server at :8080", "nothing", "gpumon --url :8080")
    lines = report_text(report_of([unused, WORKS])).splitlines()
    assert lines[2].startswith("works")
    assert lines[4] == "not used  server at :8080  found"


@given(found=WORDS, gives=WORDS, step=WORDS)
def test_no_line_is_wider_than_80_columns_but_for_a_word_that_is(found: str, gives: str, step: str) -> None:
    check = Check(kind="log", name="server log", status="missing", found=found, gives=gives, step=step)
    for line in report_text(report_of([check])).splitlines():
        assert len(line) <= 80 or any(len(word) > 50 for word in line.split())
