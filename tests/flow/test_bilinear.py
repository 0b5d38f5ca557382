"""Two-layer linear networks obey the bilinear equations exactly, and NumPy descends on their weights."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from dynamics.errors import DivergenceError, KernelError
from dynamics.flow.bilinear import (
    BilinearModel,
    bilinear_descent,
    bilinear_flow,
    descend_records,
    model_of_kernel,
)
from dynamics.flow.bilinear_exact import exact_bilinear_descent
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.objectives import vicreg_squared
from dynamics.objectives.correlation import barlow_twins
from dynamics.support.precision import double_precision
from dynamics.trajectories.comparison import step_times

PAIRS, INPUTS, UNITS, DIM, TEST_POINTS, SCALE = 6, 4, 5, 2, 3, 0.7
ETA, STEPS = 0.01, np.array([0, 1, 2, 50, 200, 400])


def barlow_twins_gradient(F):
    n = len(F) // 2
    partner = np.concatenate([F[n:], F[:n]])
    return -(2 / n) * partner @ (np.eye(F.shape[1]) - F.T @ partner / len(F))


def vicreg_squared_gradient(F):
    """By central differences in float64; exact for a polynomial of fourth order up to the step's fourth power."""
    gradient, step = np.empty_like(F), 1e-4
    with double_precision():
        for index in np.ndindex(F.shape):
            shift = np.zeros_like(F)
            shift[index] = step
            far = float(vicreg_squared(jnp.asarray(F + 2 * shift))) - float(vicreg_squared(jnp.asarray(F - 2 * shift)))
            near = float(vicreg_squared(jnp.asarray(F + shift))) - float(vicreg_squared(jnp.asarray(F - shift)))
            gradient[index] = (8 * near - far) / (12 * step)
    return gradient


class LinearNetwork:
    """F = u X V W on 2n views, followed by b test points, and the descent of its weights in NumPy."""

    def __init__(self, rng, inputs=INPUTS, units=UNITS, dim=DIM):
        half = rng.normal(size=(PAIRS, inputs)) * np.array([2.0, 1.4, 1.0, 0.7, 0.5])[:inputs]
        views = np.concatenate([half, half + 0.2 * rng.normal(size=half.shape)])
        self.X = np.concatenate([views, rng.normal(size=(TEST_POINTS, inputs))])
        self.views = len(views)
        self.V, self.W = rng.normal(size=(inputs, units)), 1e-2 * rng.normal(size=(units, dim))

    @property
    def network(self):
        X = self.X
        return ReadoutNetwork(lambda V: jnp.asarray(X) @ V, self.V, self.W, SCALE, self.views)

    def model(self):
        """The reduced model with all readout directions and the kernel Θ^B_jk(x, y) = u² x · y δ_jk."""
        theta = SCALE**2 * np.einsum("xi,yi,jk->xyjk", self.X, self.X[: self.views], np.eye(len(self.W)))
        return model_of_kernel(SCALE * self.X @ self.V, theta, self.W)

    def descend(self, gradient, eta, record_at, center=False):
        X, V, W, views, history = self.X, self.V, self.W, self.views, []
        for _ in range(record_at[-1] + 1):
            F = SCALE * X @ V @ W
            F = F - F[:views].mean(axis=0) if center else F
            history.append(F)
            G = gradient(F[:views])
            G = G - G.mean(axis=0) if center else G
            h = X[:views] @ V
            V, W = V - eta * SCALE * X[:views].T @ G @ W.T, W - eta * SCALE * h.T @ G
        return np.array(history)[record_at]


@pytest.fixture
def linear(rng):
    return LinearNetwork(rng)


