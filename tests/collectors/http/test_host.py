"""``OLLAMA_HOST`` by Ollama's rules (envconfig/config_test.go), and what a user gives with ``--url``."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.http.endpoint import is_loopback_host, parse_host, parse_url


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


@pytest.mark.parametrize(
    "text", ["http://[fe80::1%25eth0]:1", "http://[fe80::1%eth0]:1", "[fe80::1%25eth0]:1", "[fe80::1%eth0]:1"]
)
def test_the_interface_of_a_link_local_address_is_understood(text: str) -> None:
    address = parse_host(text)
    assert (address.host, address.port, address.zone) == ("fe80::1%eth0", 1, "eth0")
    assert address.url == "http://[fe80::1%25eth0]:1"
    assert address.url_to_connect == "http://[fe80::1%eth0]:1"
    assert address.authority_without_zone == "[fe80::1]:1"
    assert parse_host(address.url) == address


def test_a_link_local_address_alone_keeps_its_interface() -> None:
    assert parse_host("fe80::1%eth0").url == "http://[fe80::1%25eth0]:11434"


@pytest.mark.parametrize("host", ["gpu.example", "127.0.0.1", "::1"])
def test_no_other_address_has_an_interface(host: str) -> None:
    assert parse_host(host).zone == ""


@pytest.mark.parametrize(
    "text",
    [
        "box",
        "box:1",
        "box:65535",
        ":8080",
        "http://box",
        "HTTPS://box:8443/ollama",
        "http://user:p@ss@box:1",
        "http://[fe80::1%25eth0]:1",
        "::1",
        " 'http://box' ",
    ],
)
def test_a_url_that_can_be_used_is_the_address_of_the_lenient_rule(text: str) -> None:
    assert parse_url(text) == parse_host(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://127.0.0.1:99999", "port 99999 is not between 1 and 65535"),
        ("127.0.0.1:65536", "port 65536 is not between 1 and 65535"),
        ("http://box:0", "port 0 is not between 1 and 65535"),
        ("http://box:-1", "port -1 is not between 1 and 65535"),
        ("http://box:http", "port http is not between 1 and 65535"),
        ("http://[::1]:70000", "port 70000 is not between 1 and 65535"),
        ("ftp://box", "ftp:// is neither http:// nor https://"),
        ("http://", "no host is named"),
        ("http://:8080", "no host is named"),
        ("http://a b:1", "the host holds a blank or a control character"),
        ("http://a\x1b[31m", "the host holds a blank or a control character"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_url(text)


@given(st.text() | st.text(alphabet="abz0189.:/@[]?#%' -\n\0é\ud800", max_size=40).map("http://".__add__))
def test_any_text_is_either_a_url_or_refused_in_one_line(text: str) -> None:
    assert len(refusal_of(text).splitlines()) <= 1


def refusal_of(text: str) -> str:
    try:
        parse_url(text)
    except ValueError as refusal:
        return str(refusal)
    return ""


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
