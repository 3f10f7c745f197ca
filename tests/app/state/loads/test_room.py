"""What room a load finds, and which models had to make it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import OTHER_BLOB
from tests.fakes.samples import GIB, START
from tests.scene import Gpu, Machine, Model, Server

from gpumon.collectors.samples import GpuMemory, LogEvent


class TestRoom:
    @pytest.mark.parametrize(
        ("memory", "room"),
        [
            (GpuMemory(total_bytes=24 * GIB, used_bytes=4 * GIB, free_bytes=19 * GIB), 19 * GIB),
            (GpuMemory(total_bytes=24 * GIB, used_bytes=4 * GIB, reserved_bytes=GIB), 19 * GIB),
            (GpuMemory(total_bytes=24 * GIB), None),
            (None, None),
        ],
        ids=["said", "reckoned", "used unknown", "nothing known"],
    )
    def test_free_memory_that_is_not_known_is_no_free_memory_of_24_gib(
        self, memory: GpuMemory | None, room: int | None
    ) -> None:
        machine = Machine()
        machine.retouch = lambda reading: replace(reading, memory=memory)
        machine.ollama().starts(Model())
        machine.look("driver").look("processes", at=0.5)
        assert machine.only_load().room_bytes == room

    def test_without_a_gpu_there_is_no_room_on_one(self) -> None:
        machine = Machine()
        machine.ollama().starts(Model())
        assert machine.look("processes", at=0.5).only_load().room_bytes == 0


@pytest.fixture
def server() -> Server:
    """It has nothing yet, five seconds before a load begins."""
    machine = Machine()
    machine.now = -5
    return machine.ollama()


def had(server: Server, *, until: float = -1.0, model: Model | None = None) -> Server:
    """Have a big model seen from now on, and gone at a time; its process is never looked at."""
    there = server.load(model or big())
    server.machine.look("servers")
    server.unload(there)
    server.machine.look("servers", at=until)
    return server


def evicted(server: Server, new: Model | None = None, at: float = 0.5) -> tuple[str, ...]:
    """Start a load at 0; return which models have made room for it."""
    server.starts(new or Model(), after=-server.machine.now)
    return server.machine.look("processes", at=at).look("servers", at=at + 0.5).only_load().evicted


def big(**fields: float) -> Model:
    return Model("big", blob=OTHER_BLOB, **fields)  # type: ignore[arg-type]


SMALL = {"model_file_bytes": GIB}


class TestMakingRoom:
    def test_a_model_that_leaves_before_its_time_has_made_room(self, server: Server) -> None:
        assert evicted(had(server)) == ("big",)

    def test_one_whose_departure_is_seen_only_later_has_too(self, server: Server) -> None:
        there = server.load(big())
        server.machine.look("servers")
        server.starts(Model(), after=5)
        server.machine.look("processes", at=0.5)
        server.unload(there)
        assert server.machine.look("servers", at=4).only_load().evicted == ("big",)

    @pytest.mark.parametrize(
        ("available_gib", "made_room"), [(7.3, ()), (7.1, ("big",))], ids=["room beside it", "none"]
    )
    def test_one_that_left_ram_has_only_where_there_was_no_room_beside_it(
        self, server: Server, available_gib: float, made_room: tuple[str, ...]
    ) -> None:
        had(server, until=-3, model=big(ram_gib=6.0, gpu_gib=0.0))
        server.machine.available_gib = available_gib
        server.machine.look("system", at=0)
        assert evicted(server, Model(figures=SMALL)) == made_room

    @pytest.mark.parametrize(
        ("used_gib", "made_room"), [(12.0, ()), (12.4, ("big",))], ids=["room beside it", "none"]
    )
    def test_one_that_left_a_gpu_has_only_where_there_was_no_room_beside_it(
        self, server: Server, used_gib: float, made_room: tuple[str, ...]
    ) -> None:
        server.machine.gpus = [Gpu(unowned_gib=used_gib, reserved_gib=0.6)]
        had(server, until=-3).machine.look("driver", at=0)
        assert evicted(server, Model(figures=SMALL)) == made_room

    def test_one_has_though_there_was_room_where_the_server_keeps_only_one(self, server: Server) -> None:
        server.machine.logs(LogEvent(kind="server_config", settings={"OLLAMA_MAX_LOADED_MODELS": "1"}))
        server.machine.gpus = [Gpu(unowned_gib=1.0)]
        had(server).machine.look("driver", at=0)
        assert evicted(server, Model(figures=SMALL)) == ("big",)

    def test_one_that_had_expired_has_not(self, server: Server) -> None:
        assert evicted(had(server, model=big(expires_seconds=-2))) == ()

    def test_one_that_left_long_before_has_not(self, server: Server) -> None:
        server.machine.now = -60
        assert evicted(had(server, until=-50)) == ()

    def test_the_same_model_has_not(self, server: Server) -> None:
        assert evicted(had(server, model=Model())) == ()

    def test_one_on_another_machine_has_not(self, server: Server) -> None:
        far = server.machine.ollama("http://192.0.2.7:11434")
        far.is_here = False
        had(far)
        assert evicted(server, Model(port="loading")) == ()
        assert server.machine.look("ports").only_load().evicted == ()

    def test_a_server_of_its_own_asks_nobody_to_leave(self, server: Server) -> None:
        alone = had(server).machine.llama_server()
        alone.started, alone.port = START, "loading"
        load = server.machine.look("processes", at=0.5).look("ports", at=0.6).only_load()
        assert load.evicted == ()
