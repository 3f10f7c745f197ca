"""A dashboard that another gpumon feeds knows what that one knows."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from itertools import islice

import pytest
from tests.fakes.playing import START

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.errors import GpumonError
from gpumon.app.feeds.followed import (
    GONE,
    FollowedFeed,
    frame,
    marks_frame,
    receive,
    sample_frame,
    state_frame,
)
from gpumon.app.monitor import Monitor
from gpumon.app.snapshot.build import build_snapshot
from gpumon.collectors.samples import AnySample

SAMPLES = 600


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def samples() -> Iterator[AnySample]:
    return islice(iter(scenario_named("spill").samples(START)), SAMPLES)


async def followed(
    sent: list[bytes], far: socket.socket, near: socket.socket
) -> tuple[Monitor, FollowedFeed]:
    """Send frames and then the end; return who has followed."""
    monitor, feed = Monitor(Limits()), FollowedFeed(far)
    running = asyncio.ensure_future(feed.run(monitor))
    _, writer = await asyncio.open_connection(sock=near)
    for one in sent:
        writer.write(one)
        await writer.drain()
    writer.close()
    with pytest.raises(GpumonError, match=GONE):
        await running
    return monitor, feed


async def test_it_knows_what_was_known_and_what_came_since(pair: tuple[socket.socket, socket.socket]) -> None:
    watching, sent = Monitor(Limits()), []
    for number, sample in enumerate(samples()):
        if number == SAMPLES // 2:
            sent.append(state_frame(watching))
        watching.feed(sample)
        if number >= SAMPLES // 2:
            sent.append(sample_frame(sample))
    monitor, _ = await followed(sent, pair[1], pair[0])
    assert build_snapshot(monitor.pictures) == build_snapshot(watching.pictures)
    assert monitor.alerts.active == watching.alerts.active


async def test_it_is_marked_as_the_sender_is(pair: tuple[socket.socket, socket.socket]) -> None:
    _, feed = await followed([marks_frame(("DEMO spill",))], pair[1], pair[0])
    assert feed.marks() == ("DEMO spill",)


async def test_what_a_newer_sender_adds_is_passed_over(pair: tuple[socket.socket, socket.socket]) -> None:
    newer = b"Z" + (3).to_bytes(4, "big") + b"new"
    _, feed = await followed([newer, marks_frame(("DEMO",))], pair[1], pair[0])
    assert feed.marks() == ("DEMO",)


def test_the_first_frame_is_read_and_not_a_byte_of_the_next(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    near, far = pair
    near.sendall(frame(b"C", b"{}") + frame(b"M", b"[]"))
    assert receive(far) == (b"C", b"{}")
    assert receive(far) == (b"M", b"[]")


@pytest.mark.parametrize("sent", [b"", b"C\0", frame(b"C", b"{}")[:-1]])
def test_a_sender_that_ends_before_is_one_line(
    sent: bytes, pair: tuple[socket.socket, socket.socket]
) -> None:
    near, far = pair
    near.sendall(sent)
    near.close()
    with pytest.raises(GpumonError, match=GONE):
        receive(far)
