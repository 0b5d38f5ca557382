"""The exact part of the study of Bizeul et al. 2024: priors, linear SimVAE, contrastive learning, VICReg, dynamics.

None of it trains a network. What is measured is found without the formula that it is compared with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.stats

from dynamics.flow import closed_form, kernel_flow
from dynamics.generative import (
    FlatPrior,
    GaussianPrior,
    LinearRun,
    TiedPLDA,
    arrival_times,
    gaussian_objective,
    mehler_eigenvalues,
    mutual_information,
    pair_operator,
    plda_flow,
    plda_forecast,
    simvae_flow,
    simvae_forecast,
    simvae_growth,
    vicreg_expansion,
)
from dynamics.generative.entropy import RELEASED_WEIGHTS, vicreg_weights
from dynamics.generative.prior import WITHIN_VARIANCE
from dynamics.modes import contrastive_modes_from_features
from dynamics.studies.claims import Claim
from dynamics.studies.simve import PAPER
from dynamics.support.precision import double_precision
from dynamics.trajectories.trajectory import Trajectory

THRESHOLDS = {0.01: 1.02, 0.05: 1.09, 0.1: 1.17, 0.3: 1.44, 0.6: 1.67}
"""τ² -> variance of pure style that is worth unit-variance content, for g² = 1, σ² = 0.15 and J = 2."""


def prior_claims(seed: int) -> list[Claim]:
    """Closed forms of the priors against SciPy's normal density and against their limits."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(3, 5, 4))
    J, batch, d = z.shape
    with double_precision():
        prior = GaussianPrior()
        one_dim = prior.within_variance * np.eye(J) + prior.between(J)
        normal = scipy.stats.multivariate_normal(cov=np.kron(one_dim, np.eye(d)))
        expected = normal.logpdf(np.swapaxes(z, 0, 1).reshape(batch, J * d))
        flat = FlatPrior().log_density(jnp.asarray(z[:2])) - FlatPrior().log_density(jnp.zeros((2, batch, d)))
        invariance = -np.square(z[0] - z[1]).sum(axis=1) / (4 * WITHIN_VARIANCE)
        single = GaussianPrior().log_density(jnp.asarray(z[:1]))
        measured = {
            "Gaussian ψ: the J views are jointly normal, covariance σ²δ + g²": prior.log_density(jnp.asarray(z))
            - expected,
            "flat ψ, J = 2: −‖z₁ − z₂‖²/4σ², the invariance term": flat - invariance,
            "J = 1: the N(0, I) of a VAE": single - scipy.stats.norm.logpdf(z[0]).sum(axis=1),
        }
    return [
        Claim.at_most(f"{name} (largest error)", f"{PAPER}, prior", bound=1e-10, measured=np.abs(error).max())
        for name, error in measured.items()
    ]


def threshold_claims() -> list[Claim]:
    """Where one latent dimension changes from content to style, by maximising the likelihood of all inputs together."""
    claims = []
    for noise, expected in THRESHOLDS.items():
        model = TiedPLDA(noise=noise)
        claims.append(
            Claim.equals(
                f"linear SimVAE, τ² = {noise}: variance at which style displaces unit-variance content",
                "linear SimVAE = PLDA with tied factors; g² = 1, σ² = 0.15, J = 2",
                expected=expected,
                measured=_fitted_threshold(model, model.style_threshold()),
                tolerance=0.01,
            )
        )
    return claims


def _fitted_threshold(model: TiedPLDA, guess: float) -> float:
    """Bisection over the variance of style; the winner is the better of two numerical maxima of the likelihood of W."""

    def excess(variance: float) -> float:
        Sigma, Gamma = np.diag([1.0, variance]), np.diag([1.0, 0.0])
        best = [_best_likelihood(model, Sigma, Gamma, start) for start in ([0.0, 1.0], [1.0, 0.0])]
        return best[0] - best[1]

    with double_precision():
        return float(scipy.optimize.brentq(excess, 0.8 * guess, 1.25 * guess, xtol=1e-5))


