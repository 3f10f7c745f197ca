"""Several hosts in one run: rows, events, and what the user hears of."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tests.app.ui.screen import HandFeed, scenario

from gpumon.app.alerts.limits import Limits
from gpumon.app.config.settings import Settings
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.fleet.link import HostFeed
from gpumon.app.fleet.ssh import Cause, HostSpec
from gpumon.app.fleet.stream import Stream
from gpumon.app.monitor import Monitor
from gpumon.app.recording.lines import Header, encode_header, encode_line
from gpumon.app.session.fleet import Host, HostFleet, host_fleet
from gpumon.app.session.session import Session
from gpumon.collectors.samples import AnySample

SPILL = scenario("spill", PRELUDE_SECONDS + 75)


class Box:
    """A host over ssh, whose lines and clock are in the hands of the test."""

    def __init__(self, name: str = "box") -> None:
        self.now = 1000.0
        self.feed = HostFeed(HostSpec(name), now=lambda: self.now)
        monitor = Monitor(Limits())
        self.host = Host(name, Session(monitor, self.feed, host=name), self.feed, now=lambda: self.now)
        self.wall = 0.0
        self.feed.stream = self.stream = Stream(monitor, lambda: self.now, lambda: self.wall)

    def connect(self, samples: Iterable[AnySample] = ()) -> None:
        self.feed.state, self.feed.cause, self.feed.next_try = "up", None, None
        self.stream.begin()
        self.stream.take(encode_header(Header()))
        for sample in samples:
            self.wall = sample.time
            self.stream.take(encode_line(sample))

    def lose(self, cause: Cause) -> None:
        self.feed.state, self.feed.cause, self.feed.next_try = "waiting", cause, self.now + 8


def test_a_row_says_the_worst_that_is_true_there() -> None:
    box = Box()
    box.connect(SPILL)
    row = box.host.row()
    assert (row.level, row.head, row.subject) == ("bad", "SPILLED", "qwen2.5-coder:14b")
    assert row.facts[0] == "38% in RAM"
    assert row.remedy == "/set parameter num_ctx 6400"
    assert row.models == 1
    assert row.tokens_per_second == pytest.approx(7.0, abs=0.2)
    assert not row.is_old


def test_a_host_that_was_never_reached_says_why_and_what_to_do() -> None:
    box = Box()
    box.lose(Cause("its host key is not known here", "once by hand: ssh box", needs_user=True))
    row = box.host.row()
    assert (row.level, row.sentence) == ("watch", "its host key is not known here")
    assert row.cause == "once by hand: ssh box; tries again in 8s"
    assert row.models is None
    assert row.tokens_per_second is None


def test_a_host_that_sleeps_keeps_its_figures_marked_as_old_but_for_its_rate() -> None:
    box = Box()
    box.connect(SPILL)
    box.lose(Cause("it does not answer", "it sleeps, or the network is down"))
    box.now += 120
    row = box.host.row()
    assert (row.level, row.is_old, row.age_seconds) == ("unknown", True, 120)
    assert row.sentence == "seen 2 min ago: SPILLED qwen2.5-coder:14b"
    assert row.gpus
    assert row.tokens_per_second is None
    assert row.remedy == ""


def test_a_gpumon_that_says_nothing_for_a_while_makes_its_row_old() -> None:
    box = Box()
    box.connect(SPILL)
    box.now += 14
    assert not box.host.row().is_old
    box.now += 2
    assert box.host.row().is_old


def test_a_row_is_made_anew_only_where_something_has_changed() -> None:
    box = Box()
    box.connect(SPILL)
    first = box.host.row()
    box.now += 1
    assert box.host.row() is first


def test_a_clock_that_differs_and_another_version_are_told_with_the_row() -> None:
    box = Box()
    box.stream.begin()
    box.feed.state = "up"
    box.stream.take(encode_header(Header(version="0.0.1")))
    for at, sample in enumerate(scenario("fits", PRELUDE_SECONDS + 20)[-200:]):
        box.now, box.wall = 1000.0 + at / 20, sample.time - 14
        box.stream.take(encode_line(sample))
    assert box.host.row().notes == ("its clock is 14s ahead of ours", "gpumon 0.0.1 there")


def test_events_bear_the_name_of_their_host_and_stand_by_our_clock() -> None:
    box = Box("attic")
    box.connect(SPILL)
    first = box.host.events()[0]
    assert first.ways[0].startswith("attic: qwen2.5-coder:14b spilled")
    assert first.opens == ("hosts", "attic")
    assert first.ongoing


def test_events_of_all_hosts_stand_what_lasts_first_then_the_newest() -> None:
    spills, fits = Box("spills"), Box("fits")
    spills.connect(SPILL)
    fits.connect(scenario("fits", PRELUDE_SECONDS + 60))
    events = HostFleet([fits.host, spills.host]).events()
    assert [one.ongoing for one in events] == sorted((one.ongoing for one in events), reverse=True)
    past = [one.at for one in events if not one.ongoing]
    assert past == sorted(past, reverse=True)


def test_what_lasted_on_a_host_that_sleeps_is_not_told_as_lasting() -> None:
    box = Box()
    box.connect(SPILL)
    box.lose(Cause("it does not answer"))
    assert not any(one.ongoing or one.lasting for one in box.host.events())


def test_what_is_still_wrong_after_a_broken_connection_is_no_news() -> None:
    box = Box()
    box.connect(SPILL)
    assert [one.alert.kind for one in box.host.news() if one.change == "raised"]
    box.lose(Cause("the connection broke"))
    box.connect(SPILL)
    assert [one for one in box.host.news() if one.change == "raised"] == []


def test_what_is_wrong_anew_after_it_was_well_is_news() -> None:
    box = Box()
    box.connect(SPILL)
    box.host.news()
    box.connect(scenario("fits", PRELUDE_SECONDS + 60))
    box.host.news()
    box.now += 61
    box.host.news()
    box.connect(SPILL)
    assert [one.alert.kind for one in box.host.news() if one.change == "raised"]


def test_nothing_can_be_done_to_a_host_from_here() -> None:
    session = Box("attic").host.session
    assert (session.host, len(session.unload), len(session.describe)) == ("attic", 0, 0)


def test_each_host_is_watched_once_and_this_machine_directly() -> None:
    fleet = host_fleet(Settings(), [HostSpec("box"), HostSpec("local"), HostSpec("box")])
    assert [host.name for host in fleet.hosts] == ["box", "local"]
    assert fleet.hosts[1].feed is None
    assert fleet.hosts[1].session.host == ""


def test_this_machine_needs_no_link() -> None:
    host = Host("local", Session(Monitor(Limits()), HandFeed()), None, now=lambda: 5.0)
    assert host.row().sentence == "connecting"
    for sample in SPILL:
        host.session.monitor.feed(sample)
    assert host.row().head == "SPILLED"
