"""A scale group: changes of size, which a grid of pixels can only show up to what its band limit leaves.

Images are functions of the plane, x(u) = Σ_p a_p exp(−|u − p|²/2w²) with the pixels p of a digit, so that
T_h x(u) = x(u/h) is known everywhere and is then sampled on a grid of spacing Δ. The network lifts with Gaussian
derivatives of every size, ψ_g(u) = g⁻² ψ(u/g) (steerable scales, Sosnovik et al. 2020), applies erf, and integrates:
f(x)[g] = V ∫ erf(U (x ∗ ψ_g)(u)) du/g². In the continuum f(T_h x)[g] = f(x)[g/h] exactly. On the grid this holds up to
aliasing, which falls with w/Δ, the pixels per width of a blob.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from dynamics.drawing.trajectories import style
from dynamics.studies.claims import Claim
from dynamics.studies.homomorphic import PAPER
from dynamics.studies.homomorphic.identity import OBJECTIVES, Objective
from dynamics.support.precision import double_precision

SCALES = 2.0 ** (np.arange(3) / 2)
"""Sizes h by which images are enlarged, and sizes g of the filters: 1, √2, 2."""

PIXELS = (0.4, 0.5, 0.6, 0.8, 1.0)
"""Pixels per width w of a blob: the band limits that are compared."""

_BLOB = 0.25
"""w, and the size of the smallest filter; also the distance of the pixels of a digit."""

_EDGE = 5.5
"""Half of the width of the plane that is sampled: beyond it the largest image under the largest filter is zero."""

_CHANNELS, _DIM = 8, 4


@dataclass(frozen=True)
class ScaleGaps:
    """What the grid leaves of the identity, at one band limit.

    Parameters
    ----------
    pixels : float
        Pixels per width of a blob.
    equivariance : float
        Largest ‖f(T_h x)[g] − f(x)[g/h]‖ / ‖f(x)[g/h]‖ over the sizes.
    loss, gradient : float
        Differences between A-SSL and H-SSL, the largest over all objectives: of the loss L relative to 1 + |L|, as a
        loss may be zero, and of the gradient relative to its norm.
    """

    pixels: float
    equivariance: float
    loss: float
    gradient: float


def responses(
    images: Float[np.ndarray, "n rows columns"], h: float, g: float, pixels: float
) -> Float[np.ndarray, "n filters points points"]:
    """(T_h x ∗ ψ_g) on the grid for all six Gaussian derivatives up to the second order.

    Parameters
    ----------
    images : array (n, rows, columns)
        Digits.
    h, g : float
        Size of the image and of the filter.
    pixels : float
        Pixels per width of a blob, w/Δ.
    """
    spacing = _BLOB / pixels
    u = np.arange(-_EDGE, _EDGE + spacing / 2, spacing)
    first, second = (_BLOB * (np.arange(size) - (size - 1) / 2) for size in images.shape[1:])
    blobs = [np.exp(-((u[:, None] / h - p) ** 2) / (2 * _BLOB**2)) for p in (first, second)]
    x = np.einsum("ap,npq,bq->nab", blobs[0], images, blobs[1])
    z = (u[:, None] - u) / (g * _BLOB)
    bell = np.exp(-(z**2) / 2) * spacing / g  # g⁻² and Δ² shared by both axes
    axis = [bell * polynomial for polynomial in (1.0, -z, z**2 - 1)]
    orders = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    return np.stack([np.einsum("ua,nab,vb->nuv", axis[i], x, axis[j]) for i, j in orders], axis=1)


def scale_gaps(
    images: Float[np.ndarray, "n rows columns"],
    pixels: float,
    seed: int,
    objectives: Mapping[str, Objective] = OBJECTIVES,
) -> ScaleGaps:
    """Compare A-SSL and H-SSL at random weights, with one pair of sizes drawn for every image.

    Parameters
    ----------
    images : array (n, rows, columns)
        Digits.
    pixels : float
        Pixels per width of a blob.
    seed : int
        Seed of weights and pairs.
    objectives : mapping
        Losses of which A-SSL and H-SSL are compared.
    """
    rng = np.random.default_rng(seed)
    params = {"U": rng.normal(size=(6, _CHANNELS)), "V": rng.normal(size=(_CHANNELS, _DIM))}
    drawn = rng.integers(len(SCALES), size=(2, len(images)))
    last, cell = len(SCALES) - 1, (_BLOB / pixels) ** 2
    # enlarged images under the largest filter, and images as they are under every filter
    enlarged = [responses(images, h, SCALES[last], pixels) for h in SCALES]
    plain = [responses(images, 1.0, g, pixels) for g in SCALES]

    def fiber(params: dict, R: np.ndarray, g: float) -> jax.Array:
        hidden = jax.scipy.special.erf(jnp.einsum("nfuv,fc->ncuv", R, params["U"]))
        return hidden.sum(axis=(2, 3)) * cell / g**2 @ params["V"]

    def embed(params: dict, homomorphic: bool) -> jax.Array:
        if homomorphic:  # f(T_h x)[g] = f(x)[g/h]
            fibers = [fiber(params, plain[last - j], SCALES[last - j]) for j in range(len(SCALES))]
        else:
            fibers = [fiber(params, R, SCALES[last]) for R in enlarged]
        table = jnp.stack(fibers, axis=1)
        return jnp.concatenate([table[jnp.arange(len(images)), sizes] for sizes in drawn])

    with double_precision():
        error = 0.0
        for j in range(len(SCALES)):
            moved, still = fiber(params, enlarged[j], SCALES[last]), fiber(params, plain[last - j], SCALES[last - j])
            error = max(error, float(jnp.linalg.norm(moved - still) / jnp.linalg.norm(still)))
        loss, gradient = _gaps(embed, params, objectives)
    return ScaleGaps(pixels, error, loss, gradient)


def _gaps(embed: Callable, params: dict, objectives: Mapping[str, Objective]) -> tuple[float, float]:
    """Largest relative differences of losses and gradients; embeddings are centred and of unit variance."""
    losses, gradients = [], []
    target = {name: 0.9 * leaf for name, leaf in params.items()}
    scale = float(jnp.std(embed(params, True)))
    for objective in objectives.values():
        found = []
        for homomorphic in (False, True):

            def value(p: dict, homomorphic: bool = homomorphic, objective=objective) -> jax.Array:
                F, other = (embed(each, homomorphic) / scale for each in (p, target))
                return objective(F - F.mean(axis=0), other - other.mean(axis=0))

            found.append(jax.value_and_grad(value)(params))
        (a, grad_a), (h, grad_h) = found
        flat_a, flat_h = (np.concatenate([np.ravel(grad[name]) for name in ("U", "V")]) for grad in (grad_a, grad_h))
        losses.append(abs(float(a - h)) / (1 + abs(float(h))))
        gradients.append(float(np.linalg.norm(flat_a - flat_h) / np.linalg.norm(flat_h)))
    return max(losses, default=0.0), max(gradients, default=0.0)


def scale_claims(found: Sequence[ScaleGaps]) -> list[Claim]:
    """The equivariance error falls with the band limit, and A-SSL and H-SSL differ in proportion to it."""
    coarse, fine = found[0], found[-1]
    errors = np.log([gaps.equivariance for gaps in found])
    source = (
        f"{PAPER}, scale; steerable scales 1, √2, 2, blobs of {coarse.pixels:g} … {fine.pixels:g} pixels, random "
        "weights, float64; the bound is this project's"
    )
    claims = [
        Claim.at_most(
            "scale group, band-limited digits: the network is equivariant up to aliasing (largest relative error with "
            f"{fine.pixels:g} pixels per width of a blob; {coarse.equivariance:.2g} with {coarse.pixels:g})",
            source,
            bound=1e-3,
            measured=fine.equivariance,
        )
    ]
    for name in ("loss", "gradient"):
        slope = np.polyfit(errors, np.log([getattr(gaps, name) for gaps in found]), 1)[0]
        claims.append(
            Claim.equals(
                f"scale group: the {name} of A-SSL and that of H-SSL differ in proportion to the equivariance error "
                f"(exponent, largest difference of {', '.join(OBJECTIVES)}; {getattr(fine, name):.2g} with "
                f"{fine.pixels:g} pixels)",
                source,
                expected=1.0,
                measured=slope,
                tolerance=0.3,
            )
        )
    return claims


def scales_figure(found: Sequence[ScaleGaps]) -> Figure:
    """Equivariance error and gaps of loss and gradient against the band limit."""
    with style():
        figure, ax = plt.subplots(figsize=(3.6, 2.8))
        pixels = [gaps.pixels for gaps in found]
        marks = (("equivariance", "o", "#1b1b1b"), ("loss", "s", "#1d4ed8"), ("gradient", "^", "#c2410c"))
        for name, marker, color in marks:
            label = "equivariance error" if name == "equivariance" else f"{name}, A-SSL against H-SSL"
            ax.plot(pixels, [getattr(gaps, name) for gaps in found], marker + "-", ms=4, lw=1, color=color, label=label)
        ax.set(yscale="log", xlabel="pixels per width of a blob", ylabel="relative difference")
        ax.legend(fontsize=6)
    return figure
