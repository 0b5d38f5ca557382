"""Recipes: presets that can be built at full size, and settings that survive a file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.recipe.config import PRESETS, Objective, Recipe, recipe_preset
from dynamics.recipe.prepare import recipe_encoder
from dynamics.trajectories.comparison import distinct_steps, half_times
from dynamics.trajectories.trajectory import Trajectory


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_network_for_every_objective(preset):
    side = {"cpu": 8, "gpu": 32, "stl10": 96}[preset]
    for objective in get_args(Objective):
        recipe = recipe_preset(preset, objective)
        assert recipe.preset == preset and recipe.objective == objective
        encoder, x = recipe_encoder(recipe), jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
        (z, p), _ = jax.eval_shape(
            lambda key, x, encoder=encoder: encoder.init_with_output(key, x, method="embed_and_predict"),
            jax.random.key(0),
            x,
        )
        assert z.shape == (2, recipe.dim) and z.dtype == jnp.float32
        assert (p is not None) == (objective in ("byol", "simsiam"))


def test_published_sizes_are_what_leaving_them_out_gives():
    recipe = replace(recipe_preset("stl10", "barlow-twins"), dim=None, projector=None)
    head = recipe_encoder(recipe).projector_head
    assert (head.hidden, head.dim) == ((8192, 8192), 8192)
    head = recipe_encoder(replace(recipe, objective="simclr")).projector_head
    assert (head.hidden, head.dim, head.norm) == ((0,), 128, "none")


def test_a_recipe_survives_json():
    recipe = Recipe(projector=(64, 32), data_dir=Path("somewhere"), clip=1.0, dim=None)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"width": -1.0}, "width"),
        ({"projector": (-4,)}, "projector"),
        ({"target_decay": 1.0}, "target_decay"),
    ],
)
def test_mistakes_are_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        Recipe(**settings)


def logistic(*centres, rate=2.0, end=(1.0, 1.0, 1.0)):
    t = np.linspace(0, 60, 601)
    u = np.stack([e / (1 + np.exp(-rate * (t - c))) for c, e in zip(centres, end, strict=True)], axis=1)
    return Trajectory(t, u, np.zeros_like(t))


def test_half_times_and_distinct_steps_of_logistic_curves():
    apart = logistic(10, 25, 40, end=(2.0, 1.0, 0.5))
    np.testing.assert_allclose(half_times(apart), [10, 25, 40], atol=0.11)
    np.testing.assert_allclose(distinct_steps(apart), [10, 25, 40], atol=0.11)
    # at the second's half the third is at 1/(1 + e^{2·0.5}) = 27 % of its end
    np.testing.assert_allclose(distinct_steps(logistic(10, 25, 25.5)), [10, 25.5], atol=0.11)
    never = logistic(10, 25, 40, end=(1.0, 1.0, 0.01))
    assert np.isnan(half_times(never)[2]) and len(distinct_steps(never)) == 2