@jax.jit
def _likelihood_and_gradient(W: jax.Array, Sigma: jax.Array, Gamma: jax.Array, settings: jax.Array):
    within, between, noise = settings

    def likelihood(W: jax.Array) -> jax.Array:
        # the full covariance of both views, inverted as it is
        WW = jnp.outer(W, W)
        signal = jnp.kron(within * jnp.eye(2) + between, WW)
        model = signal + noise * jnp.eye(4)
        data = jnp.kron(jnp.eye(2), Sigma) + jnp.kron(jnp.ones((2, 2)) - jnp.eye(2), Gamma)
        return -(jnp.linalg.slogdet(model)[1] + jnp.trace(jnp.linalg.solve(model, data))) / 2

    return jax.value_and_grad(likelihood)(W)


def _best_likelihood(model: TiedPLDA, Sigma: np.ndarray, Gamma: np.ndarray, start: list[float]) -> float:
    settings = np.array([model.within_variance, model.between_variance, model.noise])

    def negative(W: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _likelihood_and_gradient(jnp.asarray(W), jnp.asarray(Sigma), jnp.asarray(Gamma), settings)
        return -float(value), -np.asarray(gradient)

    return -scipy.optimize.minimize(negative, np.array(start), jac=True, method="L-BFGS-B", tol=1e-12).fun


def mehler_claims(seed: int) -> list[Claim]:
    """Pair operator of the prior and optimum of InfoNCE on samples of it."""
    prior = GaussianPrior()
    with double_precision():
        _, T = pair_operator(prior)
    found = np.linalg.eigvalsh(T)[::-1][:6]
    rho = prior.correlation(2)
    slope, bits = _fitted_critic(prior, seed)
    variance = prior.between(2) + prior.within_variance
    source = f"{PAPER}, InfoNCE; Gaussian model, σ² = 0.15"
    return [
        Claim.equals(
            "second eigenvalue of the pair operator is ρ = g²/(g² + σ²)",
            source,
            expected=0.8605,
            measured=found[1],
            tolerance=0.002,
        ),
        Claim.equals(
            "and the n-th is ρ^n (largest error of six)",
            source,
            expected=0.0,
            measured=np.abs(found - mehler_eigenvalues(rho, 5)).max(),
            tolerance=0.002,
        ),
        Claim.equals(
            "InfoNCE's best quadratic critic is the pointwise mutual information (coefficient of z·z')",
            f"{source}; 4,000 pairs",
            expected=rho / ((1 - rho**2) * variance),
            measured=slope,
            tolerance=0.1 * rho / ((1 - rho**2) * variance),
        ),
        Claim.equals(
            "log(candidates) − InfoNCE there is the mutual information −½ log(1 − ρ²)",
            f"{source}; 4,000 pairs",
            expected=mutual_information(prior, 1),
            measured=bits,
            tolerance=0.05,
        ),
    ]


def _fitted_critic(prior: GaussianPrior, seed: int, pairs: int = 4000) -> tuple[float, float]:
    """Coefficient of zz' in the critic a zz' + b z'² of smallest InfoNCE, and log(candidates) − InfoNCE there."""
    rng = np.random.default_rng(seed)
    psi = np.sqrt(prior.between(2)) * rng.normal(size=pairs)
    z, z_prime = (psi + np.sqrt(prior.within_variance) * rng.normal(size=pairs) for _ in range(2))

    @jax.jit
    def loss(theta: jax.Array) -> jax.Array:
        logits = theta[0] * jnp.outer(z, z_prime) + theta[1] * jnp.square(z_prime)
        return (jax.nn.logsumexp(logits, axis=1) - jnp.diagonal(logits)).mean() - jnp.log(pairs)

    with double_precision():
        gradient = jax.jit(jax.value_and_grad(loss))
        found = scipy.optimize.minimize(
            lambda theta: tuple(map(np.asarray, gradient(jnp.asarray(theta)))), np.zeros(2), jac=True, method="BFGS"
        )
    return float(found.x[0]), -float(found.fun)


def expansion_claims(seed: int) -> list[Claim]:
    """VICReg's terms as an expansion: the order of what is left, found by halving the distance from Σ = I."""
    source = f"{PAPER}, non-contrastive SSL; Gaussian entropies"
    expected = vicreg_weights(WITHIN_VARIANCE)
    ratios = [
        (found / RELEASED_WEIGHTS.variance) / (wanted / expected.variance)
        for found, wanted in zip(RELEASED_WEIGHTS, expected, strict=True)
    ]
    return [
        Claim.equals(
            "VICReg's covariance term is exact to the second order of the correlations (exponent of the rest)",
            source,
            expected=3.0,
            measured=_order(seed, unit_variance=True),
            tolerance=0.2,
        ),
        Claim.equals(
            "its hinge is exact to the first order of 1 − s (exponent of the rest)",
            source,
            expected=2.0,
            measured=_order(seed, unit_variance=False),
            tolerance=0.2,
        ),
        Claim.equals(
            "VICReg's released weights are those of the expansion at SimVAE's σ² = 0.15 (ratio of the covariance's or "
            "the invariance's, with equal weights of the variance, the furthest from 1)",
            "not in the paper: this project's reading of its expansion, with the weights of Bardes et al. 2022",
            expected=1.0,
            measured=max(ratios, key=lambda ratio: abs(np.log(ratio))),
            tolerance=0.25,
        ),
    ]


def _order(seed: int, unit_variance: bool) -> float:
    rng = np.random.default_rng(seed)
    white = rng.normal(size=(40, 4))
    white = np.linalg.qr(white - white.mean(axis=0))[0] * np.sqrt(40)  # exactly centred, Σ = I
    direction = rng.normal(size=(4, 4))
    direction = direction + direction.T
    sizes, rests = np.array([2e-3, 1e-3, 5e-4]), []
    with double_precision():
        for size in sizes:
            if unit_variance:
                Sigma = np.eye(4) + size * (direction - np.diag(np.diag(direction)))
            else:
                Sigma = np.eye(4) - size * np.diag(np.abs(np.diag(direction)))
            F = jnp.asarray(white @ np.linalg.cholesky(Sigma).T)
            rests.append(abs(float(gaussian_objective(F, 0.15) - vicreg_expansion(F, 0.15))))
    return float(np.polyfit(np.log(sizes), np.log(rests), 1)[0])


# ---------------------------------------------------------------- dynamics


@dataclass(frozen=True, eq=False)
class ModeCourse:
    """How the modes of one set of pairs are learned by one linear model.

    Parameters
    ----------
    trajectory : Trajectory
        The flow of the whole model.
    measured, forecast : array (T, m)
        Variance of each mode in the embedding.
    rate : callable
        (v, μ) -> rate of growth from a small start.
    """

    trajectory: Trajectory
    measured: np.ndarray
    forecast: np.ndarray
    rate: Callable[[np.ndarray, np.ndarray], np.ndarray]

    @property
    def arrivals(self) -> np.ndarray:
        """When each mode has half of its largest variance."""
        return arrival_times(self.measured, self.trajectory.times)


VARIANCES = np.geomspace(4.0, 0.6, 8)
CORRELATIONS = np.array([0.1, 0.2, 0.8, 0.9, 0.7, 0.3, 1.0, 0.4])
"""v and μ of eight modes: variance falls from one to the next, the correlation of partners does not follow it."""


def linear_courses(seed: int, noise: float = 0.1, scale: float = 1e-4) -> dict[str, ModeCourse]:
    """Eight modes, eight dimensions, a random small start: Barlow Twins and both ways to fit linear SimVAE."""
    rng = np.random.default_rng(seed)
    v, mu = VARIANCES, CORRELATIONS
    m = len(v)
    views = _views(v, mu, 64, rng)
    n = len(views) // 2
    Sigma, Gamma = views.T @ views / (2 * n), _symmetric(views[:n].T @ views[n:] / n)
    W, V = scale * rng.normal(size=(m, m)), scale * rng.normal(size=(m, m))
    model = TiedPLDA(noise=noise)
    basis = np.eye(m)

    def horizon(rates: np.ndarray) -> np.ndarray:
        return np.concatenate([[0.0], np.geomspace(0.3 / rates.max(), 18 / rates.min(), 600)])

    plda_times = horizon(model.growth_rate(v, mu))
    plda = plda_flow(model, Sigma, Gamma, W, plda_times)
    simvae_times = horizon(simvae_growth(model, v, mu))
    simvae = simvae_flow(model, Sigma, Gamma, V, W, simvae_times)
    return {
        "Barlow Twins": _barlow_twins(views, V, horizon(4 * v * mu)),
        "SimVAE, exact posterior": ModeCourse(
            plda.trajectory,
            plda.mode_variances(basis, v),
            plda_forecast(model, v, mu, W, plda_times),
            model.growth_rate,
        ),
        "SimVAE, linear encoder": ModeCourse(
            simvae.trajectory,
            simvae.mode_variances(basis, v),
            simvae_forecast(model, v, mu, V, W, simvae_times),
            lambda variance, correlation: simvae_growth(model, variance, correlation),
        ),
    }


def _barlow_twins(views: np.ndarray, V: np.ndarray, times: np.ndarray) -> ModeCourse:
    modes = contrastive_modes_from_features(views)
    start = views @ V.T
    flow = kernel_flow(modes, start, times, embedding_times=times)
    v = np.square(views).mean(axis=0)
    encoders = np.swapaxes(flow.embeddings, 1, 2) @ views / (len(views) * v)
    flow = replace(flow, embeddings=None, embedding_times=None, rung="linear_barlow_twins")
    theory = closed_form(modes, start, times)
    # the closed form orders modes by γ, and gives eigenvalues of C: divide by μ for the variance
    n = len(views) // 2
    gamma = (views[:n] * views[n:]).mean(axis=0)
    u = np.empty((len(times), len(v)))
    u[:, np.argsort(-gamma)] = theory.eigenvalues
    return ModeCourse(flow, v * np.square(encoders).sum(axis=1), u * v / gamma, lambda variance, mu: 4 * variance * mu)


def _views(v: np.ndarray, mu: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Views (2n, m) with exactly Σ = diag(v) and Γ = diag(vμ)."""
    columns = np.linalg.qr(rng.normal(size=(n, 2 * len(v))))[0] * np.sqrt(n)
    same, different = np.split(columns, 2, axis=1)
    same, different = same * np.sqrt(v * (1 + mu) / 2), different * np.sqrt(v * (1 - mu) / 2)
    return np.concatenate([same + different, same - different])


def dynamics_claims(courses: Mapping[str, ModeCourse]) -> list[Claim]:
    """Rank correlations of the order in which modes arrive with what theory says should decide it."""
    v, mu = VARIANCES, CORRELATIONS
    source = "linear models on the same pairs, small random start; not in the paper"
    rho = TiedPLDA().correlation

    def agreement(name: str, key: np.ndarray) -> float:
        return float(scipy.stats.spearmanr(courses[name].arrivals, -key)[0])

    claims = [
        Claim.at_least(
            f"{name}: modes arrive in the order of {what} (rank correlation)",
            source,
            bound=0.95,
            measured=agreement(name, key),
        )
        for name, what, key in (
            ("Barlow Twins", "γ = vμ", v * mu),
            ("SimVAE, exact posterior", "v(1 + ρμ)", v * (1 + rho * mu)),
            ("SimVAE, linear encoder", "their variance v", v),
        )
    ]
    for name, course in courses.items():
        ratios = arrival_times(course.forecast, course.trajectory.times) / course.arrivals
        claims.append(
            Claim.at_most(
                f"{name}: forecast of the arrival times (median error)",
                source,
                bound=0.05,
                measured=np.median(np.abs(ratios - 1)),
            )
        )
    return claims


def content_given_up(noise: float = 0.1, style: float = 1.4, scale: float = 1e-3) -> tuple[LinearRun, np.ndarray]:
    """One dimension, content of variance 1 and style of another, between the two thresholds, by exact likelihood."""
    model, v, mu = TiedPLDA(noise=noise), np.array([1.0, style]), np.array([1.0, 0.0])
    times = np.concatenate([[0.0], np.geomspace(2e-3, 4.0, 600)])
    run = plda_flow(model, np.diag(v), np.diag(v * mu), np.full((2, 1), scale), times)
    return run, run.mode_variances(np.eye(2), v)


def transient_claims(variances: np.ndarray, noise: float = 0.1, style: float = 1.4) -> list[Claim]:
    """Content first, style in the end, where the variance of style lies between the thresholds."""
    model = TiedPLDA(noise=noise)
    shares = variances[:, 0] / variances.sum(axis=1)
    source = (
        f"one dimension, exact posterior, style variance {style} between {model.style_threshold():.2f} (optimum) and "
        f"{model.growth_threshold():.2f} (growth); not in the paper"
    )
    return [
        Claim.at_least(
            "linear SimVAE first learns content (largest share of it)", source, bound=0.9, measured=shares.max()
        ),
        Claim.at_most("and later gives it up for style (share at the end)", source, bound=0.01, measured=shares[-1]),
    ]


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2
