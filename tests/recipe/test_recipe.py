"""Recipes: presets that can be built at full size, and settings that survive a file."""

import json
from dataclasses import fields, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.objectives.registry import OBJECTIVES, Objective, Setting
from dynamics.recipe.config import PRESETS, Recipe, recipe_preset
from dynamics.recipe.losses import learning_rate as tuned_rate
from dynamics.recipe.losses import loss_settings, recipe_loss
from dynamics.recipe.preparation import prepare, recipe_encoder
from dynamics.recipe.training import train
from dynamics.trajectories.comparison import distinct_steps, half_times
from dynamics.trajectories.trajectory import Trajectory


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_network_for_every_objective(preset):
    side = {"cpu": 8, "gpu": 32, "stl10": 96}[preset]
    for objective in OBJECTIVES:
        recipe = recipe_preset(preset, objective)
        assert recipe.preset == preset and recipe.objective == objective
        encoder, x = recipe_encoder(recipe), jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
        (z, p), _ = jax.eval_shape(
            lambda key, x, encoder=encoder: encoder.init_with_output(key, x, method="embed_and_predict"),
            jax.random.key(0),
            x,
        )
        assert z.shape == (2, recipe.dim) and z.dtype == jnp.float32
        assert (p is not None) == (objective in ("byol", "simsiam", "latent-prediction"))


def test_published_sizes_are_what_leaving_them_out_gives():
    recipe = replace(recipe_preset("stl10", "barlow-twins"), dim=None, projector=None)
    head = recipe_encoder(recipe).projector_head
    assert (head.hidden, head.dim) == ((8192, 8192), 8192)
    head = recipe_encoder(replace(recipe, objective="simclr")).projector_head
    assert (head.hidden, head.dim, head.norm) == ((0,), 128, "none")


def test_a_recipe_is_plain_values_for_json():
    recipe = Recipe(projector=(64, 32), data_dir=Path("somewhere"), clip=1.0, dim=None)
    saved = json.loads(json.dumps(recipe.to_dict()))
    assert (saved["projector"], saved["data_dir"], saved["clip"], saved["dim"]) == ([64, 32], "somewhere", 1.0, None)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch": 0}, "`batch` is 0"),
        ({"width": -1.0}, "width"),
        ({"projector": (-4,)}, "projector"),
        ({"target_decay": 1.0}, "`target_decay` is 1.0; give a number from 0 below 1"),
        ({"learning_rate": float("nan")}, "`learning_rate` is nan"),
        ({"clip": float("inf")}, "`clip` is inf"),
        ({"learning_rate": 1e-300}, "`learning_rate` is 1e-300; give a number from 1e-12"),
        ({"steps": 10**30}, r"`steps` is 1000\S*… \(31 digits\); give a whole number from 1 to 1,000,000,000"),
        ({"dim": 10**20}, "`dim` is 1"),
        ({"seed": -1}, "`seed` is -1; give a whole number from 0"),
        ({"projector": (64, 10**9)}, "`projector` is 1000000000"),
        ({"objective": "moco"}, "'moco'; choose from barlow-twins, .*vicreg"),
        (
            {"objective": "vicreg", "temperature": 0.1},
            "vicreg has no setting `temperature`; it has `cov",
        ),
        ({"objective": "spectral-contrastive", "epsilon": 0.1}, "no setting `epsilon`; it has none"),
    ],
)
def test_mistakes_are_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        Recipe(**settings)


def test_a_learning_rate_in_words_is_refused():
    """Without the run-time check of types, which speaks first in the tests."""
    recipe = object.__new__(Recipe)
    for field in fields(Recipe):
        object.__setattr__(recipe, field.name, field.default)
    object.__setattr__(recipe, "learning_rate", "fast")
    with pytest.raises(ConfigError, match="`learning_rate` is 'fast'; give a number, or 'auto'"):
        recipe.__post_init__()


def test_settings_that_are_not_given_are_those_of_the_objective():
    """λ of the released Barlow Twins is 0.0051 whether a preset is asked for it or a bare recipe."""
    for recipe in (Recipe(objective="barlow-twins-practical"), recipe_preset("gpu", "barlow-twins-practical")):
        assert loss_settings(recipe) == {"off_diagonal": 0.0051, "epsilon": 1e-5}
    assert loss_settings(Recipe(objective="simclr", temperature=0.2)) == {"temperature": 0.2}
    given = loss_settings(recipe_preset("cpu", "vicreg"))
    assert given == {"variance_weight": 25.0, "covariance_weight": 12.5, "invariance_weight": 25.0, "epsilon": 1e-4}


@pytest.fixture
def spread(monkeypatch):
    """An objective of the user's own: partners together, and a penalty on lengths that are not τ."""

    def loss(embeddings, radius=1.0, graph=None):
        z, z_prime = jnp.split(embeddings, 2)
        lengths = jnp.square(embeddings).sum(axis=1)
        return jnp.square(z - z_prime).sum(axis=1).mean() + jnp.square(lengths - radius).mean()

    record = Objective(
        loss,
        "this test",
        settings={"radius": Setting(1.0, "τ is the squared length that embeddings should have.", "temperature")},
        centred=True,
        presets={"cpu": {"temperature": 4.0, "learning_rate": 0.05}},
    )
    monkeypatch.setitem(OBJECTIVES, "spread", record)
    return loss


def test_a_registered_objective_is_one_of_recipes(spread, rng):
    recipe = recipe_preset("cpu", "spread")
    assert recipe.objective == "spread" and recipe.learning_rate == 0.05 and recipe.temperature == 4.0
    assert recipe_preset("gpu", "spread").temperature is None
    F = rng.normal(size=(8, 3)).astype("float32")
    np.testing.assert_allclose(recipe_loss(recipe)(F), spread(F - F.mean(axis=0), radius=4.0), rtol=1e-6)
    head = recipe_encoder(replace(recipe, dim=None, projector=None)).projector_head
    assert (head.hidden, head.dim) == ((8192, 8192), 8192)


def test_a_registered_objective_is_trained_under_by_its_name(spread):
    """One step of each kind of recipe machinery that looks an objective up."""
    recipe = replace(recipe_preset("cpu", "spread"), network="resnet10", width=1 / 16, projector=(8,), dim=2)
    recipe = replace(recipe, batch=4, num_images=8, probe_images=4, steps=1, records=2, warmup=0)
    prepared = prepare(recipe)
    assert prepared.title().startswith("spread on digits")
    assert np.isfinite(train(prepared).loss).all()


def test_weights_that_were_tuned_at_another_batch():
    recipe = replace(recipe_preset("cpu", "lejepa"), batch=512, tuned_batch=128, sketch_weight=0.2)
    weight = loss_settings(recipe)["weight"]
    assert weight / (1 - weight) == pytest.approx(0.25 / 4)  # λ n to 1 − λ stays
    assert tuned_rate(recipe, 1.0) == pytest.approx(0.8 / (1 - weight))
    assert tuned_rate(recipe, 1.0) == pytest.approx(0.2 / 4 / weight)
    with pytest.raises(ConfigError, match="Objective simclr has no equivalent weights"):
        replace(recipe_preset("cpu", "simclr"), tuned_batch=64)


def test_a_preset_that_sets_what_is_no_field_is_named(monkeypatch):
    record = Objective("dynamics.objectives.spectral:spectral_contrastive", "", presets={"cpu": {"rate": 0.1}})
    monkeypatch.setitem(OBJECTIVES, "mistaken", record)
    with pytest.raises(ConfigError, match="Preset cpu of objective mistaken sets rate, which is no field"):
        recipe_preset("cpu", "mistaken")


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
