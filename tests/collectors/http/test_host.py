"""``OLLAMA_HOST`` by Ollama's rules (envconfig/config_test.go), and what a user gives with ``--url``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.http.endpoint import is_loopback_host, parse_host


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":1234", "http://127.0.0.1:1234"),
        ("1.2.3.4:1234", "http://1.2.3.4:1234"),
        ("example.com", "http://example.com:11434"),
        ("example.com:1234", "http://example.com:1234"),
        ("example.com:", "http://example.com:11434"),
        (":0", "http://127.0.0.1:0"),
        (":66000", "http://127.0.0.1:11434"),
        (":-1", "http://127.0.0.1:11434"),
        (":text", "http://127.0.0.1:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::1]:1337", "http://[::1]:1337"),
        ("0:0:0:0:0:0:0:1", "http://[::1]:11434"),
        (" 1.2.3.4 ", "http://1.2.3.4:11434"),
        ('"1.2.3.4"', "http://1.2.3.4:11434"),
        (' " 1.2.3.4 " ', "http://1.2.3.4:11434"),
        ("'1.2.3.4'", "http://1.2.3.4:11434"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("http://1.2.3.4:4321", "http://1.2.3.4:4321"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://1.2.3.4:4321", "https://1.2.3.4:4321"),
        ("https://1.2.3.4:66000", "https://1.2.3.4:443"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
        ("https://example.com/ollama/", "https://example.com:443/ollama"),
        ("example.com/ollama", "http://example.com:11434/ollama"),
        ("ollama.com", "https://ollama.com:443"),
        ("HTTPS://example.com", "https://example.com:443"),
    ],
)
def test_ollamas_own_examples(text: str, url: str) -> None:
    assert parse_host(text).url == url


@pytest.mark.parametrize(
    ("bound", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("http://0.0.0.0:1234", "http://127.0.0.1:1234"),
        ("[::]", "http://[::1]:11434"),
        ("::", "http://[::1]:11434"),
        ("[::]:1234", "http://[::1]:1234"),
    ],
)
def test_an_address_to_bind_to_becomes_one_to_connect_to(bound: str, url: str) -> None:
    assert parse_host(bound).url == url


@pytest.mark.parametrize(
    ("text", "username", "password"),
    [
        ("http://user:secret@example.com", "user", "secret"),
        ("http://user@example.com", "user", ""),
        ("http://user:p%40ss%3Aword@example.com", "user", "p@ss:word"),
        ("http://user:p@ss@example.com", "user", "p@ss"),
        ("http://user:p/s?s#@example.com", "user", "p/s?s#"),
        ("user:secret@example.com:80", "user", "secret"),
        ("http://example.com", None, None),
    ],
)
def test_credentials_are_taken_apart_from_the_address(
    text: str, username: str | None, password: str | None
) -> None:
    address = parse_host(text)
    assert (address.username, address.password) == (username, password)
    assert address.url == "http://example.com:80"


@pytest.mark.parametrize("end", ["?token=secret", "#secret", "/?token=secret", "/#/secret"])
def test_query_and_fragment_are_dropped(end: str) -> None:
    assert parse_host("http://example.com" + end).url == "http://example.com:80"


def test_the_representation_hides_credentials() -> None:
    assert "secret" not in repr(parse_host("http://user:secret@example.com"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "gpu.localhost"])
def test_addresses_of_this_machine_are_loopback(host: str) -> None:
    assert is_loopback_host(host)


@pytest.mark.parametrize("host", ["192.168.1.2", "example.com", "localhost.example.com", "", "fe80::1"])
def test_addresses_of_other_machines_are_not_loopback(host: str) -> None:
    assert not is_loopback_host(host)


URLISH = st.text(alphabet="abz0189.:/@[]?#%'\" -\\\t\n\0é\ud800", max_size=40)


@given(st.text() | URLISH | URLISH.map("http://".__add__))
def test_any_text_gives_an_address(text: str) -> None:
    address = parse_host(text)
    assert 0 <= address.port <= 65535
    assert address.url.encode("utf-8"), "a name must be writable"
    assert not address.path.endswith("/")


@given(st.text(alphabet="abz:/@?#%[] é", min_size=1).map("hunter2".__add__))
def test_a_password_never_gets_into_the_url(password: str) -> None:
    assert "hunter2" not in parse_host(f"http://user:{password}@example.com/ollama").url


def test_an_at_sign_in_the_path_makes_no_credentials() -> None:
    assert parse_host("http://example.com:81/@team/ollama").url == "http://example.com:81/@team/ollama"
