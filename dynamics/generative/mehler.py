"""What the Gaussian prior is to contrastive learning: its pair operator, and the optimum of InfoNCE.

Two views' latents are jointly normal with correlation ρ. The pair operator (Tf)(z) = E[f(z')|z] then is Mehler's: in d
dimensions its eigenvalues are ρ^|n|, its eigenfunctions products of Hermite polynomials. InfoNCE is lowest at the
pointwise mutual information log p(z, z')/p(z)p(z') of views (van den Oord et al. 2018), whose exponential has these
eigenvalues and eigenfunctions.

>>> float(mehler_eigenvalues(0.8605, degree=2)[1])
0.8605
>>> multiplicity(degree=1, dim=10)
10
"""

import math

import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Float

from dynamics.generative.prior import GaussianPrior
from dynamics.typing import Array


def mehler_eigenvalues(correlation: float, degree: int) -> Float[np.ndarray, " degrees"]:
    """Eigenvalues ρ^n for n = 0 … degree; that of the constant is 1."""
    return correlation ** np.arange(degree + 1.0)


def multiplicity(degree: int, dim: int) -> int:
    """Number of Hermite functions of total degree n in d dimensions, C(n + d − 1, n), the multiplicity of ρ^n."""
    return math.comb(degree + dim - 1, degree)


def hermite(z: Float[np.ndarray, " points"], degree: int) -> Float[np.ndarray, "points degrees"]:
    """Hermite polynomials He_n(z)/√n!, n = 0 … degree, orthonormal under N(0, 1)."""
    columns = np.polynomial.hermite_e.hermevander(np.asarray(z, float), degree)
    return columns / np.sqrt(scipy.special.factorial(np.arange(degree + 1)))


def pair_operator(
    prior: GaussianPrior, *, half_width: float = 8.0, points: int = 401
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "points points"]]:
    """Matrix of the pair operator of one latent dimension, discretised from the prior's density alone.

    On an even grid p(z, z')/√(p(z)p(z')) dz is symmetric and has the eigenvalues of T, to rounding: the trapezoidal
    rule converges geometrically for densities that die out.

    Parameters
    ----------
    prior : GaussianPrior
        Prior of the latents. Its density for J = 2 and the marginal of that density are used.
    half_width : float
        End of the grid in standard deviations.
    points : int
        Number of points of the grid.

    Returns
    -------
    z : array (points,)
    T : array (points, points)
    """
    std = math.sqrt(prior.between(2) + prior.within_variance)
    z = np.linspace(-half_width * std, half_width * std, points)
    first, second = (grid.ravel() for grid in np.meshgrid(z, z, indexing="ij"))
    log_joint = np.asarray(prior.log_density(jnp.asarray(np.stack([first, second])[..., None])))
    joint = np.exp(log_joint).reshape(points, points)
    step = z[1] - z[0]
    marginal = joint.sum(axis=1) * step
    return z, joint * step / np.sqrt(np.outer(marginal, marginal))


def pointwise_mutual_information(
    z: Float[Array, "*batch latent"], z_prime: Float[Array, "*batch latent"], prior: GaussianPrior
) -> Float[Array, "*batch"]:
    """Log p(z, z')/p(z)p(z') in nats: ρ z·z'/((1−ρ²)v) − ρ²(‖z‖² + ‖z'‖²)/(2(1−ρ²)v) − (d/2) log(1−ρ²).

    Here v = g² + σ² is the variance of a latent.
    """
    rho, v = prior.correlation(2), prior.between(2) + prior.within_variance
    products = (z * z_prime).sum(axis=-1)
    squares = jnp.square(z).sum(axis=-1) + jnp.square(z_prime).sum(axis=-1)
    constant = -z.shape[-1] / 2 * math.log(1 - rho**2)
    return (rho * products - rho**2 * squares / 2) / ((1 - rho**2) * v) + constant


def mutual_information(prior: GaussianPrior, dim: int) -> float:
    """I(z; z') = −(d/2) log(1 − ρ²) in nats: log(candidates) − InfoNCE tends to it for many candidates."""
    return -dim / 2 * math.log(1 - prior.correlation(2) ** 2)
