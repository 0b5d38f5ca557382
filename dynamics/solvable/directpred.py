"""BYOL and SimSiam with a linear predictor: how they avoid collapse without negative pairs (Tian et al. 2021).

An encoder W and a symmetric predictor W_p minimise ½ E‖W_p W x − sg(τ W x')‖², sg stopping the gradient, with weight
decay η and α_p times the encoder's learning rate for the predictor. Once both have one eigenbasis, mode j of the
predictor (p) and of the correlation F = E[Wx (Wx')ᵀ] of partners (s) obey

    ṗ = α_p s (τ − p/ρ) − ηp ,    ṡ = 2γ p s (τ − p/ρ) − 2ηs .

With γ = 1 and 1/ρ = 1 + σ² these are Tian et al.'s equations, for inputs of unit covariance and isotropic noise.
(s/γ − p²/α_p) e^{2ηt} is constant: the pair falls onto the parabola s = γp²/α_p, or stays on it.

>>> import numpy as np
>>> s, p = directpred_modes(np.ones(1), np.array([0.5]), np.array([0.01]), np.array([0.1]), np.array([0.0, 100.0]))
>>> s[-1].round(6), p[-1].round(6)
(array([0.25]), array([0.5]))
"""

import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.flow.integrate import integrate
from dynamics.solvable.saddle import escape, escape_times
from dynamics.solvable.task import Task
from dynamics.trajectories.trajectory import Trajectory

Modes = Float[np.ndarray, " modes"]
Course = Float[np.ndarray, "times modes"]


def directpred_modes(
    strength: Modes,
    correlation: Modes,
    start: Modes,
    predictor_start: Modes,
    times: Float[np.ndarray, " times"],
    *,
    predictor_rate: float = 1.0,
    target_scale: float = 1.0,
    weight_decay: float = 0.0,
    tolerance: float = 1e-10,
) -> tuple[Course, Course]:
    """Integrate every mode's s and p.

    Parameters
    ----------
    strength, correlation : array (m,)
        Covariance γ_j ≥ 0 and correlation ρ_j, in (0, 1], of partners along each mode.
    start, predictor_start : array (m,)
        Starts s_j(0) and p_j(0).
    times : array (T,)
        Gradient-flow times, ascending from 0.
    predictor_rate, target_scale, weight_decay : float
        The constants α_p, τ and η. τ is the size of the averaged target network against the online one, 1 for SimSiam.
    tolerance : float
        Relative error allowed in one step of the solver.

    Returns
    -------
    s, p : array (T, m)
    """
    saved, _ = integrate(
        _velocity,
        np.stack([start, predictor_start]),
        (strength, correlation, np.array([predictor_rate, target_scale, weight_decay])),
        times,
        _everything,
        tolerance=tolerance,
    )
    return saved[:, 0], saved[:, 1]


def directpred(
    task: Task,
    times: Float[np.ndarray, " times"],
    *,
    predictor_rate: float = 1.0,
    target_scale: float = 1.0,
    weight_decay: float = 0.0,
    predictor_start: float | None = None,
) -> Trajectory:
    """BYOL or SimSiam with a linear predictor, from the start and the modes of a task.

    Parameters
    ----------
    task : Task
        Modes of the pairs, with the start.
    times : array (T,)
        Gradient-flow times, ascending from 0.
    predictor_rate, target_scale, weight_decay
        The constants α_p, τ and η, as for `directpred_modes`.
    predictor_start : float, optional
        Start p_j(0) of every mode. By default it lies on the parabola, √α_p s_j(0), as DirectPred sets its predictor.

    Returns
    -------
    Trajectory
        `eigenvalues` are s_j, those of the cross-correlation, with mode j in column j; `covariance` is s_j/ρ_j; `loss`
        is the loss of the module's docstring. It need not fall, because with a stopped gradient the flow does not
        follow the gradient of any loss.
    """
    gamma, rho, alive, s0 = _setting(task)
    p0 = np.sqrt(predictor_rate) * task.weights if predictor_start is None else np.full(task.dim, predictor_start)
    # modes without a signal stay at zero; ρ = 1 stands in for theirs, which does not exist
    safe, p0 = np.where(alive, rho, 1.0), np.where(alive, p0, 0.0)
    x0 = p0 / (target_scale * safe)
    if predictor_start is None and weight_decay == 0 and (x0 >= 0).all() and (x0 < 1).all():
        # on the parabola; an ODE solver would follow the fastest mode at its end until the slowest has left its start
        p = target_scale * safe * escape(gamma * target_scale**2 * rho, 2, x0, times)
        s = gamma * p**2 / predictor_rate
    else:
        s, p = directpred_modes(
            gamma,
            safe,
            s0,
            p0,
            times,
            predictor_rate=predictor_rate,
            target_scale=target_scale,
            weight_decay=weight_decay,
        )
    tau = target_scale
    return Trajectory(
        times=times,
        eigenvalues=s,
        loss=0.5 * (s * (p**2 / safe - 2 * tau * p + tau**2 / safe)).sum(axis=1),
        covariance=s / safe,
        rung="directpred",
        solution=task.solved(
            directpred_fixed_points(task, predictor_rate, target_scale, weight_decay),
            quantity="$s_j$, correlation of partners",
            loss_name="predictive loss",
        ),
        meta={"predictor_rate": predictor_rate, "target_scale": target_scale, "weight_decay": weight_decay},
    )


def directpred_fixed_points(
    task: Task, predictor_rate: float = 1.0, target_scale: float = 1.0, weight_decay: float = 0.0
) -> Float[np.ndarray, " dim"]:
    """Learned s_j: γp₊²/α_p, with p₊ the larger root of γp(τ − p/ρ) = η; 0 where weight decay lets the mode collapse.

    A mode has a learned state only if η < γρτ²/4. On the parabola it reaches this state only from p(0) above the
    smaller root; from below it collapses (Tian et al. 2021).
    """
    gamma, rho, alive, _ = _setting(task)
    discriminant = target_scale**2 - 4 * weight_decay / np.where(alive, gamma * rho, 1.0)
    root = rho * (target_scale + np.sqrt(np.maximum(discriminant, 0.0))) / 2
    return np.where(alive & (discriminant >= 0), gamma * root**2 / predictor_rate, 0.0)


def directpred_times(
    task: Task, *, predictor_rate: float = 1.0, target_scale: float = 1.0
) -> Float[np.ndarray, " dim"]:
    """Exact times at which each s_j reaches half its end value, on the parabola and without weight decay.

    There ṗ = γp²(τ − p/ρ), which is the law of implicit variance regularisation.
    """
    gamma, rho, alive, _ = _setting(task)
    end = np.where(alive, target_scale * rho, 1.0)
    p0 = np.where(alive, np.sqrt(predictor_rate) * task.weights, 0.0)
    return escape_times(gamma * target_scale**2 * rho, 2, p0 / end, level=np.sqrt(0.5))


def _setting(task: Task) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    gamma, rho = task.strength, task.correlation
    if task.dim < 1:
        raise ConfigError("There is no mode to learn.")
    return gamma, rho, rho > 0, gamma * task.weights**2


def _velocity(t, y, parameters):
    s, p = y
    gamma, rho, (alpha, tau, eta) = parameters
    drive = s * (tau - p / rho)
    return y.at[0].set(2 * gamma * p * drive - 2 * eta * s).at[1].set(alpha * drive - eta * p)


def _everything(t, y, parameters):
    return y
