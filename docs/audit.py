"""Looks up the locked packages in the OSV database of known vulnerabilities: ``make audit``.

One question for all of them (https://google.github.io/osv.dev/post-v1-querybatch/), with nothing installed
for it. Exits with 1 where a package is known to be vulnerable, with 0 where nobody answers, and says so.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

LOCK = Path(__file__).parents[1] / "requirements.lock"
QUERY_URL = "https://api.osv.dev/v1/querybatch"
DEADLINE_SECONDS = 20.0
MAX_ANSWER_BYTES = 4 * 1024**2

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


class Pin(NamedTuple):
    """A package at its locked version."""

    name: str
    version: str


def pins(lock: str) -> list[Pin]:
    """Return the packages of a lock file."""
    return [Pin(name, version) for name, version in _PIN.findall(lock)]


def question(asked: list[Pin]) -> bytes:
    """Return the body of the request."""
    queries = [{"package": {"name": pin.name, "ecosystem": "PyPI"}, "version": pin.version} for pin in asked]
    return json.dumps({"queries": queries}).encode()


def findings(asked: list[Pin], answer: bytes) -> list[str]:
    """Return a line for each vulnerable package.

    Raises:
        ValueError: the answer is none to this question.
    """
    results: Any = json.loads(answer)["results"]
    return [
        f"{pin.name} {pin.version}: {', '.join(one['id'] for one in result['vulns'])}"
        for pin, result in zip(asked, results, strict=True)
        if result.get("vulns")
    ]


def ask(body: bytes) -> bytes:
    """Return what the database answers.

    Raises:
        OSError: nobody answers.
    """
    request = urllib.request.Request(QUERY_URL, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as reply:  # noqa: S310
        answer: bytes = reply.read(MAX_ANSWER_BYTES)
    return answer


def main() -> int:
    """Look them up and say what is found."""
    asked = pins(LOCK.read_text(encoding="utf-8"))
    try:
        found = findings(asked, ask(question(asked)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.stdout.write(f"audit: skipped, the database does not answer ({type(error).__name__})\n")
        return 0
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.stdout.write(f"audit: {len(asked)} packages, {len(found)} with known vulnerabilities\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
