"""Networks of three libraries give the forecast and the training of the same function written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dynamics
from dynamics.errors import ConfigError
from dynamics.experiment.own import own_network

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 5)).astype(np.float32)
PAIRS = dynamics.Pairs(X, X + 0.3 * RNG.normal(size=X.shape).astype(np.float32))
W1, W2 = RNG.normal(size=(5, 16)).astype(np.float32), RNG.normal(size=(16, 2)).astype(np.float32) / 4
ZEROS = np.zeros(16, np.float32), np.zeros(2, np.float32)


def by_hand():
    def apply(params, x):
        (w1, b1), (w2, b2) = params
        return jnp.tanh(x @ w1 + b1) @ w2 + b2

    return dynamics.small_network(apply, [(W1, ZEROS[0]), (W2, ZEROS[1])], "centred", scale=1e-4)


def linen_module():
    from flax import linen

    class Network(linen.Module):
        @linen.compact
        def __call__(self, x):
            hidden = jnp.tanh(linen.Dense(16)(x))
            return linen.Dense(2)(hidden)

    layers = {"Dense_0": {"kernel": W1, "bias": ZEROS[0]}, "Dense_1": {"kernel": W2, "bias": ZEROS[1]}}
    return Network().bind({"params": layers})


def nnx_module():
    nnx = pytest.importorskip("flax.nnx", exc_type=Exception, reason="flax.nnx does not import with this JAX")

    class Network(nnx.Module):
        def __init__(self):
            self.first, self.second = nnx.Linear(5, 16, rngs=nnx.Rngs(0)), nnx.Linear(16, 2, rngs=nnx.Rngs(1))
            for layer, kernel in ((self.first, W1), (self.second, W2)):
                layer.kernel = nnx.Param(jnp.asarray(kernel))

        def __call__(self, x):
            return self.second(jnp.tanh(self.first(x)))

    return Network()


def equinox_module():
    equinox = pytest.importorskip("equinox")

    class Network(equinox.Module):
        first: jax.Array
        second: jax.Array
        biases: tuple

        def __call__(self, x):
            return jnp.tanh(x @ self.first + self.biases[0]) @ self.second + self.biases[1]

    return Network(jnp.asarray(W1), jnp.asarray(W2), tuple(map(jnp.asarray, ZEROS)))


@pytest.mark.parametrize("make", [linen_module, nnx_module, equinox_module])
def test_a_module_is_the_function_that_it_computes(make):
    module, reference = make(), by_hand()
    np.testing.assert_allclose(
        own_network(PAIRS, module)(PAIRS.stacked), reference(PAIRS.stacked), rtol=1e-4, atol=1e-8
    )
    ahead, expected = dynamics.forecast(PAIRS, module), dynamics.forecast(PAIRS, reference)
    np.testing.assert_allclose(ahead.eigenvalues, expected.eigenvalues, rtol=1e-4)
    np.testing.assert_allclose(ahead.step_times, expected.step_times, rtol=1e-3)


def test_compare_network_forecasts_what_it_trains():
    trajectories, comparison = dynamics.compare_network(PAIRS, linen_module(), init_scale=1e-3, multiplier=20.0)
    assert set(trajectories) == {"ode", "matrix_ode", "network"}
    # a lazy network follows its tangent kernel; what is left is the finite learning rate, a twentieth of the limit
    assert comparison.median_error("matrix_ode") < 0.05


def test_mistakes_are_named():
    from flax import linen

    class Normalised(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.BatchNorm(use_running_average=True)(x)

    for call, words in (
        (lambda: dynamics.forecast(PAIRS, Normalised()), "batch_stats"),
        (lambda: dynamics.forecast(PAIRS, linen_module(), dim=3), "2 outputs"),
        (lambda: dynamics.forecast(PAIRS, linen_module(), init="readout"), "small_network"),
        (lambda: dynamics.compare_network(PAIRS, "resnet"), "no module of Flax or Equinox"),
    ):
        with pytest.raises(ConfigError, match=words):
            call()
