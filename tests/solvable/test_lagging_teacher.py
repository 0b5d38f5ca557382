"""Encoder, predictor and teacher mode by mode: SciPy, the limit without lag, fixed points, stability, bad constants."""

import numpy as np
import pytest
import scipy.integrate

from dynamics.errors import ConfigError
from dynamics.solvable import directpred_modes, lagging_fixed_point, lagging_stability, lagging_teacher

GAMMA, V = np.array([0.8, 0.5]), np.array([1.0, 0.7])
START = np.array([[0.4, 0.5], [0.6, 0.7], [0.3, 0.2]])


def by_hand(loss, age, alpha, eta):
    """The right-hand side with the gradient of the loss taken by central differences."""

    def value(w, p, u):
        if loss == "squared":
            return 0.5 * np.sum(V * (p * w) ** 2 - 2 * GAMMA * p * w * u)
        return -np.sum(GAMMA * p * w * u) / np.sqrt(np.sum(V * (p * w) ** 2) * np.sum(V * u**2))

    def velocity(t, y):
        w, p, u = y.reshape(3, 2)
        h, slopes = 1e-6, []
        for first in (True, False):
            slope = np.zeros(2)
            for j in range(2):
                step = h * np.eye(2)[j]
                up = value(w + step, p, u) if first else value(w, p + step, u)
                down = value(w - step, p, u) if first else value(w, p - step, u)
                slope[j] = (up - down) / (2 * h)
            slopes.append(slope)
        return np.r_[-slopes[0] - eta * w, -alpha * slopes[1] - eta * p, (w - u) / age]

    return velocity


@pytest.mark.parametrize("loss", ["squared", "cosine"])
def test_modes_follow_the_gradient_of_their_loss(loss):
    times = np.array([0.0, 1.0, 6.0])
    constants = {"teacher_age": 0.9, "predictor_rate": 1.7, "weight_decay": 0.05}
    found = lagging_teacher(GAMMA, V, START, times, loss=loss, **constants)
    exact = scipy.integrate.solve_ivp(by_hand(loss, 0.9, 1.7, 0.05), (0, 6), START.ravel(), t_eval=times, rtol=1e-8)
    np.testing.assert_allclose(found.reshape(3, 6), exact.y.T, rtol=2e-5)


def test_without_lag_it_is_directpred():
    times, alpha, eta = np.linspace(0, 20, 5), 1.5, 0.03
    w, p, u = np.moveaxis(lagging_teacher(GAMMA, V, START, times, predictor_rate=alpha, weight_decay=eta), 1, 0)
    s, q = directpred_modes(
        GAMMA, GAMMA / V, GAMMA * START[0] ** 2, START[1], times, predictor_rate=alpha, weight_decay=eta
    )
    np.testing.assert_allclose(GAMMA * w**2, s, rtol=1e-6)
    np.testing.assert_allclose(p, q, rtol=1e-6)
    np.testing.assert_array_equal(u, w)


def test_under_the_cosine_weight_decay_is_another_clock():
    """Without lag all numbers shrink by e^{−ηt}, and what they are relative to each other is that of a later time."""
    eta, t = 0.1, np.array([0.0, 2.0, 6.0])
    later = np.expm1(2 * eta * t) / (2 * eta)
    decayed = lagging_teacher(GAMMA, V, START, t, loss="cosine", weight_decay=eta)
    kept = lagging_teacher(GAMMA, V, START, later, loss="cosine")
    np.testing.assert_allclose(decayed * np.exp(eta * t)[:, None, None], kept, rtol=1e-6)
    assert np.abs(kept[1] / kept[0] - 1).max() > 0.05  # something moves


@pytest.mark.parametrize("age", [0.0, 0.3, 30.0])
def test_learned_states_rest_and_draw_in(age):
    constants = {"predictor_rate": 2.0, "weight_decay": 0.05}
    state = np.stack(lagging_fixed_point(GAMMA, V, **constants))
    eigenvalues = lagging_stability(GAMMA, V, age, **constants)
    assert (eigenvalues.real < 0).all()
    near = state * (1 + 1e-4 * np.array([[1.0, -1.0], [2.0, 0.5], [-1.0, 1.0]]))
    slowest = -eigenvalues.real.max()
    times = np.array([0.0, 10.0]) / slowest
    distance = np.linalg.norm(lagging_teacher(GAMMA, V, near, times, teacher_age=age, **constants) - state, axis=(1, 2))
    assert distance[1] < 0.01 * distance[0]  # e^{−10} but for the angle between the directions that decay


def test_weight_decay_beyond_its_threshold_leaves_no_learned_state():
    threshold = GAMMA**2 / (4 * V)
    for eta in threshold:
        w, _, _ = lagging_fixed_point(GAMMA, V, weight_decay=1.001 * eta)
        np.testing.assert_array_equal(np.isnan(w), threshold <= eta)
    w = lagging_teacher(GAMMA, V, START, np.array([0.0, 500.0]), teacher_age=2.0, weight_decay=1.1 * threshold.max())
    assert np.abs(w[-1]).max() < 1e-6


@pytest.mark.parametrize("name", ["teacher_age", "predictor_rate", "weight_decay"])
def test_bad_constants_are_named(name):
    with pytest.raises(ConfigError, match=f"`{name}` is -1"):
        lagging_teacher(GAMMA, V, START, np.array([0.0, 1.0]), **{name: -1.0})
    with pytest.raises(ConfigError, match="`loss` is 'dot'; give squared or cosine"):
        lagging_teacher(GAMMA, V, START, np.array([0.0, 1.0]), loss="dot")
