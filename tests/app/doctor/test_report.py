"""The doctor's report as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.doctor.check import Check, report_of, report_text

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
        "works    GPU driver  driver 570",
        "           gives memory",
        "missing  server log  permission denied: journal",
        "           gives layers",
        "           do    sudo usermod -aG systemd-journal $USER",
        "",
        "What is needed works.",
    ]


@given(found=WORDS, gives=WORDS, step=WORDS)
def test_no_line_is_wider_than_80_columns_but_for_a_word_that_is(found: str, gives: str, step: str) -> None:
    check = Check(kind="log", name="server log", status="missing", found=found, gives=gives, step=step)
    for line in report_text(report_of([check])).splitlines():
        assert len(line) <= 80 or any(len(word) > 50 for word in line.split())
