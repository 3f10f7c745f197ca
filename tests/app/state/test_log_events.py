from __future__ import annotations

from tests.fakes.process_samples import BLOB, OTHER_BLOB, processes, runner
from tests.fakes.samples import START, log
from tests.scene import after

from gpumon.app.state.logs import LOGS_KEPT
from gpumon.app.state.records import BufferKey, Placement, RunnerKey, ServerLog
from gpumon.app.state.state import State
from gpumon.collectors.samples import BufferComponent, LogEvent

MIB = 1024**2


def started(blob: str | None = BLOB, at: float | None = 0.0, port: int | None = None) -> LogEvent:
    return LogEvent(kind="load_started", blob=blob, at=None if at is None else START + at, port=port)


def layers(count: int, total: int) -> LogEvent:
    return LogEvent(kind="layers_offloaded", count=count, total=total)


def buffer(component: BufferComponent, device: str, mib: int) -> LogEvent:
    return LogEvent(kind="buffer", component=component, device=device, size_bytes=mib * MIB)


def the_log(*events: LogEvent) -> ServerLog:
    return after(log(1, *events)).state.logs["log /l"]


def placed(*events: LogEvent) -> Placement:
    placement = the_log(*events).placement
    assert placement is not None
    return placement


def mib(placement: Placement, component: BufferComponent, device: str) -> float | None:
    size_bytes = placement.buffers.get(BufferKey(component, device))
    return None if size_bytes is None else size_bytes / MIB


