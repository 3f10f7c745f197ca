from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fakes.process_samples import (
    BLOB,
    OTHER_BLOB,
    STARTED,
    blob_names,
    facts,
    holding,
    processes,
    runner,
    server,
)
from tests.fakes.samples import OLLAMA, claim, gpu, nvml, ollama, ollama_down
from tests.scene import after

from gpumon.app.state.records import JoinedBy, ModelKey
from gpumon.app.state.state import State
from gpumon.collectors.samples import AnySample, RunnerProcess, ServerProcess

KEY = ModelKey(OLLAMA, "sha-llama3:70b")
SECOND = "http://127.0.0.1:11500"


Joins = dict[int, tuple[str, str, JoinedBy | None]]


def joins(state: State) -> Joins:
    """Return source, digest and way by PID, each join seen from both sides."""
    found = {
        record.key.pid: (record.model, state.models[record.model])
        for record in state.runners.values()
        if record.model
    }
    back = {model.runner.pid: key for key, model in state.models.items() if model.runner}
    assert back == {pid: key for pid, (key, _) in found.items()}, "a join has two sides"
    return {pid: (key.source, model.claim.name, model.joined_by) for pid, (key, model) in found.items()}


class TestByBlob:
    def test_the_blob_that_the_server_shows_joins_runner_and_claim(self) -> None:
        state = after(processes(0, runner(), runner(101, OTHER_BLOB)), ollama(1, [claim()]), facts(2)).state
        assert joins(state) == {100: (OLLAMA, "llama3:70b", "blob")}

    def test_what_another_server_shows_of_the_same_digest_joins_too(self) -> None:
        state = after(
            processes(0, runner(), runner(101, OTHER_BLOB)),
            ollama(1, [claim()]),
            replace(facts(2), source=SECOND),
        ).state
        assert joins(state) == {100: (OLLAMA, "llama3:70b", "blob")}

    def test_the_manifest_on_disk_joins_where_the_server_does_not_show_it(self) -> None:
        state = after(
            processes(0, runner(), runner(101, OTHER_BLOB)),
            ollama(1, [claim()]),
            blob_names(2, {BLOB: ["llama3:70b"], OTHER_BLOB: ["other:latest"]}),
        ).state
        assert joins(state) == {100: (OLLAMA, "llama3:70b", "blob")}

    def test_of_several_names_of_one_blob_the_loaded_one_is_joined(self) -> None:
        state = after(
            processes(0, runner()),
            ollama(1, [claim("alias:1")]),
            blob_names(2, {BLOB: ["alias:1", "llama3:70b"]}),
        ).state
        assert joins(state) == {100: (OLLAMA, "alias:1", "blob")}

    def test_a_projector_that_two_models_share_joins_neither(self) -> None:
        state = after(
            processes(0, runner(blob=OTHER_BLOB), runner(101, OTHER_BLOB)),
            ollama(1, [claim()]),
            facts(2, "llama3:70b", BLOB, OTHER_BLOB),
        ).state
        assert joins(state) == {}

    def test_the_runner_that_takes_over_from_one_that_ends_is_joined(self) -> None:
        old, new = runner(100), runner(101, started=STARTED + 30)
        assert joins(after(processes(0, old, new), ollama(1, [claim()]), facts(2)).state).keys() == {101}

    def test_a_pid_used_again_is_another_runner(self) -> None:
        state = after(
            processes(0, runner()),
            ollama(0, [claim()]),
            facts(0),
            processes(1, runner(blob=OTHER_BLOB, started=STARTED + 30)),
        ).state
        assert joins(state) == {}

    def test_a_llama_server_on_its_own_is_no_runner_of_ollama(self) -> None:
        assert joins(after(processes(0, runner(server_pid=None)), ollama(1, [claim()]), facts(2)).state) == {}

    def test_a_model_that_is_unloaded_leaves_its_runner(self) -> None:
        loaded = (processes(0, runner()), ollama(1, [claim()]), facts(2))
        assert joins(after(*loaded, ollama(3)).state) == {}
        assert joins(after(*loaded, ollama_down(3, "not_running")).state) == {}

    def test_a_server_that_hangs_keeps_its_joins(self) -> None:
        state = after(processes(0, runner()), ollama(1, [claim()]), facts(2), ollama_down(3, "hanging")).state
        assert joins(state).keys() == {100}

    def test_a_model_that_has_gone_remembers_its_runner(self) -> None:
        state = after(processes(0, runner()), ollama(1, [claim()]), facts(2), ollama(3)).state
        assert [record.runner and record.runner.pid for record in state.departed] == [100]


