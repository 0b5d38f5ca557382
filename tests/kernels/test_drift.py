import jax
import numpy as np
import pytest
from flax import linen as nn

from dynamics.errors import ConfigError, KernelError
from dynamics.kernels import empirical_ntk, gram, kernel_drift, kernel_probe
from dynamics.networks import MLP
from dynamics.support.precision import double_precision


@pytest.fixture
def K(rng):
    A = rng.normal(size=(6, 6))
    return A @ A.T


def test_a_scaled_kernel_has_not_drifted(K):
    drift = kernel_drift(K, 2.5 * K)
    assert drift == pytest.approx((0, 1, 2.5), abs=1e-14)


def test_distance_is_what_the_best_scale_leaves(K, rng):
    other = K + 0.3 * rng.normal(size=K.shape)
    scale = np.linalg.lstsq(K.reshape(-1, 1), other.ravel(), rcond=None)[0][0]
    drift = kernel_drift(K, other)
    assert drift.scale == pytest.approx(scale, rel=1e-12)
    assert drift.distance == pytest.approx(np.linalg.norm(other - scale * K) / np.linalg.norm(other), rel=1e-12)
    assert drift.distance**2 + drift.alignment**2 == pytest.approx(1, rel=1e-12)
    assert kernel_drift(1e100 * K, 1e-100 * other)[:2] == pytest.approx(drift[:2], rel=1e-12)


def test_small_drifts_are_resolved(K):
    across = np.zeros_like(K)
    across[0, 1], across[1, 0] = K[2, 2], -K[2, 2]  # orthogonal to every symmetric matrix
    assert kernel_drift(K, K + 1e-12 * across).distance == pytest.approx(
        1e-12 * np.linalg.norm(across) / np.linalg.norm(K), rel=1e-3
    )


def test_nothing_of_the_kernel_is_left():
    assert kernel_drift(np.diag([1.0, 0.0]), np.diag([0.0, 2.0])) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (np.eye(2), np.eye(3), "same views"),
        (np.zeros((2, 2)), np.eye(2), "zero"),
        (np.eye(2), np.eye(2) * np.nan, "finite"),
    ],
)
def test_what_cannot_be_compared(first, second, words):
    with pytest.raises(KernelError, match=words):
        kernel_drift(first, second)


def test_a_lazier_network_drifts_less(rng):
    x = rng.normal(size=(12, 5)).astype(np.float32)
    module = MLP(width=32, depth=1, activation="erf").module(dim=1)  # smooth: no unit of a ReLU network flips
    params = module.init(jax.random.key(0), x[:1])

    def drift(multiplier):
        """Of a regression on noise, by a fixed number of steps of c f at the same effective learning rate."""

        def loss(p):
            return ((multiplier * (module.apply(p, x) - module.apply(params, x)) - x[:, :1]) ** 2).mean()

        step = jax.jit(lambda p: jax.tree.map(lambda a, g: a - 0.3 / multiplier**2 * g, p, jax.grad(loss)(p)))
        trained = params
        for _ in range(50):
            trained = step(trained)
        assert loss(trained) < loss(params)
        return kernel_drift(*(gram(empirical_ntk(module.apply, p), x) for p in (params, trained)))

    usual, lazy = drift(1.0), drift(30.0)
    # the drift goes as 1/multiplier (Chizat et al. 2019), so a thirtieth is expected, and a tenth leaves room
    assert lazy.distance < 0.1 * usual.distance and lazy.alignment > usual.alignment


class WithRunningAverages(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(use_running_average=True)(nn.Dense(7)(x))
        return nn.Dense(2)(nn.relu(x))


def test_a_probe_of_flax_variables(rng):
    """Running averages change the function and are no parameters; a second look compiles nothing."""
    x, module, traced = rng.normal(size=(5, 3)), WithRunningAverages(), []

    def apply(variables, x):
        traced.append(x.shape)
        return module.apply(variables, x)

    start = module.init(jax.random.key(0), x)
    later = jax.tree.map(lambda a: a + 0.3 * rng.uniform(size=a.shape), start)
    probe = kernel_probe(apply, x, collection="params", dtype="float64")
    kernels = []
    for variables in (start, later):
        kernels.append(probe(variables))
        if variables is start:
            count = len(traced)
        with double_precision():
            variables = jax.tree.map(lambda a: np.asarray(a, np.float64), variables)
            function = lambda p, v=variables: module.apply({**v, "params": p}, x)  # noqa: E731
            jacobian = jax.tree.leaves(jax.jacrev(function)(variables["params"]))
            J = np.concatenate([np.asarray(a).reshape(5, 2, -1) for a in jacobian], axis=-1)
        np.testing.assert_allclose(kernels[-1], np.einsum("akp,bkp->ab", J, J) / 2, rtol=1e-10)
    assert len(traced) == count
    assert kernel_drift(*kernels).distance > 0
    with pytest.raises(ConfigError, match="no collection 'weights'"):
        kernel_probe(apply, x, collection="weights")(start)
