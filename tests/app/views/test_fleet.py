"""Several machines in one verdict and in an order."""

from __future__ import annotations

from gpumon.app.views.fleet import HOST_ORDERS, Link, fleet_verdict, link_rows, ordered
from gpumon.widgets.views import HostRow

GIB = 1024**3
WELL = HostRow("attic", "attic", "ok", sentence="both models on GPU", tokens_per_second=82.0, models=2)
SPILLS = HostRow(
    "box",
    "me@box",
    "bad",
    "SPILLED",
    "qwen3:14b",
    ("38% in RAM", "7.0 tok/s, 47 if it fitted"),
    "qwen3:14b spills",
    "its context is too large",
    "/set parameter num_ctx 6400",
    "in ollama run",
    gpus=((11 * GIB, 12 * GIB),),
    tokens_per_second=7.0,
    models=1,
)
DENIED = HostRow("den", "den", "watch", sentence="no key is taken", cause="ssh-copy-id den")
ASLEEP = HostRow("nap", "nap", "unknown", sentence="last seen 2m ago", models=3, is_old=True)


def test_the_worst_stands_in_the_band_with_its_host_and_where_to_type() -> None:
    view = fleet_verdict([WELL, DENIED, SPILLS])
    assert (view.level, view.head, view.subject) == ("bad", "SPILLED", "me@box: qwen3:14b")
    assert (view.remedy, view.where) == ("/set parameter num_ctx 6400", "on me@box, in ollama run")
    assert view.keys == (("Enter", "its dashboard"),)
    assert view.right == ("2 of 3 hosts in trouble",)


def test_a_host_that_needs_its_user_is_a_sentence() -> None:
    view = fleet_verdict([WELL, DENIED])
    assert (view.level, view.sentence) == ("watch", "den: no key is taken; ssh-copy-id den")


def test_where_all_is_well_it_is_told_what_they_do_together() -> None:
    view = fleet_verdict([WELL, WELL])
    assert (view.level, view.sentence) == ("ok", "all is well on 2 hosts")
    assert view.facts == ("164 tok/s", "4 models")


def test_a_host_of_which_nothing_is_known_is_named_and_counted_for_nothing() -> None:
    view = fleet_verdict([WELL, ASLEEP])
    assert (view.level, view.sentence) == ("unknown", "1 of 2 hosts well; not known: nap")
    assert view.facts == ("82 tok/s", "2 models")


def test_hosts_stay_where_they_were_named() -> None:
    rows = [WELL, SPILLS, DENIED]
    assert ordered(rows, HOST_ORDERS[0]) == tuple(rows)


def test_hosts_can_be_sorted() -> None:
    rows = [DENIED, WELL, SPILLS, ASLEEP]
    assert [row.key for row in ordered(rows, "trouble")] == ["box", "den", "nap", "attic"]
    assert [row.key for row in ordered(rows, "name")] == ["attic", "box", "den", "nap"]
    assert [row.key for row in ordered(rows, "rate")][:2] == ["attic", "box"]
    assert next(row.key for row in ordered(rows, "memory")) == "box"


def test_hosts_are_found_by_a_part_of_their_name() -> None:
    assert [row.key for row in ordered([WELL, SPILLS], "as named", "BOX")] == ["box"]


def test_a_dashboard_says_how_its_host_is_reached_only_where_that_is_news() -> None:
    assert link_rows("box", Link(0.5)) == ()
    [row] = link_rows("box", Link(40.0, False, "it does not answer", "it sleeps", next_try_seconds=8))
    assert (row.words, row.hint) == (
        "it does not answer, last seen 40s ago",
        "it sleeps; tries again in 8s",
    )
    [note] = link_rows("box", Link(0.5, notes=("its clock is 14s ahead of ours",)))
    assert note.words == "its clock is 14s ahead of ours"
