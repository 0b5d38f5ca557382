"""Linear SimVAE, exactly: x_j = W z_j + ε_j is probabilistic linear discriminant analysis with tied factors.

With z_j ~ N(ψ, σ²I), ψ ~ N(0, g²I) and ε_j ~ N(0, τ²I) views have covariance (g² + σ²)WWᵀ + τ²I, and two views of one
sample g²WWᵀ: the between-class and the within-class factors of PLDA (Prince & Elder 2007) are one and the same W. In a
basis where the data's Σ (of single views) and Γ (of partners) are diagonal, with variance v and correlation of partners
μ = γ/v along a mode, each mode is a problem of its own for the energy a = w² of its column of W:

    L(a) = −½ [log A_s + S_s/A_s + (J − 1)(log A_d + S_d/A_d)] ,   A_s = τ² + (Jg² + σ²)a ,   A_d = τ² + σ²a ,

in nats a sample, up to a constant, with S_s = v(1 + (J − 1)μ) of the mean of the J views (times √J) and
S_d = v(1 − μ) of their differences. For J = 1 it is probabilistic PCA.

>>> plda = TiedPLDA(noise=0.1)
>>> round(plda.style_threshold(), 2)  # pure style (μ = 0) of this variance is worth as much as content of variance 1
1.17
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.support.precision import in_full_precision
from dynamics.typing import Array

Values = Float[np.ndarray, " modes"]


@dataclass(frozen=True, kw_only=True)
class TiedPLDA:
    """The generative model. Its data enter as variances and correlations of modes.

    Parameters
    ----------
    within_variance, between_variance : float
        Variances σ² of the latents within a sample and g² between samples.
    noise : float
        Variance τ² of every input dimension around the reconstruction.
    num_views : int
        Number of views J.

    Raises
    ------
    ConfigError
        If a variance is not positive, or there is no view.
    """

    within_variance: float = 0.15
    between_variance: float = 1.0
    noise: float = 0.1
    num_views: int = 2

    def __post_init__(self) -> None:
        for name in ("within_variance", "between_variance", "noise"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; a variance is positive.")
        if self.num_views < 1:
            raise ConfigError(f"num_views is {self.num_views}; give at least 1.")

    @property
    def correlation(self) -> float:
        """ρ = g²/(g² + σ²), the correlation of two views' latents."""
        return self.between_variance / (self.between_variance + self.within_variance)

    def log_likelihood(self, energy: Values, variance: Values, correlation: Values) -> Values:
        """Return L(a) of every mode, as defined in the module's docstring.

        Parameters
        ----------
        energy : array (m,)
            Energies a ≥ 0.
        variance, correlation : array (m,)
            Variances v > 0 and correlations μ of the data.
        """
        J = self.num_views
        common, differing = variance * (1 + (J - 1) * correlation), variance * (1 - correlation)
        A_s = self.noise + (J * self.between_variance + self.within_variance) * energy
        A_d = self.noise + self.within_variance * energy
        return -(np.log(A_s) + common / A_s + (J - 1) * (np.log(A_d) + differing / A_d)) / 2

    def optimal_energy(self, variance: Values, correlation: Values) -> Values:
        """Energy a of every mode at which L is largest: a root of a cubic, or 0."""
        return np.array([self._optimum(float(v), float(mu)) for v, mu in np.broadcast(variance, correlation)])

    def gain(self, variance: Values, correlation: Values) -> Values:
        """Return what a mode adds to the log-likelihood, L(a*) − L(0) ≥ 0, in nats a sample.

        With d latent dimensions the optimum uses the d modes of largest gain.
        """
        variance, correlation = np.broadcast_arrays(np.asarray(variance, float), np.asarray(correlation, float))
        best = self.optimal_energy(variance, correlation)
        return self.log_likelihood(best, variance, correlation) - self.log_likelihood(0 * best, variance, correlation)

    def growth_rate(self, variance: Values, correlation: Values) -> Values:
        """Rate at which w grows from a small start, per unit of time of the gradient flow of the log-likelihood.

        It is (J/τ⁴) [v(g² + σ² + (J − 1)g²μ) − τ²(g² + σ²)] = (J(g² + σ²)/τ⁴) [v(1 + (J − 1)ρμ) − τ²], so modes of
        large v(1 + (J − 1)ρμ) are learned first. Barlow Twins orders modes by γ = vμ; here content has an advantage of
        at most a factor 1 + (J − 1)ρ, whatever the noise.
        """
        J, rho = self.num_views, self.correlation
        scale = J * (self.between_variance + self.within_variance) / self.noise**2
        return scale * (variance * (1 + (J - 1) * rho * np.asarray(correlation)) - self.noise)

    def style_threshold(self, content_variance: float = 1.0, *, content: float = 1.0, style: float = 0.0) -> float:
        """Variance at which a mode of correlation `style` gains as much as one of correlation `content`.

        Below this variance a single latent dimension holds content at the optimum, above it style.

        Parameters
        ----------
        content_variance : float
            Variance v of the content.
        content, style : float
            Correlations μ of partners along content and along style.

        Raises
        ------
        ConfigError
            If the noise hides the content, so that it is not learned at all.
        """
        target = float(self.gain(np.array([content_variance]), np.array([content]))[0])
        if target <= 0:
            raise ConfigError(f"Content of variance {content_variance} is hidden by the noise {self.noise}.")

        def excess(v: float) -> float:
            return float(self.gain(np.array([v]), np.array([style]))[0]) - target

        highest = 2 * content_variance
        while excess(highest) < 0:
            highest *= 2
        return float(scipy.optimize.brentq(excess, 1e-6 * content_variance, highest, xtol=1e-12))

    def growth_threshold(self, content_variance: float = 1.0, *, content: float = 1.0, style: float = 0.0) -> float:
        """Variance at which a mode of correlation `style` grows from a small start as fast as the content does.

        It is never below `style_threshold`. For pure style and content it is 1 + (J − 1)ρ at any noise. Between the two
        thresholds content is learned first and, with one latent dimension, given up for style later.
        """
        extra = (self.num_views - 1) * self.correlation
        return content_variance * (1 + extra * content) / (1 + extra * style)

    def _optimum(self, variance: float, correlation: float) -> float:
        J = self.num_views
        common, differing = variance * (1 + (J - 1) * correlation), variance * (1 - correlation)
        p, q, noise = J * self.between_variance + self.within_variance, self.within_variance, self.noise
        # dL/da = 0, multiplied by the squares of A_s and A_d: a cubic, written by increasing powers
        multiply, add = np.polynomial.polynomial.polymul, np.polynomial.polynomial.polyadd
        A_s, A_d = np.array([noise, p]), np.array([noise, q])
        from_mean = p * multiply([common - noise, -p], multiply(A_d, A_d))
        from_differences = (J - 1) * q * multiply([differing - noise, -q], multiply(A_s, A_s))
        roots = np.polynomial.polynomial.polyroots(add(from_mean, from_differences))
        real = roots.real[np.abs(roots.imag) <= 1e-9 * np.abs(roots)]
        candidates = np.concatenate([[0.0], real[real > 0]])
        values = self.log_likelihood(candidates, *(np.full(candidates.shape, x) for x in (variance, correlation)))
        return float(candidates[np.argmax(values)])