@pytest.mark.parametrize("center", [False, True])
def test_both_forms_are_descent_of_a_linear_network(linear, center):
    expected = linear.descend(barlow_twins_gradient, ETA, STEPS, center)
    model = linear.model().centred() if center else linear.model()
    reduced = bilinear_descent(model, ETA, STEPS, keep_embeddings=True)
    exact = exact_bilinear_descent_in_double(linear, STEPS, center=center)
    half = slice(linear.views // 2)
    C = np.einsum("tni,tnj->tij", expected[:, half], expected[:, linear.views // 2 : linear.views]) / PAIRS
    eigenvalues = np.linalg.eigvalsh((C + C.transpose(0, 2, 1)) / 2)[:, ::-1]
    assert eigenvalues[-1, 0] > 0.9  # the run has learned something
    for run in (reduced, exact):
        np.testing.assert_allclose(run.embeddings, expected, rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(run.eigenvalues, eigenvalues, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(run.times, ETA * STEPS)
        assert run.test_points == TEST_POINTS


def exact_bilinear_descent_in_double(linear, steps, **settings):
    return exact_bilinear_descent(linear.network, ETA, steps, keep_embeddings=True, **settings)


def test_any_objective(linear):
    steps = np.array([0, 5, 20])
    expected = linear.descend(vicreg_squared_gradient, ETA, steps)
    for run in (
        bilinear_descent(linear.model(), ETA, steps, objective=vicreg_squared, keep_embeddings=True),
        exact_bilinear_descent_in_double(linear, steps, objective=vicreg_squared),
    ):
        # differences of a loss of order 1 with a step of 1e-4 know its gradient to 1e-12 or so
        np.testing.assert_allclose(run.embeddings, expected, rtol=1e-8, atol=1e-9)


def test_flow_is_descent_with_small_steps(linear):
    """Descent differs from the flow by an error that halves with the learning rate; so its extrapolation is closer."""
    model, end = linear.model(), 0.5
    flow = bilinear_flow(model, np.array([0.0, end]), embedding_times=np.array([end]))

    def descent(steps):
        return bilinear_descent(model, end / steps, np.array([0, steps]), keep_embeddings=True).embeddings[-1]

    coarse, fine = descent(400), descent(800)
    error = np.abs(fine - flow.embeddings[-1]).max()
    assert np.abs(2 * fine - coarse - flow.embeddings[-1]).max() < 0.1 * error
    np.testing.assert_allclose(flow.embeddings[-1], fine, atol=4 * error, rtol=0)


def test_the_difference_of_the_layers_is_conserved_by_the_flow(rng):
    """VᵀV − W Wᵀ is constant in the flow; a step of descent changes it by order η², so a run of fixed length by η."""
    linear = LinearNetwork(rng)
    inputs, units = linear.V.shape
    along = np.einsum("xi,jk->ikxj", linear.X, np.eye(units)).reshape(inputs * units, len(linear.X), units)
    model = BilinearModel(
        SCALE * linear.X @ linear.V, SCALE * along, linear.W, np.zeros((len(linear.X), DIM)), linear.views
    )

    def change(steps):
        _, states = descend_records(model, 1.0 / steps, np.array([0, steps]), barlow_twins)
        moved, W = np.split(states[-1], [inputs * units])
        V, W = linear.V + moved.reshape(inputs, units), W.reshape(units, DIM)
        return np.abs(V.T @ V - W @ W.T - linear.V.T @ linear.V + linear.W @ linear.W.T).max(), np.abs(W).max()

    (coarse, size), (fine, _) = change(500), change(1000)
    assert size > 10 * np.abs(linear.W).max()
    # the next order is of relative size η times a rate of order 10, 1 % here
    assert coarse / fine == pytest.approx(2.0, rel=0.1)


def test_balanced_layers_escape_when_the_deep_linear_theory_says(rng):
    """One unit and one output: x = √γ w obeys dx/dt = 8√γ x²(1 − x²), so 8√γ t = artanh x − 1/x + const."""
    views = rng.normal(size=(2 * PAIRS, 1))
    views[PAIRS:] = views[:PAIRS]
    gamma = float((views[:PAIRS] * views[PAIRS:]).mean())
    side = 0.2
    model = BilinearModel(side * views, views[None], np.array([[side]]), np.zeros((2 * PAIRS, 1)), num_views=2 * PAIRS)
    start = gamma**0.5 * side**2
    x = np.array([start, 2 * start, 0.3, 0.5**0.5, 0.9])
    times = (np.arctanh(x) - 1 / x) / (8 * gamma**0.5)
    run = bilinear_flow(model, times - times[0], tolerance=1e-11)
    np.testing.assert_allclose(run.eigenvalues[:, 0], x**2, rtol=1e-8)


def test_a_lazy_network_has_a_frozen_kernel_up_to_one_over_c_squared(linear):
    steps = np.arange(0, 401, 4)

    def times(c, moving):
        model = linear.model().scaled(c)
        model = replace(model, tangents=moving * model.tangents)
        return c**2 * step_times(bilinear_descent(model, ETA / c**2, steps))

    errors = {c: times(c, 1.0) / times(c, 0.0) - 1 for c in (16.0, 32.0)}
    assert np.isfinite(errors[16.0]).all()
    exponents = np.log2(errors[16.0] / errors[32.0])
    # an error of a/c² + b/c⁴ shifts the exponent by about b/a/c², less than 1 % of it here if b/a is of order one
    np.testing.assert_allclose(exponents, 2.0, atol=0.1)


def test_embeddings_before_training_are_those_of_the_network(rng, linear):
    B = np.linalg.qr(rng.normal(size=(UNITS, 2)))[0]
    h, W = linear.X @ linear.V, linear.W
    model = BilinearModel(SCALE * h @ B, np.zeros((0, len(h), 2)), B.T @ W, SCALE * h @ (W - B @ B.T @ W), linear.views)
    np.testing.assert_allclose(model.initial_embeddings, SCALE * h @ W, rtol=1e-13, atol=1e-15)
    centred = model.centred().initial_embeddings
    np.testing.assert_allclose(centred, SCALE * (h - h[: linear.views].mean(axis=0)) @ W, rtol=1e-12, atol=1e-14)


def test_a_model_says_what_does_not_fit(linear):
    model = linear.model()
    arguments = {name: getattr(model, name) for name in ("features", "tangents", "readout", "remainder", "num_views")}
    with pytest.raises((ValueError, TypeCheckError)):  # whichever looks first
        BilinearModel(**arguments | {"remainder": model.remainder[1:]})
    with pytest.raises(ValueError, match="even number"):
        BilinearModel(**arguments | {"num_views": linear.views - 1})
    with pytest.raises(ValueError, match="even number"):
        BilinearModel(**arguments | {"num_views": len(linear.X) + 1})
    with pytest.raises(DivergenceError, match="lower the rate"):
        bilinear_descent(model, 100.0, STEPS)
    with pytest.raises(DivergenceError, match="lower the rate"):
        exact_bilinear_descent(linear.network, 100.0, STEPS)


def test_a_kernel_has_to_be_one(linear):
    theta = np.einsum("xi,yi,jk->xyjk", linear.X, linear.X[: linear.views], np.eye(UNITS))
    p = linear.X @ linear.V
    asymmetric = theta + np.triu(np.ones(theta.shape[:2]), 1)[:, :, None, None]
    for not_a_kernel in (-theta, asymmetric, np.nan * theta):
        with pytest.raises(KernelError, match="theta"):
            model_of_kernel(p, not_a_kernel, linear.W)
