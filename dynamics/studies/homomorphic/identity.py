"""What equivariance makes exact: equal losses and gradients of A-SSL and H-SSL, and the filter of the distance.

Everything here is float64 and without training. The filter: for fibers on a cycle of length n with power matrices S_m
by frequency, C₀ = Σ S_m and C₊(d) = Σ Re S_m cos(2πmd/n); a window of radius D has the Dirichlet kernel in place of
the cosine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.modes.restricted import pair_moments
from dynamics.networks.equivariant import EquivariantNetwork, equivariance_error, untie
from dynamics.networks.fiber_pairs import Drawn, FiberPairs
from dynamics.networks.groups import PlaneGroup
from dynamics.objectives import barlow_twins, byol, generalised_spectral, nt_xent, simsiam, vicreg
from dynamics.support.precision import double_precision

Objective = Callable[[jax.Array, jax.Array], jax.Array]


def _alone(objective: Callable[[jax.Array], jax.Array]) -> Objective:
    """An objective of the embeddings alone."""
    return lambda F, _: objective(F)


def _predictor(F: jax.Array) -> jax.Array:
    """A fixed nonlinear map of the embeddings (2n, d) to predictions of the same shape."""
    d = F.shape[1]
    mix = jnp.cos(jnp.arange(d * d, dtype=F.dtype)).reshape(d, d)
    return F + jnp.tanh(F @ mix)


OBJECTIVES: Mapping[str, Objective] = {
    "Barlow Twins": _alone(barlow_twins),
    "L₁": _alone(generalised_spectral),
    "SimCLR": _alone(nt_xent),
    "VICReg": _alone(vicreg),
    "BYOL": lambda F, target: byol(_predictor(F), target),
    "SimSiam": lambda F, _: simsiam(_predictor(F), F),
}
"""Loss of embeddings (2n, d) and of those of a target network with other weights, which BYOL alone needs.

A predictor acts on single embeddings, so it changes nothing of the argument; a fixed one stands for all.
"""


@dataclass(frozen=True)
class Gaps:
    """Relative differences between A-SSL and H-SSL at the same parameters, the largest over all objectives.

    Parameters
    ----------
    loss, gradient : float
        Differences of the values, and of the gradients in the parameters (Euclidean norm).
    equivariance : float
        Equivariance error of the network (`equivariance_error`).
    """

    loss: float
    gradient: float
    equivariance: float


class Twins:
    """A-SSL and H-SSL with one network at one set of parameters, in float64.

    Parameters
    ----------
    network : EquivariantNetwork
        The network f.
    images : array (n, h, w, c)
        Images; one pair is drawn for each.
    seed : int
        Seed of parameters and pairs.
    """

    def __init__(self, network: EquivariantNetwork, images: Float[np.ndarray, "n h w c"], seed: int):
        self.network, self.images = network, np.asarray(images, np.float64)
        self.pairs = FiberPairs.haar(network.group)
        with double_precision():
            init = jax.jit(network.init)(jax.random.key(seed), self.images[:1])
            self.params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), init)
            self.drawn = np.asarray(self.pairs.draw(jax.random.key(seed + 1), len(images)))
        self._embed = {
            flag: partial(_embed, self.pairs, network, self.images, homomorphic=flag) for flag in (False, True)
        }

    def gaps(self) -> Gaps:
        """Compare both."""
        with double_precision():
            a, h = (self._losses_and_gradients(flag) for flag in (False, True))
        return Gaps(
            loss=max(abs(a[name][0] / h[name][0] - 1) for name in OBJECTIVES),
            gradient=max(_distance(a[name][1], h[name][1]) for name in OBJECTIVES),
            equivariance=self.equivariance(self.params),
        )

    def loss_gap(self, params: Any = None, drawn: Drawn | None = None) -> float:
        """Largest relative difference of the losses, with other parameters, or other fibers on the side of H-SSL."""
        params = self.params if params is None else params
        with double_precision():
            sides = ((self._embed[False], self.drawn), (self._embed[True], self.drawn if drawn is None else drawn))
            found = [(_forward(embed, params, fibers), self._targets(embed, params, fibers)) for embed, fibers in sides]
            values = [[float(_value_and_cotangent(f, *side)[0]) for side in found] for f in OBJECTIVES.values()]
        return max(abs(augmented / homomorphic - 1) for augmented, homomorphic in values)

    def equivariance(self, params: Any) -> float:
        """`equivariance_error` of the network, on two images."""
        with double_precision():
            return equivariance_error(lambda x: _fibers(self.network, params, x), self.network.group, self.images[:2])

    @staticmethod
    def _targets(embed: Callable, params: Any, drawn: Drawn) -> jax.Array:
        """Embeddings of BYOL's target network, whose weights are a tenth smaller; through the same scheme."""
        return _forward(embed, jax.tree.map(lambda leaf: 0.9 * leaf, params), drawn)

    def _losses_and_gradients(self, homomorphic: bool) -> dict[str, tuple[float, Any]]:
        embed, found = self._embed[homomorphic], {}
        F, target = _forward(embed, self.params, self.drawn), self._targets(embed, self.params, self.drawn)
        for name, objective in OBJECTIVES.items():
            value, cotangent = _value_and_cotangent(objective, F, target)
            found[name] = float(value), _pull_back(embed, self.params, self.drawn, cotangent)
        return found


def _embed(pairs, network, images, params, drawn, *, homomorphic):
    return pairs.embeddings(network, params, images, drawn, homomorphic=homomorphic)


