"""``gpumon meter``: a pass-through that counts tokens, where nothing else can."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gpumon.app.cli.flags import Commands, add_command
from gpumon.app.errors import GpumonError

if TYPE_CHECKING:
    from gpumon.app.listening import Address
    from gpumon.collectors.http.endpoint import Endpoint

DEFAULT_LISTEN = "127.0.0.1:11435"
DEFAULT_UPSTREAM = "http://127.0.0.1:11434"


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "meter", "pass requests on to a server, and count their tokens")
    parser.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help=f"where; {DEFAULT_LISTEN} if not set"
    )
    parser.add_argument(
        "--upstream",
        default=DEFAULT_UPSTREAM,
        metavar="URL",
        help=f"the server to pass requests on to; {DEFAULT_UPSTREAM} if not set",
    )
    parser.add_argument(
        "--ca-file", type=Path, default=None, metavar="FILE", help="certificates to trust for https"
    )
    parser.add_argument("--insecure", action="store_true", help="do not check the certificate of the server")
    parser.add_argument("--quiet", action="store_true", help="do not say where it listens")
    parser.set_defaults(execute=execute)


def execute(options: Namespace) -> int:
    """Pass requests on until told to end."""
    _require_server()
    from gpumon.app.crash import run
    from gpumon.app.listening import Address, bind, parse_address
    from gpumon.app.meter.serve import serve

    wanted, upstream = parse_address(options.listen, DEFAULT_LISTEN), _upstream(options)
    with bind(wanted) as listening:
        address = Address(wanted.host, listening.getsockname()[1])
        _refuse_loop(address, upstream)
        _announce(address, upstream, quiet=options.quiet)
        run(serve(upstream, listening, check_host=address.is_loopback))
    return 0


def _require_server() -> None:
    from importlib.util import find_spec

    if find_spec("uvicorn") is None:
        step = f"python3 -m pip --python {sys.executable} install uvicorn"
        raise GpumonError(f"the meter needs uvicorn; install it with: {step}")


def _upstream(options: Namespace) -> Endpoint:
    from gpumon.app.config.checks import url_problem
    from gpumon.collectors.http.endpoint import parse_endpoint

    endpoint = parse_endpoint(options.upstream, None, options.ca_file, options.insecure)
    if endpoint.address.scheme not in {"http", "https"} or not endpoint.address.host:
        raise GpumonError(f"--upstream: {endpoint.url} is not an http or https URL")
    if wrong := url_problem(options.upstream):
        raise GpumonError(f"--upstream: {wrong}")
    return endpoint


def _refuse_loop(address: Address, upstream: Endpoint) -> None:
    same_host = upstream.address.host == address.host or (upstream.is_loopback and address.is_loopback)
    if same_host and upstream.address.port == address.port:
        raise GpumonError(f"--upstream: {upstream.url} is where the meter itself is to listen")


def _announce(address: Address, upstream: Endpoint, *, quiet: bool) -> None:
    if not address.is_loopback:
        sys.stderr.write(f"gpumon: {address.url} can be reached from other machines, without any password\n")
    if not quiet:
        sys.stdout.write(f"gpumon meter at {address.url}, passing on to {upstream.url}\n")
        sys.stdout.flush()
