"""Optimisers against their published update rules, written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics.errors import ConfigError
from dynamics.training.optimisers import effective_times, learning_rates, optimiser

PARAMS = {"kernel": np.array([[1.0, -2.0], [0.5, 3.0]]), "bias": np.array([0.3, -0.7])}
GRADIENTS = [
    {"kernel": np.array([[0.2, 0.1], [-0.3, 0.4]]), "bias": np.array([1.0, -1.0])},
    {"kernel": np.array([[-0.1, 0.5], [0.2, 0.1]]), "bias": np.array([0.2, 0.4])},
]


def after(transformation):
    params = jax.tree.map(jnp.asarray, PARAMS)
    state = transformation.init(params)
    for gradient in GRADIENTS:
        updates, state = transformation.update(jax.tree.map(jnp.asarray, gradient), state, params)
        params = optax.apply_updates(params, updates)
    return params


def rates(k, steps=10, warmup=0, peak=0.1):
    if k < warmup:
        return peak * (k + 1) / warmup
    return peak * 0.5 * (1 + np.cos(np.pi * (k - warmup) / (steps - warmup)))


def test_sgd_with_momentum_and_weight_decay():
    w, v = {n: p.copy() for n, p in PARAMS.items()}, {n: 0 * p for n, p in PARAMS.items()}
    for k, gradient in enumerate(GRADIENTS):
        for name in w:
            decay = 0.01 * w[name] if name == "kernel" else 0.0
            v[name] = 0.9 * v[name] + gradient[name] + decay
            w[name] = w[name] - rates(k) * v[name]
    found = after(optimiser("sgd", 0.1, steps=10, weight_decay=0.01))
    for name in w:
        np.testing.assert_allclose(found[name], w[name], rtol=1e-5)


def test_lars_scales_weights_by_their_norm_and_leaves_biases_alone():
    w, v = {n: p.copy() for n, p in PARAMS.items()}, {n: 0 * p for n, p in PARAMS.items()}
    for k, gradient in enumerate(GRADIENTS):
        for name in w:
            g = gradient[name]
            if name == "kernel":
                g = g + 0.01 * w[name]
                g = 0.001 * np.linalg.norm(w[name]) / np.linalg.norm(g) * g
            v[name] = 0.9 * v[name] - rates(k) * g  # optax has the rate inside the momentum
            w[name] = w[name] + v[name]
    found = after(optimiser("lars", 0.1, steps=10, weight_decay=0.01))
    for name in w:
        np.testing.assert_allclose(found[name], w[name], rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "adam"])
def test_adam(name):
    decay = 0.01 if name == "adamw" else 0.0
    w = {n: p.copy() for n, p in PARAMS.items()}
    m, s = ({n: 0 * p for n, p in PARAMS.items()} for _ in range(2))
    for k, gradient in enumerate(GRADIENTS):
        for n, g in gradient.items():
            m[n], s[n] = 0.9 * m[n] + 0.1 * g, 0.999 * s[n] + 0.001 * g**2
            step = m[n] / (1 - 0.9 ** (k + 1)) / (np.sqrt(s[n] / (1 - 0.999 ** (k + 1))) + 1e-8)
            w[n] = w[n] - rates(k) * (step + (decay * w[n] if n == "kernel" else 0.0))
    found = after(optimiser(name, 0.1, steps=10, weight_decay=decay))
    for n in w:  # 1 − 0.999² keeps 4 digits less than float32 has
        np.testing.assert_allclose(found[n], w[n], rtol=1e-4)


def test_clipping_bounds_the_global_norm():
    found = after(optimiser("sgd", 1.0, steps=10, decay="constant", momentum=0.0, clip=0.1))
    w = {n: p.copy() for n, p in PARAMS.items()}
    for gradient in GRADIENTS:
        norm = np.sqrt(sum(np.square(g).sum() for g in gradient.values()))
        w = {n: w[n] - g * 0.1 / norm for n, g in gradient.items()}
    for name in w:
        np.testing.assert_allclose(found[name], w[name], rtol=1e-5)


def test_warm_up_and_cosine_and_the_time_they_make():
    schedule = learning_rates(0.1, steps=10, warmup=4)
    expected = [rates(k, warmup=4) for k in range(10)]
    np.testing.assert_allclose([schedule(k) for k in range(10)], expected, atol=1e-7)
    times = effective_times(schedule, np.array([0, 1, 4, 10]))
    np.testing.assert_allclose(times, [0, 0.025, sum(expected[:4]), sum(expected)], atol=1e-6)
    constant = learning_rates(0.1, steps=10, decay="constant")
    np.testing.assert_allclose(effective_times(constant, np.array([0, 3, 10])), [0, 0.3, 1.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "shampoo"}, "sgd, lars, adamw or adam"),
        ({"learning_rate": -1.0}, "learning rate"),
        ({"warmup": 10}, "warm-up"),
        ({"decay": "steps"}, "cosine or constant"),
        ({"momentum": 1.0}, "momentum"),
        ({"clip": 0.0}, "clip"),
        ({"name": "adam", "weight_decay": 0.1}, "adamw"),
    ],
)
def test_mistakes_are_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        optimiser(**{"name": "sgd", "learning_rate": 0.1, "steps": 10} | settings)
