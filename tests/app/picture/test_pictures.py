"""Pictures are made once per change, and a diagnosis stands for some seconds."""

from __future__ import annotations

from tests.app.diagnosis.scenes import Scene, decoding
from tests.scene import Machine, after

from gpumon.app.diagnosis.diagnosis import Diagnosis
from gpumon.app.picture.model import ModelPicture, spill_notes
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.state import Touched

SPILLED = Scene(context=65536)


def watched(scene: Scene, seconds: int = 2) -> Machine:
    return after(*(sample for at in range(seconds) for sample in scene.samples(float(at))), *decoding(5.0))


def only(pictures: Pictures) -> ModelPicture:
    [model] = pictures.models()
    return model


def diagnosis(machine: Machine) -> Diagnosis:
    return only(machine.pictures).diagnosis


def test_a_model_is_not_diagnosed_anew_for_every_picture() -> None:
    machine = watched(SPILLED)
    before = diagnosis(machine)
    machine.say(*SPILLED.samples(5.0))
    assert diagnosis(machine) is before
    machine.say(*SPILLED.samples(30.0))
    assert diagnosis(machine) is not before


def test_a_spill_that_grew_is_diagnosed_at_once() -> None:
    machine = watched(SPILLED)
    before = diagnosis(machine)
    machine.say(*Scene(context=65536, on_gpu_gib=5.0, in_ram_gib=3.0).samples(3.0))
    assert diagnosis(machine) is not before


def test_one_that_is_looked_at_closely_is_diagnosed_as_of_now() -> None:
    machine = watched(SPILLED)
    before = diagnosis(machine)
    machine.say(*SPILLED.samples(5.0))
    closely = machine.pictures.closely(only(machine.pictures).key)
    assert closely is not None
    assert closely.diagnosis is not before
    assert diagnosis(machine) is closely.diagnosis, "all surfaces say the same from then on"


def test_estimates_of_a_model_that_is_well_are_made_for_whoever_looks_closely() -> None:
    machine = watched(Scene(in_ram_gib=0.0))
    assert (diagnosis(machine).verdict.kind, diagnosis(machine).expected_now) == ("healthy", None)
    closely = machine.pictures.closely(only(machine.pictures).key)
    assert closely is not None
    assert closely.diagnosis.expected_now is not None
    assert "to be expected" in {one.name for one in closely.diagnosis.verdict.evidence}
    assert diagnosis(watched(SPILLED)).expected_fitting is not None, "a spill has its cost in the row"


def test_a_model_that_does_not_spill_has_nothing_to_explain() -> None:
    assert spill_notes(diagnosis(watched(Scene(in_ram_gib=0.0)))) == ()


def test_all_pictures_are_made_once_for_each_sample() -> None:
    machine = watched(SPILLED)
    pictures = machine.pictures
    assert pictures.models() is pictures.models()
    assert pictures.gpus()[0] is pictures.gpus()[0]
    assert pictures.health() is pictures.health()
    before = only(pictures)
    machine.say(*SPILLED.samples(5.0))
    assert only(pictures) is not before


def looked_at() -> Pictures:
    """Return pictures that have been made once as a whole and after nothing was touched."""
    pictures = watched(SPILLED).pictures
    pictures.health()
    return pictures


def test_only_what_was_touched_is_pictured_anew() -> None:
    pictures = looked_at()
    [model], [gpu] = pictures.models(), pictures.gpus()
    pictures.invalidate(Touched())
    assert (only(pictures) is model, pictures.gpus()[0] is gpu) == (True, True)
    pictures.health()
    pictures.invalidate(Touched(claimed={model.key}))
    assert (only(pictures) is model, pictures.gpus()[0] is gpu) == (False, True)


def test_a_gpu_that_was_touched_takes_its_models_with_it() -> None:
    pictures = looked_at()
    [model], [gpu] = pictures.models(), pictures.gpus()
    pictures.invalidate(Touched(gpus={gpu.uuid}))
    assert (only(pictures) is model, pictures.gpus()[0] is gpu) == (False, False)


def test_time_and_alerts_make_all_pictures_anew() -> None:
    machine = watched(SPILLED)
    pictures = machine.pictures
    pictures.health()
    before = only(pictures)
    machine.monitor.alerts.acknowledge_all()
    pictures.invalidate(Touched())
    acknowledged = only(pictures)
    assert acknowledged is not before
    pictures.health()
    machine.state.now += 1.0
    pictures.invalidate(Touched())
    assert only(pictures) is not acknowledged


def test_pictures_of_a_seek_back_show_what_was_then() -> None:
    machine = watched(SPILLED)
    machine.monitor.reset()
    assert machine.pictures.models() == ()
