"""Diagnoses of runs whose state is known: solved, simulated by brute force, or built by hand."""

import numpy as np
import pytest

from dynamics.diagnosis import Log, diagnose
from dynamics.errors import DataError
from dynamics.trajectories.trajectory import Trajectory

GAMMA = np.array([0.5, 0.2, 0.1, 0.04])
ETA = 0.01


def descent(steps, every=10, gamma=GAMMA, eta=ETA, start=1e-3, off_diagonal=1.0, dim=None, seed=0):
    """Brute force: W (d, m) descends ‖WΓWᵀ − I‖² with the off-diagonal terms weighed; C and WWᵀ are recorded."""
    dim = len(gamma) if dim is None else dim
    W = start * np.random.default_rng(seed).normal(size=(dim, len(gamma)))
    records = {"steps": [], "correlation": [], "covariance": [], "loss": []}
    weight = off_diagonal + (1 - off_diagonal) * np.eye(dim)
    for k in range(steps + 1):
        if np.abs(W).max() > 1e50:
            break
        C = (W * gamma) @ W.T
        error = weight * (C - np.eye(dim))
        if k % every == 0:
            loss = (weight * (C - np.eye(dim)) ** 2).sum()
            values = (k, np.linalg.eigvalsh(C)[::-1], np.linalg.eigvalsh(W @ W.T)[::-1], loss)
            for name, value in zip(records, values, strict=True):
                records[name].append(value)
        W = W - eta * 4 * error @ (W * gamma)
    return Log(**{name: np.array(values) for name, values in records.items()}, objective="barlow-twins")


def crossing(log, k):
    return int(log.steps[np.flatnonzero(log.correlation[:, k] >= 0.5)[0]])


def test_a_plateau_names_the_dimension_that_comes_and_when():
    log = descent(6000)
    for k in (1, 2, 3):
        now = 0.4 * crossing(log, k - 1) + 0.6 * crossing(log, k)
        found = diagnose(log.until(int(np.searchsorted(log.steps, now))))
        assert (found.state, found.learned, found.growing) == ("plateau", k, k + 1)
        assert found.rate == pytest.approx(8 * GAMMA[k] * ETA, rel=0.02)  # descent grows by (1 + 4γη)² a step
        assert found.due == pytest.approx(crossing(log, k), rel=0.05)


def test_a_step_and_the_end():
    log = descent(9000)
    during = diagnose(log.until(int(np.searchsorted(log.steps, crossing(log, 2))) + 1))
    assert (during.state, during.growing) == ("stepping", 3)
    end = diagnose(log)
    assert (end.state, end.learned) == ("converged", 4)
    assert any("used up" in sentence for sentence in end.sentences)


def test_dimensions_beyond_the_modes_do_not_keep_a_run_from_converging():
    found = diagnose(descent(9000, dim=6))
    assert (found.state, found.learned, found.dims) == ("converged", 4, 6)
    assert not any("used up" in sentence for sentence in found.sentences)


def test_without_decorrelation_all_dimensions_learn_one_direction():
    """Without off-diagonal terms every output learns the first mode, and then nothing pulls at the other modes."""
    log = descent(4000, off_diagonal=0.0, dim=8)
    found = diagnose(log)
    assert log.covariance[-1, 0] > 0.99 * log.covariance[-1].sum()
    assert (found.state, found.learned) == ("collapsing", 1)
    healthy = descent(4000, dim=8).until(int(np.searchsorted(log.steps, found.since)) + 6)
    assert diagnose(healthy).state == "plateau"  # the same first mode, but the second one grows


def test_weight_decay_stronger_than_growth_is_a_collapse():
    steps = np.arange(0, 500, 10)
    covariance = np.exp(-0.01 * steps)[:, None] * np.array([1.0, 0.5, 0.2, 0.1])
    found = diagnose(Log(steps, covariance=covariance))
    assert found.state == "collapsing"
    assert found.since == pytest.approx(np.log(2) / 0.01, abs=10)  # when half of it was gone


def test_embeddings_that_shrink_to_their_scale_do_not_collapse():
    """Large embeddings fall to a thirtieth, the scale that their loss wants, and stay there."""
    steps = np.arange(0, 1000, 10)
    covariance = (1 + 30 * np.exp(-0.02 * steps))[:, None] * np.array([1.0, 0.9, 0.8, 0.7])
    found = diagnose(Log(steps, covariance=covariance))
    assert (found.state, found.learned) == ("converged", 4)


@pytest.mark.parametrize("factor", [1.5, 4.0])
def test_a_learning_rate_above_the_limit_is_measured(factor):
    limit = 1 / (4 * GAMMA[0])
    found = diagnose(descent(100, every=1, eta=factor * limit, start=1e-6))
    assert found.state == "diverging"
    assert found.excess == pytest.approx(factor, rel=0.02)


def test_a_divergence_that_nobody_recorded_in_time_is_still_one():
    found = diagnose(Log(np.array([0, 50]), covariance=np.array([[1.0, 0.5], [np.nan, np.nan]])))
    assert (found.state, found.since, found.excess) == ("diverging", 50, None)


def test_a_loss_alone_shows_plateaus_of_the_theory_and_nothing_of_others():
    log = descent(6000, dim=4)
    steps, loss = log.steps, log.loss
    middle = int(np.searchsorted(steps, (crossing(log, 1) + crossing(log, 2)) // 2))
    known = diagnose(Log(steps[:middle], loss=loss[:middle], dim=4, objective="barlow-twins"))
    assert (known.state, known.learned) == ("plateau", 2)
    other = diagnose(Log(steps[:middle], loss=loss[:middle], dim=4, objective="simclr"))
    assert other.state == "unknown" and "cannot be told" in other.sentences[0]


def test_few_records_are_no_diagnosis():
    assert diagnose(Log(np.arange(3), covariance=np.ones((3, 2)))).state == "unknown"


def test_what_is_no_log_is_refused():
    with pytest.raises(DataError, match="neither eigenvalues nor losses"):
        Log(np.arange(3))
    with pytest.raises(DataError, match="ascend"):
        Log(np.array([0, 2, 1]), loss=np.zeros(3))
    forecast = Trajectory(np.arange(3.0), np.ones((3, 2)), np.zeros(3))
    with pytest.raises(DataError, match="forecast"):
        diagnose(forecast)
