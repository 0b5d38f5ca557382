"""Rung 4 from its settings: images and network, training with its spectrum recorded, stopped and resumed at will.

>>> from dynamics.recipe.preparation import prepare
>>> from dynamics.recipe.config import AUTO, Recipe
>>> print(prepare(Recipe(network="resnet10")).describe())
digits: 1,797 images of (8, 8, 1)
resnet10, width 0.125, 86,680 parameters; projector 128-8
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dynamics.errors import ConfigError, DataError
from dynamics.networks.encoder import Encoder
from dynamics.networks.projector import scaled_start
from dynamics.networks.standard_resnet import StandardResNet, as_float32
from dynamics.objectives.predictor import target_decay
from dynamics.objectives.registry import get_objective
from dynamics.recipe.config import AUTO, Recipe
from dynamics.recipe.losses import learning_rate as tuned_rate
from dynamics.recipe.losses import recipe_loss
from dynamics.support.compiled import FOR_ONE_RUN
from dynamics.support.memory import require_memory
from dynamics.support.one_line import one_line
from dynamics.training.minibatch import (
    BATCH_STATS,
    TARGET,
    deinterleave,
    draw_views,
    loss_of_views,
    make_step,
    on_minibatches,
)
from dynamics.training.optimisers import learning_rates, optimiser
from dynamics.training.sharding import DeviceMesh
from dynamics.training.stability import FRACTION, measuring, steady
from dynamics.training.state import TrainState, Update, initial_state
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import Images, default_augmentation, get_augmentation, load_images

DEPTHS = {"resnet10": 10, "resnet18": 18, "resnet50": 50}


@dataclass(frozen=True, eq=False)
class PreparedRecipe:
    """A practical run ready to be trained.

    Parameters
    ----------
    recipe : Recipe
        Settings of the run.
    images : array (n, h, w, c)
        Training images, intensities in [0, 1], on all devices.
    encoder : Encoder
        Network, projector and, where the objective has one, predictor.
    state : TrainState
        Parameters, optimiser and batch statistics before the first update.
    descend : callable
        (state, x) -> (state, metrics): one step on given views.
    update : callable
        (state, images) -> (state, metrics): one step on a fresh minibatch.
    measure : callable, optional
        (state, images) -> (state, metrics): what measures the stability limit for an automatic learning rate.
    probe : array (2p, h, w, c)
        Standardised views of the probe batch in the order x_1, x'_1, x_2, x'_2, …
    draw : callable
        (key, n) -> array (2n, h, w, c), fresh standardised views of the first n training images, in the same order.
    schedule : optax.Schedule
        Learning rate of every step; of an automatic one, what the measured rate is multiplied by.
    optimiser : optax.GradientTransformation
        The rule that turns gradients into updates.
    mesh : DeviceMesh
        The devices that share the work.
    standardise : callable
        Images in [0, 1] -> images as the network sees them.
    note : str
        What differs between the augmentation and its source; empty if nothing does.
    """

    recipe: Recipe
    images: jax.Array
    encoder: Encoder
    state: TrainState
    descend: Update
    update: Update
    measure: Update | None
    probe: jax.Array
    draw: Callable[[jax.Array, int], jax.Array]
    schedule: optax.Schedule
    optimiser: optax.GradientTransformation
    mesh: DeviceMesh
    standardise: Callable[[jax.Array], jax.Array]
    note: str

    __repr__ = one_line

    def describe(self) -> str:
        """Describe the data and the network, one line each."""
        recipe, head = self.recipe, self.encoder.projector_head
        count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.state.params))
        projector = "-".join(str(width or "features") for width in (*head.hidden, head.dim))
        return (
            f"{recipe.dataset}: {len(self.images):,} images of {self.images.shape[1:]}{self.note and '; '}{self.note}\n"
            f"{recipe.network}, width {recipe.width:g}, {count:,} parameters; projector {projector}"
        )

    def title(self) -> str:
        """Title of two lines for a figure."""
        recipe = self.recipe
        start = f"small start of {recipe.init_layers}, α = {recipe.init_scale:g}"
        return (
            f"{recipe.objective} on {recipe.dataset}; {recipe.network}, width {recipe.width:g}, {recipe.norm} norm; "
            f"batch {recipe.batch}\n{start if recipe.init == 'small' else 'standard start'}; {recipe.optimiser}, "
            f"{_rate_in_words(recipe)}, {recipe.decay}"
        )

    def features(self, params: Any, model_state: Any, images: jax.Array) -> jax.Array:
        """Features (n, N) of the backbone on images in [0, 1], with its averaged batch statistics."""
        variables = {"params": params, BATCH_STATS: model_state[BATCH_STATS]}
        embedded: Any = self.encoder.apply(variables, self.standardise(images), method="features")
        return embedded

    def embed(self, params: Any, model_state: Any) -> dict[str, jax.Array]:
        """Embeddings (2p, d) of the probe batch as the loss sees them, and features (2p, N) of the backbone.

        Views in the order x_1 … x_p, x'_1 … x'_p. Batch statistics are those of the probe batch, as in training.
        """
        variables = {"params": params, BATCH_STATS: model_state[BATCH_STATS]}
        taps, _ = self.encoder.apply(variables, self.probe, train=True, method="hidden", mutable=[BATCH_STATS])
        z = deinterleave(taps["embeddings"])
        if get_objective(self.recipe.objective).scale_free:
            z = z / jnp.linalg.norm(z, axis=1, keepdims=True)
        return {"embeddings": z, "features": deinterleave(as_float32(taps["features"]))}


def prepare(recipe: Recipe, devices: list[jax.Device] | None = None) -> PreparedRecipe:
    """Load the images and build the network at its start.

    Raises
    ------
    DataError, ConfigError
        If the images cannot be loaded, or settings exclude each other.
    """
    mesh = DeviceMesh(devices)
    mesh.check_batch(recipe.batch)
    schedule, optimise = _optimiser(recipe)
    loaded = load_images(recipe.dataset, recipe.data_dir, limit=recipe.num_images, image_size=recipe.image_size)
    if len(loaded) < recipe.batch:
        raise ConfigError(
            f"A batch of {recipe.batch} images is more than the {len(loaded):,} there are; lower `batch`."
        )
    views = get_augmentation(recipe.augmentation or default_augmentation(recipe.dataset), loaded.shape)
    mean, scale = _mean_and_scale(loaded)

    def standardise(images: jax.Array) -> jax.Array:
        return (images - mean) / scale

    @jax.jit
    def drawn(key: jax.Array, images: jax.Array) -> jax.Array:
        both = draw_views(views, key, images)
        return standardise(both).reshape(-1, *both.shape[2:])

    encoder = recipe_encoder(recipe)

    @partial(jax.jit, compiler_options=FOR_ONE_RUN)  # one program: a small one is compiled as slowly on an accelerator
    def beginning(seed: jax.Array, images: jax.Array) -> tuple[jax.Array, TrainState]:
        data_key, network_key, probe_key = jax.random.split(jax.random.key(seed), 3)
        probe = drawn(probe_key, images)
        params, model_state = _start(recipe, encoder, network_key, probe[:2])
        return probe, initial_state(params, optimise, data_key, model_state)

    probe, state = beginning(np.uint32(recipe.seed), loaded.images[: recipe.probe_images])
    loss, moving = recipe_loss(recipe), get_objective(recipe.objective).moving_target
    on_batches = partial(on_minibatches, views=views, batch=recipe.batch, mean=mean, scale=scale, mesh=mesh)
    descend = _step(recipe, encoder, optimise, mesh)
    measure = None
    if recipe.learning_rate == AUTO:
        objective = loss_of_views(encoder, loss, moving)
        measure = on_batches(measuring(objective, momentum=recipe.momentum, mesh=mesh))
    return PreparedRecipe(
        recipe=recipe,
        images=mesh.replicate(loaded.images),
        encoder=encoder,
        state=mesh.replicate(state),
        descend=descend,
        update=on_batches(descend),
        measure=measure,
        probe=mesh.replicate(probe),
        draw=lambda key, n: drawn(key, loaded.images[:n]),
        schedule=schedule,
        optimiser=optimise,
        mesh=mesh,
        standardise=standardise,
        note=views.note,
    )


def _mean_and_scale(loaded: Images) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel; 1 in place of 0 for a channel in which nothing differs."""
    mean, scale = loaded.images.mean(axis=(0, 1, 2)), loaded.images.std(axis=(0, 1, 2))
    if not (scale > 0).any():
        raise DataError(f"{loaded.name}: all pixels of all images are the same, so there is nothing to learn.")
    return mean, np.where(scale > 0, scale, np.float32(1))


