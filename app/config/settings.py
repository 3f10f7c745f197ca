"""Every setting, with its default, its limits and its description.

The descriptions are data, not comments: the template, ``docs/configuration.md`` and the checks read them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import asdict

from gpumon.app.alerts.limits import Limits
from gpumon.collectors.http.endpoint import parse_host
from gpumon.collectors.source import Cadence

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

EVERY_URL = "*"
"""The table of ``headers`` that is sent to every server."""


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every TOML table whose keys are known."""


class Panels(Table, frozen=True):
    """The parts of the screen that are shown."""

    gpus: Annotated[bool, Meta(description="A line or two for each GPU.")] = True
    models: Annotated[bool, Meta(description="A row for each loaded model.")] = True
    memory: Annotated[bool, Meta(description="System RAM and swap.")] = True
    alerts: Annotated[bool, Meta(description="What happened, newest first.")] = True
    sources: Annotated[bool, Meta(description="What is asked, and how it answers.")] = True


class AlertSettings(Table, frozen=True):
    """When an alert is raised, and what is then run. All but ``hook`` are fields of ``Limits``."""

    spill_bad_percent: Annotated[
        Percent, Meta(description="A spill is bad from this share of the model in system RAM upwards.")
    ] = 5.0
    vram_nearly_full_percent: Annotated[
        Percent, Meta(description="A GPU is nearly full from this share of its memory upwards.")
    ] = 97.0
    ram_low_percent: Annotated[
        Percent, Meta(description="System RAM is low when less than this share is available.")
    ] = 8.0
    temperature_margin_celsius: Annotated[
        Annotated[float, Meta(ge=0, le=50)],
        Meta(description="A GPU is hot this many degrees below the limit at which its driver slows it down."),
    ] = 3.0
    hold_seconds: Annotated[
        Seconds, Meta(description="How long full VRAM, low RAM or swapping must last to be reported.")
    ] = 5.0
    temperature_seconds: Annotated[Seconds, Meta(description="How long a GPU must be hot.")] = 3.0
    throttling_seconds: Annotated[
        Seconds, Meta(description="How long a GPU must be slowed down by heat or hardware.")
    ] = 3.0
    slower_percent: Annotated[
        Percent, Meta(description="A model is slow this far below its own usual decode rate.")
    ] = 20.0
    source_seconds: Annotated[Seconds, Meta(description="How long a source must fail.")] = 3.0
    clear_seconds: Annotated[
        Seconds, Meta(description="How long memory, heat and clocks must be well again to end an alert.")
    ] = 10.0
    hook: Annotated[
        tuple[Argument, ...],
        Meta(
            description="A program to run for each alert, as a list of arguments; never given to a shell.",
            examples=[["notify-send", "gpumon"]],
        ),
    ] = ()

    def limits(self) -> Limits:
        """Return the limits that the alert rules take."""
        chosen = asdict(self)
        del chosen["hook"]
        return Limits(**chosen)


class LearnSettings(Table, frozen=True):
    """What is kept of one run for the next."""

    enabled: Annotated[
        bool, Meta(description="Keep usual rates of models in the state directory; never prompts or answers.")
    ] = True


class Colors(Table, frozen=True):
    """Colours that replace those of the chosen theme, under the names of Textual's themes."""

    primary: Annotated[Color | None, Meta(description="Titles and accents.", examples=["#88c0d0"])] = None
    secondary: Annotated[Color | None, Meta(description="Second accent.", examples=["#81a1c1"])] = None
    accent: Annotated[Color | None, Meta(description="Focus and selection.", examples=["#b48ead"])] = None
    success: Annotated[Color | None, Meta(description="All is well.", examples=["#a3be8c"])] = None
    warning: Annotated[Color | None, Meta(description="Watch this.", examples=["#ebcb8b"])] = None
    error: Annotated[Color | None, Meta(description="Bad: a spill, a fault.", examples=["#bf616a"])] = None
    foreground: Annotated[Color | None, Meta(description="Text.", examples=["#d8dee9"])] = None
    background: Annotated[Color | None, Meta(description="Behind all.", examples=["#2e3440"])] = None
    surface: Annotated[Color | None, Meta(description="Behind a panel.", examples=["#3b4252"])] = None
    panel: Annotated[Color | None, Meta(description="Behind a heading.", examples=["#434c5e"])] = None


class Settings(Table, frozen=True):
    """Everything that can be set."""

    interval_seconds: Annotated[
        Annotated[float, Meta(ge=Cadence.MINIMUM, le=Cadence.MAXIMUM)],
        Meta(description="Seconds between two looks while something happens, 0.25 to 60."),
    ] = 1.0
    urls: Annotated[
        tuple[Url, ...],
        Meta(
            min_length=1, description="The servers to ask; OLLAMA_HOST, or this machine's Ollama, if not set."
        ),
    ] = (parse_host("").url,)
    ca_file: Annotated[
        str | None,
        Meta(
            description="Certificates (PEM) to trust for https in place of the public ones.",
            examples=["~/ca.pem"],
        ),
    ] = None
    insecure: Annotated[bool, Meta(description="Do not check the certificate of an https server.")] = False
    log_files: Annotated[
        tuple[Argument, ...],
        Meta(
            description="Server logs to read besides those that are found.",
            examples=[["~/ollama.log"]],
        ),
    ] = ()
    theme: Annotated[
        str, Meta(min_length=1, description="Name of a Textual theme; auto follows the terminal.")
    ] = "auto"
    glyphs: Annotated[
        Literal["auto", "unicode", "ascii"],
        Meta(description="Characters to draw with: auto, unicode or ascii."),
    ] = "auto"
    mouse: Annotated[bool, Meta(description="Take clicks; off, the terminal can select text.")] = True
    bell: Annotated[bool, Meta(description="Ring the terminal's bell for a bad alert.")] = False
    panels: Panels = field(default_factory=Panels)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    learn: LearnSettings = field(default_factory=LearnSettings)
    colors: Colors = field(default_factory=Colors)
    headers: Annotated[
        dict[Url, HeaderTable],
        Meta(description="Headers to send: a table for each URL, or for every one under *."),
    ] = field(default_factory=dict)

    def headers_for(self, url: str) -> dict[str, str]:
        """Return the headers to send to ``url``; its own win over those for every server."""
        server = parse_host(url).url
        own = (
            table for key, table in self.headers.items() if key != EVERY_URL and parse_host(key).url == server
        )
        headers = dict(self.headers.get(EVERY_URL, {}))
        for table in own:
            headers |= table
        return headers