class TestByName:
    @pytest.mark.parametrize(
        ("told", "claimed"),
        [
            ("qwen3:8b-mlx", "qwen3:8b-mlx"),
            ("qwen3", "qwen3:latest"),
            ("registry.ollama.ai/library/qwen3:latest", "qwen3:latest"),
            ("registry.ollama.ai/someone/qwen3", "someone/qwen3:latest"),
            ("box:5000/some/qwen3", "box:5000/some/qwen3:latest"),
        ],
    )
    def test_an_mlx_runner_is_joined_by_the_name_that_it_was_started_with(
        self, told: str, claimed: str
    ) -> None:
        mlx = runner(blob=None, name=told, kind="mlx_runner")
        state = after(processes(0, mlx), ollama(1, [claim(claimed), claim("other")])).state
        assert joins(state) == {100: (OLLAMA, claimed, "name")}

    def test_another_tag_is_another_model(self) -> None:
        mlx = runner(blob=None, name="qwen3:4b", kind="mlx_runner")
        assert joins(after(processes(0, mlx), ollama(1, [claim("qwen3:8b")])).state) == {}


class TestOnlyOne:
    def test_one_runner_and_one_claim_are_joined_before_anything_is_known_of_the_blob(self) -> None:
        assert joins(after(processes(0, runner()), ollama(1, [claim()])).state) == {
            100: (OLLAMA, "llama3:70b", "only one")
        }

    def test_what_is_learned_of_the_blob_takes_its_place(self) -> None:
        pair = (processes(0, runner()), ollama(1, [claim()]))
        assert joins(after(*pair, facts(2)).state)[100][2] == "blob"
        assert joins(after(*pair, facts(2, "llama3:70b", OTHER_BLOB)).state) == {}

    def test_two_runners_or_two_claims_are_not_guessed_at(self) -> None:
        assert joins(after(processes(0, runner(), runner(101)), ollama(1, [claim()])).state) == {}
        assert joins(after(processes(0, runner()), ollama(1, [claim("a"), claim("b")])).state) == {}

    def test_one_that_was_the_only_one_stays_when_a_second_is_loaded(self) -> None:
        first, second = runner(blob=None), runner(101, blob=None)
        known = (processes(0, first), ollama(1, [claim("a")]), processes(2, first, second))
        state = after(*known, ollama(3, [claim("a"), claim("b")])).state
        assert {pid: name for pid, (_, name, _) in joins(state).items()} == {100: "a", 101: "b"}

    def test_facts_without_a_file_are_no_knowledge(self) -> None:
        state = after(processes(0, runner()), ollama(1, [claim()]), replace(facts(2), blobs=())).state
        assert joins(state)[100][2] == "only one"


class TestServers:
    @pytest.mark.parametrize(
        "url", ["http://localhost:11434", "http://127.0.0.1:11434", "http://[::1]:11434", "localhost"]
    )
    def test_loopback_addresses_are_one_place(self, url: str) -> None:
        state = after(processes(0, runner(), servers=[server(10, url)]), ollama(1, [claim()]), facts(2)).state
        assert joins(state).keys() == {100}

    def test_a_server_at_another_port_is_another_server(self) -> None:
        state = after(
            processes(0, runner(), servers=[server(10, SECOND)]), ollama(1, [claim()]), facts(2)
        ).state
        assert joins(state) == {}

    def test_the_same_model_on_two_servers_is_joined_to_its_own_runner(self) -> None:
        state = after(
            processes(0, runner(100), runner(101, server_pid=11), servers=[server(10), server(11, SECOND)]),
            ollama(1, [claim()]),
            facts(2),
            ollama(1, [claim()], source=SECOND),
            facts(2, source=SECOND),
        ).state
        assert joins(state) == {
            100: (OLLAMA, "llama3:70b", "blob"),
            101: (SECOND, "llama3:70b", "blob"),
        }

    def test_a_remote_server_has_no_runner_here(self) -> None:
        far = "http://far:11434"
        state = after(processes(0, runner()), ollama(1, [claim()], source=far), facts(2, source=far)).state
        assert joins(state) == {}

    def test_a_server_that_listens_on_an_address_of_the_network_is_found_by_it(self) -> None:
        url = "http://192.168.1.5:11434"
        state = after(
            processes(0, runner(), servers=[server(10, url)]),
            ollama(1, [claim()], source=url),
            facts(2, source=url),
        ).state
        assert joins(state).keys() == {100}

    def test_the_only_container_is_behind_the_only_port_that_no_server_here_has(self) -> None:
        state = after(
            processes(0, runner(), servers=[server(other_namespace=True)]),
            ollama(1, [claim()], source=SECOND),
        ).state
        assert joins(state) == {100: (SECOND, "llama3:70b", "only one")}

    def test_of_two_containers_the_blob_tells_which_is_which(self) -> None:
        inside = [server(10, other_namespace=True), server(11, other_namespace=True)]
        state = after(
            processes(0, runner(), runner(101, OTHER_BLOB, server_pid=11), servers=inside),
            ollama(1, [claim("a")]),
            facts(2, "a", OTHER_BLOB),
            ollama(1, [claim("b")], source=SECOND),
            facts(2, "b", BLOB, source=SECOND),
        ).state
        assert joins(state) == {100: (SECOND, "b", "blob"), 101: (OLLAMA, "a", "blob")}

    def test_two_containers_with_the_same_model_are_told_by_the_ports_that_they_publish(self) -> None:
        inside = [
            server(10, other_namespace=True, published=(SECOND,)),
            server(11, other_namespace=True, published=("http://127.0.0.1:8020",)),
        ]
        state = after(
            processes(0, runner(), runner(101, server_pid=11), servers=inside),
            ollama(1, [claim()], source="http://127.0.0.1:8020"),
            ollama(1, [claim()], source=SECOND),
        ).state
        assert {pid: source for pid, (source, _, _) in joins(state).items()} == {
            100: SECOND,
            101: "http://127.0.0.1:8020",
        }

    def test_two_containers_with_the_same_model_are_not_guessed_at(self) -> None:
        inside = [server(10, other_namespace=True), server(11, other_namespace=True)]
        state = after(
            processes(0, runner(), runner(101, server_pid=11), servers=inside),
            ollama(1, [claim()]),
            facts(2),
            ollama(1, source=SECOND),
        ).state
        assert joins(state) == {}


