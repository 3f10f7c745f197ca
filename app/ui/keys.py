"""Every key in one place: the bindings, the footer's hints and the help page come from here."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct
from textual.binding import Binding

from gpumon.widgets.hints import Hint


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
    listed: tuple[str, str] = ("", "")
    """Its line in the help if not these: shorter, or for its neighbours as well, which are ``NOT_LISTED``."""

    @property
    def binding(self) -> Binding:
        """Return the Textual binding."""
        return Binding(self.keys, self.action, self.help, show=bool(self.label), key_display=self.shown)


NOT_LISTED = ("", "-")
"""Of a key that another one names in the help."""

MOVE_KEYS = (
    Key("down,j", "move(1)", "↓ j", "", "next row", ("↓ ↑ j k", "next, previous row")),
    Key("up,k", "move(-1)", "↑ k", "", "previous row", NOT_LISTED),
    Key(
        "pagedown,ctrl+d,ctrl+f", "move(10)", "PgDn ^d", "", "ten rows down", ("PgDn PgUp", "ten rows; ^d ^u")
    ),
    Key("pageup,ctrl+u,ctrl+b", "move(-10)", "PgUp ^u", "", "ten rows up", NOT_LISTED),
    Key("g", "move(-10000)", "g", "", "first row", ("g G", "first, last row")),
    Key("G", "move(10000)", "G", "", "last row", NOT_LISTED),
)
END_KEYS = (
    Key("home", "move(-10000)", "Home", "", "first row", NOT_LISTED),
    Key("end", "move(10000)", "End", "", "last row", NOT_LISTED),
)
"""Where no time is to be moved."""

FILTER_HELP = "show only models whose name contains a text"

MODEL_KEYS = (
    Key(
        "u",
        "app.unload",
        "u",
        "unload",
        "unload the model, after a question",
        ("u", "unload, after a question"),
    ),
    Key(
        "y",
        "app.copy",
        "y",
        "copy",
        "copy the command that helps the model",
        ("y", "copy the line that helps"),
    ),
)

PANELS = {"gpus": "gpu", "models": "models", "chart": "charts", "memory": "ram", "alerts": "events"}
"""What the digits show and hide, in their order, and what it is called in the footer."""

PANEL_KEYS = tuple(
    Key(
        f"{digit}",
        f"toggle_panel('{panel}')",
        f"{digit}",
        "",
        f"show or hide: {label}",
        (f"1-{len(PANELS)}", "show or hide panels") if digit == 1 else NOT_LISTED,
    )
    for digit, (panel, label) in enumerate(PANELS.items(), start=1)
)

DASHBOARD_KEYS = (
    Key(
        "enter,l",
        "open",
        "Enter",
        "page",
        "page of the selected model or GPU, or of what an event is about",
        ("Enter", "page of the selected row"),
    ),
    Key(
        "tab",
        "switch_panel(1)",
        "Tab",
        "panel",
        "move between GPUs, models and events",
        ("Tab", "GPUs, models, events"),
    ),
    Key("shift+tab", "switch_panel(-1)", "S-Tab", "", "the same, backwards", NOT_LISTED),
    Key("slash,f3,f4", "filter", "/", "find", FILTER_HELP, ("/", "find models by name")),
    Key(
        "f",
        "fit",
        "f",
        "fit",
        "whether an installed model fits, before it is loaded",
        ("f", "which models would fit"),
    ),
    *MODEL_KEYS,
    Key("a", "acknowledge", "a", "ack", "acknowledge the alerts"),
    Key(
        "s,f6",
        "sort(1)",
        "s",
        "",
        "sort models by trouble, spill, name, VRAM, time loaded",
        ("s S", "next order; reversed"),
    ),
    Key("S,R,I", "reverse", "S", "", "reverse the order", NOT_LISTED),
    Key(
        "c",
        "chart",
        "c",
        "chart",
        "chart tokens a second, memory, utilisation, power, heat, context",
        ("c", "what is charted"),
    ),
    Key("w", "window", "w", "", "chart minutes, an hour, a day", ("w", "for how long")),
    *PANEL_KEYS,
    *MOVE_KEYS,
    Key("escape", "clear", "Esc", "", "back to now, drop the filter", ("Esc", "to now, drop the filter")),
)

FLEET_KEYS = (
    Key("enter,l,right", "open", "Enter", "its dashboard", "dashboard of the selected host"),
    Key("slash,f3,f4", "filter", "/", "find", "show only hosts whose name contains a text"),
    Key("s,f6", "sort(1)", "s", "", "sort hosts as named, by trouble, name, rate, memory"),
    Key("tab,shift+tab", "switch_panel(1)", "Tab", "", "move between hosts and events"),
    Key("escape", "clear", "Esc", "", "drop the filter"),
    *MOVE_KEYS,
    *END_KEYS,
)
HOST_KEYS = (
    Key("escape", "clear", "Esc", "all hosts", "back to now, drop the filter, back to all hosts"),
    Key("backspace,h", "leave", "h", "", "back to all hosts", NOT_LISTED),
)
"""Those of the dashboard of one host among several that it has not in common with that of one machine."""

SCROLL_KEYS = (
    Key("down,j", "scroll(1)", "↓ j", "", "scroll down", NOT_LISTED),
    Key("up,k", "scroll(-1)", "↑ k", "", "scroll up", NOT_LISTED),
    Key("pagedown,ctrl+d,ctrl+f", "scroll(10)", "PgDn ^d", "", "a page down", NOT_LISTED),
    Key("pageup,ctrl+u,ctrl+b", "scroll(-10)", "PgUp ^u", "", "a page up", NOT_LISTED),
    Key("g", "scroll(-10000)", "g", "", "to the top", NOT_LISTED),
    Key("G", "scroll(10000)", "G", "", "to the bottom", NOT_LISTED),
)
SCROLL_END_KEYS = (
    Key("home", "scroll(-10000)", "Home", "", "to the top", NOT_LISTED),
    Key("end", "scroll(10000)", "End", "", "to the bottom", NOT_LISTED),
)

VIEW_KEYS = (
    Key("escape", "back", "Esc", "back", "back to now, back to the dashboard"),
    Key("backspace,h", "leave", "h", "", "back to the dashboard", NOT_LISTED),
    *SCROLL_KEYS,
    Key("n,tab", "neighbour(1)", "n", "next", "next model or GPU", ("n p", "next, previous one")),
    Key("p,shift+tab", "neighbour(-1)", "p", "previous", "previous model or GPU", NOT_LISTED),
    Key(
        "w",
        "window",
        "w",
        "window",
        "history of 5 minutes, an hour, a day, a week, 30 days",
        ("w", "5 minutes to 30 days"),
    ),
)

CURES = 9
"""Of so many cures a digit copies the line."""
CURE_KEYS = (Key("1", "cure(1)", "1-9", "copy cure", "copy the line of that cure; up and down choose one"),)
DETAILS_KEYS = (Key("d", "details", "d", "details", "the rest of the figures, with where they come from"),)

PAGE_KEYS = (*VIEW_KEYS, *DETAILS_KEYS, *CURE_KEYS, *MODEL_KEYS)

FIT_LIST_KEYS = (
    Key("enter,l,right", "open", "Enter", "does it fit", "whether the selected model fits"),
    Key("slash,f3,f4", "filter", "/", "find", FILTER_HELP),
    Key("escape,backspace,left,h", "leave", "Esc", "back", "drop the filter, back to the dashboard"),
    *MOVE_KEYS,
    *END_KEYS,
)

FIT_PAGE_KEYS = (
    Key("escape,backspace", "leave", "Esc", "back", "back to the list", NOT_LISTED),
    Key(
        "plus,equals_sign,right,l",
        "context(1)",
        "+",
        "longer context",
        "next longer context",
        ("+ - → ←", "longer, shorter context"),
    ),
    Key("minus,underscore,left,h", "context(-1)", "-", "shorter", "next shorter context", NOT_LISTED),
    Key(
        "c",
        "cache",
        "c",
        "cache type",
        "keep the context as f16, q8_0, q4_0",
        ("c", "cache: f16, q8_0, q4_0"),
    ),
    Key(
        "r",
        "reset",
        "r",
        "reset",
        "context and cache type as the server takes them",
        ("r", "as the server takes them"),
    ),
    *SCROLL_KEYS,
    *SCROLL_END_KEYS,
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
    Key(
        "space",
        "pause",
        "Space",
        "pause",
        "freeze the screen; collecting goes on",
        ("Space", "freeze the screen"),
    ),
    Key(
        "plus,equals_sign",
        "interval(1)",
        "+",
        "",
        "longer interval between samples; a recording plays faster",
        ("+ -", "longer, shorter interval; speed"),
    ),
    Key(
        "minus,underscore",
        "interval(-1)",
        "-",
        "",
        "shorter interval between samples; a recording plays slower",
        NOT_LISTED,
    ),
    Key("t", "next_theme", "t", "", "next colour theme"),
    Key(
        "ctrl+p,colon",
        "command_palette",
        "^p :",
        "",
        "find keys, models, themes by name",
        ("^p :", "anything by its name"),
    ),
    Key("ctrl+l", "repaint", "^l", "", "redraw the screen", ("^l ^z", "redraw; suspend")),
    Key("ctrl+z", "suspend_process", "^z", "", "suspend; continue with fg", NOT_LISTED),
    Key("question_mark,f1", "help", "?", "help", "every key and mark"),
    Key("q,ctrl+c,f10", "quit", "q", "quit", "quit"),
)

REPLAY_KEYS = (
    Key("full_stop", "step", ".", "step", "pause and go one second on"),
    Key("comma", "seek(-10)", ",", "-10 s", "ten seconds back", (", ;", "ten seconds back, on")),
    Key("semicolon", "seek(10)", ";", "+10 s", "ten seconds on", NOT_LISTED),
    Key("less_than_sign", "seek(-60)", "<", "", "a minute back", ("< >", "a minute back, on")),
    Key("greater_than_sign", "seek(60)", ">", "", "a minute on", NOT_LISTED),
)

SPEED_HINTS = (Hint("-", "slower", "interval(-1)"), Hint("+", "faster", "interval(1)"))
"""What a player's speed goes by: the keys of the interval, which it has not."""

