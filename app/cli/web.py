"""``gpumon web``: the dashboard in a browser. Run as a module it is the dashboard of one tab."""

from __future__ import annotations

import platform
import socket
import sys
from argparse import ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from gpumon.app.cli.common import load_settings
from gpumon.app.cli.flags import Commands, add_command, add_history_flags, add_screen_flags, add_source_flags
from gpumon.app.errors import GpumonError

if TYPE_CHECKING:
    from gpumon.app.config.settings import Settings
    from gpumon.app.listening import Address
    from gpumon.app.session.session import Session
    from gpumon.app.web.page import Door, Page

DEFAULT_LISTEN = "127.0.0.1:8765"
DEFAULT_TABS = 8
MOST_TABS = 64


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "web", "show the dashboard in a browser, to look at only")
    parser.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help=f"where; {DEFAULT_LISTEN} if not set"
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers may ask for this machine, besides localhost; may be repeated",
    )
    parser.add_argument(
        "--tabs",
        type=tabs,
        default=DEFAULT_TABS,
        metavar="N",
        help=f"at most so many at once, each about 60 MB; {DEFAULT_TABS} if not set",
    )
    parser.add_argument(
        "--demo", metavar="SCENARIO", help="show a built-in scenario in place of this machine"
    )
    parser.set_defaults(execute=execute)
    add_source_flags(parser)
    add_history_flags(parser)
    add_screen_flags(parser)


def execute(options: Namespace) -> int:
    """Serve the dashboard until told to end."""
    _require_server()
    from gpumon.app.crash import run
    from gpumon.app.listening import Address, bind, parse_address

    settings = load_settings(options).settings
    wanted = parse_address(options.listen, DEFAULT_LISTEN)
    with bind(wanted) as listening:
        address = Address(wanted.host, listening.getsockname()[1])
        session = _session(settings, options.demo)
        page = _page(address, session, settings, options)
        _announce(address, page)
        run(_served(session, page, settings, listening))
    return 0


def tabs(text: str) -> int:
    """Return how many tabs may be open.

    Raises:
        ArgumentTypeError: it is no such number.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MOST_TABS):
        raise ArgumentTypeError(f"expected a number from 1 to {MOST_TABS}")
    return int(text)


def _require_server() -> None:
    from importlib.util import find_spec

    if find_spec("textual_serve") is None:
        step = f"python3 -m pip --python {sys.executable} install textual-serve"
        raise GpumonError(f"the browser page needs textual-serve; install it with: {step}")


def _session(settings: Settings, scenario: str | None) -> Session:
    from gpumon.app.session.build import demo_session, live_session

    return live_session(settings) if scenario is None else demo_session(settings, scenario)


def _page(address: Address, session: Session, settings: Settings, options: Namespace) -> Page:
    import msgspec

    from gpumon.app.session.build import looks_of
    from gpumon.app.web.page import Page
    from gpumon.app.web.tabs import Tabs

    choices = msgspec.json.encode(looks_of(settings))
    fed = Tabs(session.monitor, choices, options.tabs, session.feed.marks)
    return Page(address, _door(address, options.allow_host), fed, title=f"gpumon {platform.node()}".rstrip())


def _door(address: Address, allowed: list[str]) -> Door:
    """Let those in who know the token and ask for this machine by a name that it has."""
    from gpumon.app.web.page import Door, new_token

    node = platform.node().lower()
    here = () if address.is_loopback else (address.host.lower(), node, f"{node}.local")
    names = {name for name in (*here, *map(str.lower, allowed)) if name}
    return Door(token=new_token(), hosts=names, takes_addresses=not address.is_loopback)


def _announce(address: Address, page: Page) -> None:
    if not address.is_loopback:
        sys.stderr.write(
            f"gpumon: {address.url} can be reached from other machines, and read on the way there\n"
        )
    sys.stdout.write(f"gpumon web, to look at only, at {page.address}\n")
    sys.stdout.flush()


async def _served(session: Session, page: Page, settings: Settings, listening: socket.socket) -> None:
    from gpumon.app.cli.notify import say
    from gpumon.app.cli.recordings import until_told_to_end
    from gpumon.app.session.telling import telling
    from gpumon.app.web.page import serving

    async with serving(page, listening), telling(session, settings, say, None):
        await until_told_to_end(session)


def show_tab(connection: socket.socket) -> int:
    """Show the dashboard of a tab until it is closed.

    Raises:
        GpumonError: who feeds it has ended.
    """
    import msgspec

    from gpumon.app.config.settings import Settings
    from gpumon.app.feeds.followed import FollowedFeed, receive
    from gpumon.app.session.build import followed_session
    from gpumon.app.ui.launch import run_dashboard

    settings = msgspec.json.decode(receive(connection).payload, type=Settings)
    return run_dashboard(settings, followed_session(settings, FollowedFeed(connection)))


if __name__ == "__main__":
    from gpumon.app.cli.main import guarded, start_log

    start_log(debug=False)
    sys.exit(guarded(lambda: show_tab(socket.socket(fileno=int(sys.argv[1])))))
