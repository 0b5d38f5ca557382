import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from dynamics.errors import ConfigError
from dynamics.solvable import escape, escape_times

ORDERS = [1, 4 / 3, 1.5, 5 / 3, 2, 3.5, 4, 6]


@pytest.mark.parametrize("order", ORDERS)
def test_times_are_the_integral(order):
    kappa, x0 = np.array([0.7, 2.0]), np.array([0.02, 0.3])
    expected = [
        quad(lambda x: 1 / (x**order * (1 - x)), start, 0.8, epsabs=0, epsrel=1e-12, limit=200)[0] / k
        for k, start in zip(kappa, x0, strict=True)
    ]
    np.testing.assert_allclose(escape_times(kappa, order, x0, level=0.8), expected, rtol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_the_course_is_that_of_the_equation(order):
    kappa, x0 = np.array([0.7, 2.0]), np.array([0.05, 0.2])
    times = np.linspace(0, 1.3 * escape_times(kappa, order, x0).max(), 30)
    run = solve_ivp(lambda t, x: kappa * x**order * (1 - x), (0, times[-1]), x0, "LSODA", times, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(escape(kappa, order, x0, times), run.y.T, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("order", ORDERS)
def test_course_and_times_are_inverse_to_each_other(order):
    kappa, x0 = np.array([3.0]), np.array([0.02])
    for level in (0.03, 0.5, 0.999):
        assert escape(kappa, order, x0, escape_times(kappa, order, x0, level))[0, 0] == pytest.approx(level, rel=1e-6)


@pytest.mark.parametrize("order", [1.5, 2, 4])
def test_a_small_start_waits_algebraically(order):
    waited = escape_times(np.array([2.0]), order, np.array([1e-6]))
    assert waited[0] * 2 * (order - 1) * 1e-6 ** (order - 1) == pytest.approx(1, rel=5e-3)


def test_nothing_overflows_and_a_learned_mode_stays_learned():
    x = escape(np.ones(1), 2, np.array([1e-9]), np.array([0.0, 1e8, 2e9, 1e12]))
    assert x[1, 0] == pytest.approx(1e-9 / 0.9, rel=1e-6)
    np.testing.assert_allclose(x[2:, 0], 1)
    np.testing.assert_allclose(escape(np.ones(1), 1, np.array([1e-9]), np.array([1e9])), 1)
    np.testing.assert_allclose(escape(np.ones(1), 1.5, np.array([1e-9]), np.array([1e9])), 1)


@pytest.mark.parametrize("order", [1, 1.5, 2])
def test_modes_without_a_signal_or_a_start_stay(order):
    kappa, x0, times = np.array([0.0, 1.0]), np.array([0.1, 0.0]), np.array([0.0, 50.0])
    np.testing.assert_array_equal(escape(kappa, order, x0, times), [[0.1, 0], [0.1, 0]])
    np.testing.assert_array_equal(escape_times(kappa, order, x0), [np.inf, np.inf])


def test_a_start_beyond_the_end_is_refused():
    with pytest.raises(ConfigError, match="init_scale"):
        escape(np.ones(1), 1, np.array([1.2]), np.array([0.0]))