def at_rates_of(prepared: PreparedRecipe, measured: Trajectory) -> PreparedRecipe:
    """The recipe with the learning rates that a run of it used, for models that are laid beside that run.

    Between two records the rate is constant and such that the effective time of each record is that of the run. A
    recipe with a given learning rate is returned as it is.
    """
    if prepared.measure is None:
        return prepared
    assert measured.steps is not None
    rates = np.repeat(np.diff(measured.times) / np.diff(measured.steps), np.diff(measured.steps))
    known = jnp.asarray(rates, jnp.float32)

    def schedule(step: Any) -> jax.Array:
        return known[jnp.minimum(step, len(known) - 1)]

    _, rule = _optimiser(prepared.recipe, schedule)
    start = prepared.state
    state = prepared.mesh.replicate(initial_state(start.params, rule, start.key, start.model_state))
    step = _step(prepared.recipe, prepared.encoder, rule, prepared.mesh)
    return replace(prepared, schedule=schedule, optimiser=rule, state=state, descend=step)


def recipe_encoder(recipe: Recipe) -> Encoder:
    """Network of a recipe: the projector of the method's paper, resized as the recipe says."""
    dtype = jnp.dtype(recipe.precision)
    published = get_objective(recipe.objective)
    projector = published.projector.resized(recipe.dim, recipe.projector, recipe.norm, bool(recipe.init_bias))
    predictor = published.predictor
    if predictor is not None:
        hidden = None if recipe.projector is None else recipe.projector[-1:]
        predictor = predictor.resized(projector.dim, hidden, recipe.norm)
    backbone = StandardResNet(DEPTHS[recipe.network], recipe.stem, recipe.norm, recipe.width, dtype)
    return Encoder(backbone, projector, predictor)


