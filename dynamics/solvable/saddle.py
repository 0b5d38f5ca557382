"""One law for many models: dx/dt = κ x^b (1 − x), escape from a saddle of order b to the end value 1.

The mode-by-mode models of this package obey it, each for its own x; only κ and b differ. The order b decides how a
mode leaves its small start: exponentially for b = 1, so that x(0) counts by its logarithm, and algebraically for b > 1,
after about the time 1/(κ(b − 1) x(0)^{b−1}).

| model                                  | x         | κ                     | b        |
|----------------------------------------|-----------|-----------------------|----------|
| Barlow Twins, linearised               | γs²       | 8γ                    | 1        |
| the same, gradient preconditioned      | γs²       | 8                     | 1        |
| word embeddings                        | g/γ       | γ                     | 1        |
| IsoLoss                                | λ/ρ       | 2vρ                   | 1        |
| implicit variance regularisation       | λ/ρ       | 2vρ²                  | 2        |
| DirectPred on its invariant parabola   | p/(τρ)    | γτ²ρ                  | 2        |
| Barlow Twins, N balanced linear layers | γs²       | 8Nγ^{1/N}             | 2 − 1/N  |
| MAE, L layers and a decoder            | u^{L+1}/ρ | (L+1)λρ^{(L−1)/(L+1)} | 2L/(L+1) |
| JEPA, L layers and a predictor         | u/ρ       | λρ^{2L−1}             | 2L       |

>>> import numpy as np
>>> escape(np.ones(1), 2, np.array([0.01]), np.array([0.0, 100.0, 120.0])).round(3).ravel()
array([0.01 , 0.276, 1.   ])
>>> escape_times(np.ones(1), 2, np.array([0.01])).round(2)
array([102.6])
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.special import expit, hyp2f1, logit, wrightomega

from dynamics.errors import ConfigError

_HALVINGS = 64
_LEARNED = 32.0  # log-odds beyond which x is 1 to rounding


def escape(
    rate: Float[np.ndarray, " modes"],
    order: float | int,
    start: Float[np.ndarray, " modes"],
    times: Float[np.ndarray, " times"],
) -> Float[np.ndarray, "times modes"]:
    """Solve for x(t) exactly.

    For b = 1 it is logistic. For b = 2 it is 1/(1 + ω(y₀ + ln y₀ − κt)) with y₀ = 1/x(0) − 1 and Wright's ω function
    (Lambert's W of an exponential). For other b it is the inverse of `escape_times`, found by bisection.

    Parameters
    ----------
    rate : array (m,)
        Rates κ per unit of time. Modes with κ ≤ 0 stay where they are.
    order : float
        Order b ≥ 1 of the saddle.
    start : array (m,)
        Starts x(0), from 0 to below 1; a start of 0 stays 0.
    times : array (T,)
        Times, ascending from 0.

    Raises
    ------
    ConfigError
        If a mode does not start below its end value.
    """
    x0, moves = _checked(rate, order, start)
    y0 = np.where(moves, 1.0 / x0 - 1.0, 1.0)
    elapsed = np.where(moves, rate, 0.0) * times[:, None]
    if order == 1:
        x = expit(elapsed - np.log(y0))
    elif order == 2:
        x = 1.0 / (1.0 + wrightomega(y0 + np.log(y0) - elapsed))
    else:
        x = _inverted(order, x0, elapsed)
    return np.where(moves, x, start)


def escape_times(
    rate: Float[np.ndarray, " modes"], order: float | int, start: Float[np.ndarray, " modes"], level: float = 0.5
) -> Float[np.ndarray, " modes"]:
    """Exact time at which x reaches a level below 1.

    It is infinite for modes that do not grow, and 0 for modes that start beyond the level.
    """
    x0, moves = _checked(rate, order, start)
    elapsed = _antiderivative(order, logit(level)) - _antiderivative(order, logit(x0))
    return np.where(moves, np.maximum(elapsed, 0.0) / np.where(moves, rate, 1.0), np.inf)


def _checked(rate: np.ndarray, order: float | int, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The start, with ½ in place of those that stay, and which modes move."""
    if order < 1:
        raise ValueError(f"order is {order}; give at least 1, since below 1 the flow leaves zero by itself.")
    if (start >= 1).any() or (start < 0).any():
        raise ConfigError(
            f"A mode starts at {np.max(np.abs(start)):.3g} of its end value; these models describe growth from a "
            "start below 1, so lower `init_scale`."
        )
    moves = (rate > 0) & (start > 0)
    return np.where(moves, start, 0.5), moves


def _antiderivative(order: float | int, log_odds: np.ndarray | float) -> np.ndarray:
    """∫ dx / (x^b (1 − x)) as a function of ln(x/(1 − x)), on which it does not lose digits at either end.

    x^{−b}/(1 − x) = x^{−b} + x^{1−b}/(1 − x) takes the order down to β in (0, 1], where it is the logarithm of the
    odds or x^{1−β}/(1 − β) ₂F₁(1, 1 − β; 2 − β; x).
    """
    x = expit(log_odds)
    reductions = math.ceil(order) - 1
    beta = order - reductions
    total = log_odds if beta == 1 else x ** (1 - beta) / (1 - beta) * hyp2f1(1, 1 - beta, 2 - beta, x)
    for k in range(reductions):
        power = order - 1 - k
        total = total - x**-power / power
    return np.asarray(total)


def _inverted(order: float | int, x0: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
    begin = _antiderivative(order, logit(x0))
    low, high = np.broadcast_to(logit(x0), elapsed.shape), np.full(elapsed.shape, _LEARNED)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        late = _antiderivative(order, middle) - begin > elapsed
        low, high = np.where(late, low, middle), np.where(late, middle, high)
    return expit((low + high) / 2)
