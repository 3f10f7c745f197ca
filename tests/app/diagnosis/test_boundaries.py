"""From which figures on a diagnosis says what it says: just below, at, and just above."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.diagnosis.scenes import NAME, Other, Scene, decoding, diagnosed, remedy, verdict
from tests.fakes.process_samples import processes
from tests.fakes.samples import GIB, ollama_down, system
from tests.fakes.served_samples import FACTS, alone, served, statistics
from tests.scene import after

from gpumon.app.diagnosis import arithmetic
from gpumon.app.diagnosis.arithmetic import Arithmetic, usable_bytes
from gpumon.app.diagnosis.diagnose import diagnoses
from gpumon.app.diagnosis.diagnosis import Diagnosis
from gpumon.app.diagnosis.remedies import commands
from gpumon.app.diagnosis.room import Occupant, Room
from gpumon.app.diagnosis.subject import Rates, Subject, subject_of
from gpumon.app.diagnosis.words import gpu_words, needs_words, occupant_words
from gpumon.app.insight.loaded import loaded
from gpumon.app.insight.shapes import Shapes
from gpumon.app.physics.geometry import LoadOptions, NoGeometry
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.state import State, Touched
from gpumon.collectors.samples import GpuSlow
from gpumon.collectors.servers.registry import DEFAULT

MIB = 1024**2
WHOLE = Scene(in_ram_gib=0.0)


def kinds(found: Diagnosis) -> set[str]:
    return {one.kind for one in found.verdicts}


def subject(scene: Scene) -> Subject:
    state = scene.state()
    model = next(one for one in state.models.values() if one.claim.name == scene.name)
    return subject_of(loaded(model, state), state, Shapes().of(model, state))


def reckoned(scene: Scene) -> Arithmetic:
    found = subject(scene).arithmetic
    assert isinstance(found, Arithmetic)
    return found


class TestDefaults:
    @pytest.mark.parametrize(
        ("total_bytes", "tokens"),
        [
            (0, 4096),
            (23 * GIB - 1, 4096),
            (23 * GIB, 32768),
            (47 * GIB - 1, 32768),
            (47 * GIB, 262144),
        ],
    )
    def test_the_context_that_ollama_takes_grows_with_the_vram(self, total_bytes: int, tokens: int) -> None:
        assert DEFAULT.default_context(total_bytes) == tokens

    def test_the_margins_are_those_of_the_runtimes(self) -> None:
        assert (arithmetic.FIT_MARGIN_BYTES, arithmetic.TIGHT_MARGIN_BYTES) == (1024 * MIB, 128 * MIB)
        assert reckoned(WHOLE).margin_bytes == 1024 * MIB

    def test_layers_are_the_blocks_and_the_output(self) -> None:
        assert reckoned(WHOLE).layer_count == 33


class TestRoom:
    def test_what_loads_took_besides_is_taken_from_the_gpu_with_the_most(self) -> None:
        assert usable_bytes([3, 9, 4], 2) == [3, 7, 4]
        assert usable_bytes([3, 9, 4], -2) == [3, 11, 4]
        assert usable_bytes([3, 9], 10) == [3, 0]

    def test_what_others_hold_comes_back_where_they_held_it(self) -> None:
        room = Room(("a", "b"), ("GPU 0", "GPU 1"), (10, 20), (4, 5), ())
        first, second = (
            Occupant("model", "x", {"a": 3, "b": 1}, None),
            Occupant("process", "y", {"b": 7}, None),
        )
        assert room.without([first, second]) == (7, 13)
        assert (room.free_total_bytes, room.capacity_total_bytes) == (9, 30)
        assert (first.vram_bytes, second.vram_bytes) == (4, 7)

    def test_it_is_told_card_by_card_with_who_holds_it(self) -> None:
        scene = Scene(others=[Other("qwen3:8b", 3.0), Other("Xorg", 1.0, pid=201, group="desktop")])
        room = reckoned(scene).room
        assert (room.uuids, room.labels) == (("GPU-0",), ("GPU 0",))
        assert room.capacity_bytes == (int(11.75 * GIB),)
        assert room.free_bytes == (int(7.75 * GIB),)
        told = [(one.kind, one.name, one.vram_bytes, one.started) for one in room.occupants]
        began = scene.others[0].started
        assert told == [("model", "qwen3:8b", 3 * GIB, began), ("session", "Xorg", GIB, began)]
        assert [one.model is None for one in room.occupants] == [False, True]

    def test_what_came_after_the_load_was_free_at_it(self) -> None:
        began = Scene().machine().servers[0].models[0].started
        for started, is_later in ((began - 1, False), (began, False), (began + 1, True)):
            found = reckoned(Scene(others=[Other("qwen3:8b", 3.0, started=started)]))
            assert (found.earlier == ()) is is_later
            assert found.free_at_load_bytes == (int((11.75 if is_later else 8.75) * GIB),)

    def test_a_need_is_never_below_nothing(self) -> None:
        found = replace(reckoned(WHOLE), correction_bytes=0)
        assert replace(found, correction_bytes=GIB).need_bytes() == found.need_bytes() + GIB
        assert replace(found, correction_bytes=-99 * GIB).need_bytes() == 0


class TestRates:
    @pytest.mark.parametrize(
        ("rates", "per_request", "measured"),
        [
            (Rates(), None, None),
            (Rates(now=60.0, streams=3), 20.0, 20.0),
            (Rates(now=60.0, last=10.0, streams=1), 60.0, 60.0),
            (Rates(now=60.0, last=10.0), 60.0, 60.0),
            (Rates(last=10.0), None, 10.0),
        ],
    )
    def test_the_rate_is_that_of_one_request_now_or_last(
        self, rates: Rates, per_request: float | None, measured: float | None
    ) -> None:
        assert (rates.per_request, rates.measured) == (per_request, measured)

    def test_an_unknown_context_is_reckoned_as_a_usual_one(self) -> None:
        assert (Rates().usual_context_tokens, Rates(context_tokens=7).usual_context_tokens) == (1024, 7)
        assert Rates(context_tokens=0).usual_context_tokens == 0

    @pytest.mark.parametrize(("share", "is_told"), [(0.66, True), (0.74, False)])
    def test_requests_at_once_cost_something_below_seven_tenths_of_one_alone(
        self, share: float, is_told: bool
    ) -> None:
        scene = Scene(in_ram_gib=0.0, parallel=2)
        alone_now = diagnosed(scene, *decoding(50.0)).expected_now
        assert alone_now is not None
        found = diagnosed(scene, *decoding(share * alone_now.low, slots=2))
        assert ("parallel_requests" in kinds(found)) is is_told

    def test_one_request_is_not_slowed_by_others(self) -> None:
        assert "parallel_requests" not in kinds(diagnosed(WHOLE, *decoding(5.0)))

    @pytest.mark.parametrize(("context", "is_told"), [(8_000, False), (9_500, True)])
    def test_a_context_is_long_that_costs_a_fifth_of_the_rate(self, context: int, is_told: bool) -> None:
        scene = Scene(in_ram_gib=0.0, context=131072, total_gib=32.0, on_gpu_gib=21.0)
        found = diagnosed(scene, *decoding(20.0, context_tokens=context))
        now = found.expected_fitting
        empty = subject(scene).expected_empty
        assert now is not None
        assert empty is not None
        assert (now.expected < 0.8 * empty.expected) is is_told
        assert ("long_context" in kinds(found)) is is_told


class TestMachine:
    @pytest.mark.parametrize(("mib", "is_told"), [(3.9, False), (4.0, True)])
    def test_a_machine_swaps_from_four_mib_a_second_on(self, mib: float, is_told: bool) -> None:
        found = diagnosed(Scene(), system(2, swap_in=mib * MIB))
        assert ("swapping" in kinds(found)) is is_told

    @pytest.mark.parametrize(("busy_percent", "is_told"), [(49, False), (50, True), (None, False)])
    def test_a_link_counts_on_a_gpu_that_is_half_busy(self, busy_percent: int | None, is_told: bool) -> None:
        reading = {"slow": GpuSlow(pcie_width=4), "utilization_percent": busy_percent}
        scene = Scene(in_ram_gib=0.0, reading=reading, facts={"pcie_width_max": 16})
        assert ("link_degraded" in kinds(diagnosed(scene))) is is_told

    @pytest.mark.parametrize(("limit", "is_raised"), [(199.0, True), (200.0, False), (None, False)])
    def test_a_power_limit_is_raised_only_up_to_the_cards_own(
        self, limit: float | None, is_raised: bool
    ) -> None:
        reading = {"throttle_reasons": ("power cap",), "power_limit_watts": limit}
        scene = Scene(in_ram_gib=0.0, reading=reading, facts={"power_limit_default_watts": 200.0})
        [found] = diagnosed(scene).remedies
        assert (found.command is not None) is is_raised

    def test_heat_alone_raises_no_limit(self) -> None:
        reading = {"throttle_reasons": ("thermal slowdown",), "power_limit_watts": 150.0}
        scene = Scene(in_ram_gib=0.0, reading=reading, facts={"power_limit_default_watts": 200.0})
        assert [one.command for one in diagnosed(scene).remedies] == [None]

    @pytest.mark.parametrize(("ram_gib", "severity"), [(0.049, "watch"), (0.0501, "bad")])
    def test_a_spill_is_bad_from_a_twentieth_on(self, ram_gib: float, severity: str) -> None:
        found = verdict(diagnosed(Scene(on_gpu_gib=1.0 - ram_gib, in_ram_gib=ram_gib)), "spilled")
        assert found is not None
        assert found.severity == severity


class TestRemedies:
    @pytest.mark.parametrize(("fits_at", "advised"), [(2048, True), (1792, False)])
    def test_a_context_below_2048_tokens_is_never_advised(self, fits_at: int, advised: bool) -> None:
        need = reckoned(Scene(context=fits_at)).need_bytes() + 1024 * MIB
        total_gib = (need + 256 * MIB) / GIB + 1e-6
        found = remedy(Scene(total_gib=total_gib, on_gpu_gib=4.0), "shrink_context")
        assert (found is not None) is advised
        if found is not None:
            assert found.sentence.startswith("shrink the context to 2048 tokens")

    @pytest.mark.parametrize(("asked", "advised"), [(32, True), (33, False)])
    def test_more_layers_are_advised_where_one_is_missing(self, asked: int, advised: bool) -> None:
        scene = Scene(gpu_layers=asked, on_gpu_gib=4.0)
        assert (remedy(scene, "raise_gpu_layers") is not None) is advised

    def test_the_most_slots_that_fit_are_advised(self) -> None:
        found = remedy(Scene(context=16384, parallel=3, on_gpu_gib=4.0, total_gib=10.8), "reduce_parallel")
        assert found is not None
        assert found.sentence == "work on 2 requests at once"


class TestCommands:
    """The line for each kind of server; every figure is another."""

    @pytest.fixture
    def llama(self) -> Subject:
        looks = processes(0, alone(), servers=()), served(0, "m"), statistics(0, name="m", facts=FACTS)
        state = after(ollama_down(0, "not_running"), *looks).state
        [model] = state.models.values()
        return subject_of(loaded(model, state), state, NoGeometry("unknown"))

    def test_ollama(self) -> None:
        own = subject(Scene())
        kind = own.model.kind
        lines = [
            kind.set_context(7168, 3),
            commands.set_cache_type(own, "q4_0"),
            kind.set_slots(3),
            kind.set_layers(21),
            kind.set_expert_layers(5),
            commands.stop(own.model),
            kind.restart,
        ]
        assert [(one.line, one.where) for one in lines] == [
            ("/set parameter num_ctx 7168", "in ollama run"),
            ("OLLAMA_KV_CACHE_TYPE=q4_0", "in the server's environment"),
            ("OLLAMA_NUM_PARALLEL=3", "in the server's environment"),
            ("PARAMETER num_gpu 21", "in its Modelfile"),
            ("LLAMA_ARG_N_CPU_MOE=5", "in the server's environment"),
            (f"ollama stop {NAME}", None),
            ("sudo systemctl restart ollama", "where Ollama is a systemd service"),
        ]

    def test_ollama_with_all_at_once(self) -> None:
        present = LoadOptions(8192, 4)
        wanted = LoadOptions(7168, 3, cache_type_k="q4_0", cache_type_v="q4_0")
        found = commands.set_together(subject(Scene()), wanted, present)
        assert (found.line, found.where) == (
            "OLLAMA_NUM_PARALLEL=3 OLLAMA_KV_CACHE_TYPE=q4_0",
            "in the server's environment, and /set parameter num_ctx 7168 in ollama run",
        )

    def test_llama_server(self, llama: Subject) -> None:
        kind = llama.model.kind
        lines = [
            kind.set_context(7168, 3),
            commands.set_cache_type(llama, "q4_0"),
            kind.set_slots(3),
            kind.set_layers(21),
            kind.set_expert_layers(5),
        ]
        assert [one.line for one in lines] == [
            "--ctx-size 21504",
            "--cache-type-k q4_0 --cache-type-v q4_0",
            "--parallel 3",
            "--n-gpu-layers 21",
            "--n-cpu-moe 5",
        ]
        assert {one.where for one in lines} == {"on the command line of llama-server"}
        assert (commands.stop(llama.model).line, kind.restart.line) == (None, None)

    def test_llama_server_with_all_at_once(self, llama: Subject) -> None:
        present = LoadOptions(8192, 4)
        wanted = LoadOptions(7168, 3, cache_type_k="q4_0", cache_type_v="q4_0")
        found = commands.set_together(llama, wanted, present)
        assert found.line == "--parallel 3 --cache-type-k q4_0 --cache-type-v q4_0 --ctx-size 21504"
        assert found.where == "on the command line of llama-server"


class TestWords:
    def test_gpus_are_named_alone_and_counted_together(self) -> None:
        assert gpu_words(["GPU 3"]) == "GPU 3"
        assert gpu_words(["GPU 0", "GPU 3"]) == "the 2 GPUs"

    def test_a_need_stands_before_what_is_free(self) -> None:
        assert needs_words(3 * GIB, 5 * GIB) == "needs 3.0 of 5.0 GiB free"

    @pytest.mark.parametrize(
        ("count", "words"),
        [
            (1, "a (1.0 GiB)"),
            (2, "a (1.0 GiB) and b (2.0 GiB)"),
            (3, "a (1.0 GiB), b (2.0 GiB) and c (3.0 GiB)"),
        ],
    )
    def test_who_holds_memory_is_named_with_how_much(self, count: int, words: str) -> None:
        held = [Occupant("process", "abc"[index], {"x": (index + 1) * GIB}, None) for index in range(count)]
        assert occupant_words(held) == words


class TestKept:
    """What is drawn all the time is diagnosed again after some seconds only, or where it is another case."""

    def diagnosed(self, pictures: Pictures, state: State) -> Diagnosis:
        pictures.state = state
        pictures.invalidate(Touched(claimed={*state.models}))
        [model] = pictures.models()
        return model.diagnosis

    def test_it_is_kept_for_five_seconds(self) -> None:
        pictures = Pictures(State())
        found = [self.diagnosed(pictures, Scene().state(system(later))) for later in (2.0, 6.9, 7.0)]
        assert found[0] is found[1]
        assert found[2] is not found[1]

    def test_that_of_a_model_that_is_well_is_kept_for_thirty(self) -> None:
        pictures = Pictures(State())
        found = [self.diagnosed(pictures, WHOLE.state(system(later))) for later in (2.0, 31.9, 32.0)]
        assert found[0] is found[1]
        assert found[2] is not found[1]

    def test_another_share_on_the_gpu_is_another_case(self) -> None:
        pictures = Pictures(State())
        found = [self.diagnosed(pictures, Scene(on_gpu_gib=on_gpu).state()) for on_gpu in (6.0, 5.0)]
        assert found[0] is not found[1]

    def test_every_model_has_a_diagnosis(self) -> None:
        state = Scene(others=[Other("qwen3:8b", 3.0)]).state()
        assert diagnoses(state).keys() == state.models.keys()