class TestPlacement:
    def test_it_says_how_many_layers_are_on_gpus(self) -> None:
        placement = placed(started(), layers(48, 49), buffer("model", "CUDA0", 12900))
        assert (placement.layers_on_gpu, placement.layer_count) == (48, 49)

    def test_all_layers_without_any_buffer_on_a_gpu_are_none(self) -> None:
        """A build without any GPU prints "offloaded 9/9 layers to GPU" too."""
        placement = placed(started(), layers(9, 9), buffer("model", "CPU_Mapped", 90))
        assert (placement.layers_offloaded, placement.layers_on_gpu, placement.gpu_bytes) == (9, 0, 0)

    def test_buffers_of_the_processors_matrix_unit_are_in_ram(self) -> None:
        """Ollama counts them as GPU: "100% GPU" on a machine without one."""
        placement = placed(
            started(), layers(19, 19), buffer("model", "AMX", 213), buffer("model", "CPU", 211)
        )
        assert (placement.layers_on_gpu, placement.gpu_bytes) == (0, 0)

    def test_before_the_first_buffer_nothing_is_denied(self) -> None:
        placement = placed(started(), layers(9, 9))
        assert (placement.layers_on_gpu, placement.gpu_bytes, placement.host_bytes) == (9, None, None)

    def test_host_buffers_are_no_device_memory(self) -> None:
        placement = placed(
            started(),
            buffer("model", "CUDA0", 1000),
            buffer("model", "CPU_Mapped", 200),
            buffer("compute", "CUDA_Host", 30),
            buffer("compute", "CPU", 4),
        )
        assert (placement.gpu_bytes, placement.host_bytes) == (1000 * MIB, 234 * MIB)
        assert placement.model_bytes == 1200 * MIB

    def test_the_two_caches_of_a_sliding_window_model_are_added(self) -> None:
        placement = placed(started(), buffer("kv_cache", "CUDA0", 460), buffer("kv_cache", "CUDA0", 60))
        assert mib(placement, "kv_cache", "CUDA0") == 520

    def test_a_compute_buffer_that_is_reserved_anew_is_not_added(self) -> None:
        placement = placed(started(), *[buffer("compute", "CUDA0", 350)] * 3)
        assert mib(placement, "compute", "CUDA0") == 350

    def test_that_of_a_projector_is(self) -> None:
        placement = placed(started(), buffer("compute", "CUDA0", 350), buffer("compute", "CUDA0", 248))
        assert mib(placement, "compute", "CUDA0") == 598

    def test_a_new_load_begins_anew(self) -> None:
        first = [started(), layers(10, 33), buffer("model", "CUDA0", 500)]
        placement = placed(*first, started(OTHER_BLOB), buffer("model", "CUDA0", 70))
        assert (placement.blob, placement.layer_count) == (OTHER_BLOB, None)
        assert mib(placement, "model", "CUDA0") == 70

    def test_what_was_logged_while_arrangements_were_tried_does_not_count(self) -> None:
        trial = [layers(49, 49), buffer("model", "CUDA0", 15000), buffer("kv_cache", "CUDA0", 500)]
        placement = placed(started(), *trial, layers(40, 49), buffer("model", "CUDA0", 12000))
        assert (placement.layers_offloaded, placement.gpu_bytes) == (40, 12000 * MIB)

    def test_a_trial_without_layers_does_not_count_either(self) -> None:
        trial = [buffer("model", "CPU", 900), buffer("kv_cache", "CPU", 50)]
        assert placed(started(), *trial, *trial).host_bytes == 950 * MIB

    def test_a_draft_model_is_added(self) -> None:
        main = [layers(49, 49), buffer("model", "CUDA0", 12000), buffer("kv_cache", "CUDA0", 500)]
        placement = placed(started(), *main, layers(25, 25), buffer("model", "CUDA0", 700))
        assert (placement.layer_count, mib(placement, "model", "CUDA0")) == (49, 12700)

    def test_layers_whose_experts_are_in_ram_are_counted_over_gpus(self) -> None:
        tables = [
            LogEvent(kind="layers_overflowing", device=device, count=count)
            for device, count in (("CUDA0", 9), ("CUDA0", 5), ("CUDA1", 2))
        ]
        assert placed(started(), *tables).layers_overflowing == 7
        assert placed(started()).layers_overflowing is None

    def test_what_an_old_version_plans_is_kept(self) -> None:
        plan = LogEvent(kind="fit_projected", size_bytes=5, available_bytes=4, count=49, total=63)
        assert (placed(started(), plan).layers_offloaded, placed(started(), plan).layer_count) == (49, 63)

    def test_the_end_is_kept(self) -> None:
        placement = placed(
            started(), LogEvent(kind="load_finished"), LogEvent(kind="load_finished", seconds=7.9)
        )
        assert (placement.finished, placement.seconds) == (True, 7.9)

    def test_a_failure_after_the_load_is_none_of_the_load(self) -> None:
        later = LogEvent(kind="out_of_memory", text="runtime OOM detected; expiring loaded models")
        assert placed(started(), LogEvent(kind="load_finished"), later).failure is None

    def test_a_retry_after_giving_up_is_counted(self) -> None:
        reduced = LogEvent(kind="context_reduced", old_context=32768, new_context=4096)
        placement = placed(started(), reduced, started())
        assert (placement.retries, placement.new_context) == (1, None)

    def test_evicting_all_others_is_a_retry_too(self) -> None:
        text = "llama-server load failed; evicting all other models and retrying once"
        assert placed(started(), LogEvent(kind="evicting", text=text), started()).retries == 1

    def test_making_room_beforehand_is_none(self) -> None:
        text = "llama-server model predicted to exceed available memory, evicting"
        assert placed(started(), LogEvent(kind="evicting", text=text), started()).retries == 0

    def test_lines_of_a_load_whose_start_was_not_read_are_left_out(self) -> None:
        assert the_log(layers(3, 9), buffer("model", "CUDA0", 5)).placement is None

    def test_what_is_kept_is_bounded(self) -> None:
        parts: tuple[BufferComponent, ...] = ("model", "compute")
        many = [buffer(part, f"CUDA{i}", i + 1) for i in range(500) for part in parts]
        state = after(log(1, started(), *many), *(log(2, source=f"log {i}") for i in range(100))).state
        assert len(state.logs) == LOGS_KEPT
        assert len(placed(started(), *many).buffers) < 400


