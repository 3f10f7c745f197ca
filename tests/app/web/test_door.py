"""Who is let in: those who know the token, ask by a name of this server, and come from no other site."""

from __future__ import annotations

import pytest

from gpumon.app.web.page import NO_TOKEN, WRONG_HOST, WRONG_ORIGIN, Door, new_token

TOKEN = "b4kQ9Zt2LwXy7Rj0VnUe5sHcAoGmPd1f"  # noqa: S105 - of this test
LOCAL = Door(token=TOKEN)
OPEN = Door(token=TOKEN, hosts={"box", "box.local"}, takes_addresses=True)
HOST = "127.0.0.1:8765"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "localhost:8765", "[::1]:8765", "LOCALHOST", "localhost:9000"]
)
def test_a_name_of_loopback_means_it_whatever_the_port(host: str) -> None:
    assert LOCAL.refusal(host, None, "/", TOKEN) == ""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "192.168.1.5:8765",
        "",
        "@localhost",
        "[::1",
        "a/b",
    ],
)
def test_any_other_name_is_refused_even_with_the_token(host: str) -> None:
    assert LOCAL.refusal(host, None, "/", TOKEN) == WRONG_HOST


@pytest.mark.parametrize("host", ["192.168.1.5:8765", "[fe80::1]:8765", "box:8765", "BOX.local", "localhost"])
def test_where_others_reach_it_addresses_and_its_own_names_mean_it(host: str) -> None:
    assert OPEN.refusal(host, None, "/", TOKEN) == ""


def test_a_name_of_somebody_else_is_refused_there_too() -> None:
    assert OPEN.refusal("rebound.example:8765", None, "/", TOKEN) == WRONG_HOST


@pytest.mark.parametrize(
    "token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.swapcase(), "\N{SNOWMAN}", "\ud800"]
)
def test_nothing_is_to_be_had_without_the_token(token: str) -> None:
    for path in ("/", "/ws", "/ws/x", "/download/x", "/nothing"):
        assert LOCAL.refusal(HOST, f"http://{HOST}", path, token) == NO_TOKEN


def test_script_and_fonts_are_nobodys_and_need_none() -> None:
    assert LOCAL.refusal(HOST, None, "/static/js/textual.js", "") == ""


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:3000", "file://", "", "x"]
)
@pytest.mark.parametrize("path", ["/ws/token", "/"])
def test_a_page_of_another_site_is_refused_even_with_the_token(origin: str, path: str) -> None:
    assert LOCAL.refusal(HOST, origin, path, TOKEN) == WRONG_ORIGIN


def test_its_own_page_may_open_a_socket_behind_tls_too() -> None:
    assert LOCAL.refusal(HOST, f"http://{HOST}", "/ws/token", TOKEN) == ""
    assert OPEN.refusal("box", "https://box", "/ws/token", TOKEN) == ""


def test_a_socket_must_say_from_where_it_is_opened() -> None:
    assert LOCAL.refusal(HOST, None, "/ws/token", TOKEN) == WRONG_ORIGIN


def test_no_two_tokens_are_alike_and_all_are_long() -> None:
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 32
