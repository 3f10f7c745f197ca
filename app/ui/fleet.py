"""The app that shows several machines, and the dashboard of each when it is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from textual import on
from textual.theme import Theme

from gpumon.app.config.settings import Settings
from gpumon.app.session.fleet import Fleet, Host, HostFleet
from gpumon.app.session.session import Session
from gpumon.app.session.telling import MakeTeller
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.launch import chosen_colors, forget_exported_size, hidden_panels, teller_for
from gpumon.app.ui.model_actions import ModelActions
from gpumon.app.ui.screens.fleet import FleetScreen, HostScreen
from gpumon.app.ui.screens.help import HelpScreen
from gpumon.app.ui.textual_internals import SteadyScreen
from gpumon.app.ui.themes import theme_named
from gpumon.collectors.samples import AnySample
from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.kit.lines import Glyphs


class FleetApp(GpumonApp):
    """All hosts first; ``session`` is that of the host whose dashboard is open, else that of all."""

    def __init__(
        self,
        session: Session,
        fleet: Fleet,
        glyphs: Glyphs,
        *,
        hosts: Sequence[Host] = (),
        theme: Theme | None = None,
        colors: Mapping[str, str] | None = None,
        bell: bool = False,
        teller: MakeTeller | None = None,
    ) -> None:
        super().__init__(session, glyphs, theme=theme, colors=colors, bell=bell, teller=teller)
        self._fleet = fleet
        self._hosts = tuple(hosts)
        self._of_all = session
        self._actions_by_session: dict[int, ModelActions] = {}

    def get_default_screen(self) -> SteadyScreen[None]:  # type: ignore[override]  # not of one machine
        """Open with all hosts."""
        return FleetScreen(self._of_all, self._fleet, self.glyphs)

    def _listen(self) -> None:
        for host in self._hosts:
            host.session.monitor.listen(partial(self._on_host_sample, host), "screen")

    def _on_host_sample(self, host: Host, sample: AnySample) -> None:
        for actions in self._actions_by_session.values():
            actions.look()
        self.hear(sample, host.news(), host.name)

    def action_help(self) -> None:
        """Explain the keys, those of several hosts first."""
        self.push_screen(HelpScreen(self.glyphs, self.session, several=True))

    def _actions(self) -> ModelActions:
        key = id(self.session)
        if key not in self._actions_by_session:
            self._actions_by_session[key] = ModelActions(self, self.session, self.glyphs)
        return self._actions_by_session[key]

    @on(FleetScreen.HostOpened)
    def open_host(self, message: FleetScreen.HostOpened) -> None:
        """Show the dashboard of a host: keys are about it from now on."""
        if isinstance(self.screen, FleetScreen):
            self.session = message.host.session
            self.push_screen(HostScreen(message.host, self.glyphs))

    @on(FleetScreen.AllShown)
    def show_all(self) -> None:
        """Have keys be about all hosts again."""
        if isinstance(self.screen, FleetScreen):
            self.session = self._of_all

    def on_unmount(self) -> None:  # type: ignore[override]  # Textual calls that of the base class as well
        """Leave with the session of all: it closes the others."""
        self.session = self._of_all


def run_fleet(settings: Settings, session: Session, fleet: Fleet) -> int:
    """Show the hosts until the user leaves, and return the exit code."""
    forget_exported_size()
    hosts = fleet.hosts if isinstance(fleet, HostFleet) else ()
    for host in hosts:
        host.session.choices.hidden |= hidden_panels(settings.panels)
    app = FleetApp(
        session,
        fleet,
        ASCII if settings.glyphs == "ascii" else UNICODE,
        hosts=hosts,
        theme=theme_named(settings.theme),
        colors=chosen_colors(settings.colors),
        bell=settings.bell,
        teller=teller_for(settings, session),
    )
    code = app.run(mouse=settings.mouse) or 0
    return 1 if app.crashed else code
