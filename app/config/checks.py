"""What is wrong with a value that its type cannot tell, and what of it is not to be seen."""

from __future__ import annotations

from gpumon.app.config.schema import MASK
from gpumon.app.errors import did_you_mean
from gpumon.collectors.http.endpoint import parse_url

AUTO = "auto"
"""The theme that suits the terminal."""
OWN_THEME = "gpumon"


def color_problem(color: str) -> str | None:
    """Return what is wrong with a colour, ``None`` where it is one."""
    # Here, because most settings name no colour and Textual takes a while to import.
    from textual.color import Color, ColorParseError  # noqa: PLC0415

    try:
        Color.parse(color)
    except ColorParseError:
        return f'"{color}" is no colour'
    return None


def theme_problem(name: str) -> str | None:
    """Return what is wrong with the name of a theme, ``None`` where there is one of that name."""
    if name in {AUTO, OWN_THEME}:
        return None
    from textual.theme import BUILTIN_THEMES  # noqa: PLC0415

    known = sorted({AUTO, OWN_THEME, *BUILTIN_THEMES})
    if name in known:
        return None
    meant = did_you_mean(name, known) or f"; there are {', '.join(known)}"
    return f'no theme is called "{name}"{meant}'


def url_problem(url: str) -> str | None:
    """Return why a URL cannot be asked, ``None`` where it can."""
    try:
        parse_url(url)
    except ValueError as error:
        return str(error)
    return None


def topic_problem(url: str) -> str | None:
    """Return why nothing can be sent to a topic of ntfy, ``None`` where it can."""
    if not url.startswith(("http://", "https://")):
        return "expected the whole address of a topic, such as https://ntfy.sh/topic"
    if (wrong := url_problem(url)) is not None:
        return wrong
    return None if parse_url(url).path else "names no topic: it is what stands behind the host"


def without_topic(url: str) -> str:
    """Return the address of a topic with the topic, and a password, masked."""
    scheme, _, rest = url.partition("://")
    host = rest.rpartition("@")[2].partition("/")[0]
    return f"{scheme}://{host}/{MASK}"
