"""The fused recursions against neural-tangents, closed forms and their own float32."""

import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from dynamics.errors import ConfigError
from dynamics.kernels import gram, infinite_kernel, relu_network
from dynamics.kernels.expectations import EXPECTATIONS
from dynamics.kernels.fused import CHUNK_BYTES, fused_kernel, supports
from dynamics.networks import MLP, ConvNet, ResNet
from dynamics.networks.layers import Activation, Conv, Dense, Flatten, Pool, Residual, Tap
from dynamics.support.precision import double_precision

ARCHITECTURES = {
    "mlp": MLP(depth=3),
    "mlp-bias": MLP(depth=2, b_std=0.4, w_std=1.1),
    "mlp-erf": MLP(depth=3, activation="erf", b_std=0.2),
    "convnet": ConvNet(depth=2),
    "convnet-pool": ConvNet(depth=2, head="pool", b_std=0.3),
    "convnet-even-window": ConvNet(depth=1, kernel_size=2, head="pool"),
    "resnet": ResNet(),
    "resnet-pool-erf": ResNet(head="pool", activation="erf"),
    "resnet-deep": ResNet(blocks=2, b_std=0.1),
    "resnet-pool": ResNet(head="pool"),
}


def images(rng, count, shape=(5, 4, 2)):
    """Views of different sizes, some of them close to each other."""
    x = rng.normal(size=(count, *shape)) * rng.uniform(0.5, 2, size=(count, *[1] * len(shape)))
    x[1] = x[0] + 0.02 * rng.normal(size=shape)
    return x


QUICK = {
    ("mlp-bias", "ntk"),
    ("mlp-erf", "ntk"),
    ("convnet-even-window", "ntk"),
    ("resnet-pool", "ntk"),
    ("resnet", "nngp"),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=() if (name, kind) in QUICK else pytest.mark.slow)
        for name in ARCHITECTURES
        for kind in ("ntk", "nngp")
    ],
)
def test_equals_neural_tangents(rng, name, kind):
    x1, x2 = images(rng, 5), images(rng, 3)
    fused, reference = (infinite_kernel(ARCHITECTURES[name], kind, backend=b) for b in ("fused", "neural-tangents"))
    np.testing.assert_allclose(gram(fused, x1, x2), gram(reference, x1, x2), rtol=1e-10)
    square, expected = gram(fused, x1), gram(reference, x1)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(square[off], expected[off], rtol=1e-10)
    # neural-tangents itself is off by √eps where the two views are one
    np.testing.assert_allclose(np.diag(square), np.diag(expected), rtol=1e-7)


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
@pytest.mark.parametrize("b_std", [None, 0.5])
def test_fully_connected_relu_equals_the_closed_form_on_the_diagonal_too(rng, kind, b_std):
    x = images(rng, 6)
    x[5] = x[4]  # the same view twice
    expected = gram(relu_network(3, kind, b_std=b_std), x)
    values = gram(infinite_kernel(MLP(depth=3, b_std=b_std), kind, backend="fused"), x)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize("depth", [1, 4])
def test_diagonal_of_the_relu_kernels_is_known(rng, depth):
    """Without bias, √2 scaling keeps ‖x‖²/fan_in, the readout halves it, and every layer adds as much to the NTK."""
    x = images(rng, 4)
    size = (x**2).mean(axis=(1, 2, 3)) / 1.0
    nngp, ntk = (np.diag(gram(infinite_kernel(MLP(depth=depth), kind), x)) for kind in ("nngp", "ntk"))
    np.testing.assert_allclose(nngp, size, rtol=1e-13)
    np.testing.assert_allclose(ntk, (depth + 1) * size, rtol=1e-13)


@pytest.mark.parametrize("name", ["mlp", "mlp-erf", "convnet-pool"])
def test_float32_is_float64_to_its_precision(rng, name):
    x = images(rng, 6)
    kernel = infinite_kernel(ARCHITECTURES[name], backend="fused")
    single = kernel(x.astype(np.float32), x.astype(np.float32))
    assert single.dtype == jnp.float32
    expected = gram(kernel, x)
    np.testing.assert_allclose(single, expected, rtol=2e-5)
    # the identical view costs an angle of √(64 eps) in float32 at worst, and not more
    assert np.abs(np.diag(single) / np.diag(expected) - 1).max() < 5e-6