blobs = st.sampled_from([BLOB, OTHER_BLOB])
loaded = st.lists(st.sampled_from(["a", "b", "c:1"]), unique=True, max_size=3)
starts = st.sampled_from([STARTED, STARTED + 1])


@st.composite
def scenes(draw: st.DrawFn) -> list[AnySample]:
    """Draw one instant as all sources tell it: each speaks once."""
    servers = [server(10), server(11, SECOND, other_namespace=draw(st.booleans()))]
    pids = draw(st.lists(st.integers(100, 103), unique=True))
    runners = [
        runner(pid, draw(blobs), server_pid=draw(st.sampled_from([10, 11, None])), started=draw(starts))
        for pid in pids
    ]
    held = draw(st.dictionaries(st.integers(100, 104), st.sampled_from([None, 0.3, 5.0]), max_size=4))
    shows = [
        facts(0, name, draw(blobs), source=draw(st.sampled_from([OLLAMA, SECOND]))) for name in draw(loaded)
    ]
    return [
        processes(0, *runners, servers=servers),
        nvml(0, holding(gpu(0), held), holding(gpu(1), {})),
        ollama(0, [claim(name) for name in draw(loaded)]),
        ollama(0, [claim(name) for name in draw(loaded)], source=SECOND),
        blob_names(0, {draw(blobs): draw(loaded)}),
        *shows,
    ]


ANY_BLOB = ("sha256-1", "sha256-2", "sha256-3")


class Host(NamedTuple):
    """Several servers on one machine, each with its models, and who in truth holds what."""

    samples: list[AnySample]
    truth: dict[int, str]
    """URL by the PID of the runner."""
    certain: set[int]
    """PIDs whose join can be told: of servers that are known by where they listen."""


@st.composite
def hosts(draw: st.DrawFn) -> Host:
    """Draw any number of servers, in containers or not, asked or not, with the same models or others."""
    samples: list[AnySample] = []
    servers: list[ServerProcess] = []
    runners: list[RunnerProcess] = []
    truth: dict[int, str] = {}
    certain: set[int] = set()
    for number in range(draw(st.integers(1, 4))):
        url, server_pid = f"http://127.0.0.1:{11434 + number}", 10 + number
        contained, asked = draw(st.booleans()), draw(st.booleans())
        servers.append(server(server_pid, url, other_namespace=contained))
        held = draw(st.lists(st.sampled_from(ANY_BLOB), unique=True, max_size=2))
        for blob in held:
            pid = 100 + len(runners)
            runners.append(runner(pid, blob, server_pid=server_pid))
            if asked:
                truth[pid] = url
                samples.append(facts(0, blob, blob, source=url))
                certain |= set() if contained else {pid}
        if asked:
            samples.append(ollama(0, [claim(blob) for blob in held], source=url))
    return Host([*samples, processes(0, *runners, servers=servers)], truth, certain)


@given(st.data())
def test_of_any_number_of_servers_each_has_its_own_runners(data: st.DataObject) -> None:
    host = data.draw(hosts())
    found = joins(after(*data.draw(st.permutations(host.samples))).state)
    assert found.keys() >= host.certain
    assert {pid: source for pid, (source, _, _) in found.items()}.items() <= host.truth.items()


def measured(state: State) -> dict[int, tuple[dict[str, int], bool]]:
    return {key.pid: (record.vram_by_gpu, record.vram_complete) for key, record in state.runners.items()}


@given(scenes().flatmap(lambda scene: st.tuples(st.just(scene), st.permutations(scene))))
def test_any_order_of_arrival_ends_in_the_same_joins(
    orders: tuple[Sequence[AnySample], Sequence[AnySample]],
) -> None:
    first, second = (after(*order).state for order in orders)
    assert joins(first) == joins(second)
    assert measured(first) == measured(second)


@given(scenes())
def test_saying_everything_again_changes_no_join(scene: list[AnySample]) -> None:
    assert joins(after(*scene).state) == joins(after(*scene, *scene).state)
