"""The flow of any loss against SciPy, the mode-space flow, linear parameters, and exact statements about losses."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from theory_references import correlation, random_gram, swap_matrix, velocity

from dynamics.flow.objective_flow import objective_flow
from dynamics.flow.ode import kernel_flow
from dynamics.modes import contrastive_modes
from dynamics.objectives import (
    barlow_twins,
    barlow_twins_normalised,
    infonce,
    infonce_expansion,
    nt_xent,
    vicreg,
    vicreg_squared,
)
from dynamics.support.precision import double_precision

TIMES = np.linspace(0, 3, 7)


def followed(F, times, gradient, rows):
    """Embeddings (T, N, d) of dF/dt = −K̃∇L by SciPy, the gradient given."""
    solution = scipy.integrate.solve_ivp(
        lambda t, y: -(rows @ gradient(y.reshape(F.shape)[: rows.shape[1]])).ravel(),
        (0, times[-1]),
        F.ravel(),
        method="DOP853",
        t_eval=times,
        rtol=1e-10,
        atol=1e-12,
    )
    return solution.y.T.reshape(len(times), *F.shape)


def test_barlow_twins_is_the_flow_in_mode_coordinates(rng):
    K, F = random_gram(4, rng), 0.2 * rng.normal(size=(8, 3))
    flow = objective_flow(K, F, TIMES, barlow_twins, embedding_times=TIMES)
    fast = kernel_flow(contrastive_modes(K), F, TIMES, embedding_times=TIMES)
    np.testing.assert_allclose(flow.embeddings, fast.embeddings, atol=1e-7)
    np.testing.assert_allclose(flow.eigenvalues, fast.eigenvalues, atol=1e-7)
    np.testing.assert_allclose(flow.loss, fast.loss, atol=1e-7)
    assert flow.rung == "objective_flow"


def test_what_is_recorded_belongs_to_the_embeddings(rng):
    K, F = random_gram(4, rng), 0.5 * rng.normal(size=(8, 3))
    flow = objective_flow(K, F, TIMES, vicreg_squared, embedding_times=TIMES)
    for recorded, spectrum, covariance in zip(flow.embeddings, flow.eigenvalues, flow.covariance, strict=True):
        np.testing.assert_allclose(spectrum, np.linalg.eigvalsh(correlation(recorded))[::-1], atol=1e-12)
        np.testing.assert_allclose(covariance, np.linalg.eigvalsh(recorded.T @ recorded / 8)[::-1], atol=1e-12)


def test_quadratic_vicreg_by_its_gradient_written_out(rng):
    """∇ = (4/N) HF(Σ − I) + (4γ/N) LF, on training and test points, for any number of views."""
    N, weight = 7, 0.4
    G = np.triu(rng.uniform(size=(N, N)), 1)
    G += G.T
    x, x_test = rng.normal(size=(N, 9)), rng.normal(size=(3, 9))
    rows = np.concatenate([x, x_test]) @ x.T
    laplacian, H = np.diag(G.sum(axis=1)) - G, np.eye(N) - 1 / N

    def gradient(F):
        return 4 / N * (H @ F @ (F.T @ H @ F / N - np.eye(2)) + weight * laplacian @ F)

    F, times = 0.3 * rng.normal(size=(N + 3, 2)), np.linspace(0, 0.5, 4)
    expected = followed(F, times, gradient, rows)
    loss = partial(vicreg_squared, weight=weight, graph=G)
    flow = objective_flow(
        rows[:N],
        F[:N],
        times,
        loss,
        graph=G,
        test_rows=rows[N:],
        test_start=F[N:],
        embedding_times=times,
    )
    np.testing.assert_allclose(flow.embeddings, expected, atol=1e-7)
    assert flow.test_points == 3
    C = np.einsum("tik,ij,tjl->tkl", expected[:, :N], G, expected[:, :N]) / G.sum()
    np.testing.assert_allclose(flow.eigenvalues, np.linalg.eigvalsh(C)[:, ::-1], atol=1e-7)


def test_test_points_are_those_of_the_trained_linear_map(rng):
    """f(x) = Wx under plain gradient flow of W: the function on points it was not trained on."""
    x, x_test, W = rng.normal(size=(8, 5)), rng.normal(size=(4, 5)), 0.3 * rng.normal(size=(5, 2))
    n, end = 4, 1.5

    def descent(t, w):
        F = x @ w.reshape(5, 2)
        return (x.T @ velocity(np.eye(2 * n), F)).ravel()

    solution = scipy.integrate.solve_ivp(descent, (0, end), W.ravel(), method="DOP853", rtol=1e-11, atol=1e-13)
    expected = x_test @ solution.y[:, -1].reshape(5, 2)
    times = np.array([0.0, end])
    flow = objective_flow(
        x @ x.T, x @ W, times, barlow_twins, test_rows=x_test @ x.T, test_start=x_test @ W, embedding_times=times
    )
    np.testing.assert_allclose(flow.embeddings[-1, 8:], expected, atol=1e-7)


LOSSES = {
    "barlow_twins_normalised": barlow_twins_normalised,
    "vicreg": partial(vicreg, variance_weight=2.0, invariance_weight=1.0, epsilon=0.01),
    "infonce, partners": partial(infonce, candidates="partners"),
    "nt_xent": nt_xent,
    "of one's own": lambda F: jnp.sum(jnp.cos(F)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_flow_is_the_limit_of_gradient_descent(rng, name):
    """Euler steps err by O(η); extrapolated from η and η/2 they err by O(η²)."""
    loss, K, F = LOSSES[name], random_gram(3, rng), 0.7 * rng.normal(size=(6, 2))
    end = 0.05
    with double_precision():
        step = jax.jit(lambda Z, rate: Z - rate * (K @ jax.grad(loss)(Z)))

        def descended(steps):
            Z = jnp.asarray(F)
            for _ in range(steps):
                Z = step(Z, end / steps)
            return np.asarray(Z)

        coarse, fine = descended(300), descended(600)
    times = np.array([0.0, end])
    flow = objective_flow(K, F, times, loss, embedding_times=times).embeddings[-1]
    error = np.abs(fine - flow).max()
    # what is left of an error of order η is of order η², and η is 1/6000
    assert np.abs(2 * fine - coarse - flow).max() < 0.05 * error
    assert 1e-6 * np.abs(flow - F).max() < error  # not because every step size agrees


def test_quadratic_vicreg_at_weight_one_follows_barlow_twins_until_it_saturates(rng):
    K, start = random_gram(4, rng), 1e-4 * rng.normal(size=(8, 2))
    end = np.log(1e3) / (4 * contrastive_modes(K).eigenvalues[0])
    runs = [
        objective_flow(K, start, np.array([0.0, end]), loss, embedding_times=np.array([end])).embeddings[0]
        for loss in (barlow_twins, partial(vicreg_squared, center=False))
    ]
    scale = np.abs(runs[0]).max()
    assert scale > 20 * np.abs(start).max()  # the first mode has grown a thousandfold, from a part of the start
    # saturation comes with the square of the embeddings, 1e-4 · 1e3 at most
    assert np.abs(runs[1] - runs[0]).max() < 1e-3 * scale


def test_a_small_readout_changes_nothing_for_cosine_similarity_but_the_clock(rng):
    """∇L(cF) = ∇L(F)/c: the flow from cF₀ at time c²t is c times the flow from F₀ at t."""
    K, F, c = random_gram(4, rng), rng.normal(size=(8, 2)), 1e-3
    large = objective_flow(K, F, TIMES, nt_xent, embedding_times=TIMES)
    small = objective_flow(K, c * F, c**2 * TIMES, nt_xent, embedding_times=c**2 * TIMES)
    np.testing.assert_allclose(small.embeddings / c, large.embeddings, atol=1e-6)
    np.testing.assert_allclose(small.loss, large.loss, atol=1e-7)
    assert large.loss[-1] < large.loss[0]


def test_small_infonce_steps_are_logistic_where_the_moments_commute(rng):
    """d(w²)/dt = 4γw²/τ − 4σ²w⁴/τ² for centred views whose second moments are diagonal: plateau γτ/σ²."""
    n, tau = 8, 0.7
    even = np.linalg.qr(np.c_[np.ones(n), rng.normal(size=(n, 4))])[0][:, 1:]
    sigma, gamma = np.array([1.0, 0.8]), np.array([0.7, 0.3])
    shared, differing = np.sqrt(n * (sigma + gamma) / 2), np.sqrt(n * (sigma - gamma) / 2)
    x = np.concatenate([even[:, :2] * shared + even[:, 2:] * differing, even[:, :2] * shared - even[:, 2:] * differing])
    np.testing.assert_allclose(x.T @ x / (2 * n), np.diag(sigma), atol=1e-12)
    np.testing.assert_allclose(x.T @ swap_matrix(n) @ x / (2 * n), np.diag(gamma), atol=1e-12)
    w0, times = np.array([1e-3, 1e-2]), np.linspace(0, 12, 9)
    flow = objective_flow(x @ x.T, x * w0, times, partial(infonce_expansion, temperature=tau), embedding_times=times)
    growth, ceiling = 4 * gamma / tau, gamma * tau / sigma**2
    p = ceiling / (1 + (ceiling / w0**2 - 1) * np.exp(-growth * times[:, None]))
    measured = np.einsum("tik,tik->tk", flow.embeddings, flow.embeddings) / (2 * n * sigma)
    np.testing.assert_allclose(measured, p, atol=1e-7)
    assert p[-1, 0] > 0.99 * ceiling[0] and p[2, 1] < 0.5 * ceiling[1]


def test_an_odd_number_of_views_needs_a_graph(rng):
    with pytest.raises(ValueError, match="graph"):
        objective_flow(np.eye(5), rng.normal(size=(5, 2)), TIMES, vicreg_squared)
