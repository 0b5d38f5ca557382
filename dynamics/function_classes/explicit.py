"""Minimisers of L_λ that can be written down (HaoChen & Ma 2023, Section 5): those that tell the label, and others.

All have loss zero, so each is as good a representation as any to the loss. The classes with an inductive bias contain
only ones that tell the label; larger classes contain the misled ones as well, which do not.

Functions that are constant on clusters are given by their values there, tables (clusters, k). Where a printed
construction has to be corrected, the docstring says so.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import CollapseError
from dynamics.function_classes.relu import Units
from dynamics.views.distributions import PlacedPatch, SeparatedManifolds, SignedCube, sign_patterns

Table = Float[np.ndarray, "clusters dim"]


def cube_relu_minimiser(cube: SignedCube) -> Units:
    """2^s ReLU units, one for each pattern h of the first s signs: relu(√k h·x − √k(s − 1)) = √k where x shows h.

    Theorem 5.6, which prints (r − 1) in the bias; with s − 1 all other patterns, at h·x ≤ s − 2, are cut off.
    """
    s, k = cube.signal, cube.num_classes
    U = np.zeros((k, cube.dim))
    U[:, :s] = math.sqrt(k) * sign_patterns(s)
    return Units(jnp.asarray(U), jnp.full(k, -math.sqrt(k) * (s - 1)))


def patch_convolution_minimiser(ring: PlacedPatch) -> Units:
    """2^s filters, one for each patch h, together √k e_patch: Theorem 5.12.

    U = √k/(γ − 1) h and b = √k/(γ − 1) (−s − (γ − 1)(s − 1)), which a window that shows only j < s entries of the patch
    cannot reach: its response is at most proportional to (γ − 1)(j − s + 1) ≤ 0.
    """
    s, k, g = ring.size, ring.num_classes, ring.loudness - 1
    scale = math.sqrt(k) / g
    return Units(jnp.asarray(scale * sign_patterns(s)), jnp.full(k, scale * (-s - g * (s - 1))))


def placed_relu_minimiser(ring: PlacedPatch, dim: int) -> Units:
    """A misled minimiser: `dim` ReLU units on the whole ring, each of which detects one patch at one place only.

    Theorem 5.12: data that no unit responds to are mapped to 0, so that for k < d 2^{s−1} a linear head is wrong on
    more than half.

    Raises
    ------
    CollapseError
        If there are fewer such units.
    """
    d, s, g = ring.dim, ring.size, ring.loudness - 1
    _require(dim, ring.num_clusters, "places and patches")
    U, scale = np.zeros((dim, d)), math.sqrt(ring.num_clusters) / g
    for unit in range(dim):
        # place by place: the first units know everything about the first places
        place, pattern = divmod(unit, ring.num_classes)
        U[unit, (place + np.arange(s)) % d] = scale * sign_patterns(s)[pattern]
    return Units(jnp.asarray(U), jnp.full(dim, scale * (-s - g * (s - 1))))


def manifold_minimiser(manifolds: SeparatedManifolds) -> Table:
    """√r e of the manifold, Lipschitz with √(2r)/γ: Theorem 5.9, which lacks the √r."""
    r = manifolds.num_manifolds
    return math.sqrt(r) * np.eye(r)[np.arange(manifolds.num_clusters) // manifolds.pieces]


def misled_cube_minimiser(cube: SignedCube, dim: int, hidden: int = 1) -> Table:
    """A misled minimiser, which sees all signs but the first `hidden`: 2^{(d − hidden)/2} e_pattern of these signs.

    Theorem 5.3 (hidden = 1, the sign that is the label; k ≤ 2^{d−1}; the factor is 2^{(d−1)/2}) and Theorem 5.6
    (hidden = s; k ≤ 2^{d−s}).

    Raises
    ------
    CollapseError
        If there are fewer such functions.
    """
    shown = 2 ** (cube.dim - hidden)
    _require(dim, shown, f"functions of {cube.dim - hidden} signs")
    return math.sqrt(shown) * np.eye(shown)[np.arange(cube.num_clusters) >> hidden, :dim]


def misled_manifold_minimiser(manifolds: SeparatedManifolds, dim: int) -> Table:
    """A misled minimiser: √(rq) e_arc of single arcs, circle by circle, and zero on all arcs after the first `dim`.

    Raises
    ------
    CollapseError
        If there are fewer arcs.
    """
    _require(dim, manifolds.num_clusters, "arcs")
    return math.sqrt(manifolds.num_clusters) * np.eye(manifolds.num_clusters)[:, :dim]


def _require(dim: int, available: int, what: str) -> None:
    if not 1 <= dim <= available:
        raise CollapseError(f"dim is {dim}, but there are {available} {what}; choose between 1 and {available}.")
