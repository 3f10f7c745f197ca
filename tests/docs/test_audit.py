"""The look-up of known vulnerabilities, without the network."""

from __future__ import annotations

import json

import pytest
from docs import audit
from docs.audit import Pin, findings, pins, question

LOCK = (
    "anyio==4.16.0 \\\n    --hash=sha256:aa\ntextual==8.2.5 ; python_version > '3' \\\n    --hash=sha256:bb\n"
)
ASKED = [Pin("anyio", "4.16.0"), Pin("textual", "8.2.5")]


def refuse(_body: bytes) -> bytes:
    raise OSError


def test_every_pin_of_a_lock_is_asked_for() -> None:
    assert pins(LOCK) == ASKED
    asked = json.loads(question(ASKED))["queries"]
    assert asked[1] == {"package": {"name": "textual", "ecosystem": "PyPI"}, "version": "8.2.5"}


def test_a_vulnerable_package_is_named_with_what_is_known() -> None:
    answer = b'{"results":[{},{"vulns":[{"id":"GHSA-1"},{"id":"PYSEC-2"}]}]}'
    assert findings(ASKED, answer) == ["textual 8.2.5: GHSA-1, PYSEC-2"]


def test_it_fails_where_a_package_is_vulnerable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "pins", lambda _lock: ASKED)
    monkeypatch.setattr(audit, "ask", lambda _body: b'{"results":[{"vulns":[{"id":"GHSA-1"}]},{}]}')
    assert audit.main() == 1
    assert capsys.readouterr().out.endswith("audit: 2 packages, 1 with known vulnerabilities\n")


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b"[]", b'{"results":[]}', b'{"results":7}'])
def test_an_answer_that_is_none_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: bytes
) -> None:
    monkeypatch.setattr(audit, "ask", lambda _body: answer)
    assert audit.main() == 0
    assert "skipped" in capsys.readouterr().out


def test_without_a_network_it_is_skipped_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "ask", refuse)
    assert audit.main() == 0
    assert capsys.readouterr().out == "audit: skipped, the database does not answer (OSError)\n"
