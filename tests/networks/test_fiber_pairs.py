"""Pairs in feature space give the losses, gradients and spectra of augmentation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.networks.equivariant import EquivariantNetwork
from dynamics.networks.fiber_pairs import FiberPairs
from dynamics.networks.groups import GROUPS, PlaneGroup
from dynamics.objectives import barlow_twins, barlow_twins_normalised, nt_xent, spectral_contrastive, vicreg
from dynamics.support.precision import double_precision
from dynamics.views import load_images

OBJECTIVES = (barlow_twins, barlow_twins_normalised, spectral_contrastive, nt_xent, vicreg)


def relative(a, b):
    gap = jnp.sqrt(sum(jnp.square(x - y).sum() for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)))
    return float(gap / jnp.sqrt(sum(jnp.square(y).sum() for y in jax.tree.leaves(b))))


@pytest.mark.parametrize("name", ["translation", "p4m"])
def test_loss_and_gradient_are_those_of_augmentation(name, rng):
    """Every loss, float64, Haar pairs: below 1e-12 relative; with the sign of the fiber index wrong, far above."""
    with double_precision():
        group = PlaneGroup(name, 4, 4)
        pairs = FiberPairs.haar(group)
        module = EquivariantNetwork(group, width=4, dim=3, activation="erf")
        images = jnp.asarray(rng.normal(size=(12, 4, 4, 1)))
        params = jax.tree.map(jnp.float64, jax.jit(module.init)(jax.random.key(0), images[:1]))
        drawn = np.asarray(pairs.draw(jax.random.key(1), 12))
        embeds = {
            flag: lambda params, drawn, flag=flag: pairs.embeddings(module, params, images, drawn, homomorphic=flag)
            for flag in (False, True)
        }
        forward = jax.jit(lambda embed, drawn: embed(params, drawn), static_argnums=0)

        @partial(jax.jit, static_argnums=0)
        def pull(embed, cotangent, drawn):
            return jax.vjp(lambda params: embed(params, drawn), params)[1](cotangent)[0]

        def loss_and_gradient(objective, homomorphic, drawn):
            embed = embeds[homomorphic]
            value, cotangent = jax.value_and_grad(objective)(forward(embed, drawn))
            return float(value), pull(embed, cotangent, drawn)

        for objective in OBJECTIVES:
            (augmented, gradient_a), (homomorphic, gradient_h) = (
                loss_and_gradient(objective, flag, drawn) for flag in (False, True)
            )
            assert abs(augmented / homomorphic - 1) < 1e-12
            assert relative(gradient_a, gradient_h) < 1e-12
            wrong = loss_and_gradient(objective, True, group.inverse(drawn))
            assert relative(wrong[1], gradient_h) > 1e-3


def test_the_wrong_sign_is_invisible_at_a_half_turn():
    """np.rot90 by g shows at fiber 0 what fiber (−g) mod 4 shows of the image; at g = 2 that is also g."""
    group = PlaneGroup("c4", 8, 8)
    module = EquivariantNetwork(group, width=4, dim=3)
    images = load_images("digits", limit=6).images
    params = module.init(jax.random.key(0), images[:1])
    fibers = np.asarray(module.apply(params, images, method="fibers"))
    for g in range(4):
        seen = np.asarray(module.apply(params, np.rot90(images, g, axes=(1, 2))))
        np.testing.assert_allclose(seen, fibers[:, -g % 4], atol=1e-6)
        assert (np.abs(seen - fibers[:, g]).max() < 1e-6) == (g in (0, 2))


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("law", ["haar", "at_distance", "within"])
def test_selected_fibers_are_augmented_images(name, law, rng):
    """With the group's own regular representation as the network: fiber g of x is pixel (0, 0) of T_g⁻¹ x."""
    group = PlaneGroup(name, 4, 4)
    pairs = FiberPairs.haar(group) if law == "haar" else getattr(FiberPairs, law)(group, 1)
    images = rng.normal(size=(5, 4, 4, 1))
    fibers = np.stack([group.act(group.inverse(g), images)[:, 0, 0] for g in range(group.order)], axis=1)
    for drawn in (np.asarray(pairs.draw(jax.random.key(0), 5)), pairs.every(5)):
        np.testing.assert_array_equal(pairs.select(fibers, drawn), pairs.augment(images, drawn)[:, 0, 0])


@pytest.mark.parametrize("name", ["d4", "p4", "translation"])
def test_draws_follow_the_law(name):
    """First fibers are uniform, partners are at the asked distance, and `every` counts each pair once."""
    group = PlaneGroup(name, 4, 4)
    pairs = FiberPairs.at_distance(group, 1)
    first, second = np.asarray(pairs.draw(jax.random.key(0), 40 * group.order))
    assert (group.lengths[group.compose(group.inverse(first), second)] == 1).all()
    counts = np.bincount(first, minlength=group.order)
    assert abs(counts - 40).max() < 6 * 40**0.5
    drawn = pairs.every(3)
    assert drawn.shape == (2, 3 * group.order * len(pairs.steps))
    assert len(np.unique(drawn[:, : group.order * len(pairs.steps)], axis=1).T) == group.order * len(pairs.steps)
    P = np.zeros((group.order, group.order))
    np.add.at(P, tuple(drawn), 1 / (3 * len(pairs.steps)))
    np.testing.assert_allclose(P, pairs.transition(), atol=1e-14)
    np.testing.assert_allclose(P, P.T)


def test_spectra_are_dirichlet_kernels():
    n = 8
    group = PlaneGroup("cyclic", 3, n)
    m = np.arange(n)
    assert FiberPairs.haar(group).spectrum() == pytest.approx([1] + [0] * (n - 1), abs=1e-12)
    for d in range(n // 2 + 1):
        expected = np.sort(np.cos(2 * np.pi * m * d / n))[::-1]
        np.testing.assert_allclose(FiberPairs.at_distance(group, d).spectrum(), expected, atol=1e-12)
    for D in range((n - 1) // 2 + 1):
        k = m[1:]
        dirichlet = np.sin(np.pi * k * (2 * D + 1) / n) / ((2 * D + 1) * np.sin(np.pi * k / n))
        expected = np.sort(np.append(dirichlet, 1.0))[::-1]
        np.testing.assert_allclose(FiberPairs.within(group, D).spectrum(), expected, atol=1e-12)
    torus = FiberPairs.within(PlaneGroup("translation", n, n), 1).spectrum()
    one = np.append((np.sin(np.pi * 3 * m[1:] / n)) / (3 * np.sin(np.pi * m[1:] / n)), 1.0)
    np.testing.assert_allclose(torus, np.sort(np.outer(one, one).ravel())[::-1], atol=1e-12)


def test_a_fixed_distance_aliases():
    """On a cycle of four, distance 2 keeps frequency 2 whole: μ = 1, −1, 1, −1."""
    np.testing.assert_allclose(FiberPairs.at_distance(PlaneGroup("c4", 8, 8), 2).spectrum(), [1, 1, -1, -1])


def test_bad_input_is_one_sentence():
    group = PlaneGroup("c4", 8, 8)
    for make in (FiberPairs.at_distance, FiberPairs.within):
        for distance in (3, -1):
            with pytest.raises(ConfigError, match=rf"distances 0 … 2; {distance} is beyond"):
                make(group, distance)
    with pytest.raises(ConfigError, match="elements 0 … 3"):
        FiberPairs(group, ())
    with pytest.raises(ConfigError, match="elements 0 … 3"):
        FiberPairs(group, (4,))
    with pytest.raises(ConfigError, match="without its inverse"):
        FiberPairs(group, (1,))
