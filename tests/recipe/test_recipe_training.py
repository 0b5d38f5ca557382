"""Training of recipes at an automatic learning rate."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from dynamics.errors import ConfigError
from dynamics.objectives.registry import OBJECTIVES, get_objective
from dynamics.recipe.config import Recipe, recipe_preset
from dynamics.recipe.preparation import at_rates_of, prepare
from dynamics.recipe.training import TIMES_BACK, train
from dynamics.training import stability
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.optimisers import effective_times
from dynamics.trajectories.outcome import Outcome
from dynamics.trajectories.verdict import verdict_of

TINY = Recipe(
    network="resnet10",
    width=1 / 16,
    projector=(8,),
    dim=2,
    batch=8,
    num_images=16,
    probe_images=8,
    steps=6,
    warmup=2,
    records=6,
)

SCALED = {
    "dataset": "digits",
    "augmentation": None,
    "network": "resnet10",
    "width": 1 / 16,
    "dim": 16,
    "batch": 64,
    "num_images": 512,
    "probe_images": 32,
    "precision": "float32",
    "warmup": 10,
    "records": 40,
}
"""The preset `gpu` at a size for a CPU; its projector keeps its width, which is what makes the kernel grow."""


@pytest.fixture(scope="module")
def tiny():
    """A prepared recipe, its training, and how many programs both compiled."""
    compiled = []

    def count(event, _seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(count)
    prepared = prepare(TINY)
    measured = train(prepared)
    return prepared, measured, len(compiled)


def test_a_run_compiles_few_programs(tiny):
    """Start, probe and schedule; update, measurement, embeddings and their pooling. A card has one more, a copy."""
    assert 4 <= tiny[2] <= 7


def test_its_rate_is_recorded_and_adds_up_to_effective_time(tiny):
    prepared, measured, _ = tiny
    assert measured.outcome == Outcome() and measured.times[0] == 0
    rates = measured.metrics["learning_rate"]
    assert (rates > 0).all() and rates[1] == pytest.approx(2 * rates[0], rel=0.5)  # the warm-up
    every = np.diff(measured.times) / np.diff(measured.steps)
    assert (every > 0).all() and every.min() >= 0.99 * rates.min() and every.max() <= 1.01 * rates.max()
    replayed = at_rates_of(prepared, measured)
    np.testing.assert_allclose(effective_times(replayed.schedule, measured.steps), measured.times, rtol=1e-5)


def test_a_run_that_diverges_goes_back_and_gives_up(tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(stability, "FRACTION", 1e30)
    checkpoints, prepared = Checkpoints(tmp_path), tiny[0]
    # the same measurement as another function, which is traced anew and sees this fraction
    measured = train(replace(prepared, measure=lambda state, images: prepared.measure(state, images)), checkpoints)
    assert measured.outcome.kind == "diverged"
    assert checkpoints.steps() == [0]
    back = [message for message in caplog.messages if "goes back to step 0, at half the learning rate" in message]
    assert len(back) == TIMES_BACK
    assert "was halved 3 times, and the training diverged again; it ends here" in caplog.messages[-1]


def test_an_optimiser_without_such_a_limit_asks_for_a_number():
    with pytest.raises(ConfigError, match="give a number as `learning_rate` with the optimiser lars"):
        prepare(replace(TINY, optimiser="lars"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("objective", ["barlow-twins", "vicreg", "simclr"])
def test_presets_finish_without_a_rate_set_by_hand(objective, seed):
    recipe = replace(recipe_preset("gpu", objective), **SCALED, steps=600, seed=seed)
    measured = train(prepare(recipe))
    assert measured.outcome == Outcome()
    assert verdict_of(measured).learned >= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_every_objective_finishes_without_a_rate_set_by_hand(objective, seed):
    recipe = replace(recipe_preset("gpu", objective), **SCALED, steps=200, seed=seed)
    few = {"slices": 256} if recipe.slices is None and "slices" in get_objective(objective).settings else {}
    measured = train(prepare(replace(recipe, **few)))
    assert measured.outcome == Outcome() and np.isfinite(measured.loss).all()


@pytest.mark.slow
def test_the_rate_that_the_preset_had_diverges_at_this_size():
    recipe = replace(recipe_preset("gpu", "barlow-twins"), **SCALED, steps=100, learning_rate=0.01)
    assert train(prepare(recipe)).outcome.kind == "diverged"
