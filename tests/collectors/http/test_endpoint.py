"""Credentials are sent, and appear nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.http.endpoint import parse_endpoint


def test_user_and_password_become_a_basic_authorization_header() -> None:
    endpoint = parse_endpoint("http://user:secret@example.com/ollama")
    assert endpoint.url == "http://example.com:80/ollama"
    assert endpoint.headers == {"Authorization": "Basic dXNlcjpzZWNyZXQ="}


def test_a_header_that_was_given_wins_over_credentials_in_the_url() -> None:
    endpoint = parse_endpoint("http://user:secret@example.com", {"authorization": "Bearer token"})
    assert endpoint.headers == {"authorization": "Bearer token"}


def test_without_credentials_no_header_is_sent() -> None:
    assert not parse_endpoint("http://example.com").headers


def test_the_representation_hides_headers_and_password() -> None:
    shown = repr(parse_endpoint("http://user:secret@example.com", {"X-Key": "hidden"}))
    assert "secret" not in shown
    assert "hidden" not in shown


@pytest.mark.parametrize(
    "said", ["got dXNlcjpzZWNyZXQ=", "password secret is wrong", "Bearer abcd1234 expired"]
)
def test_secrets_are_blotted_out_of_messages(said: str) -> None:
    endpoint = parse_endpoint("http://user:secret@example.com", {"X-Key": "Bearer abcd1234"})
    shown = endpoint.without_secrets(said)
    assert "***" in shown
    assert not any(secret in shown for secret in ("secret", "dXNlcjpzZWNyZXQ=", "abcd1234"))


def test_an_address_to_bind_to_becomes_the_one_to_reach_it() -> None:
    assert parse_endpoint("0.0.0.0:1234").url == "http://127.0.0.1:1234"


def test_without_an_address_it_is_ollamas_default() -> None:
    endpoint = parse_endpoint("")
    assert endpoint.url == "http://127.0.0.1:11434"
    assert endpoint.is_loopback


def test_messages_name_host_and_port() -> None:
    assert parse_endpoint("http://[::1]:1234/ollama").authority == "[::1]:1234"


@given(st.text())
def test_any_text_gives_an_endpoint(text: str) -> None:
    endpoint = parse_endpoint(text)
    assert endpoint.without_secrets("x" * 10)
