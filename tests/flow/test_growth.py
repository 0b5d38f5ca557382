"""The linear phase: curvature at zero against automatic differentiation, rates against eigenproblem and flow."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from theory_references import random_gram, swap_matrix

from dynamics.errors import ConfigError, KernelError
from dynamics.flow.growth import growth_modes
from dynamics.flow.objective_flow import objective_flow
from dynamics.modes import contrastive_modes
from dynamics.objectives import (
    OBJECTIVES,
    barlow_twins,
    generalised_spectral,
    infonce,
    nt_xent,
    objective_loss,
    simclr_squared,
    spectral_contrastive,
    vicreg,
    vicreg_squared,
)
from dynamics.objectives.growth import (
    barlow_twins_growth,
    growth_matrix,
    growth_of,
    infonce_growth,
    vicreg_squared_growth,
)
from dynamics.support.precision import double_precision

CASES = {
    "barlow_twins": (barlow_twins, barlow_twins_growth),
    "barlow_twins, λ": (partial(barlow_twins, off_diagonal=0.1), barlow_twins_growth),
    "vicreg_squared": (partial(vicreg_squared, weight=0.3), partial(vicreg_squared_growth, weight=0.3)),
    "vicreg_squared, uncentred": (
        partial(vicreg_squared, weight=0.3, center=False),
        partial(vicreg_squared_growth, weight=0.3, center=False),
    ),
    "infonce, all": (partial(infonce, temperature=0.4), partial(infonce_growth, temperature=0.4)),
    "infonce, others": (partial(infonce, candidates="others"), partial(infonce_growth, candidates="others")),
    "spectral_contrastive": (spectral_contrastive, barlow_twins_growth),
}


@pytest.mark.parametrize("name", CASES)
def test_growth_matrix_is_the_curvature_of_the_loss_at_zero(rng, name):
    loss, growth = CASES[name]
    G = np.triu(rng.uniform(size=(5, 5)), 1)
    G += G.T
    B = growth(G)
    np.testing.assert_allclose(growth_of(loss, G), B, atol=1e-11 * np.abs(B).max())


def _laplacian(G):
    return np.diag(G.sum(axis=0)) - G


def _halves(n):
    """The projection H₂ (2n, 2n) that removes the mean over each half."""
    return np.kron(np.eye(2), np.eye(n) - 1 / n)


@pytest.mark.parametrize("name", ["barlow-twins", "infonce", "spectral-contrastive"])
def test_closed_forms_of_objectives_are_the_curvature_of_their_losses(rng, name):
    """From the record of the objective, for pairs, a graph and other settings than the source's."""
    G = np.triu(rng.uniform(size=(6, 6)), 1)
    G += G.T
    assert OBJECTIVES[name].growth is not None
    for relation in (6, G):
        for settings in ({}, dict.fromkeys(OBJECTIVES[name].settings, 0.3)):
            expected = growth_of(objective_loss(name, **settings), relation)
            found = growth_matrix(name, relation, **settings)
            np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_grows_or_says_why_not(name):
    if not OBJECTIVES[name].no_growth:
        assert growth_matrix(name, 4).shape == (4, 4)
        return
    with pytest.raises(ConfigError, match=f"{name} has no growth matrix. {OBJECTIVES[name].no_growth}"):
        growth_matrix(name, 4)


def test_the_formulas_of_the_table(rng):
    """Objectives without a closed form in code: what the documentation says of them, by automatic differentiation."""
    n, d, J, H = 3, 4, swap_matrix(3), np.eye(6) - 1 / 6
    G = np.triu(rng.uniform(size=(6, 6)), 1)
    G += G.T
    H2 = _halves(n)
    released = 25 * H2 / (4 * 0.01 * d * (n - 1)) - 25 * (np.eye(6) - J) / (n * d)
    hinge = 2 * H / (2 * 0.1 * 6) - 2 * 3 * _laplacian(G) / 6
    spectral = 2 * (-0.4 * np.diag(G.sum(axis=0)) + G) / G.sum()
    cases = [
        (growth_matrix("vicreg", 6, dim=d), released),
        (growth_matrix("barlow-twins-practical", 6, dim=d, epsilon=0.1), 2 * H2 @ J @ H2 / (0.1 * 6)),
        (growth_matrix(vicreg, G, variance_weight=2.0, invariance_weight=3.0, epsilon=0.01), hinge),
        (growth_matrix(simclr_squared, G), 2 * G),
        (growth_matrix(generalised_spectral, G, weight=0.6), spectral),
    ]
    for found, expected in cases:
        np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


def test_a_loss_without_a_growth_matrix_is_refused():
    with pytest.raises(ConfigError, match="singular where all embeddings are zero"):
        growth_matrix(nt_xent, 4)
    with pytest.raises(ConfigError, match="there are 5 views; give an even number"):
        growth_matrix("barlow-twins", 5)


def test_outputs_do_not_couple_at_zero(rng):
    """The full Hessian is −2 B ⊗ I."""
    with double_precision():
        hessian = np.asarray(jax.jit(jax.hessian(vicreg_squared))(jnp.zeros((4, 2))))
    expected = np.einsum("ij,kl->ikjl", -2 * vicreg_squared_growth(swap_matrix(2)), np.eye(2))
    np.testing.assert_allclose(hessian, expected, atol=1e-12)


