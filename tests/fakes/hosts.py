"""What stands for ``gpumon`` on another machine: a scenario of the demonstration, written as by ``record``.

``python -m tests.fakes.hosts SCENARIO [SECONDS]`` writes the prelude and so many seconds at once, then goes
on second by second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import takewhile

from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.recording.lines import Header, encode_header, encode_line
from gpumon.collectors.samples import AnySample


def samples(scenario: str, now: float, seconds: float) -> Iterator[AnySample]:
    """Yield the samples of a scenario that is ``seconds`` old at ``now``, for ever."""
    return scenario_named(scenario).samples(now - PRELUDE_SECONDS - seconds)


def recording(scenario: str, now: float, seconds: float, *, host: str = "", version: str = "") -> list[bytes]:
    """Return the lines up to ``now``."""
    head = encode_header(Header(created=now, host=host, version=version))
    known = takewhile(lambda sample: sample.time < now, samples(scenario, now, seconds))
    return [head, *map(encode_line, known)]


def main(scenario: str, seconds: float) -> None:
    now = time.time()
    sys.stdout.buffer.write(encode_header(Header(created=now)))
    for sample in samples(scenario, now, seconds):
        if (wait := sample.time - time.time()) > 0:
            sys.stdout.buffer.flush()
            time.sleep(wait)
        sys.stdout.buffer.write(encode_line(sample))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2].isdigit() else 60.0)
