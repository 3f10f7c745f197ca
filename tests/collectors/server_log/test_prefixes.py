"""What a journal, a container or a paste puts around a line is taken off."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collectors.server_log.support import LOADED, LOGS, assembled, events_in

from gpumon.collectors.server_log.follower import Assembler
from gpumon.collectors.server_log.lines import split, without_prefixes

Wrap = Callable[[str], str]


def before(prefix: str) -> Wrap:
    return lambda line: prefix + line


def docker_json(line: str) -> str:
    return json.dumps({"log": line + "\n", "stream": "stderr", "time": "2026-11-30T10:50:01.123456789Z"})


def journal_json(line: str) -> str:
    return json.dumps({"__REALTIME_TIMESTAMP": "1796035801123456", "MESSAGE": line, "_PID": "1180"})


WRAPS: dict[str, Wrap] = {
    "journal": before("Nov 30 10:50:01 box ollama[1180]: "),
    "journal, precise": before("Nov 30 10:50:01.123456 box ollama[1180]: "),
    "journal, one digit": before("Nov  3 10:50:01 box ollama[1180]: "),
    "journal, Chinese": before("11月 30 10:50:01 box ollama[1180]: "),
    "journal, Turkish": before("Kas 30 10:50:01 kutu ollama[1180]: "),
    "journal, French": before("nov. 30 10:50:01 boîte ollama[1180]: "),
    "journal, Russian": before("ноя 30 10:50:01 box ollama[1180]: "),
    "journal, without host": before("Nov 30 10:50:01 ollama[1180]: "),
    "journal, short-iso": before("2026-11-30T10:50:01+0100 box ollama[1180]: "),
    "journal, short-iso-precise": before("2026-11-30T10:50:01.123456+01:00 box ollama[1180]: "),
    "journal, short-full": before("Mon 2026-11-30 10:50:01 CET box ollama[1180]: "),
    "journal, with-unit": before("Mon 2026-11-30 10:50:01 CET box ollama.service[1180]: "),
    "journal, short-monotonic": before("[   12.345678] box ollama[1180]: "),
    "journal, short-unix": before("1796035801.123456 box ollama[1180]: "),
    "journal, another program": before("Nov 30 10:50:01 box llama-server[7]: "),
    "journal, of a shell": before("Nov 30 10:50:01 box sh[7]: "),
    "journal, JSON": journal_json,
    "syslog without PID": before("Nov 30 10:50:01 box ollama: "),
    "docker compose": before("ollama-1  | "),
    "docker compose, one name": before("ollama | "),
    "docker compose with colours": before("\x1b[36mollama-1  | \x1b[0m"),
    "docker compose with times": before("ollama-1  | 2026-11-30T10:50:01.123456789Z "),
    "docker logs -t": before("2026-11-30T10:50:01.123456789Z "),
    "docker json-file": docker_json,
    "CRI": before("2026-11-30T10:50:01.123Z stderr F "),
    "CRI, nanoseconds and zone": before("2026-11-30T10:50:01.123456789+01:00 stdout F "),
    "CRI, partial": before("2026-11-30T10:50:01.123Z stderr P "),
    "kubectl logs --prefix": before("[pod/ollama-7d9f/ollama] "),
    "colours": lambda line: f"\x1b[1;32m{line}\x1b[0m",
    "cat -n": before("    12\t"),
    "grep -n": before("12:"),
    "nl": before("    12  "),
    "numbered with a bar": before("12 | "),
    "numbered with a dot": before("12. "),
    "numbered journal": before("12  Nov 30 10:50:01 box ollama[1180]: "),
    "compose in the journal": before("Nov 30 10:50:01 box docker-compose[1180]: ollama-1  | "),
    "CRI around a compose line": before("2026-11-30T10:50:01.123Z stderr F ollama-1  | "),
    "JSON in the journal": lambda line: f"Nov 30 10:50:01 box dockerd[1]: {docker_json(line)}",
    "returns": lambda line: f"ollama-1  | {line}\r",
}
PLAIN = sorted(file.name for file in LOGS.iterdir() if file.suffix in {".log", ".txt"})


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize("name", PLAIN)
def test_a_wrapped_log_says_what_it_says_bare(name: str, wrap: Wrap) -> None:
    lines = (LOGS / name).read_text(encoding="utf-8").splitlines()
    assert assembled(*map(wrap, lines)) == events_in(name)


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_a_wrapped_line_is_familiar(wrap: Wrap) -> None:
    assembler = Assembler()
    assembler.feed(wrap(LOADED))
    assert assembler.familiar == 1


@pytest.mark.parametrize(
    "line",
    [
        'time=2026-11-30T10:50:01Z level=INFO msg="Nov 30 10:50:01 box ollama[1180]: said"',
        '[GIN] 2026/11/30 - 10:50:01 | 200 | 1ms | ::1 | GET "/api/ps"',
        "slot launch_slot_: id  0 | task 3 | processing task",
        "[40001] 0.01.234.567 I srv  load_model: loading model '/m.gguf'",
        "0.01.234.567 I main: model loaded",
    ],
)
def test_a_line_that_is_known_as_it_stands_is_left_so(line: str) -> None:
    assert without_prefixes(line) == line


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "{}",
        "[" * 10_000,
        '{"log": 5}',
        "Nov 30 10:50:01 box kernel: usb 1-1: new device",
        "nothing of ours",
        "12",
        "a | ",
    ],
)
def test_what_is_none_of_ours_says_nothing(line: str) -> None:
    assert assembled(line) == []


@given(st.text(max_size=300))
def test_any_text_is_split_without_an_error(text: str) -> None:
    split(text)


PIECES = ["Nov 30 ", "10:50:01 ", "box ", "ollama[1]: ", "12", " | ", "\x1b[", "{", "a"]


@given(st.lists(st.sampled_from(PIECES)))
def test_any_mix_of_prefixes_is_split_without_an_error(parts: list[str]) -> None:
    split("".join(parts))
