"""A machine that is told what happens and yields the samples that the collectors would have.

    machine = Machine(Gpu(gib=12), ram_gib=64)
    model = machine.ollama().load(Model("llama3.1:8b", gpu_gib=6, ram_gib=2))
    machine.run(5)
    assert machine.alerts("spill")

A test that needs the sources apart has some of them speak: ``machine.look("driver")``.

Whatever is set on the machine, a GPU, a server or a model is so from the next look on. A look has every
source speak once, and a second goes by between two of them unless told otherwise. Samples are made by the
builders of ``tests.fakes`` alone, so that a change of their types is made there.
"""

from __future__ import annotations

from tests.scene.loading import Loading
from tests.scene.machine import Machine, after, loaded
from tests.scene.models import BLOB, LlamaServer, Model, Server
from tests.scene.painter import Painter
from tests.scene.things import Gpu, Program, Weights

__all__ = [
    "BLOB",
    "Gpu",
    "LlamaServer",
    "Loading",
    "Machine",
    "Model",
    "Painter",
    "Program",
    "Server",
    "Weights",
    "after",
    "loaded",
]
