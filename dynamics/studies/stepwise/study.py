"""Simon, Knutins, Liu, Geisz, Fetterman, Albrecht (2023), On the Stepwise Nature of Self-Supervised Learning.

The claims that a linear model (exact theory, rungs 0 and 1) and a small network (rung 3) can test, and Fig. 1A,B: two
random 20×20 crops of each of 500 CIFAR-10 images, f(x) = W x, full-batch gradient descent. Without CIFAR-10 files the
same figure is drawn for the embedded 8×8 digits. Number of outputs (10), learning rate and scale of the start are not
stated in the caption of the figure; they are choices made here.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dynamics.drawing.axes import legend_above
from dynamics.drawing.trajectories import comparison_figure, draw_eigenvalues, draw_loss, draw_step_marks, style
from dynamics.experiment import Experiment, compare_run, forecast_trajectories, prepare, train
from dynamics.experiment.config import Config
from dynamics.flow import closed_form, kernel_flow
from dynamics.kernels import gram, linear
from dynamics.modes import contrastive_modes, contrastive_modes_from_features
from dynamics.studies.claims import Claim
from dynamics.studies.stepwise import PAPER
from dynamics.studies.stepwise.linear_model import (
    descend,
    descend_continuously,
    flattened,
    pair_correlation,
    random_weights,
    trajectory,
)
from dynamics.support import files
from dynamics.training import gradient_descent, recording_steps, small_network
from dynamics.trajectories.comparison import step_times
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import load_pairs
from dynamics.views.datasets import check_images

# Discrete steps of size η advance mode j late by a fraction 2ηγ_j: 1.5 % of the first step time at 0.03/(4γ_1).
LR_FRACTION = 0.03


def run(
    out: Path,
    *,
    data_dir: Path | None = None,
    full: bool = False,
    seed: int = 0,
    num_pairs: int = 500,
    dim: int = 10,
    width: int = 512,
) -> list[Claim]:
    """Test the claims and draw the figures.

    Parameters
    ----------
    out : Path
        Folder for figures (PNG and PDF) and trajectories.
    data_dir : Path, optional
        Folder with the official CIFAR-10 files: adds the reproduction of Fig. 1A,B.
    full : bool
        The paper's data (downloaded if there is no `data_dir`), and a network on 50 CIFAR-10 pairs. Takes minutes.
    seed : int
        Seed of data, views and weights.
    num_pairs, dim, width : int
        Pairs and outputs of the linear model, hidden units of the network.
    """
    out = Path(out)
    real = full or data_dir is not None
    if real:
        check_images("cifar10", data_dir)  # a missing file is reported before anything long begins
    claims = [
        *_exact_solution(num_pairs, seed),
        *_small_starts(num_pairs, seed),
        *_plateaus(num_pairs, dim, seed),
        *_end_point(num_pairs, seed),
        *_kernel_form(num_pairs, dim, seed),
        *_figure_1(out, "digits", None, num_pairs, dim, seed),
    ]
    if real:
        claims += _figure_1(out, "cifar10", data_dir, num_pairs, dim, seed)
    claims += _network(
        out, Config(num_pairs=48, dim=min(dim, 6), network="mlp", width=width, depth=1, seed=seed, multiplier="auto")
    )
    if full:
        settings = {"dataset": "cifar10", "data_dir": data_dir, "num_pairs": 50, "network": "mlp", "width": 2048}
        claims += _network(out, Config(**settings, dim=10, depth=1, seed=seed, multiplier="auto"))
    return claims


# ---------------------------------------------------------------- linear model, exact theory

_CHOICE_OF_D = "of d = 2 … 8 the one whose mode stands clearest of its neighbours"


def _exact_solution(num_pairs: int, seed: int) -> list[Claim]:
    """Prop. 4.1, from W(0) = R diag(s) Q_dᵀ: independent logistic modes."""
    views = _digits(num_pairs, seed)
    rng = np.random.default_rng(seed)
    gamma, Q = _top_eigenpairs(views, 6)
    rotation = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    W0 = rotation * np.geomspace(1e-3, 1e-2, 6) @ Q.T
    rate, steps = _schedule(gamma, 1e-6 * gamma)
    times = rate * steps.astype(float)
    modes = contrastive_modes_from_features(views)
    theory = closed_form(modes, views @ W0.T, times)
    flow = kernel_flow(modes, views @ W0.T, times)
    descent = trajectory(views, descend_continuously(views, W0, rate, steps), times)
    source = f"{PAPER}, Prop. 4.1; digits"
    return [
        Claim.equals(
            "aligned start: kernel flow follows the logistic solution (largest eigenvalue error)",
            source,
            expected=0.0,
            measured=np.abs(flow.eigenvalues - theory.eigenvalues).max(),
            tolerance=1e-7,
        ),
        Claim.equals(
            "aligned start: so do the weights of a linear model under gradient descent, extrapolated to η = 0",
            source,
            expected=0.0,
            measured=np.abs(descent.eigenvalues - theory.eigenvalues).max(),
            tolerance=2e-3,
        ),
    ]


def _small_starts(num_pairs: int, seed: int) -> list[Claim]:
    """Convergence of the flow to the closed form as the start shrinks."""
    views = _digits(num_pairs, seed)
    modes = contrastive_modes_from_features(views)
    gamma, d = modes.eigenvalues, _isolated_dim(modes.eigenvalues)
    direction = random_weights(d, views.shape[1], 1.0, np.random.default_rng(seed))
    alphas = 10.0 ** -np.arange(8.0, 17.0, 4.0)
    residuals, errors = [], []
    for alpha in alphas:
        F0 = alpha * views @ direction.T
        times = np.linspace(0, (2 * np.log(1 / alpha) + 20) / (8 * gamma[d - 1]), 400)
        flow = kernel_flow(modes, F0, times, embedding_times=times[-1:])
        a = modes.coordinates(flow.embeddings[0])
        residuals.append(np.linalg.norm(a[d:]) / np.linalg.norm(a))
        errors.append(np.abs(flow.eigenvalues - closed_form(modes, F0, times).eigenvalues).max())
    slope = np.polyfit(np.log(alphas), np.log(residuals), 1)[0]
    return [
        Claim.equals(
            f"random starts of scale α end in the top-{d} subspace up to α^(1 − γ_{d + 1}/γ_{d}) (exponent)",
            f"{PAPER}, small random starts; digits, α = 1e-8 … 1e-16; {_CHOICE_OF_D}",
            expected=1 - gamma[d] / gamma[d - 1],
            measured=slope,
            tolerance=0.02,
        ),
        Claim.at_most(
            f"and the closed form forecasts its {d} eigenvalues at every time (largest error, α = 1e-16)",
            f"{PAPER}, Prop. 4.1; digits; {_CHOICE_OF_D}; the bound is this project's",
            bound=0.05,
            measured=errors[-1],
        ),
    ]


def _plateaus(num_pairs: int, dim: int, seed: int) -> list[Claim]:
    """The loss falls by 1 at a time: between separate steps r and r + 1 it stands at d − r."""
    views = _digits(num_pairs, seed)
    gamma, _ = _top_eigenpairs(views, dim)
    W0 = random_weights(dim, views.shape[1], 1e-8, np.random.default_rng(seed))
    rate, steps = _schedule(gamma, np.full(dim, 1e-18), lr_fraction=0.05)
    measured = trajectory(views, descend(views, W0, rate, steps), rate * steps.astype(float))
    tau = step_times(measured)
    growth = 8 * gamma[1:] * tau[1:]  # = ln(1/u_0)
    separate = np.flatnonzero(growth * (gamma[:-1] / gamma[1:] - 1) > 2 * 4.4)
    between = [np.interp((tau[j] + tau[j + 1]) / 2, measured.times, measured.loss) for j in separate]
    heights = dim - 1.0 - separate
    return [
        Claim.equals(
            f"between steps that separate clearly ({len(separate)} of {dim - 1}) the loss stands at d − r "
            "(largest deviation)",
            f"{PAPER}, stepwise loss; linear model, digits, α = 1e-8",
            expected=0.0,
            measured=_largest(between - heights) if np.isfinite(tau).all() else np.inf,
            tolerance=0.1,
        )
    ]


def _end_point(num_pairs: int, seed: int) -> list[Claim]:
    """Gradient descent from a small start finds the zero-loss weights of smallest norm."""
    views = _digits(num_pairs, seed)
    gamma, _ = _top_eigenpairs(views, views.shape[1])
    d = _isolated_dim(gamma)
    gamma, Q = _top_eigenpairs(views, d)
    W0 = random_weights(d, views.shape[1], 1e-12, np.random.default_rng(seed))
    rate, steps = _schedule(gamma, np.full(d, 1e-26), lr_fraction=0.1, beyond=1.5)
    W = descend(views, W0, rate, steps[[0, -1]])[-1]
    theory = Q / gamma @ Q.T  # WᵀW does not depend on the rotation of the outputs
    source = f"{PAPER}, Prop. 4.2; linear model, digits, d = {d}; {_CHOICE_OF_D}"
    return [
        Claim.equals(
            "gradient descent from a small start ends with ‖W‖² = Σ 1/γ_j (ratio)",
            source,
            expected=1.0,
            measured=np.square(W).sum() / (1 / gamma).sum(),
            tolerance=0.01,
        ),
        Claim.equals(
            "those weights are diag(γ^−½) on the top d modes, up to a rotation (relative difference of WᵀW)",
            source,
            expected=0.0,
            measured=np.linalg.norm(W.T @ W - theory) / np.linalg.norm(theory),
            tolerance=0.05,
        ),
        Claim.at_most(
            "and their loss is zero",
            source,
            bound=1e-6,
            measured=np.square(W @ pair_correlation(views) @ W.T - np.eye(d)).sum(),
        ),
    ]


def _kernel_form(num_pairs: int, dim: int, seed: int) -> list[Claim]:
    """The linear model in weight space and the flow of its kernel are one function, on training and test points."""
    held_out = max(10, num_pairs // 5)
    pairs = flattened(load_pairs("digits", num_pairs=num_pairs + held_out, seed=seed)).reshape(
        2, num_pairs + held_out, -1
    )
    views, test = np.concatenate(pairs[:, :num_pairs]), np.concatenate(pairs[:, num_pairs:])
    modes = contrastive_modes(gram(linear(), views))
    gamma = modes.eigenvalues[:dim]
    W0 = random_weights(dim, views.shape[1], 1e-2, np.random.default_rng(seed))
    rate, steps = _schedule(gamma, np.full(dim, 1e-6))
    steps = steps[:: max(1, len(steps) // 20)]
    weights = descend_continuously(views, W0, rate, steps)
    times = rate * steps.astype(float)
    flow = kernel_flow(modes, views @ W0.T, times, embedding_times=times)
    phi = modes.functions(gram(linear(), test, views))
    errors = {"training": 0.0, "test": 0.0}
    for W, F in zip(weights, flow.embeddings, strict=True):
        expected = {"training": views @ W.T, "test": test @ W.T}
        predicted = {"training": F, "test": phi @ modes.coordinates(F)}
        for name, f in expected.items():
            errors[name] = max(errors[name], np.abs(predicted[name] - f).max() / np.abs(f).max())
    return [
        Claim.equals(
            f"the kernel form gives the trained linear model on {name} points (largest relative error at any time)",
            f"{PAPER}, kernel form; digits",
            expected=0.0,
            measured=error,
            tolerance=0.01,
        )
        for name, error in errors.items()
    ]


# ---------------------------------------------------------------- Fig. 1A,B


def _figure_1(out: Path, dataset: str, data_dir: Path | None, num_pairs: int, dim: int, seed: int) -> list[Claim]:
    pairs = load_pairs(dataset, data_dir=data_dir, num_pairs=num_pairs, seed=seed)
    views = flattened(pairs)
    modes = contrastive_modes_from_features(views)
    W0 = random_weights(dim, views.shape[1], 1e-3, np.random.default_rng(seed))
    rate, steps = _schedule(modes.eigenvalues[:dim], np.full(dim, 1e-8), beyond=1.4)
    times = rate * steps.astype(float)
    measured = trajectory(views, descend(views, W0, rate, steps), times)
    theory = closed_form(modes, views @ W0.T, times)
    predicted = theory.mode_step_times
    measured.save(out / f"fig1_{dataset}_measured.npz")
    theory.save(out / f"fig1_{dataset}_predicted.npz")
    files.save_figure(_draw_figure_1(measured, theory, predicted), out / f"fig1_{dataset}")
    ratios = np.sort(predicted) / step_times(measured)
    source = f"{PAPER}, Fig. 1A,B; {pairs.source}, n = {num_pairs}"
    return [
        Claim.equals(
            f"linear model on {dataset}: all {dim} step times are where theory puts them "
            "(the predicted/measured ratio furthest from 1)",
            source,
            expected=1.0,
            measured=worst_ratio(ratios),
            tolerance=0.05,
        ),
        Claim.at_most(
            f"linear model on {dataset}: eigenvalues follow the closed form (mean error over modes, worst time)",
            source,
            bound=0.05,
            measured=np.abs(measured.eigenvalues - theory.eigenvalues).mean(axis=1).max(),
        ),
    ]


def _largest(deviations: np.ndarray) -> float:
    return float(np.abs(deviations).max()) if deviations.size else np.nan


def worst_ratio(ratios: np.ndarray) -> float:
    """The predicted/measured ratio furthest from 1; infinite if a step is missing from theory or from the run."""
    return float(ratios[np.abs(ratios - 1).argmax()]) if np.isfinite(ratios).all() else np.inf


def _draw_figure_1(measured: Trajectory, theory: Trajectory, predicted: np.ndarray) -> Figure:
    """Loss with the predicted step times, and eigenvalues with their forecast, on logarithmic time."""
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(6.8, 2.6))
        draw_loss(left, measured, {})
        draw_step_marks(left, predicted)
        left.plot([], [], color="0.4", ls=(0, (2, 2)), lw=0.7, label="predicted steps")
        legend_above(left)
        draw_eigenvalues(right, measured, theory)
        window = (predicted.min() / 2.5, measured.times[-1])
        for ax, letter in ((left, "a"), (right, "b")):
            ax.set(xscale="log", xlim=window)
            ax.set_title(letter, loc="left", fontweight="bold", fontsize=9)
        legend_above(right)
    return figure


# ---------------------------------------------------------------- a network


def _network(out: Path, config: Config) -> list[Claim]:
    """One hidden layer of ReLU, small readout, against its kernel at the start."""
    experiment = prepare(config)
    measured = train(experiment)
    forecasts = forecast_trajectories(experiment)
    comparison = compare_run(experiment, measured, forecasts)
    name = f"mlp_{config.dataset}"
    measured.save(out / f"{name}_measured.npz")
    comparison.save(out / f"{name}_comparison.json")
    with style():
        files.save_figure(comparison_figure(comparison, measured, forecasts), out / name)
    overlaps = [plateau.overlap for plateau in comparison.subspace_overlap]
    source = f"{PAPER}, one hidden layer; {experiment.pairs.source}, width {config.width}, d = {config.dim}"
    return [
        Claim.equals(
            f"network on {config.dataset}, small readout: step times are those of its kernel at the start "
            "(median |predicted/measured − 1|)",
            source,
            expected=0.0,
            measured=comparison.median_error("ode"),
            tolerance=0.1,
        ),
        Claim.at_least(
            f"network on {config.dataset}: at every plateau its subspace is that of the top kernel modes (lowest "
            f"overlap of {len(overlaps)}; chance ≤ {config.dim / (2 * len(experiment.pairs)):.2f})",
            source,
            bound=0.9,
            measured=comparison.lowest_overlap,
        ),
        _all_weights_small(config, experiment),
    ]


def _all_weights_small(config: Config, experiment: Experiment) -> Claim:
    """If all weights start small, the escape from the start is algebraic, so nothing happens in the same time."""
    module = experiment.random.architecture.module(config.dim)
    params = module.init(jax.random.key(config.seed), jnp.asarray(experiment.pairs.stacked[:1]))
    network = small_network(module.apply, params, "all", scale=1e-4, multiplier=experiment.multiplier)
    steps = min(experiment.schedule.steps, 7000)
    frozen = gradient_descent(
        network,
        experiment.pairs,
        learning_rate=experiment.schedule.learning_rate,
        steps=steps,
        center=config.center,
        record_at=recording_steps(steps, count=4),
    )
    return Claim.equals(
        f"network on {config.dataset}: with all weights × 1e-4 nothing happens in {steps} updates (final loss)",
        "not in the paper, whose initialisation is not known in detail",
        expected=config.dim,
        measured=frozen.loss[-1],
        tolerance=0.1,
    )


# ---------------------------------------------------------------- shared


def _digits(num_pairs: int, seed: int) -> np.ndarray:
    return flattened(load_pairs("digits", num_pairs=num_pairs, seed=seed))


def _top_eigenpairs(views: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """γ (count,) and Q (m, count) of Γ, in weight space."""
    gamma, Q = np.linalg.eigh(pair_correlation(views))
    return gamma[::-1][:count], Q[:, ::-1][:, :count]


def _isolated_dim(gamma: np.ndarray) -> int:
    """The d in 2 … 8 whose mode stands clearest of its neighbours, γ_{d−1} above and γ_{d+1} below.

    The exponents are asymptotic: while α^(1 − γ_d/γ_{d−1}) is not small, mode d cannot be told from the one before it.
    """
    ratio = gamma[1:9] / gamma[:8]  # γ_2/γ_1 … γ_9/γ_8
    return 2 + int(np.argmin(np.maximum(ratio[:-1], ratio[1:])))


def _schedule(
    gamma: np.ndarray, initial: np.ndarray, *, lr_fraction: float = LR_FRACTION, beyond: float = 1.2
) -> tuple[float, np.ndarray]:
    """Learning rate as a fraction of the stability limit 1/(4γ_1), and steps to record until all modes are learned."""
    rate = lr_fraction / (4 * gamma[0])
    end = beyond * (np.log(1 / initial) / (8 * gamma)).max()
    return float(rate), recording_steps(int(np.ceil(end / rate)))
