"""Files with the shapes of well-known models, read as gpumon reads them."""

from __future__ import annotations

import pytest
from tests.fakes.gguf.mixture import dense, mixture

from gpumon.collectors.gguf.file import read_gguf
from gpumon.collectors.samples import ModelFacts


@pytest.fixture(scope="session")
def moe(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    return read_gguf(mixture().write(tmp_path_factory.mktemp("moe") / "m.gguf"))


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    return read_gguf(dense().write(tmp_path_factory.mktemp("dense") / "m.gguf"))