def _optimiser(
    recipe: Recipe, schedule: optax.Schedule | None = None
) -> tuple[optax.Schedule, optax.GradientTransformation]:
    """Learning rates and rule of a recipe; an automatic rate multiplies a schedule whose highest value is 1."""
    automatic = recipe.learning_rate == AUTO and schedule is None
    if recipe.learning_rate == AUTO and recipe.optimiser != "sgd":
        raise ConfigError(
            f"The automatic learning rate follows the stability limit of sgd; give a number as `learning_rate` with "
            f"the optimiser {recipe.optimiser}."
        )
    if schedule is None:
        highest = 1.0 if automatic else tuned_rate(recipe, float(recipe.learning_rate))
        schedule = learning_rates(highest, steps=recipe.steps, warmup=recipe.warmup, decay=recipe.decay)
    rule = optimiser(
        recipe.optimiser, schedule, weight_decay=recipe.weight_decay, momentum=recipe.momentum, clip=recipe.clip
    )
    return schedule, steady(rule, schedule) if automatic else rule


def _step(recipe: Recipe, encoder: Encoder, rule: optax.GradientTransformation, mesh: DeviceMesh) -> Update:
    published = get_objective(recipe.objective)
    decay = _target_decay(recipe) if published.moving_target else None
    return make_step(encoder, recipe_loss(recipe), rule, target_decay=decay, random=published.random, mesh=mesh)


def _rate_in_words(recipe: Recipe) -> str:
    rate = recipe.learning_rate
    return f"η at {FRACTION:g} of the stability limit" if rate == AUTO else f"η = {rate:g}"


def _target_decay(recipe: Recipe) -> Callable[[jax.Array], jax.Array]:
    return lambda step: target_decay(step, recipe.steps, recipe.target_decay)


def _start(recipe: Recipe, encoder: Encoder, key: jax.Array, x: jax.Array) -> tuple[Any, dict[str, Any]]:
    """Parameters and model state at the start that the recipe asks for."""
    weights_key, bias_key = jax.random.split(key)
    draw = jax.jit(partial(encoder.init, method="embed_and_predict"))
    require_memory(draw.eval_shape(weights_key, x))
    variables = draw(weights_key, x)
    params = started(recipe, variables["params"], bias_key)
    model_state = {BATCH_STATS: variables.get(BATCH_STATS, {})}
    if get_objective(recipe.objective).moving_target:
        model_state[TARGET] = jax.tree.map(jnp.copy, params)  # what trains is reused memory
    return params, model_state


def started(recipe: Recipe, params: Any, key: jax.Array) -> Any:
    """Parameters of the standard start brought to the start that the recipe asks for.

    Parameters
    ----------
    recipe : Recipe
        Settings of the run; `init`, `init_layers`, `init_scale` and `init_bias` count.
    params : pytree
        Parameters of the encoder as it was initialised.
    key : key
        Key of the bias of the projector's last layer, where the recipe asks for one.
    """
    if recipe.init != "small":
        return params
    params = scaled_start(params, recipe.init_layers, recipe.init_scale)
    if recipe.init_bias:
        direction = jax.random.normal(key, params["projector"]["readout"]["bias"].shape)
        params["projector"]["readout"]["bias"] = recipe.init_bias * direction / jnp.linalg.norm(direction)
    return params
