"""Every setting, declared once: type, bounds and default as of any field, the rest by ``about``.

The descriptions are data, not comments: ``app/config/schema.py`` says what reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, field
from msgspec.structs import asdict

from gpumon.app.alerts.limits import Limits
from gpumon.app.config.checks import (
    AUTO,
    color_problem,
    theme_problem,
    topic_problem,
    url_problem,
    without_topic,
)
from gpumon.app.config.schema import Flag, Table, about, masked, without_password
from gpumon.collectors.http.endpoint import parse_host
from gpumon.collectors.source import Cadence

if TYPE_CHECKING:
    from gpumon.app.alerts.limits import Limits

EVERY_URL = "*"
"""The table of ``headers`` that is sent to every server."""

HeaderName = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")]
"""A field name (RFC 9110 §5.6.2)."""
HeaderValue = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""A field value: no control characters, so that none can start another header."""
HeaderTable = dict[HeaderName, HeaderValue]
Url = Annotated[str, Meta(pattern=r"^(?:https?://)?(?![A-Za-z]+://)[^\s\x00-\x1f\x7f]+\Z")]
"""An http or https URL, or a host as Ollama takes it: ``box``, ``box:11434``."""
Argument = Annotated[str, Meta(pattern=r"^[^\x00]*\Z")]
Color = Annotated[str, Meta(pattern=r"^(#[0-9A-Fa-f]{3,8}|[a-z][a-z_0-9]*)\Z")]
"""``#rgb``, ``#rrggbb``, or a name that Textual knows."""
Percent = Annotated[float, Meta(ge=0, le=100)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class Panels(Table, frozen=True):
    """The parts of the screen that are shown."""

    gpus: Annotated[bool, about("A line or two for each GPU.")] = True
    models: Annotated[bool, about("A row for each loaded model.")] = True
    chart: Annotated[bool, about("History of the VRAM in use, where there is room.")] = True
    memory: Annotated[bool, about("System RAM and swap.")] = True
    alerts: Annotated[bool, about("What happened, newest first.")] = True
    sources: Annotated[bool, about("What is asked, and how it answers.")] = True


class AlertSettings(Table, frozen=True):
    """When an alert is raised, and what is then run.

    All but ``hook`` are fields of ``Limits``.
    """

    spill_bad_percent: Annotated[
        Percent, about("A spill is bad from this share of the model in system RAM upwards.")
    ] = 5.0
    vram_nearly_full_percent: Annotated[
        Percent, about("A GPU is nearly full from this share of its memory upwards.")
    ] = 97.0
    ram_low_percent: Annotated[
        Percent, about("System RAM is low when less than this share is available.")
    ] = 8.0
    temperature_margin_celsius: Annotated[
        Annotated[float, Meta(ge=0, le=50)],
        about("A GPU is hot this many degrees below the limit at which its driver slows it down."),
    ] = 3.0
    hold_seconds: Annotated[
        Seconds, about("How long full VRAM, low RAM or swapping must last to be reported.")
    ] = 5.0
    temperature_seconds: Annotated[Seconds, about("How long a GPU must be hot.")] = 3.0
    throttling_seconds: Annotated[
        Seconds, about("How long a GPU must be slowed down by heat or hardware.")
    ] = 3.0
    slower_percent: Annotated[Percent, about("A model is slow this far below its own usual decode rate.")] = (
        20.0
    )
    source_seconds: Annotated[Seconds, about("How long a source must fail.")] = 3.0
    clear_seconds: Annotated[
        Seconds, about("How long memory, heat and clocks must be well again to end an alert.")
    ] = 10.0
    hook: Annotated[
        tuple[Argument, ...],
        about(
            "A program to run for each alert, as a list of arguments; never given to a shell.",
            example=["notify-send", "gpumon"],
        ),
    ] = ()

    def limits(self) -> Limits:
        """Return the limits that the alert rules take."""
        from gpumon.app.alerts.limits import Limits  # noqa: PLC0415 - what only shows settings does without

        chosen = asdict(self)
        del chosen["hook"]
        return Limits(**chosen)


class NotifySettings(Table, frozen=True):
    """Who is told of alerts besides the screen."""

    terminal: Annotated[
        Literal["off", "auto", "osc9", "osc99", "osc777"],
        about("A notification of the desktop by the terminal; auto goes by which terminal it is."),
    ] = "off"
    ntfy: Annotated[
        str | None,
        about(
            "The address of a topic of ntfy; whoever knows it can read along.",
            example="https://ntfy.sh/a-name-that-nobody-guesses",
            variable="GPUMON_NTFY",
            check=topic_problem,
            secret=without_topic,
        ),
    ] = None
    ntfy_token: Annotated[
        HeaderValue | None,
        about(
            "The access token, where the topic wants one.",
            example="tk_...",
            variable="GPUMON_NTFY_TOKEN",
            look="a token without control characters",
            secret=masked,
        ),
    ] = None
    level: Annotated[
        Literal["bad", "watch"], about("The least that is told: bad, or watch for everything.")
    ] = "bad"


class LearnSettings(Table, frozen=True):
    """What is kept of one run for the next."""

    enabled: Annotated[
        bool, about("Keep usual rates of models in the state directory; never prompts or answers.")
    ] = True


class HistorySettings(Table, frozen=True):
    """What is kept of all runs, for weeks, in history.db in the state directory."""

    enabled: Annotated[
        bool,
        about(
            "Keep a row a minute of each model and GPU, and one for each request, load and event; never "
            "prompts or answers.",
            flag=Flag("history", "--history"),
            variable="GPUMON_HISTORY",
        ),
    ] = True
    days: Annotated[Annotated[int, Meta(ge=1, le=3650)], about("For how many days it is kept.")] = 90
    size_mib: Annotated[
        Annotated[int, Meta(ge=5, le=100_000)],
        about("How large it may get, in MiB; then the oldest days are forgotten."),
    ] = 200


def _color(description: str, example: str) -> Meta:
    look = 'a colour such as "#88c0d0" or "red"'
    return about(description, example=example, look=look, check=color_problem)


class Colors(Table, frozen=True):
    """Colours that replace those of the chosen theme, under the names of Textual's themes."""

    primary: Annotated[Color | None, _color("Titles and accents.", "#88c0d0")] = None
    secondary: Annotated[Color | None, _color("Second accent.", "#81a1c1")] = None
    accent: Annotated[Color | None, _color("Focus and selection.", "#b48ead")] = None
    success: Annotated[Color | None, _color("All is well.", "#a3be8c")] = None
    warning: Annotated[Color | None, _color("Watch this.", "#ebcb8b")] = None
    error: Annotated[Color | None, _color("Bad: a spill, a fault.", "#bf616a")] = None
    foreground: Annotated[Color | None, _color("Text.", "#d8dee9")] = None
    background: Annotated[Color | None, _color("Behind all.", "#2e3440")] = None
    surface: Annotated[Color | None, _color("Behind a panel.", "#3b4252")] = None
    panel: Annotated[Color | None, _color("Behind a heading.", "#434c5e")] = None


ASSUMED_URLS = (parse_host("").url,)
"""Whom to ask where nobody names a server."""


HostName = Annotated[str, Meta(pattern=r"^(?!-)[^\s\x00-\x1f\x7f]+\Z")]
"""As ssh takes it."""


class HostSettings(Table, frozen=True):
    """A machine that is reached over ssh."""

    name: HostName
    command: Argument = "gpumon"


class ServerSettings(Table, frozen=True):
    """Which servers are asked beside those that are named."""

    find: Annotated[
        bool,
        about(
            "Ask every server that is found among this machine's processes, on its loopback address; one in "
            "a container where its port is published. One that nobody has named is sent the headers of its "
            "own URL only, not those under *.",
            flag=Flag("sources", "--find"),
            variable="GPUMON_FIND",
        ),
    ] = True


class Settings(Table, frozen=True):
    """Everything that can be set."""

    interval_seconds: Annotated[
        Annotated[float, Meta(ge=Cadence.MINIMUM, le=Cadence.MAXIMUM)],
        about(
            "Seconds between two looks while something happens.",
            flag=Flag("sources", "--interval", "SECONDS"),
            variable="GPUMON_INTERVAL",
        ),
    ] = 1.0
    urls: Annotated[
        tuple[Url, ...],
        Meta(min_length=1),
        about(
            "The servers to ask; OLLAMA_HOST, or this machine's Ollama, if not set.",
            flag=Flag("sources", "--url", "URL", help="a server to ask; may be repeated"),
            variable="GPUMON_URL",
            look='a URL such as "http://box:11434"',
            check=url_problem,
            secret=without_password,
        ),
    ] = ASSUMED_URLS
    ca_file: Annotated[
        str | None,
        about(
            "Certificates (PEM) to trust for https in place of the public ones.",
            example="~/ca.pem",
            flag=Flag("sources", "--ca-file", "FILE"),
            variable="GPUMON_CA_FILE",
        ),
    ] = None
    insecure: Annotated[
        bool,
        about(
            "Do not check the certificate of an https server.",
            flag=Flag("sources", "--insecure"),
            variable="GPUMON_INSECURE",
        ),
    ] = False
    log_files: Annotated[
        tuple[Argument, ...],
        about(
            "Server logs to read instead of those that are found; what a journal, Docker or Kubernetes puts "
            "in front of a line is taken off.",
            example=["~/ollama.log"],
        ),
    ] = ()
    hosts: Annotated[
        tuple[HostName | HostSettings, ...],
        about(
            "The machines that gpumon --hosts watches, as ssh takes their names, and local for this one; as "
            "a table with the command by which gpumon is called there.",
            example=["local", {"name": "me@box", "command": "~/.local/bin/gpumon"}],
            look="names of hosts, or tables of name and command",
        ),
    ] = ()
    theme: Annotated[
        str,
        Meta(min_length=1),
        about(
            "Name of a Textual theme; auto follows the terminal.",
            flag=Flag("screen", "--theme", "NAME"),
            variable="GPUMON_THEME",
            check=theme_problem,
        ),
    ] = AUTO
    glyphs: Annotated[
        Literal["auto", "unicode", "ascii"],
        about(
            "Characters to draw with: auto, unicode or ascii.",
            flag=Flag(
                "screen",
                words={
                    "ascii": "draw with ASCII only",
                    "unicode": "draw with blocks and braille, whatever the terminal says",
                },
            ),
            variable="GPUMON_GLYPHS",
        ),
    ] = "auto"
    mouse: Annotated[
        bool,
        about(
            "Take clicks; off, the terminal can select text.",
            flag=Flag("screen", "--mouse"),
            variable="GPUMON_MOUSE",
        ),
    ] = True
    bell: Annotated[
        bool,
        about(
            "Ring the terminal's bell for a bad alert.",
            flag=Flag("screen", "--bell"),
            variable="GPUMON_BELL",
        ),
    ] = False
    read_only: Annotated[
        bool,
        about(
            "Look only: no key asks a server to do anything.",
            flag=Flag("screen", "--read-only"),
            variable="GPUMON_READ_ONLY",
        ),
    ] = False
    headers: Annotated[
        dict[Url, HeaderTable],
        about(
            "Headers to send: a table for each URL, or for every one under *.",
            example={
                EVERY_URL: {"X-Team": "research"},
                "http://127.0.0.1:11434": {"Authorization": "Bearer ..."},
            },
            flag=Flag(
                "sources",
                "--header",
                "HEADER",
                help='"Name: value" to send to every server, or "URL Name: value" to send to one; may be '
                "repeated. Other users can read flags: put a secret into the settings file or GPUMON_HEADER",
            ),
            variable="GPUMON_HEADER",
            look="tables of URLs with header names and values, without control characters",
            secret=masked,
        ),
    ] = field(default_factory=dict)
    servers: ServerSettings = field(default_factory=ServerSettings)
    panels: Panels = field(default_factory=Panels)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    learn: LearnSettings = field(default_factory=LearnSettings)
    history: HistorySettings = field(default_factory=HistorySettings)
    colors: Colors = field(default_factory=Colors)

    @property
    def names_servers(self) -> bool:
        """Whether anybody has said which servers to ask."""
        return self.urls is not ASSUMED_URLS

    def headers_for(self, url: str, *, is_named: bool = True) -> dict[str, str]:
        """Return the headers to send to ``url``; its own win over those for every server.

        A server that nobody has named may be anybody's program: it is sent its own only.

        Two spellings of a name that differ in case are one header (RFC 9110 §5.1).
        """
        server = parse_host(url).url
        own = (
            table for key, table in self.headers.items() if key != EVERY_URL and parse_host(key).url == server
        )
        sent: dict[str, tuple[str, str]] = {}
        for table in (self.headers.get(EVERY_URL, {}) if is_named else {}, *own):
            sent |= {name.lower(): (name, value) for name, value in table.items()}
        return dict(sent.values())
