"""What a failed request says of a server, whatever its kind."""

from __future__ import annotations

from typing import get_args

import pytest

from gpumon.collectors.http.client import Reply, error_message
from gpumon.collectors.http.endpoint import Endpoint, parse_endpoint
from gpumon.collectors.http.failure import FailureKind, RequestError
from gpumon.collectors.samples import SourceHealth
from gpumon.collectors.servers.health import foreign, health_of_failure, health_of_status
from gpumon.collectors.servers.kind import ServerKind


class Toy(ServerKind):
    """A kind that words what is its own."""

    name = "toy"
    label = "Toy"
    key_hint = "give its key with --header"

    def start_hint(self, endpoint: Endpoint) -> str:
        address = "" if endpoint.is_loopback else " --host 0.0.0.0"
        return f"start it with: toy{address} --port {endpoint.address.port}"

    address_hint = "check --url; Toy's own port is 9000"


TOY = Toy()
HERE, THERE = parse_endpoint("127.0.0.1:9001"), parse_endpoint("toys.example:9001")


def told(reply: Reply, endpoint: Endpoint = HERE) -> SourceHealth:
    """Return what an answer says that its status settles."""
    health = health_of_status(reply, endpoint, TOY)
    assert health is not None
    return health


@pytest.mark.parametrize("kind", get_args(FailureKind))
@pytest.mark.parametrize("endpoint", [HERE, THERE])
def test_every_failure_has_a_state_words_and_a_next_step(kind: FailureKind, endpoint: Endpoint) -> None:
    health = health_of_failure(kind, endpoint, TOY)
    words = f"{health.detail} {health.hint}"
    assert health.detail
    assert health.hint
    assert not {"{", "}"} & set(words)
    assert not any(other in words for other in ("Ollama", "OLLAMA", "llama"))


def test_a_closed_port_says_how_to_start_the_server_here() -> None:
    health = health_of_failure("refused", HERE, TOY)
    assert (health.state, health.detail) == ("not_running", "connection refused at 127.0.0.1:9001")
    assert health.hint == "start it with: toy --port 9001"


def test_a_closed_port_of_another_machine_says_how_to_listen_there() -> None:
    health = health_of_failure("refused", THERE, TOY)
    assert (health.state, health.hint) == ("refused", "start it with: toy --host 0.0.0.0 --port 9001")


def test_no_answer_to_the_connection_is_a_matter_of_the_network_elsewhere_only() -> None:
    assert health_of_failure("connect_timeout", HERE, TOY).state == "hanging"
    assert health_of_failure("connect_timeout", THERE, TOY).state == "unreachable"


def test_a_defect_of_ours_is_not_blamed_on_the_address() -> None:
    health = health_of_failure("internal", HERE, TOY)
    assert health.detail == "internal error in the request"
    assert "--url" not in (health.hint or "")


def test_another_program_is_answered_with_the_servers_own_port() -> None:
    health = foreign(HERE, TOY)
    assert health.detail == "another program answers at 127.0.0.1:9001"
    assert health.hint == "check --url; Toy's own port is 9000"


def test_a_missing_key_is_asked_for_in_the_servers_words() -> None:
    assert told(Reply(401, {}, b"")).detail == "HTTP 401: credentials are asked for"
    assert told(Reply(401, {}, b"")).hint == "give its key with --header"
    assert told(Reply(403, {}, b"")).detail == "HTTP 403: access denied"


def test_the_servers_own_words_are_quoted_without_our_secrets() -> None:
    endpoint = parse_endpoint("http://me:hunter2@127.0.0.1:9001")
    reply = Reply(500, {}, b'{"error": "no\\n hunter2"}')
    assert error_message(reply, endpoint) == "no ***"
    assert told(reply, endpoint).detail == "HTTP 500: no ***"
    assert told(reply, endpoint).hint == "see Toy's own log"


def test_a_page_for_people_is_a_proxys() -> None:
    health = told(Reply(502, {"content-type": "text/html"}, b"<html>"))
    assert health.detail == "HTTP 502 (Bad Gateway), from a proxy"
    assert health.hint == "check that Toy runs behind the proxy"


def test_a_redirect_is_not_followed() -> None:
    health = told(Reply(302, {"location": "https://a.example/b?token=t"}, b""))
    assert health.detail == "127.0.0.1:9001 redirects to https://a.example"


def test_a_failure_says_nothing_but_its_kind() -> None:
    assert str(RequestError("reset")) == "reset"
