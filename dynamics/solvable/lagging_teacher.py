"""A linear encoder with a predictor that follows its own moving average: the teacher's lag as a state of every mode.

Encoder w, predictor p and teacher u of a mode, with the covariance γ of partners along it and the variance v = γ/ρ of
single views, minimise ½ E|p w x − sg(u x')|² or, with the norms of all modes together, −cos of the same two vectors:

    squared:  ẇ = p e − η w ,  ṗ = α w e − η p ,  u̇ = (w − u)/T ,   e = γ u − v p w ;
    cosine:   the same with e = γ u/(N M) − c v p w/N² ,  N² = Σ v p²w² ,  M² = Σ v u² ,  c = Σ γ p w u/(N M) .

T is the age of the teacher, α the learning rate of the predictor over that of the encoder, η the weight decay. At T = 0
the first is the system of Tian et al. (2021) (`dynamics.solvable.directpred`); the second is that of Bao (2023), where
norms concentrate because there are many modes. A learned mode of the squared loss stands at

    p = (ρ/2)(1 + √(1 − 4ηv/γ²)) ,   w = u = p/√α ,

which exists for η < γ²/4v, and its smaller root is where starts that collapse part from those that learn.

>>> import numpy as np
>>> w, p, u = lagging_fixed_point(np.array([0.8]), np.array([1.0]), weight_decay=0.1)
>>> p.round(3), bool((lagging_stability(np.array([0.8]), np.array([1.0]), 5.0, weight_decay=0.1).real < 0).all())
(array([0.645]), True)
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from dynamics.errors import ConfigError
from dynamics.flow.integrate import integrate
from dynamics.typing import Array

Modes = Float[np.ndarray, " modes"]


def lagging_teacher(
    covariance: Modes,
    variance: Modes,
    start: Float[np.ndarray, "three modes"],
    times: Float[np.ndarray, " times"],
    *,
    loss: str = "squared",
    teacher_age: float = 0.0,
    predictor_rate: float = 1.0,
    weight_decay: float = 0.0,
    tolerance: float = 1e-9,
) -> Float[np.ndarray, "times three modes"]:
    """Integrate w, p and u of every mode.

    Parameters
    ----------
    covariance, variance : array (m,)
        Covariance γ_j of partners, and variance v_j > 0 of single views, along each mode.
    start : array (3, m)
        Starts of w, p and u.
    times : array (T,)
        Gradient-flow times, ascending from 0.
    loss : {"squared", "cosine"}
        Whether the distance or the angle of prediction and target is minimised.
    teacher_age : float
        Age T of the teacher; at 0 it is the encoder, and its start is ignored.
    predictor_rate, weight_decay : float
        The constants α and η.
    tolerance : float
        Relative error allowed in one step of the solver.

    Returns
    -------
    array (T, 3, m)
        w, p and u at every time.

    Raises
    ------
    ConfigError
        If a constant is negative, or there is no such loss.
    DivergenceError
        If the solver cannot follow the modes.
    """
    _check(loss, teacher_age, predictor_rate, weight_decay)
    y0 = np.asarray(start, np.float64)
    if teacher_age == 0:
        y0 = np.stack([y0[0], y0[1], y0[0]])
    parameters = (covariance, variance, np.array([teacher_age, predictor_rate, weight_decay]))
    velocity = _squared if loss == "squared" else _cosine
    saved, _ = integrate(velocity, y0, parameters, times, _everything, tolerance=tolerance)
    return saved


def lagging_fixed_point(
    covariance: Modes, variance: Modes, *, predictor_rate: float = 1.0, weight_decay: float = 0.0
) -> tuple[Modes, Modes, Modes]:
    """Learned w, p, u of every mode under the squared loss; NaN where weight decay leaves none, η > γ²/4v."""
    _check("squared", 0.0, predictor_rate, weight_decay)
    gamma, v = np.asarray(covariance, np.float64), np.asarray(variance, np.float64)
    with np.errstate(invalid="ignore"):
        p = (gamma + np.sqrt(gamma**2 - 4 * v * weight_decay)) / (2 * v)
    w = p / np.sqrt(predictor_rate)
    return w, p, w


def lagging_stability(
    covariance: Modes,
    variance: Modes,
    teacher_age: float = 0.0,
    *,
    predictor_rate: float = 1.0,
    weight_decay: float = 0.0,
) -> Complex[np.ndarray, "modes three"]:
    """Eigenvalues of the squared loss's flow at the learned state of every mode; it is stable where all are negative.

    At age 0 there are two, and the third is −∞: the teacher follows at once.
    """
    w, p, _ = lagging_fixed_point(covariance, variance, predictor_rate=predictor_rate, weight_decay=weight_decay)
    found = np.full((len(w), 3), -np.inf, complex)
    alpha, eta = predictor_rate, weight_decay
    for j, (gamma, v, wj, pj) in enumerate(zip(covariance, variance, w, p, strict=True)):
        if np.isnan(pj):
            found[j] = np.nan
            continue
        slope = gamma * wj - 2 * v * pj * wj  # of p e by p, and of w e by w
        matrix = np.array(
            [
                [-v * pj**2 - eta, slope, gamma * pj],
                [alpha * slope, -alpha * v * wj**2 - eta, alpha * gamma * wj],
                [0.0, 0.0, 0.0],
            ]
        )
        if teacher_age:
            matrix[2] = [1 / teacher_age, 0.0, -1 / teacher_age]
            found[j] = np.linalg.eigvals(matrix)
        else:
            found[j, :2] = np.linalg.eigvals(matrix[:2, :2] + np.outer(matrix[:2, 2], [1.0, 0.0]))
    return found


def _check(loss: str, teacher_age: float, predictor_rate: float, weight_decay: float) -> None:
    if loss not in ("squared", "cosine"):
        raise ConfigError(f"`loss` is {loss!r}; give squared or cosine.")
    constants = {"teacher_age": teacher_age, "predictor_rate": predictor_rate, "weight_decay": weight_decay}
    for name, value in constants.items():
        if not (np.isfinite(value) and value >= 0):
            raise ConfigError(f"`{name}` is {value}; give a number that is finite and not negative.")


def _squared(t: Array, y: Array, parameters: tuple) -> Array:
    gamma, v, constants = parameters
    w, p, u = _states(y, constants[0])
    return _moved((w, p, u), gamma * u - v * p * w, constants)


def _cosine(t: Array, y: Array, parameters: tuple) -> Array:
    gamma, v, constants = parameters
    w, p, u = _states(y, constants[0])
    N, M = jnp.sqrt((v * p**2 * w**2).sum()), jnp.sqrt((v * u**2).sum())
    c = (gamma * p * w * u).sum() / (N * M)
    return _moved((w, p, u), gamma * u / (N * M) - c * v * p * w / N**2, constants)


def _states(y: Array, age: Array) -> tuple[Array, Array, Array]:
    return y[0], y[1], jnp.where(age > 0, y[2], y[0])


def _moved(states: tuple[Array, Array, Array], e: Array, constants: Array) -> Array:
    (w, p, u), (age, alpha, eta) = states, constants
    dw = p * e - eta * w
    follows = jnp.where(age > 0, (w - u) / jnp.where(age > 0, age, 1.0), dw)
    return jnp.stack([dw, alpha * w * e - eta * p, follows])


def _everything(t: Array, y: Array, parameters: tuple) -> Array:
    return y