@partial(jax.jit, static_argnums=0)
def _forward(embed, params, drawn):
    return embed(params, drawn)


@partial(jax.jit, static_argnums=0)
def _value_and_cotangent(objective, F, target):
    return jax.value_and_grad(objective)(F, target)


@partial(jax.jit, static_argnums=0)
def _pull_back(embed, params, drawn, cotangent):
    return jax.vjp(lambda params: embed(params, drawn), params)[1](cotangent)[0]


@partial(jax.jit, static_argnums=0)
def _fibers(network, params, x):
    return network.apply(params, x, method="fibers")


def _distance(a: Any, b: Any) -> float:
    """‖a − b‖/‖b‖ over all leaves."""
    flat_a, flat_b = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (a, b))
    return float(np.linalg.norm(flat_a - flat_b) / np.linalg.norm(flat_b))


def broken_symmetry(
    tied: Twins, sizes: Float[np.ndarray, " sizes"], seed: int
) -> tuple[Float[np.ndarray, " sizes"], Float[np.ndarray, " sizes"]]:
    """Equivariance error, and gap of the losses, of networks whose turned filters differ by relative random errors.

    Parameters
    ----------
    tied : Twins
        A-SSL and H-SSL with one equivariant network.
    sizes : array
        Sizes of the errors, relative to the filters.
    seed : int
        Seed of the errors.
    """
    free = Twins(tied.network.clone(tied=False), tied.images, seed)
    free.drawn, exact = tied.drawn, untie(tied.params, tied.network.group.point)
    errors, gaps = [], []
    for size in sizes:
        rng = np.random.default_rng(seed)
        noisy = jax.tree.map(lambda leaf, rng=rng, e=size: np.asarray(leaf) + e * rng.normal(size=leaf.shape), exact)
        errors.append(free.equivariance(noisy))
        gaps.append(free.loss_gap(noisy))
    return np.array(errors), np.array(gaps)


# ---------------------------------------------------------------- the filter


@dataclass(frozen=True, eq=False)
class Filter:
    """Correlation of partners by frequency, of the fibers of a random network on a cycle of n.

    Parameters
    ----------
    predicted, measured : dict of array (n//2 + 1,)
        Law of the pairs -> μ_m by the formula, and E⟨P_m z, z⁺⟩ / E‖P_m z‖² from C₊ of the pairs.
    error : dict of float
        Law -> largest |C₊ − Σ μ_m Re S_m| as a part of the largest entry of C₀.
    """

    predicted: dict[str, Float[np.ndarray, " frequencies"]]
    measured: dict[str, Float[np.ndarray, " frequencies"]]
    error: dict[str, float]


def spectral_filter(group: PlaneGroup, images: Float[np.ndarray, "n h w c"], seed: int) -> Filter:
    """Measure C₊ of all pairs at every distance and in every window, beside the powers S_m filtered by μ_m."""
    network = EquivariantNetwork(group, width=16, dim=6, activation="erf")
    with double_precision():
        params = jax.jit(network.init)(jax.random.key(seed), jnp.asarray(images[:1]))
        params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
        z = np.asarray(_fibers(network, params, np.asarray(images, np.float64)))
    components = _by_frequency(z)
    S = np.stack([pair_moments(_doubled(part)).second for part in components])
    predicted, measured, error = {}, {}, {}
    for law, pairs, mu in laws(group):
        drawn = pairs.every(len(z))
        plus = pair_moments(pairs.select(z, drawn)).pair
        predicted[law] = mu
        measured[law] = np.array(
            [
                np.trace(pair_moments(pairs.select(part, drawn)).pair) / np.trace(s)
                for part, s in zip(components, S, strict=True)
            ]
        )
        error[law] = float(np.abs(plus - np.tensordot(mu, S, 1)).max() / np.abs(S.sum(axis=0)).max())
    return Filter(predicted, measured, error)


def laws(group: PlaneGroup) -> list[tuple[str, FiberPairs, Float[np.ndarray, " frequencies"]]]:
    """Name, pairs and predicted μ_m of every distance, every window that does not wrap, and Haar pairs."""
    n = group.order
    m = np.arange(n // 2 + 1)
    found: list[tuple[str, FiberPairs, np.ndarray]] = []
    for d in range(1, n // 2 + 1):
        found.append((f"distance {d}", FiberPairs.at_distance(group, d), np.cos(2 * np.pi * m * d / n)))
    for D in range(1, (n - 1) // 2 + 1):
        with np.errstate(invalid="ignore"):
            dirichlet = np.sin(np.pi * m * (2 * D + 1) / n) / ((2 * D + 1) * np.sin(np.pi * m / n))
        found.append((f"window {D}", FiberPairs.within(group, D), np.where(m == 0, 1.0, dirichlet)))
    found.append(("Haar", FiberPairs.haar(group), (m == 0).astype(float)))
    return found


def _by_frequency(z: Float[np.ndarray, "n fibers dim"]) -> list[Float[np.ndarray, "n fibers dim"]]:
    """Parts of the fibers with each frequency, m and −m together; their sum is z."""
    n = z.shape[1]
    transform, m = np.fft.fft(z, axis=1), np.arange(n)
    return [np.fft.ifft(transform * (np.minimum(m, n - m) == k)[:, None], axis=1).real for k in range(n // 2 + 1)]


def _doubled(part: Float[np.ndarray, "n fibers dim"]) -> Float[np.ndarray, "views dim"]:
    """All fibers as their own partners."""
    flat = part.reshape(-1, part.shape[-1])
    return np.concatenate([flat, flat])
