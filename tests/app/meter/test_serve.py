from __future__ import annotations

import signal
import socket
import subprocess
import sys

import httpx
import pytest
from tests.collectors.ollama.support import free_port

from gpumon.app.cli.main import EXIT_USAGE, main
from gpumon.app.cli.meter import _announce
from gpumon.app.errors import GpumonError
from gpumon.app.listening import Address, bind, parse_address
from gpumon.collectors.http.endpoint import parse_endpoint


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:11435", Address("127.0.0.1", 11435)),
        (":11435", Address("127.0.0.1", 11435)),
        ("[::1]:0", Address("::1", 0)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: Address) -> None:
    assert parse_address(text, "127.0.0.1:11435") == address


@pytest.mark.parametrize("text", ["", "11435", "box", "box:", "box:70000", "box:x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(GpumonError, match="is not HOST:PORT"):
        parse_address(text, "127.0.0.1:11435")


@pytest.mark.parametrize(("host", "is_loopback"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False)])
def test_only_loopback_counts_as_this_machine_alone(host: str, is_loopback: bool) -> None:
    assert Address(host, 1).is_loopback is is_loopback


def test_a_port_that_is_taken_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with bind(Address("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["meter", "--listen", f"127.0.0.1:{port}"]) == EXIT_USAGE
    expected = f"gpumon: cannot listen on 127.0.0.1:{port}: address already in use\n"
    assert capsys.readouterr().err == expected


def test_a_meter_before_itself_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    arguments = ["meter", "--listen", f"127.0.0.1:{port}", "--upstream", f"http://localhost:{port}"]
    assert main(arguments) == EXIT_USAGE
    assert "is where the meter itself is to listen" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["ftp://box", "unix://x"])
def test_an_upstream_that_is_not_http_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["meter", "--listen", "127.0.0.1:0", "--upstream", url]) == EXIT_USAGE
    assert "is not an http or https URL" in capsys.readouterr().err


def test_certificates_that_cannot_be_read_are_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["meter", "--listen", "127.0.0.1:0", "--upstream", "https://box", "--ca-file", "/nowhere"]
    assert main(arguments) == EXIT_USAGE
    assert capsys.readouterr().err == "gpumon: cannot read certificates from /nowhere\n"


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert main(["meter"]) == EXIT_USAGE
    assert capsys.readouterr().err == (
        "gpumon: the meter needs uvicorn; install it with: "
        f"python3 -m pip --python {sys.executable} install uvicorn\n"
    )


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_ends_in_good_order(ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "gpumon.app", "meter", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.split()[3].rstrip(",")
        httpx.get(f"{url}/.gpumon/meter", trust_env=False, timeout=30).raise_for_status()
        process.send_signal(ending)
        rest, errors = process.communicate()
    assert line == f"gpumon meter at {url}, passing on to http://127.0.0.1:11434\n"
    assert (process.returncode, rest, errors) == (0, "", "")


def test_beyond_loopback_it_warns_and_quiet_says_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    _announce(Address("0.0.0.0", 11435), parse_endpoint("http://127.0.0.1:11434"), quiet=True)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "gpumon: http://0.0.0.0:11435 can be reached from other machines, without any password\n"
    )


def test_an_ipv6_address_can_be_bound() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with bind(Address("::1", 0)) as listening:
        assert listening.family == socket.AF_INET6
