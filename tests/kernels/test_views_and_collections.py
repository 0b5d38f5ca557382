"""What reaches a network whose kernel is evaluated: integers as integers, and which of its variables are weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError, DataError
from dynamics.kernels import (
    KernelProduct,
    TiledGram,
    conjugate_kernel,
    empirical_ntk,
    estimate_cost,
    full_empirical_ntk,
    gram,
    kernel_probe,
    rbf,
)
from dynamics.support.precision import double_precision

TOKENS = np.array([[0, 3, 3], [4, 1, 0], [2, 2, 2], [1, 4, 3]])


def embedded(params, tokens):
    """Sums of rows of an embedding table, times a readout."""
    return params["table"][tokens].sum(axis=1) @ params["readout"]


@pytest.fixture
def table(rng):
    return {"table": rng.normal(size=(5, 2)), "readout": rng.normal(size=(2, 3))}


def jacobian_of(params):
    with double_precision():
        J = jax.jacrev(lambda p: embedded(p, TOKENS))(jax.tree.map(jnp.asarray, params))
    return np.concatenate([np.asarray(leaf).reshape(4, 3, -1) for leaf in jax.tree.leaves(J)], axis=2)


def test_tokens_of_an_embedding_table_stay_integers(table):
    J = jacobian_of(table)
    expected, kernel = np.einsum("akp,bkp->ab", J, J) / 3, empirical_ntk(embedded, table)
    np.testing.assert_allclose(gram(kernel, TOKENS), expected, rtol=1e-12)
    np.testing.assert_allclose(gram(kernel, TOKENS, TOKENS[:2], tile=3), expected[:, :2], rtol=1e-12)
    np.testing.assert_allclose(full_empirical_ntk(embedded, table, TOKENS), np.einsum("akp,blp->abkl", J, J), 1e-12)
    h = table["table"][TOKENS].sum(axis=1)
    features = conjugate_kernel(lambda p, x: p["table"][x].sum(axis=1), table)
    np.testing.assert_allclose(gram(features, TOKENS), h @ h.T / 2, rtol=1e-12)
    for product in (KernelProduct, TiledGram):
        np.testing.assert_allclose(product(kernel, TOKENS)(np.eye(4)), expected, rtol=1e-12)


def test_the_cost_of_a_kernel_of_tokens_can_be_estimated(table):
    assert estimate_cost(empirical_ntk(embedded, table), TOKENS) > 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_large_tokens_do_not_merge(dtype):
    tokens = 2**24 + np.arange(4).reshape(4, 1)  # float32 has every second of these numbers

    def apply(w, x):
        return w * (x - 2**24).astype(w.dtype)

    expected = np.outer(np.arange(4), np.arange(4))
    kernel = empirical_ntk(apply, np.ones(1), dtype=dtype)
    np.testing.assert_array_equal(gram(kernel, tokens, dtype=dtype), expected)
    np.testing.assert_array_equal(full_empirical_ntk(apply, np.ones(1), tokens, dtype=dtype)[..., 0, 0], expected)


def test_tokens_that_a_precision_has_no_room_for_are_refused():
    kernel = empirical_ntk(lambda w, x: w * (x % 7), np.ones(1), dtype="float32")
    with pytest.raises(DataError, match="need dtype='float64'"):
        gram(kernel, np.array([[2**40], [1]]), dtype="float32")


@pytest.mark.filterwarnings("error:.*evaluated again")
def test_precisions_of_tokens_do_not_share_files(table, tmp_path):
    kernel = empirical_ntk(embedded, table, key="table")
    double, single = (gram(kernel, TOKENS, dtype=dtype, cache=tmp_path) for dtype in ("float64", "float32"))
    assert (double.dtype, single.dtype) == (np.float64, np.float32)


def test_other_kernels_get_integers_as_numbers():
    images = np.arange(24, dtype=np.uint8).reshape(4, 6)  # products of uint8 would overflow
    np.testing.assert_allclose(gram(lambda a, b: a @ b.T, images), images.astype(float) @ images.T.astype(float))


@pytest.mark.parametrize("kernel", [rbf(1.0), lambda a, b: a @ b.T])
def test_views_that_are_no_numbers_are_refused(kernel):
    with pytest.raises(DataError, match="masked entries"):
        gram(kernel, np.ma.masked_equal([[1.0, -9999.0], [2.0, 3.0]], -9999.0))
    with pytest.raises(DataError, match="real numbers"):
        gram(kernel, np.array([[1j], [2j]]))


# ---------------------------------------------------------------- which variables are weights


def normalised(variables, x):
    """A layer with running averages, as batch normalisation in evaluation mode, and a counter."""
    running = variables["batch_stats"]
    h = x @ variables["params"]["W"] - running["mean"]
    return h / jnp.sqrt(running["variance"]) + 0 * running["count"]


@pytest.fixture
def variables(rng):
    averages = {"mean": rng.normal(size=2), "variance": rng.uniform(1, 2, size=2), "count": np.array(3)}
    return {"params": {"W": rng.normal(size=(3, 2))}, "batch_stats": averages}


def test_running_averages_are_no_weights(rng, variables):
    x = rng.normal(size=(4, 3))
    per_output = np.einsum("ab,k->abk", x @ x.T, 1 / variables["batch_stats"]["variance"])
    for collection in (None, "params"):
        kernel = empirical_ntk(normalised, variables, collection=collection)
        np.testing.assert_allclose(gram(kernel, x), per_output.mean(axis=2), rtol=1e-12)
        full = full_empirical_ntk(normalised, variables, x, collection=collection)
        np.testing.assert_allclose(full, np.einsum("abk,kl->abkl", per_output, np.eye(2)), rtol=1e-12)
    probe = kernel_probe(normalised, x)
    np.testing.assert_allclose(probe(variables), per_output.mean(axis=2), rtol=1e-5)


def test_another_collection_can_be_asked_for(rng, variables):
    x = rng.normal(size=(4, 3))
    del variables["batch_stats"]["count"], variables["batch_stats"]["variance"]

    def shifted(variables, x):
        return x @ variables["params"]["W"] - variables["batch_stats"]["mean"]

    np.testing.assert_allclose(gram(empirical_ntk(shifted, variables, collection="batch_stats"), x), 1.0)
    with pytest.raises(ConfigError, match="no collection 'weights'"):
        full_empirical_ntk(shifted, variables, x, collection="weights")


def test_every_leaf_counts_where_there_are_no_collections(rng):
    x, weights = rng.normal(size=(4, 3)), {"W": rng.normal(size=(3, 2)), "c": np.zeros(2)}
    kernel = empirical_ntk(lambda p, x: x @ p["W"] + p["c"], weights)
    np.testing.assert_allclose(gram(kernel, x), x @ x.T + 1, rtol=1e-12)