@pytest.mark.parametrize("name", ["convnet", "convnet-pool"])
def test_chunks_change_nothing(rng, name, monkeypatch):
    x1, x2 = images(rng, 7), images(rng, 5)
    layers = ARCHITECTURES[name].layers()
    with double_precision():
        whole = np.asarray(jax.jit(partial(fused_kernel, layers, "ntk"))(x1, x2))
        for chunk in ((1, 5), (3, 2)):
            monkeypatch.setattr("dynamics.kernels.fused._chunk", lambda *_, chunk=chunk: chunk)
            tiled = jax.jit(partial(fused_kernel, layers, "ntk"))(x1, x2)
            np.testing.assert_allclose(tiled, whole, rtol=1e-14)


def test_blocks_of_rows_change_nothing(rng, monkeypatch):
    x1, x2, layers = rng.normal(size=(12, 9)), rng.normal(size=(5, 9)), MLP(depth=2).layers()
    with double_precision():
        whole = np.asarray(fused_kernel(layers, "ntk", x1, x2))
        square = np.asarray(fused_kernel(layers, "ntk", x1))
        monkeypatch.setitem(CHUNK_BYTES, "vectors", 8 * 12 * 4)
        np.testing.assert_allclose(fused_kernel(layers, "ntk", x1, x2), whole, rtol=1e-14)
        np.testing.assert_allclose(fused_kernel(layers, "ntk", x1), square, rtol=1e-14)
        np.testing.assert_allclose(fused_kernel(layers, "ntk", x1, x1.copy()), square, rtol=1e-12)


@pytest.mark.parametrize("name", ["mlp-bias", "convnet-pool", "resnet"])
def test_the_sums_of_an_accelerator_are_those_of_a_cpu(rng, name, monkeypatch):
    x1, x2, layers = images(rng, 5), images(rng, 3), ARCHITECTURES[name].layers()
    with double_precision():
        here = jax.jit(partial(fused_kernel, layers, "ntk"))(x1, x2)
        monkeypatch.setattr("dynamics.kernels.fused._on_cpu", lambda: False)
        there = jax.jit(partial(fused_kernel, layers, "ntk"))(x1, x2)
    np.testing.assert_allclose(there, here, rtol=1e-12)


def test_black_images_and_patches_are_no_number_to_fear(rng):
    x = images(rng, 3, (6, 6, 1))
    x[0] = 0.0
    x[1, :4] = 0.0
    for head in ("flatten", "pool"):
        values = gram(infinite_kernel(ConvNet(depth=2, head=head), backend="fused"), x)
        reference = gram(infinite_kernel(ConvNet(depth=2, head=head), backend="neural-tangents"), x)
        assert (values[0] == 0).all()
        np.testing.assert_allclose(values[1, 2], reference[1, 2], rtol=1e-10)


def test_many_channels_and_dense_layers_on_images(rng):
    """The declaration language allows more than the three architectures use."""
    declaration = (
        Dense("a", 8, 1.2, 0.1),
        Activation("relu"),
        Residual(
            (Conv("b", 8, 3, 1, 0.7, None), Activation("erf"), Dense("c", 8, 1.0, None)), (Dense("e", 8, 1.0, None),)
        ),
        Tap("seen"),
        Flatten(),
        Dense("d", 8, 1.0, 0.3),
        Activation("relu"),
    )
    assert supports(declaration)

    class Declared(MLP):
        def layers(self):
            return declaration

    x1, x2 = images(rng, 3, (4, 4, 6)), images(rng, 2, (4, 4, 6))
    fused, reference = (infinite_kernel(Declared(), backend=b) for b in ("fused", "neural-tangents"))
    np.testing.assert_allclose(gram(fused, x1, x2), gram(reference, x1, x2), rtol=1e-10)


def test_what_it_does_not_know_goes_to_neural_tangents(rng):
    x = rng.normal(size=(3, 7))
    gelu = MLP(depth=1, activation="gelu")
    assert not supports(gelu.layers())
    assert not supports((Conv("a", 4, 3, 1, 1.0, None), Pool(), Dense("b", 4, 1.0, None), Activation("relu")))
    assert not supports((Residual((Flatten(),)),))
    np.testing.assert_array_equal(
        gram(infinite_kernel(gelu), x), gram(infinite_kernel(gelu, backend="neural-tangents"), x)
    )
    with pytest.raises(ConfigError, match="does not know every layer of this MLP"):
        infinite_kernel(gelu, backend="fused")
    with pytest.raises(ConfigError, match="backend 'jax' is unknown; choose from auto, fused, neural-tangents"):
        infinite_kernel(gelu, backend="jax")


# ---------------------------------------------------------------- the expectations, against quadrature and themselves


