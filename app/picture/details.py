"""What only a page and the snapshot say of a loaded model, beside its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gpumon.app.insight.by_card import CardShare, expected_by_card
from gpumon.app.insight.learning.baselines import usual_rate
from gpumon.app.insight.rereads import rereading
from gpumon.app.insight.wording import kind_label
from gpumon.app.picture.model import ModelPicture
from gpumon.app.state.holders.addresses import server_of
from gpumon.app.state.rates.disk import Moved
from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.rates.rereads import Losses
from gpumon.app.state.records import FinishedLoad, ModelRecord, Placement, Prediction
from gpumon.app.state.state import State
from gpumon.app.state.work import answer_of, metered_of, requests_of, server_facts
from gpumon.collectors.samples import LoadFacts, MeteredModel, ModelFacts, RateBaseline
from gpumon.collectors.servers.registry import kind_named

if TYPE_CHECKING:
    from gpumon.app.diagnosis.forecast import Forecast


JOULES_PER_WH = 3600.0
LEAST_TOKENS = 100
"""An answer of a few tokens says what a prompt takes."""


class ModelDetails(Struct, frozen=True, kw_only=True, gc=False):
    """What only a page and the snapshot say of a model."""

    picture: ModelPicture
    facts: ModelFacts | None
    """What its file holds, by the server."""
    server_facts: LoadFacts | None
    """What a llama-server says of file and slots."""
    statistics_detail: str | None
    """Why its statistics are not told."""
    log: Placement | None
    """What the server's log says of its load."""
    requests: tuple[FinishedRequest, ...]
    """Those that were seen to end, the newest first."""
    rereads: Losses | None
    """What it costs that prompts are read again, where they are."""
    metered: MeteredModel | None
    usual: RateBaseline | None
    prediction: Prediction | None
    disk: Moved | None
    expected_by_card: tuple[CardShare, ...]
    finished_load: FinishedLoad | None
    forecast: Forecast | None = None
    """What was said of its load before that was over."""
    started_by: str | None = None
    """The program that has started its process, where the model does not bear its name already."""

    @property
    def energy_wh_per_1000_tokens(self) -> float | None:
        """What its GPUs took for 1,000 generated tokens, prompts and idle power included."""
        told = [one for one in self.requests if one.energy_joules and not one.decoded_is_lower_bound]
        tokens = sum(one.decoded_tokens or 0 for one in told)
        joules = sum(one.energy_joules or 0.0 for one in told)
        return joules / JOULES_PER_WH * 1000 / tokens if tokens >= LEAST_TOKENS else None


def model_details(picture: ModelPicture, record: ModelRecord, state: State) -> ModelDetails:
    """Put together what a page says beside the picture."""
    runner, answer = state.runner_of(record), answer_of(record, state)
    loads = (load for load in reversed(state.finished_loads) if load.key == record.runner)
    return ModelDetails(
        picture=picture,
        facts=record.facts,
        server_facts=server_facts(record, state),
        statistics_detail=answer.detail if answer else None,
        log=runner.placement if runner else None,
        requests=tuple(reversed(requests_of(record, state))),
        rereads=rereading(record, state),
        metered=metered_of(record, state),
        usual=usual_rate(state, record),
        prediction=runner.prediction if runner else None,
        disk=runner.disk.latest if runner else None,
        expected_by_card=expected_by_card(record, state),
        started_by=_started_by(record, state),
        finished_load=next(loads, None) if record.runner else None,
    )


def _started_by(record: ModelRecord, state: State) -> str | None:
    runner = state.runner_of(record)
    server = server_of(state, runner) if runner is not None else None
    if server is None or server.kind == record.kind.name:
        return None
    return kind_label(kind_named(server.kind))