TIME_KEYS = (
    Key("left", "time(-1)", "←", "", "look a second back", ("← →", "a second back in time, on")),
    Key("right", "time(1)", "→", "", "look a second on", NOT_LISTED),
    Key("shift+left", "time(-60)", "S-←", "", "look a minute back", ("S-← S-→", "a minute back, on")),
    Key("shift+right", "time(60)", "S-→", "", "look a minute on", NOT_LISTED),
    Key(
        "left_square_bracket",
        "event(-1)",
        "[",
        "",
        "look at the event before",
        ("[ ]", "the event before, after"),
    ),
    Key("right_square_bracket", "event(1)", "]", "", "look at the next event", NOT_LISTED),
    Key("home", "oldest", "Home", "", "look as far back as is kept", ("Home End", "an hour back; to now")),
    Key("end", "now", "End", "", "back to now", NOT_LISTED),
)
"""They move the whole screen; in a recording they move that."""

PAST_HINTS = (
    Hint("End", "now", "now"),
    Hint("[", "event before", "event(-1)"),
    Hint("]", "next", "event(1)"),
    Hint("←", "1 s", "time(-1)"),
    Hint("S-←", "1 min", "time(-60)"),
)
"""What stands first in the footer while the screen looks back."""
BACK_HINT = Hint("←", "back in time", "time(-1)")

