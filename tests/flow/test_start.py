"""Starts that the kernel cannot change all of, and starts that no flow can begin from."""

import warnings

import numpy as np
import pytest
import scipy.integrate
from theory_references import correlation, descending_eigenvalues, velocity

from dynamics import flow
from dynamics.errors import DataError, DivergenceError, DynamicsError
from dynamics.experiment.forecasting import forecast
from dynamics.flow import integrate
from dynamics.kernels import rbf
from dynamics.modes import contrastive_modes
from dynamics.objectives import barlow_twins, spectral_contrastive
from dynamics.views import Pairs

N, TIMES = 6, np.linspace(0, 3, 9)


def few_features(rng):
    return rng.normal(size=(2 * N, 5))


def identical_views(rng):
    return np.tile(rng.normal(size=(N, 20)), (2, 1))


def duplicates(rng):
    half = np.repeat(rng.normal(size=(N // 2, 20)), 2, axis=0)
    return np.concatenate([half, half + 0.1 * np.repeat(rng.normal(size=(N // 2, 20)), 2, axis=0)])


@pytest.fixture(params=[few_features, identical_views, duplicates])
def gram_matrix(request, rng):
    views = request.param(rng)
    return views @ views.T / views.shape[1]


def exact_flow(K, F, times):
    solution = scipy.integrate.solve_ivp(
        lambda t, y: velocity(K, y.reshape(F.shape)).ravel(),
        (0, times[-1]),
        F.ravel(),
        method="DOP853",
        t_eval=times,
        rtol=1e-11,
        atol=1e-13,
    )
    return solution.y.T.reshape(len(times), *F.shape)


@pytest.mark.filterwarnings("ignore:.*outside of the kernel's")
def test_flows_from_outside_of_the_range_of_the_kernel_are_exact(gram_matrix, rng):
    F = 0.1 * rng.normal(size=(2 * N, 2))
    modes = contrastive_modes(gram_matrix)
    assert len(modes) < 2 * N
    expected = exact_flow(gram_matrix, F, TIMES)
    eigenvalues = [descending_eigenvalues(G) for G in expected]
    loss = [np.linalg.norm(correlation(G) - np.eye(2)) ** 2 for G in expected]
    found = flow.kernel_flow(modes, F, TIMES, embedding_times=TIMES)
    np.testing.assert_allclose(found.embeddings, expected, atol=1e-8)
    np.testing.assert_allclose(found.eigenvalues, eigenvalues, atol=1e-8)
    np.testing.assert_allclose(found.loss, loss, atol=1e-8)
    batch = flow.kernel_flow_batch(modes, [F, 2 * F], TIMES)
    np.testing.assert_allclose(batch[0].eigenvalues, eigenvalues, atol=1e-8)


@pytest.mark.filterwarnings("ignore:.*outside of the kernel's")
def test_descent_from_outside_of_the_range_is_descent_in_function_space(gram_matrix, rng):
    F, eta = 0.1 * rng.normal(size=(2 * N, 2)), 0.05
    descended = [F]
    for _ in range(40):
        descended.append(descended[-1] + eta * velocity(gram_matrix, descended[-1]))
    found = flow.kernel_descent(contrastive_modes(gram_matrix), F, eta, np.array([0, 1, 17, 40]))
    expected = [descending_eigenvalues(descended[k]) for k in (0, 1, 17, 40)]
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-10)


@pytest.mark.filterwarnings("ignore:.*outside of the kernel's")
def test_closed_form_from_outside_of_the_range_is_the_limit_of_the_flow(gram_matrix, rng):
    """One output from ever smaller starts: the steps of the exact flow."""
    modes = contrastive_modes(gram_matrix)
    F = 1e-7 * rng.normal(size=(2 * N, 1))
    tau = flow.closed_form(modes, F, TIMES).mode_step_times[0]
    at_half = flow.kernel_flow(modes, F, np.array([0.0, tau])).eigenvalues[-1, 0]
    # other modes are behind by powers of the start
    assert at_half == pytest.approx(0.5, abs=0.02)


def test_coordinates_are_an_orthogonal_projection(gram_matrix, rng):
    modes = contrastive_modes(gram_matrix)
    F = rng.normal(size=(2 * N, 3))
    Q = np.linalg.svd(gram_matrix)[0][:, : len(modes)]
    np.testing.assert_allclose(modes.on_views @ modes.coordinates(F), Q @ Q.T @ F, atol=1e-8)


def test_a_large_part_outside_is_said(gram_matrix, rng):
    modes = contrastive_modes(gram_matrix)
    F = rng.normal(size=(2 * N, 2))
    with pytest.warns(UserWarning, match="outside of the kernel's"):
        flow.closed_form(modes, 1e-3 * F, TIMES)
    inside = modes.on_views @ rng.normal(size=(len(modes), 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow.closed_form(modes, 1e-3 * inside, TIMES)


# ---------------------------------------------------------------- starts that are not finite


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_flow_begins_from_what_is_not_finite(rng, bad):
    views = rng.normal(size=(2 * N, 20))
    K = views @ views.T / 20
    modes, F = contrastive_modes(K), 1e-3 * rng.normal(size=(2 * N, 2))
    theta = np.einsum("xy,kl->xykl", K, np.eye(2))
    F[3, 1] = bad
    records = np.arange(3)
    for begin in (
        lambda: flow.kernel_flow(modes, F, TIMES),
        lambda: flow.kernel_flow(modes, F, TIMES, truncation=1e-3),
        lambda: flow.kernel_flow_batch(modes, [F], TIMES),
        lambda: flow.objective_flow(K, F, TIMES, barlow_twins),
        lambda: flow.matrix_kernel_flow(theta, F, TIMES),
        lambda: flow.matrix_kernel_descent(theta, F, 0.01, records),
        lambda: flow.kernel_descent(modes, F, 0.01, records),
        lambda: flow.closed_form(modes, F, TIMES),
        lambda: flow.whitened_flow(np.full(2, 0.5), F[2:4].T, TIMES),
        lambda: forecast(Pairs(views[:N], views[N:]), rbf(length_scale=4.0), dim=2, start=F),
    ):
        with pytest.raises(DataError, match="finite"):
            begin()


def test_a_kernel_that_is_not_finite_is_refused(rng):
    K = np.eye(2 * N)
    K[0, 1] = K[1, 0] = np.nan
    F = rng.normal(size=(2 * N, 2))
    with pytest.raises(DynamicsError, match="finite"):
        flow.objective_flow(K, F, TIMES, barlow_twins)
    with pytest.raises(DynamicsError, match="finite"):
        flow.matrix_kernel_flow(np.einsum("xy,kl->xykl", K, np.eye(2)), F, TIMES)


# ---------------------------------------------------------------- flows that would not end


def test_a_flow_that_needs_too_many_steps_says_how_far_it_came(rng, monkeypatch):
    monkeypatch.setattr(integrate, "MAX_STEPS", 16)
    views = rng.normal(size=(2 * N, 20))
    F = 1e-3 * rng.normal(size=(2 * N, 3))
    with pytest.raises(DivergenceError, match=r"beyond t = [0-9.]+ to t = 50 within 16 steps"):
        flow.objective_flow(views @ views.T / 20, F, np.array([0.0, 50.0]), spectral_contrastive)
    with pytest.raises(DivergenceError, match=r"from start 0 .* within 16 steps"):
        flow.kernel_flow_batch(contrastive_modes(views @ views.T / 20), [F], np.array([0.0, 50.0]))