def test_candidates_among_partners(rng):
    """The two off-diagonal blocks, each centred."""
    growth = infonce_growth(swap_matrix(3), candidates="partners")
    np.testing.assert_allclose(growth, growth_of(partial(infonce, candidates="partners"), 6), atol=1e-13)
    H = np.eye(3) - 1 / 3
    np.testing.assert_allclose(growth, np.kron([[0, 1], [1, 0]], H) / 6, atol=1e-15)


def test_infonce_grows_as_barlow_twins_on_centred_functions():
    H = np.eye(8) - 1 / 8
    expected = H @ barlow_twins_growth(swap_matrix(4)) @ H / (2 * 0.4)
    np.testing.assert_allclose(infonce_growth(swap_matrix(4), temperature=0.4), expected, atol=1e-15)


def test_quadratic_vicreg_grows_with_sigma_and_gamma_in_feature_space(rng):
    """(1 − λ)Σ + λΓ, so that λ = 1 has exactly the kernel of Barlow Twins."""
    psi, J = rng.normal(size=(10, 4)), swap_matrix(5)
    Sigma, Gamma = psi.T @ psi / 10, psi.T @ J @ psi / 10
    for weight in (0.0, 0.3, 1.0, 2.0):
        rates = growth_modes(psi @ psi.T, vicreg_squared_growth(J, weight, center=False)).rates
        expected = 4 * np.linalg.eigvalsh((1 - weight) * Sigma + weight * Gamma)[::-1]
        np.testing.assert_allclose(rates, expected, atol=1e-12)
    np.testing.assert_array_equal(vicreg_squared_growth(J, 1.0, center=False), barlow_twins_growth(J))


def test_rates_of_barlow_twins_are_four_gamma_with_its_modes(rng):
    K = random_gram(5, rng)
    modes, growth = contrastive_modes(K), growth_modes(K, barlow_twins_growth(swap_matrix(5)))
    np.testing.assert_allclose(growth.rates, 4 * modes.eigenvalues, rtol=1e-9)
    np.testing.assert_allclose(np.abs(growth.functions), np.abs(modes.on_views), atol=1e-9)


def test_modes_of_a_singular_kernel_are_those_of_its_features(rng):
    psi = rng.normal(size=(8, 3))
    growth = growth_modes(psi @ psi.T, growth_matrix(simclr_squared, 8))
    assert growth.rates.shape == (3,)
    dense = np.linalg.eigvals(2 * psi @ psi.T @ (2 * swap_matrix(4)))
    top = np.sort(dense.real[np.abs(dense) > 1e-9])[::-1]
    np.testing.assert_allclose(growth.rates, top, rtol=1e-9)
    norms = growth.functions.T @ np.linalg.pinv(psi @ psi.T) @ growth.functions
    np.testing.assert_allclose(norms, np.eye(3), atol=1e-9)


def test_matrices_that_are_no_kernel_are_refused():
    with pytest.raises(KernelError, match="zero"):
        growth_modes(np.zeros((4, 4)), np.eye(4))
    with pytest.raises(KernelError, match="negative eigenvalue"):
        growth_modes(np.diag([1.0, 1.0, 1.0, -1.0]), np.eye(4))


@pytest.mark.parametrize(
    "loss",
    [
        partial(vicreg, variance_weight=2.0, invariance_weight=3.0, epsilon=0.01),
        partial(infonce, candidates="others"),
    ],
    ids=["vicreg", "infonce, others"],
)
def test_flow_from_a_small_start_grows_at_the_rates(rng, loss):
    """Every mode grows (or decays) by e^{r_j t} on its own, as long as nothing has saturated."""
    K = random_gram(3, rng)
    modes = growth_modes(K, growth_matrix(loss, 6))
    start, end = 1e-6 * rng.normal(size=(6, 2)), 4 / modes.rates[0]
    flow = objective_flow(K, start, np.array([0.0, end]), loss, embedding_times=np.array([0.0, end]))
    coordinates = modes.functions.T @ np.linalg.solve(K, flow.embeddings)
    expected = coordinates[0] * np.exp(modes.rates * end)[:, None]
    np.testing.assert_allclose(coordinates[1], expected, atol=1e-6 * np.abs(expected).max())
    assert np.abs(coordinates[1, 0]).max() > 50 * np.abs(coordinates[0, 0]).max()  # by e⁴ = 54.6


def test_the_linear_phase_of_the_hinge_ends_where_the_variance_passes_epsilon(rng):
    """Measured against e^{2rt}, the variance keeps the rate at 0.01 ε and has lost it at 10 ε.

    The slope of the hinge is 1/√(variance + ε), so the rate is 1/√1.01 and 1/√11 = 0.30 of that at the start.
    """
    K, J, epsilon = random_gram(4, rng), swap_matrix(4), 1e-6
    loss = partial(vicreg, epsilon=epsilon)
    modes = growth_modes(K, growth_matrix(vicreg, J, epsilon=epsilon))
    direction = modes.functions[:, :1]
    for variance, lowest, highest in ((0.01, 0.98, 1.0), (10.0, 0.0, 0.35)):
        start = direction * np.sqrt(variance * epsilon / direction.var())
        end = 0.01 / modes.rates[0]
        flow = objective_flow(K, start, np.array([0.0, end]), loss, embedding_times=np.array([0.0, end]))
        grown = np.log(flow.embeddings[1].var() / flow.embeddings[0].var()) / (2 * 0.01)
        assert lowest < grown < highest
