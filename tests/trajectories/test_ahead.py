"""Forecasts of a run from itself, on curves whose next step is known."""

import numpy as np
import pytest

from dynamics.trajectories.ahead import growth_rate, one_ahead
from dynamics.trajectories.trajectory import Trajectory


def logistic(rates, times_of_half, ends=1.0, until=20.0):
    t = np.linspace(0, until, 801)
    u = ends / (1 + np.exp(-np.array(rates) * (t[:, None] - np.array(times_of_half))))
    return Trajectory(t, eigenvalues=u, loss=np.ones(len(t)))


def test_growth_rate_needs_growth():
    times = np.linspace(0, 1, 50)
    assert growth_rate(times, np.full(50, 0.1)) is None
    assert growth_rate(times, np.full(50, -0.1)) is None
    assert growth_rate(times, np.exp(5 * times - 12)) == pytest.approx(5, rel=0.01)


def test_logistic_steps_are_foretold_whatever_they_end_at():
    for ends in (1.0, 0.3):
        found = one_ahead(logistic([3.0, 2.0, 1.0], [2.0, 5.0, 12.0], ends))
        assert np.isnan(found[0])
        # when half of the first was learned, a half was all that was known of where dimensions end
        np.testing.assert_allclose(found[1:], [5.0 - np.log(2) / 2, 12.0], rtol=0.01)


def test_what_does_not_grow_yet_or_never_does_has_no_time():
    run = logistic([3.0, 30.0, 3.0], [2.0, 12.0, 100.0])
    waits = np.where(run.times[:, None] < 10, np.array([1.0, 0.0, 0.0]), 1.0)  # the second stays at zero until t = 10
    found = one_ahead(Trajectory(run.times, eigenvalues=run.eigenvalues * waits, loss=run.loss))
    assert np.isinf(found[1]) and np.isnan(found[2])
