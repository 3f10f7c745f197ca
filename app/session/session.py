"""What the screens share: the monitor, where its samples come from, and what the user has chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from gpumon.collectors.samples import ModelFacts

if TYPE_CHECKING:
    from gpumon.app.feeds.demo import DemoFeed
    from gpumon.app.feeds.live import Feed
    from gpumon.app.feeds.player import Player
    from gpumon.app.history.live import LiveHistory
    from gpumon.app.history.trends import Trends
    from gpumon.app.learned import Keeper
    from gpumon.app.monitor import Monitor
    from gpumon.app.recording.writer import Recorder
    from gpumon.app.session.describing import Descriptions
    from gpumon.app.session.past import Past, Travel
    from gpumon.app.views.charts import Quantity
    from gpumon.app.views.models import SortKey
    from gpumon.collectors.source import Cadence

Unload = Callable[[str], Awaitable[str | None]]
"""Asks a server to unload a model by its name; returns what went wrong in one line, else ``None``."""

Describe = Callable[[str, str], Awaitable[ModelFacts | str]]
"""Asks a server what the file of a model holds, by name and digest; else what went wrong in one line."""


class Choices(Struct):
    """What the keys change."""

    paused: bool = False
    sort: SortKey = "trouble"
    """What is in trouble stands first; of equals, what was seen first."""
    descending: bool = False
    filter_text: str = ""
    window: int = 0
    """Index into the windows of the history charts."""
    chart: Quantity = "tokens"
    """What the dashboard charts."""
    hidden: set[str] = field(default_factory=set)
    """Panels that are switched off."""


class Session(Struct):
    """One run of the dashboard."""

    monitor: Monitor
    feed: Feed
    player: Player | None = None
    """Set where the feed is a recording or a demonstration: it can be paused, stepped and sought."""
    demo: DemoFeed | None = None
    """Set where the feed is a demonstration: its scenario can be changed."""
    cadence: Cadence | None = None
    """Set where the feed is live: its interval can be changed."""
    choices: Choices = field(default_factory=Choices)
    recorder: Recorder | None = None
    """Set where the samples are recorded."""
    unload: Mapping[str, Unload] = field(default_factory=dict)
    """How to unload a model, by server; empty where the feed is a recording."""
    describe: Mapping[str, Describe] = field(default_factory=dict)
    """How to learn what an installed model's file holds, by server; empty where the feed is not live."""
    asked: Descriptions | None = None
    """What was asked of installed models; set on first use."""
    keeper: Keeper | None = None
    """Set where what is learned is kept for the next run."""
    read_only: bool = False
    """Whether nothing is to be done from this screen but to look."""
    history: LiveHistory | None = None
    """Set where a history is kept of what is seen."""
    kept: Trends | None = None
    """What charts read that go back further than this run; set on first use."""
    past: Past | None = None
    """Set where the screen can look back while samples come: live, and in a demonstration."""
    host: str = ""
    """The machine that is watched from afar: nothing is done to it from here."""
    gathered_seconds: float | None = None
    """Set where many say something at different times: within so long it is drawn together."""

    def look_back(self) -> None:
        """Keep what comes from now on, so that the screen can go back to it. A recording keeps itself."""
        if self.past is None and (self.player is None or self.demo is not None):
            from gpumon.app.session.past import Past  # noqa: PLC0415 - a screen alone looks back

            self.past = Past(self.monitor)

    @property
    def shown(self) -> Monitor:
        """What the screen shows: what is known now, or was known at the instant that it looks back to."""
        return self.monitor if self.past is None else self.past.shown

    @property
    def is_past(self) -> bool:
        """Whether the screen shows an instant that is not now."""
        return self.past is not None and self.past.at is not None

    @property
    def travel(self) -> Travel | None:
        """What the keys of time move."""
        if self.past is not None or self.player is None:
            return self.past
        from gpumon.app.session.past import Replayed  # noqa: PLC0415 - recordings alone

        return Replayed(self.player, self.monitor)

    @property
    def interval_seconds(self) -> float:
        """Seconds between samples of a busy source."""
        return self.cadence.interval if self.cadence else 1.0

    def trends(self) -> Trends | None:
        """Return what charts of days and weeks read, where a history is kept."""
        if self.kept is None and self.history is not None:
            from gpumon.app.history.trends import Trends  # noqa: PLC0415 - on first use

            self.kept = Trends()
        return self.kept

    @property
    def picture_seconds(self) -> float | None:
        """Seconds between samples that are worth a picture; ``None`` for a recording."""
        return self.cadence.shortest_seconds if self.cadence else self.gathered_seconds

    def descriptions(self) -> Descriptions:
        """Return what is asked of installed models in this run."""
        if self.asked is None:
            from gpumon.app.session.describing import Descriptions  # noqa: PLC0415 - on first use

            self.asked = Descriptions(self.describe, self.monitor.feed)
        return self.asked

    def marks(self) -> tuple[str, ...]:
        """Return the words that the verdict line must show."""
        paused = ("PAUSED",) if self.choices.paused else ()
        past = (self.past.mark,) if self.past is not None and self.is_past else ()
        return (*past, *self.feed.marks(), *self._recording_marks(), *paused)

    def to_now(self) -> None:
        """Show what is known now."""
        if self.past is not None:
            self.past.to_newest()

    def change_scenario(self, step: int) -> bool:
        """Begin a scenario of the demonstration ``step`` further on; return whether this is one.

        The machine that was shown is forgotten, and what the user narrowed its models to.
        """
        if self.demo is not None:
            self.to_now()
            self.demo.change(step)
            self.monitor.reset()
            self.choices.filter_text = ""
        return self.demo is not None

    def _recording_marks(self) -> tuple[str, ...]:
        if self.recorder is None:
            return ()
        return ("REC",) if self.recorder.problem is None else (str(self.recorder.problem),)

    async def close(self) -> None:
        """Release the feed, and write what of recording, history and what was learned still waits."""
        await self.feed.close()
        if self.recorder is not None:
            self.recorder.close()
        if self.keeper is not None:
            self.keeper.close()
        if self.history is not None:
            self.history.close()
        if self.kept is not None:
            self.kept.close()
