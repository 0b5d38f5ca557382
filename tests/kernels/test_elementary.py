import numpy as np
import pytest
from scipy.integrate import dblquad

from dynamics.errors import ConfigError
from dynamics.kernels import arc_cosine, gram, infinite_kernel, linear, rbf, relu_network
from dynamics.networks import MLP


@pytest.fixture
def x(rng):
    return rng.normal(size=(7, 5))


def test_linear_and_rbf_entry_by_entry(x):
    y = x[:3] + 0.5
    squared = ((x[:, None] - y[None]) ** 2).sum(-1)
    np.testing.assert_allclose(gram(linear(), x, y), np.einsum("ap,bp->ab", x, y), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(gram(rbf(1.7), x, y), np.exp(-squared / (2 * 1.7**2)), rtol=1e-12)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("angle", [0.3, 1.2, 2.9])
def test_arc_cosine_against_its_defining_integral(order, angle):
    x, y = np.array([[1.5, 0.0]]), 0.7 * np.array([[np.cos(angle), np.sin(angle)]])

    # in polar coordinates, over the directions with both w·x > 0 and w·y > 0
    def integrand(r, a):
        products = 1.5 * np.cos(a) * 0.7 * np.cos(a - angle)
        return 2 * r * np.exp(-(r**2) / 2) / (2 * np.pi) * (r**2 * products) ** order

    expected, _ = dblquad(integrand, angle - np.pi / 2, np.pi / 2, 0, np.inf, epsabs=1e-12, epsrel=1e-12)
    np.testing.assert_allclose(gram(arc_cosine(order), x, y), expected, rtol=1e-9)


def test_relu_network_of_one_layer_against_sampled_features(rng, x):
    # h hᵀ/N of a network so wide that only Monte-Carlo noise is left; W_std²/p scales the first layer
    W = rng.normal(size=(5, 400_000))
    products = np.maximum(np.sqrt(2 / 5) * x @ W, 0)
    expected = products @ products.T / W.shape[1]
    values = gram(relu_network(1, "nngp"), x)
    noise = np.sqrt(5 * np.outer(np.diag(values), np.diag(values)) / W.shape[1])
    assert (np.abs(values - expected) < 5 * noise).all()


@pytest.mark.parametrize("depth", [1, 3, 20])
def test_diagonal_of_a_relu_network_is_exact(x, depth):
    # θ = 0 in every layer: NNGP ‖x‖²/p, and each of the depth + 1 layers adds as much to the NTK
    squared = (x**2).mean(axis=1)
    np.testing.assert_allclose(np.diag(gram(relu_network(depth, "nngp"), x)), squared, rtol=1e-12)
    np.testing.assert_allclose(np.diag(gram(relu_network(depth, "ntk"), x)), (depth + 1) * squared, rtol=1e-12)


def test_arctan_form_stays_exact_near_zero_angle():
    # 1 − k₀ = θ/π; arccos of a rounded cosine would be off by 1e-2 here
    θ = 1e-6
    x, y = np.array([[1.0, 0.0]]), np.array([[np.cos(θ), np.sin(θ)]])
    assert 1 - gram(arc_cosine(0), x, y)[0, 0] == pytest.approx(θ / np.pi, rel=1e-3)
    assert gram(arc_cosine(0), x, 3 * x)[0, 0] == 1


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
@pytest.mark.parametrize("b_std", [None, 0.4])
def test_neural_tangents_agrees_with_the_recursion(x, kind, b_std):
    declared = MLP(depth=3, b_std=b_std)
    values, expected = gram(infinite_kernel(declared, kind), x), gram(relu_network(3, kind, b_std=b_std), x)
    off = ~np.eye(len(x), dtype=bool)
    np.testing.assert_allclose(values[off], expected[off], rtol=1e-10)
    # at θ = 0 neural-tangents has √eps in place of the angle
    np.testing.assert_allclose(np.diag(values), np.diag(expected), rtol=1e-7)


def test_zero_views_give_zeros():
    values = gram(relu_network(2, "ntk"), np.array([[0.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_allclose(values, [[0, 0], [0, 1.5]], atol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rbf(0.0), "rbf: length_scale is 0.0; give a positive number."),
        (lambda: arc_cosine(2), "arc_cosine: order is 2; choose 0 (step) or 1 (ReLU)."),
        (lambda: relu_network(0), "relu_network: depth is 0; give an integer of at least 1."),
        (lambda: relu_network(1, "nnp"), "relu_network: kind 'nnp' is unknown; choose from ntk, nngp."),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message