class TestAttribution:
    def placement_of(self, state: State, pid: int = 100, at: float = 1.0) -> Placement | None:
        return state.runners[RunnerKey(pid, START + at)].placement

    def test_it_is_the_runner_of_the_blob_that_starts_right_after(self) -> None:
        runners = [runner(100, started=START + 1), runner(101, OTHER_BLOB, started=START + 1)]
        state = after(log(0.5, started(), layers(3, 9)), processes(1.5, *runners)).state
        placement = self.placement_of(state)
        assert placement is not None
        assert placement.layer_count == 9
        assert self.placement_of(state, 101) is None

    def test_what_comes_later_is_its_too(self) -> None:
        state = after(
            log(0.5, started()), processes(1.5, runner(started=START + 1)), log(2, layers(3, 9))
        ).state
        placement = self.placement_of(state)
        assert placement is not None
        assert placement.layer_count == 9

    def test_a_log_read_later_finds_the_runner_by_the_time_in_its_line(self) -> None:
        state = after(
            processes(600, runner(started=START + 1)), log(600, started(at=0.5), layers(3, 9))
        ).state
        assert self.placement_of(state) is not None

    def test_an_earlier_load_of_the_same_blob_is_another(self) -> None:
        state = after(processes(600, runner(started=START + 500)), log(600, started(at=0.5))).state
        assert self.placement_of(state, at=500) is None

    def test_without_a_blob_it_is_the_only_runner_that_loads(self) -> None:
        mlx = runner(blob=None, name="mlx:8b", started=START + 1)
        state = after(log(0.5, started(None)), processes(1.5, mlx)).state
        assert self.placement_of(state) is not None

    def test_without_a_blob_two_that_load_are_not_guessed_between(self) -> None:
        both = [runner(pid, blob=None, name=f"mlx:{pid}", started=START + 1) for pid in (100, 101)]
        state = after(log(0.5, started(None)), processes(1.5, *both), log(2, layers(1, 2))).state
        assert {r.placement is None for r in state.runners.values()} == {True}

    def test_the_port_tells_two_of_one_blob_apart(self) -> None:
        first, second = runner(100, started=START + 1), runner(101, started=START + 1.5)
        state = after(processes(2, first, second), log(3, started(port=40002))).state
        assert {r.placement is None for r in state.runners.values()} == {True}


class TestServer:
    def found(self, device: str) -> LogEvent:
        return LogEvent(kind="gpu_found", library="CUDA", device=device)

    def test_the_gpus_it_found_are_kept(self) -> None:
        assert [gpu.device for gpu in the_log(self.found("CUDA0"), self.found("CUDA1")).gpus] == [
            "CUDA0",
            "CUDA1",
        ]

    def test_a_new_start_begins_their_list_anew(self) -> None:
        seen = the_log(self.found("CUDA0"), self.found("CUDA1"), self.found("CUDA0"))
        assert [gpu.device for gpu in seen.gpus] == ["CUDA0"]

    def test_the_search_for_logs_is_none_itself(self) -> None:
        searched = log(0, source="server log")
        assert list(after(searched, log(1)).state.logs) == ["log /l"]

    def test_that_it_found_none_is_kept(self) -> None:
        seen = the_log(self.found("CUDA0"), LogEvent(kind="no_gpu_found"))
        assert (seen.gpus, seen.found_no_gpu) == ((), True)

    def test_its_settings_are_kept(self) -> None:
        seen = the_log(
            LogEvent(kind="server_config", settings={"OLLAMA_NUM_PARALLEL": "4"}),
            LogEvent(kind="default_context", count=32768),
        )
        assert (seen.settings, seen.default_context) == ({"OLLAMA_NUM_PARALLEL": "4"}, 32768)

    def test_an_unknown_format_is_kept_until_something_is_understood(self) -> None:
        assert after(log(1, unknown_format=True), log(2)).state.logs["log /l"].format_unknown
        assert not after(log(1, unknown_format=True), log(2, started())).state.logs["log /l"].format_unknown
