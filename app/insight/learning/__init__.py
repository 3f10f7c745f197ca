"""What finished loads and requests teach about this machine; kept in ``state.learned``."""

from __future__ import annotations

from gpumon.app.insight.learning.baselines import learn_rates
from gpumon.app.insight.learning.predictions import follow_predictions
from gpumon.app.insight.learning.scales import learn_scales
from gpumon.app.state.state import State, Touched


def learn(state: State, touched: Touched) -> None:
    """Learn from what a sample has touched: from requests that ended, and from what is measured of loads.

    ``touched`` is that of the state; its ``learned`` tells afterwards whether there is something new.
    """
    for key, requests in touched.requests.items():
        runner = state.runners.get(key)
        if runner is not None:
            learn_rates(state, runner, requests)
            learn_scales(state, runner, requests)
    follow_predictions(state, touched.models)
