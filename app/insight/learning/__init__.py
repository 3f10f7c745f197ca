"""What finished loads and requests teach about this machine; kept in ``state.learned``."""

from __future__ import annotations

from gpumon.app.insight.learning.baselines import learn_rates
from gpumon.app.insight.learning.predictions import follow_predictions
from gpumon.app.insight.learning.scales import learn_scales
from gpumon.app.state.loads.follow import BEAR_ON_LOADS
from gpumon.app.state.state import State
from gpumon.app.state.touched import Touched
from gpumon.collectors.samples import AnySample


def learn(state: State, sample: AnySample, touched: Touched) -> None:
    """Learn from a sample that the store has taken in: from the requests that ended, and from loads."""
    for key, requests in touched.requests.items():
        runner = state.runners.get(key)
        if runner is not None:
            learn_rates(state, runner, requests)
            learn_scales(state, runner, requests)
    if type(sample) in BEAR_ON_LOADS:
        follow_predictions(state, sample)
