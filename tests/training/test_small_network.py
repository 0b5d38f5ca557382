import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.networks import MLP
from dynamics.training import small_network


@pytest.fixture
def standard(rng):
    x = jnp.asarray(rng.normal(size=(5, 4)), jnp.float32)
    module = MLP(width=16, depth=2).module(3)
    return module.apply, module.init(jax.random.key(0), x), x


@pytest.mark.parametrize("multiplier", [1.0, 20.0])
@pytest.mark.parametrize("start", ["readout", "centred"])
def test_the_initial_function_is_alpha_times_the_standard_one_whatever_the_multiplier(standard, start, multiplier):
    apply, params, x = standard
    network = small_network(apply, params, start, scale=1e-2, multiplier=multiplier)
    # centring cancels c·g in float32, which leaves rounding of the size 1e-7·c
    np.testing.assert_allclose(network(x), 1e-2 * apply(params, x), rtol=1e-5, atol=2e-6 * multiplier)


def test_all_weights_small_is_homogeneous_of_the_depth(standard):
    apply, params, x = standard
    network = small_network(apply, params, "all", scale=0.1)
    np.testing.assert_allclose(network(x), 0.1**3 * apply(params, x), rtol=1e-4)  # three layers of ReLU weights


@pytest.mark.parametrize("start", ["readout", "centred", "all"])
def test_the_multiplier_multiplies_the_gradient(standard, start):
    apply, params, x = standard
    once, tenfold = (small_network(apply, params, start, scale=0.5, multiplier=c) for c in (1.0, 10.0))
    tangent = jax.tree.map(jnp.ones_like, params)
    slope = [jax.jvp(net.on(x), (once.params,), (tangent,))[1] for net in (once, tenfold)]
    np.testing.assert_allclose(slope[1], 10 * slope[0], rtol=1e-5)


def test_readout_leaves_the_hidden_layers_alone(standard):
    apply, params, _ = standard
    network = small_network(apply, params, "readout", scale=1e-3)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, network.params["params"]["body"], params["params"]["body"]))


def test_a_foreign_network_says_which_layer_is_last():
    params = {"first": jnp.ones((2, 2)), "last": jnp.ones((2, 1))}

    def apply(p, x):
        return x @ p["first"] @ p["last"]

    with pytest.raises(ConfigError, match="last layer"):
        small_network(apply, params)
    network = small_network(apply, params, scale=0.25, readout=lambda path: path[0].key == "last")
    assert float(network(jnp.ones((1, 2)))[0, 0]) == pytest.approx(0.25 * 4)


@pytest.mark.parametrize("settings", [{"scale": 0.0}, {"multiplier": -1.0}, {"start": "tiny"}])
def test_settings_out_of_range(standard, settings):
    apply, params, _ = standard
    with pytest.raises(ConfigError):
        small_network(apply, params, **settings)
