"""Every key in one place: the bindings, the footer's hints and the help page come from here."""

from __future__ import annotations

from msgspec import Struct
from textual.binding import Binding


class Key(Struct, frozen=True):
    """A binding with the words that explain it."""

    keys: str
    """As Textual spells them, a comma between alternatives."""
    action: str
    shown: str
    """As a person reads them: ``↑ k``."""
    label: str
    """A word or two for the footer; empty keeps it out of the footer."""
    help: str

    @property
    def binding(self) -> Binding:
        """Return the Textual binding."""
        return Binding(self.keys, self.action, self.help, show=bool(self.label), key_display=self.shown)


MOVE_KEYS = (
    Key("down,j", "move(1)", "↓ j", "", "next row"),
    Key("up,k", "move(-1)", "↑ k", "", "previous row"),
    Key("pagedown,ctrl+d,ctrl+f", "move(10)", "PgDn ^d", "", "ten rows down"),
    Key("pageup,ctrl+u,ctrl+b", "move(-10)", "PgUp ^u", "", "ten rows up"),
    Key("home,g", "move(-10000)", "Home g", "", "first row"),
    Key("end,G", "move(10000)", "End G", "", "last row"),
)

MODEL_KEYS = (
    Key("u", "app.unload", "u", "unload", "unload the model, after a question"),
    Key("y", "app.copy", "y", "copy", "copy the command that helps the model"),
)

DASHBOARD_KEYS = (
    Key("enter,l,right", "open", "Enter", "details", "page of the selected model or GPU"),
    Key("tab,shift+tab", "switch_panel", "Tab", "panel", "move between GPUs and models"),
    *MOVE_KEYS,
    Key("slash,f3,f4", "filter", "/", "filter", "show only models whose name contains a text"),
    Key("escape", "clear", "Esc", "", "drop the filter, go back"),
    Key("s,f6", "sort(1)", "s", "", "sort models by spill, name, VRAM, time loaded"),
    Key("S,R,I", "reverse", "S", "", "reverse the order"),
    Key("a", "acknowledge", "a", "ack", "acknowledge the alerts"),
    Key("f", "fit", "f", "fit", "whether an installed model fits, before it is loaded"),
    *MODEL_KEYS,
    Key("1", "toggle_panel('gpus')", "1", "", "show or hide the GPUs"),
    Key("2", "toggle_panel('models')", "2", "", "show or hide the models"),
    Key("3", "toggle_panel('memory')", "3", "", "show or hide RAM and swap"),
    Key("4", "toggle_panel('alerts')", "4", "", "show or hide the alerts"),
    Key("5", "toggle_panel('chart')", "5", "", "show or hide the chart"),
)

VIEW_KEYS = (
    Key("escape,backspace,left,h", "leave", "Esc", "back", "back to the dashboard"),
    Key("down,j", "scroll(1)", "↓ j", "", "scroll down"),
    Key("up,k", "scroll(-1)", "↑ k", "", "scroll up"),
    Key("pagedown,ctrl+d,ctrl+f", "scroll(10)", "PgDn ^d", "", "a page down"),
    Key("pageup,ctrl+u,ctrl+b", "scroll(-10)", "PgUp ^u", "", "a page up"),
    Key("home,g", "scroll(-10000)", "Home g", "", "to the top"),
    Key("end,G", "scroll(10000)", "End G", "", "to the bottom"),
    Key("n,tab", "neighbour(1)", "n", "next", "next model or GPU"),
    Key("p,shift+tab", "neighbour(-1)", "p", "previous", "previous model or GPU"),
    Key("w", "window", "w", "window", "history of 5 minutes, an hour, a day"),
)

PAGE_KEYS = (*VIEW_KEYS, *MODEL_KEYS)

