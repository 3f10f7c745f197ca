"""Which servers of this machine are asked though nobody has named them, and what is sent to them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import facts, processes, server
from tests.fakes.samples import OLLAMA, START, ollama
from tests.fakes.served_samples import FACTS
from tests.scene import Machine, Model, after, loaded

from gpumon.app.alerts.limits import Limits
from gpumon.app.config.load import load
from gpumon.app.config.settings import Settings
from gpumon.app.monitor import Monitor
from gpumon.app.session.whom import FoundServers, PerServer, endpoint_at, files_wanted
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.samples import MeterSample, ServerProcess, ServerSample, SourceHealth
from gpumon.collectors.source import SystemClock

OTHER = "http://127.0.0.1:11435"


def finder(monitor: Monitor, *urls: str, **settings: object) -> FoundServers:
    changed = replace(Settings(urls=urls or (OLLAMA,)), **settings)
    return FoundServers(changed, monitor, SystemClock())


def found(*servers: ServerProcess, urls: tuple[str, ...] = (OLLAMA,)) -> list[str]:
    return list(finder(after(processes(1, servers=servers)).monitor, *urls).found())


def test_a_server_on_another_port_is_found_and_the_named_one_is_not() -> None:
    assert found(server(10, OLLAMA), server(11, OTHER)) == [OTHER]


@pytest.mark.parametrize(
    "named",
    ["http://localhost:11435", "http://[::1]:11435", "http://LOCALHOST:11435/", OTHER],
)
def test_two_spellings_of_one_address_are_one_server(named: str) -> None:
    assert found(server(11, OTHER), urls=(named,)) == []


def test_it_may_be_named_by_this_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box.lan")
    for host in ("box.lan", "box", "box.local"):
        assert found(server(11, OTHER), urls=(f"http://{host}:11435",)) == []
    assert found(server(11, OTHER), urls=("http://elsewhere:11435",)) == [OTHER]


def test_it_may_be_named_by_another_address_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpumon.app.session.whom._is_this_machine", lambda host: host == "192.0.2.7")
    assert found(server(11, OTHER), urls=("http://192.0.2.7:11435",)) == []
    assert found(server(11, OTHER), urls=("http://192.0.2.8:11435",)) == [OTHER]


def test_an_address_that_this_machine_does_not_have_is_none_of_its_own() -> None:
    assert found(server(11, OTHER), urls=("http://192.0.2.8:11435", "http://[2001:db8::1]:11435")) == [OTHER]


def test_one_that_listens_twice_is_one() -> None:
    assert found(server(11, OTHER, "http://[::1]:11435", "http://127.0.0.1:6060")) == [OTHER]


def test_of_two_processes_that_seem_to_listen_at_one_place_one_is_asked() -> None:
    assert found(server(11, OTHER), server(12, OTHER)) == [OTHER]


def test_what_cannot_be_reached_or_tells_nothing_is_left_alone() -> None:
    launcher = replace(server(12, "http://127.0.0.1:8080"), kind="jan")
    unknown = replace(server(13, "http://127.0.0.1:8081"), kind="of a package that is not installed")
    contained = server(14, "http://127.0.0.1:8082", other_namespace=True)
    elsewhere = server(15, "http://192.0.2.7:11434")
    assert found(launcher, unknown, contained, elsewhere) == []


PUBLISHED = "http://127.0.0.1:8010"
INSIDE = "http://172.17.0.2:11434"


def contained(pid: int, *published: str) -> ServerProcess:
    """Return an Ollama that listens inside where the one of this machine does outside."""
    return server(pid, OLLAMA, other_namespace=True, published=published)


def test_containers_are_asked_at_what_they_publish() -> None:
    second = "http://127.0.0.1:8020"
    there = (server(10, OLLAMA), contained(11, PUBLISHED, "http://[::1]:8010"), contained(12, second))
    assert found(*there) == [PUBLISHED, second]
    assert found(*there, urls=("http://localhost:8010",)) == [OLLAMA, second]


def test_a_port_on_one_address_of_this_machine_is_asked_and_not_twice() -> None:
    on_lan = contained(11, "http://192.0.2.7:8010")
    assert found(on_lan) == ["http://192.0.2.7:8010"]
    assert found(on_lan, urls=("http://192.0.2.7:8010",)) == []


def test_a_container_is_asked_at_its_own_address_if_no_port_may_lead_there_that_is_asked() -> None:
    inside = replace(contained(11, INSIDE), at_own_address=True)
    monitor = after(processes(1, servers=[inside])).monitor
    whom = finder(monitor, PUBLISHED)
    assert list(whom.found()) == [INSIDE]
    monitor.feed(ollama(2, [], source=PUBLISHED))
    assert list(whom.found()) == [], "that is the container, or another one: nobody knows"
    monitor.feed(processes(3, servers=[inside, contained(12, PUBLISHED)]))
    assert list(whom.found()) == [INSIDE], "that is another one"


def test_who_may_go_inside_asks_a_container_there_and_no_proxy_is_asked_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gpumon.app.session.whom.entrance", lambda pid: f"/proc/{pid}/ns/net")
    inside = replace(contained(11, INSIDE), at_own_address=True)
    monitor = after(processes(1, servers=[inside, contained(12, PUBLISHED)])).monitor
    for url in (INSIDE, PUBLISHED):
        monitor.feed(heard(url))
    ways = [endpoint_at(Settings(urls=(OLLAMA,)), monitor.state, url) for url in (INSIDE, PUBLISHED)]
    assert [(way.namespace, way.is_here) for way in ways if way] == [("/proc/11/ns/net", True), (None, True)]


def metered(upstream: str | None) -> MeterSample:
    return MeterSample(time=START + 2, source="meter 127.0.0.1:9999", server=METER, upstream=upstream)


METER = "http://127.0.0.1:9999"


def test_a_meter_in_front_is_no_second_server() -> None:
    monitor = Monitor(Limits())
    whom = finder(monitor, METER)
    monitor.feed(processes(0, servers=[server(10, OLLAMA), server(11, OTHER)]))
    assert not whom.may_start(), "what is named has not answered"
    monitor.feed(replace(ollama(1, []), source=METER, metered=True))
    assert not whom.may_start(), "before what the meter stands is not known"
    monitor.feed(metered(OLLAMA))
    assert whom.may_start()
    assert list(whom.found()) == [OTHER]


def test_a_found_server_is_sent_what_is_set_for_its_own_url_only() -> None:
    headers = {"*": {"X-Team": "research"}, OTHER: {"Authorization": "Bearer x"}}
    settings = Settings(urls=(OLLAMA,), headers=headers)
    monitor = Monitor(Limits())
    monitor.feed(heard(OTHER))
    endpoint = endpoint_at(settings, monitor.state, OTHER)
    assert endpoint is not None
    assert dict(endpoint.headers) == {"Authorization": "Bearer x"}
    named = endpoint_at(settings, monitor.state, OLLAMA)
    assert named is not None
    assert dict(named.headers) == {"X-Team": "research"}


def test_what_can_be_done_at_a_server_can_be_done_at_a_found_one_while_it_is_there() -> None:
    monitor = Monitor(Limits())
    actions: PerServer[str] = PerServer(
        lambda url: endpoint_at(Settings(urls=(OLLAMA,)), monitor.state, url), _url_of
    )
    assert OLLAMA in actions
    assert actions.get(OTHER) is None
    monitor.feed(heard(OTHER))
    assert actions[OTHER] == OTHER
    monitor.feed(gone(OTHER))
    assert OTHER not in actions


def test_whether_anybody_has_named_a_server_is_known(tmp_path: Path) -> None:
    bare = {"GPUMON_CONFIG": str(tmp_path / "settings.toml")}
    (tmp_path / "settings.toml").touch()
    assert not load({}, bare).settings.names_servers
    assert load({}, bare | {"OLLAMA_HOST": "127.0.0.1"}).settings.names_servers
    assert load({}, bare | {"GPUMON_URL": OLLAMA}).settings.names_servers, "though it is the usual one"


def _url_of(endpoint: Endpoint) -> str:
    return endpoint.url


def heard(url: str) -> ServerSample:
    return replace(ollama(1, []), source=url, known_by="process")


def gone(url: str) -> ServerSample:
    return replace(heard(url), models=None, health=SourceHealth(state="absent"))


class TestFilesThatNobodyDescribes:
    """A file is read where no server says what it holds."""

    def test_one_that_was_fetched_by_its_name_is_known_by_what_the_server_says(self) -> None:
        machine = Machine()
        machine.llama_server(settings={"model_path": None, "model_name": "org/repo:Q4_K_M"})
        machine.run(2)
        assert [one.model_path for one in files_wanted(machine.state)] == [FACTS.model_path]

    def test_an_ollama_has_time_to_describe_its_model_itself(self) -> None:
        model = loaded(Model(is_described=False, settings={"model_path": "/m/blob"}))
        model.machine.run(4)
        assert [*files_wanted(model.machine.state)] == []
        model.machine.run(2)
        assert [one.model_path for one in files_wanted(model.machine.state)] == ["/m/blob"]

    def test_what_was_read_is_not_wanted(self) -> None:
        machine = Machine()
        machine.llama_server(file=facts(0))
        machine.run(2)
        assert [*files_wanted(machine.state)] == []