@in_full_precision
def plda_log_likelihood(
    weights: Float[Array, "inputs latent"],
    covariance: Float[Array, "inputs inputs"],
    cross_covariance: Float[Array, "inputs inputs"],
    model: TiedPLDA,
) -> Float[jax.Array, ""]:
    """Log-likelihood of W in nats a sample, up to a constant, for data of any Σ and Γ.

    It is −½ [log|A_s| + tr A_s⁻¹(Σ + (J−1)Γ) + (J−1)(log|A_d| + tr A_d⁻¹(Σ − Γ))] with A_s = τ²I + (Jg² + σ²)WWᵀ and
    A_d = τ²I + σ²WWᵀ; both inverted in the space of the latents.

    Parameters
    ----------
    weights : array (m, d)
        The decoder W.
    covariance, cross_covariance : array (m, m)
        Covariance Σ of single views and cross-covariance Γ of partners.
    model : TiedPLDA
        The model, with its variances and J.
    """
    J, tau2 = model.num_views, model.noise

    def part(scale: float, moments: jax.Array) -> jax.Array:
        # Woodbury: A⁻¹ = (I − W (τ²/s I + WᵀW)⁻¹ Wᵀ)/τ²
        inner = tau2 / scale * jnp.eye(weights.shape[1]) + weights.T @ weights
        explained = jnp.trace(jnp.linalg.solve(inner, weights.T @ moments @ weights))
        log_determinant = jnp.linalg.slogdet(scale / tau2 * inner)[1] + weights.shape[0] * jnp.log(tau2)
        return -(log_determinant + (jnp.trace(moments) - explained) / tau2) / 2

    common = part(J * model.between_variance + model.within_variance, covariance + (J - 1) * cross_covariance)
    return common + (J - 1) * part(model.within_variance, covariance - cross_covariance)