FIT_LIST_KEYS = (
    Key("enter,l,right", "open", "Enter", "does it fit", "whether the selected model fits"),
    Key("slash,f3,f4", "filter", "/", "filter", "show only models whose name contains a text"),
    Key("escape,backspace,left,h", "leave", "Esc", "back", "drop the filter, back to the dashboard"),
    *MOVE_KEYS,
)

FIT_PAGE_KEYS = (
    Key("escape,backspace,h", "leave", "Esc", "back", "back to the list"),
    Key("plus,equals_sign,right", "context(1)", "+", "longer context", "next longer context, or Right"),
    Key("minus,underscore,left", "context(-1)", "-", "shorter", "next shorter context, or Left"),
    Key("k", "cache", "k", "cache type", "keep the context as f16, q8_0, q4_0"),
    Key("r", "reset", "r", "reset", "context and cache type as the server takes them"),
    Key("down,j", "scroll(1)", "↓ j", "", "scroll down"),
    Key("up", "scroll(-1)", "↑", "", "scroll up"),
    Key("pagedown,ctrl+d,ctrl+f", "scroll(10)", "PgDn ^d", "", "a page down"),
    Key("pageup,ctrl+u,ctrl+b", "scroll(-10)", "PgUp ^u", "", "a page up"),
    Key("home,g", "scroll(-10000)", "Home g", "", "to the top"),
    Key("end,G", "scroll(10000)", "End G", "", "to the bottom"),
)

CONFIRM_KEYS = (
    Key("y,enter", "answer(True)", "y Enter", "yes", "yes"),
    Key("n,escape,q", "answer(False)", "n Esc", "no", "no"),
)

PALETTE_KEYS = (
    Key("down", "move(1)", "↓", "", "next"),
    Key("up", "move(-1)", "↑", "", "previous"),
    Key("pagedown", "move(10)", "PgDn", "", "ten on"),
    Key("pageup", "move(-10)", "PgUp", "", "ten back"),
    Key("escape", "leave", "Esc", "", "close"),
)

APP_KEYS = (
    Key("space", "pause", "Space", "pause", "freeze the screen; collecting goes on"),
    Key("plus,equals_sign", "interval(1)", "+", "", "longer interval between samples"),
    Key("minus,underscore", "interval(-1)", "-", "", "shorter interval"),
    Key("t", "next_theme", "t", "", "next colour theme"),
    Key("ctrl+p,colon", "command_palette", "^p :", "", "command palette"),
    Key("ctrl+l", "repaint", "^l", "", "redraw the screen"),
    Key("ctrl+z", "suspend_process", "^z", "", "suspend; continue with fg"),
    Key("question_mark,f1", "help", "?", "help", "every key and mark"),
    Key("q,ctrl+c,f10", "quit", "q", "quit", "quit"),
)

REPLAY_KEYS = (
    Key("full_stop", "step", ".", "step", "pause and go one second on"),
    Key("comma", "seek(-10)", ",", "-10 s", "ten seconds back"),
    Key("semicolon", "seek(10)", ";", "+10 s", "ten seconds on"),
    Key("less_than_sign", "seek(-60)", "<", "", "a minute back"),
    Key("greater_than_sign", "seek(60)", ">", "", "a minute on"),
    Key("left_square_bracket", "speed(-1)", "[", "slower", "half the speed"),
    Key("right_square_bracket", "speed(1)", "]", "faster", "twice the speed"),
)

DEMO_KEYS = (
    Key("right_curly_bracket", "scenario(1)", "}", "next scenario", "next scenario, from its beginning"),
    Key("left_curly_bracket", "scenario(-1)", "{", "", "previous scenario"),
)


def bindings(*groups: tuple[Key, ...]) -> list[Binding]:
    """Return the Textual bindings of some groups of keys."""
    return [key.binding for group in groups for key in group]


def hints(*groups: tuple[Key, ...]) -> tuple[tuple[str, str], ...]:
    """Return (key, label) of the keys that the footer names."""
    return tuple((key.shown, key.label) for group in groups for key in group if key.label)