@pytest.mark.parametrize(("kind", "φ"), [("relu", lambda u: max(u, 0.0)), ("erf", None)])
@pytest.mark.parametrize("correlation", [-0.95, -0.3, 0.0, 0.6, 0.99])
def test_expectations_are_integrals(kind, φ, correlation):
    φ = φ or scipy.special.erf
    k11, k22 = 1.3, 0.4
    k12 = correlation * np.sqrt(k11 * k22)
    root = np.linalg.cholesky([[k11, k12], [k12, k22]])

    def integrand(b, a):
        u, v = root @ [a, b]
        return φ(u) * φ(v) * np.exp(-(a * a + b * b) / 2) / (2 * np.pi)

    # where u or v changes sign the integrand has a kink
    kink = lambda a: -root[1, 0] * a / root[1, 1]  # noqa: E731
    parts = [
        scipy.integrate.dblquad(integrand, low, high, below, above, epsabs=1e-9)[0]
        for low, high in ((-9, 0), (0, 9))
        for below, above in ((-60, kink), (kink, 60))
    ]
    e = EXPECTATIONS[kind]
    with double_precision():
        s1, s2 = e.scale(jnp.asarray(k11)), e.scale(jnp.asarray(k22))
        φφ, dφdφ = e.pair(jnp.asarray(k12), s1, s2, 1 / s1, 1 / s2)
        # Price's theorem: dE[φφ]/dk12 = E[φ'φ']
        step = 1e-6
        up, down = (e.pair(jnp.asarray(k12 + sign * step), s1, s2, 1 / s1, 1 / s2)[0] for sign in (1, -1))
    np.testing.assert_allclose(φφ, sum(parts), atol=1e-7)
    np.testing.assert_allclose(dφdφ, (up - down) / (2 * step), rtol=1e-7)


@pytest.mark.parametrize("kind", ["relu", "erf"])
def test_polynomials_reach_rounding(kind):
    """Against NumPy's arctan2 and arcsin on every scale of distance from c = 0 and c = ±1."""
    gap = np.geomspace(1e-9, 1, 400)
    c = np.concatenate([gap, 1 - gap, -gap, gap - 1])
    top = 1.0 if kind == "relu" else 1 / 3  # of ξ = 2k12/(1 + 2k) with k = 1, |ξ| ≤ 2/3
    with double_precision():
        one = jnp.ones_like(jnp.asarray(c))
        s = one if kind == "relu" else 3**0.5 * one
        φφ, dφdφ = EXPECTATIONS[kind].pair(jnp.asarray(c), s, s, 1 / s, 1 / s)
    if kind == "relu":
        sine = np.sqrt(np.where(1 - c * c > 64 * np.finfo(float).eps, 1 - c * c, 0))
        rest = np.pi - np.arctan2(sine, c)
        expected, slope = (sine + rest * c) / (2 * np.pi), rest / (2 * np.pi)
    else:
        ξ = 2 * c * top
        expected, slope = 2 / np.pi * np.arcsin(ξ), 4 / np.pi / 3 / np.sqrt(1 - ξ**2)
    np.testing.assert_allclose(φφ, expected, rtol=1e-13, atol=2e-15)
    np.testing.assert_allclose(dφdφ, slope, rtol=1e-13, atol=2e-15)


def test_the_name_stays_that_of_the_architecture():
    assert infinite_kernel(ResNet(), "nngp").name == "ResNet-nngp"


@pytest.mark.parametrize("head", ["flatten", "pool"])
def test_tiles_shrink_with_the_pixels(head):
    kernel = infinite_kernel(ConvNet(head=head))
    sides = [kernel.tile_side((side, side, 3)) for side in (4, 8, 32)]
    assert sides == sorted(sides, reverse=True) and 1 <= sides[-1] <= sides[0] <= 1024


def test_one_compilation_serves_all_tiles(rng):
    x = rng.normal(size=(11, 4, 4, 1))
    tiled = gram(infinite_kernel(ConvNet(depth=1)), x, tile=4)
    np.testing.assert_allclose(tiled, gram(infinite_kernel(ConvNet(depth=1)), x), rtol=1e-14)


SHARDED = """
import os
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=3"
import jax, numpy as np
from dynamics.kernels import gram, infinite_kernel
from dynamics.networks import ConvNet
x = np.random.default_rng(0).normal(size=(7, 5, 5, 1))
kernel = infinite_kernel(ConvNet(depth=1, head="pool"))
assert len(jax.devices()) == 3
np.testing.assert_allclose(gram(kernel, x), gram(kernel, x, devices=jax.devices()[:1]), rtol=1e-14)
"""


def test_rows_over_several_devices_give_the_same_kernel():
    result = subprocess.run([sys.executable, "-c", SHARDED], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
