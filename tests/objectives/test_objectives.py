"""Every objective against its definition, written out as sums over views and pairs of views in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from theory_references import random_rotation, swap_matrix

from dynamics.objectives import (
    barlow_twins,
    barlow_twins_normalised,
    infonce,
    infonce_expansion,
    nt_xent,
    simclr_squared,
    spectral_contrastive,
    vicreg,
    vicreg_squared,
)
from dynamics.support.precision import double_precision

LOSSES = {
    "barlow_twins": barlow_twins,
    "barlow_twins_normalised": barlow_twins_normalised,
    "infonce": infonce,
    "nt_xent": nt_xent,
    "simclr_squared": simclr_squared,
    "spectral_contrastive": spectral_contrastive,
    "vicreg": vicreg,
    "vicreg_squared": vicreg_squared,
}


def value(loss, F, **settings):
    with double_precision():
        return float(loss(jnp.asarray(F), **settings))


def random_graph(N, rng):
    G = np.triu(rng.uniform(size=(N, N)) * (rng.uniform(size=(N, N)) < 0.5), 1)
    return G + G.T


# ---------------------------------------------------------------- definitions


def test_vicreg_squared_is_its_sums(rng):
    F, G = rng.normal(size=(7, 3)), random_graph(7, rng)
    cov = np.cov(F.T, bias=True)
    pull = sum(G[i, j] * np.sum((F[i] - F[j]) ** 2) for i in range(7) for j in range(7)) / 7
    expected = np.sum((cov - np.eye(3)) ** 2) + 0.3 * pull
    assert value(vicreg_squared, F, weight=0.3, graph=G) == pytest.approx(expected, rel=1e-12)
    moments = F.T @ F / 7
    expected = np.sum((moments - np.eye(3)) ** 2) + 0.3 * pull
    assert value(vicreg_squared, F, weight=0.3, center=False, graph=G) == pytest.approx(expected, rel=1e-12)


def test_vicreg_squared_of_two_views_is_the_quadratic_form_in_the_weights(rng):
    """‖WΣWᵀ − I‖² + λ tr(WDWᵀ), D = 2(Σ − Γ), and λ tr(WDWᵀ) is λ times the mean squared distance of partners."""
    x, W, weight = rng.normal(size=(10, 4)), rng.normal(size=(4, 3)), 0.7
    Sigma, Gamma = x.T @ x / 10, x.T @ swap_matrix(5) @ x / 10
    D = 2 * (Sigma - Gamma)
    expected = np.sum((W.T @ Sigma @ W - np.eye(3)) ** 2) + weight * np.trace(W.T @ D @ W)
    assert value(vicreg_squared, x @ W, weight=weight, center=False) == pytest.approx(expected, rel=1e-12)
    F = x @ W
    assert np.trace(W.T @ D @ W) == pytest.approx(np.mean(np.sum((F[:5] - F[5:]) ** 2, axis=1)), rel=1e-12)


def test_vicreg_with_hinge_is_its_sums(rng):
    F, G = rng.normal(size=(7, 3)) * [0.3, 1.0, 2.0], random_graph(7, rng)
    cov = np.cov(F.T, bias=True)
    expected = sum(2.0 * max(0, 1 - np.sqrt(cov[k, k] + 0.01)) for k in range(3))
    expected += sum(0.5 * cov[k, l] ** 2 for k in range(3) for l in range(3) if k != l)
    expected += 0.3 * sum(G[i, j] * np.sum((F[i] - F[j]) ** 2) for i in range(7) for j in range(7)) / 7
    measured = value(
        vicreg, F, variance_weight=2.0, covariance_weight=0.5, invariance_weight=0.3, epsilon=0.01, graph=G
    )
    assert measured == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("candidates", ["partners", "others", "all"])
def test_infonce_is_its_sums(rng, similarity, candidates):
    F, tau = rng.normal(size=(8, 3)), 0.4
    Z = F / np.linalg.norm(F, axis=1, keepdims=True) if similarity == "cosine" else F
    total = 0.0
    for i in range(8):
        who = {
            "partners": range(4, 8) if i < 4 else range(4),
            "others": [k for k in range(8) if k != i],
            "all": range(8),
        }[candidates]
        total -= np.log(np.exp(Z[i] @ Z[(i + 4) % 8] / tau) / sum(np.exp(Z[i] @ Z[k] / tau) for k in who)) / 8
    measured = value(infonce, F, temperature=tau, similarity=similarity, candidates=candidates)
    assert measured == pytest.approx(total, rel=1e-12)


def test_nt_xent_on_a_graph_is_the_weighted_cross_entropy(rng):
    F, G = rng.normal(size=(7, 3)), random_graph(7, rng)
    Z = F / np.linalg.norm(F, axis=1, keepdims=True)
    similar = np.exp(Z @ Z.T / 0.5)
    np.fill_diagonal(similar, 0)
    estimate = similar / similar.sum(axis=1, keepdims=True)
    expected = -sum(G[i, j] * np.log(estimate[i, j]) for i in range(7) for j in range(7) if i != j) / G.sum()
    assert value(nt_xent, F, graph=G) == pytest.approx(expected, rel=1e-12)


def test_partners_as_candidates_need_pairs(rng):
    with pytest.raises(ValueError, match="two views"):
        infonce(jnp.ones((4, 2)), candidates="partners", graph=np.ones((4, 4)))


def test_simclr_squared_is_the_distance_to_the_graph(rng):
    F, G = rng.normal(size=(7, 3)), random_graph(7, rng)
    assert value(simclr_squared, F, graph=G) == pytest.approx(np.sum((F @ F.T - G) ** 2), rel=1e-12)
    F = rng.normal(size=(6, 2))
    assert value(simclr_squared, F) == pytest.approx(np.sum((F @ F.T - swap_matrix(3)) ** 2), rel=1e-12)


def test_spectral_contrastive_is_its_expectations_and_a_factorisation(rng):
    F, G = rng.normal(size=(7, 3)), random_graph(7, rng)
    p, w = G / G.sum(), G.sum(axis=1) / G.sum()
    expected = sum(-2 * p[i, j] * F[i] @ F[j] + w[i] * w[j] * (F[i] @ F[j]) ** 2 for i in range(7) for j in range(7))
    assert value(spectral_contrastive, F, graph=G) == pytest.approx(expected, rel=1e-12)
    degree = G.sum(axis=1)
    adjacency = G / np.sqrt(np.outer(degree, degree))
    scaled = np.sqrt(w)[:, None] * F
    factorisation = np.sum((scaled @ scaled.T - adjacency) ** 2) - np.sum(adjacency**2)
    assert value(spectral_contrastive, F, graph=G) == pytest.approx(factorisation, rel=1e-12)


def test_spectral_contrastive_is_squared_simclr_in_other_units(rng):
    F = rng.normal(size=(10, 3))
    scaled = value(simclr_squared, F / np.sqrt(10)) - 10
    assert value(spectral_contrastive, F) == pytest.approx(scaled, rel=1e-12)


@pytest.mark.parametrize("off_diagonal", [0.0051, 1.0])
def test_normalised_barlow_twins_is_that_of_the_correlation_coefficients(rng, off_diagonal):
    F = rng.normal(size=(12, 3)) * [1e-3, 1.0, 50.0] + [0.0, 3.0, -100.0]
    C = np.corrcoef(F[:6].T, F[6:].T)[:3, 3:]
    expected = sum((C[i, i] - 1) ** 2 + off_diagonal * sum(C[i, j] ** 2 for j in range(3) if j != i) for i in range(3))
    assert value(barlow_twins_normalised, F, epsilon=0.0, off_diagonal=off_diagonal) == pytest.approx(
        expected, rel=1e-9
    )


def test_normalised_barlow_twins_on_a_graph_correlates_the_two_ends_of_the_edges(rng):
    F, G = rng.normal(size=(7, 2)), random_graph(7, rng)
    left, right = np.nonzero(G)
    joint = np.cov(np.hstack([F[left], F[right]]).T, aweights=G[left, right], bias=True)
    scale = np.sqrt(np.diag(joint))
    C = (joint / np.outer(scale, scale))[:2, 2:]
    expected = (C[0, 0] - 1) ** 2 + (C[1, 1] - 1) ** 2 + 0.5 * (C[0, 1] ** 2 + C[1, 0] ** 2)
    assert value(barlow_twins_normalised, F, epsilon=0.0, off_diagonal=0.5, graph=G) == pytest.approx(
        expected, rel=1e-10
    )


# ---------------------------------------------------------------- what all share


@pytest.mark.parametrize("name", LOSSES)
def test_swap_as_a_graph_is_two_views(rng, name):
    F = rng.normal(size=(8, 3))
    if name == "barlow_twins_normalised":  # halves are standardised each on its own; give both the same moments
        F[4:] = F[:4][::-1]
    assert value(LOSSES[name], F, graph=swap_matrix(4)) == pytest.approx(value(LOSSES[name], F), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_order_of_the_views_of_a_graph_does_not_count(rng, name):
    F, G, order = rng.normal(size=(7, 3)), random_graph(7, rng), rng.permutation(7)
    moved = value(LOSSES[name], F[order], graph=G[np.ix_(order, order)])
    assert moved == pytest.approx(value(LOSSES[name], F, graph=G), rel=1e-11)


@pytest.mark.parametrize("name", ["infonce", "simclr_squared", "spectral_contrastive", "vicreg_squared"])
def test_rotations_of_the_outputs_are_not_seen(rng, name):
    F = rng.normal(size=(8, 3))
    assert value(LOSSES[name], F @ random_rotation(3, rng)) == pytest.approx(value(LOSSES[name], F), rel=1e-12)


def test_rotations_are_seen_by_losses_with_a_preferred_basis(rng):
    F, R = rng.normal(size=(8, 3)), random_rotation(3, rng)
    for loss in (vicreg, barlow_twins_normalised):
        assert abs(value(loss, F @ R) - value(loss, F)) > 1e-3


# ---------------------------------------------------------------- small embeddings


def test_infonce_expansion_is_right_up_to_sixth_order(rng):
    F = rng.normal(size=(20, 3)) + 0.5
    errors = [
        value(infonce, s * F, temperature=0.5) - value(infonce_expansion, s * F, temperature=0.5) for s in (0.06, 0.03)
    ]
    assert abs(errors[1]) > 1e-12
    assert errors[0] / errors[1] == pytest.approx(2**6, rel=0.15)


def test_cosine_does_not_see_the_scale(rng):
    F = rng.normal(size=(8, 3))
    assert value(nt_xent, 1e-4 * F) == pytest.approx(value(nt_xent, F), rel=1e-12)
    with double_precision():
        small, large = (np.asarray(jax.grad(nt_xent)(jnp.asarray(s * F))) for s in (1e-4, 1.0))
    np.testing.assert_allclose(1e-4 * small, large, rtol=1e-9, atol=1e-14)


def test_normalisation_removes_the_saddle_at_zero(rng):
    """The gradient grows as 1/scale, where Barlow Twins' own vanishes as the scale does; ε brings the saddle back."""
    F = rng.normal(size=(8, 3))

    def norm(loss, scale):
        with double_precision():
            return float(jnp.linalg.norm(jax.grad(loss)(jnp.asarray(scale * F))))

    exact = partial(barlow_twins_normalised, epsilon=0.0)
    assert norm(exact, 1e-3) == pytest.approx(1e3 * norm(exact, 1.0), rel=1e-6)
    assert norm(barlow_twins, 1e-3) == pytest.approx(1e-3 * norm(barlow_twins, 1e-6) / 1e-6, rel=1e-3)
    recipe = partial(barlow_twins_normalised, epsilon=1e-5)
    assert norm(recipe, 1e-6) < 1e-2 * norm(recipe, 1e-3)