DEMO_KEYS = (
    Key("right_curly_bracket", "scenario(1)", "}", "next scenario", "next scenario, from its beginning"),
    Key("left_curly_bracket", "scenario(-1)", "{", "", "previous scenario"),
)


GROUPS = (
    DASHBOARD_KEYS,
    PAGE_KEYS,
    FIT_LIST_KEYS,
    FIT_PAGE_KEYS,
    APP_KEYS,
    TIME_KEYS,
    REPLAY_KEYS,
    DEMO_KEYS,
    FLEET_KEYS,
    HOST_KEYS,
)
"""Every key of a screen that can be found by its name, those that one wants first at the start."""


def bindings(*groups: tuple[Key, ...]) -> list[Binding]:
    """Return the Textual bindings of some groups of keys."""
    return [key.binding for group in groups for key in group]


def listed(*groups: tuple[Key, ...]) -> tuple[tuple[str, str], ...]:
    """Return (keys, words) of each line of the help, neighbours on one line."""
    return tuple(
        key.listed if key.listed[0] else (key.shown, key.help)
        for group in groups
        for key in group
        if key.listed != NOT_LISTED
    )


def hints(*groups: tuple[Key, ...]) -> tuple[Hint, ...]:
    """Return the keys that the footer names, as buttons."""
    return tuple(Hint(key.shown, key.label, key.action) for group in groups for key in group if key.label)


def switches(hidden: Collection[str]) -> tuple[Hint, ...]:
    """Return the keys that show and hide panels, dim for those of ``hidden``."""
    return tuple(
        Hint(key.shown, label, key.action, on=panel not in hidden)
        for key, (panel, label) in zip(PANEL_KEYS, PANELS.items(), strict=True)
    )
