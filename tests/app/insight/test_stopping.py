"""What ``ollama stop`` does to a busy model is told apart from a request that outlives the keep-alive."""

from __future__ import annotations

from tests.scene import Machine, Model, loaded

from gpumon.app.picture.model import ModelPicture
from gpumon.app.views.models import model_row


def busy(expires_seconds: float) -> Model:
    model = loaded(Model("qwen3:8b", expires_seconds=expires_seconds))
    model.works()
    model.machine.run(5)
    return model


def picture(machine: Machine) -> ModelPicture:
    [found] = machine.monitor.pictures.models()
    return found


def test_a_busy_model_that_is_asked_to_stop_says_so_until_it_goes() -> None:
    model = busy(300)
    model.expires_seconds = model.machine.now + 1
    model.machine.run(20)
    row = model_row(picture(model.machine))
    assert (row.state, row.time_left) == ("stopping after this request", "")
    assert (row.until, picture(model.machine).until) == ("Stopping...", "Stopping...")


def test_one_that_stands_still_then_is_stopping() -> None:
    model = busy(300)
    model.expires_seconds = model.machine.now + 1
    model.works(processing=False)
    model.machine.run(10)
    assert picture(model.machine).doing == "stopping"


def test_a_request_that_outlives_the_keep_alive_is_only_busy() -> None:
    model = busy(8)
    model.machine.run(30)
    assert picture(model.machine).doing == "busy"


def test_a_model_that_is_wanted_again_is_not_stopping() -> None:
    model = busy(300)
    model.expires_seconds = model.machine.now + 1
    model.machine.run(5)
    model.expires_seconds = model.machine.now + 300
    model.machine.run(2)
    assert picture(model.machine).doing == "busy"
