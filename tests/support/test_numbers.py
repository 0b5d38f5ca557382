"""What comes through the door: kept, converted, or refused with a sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import DataError
from dynamics.modes import contrastive_modes
from dynamics.objectives import (
    barlow_twins,
    barlow_twins_normalised,
    byol,
    dino,
    infonce,
    latent_prediction,
    lejepa,
    mmcr,
    nt_xent,
    nt_xent_dot,
    sigreg,
    simclr_squared,
    simsiam,
    spectral_contrastive,
    vicreg,
    vicreg_released,
    vicreg_squared,
    visreg,
)
from dynamics.support.numbers import real_array
from dynamics.views import Pairs

LOSSES = [
    barlow_twins,
    barlow_twins_normalised,
    infonce,
    lejepa,
    mmcr,
    nt_xent,
    nt_xent_dot,
    sigreg,
    simclr_squared,
    spectral_contrastive,
    vicreg,
    vicreg_released,
    vicreg_squared,
    visreg,
]


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        (np.float64, np.float64),
        (np.float32, np.float32),
        (np.float16, np.float32),
        (jnp.bfloat16, np.float32),
        (jnp.float8_e4m3fn, np.float32),
        (np.longdouble, np.float64),
        (np.int64, np.int64),
        (bool, bool),
    ],
)
def test_types_that_are_kept_or_converted(given, becomes):
    values = np.array([[0.0, 1.0], [1.0, 0.0]]).astype(given)
    assert real_array(values, "x").dtype == becomes
    assert Pairs(values, values[::-1]).x.dtype == becomes


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.ma.masked_equal([[1.0, -9999.0]], -9999.0), "1 masked entries"),
        (np.array([[1j]]), "dtype complex128"),
        (np.array([["a"]]), "give real numbers"),
        (np.array([[None]]), "give real numbers"),
    ],
)
def test_types_that_are_refused(values, sentence):
    with pytest.raises(DataError, match=sentence):
        real_array(values, "x")
    with pytest.raises(DataError, match=sentence):
        Pairs(values, values)


def test_a_mask_that_hides_nothing_is_none():
    assert real_array(np.ma.array([1.0, 2.0]), "x").tolist() == [1.0, 2.0]


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_losses_of_half_precision_are_those_of_the_same_numbers(rng, loss, dtype):
    F = (30 * rng.normal(size=(24, 40))).astype(dtype)
    value = loss(jnp.asarray(F))
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, loss(jnp.asarray(F.astype(np.float32))), rtol=1e-6)
    gradient = jax.grad(loss)(jnp.asarray((F / 30).astype(dtype)))
    assert np.isfinite(np.asarray(gradient, np.float32)).all()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_losses_of_an_odd_number_of_views_are_refused(rng, loss):
    with pytest.raises(DataError, match="9 views are no pairs"):
        loss(rng.normal(size=(9, 3)).astype(np.float32))


@pytest.mark.parametrize("loss", [byol, dino, latent_prediction, simsiam])
def test_losses_with_a_predictor_have_the_same_door(rng, loss):
    F = rng.normal(size=(8, 40)).astype(np.float16)
    np.testing.assert_allclose(loss(F, F[::-1]), loss(*(F.astype(np.float32), F[::-1].astype(np.float32))), rtol=1e-6)
    with pytest.raises(DataError, match="7 views are no pairs"):
        loss(F[:7], F[:7])


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
@pytest.mark.parametrize("features", [5, 30])
def test_gram_matrices_of_half_precision_are_semidefinite_up_to_its_rounding(rng, dtype, features):
    views = rng.normal(size=(12, features))
    K = views @ views.T / features
    modes = contrastive_modes(K.astype(dtype))
    exact = contrastive_modes(K)
    eps = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(modes.eigenvalues[:3], exact.eigenvalues[:3], atol=4 * eps * np.abs(K).max())
