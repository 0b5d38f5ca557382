"""Rung 4 from its settings: images and network, training with its spectrum recorded, stopped and resumed at will.

>>> from dynamics.recipe.prepare import prepare
>>> from dynamics.recipe.config import Recipe
>>> print(prepare(Recipe(network="resnet10")).describe())
digits: 1,797 images of (8, 8, 1)
resnet10, width 0.125, 86,680 parameters; projector 128-8
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Int

from dynamics.errors import ConfigError
from dynamics.networks.encoder import Encoder
from dynamics.networks.projector import scaled_start
from dynamics.networks.standard_resnet import StandardResNet, as_float32
from dynamics.objectives.predictor import target_decay
from dynamics.objectives.registry import get_objective
from dynamics.recipe.config import Recipe
from dynamics.recipe.losses import recipe_loss
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.class_probes import class_accuracy, labelled_images
from dynamics.training.loop import run
from dynamics.training.minibatch import BATCH_STATS, TARGET, deinterleave, draw_views, make_step, on_minibatches
from dynamics.training.optimisers import effective_times, learning_rates, optimiser
from dynamics.training.recorder import SpectrumRecorder, recording_steps
from dynamics.training.sharding import DeviceMesh
from dynamics.training.state import Metrics, TrainState, Update, initial_state
from dynamics.trajectories.trajectory import Trajectory
from dynamics.views import default_augmentation, get_augmentation, load_images

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
    probe : array (2p, h, w, c)
        Standardised views of the probe batch in the order x_1, x'_1, x_2, x'_2, …
    draw : callable
        (key, n) -> array (2n, h, w, c), fresh standardised views of the first n training images, in the same order.
    schedule : optax.Schedule
        Learning rate of every step.
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
    probe: jax.Array
    draw: Callable[[jax.Array, int], jax.Array]
    schedule: optax.Schedule
    optimiser: optax.GradientTransformation
    mesh: DeviceMesh
    standardise: Callable[[jax.Array], jax.Array]
    note: str

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
            f"η = {recipe.learning_rate:g}, {recipe.decay}"
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
    loaded = load_images(recipe.dataset, recipe.data_dir, limit=recipe.num_images)
    if len(loaded) < recipe.batch:
        raise ConfigError(
            f"A batch of {recipe.batch} images is more than the {len(loaded):,} there are; lower `batch`."
        )
    views = get_augmentation(recipe.augmentation or default_augmentation(recipe.dataset), loaded.shape)
    mean, scale = loaded.images.mean(axis=(0, 1, 2)), loaded.images.std(axis=(0, 1, 2))
    data_key, network_key, probe_key = jax.random.split(jax.random.key(recipe.seed), 3)

    def standardise(images: jax.Array) -> jax.Array:
        return (images - mean) / scale

    def draw(key: jax.Array, n: int) -> jax.Array:
        drawn = jax.jit(partial(draw_views, views))(key, loaded.images[:n])
        return standardise(drawn).reshape(-1, *drawn.shape[2:])

    probe = draw(probe_key, recipe.probe_images)
    encoder = recipe_encoder(recipe)
    params, model_state = _start(recipe, encoder, network_key, probe[:2])
    descend = make_step(
        encoder,
        recipe_loss(recipe),
        optimise,
        target_decay=_target_decay(recipe) if get_objective(recipe.objective).moving_target else None,
        mesh=mesh,
    )
    return PreparedRecipe(
        recipe=recipe,
        images=mesh.replicate(loaded.images),
        encoder=encoder,
        state=mesh.replicate(initial_state(params, optimise, data_key, model_state)),
        descend=descend,
        update=on_minibatches(descend, views, batch=recipe.batch, mean=mean, scale=scale, mesh=mesh),
        probe=mesh.replicate(probe),
        draw=draw,
        schedule=schedule,
        optimiser=optimise,
        mesh=mesh,
        standardise=standardise,
        note=views.note,
    )


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


def train(
    prepared: PreparedRecipe,
    checkpoints: Checkpoints | None = None,
    *,
    report_cost: Callable[[float], None] | None = None,
    report_resumed: Callable[[int], None] | None = None,
) -> Trajectory:
    """Train and record the spectrum; the trajectory is marked partial if the training ends early.

    Parameters
    ----------
    prepared : PreparedRecipe
        The run.
    checkpoints : Checkpoints, optional
        Checkpoints of the training, which goes on from the last of them.
    report_cost : callable, optional
        Function that is called after the first few updates with the seconds that all of them will take.
    report_resumed : callable, optional
        Function that is called with the step from which training goes on.

    Raises
    ------
    DataError
        If the checkpoints are damaged or belong to another network.
    """
    recipe = prepared.recipe
    steps = recording_steps(recipe.steps, recipe.records // 2)
    times = dict(zip(steps.tolist(), effective_times(prepared.schedule, steps), strict=True))
    embed = jax.jit(lambda variables: prepared.embed(*variables))
    recorder = SpectrumRecorder(embed, steps, center=True)
    labelled = labelled_images(recipe.dataset, recipe.data_dir) if recipe.probes else None
    probed, features = probe_steps(recipe, steps), jax.jit(prepared.features)
    state = prepared.state
    found = checkpoints.latest(state) if checkpoints is not None else None
    if found is not None:
        state, recorded = found
        recorder.restore(recorded)
        if report_resumed is not None:
            report_resumed(int(state.step))

    def observe(state: TrainState, metrics: Metrics) -> None:
        step = int(state.step)
        if recorder.due(step):
            variables = (state.params, state.model_state)
            more = {"gradient_norm": metrics["gradient_norm"]}
            if labelled is not None and step in probed:
                more |= class_accuracy(partial(features, *variables), labelled)
            recorder.record(step, variables, loss=metrics["loss"], time=times[step], metrics=more)

    _, outcome = run(
        prepared.update,
        state,
        steps=recipe.steps,
        data=(prepared.images,),
        observe=observe,
        observe_at=steps,
        checkpoints=checkpoints,
        recorder_state=recorder.state,
        report_cost=report_cost,
    )
    return recorder.trajectory(
        {"learning_rate": recipe.learning_rate, "steps": recipe.steps},
        rung="recipe",
        outcome=outcome,
        objective=recipe.objective,
    )


def probe_steps(recipe: Recipe, steps: Int[np.ndarray, " records"]) -> set[int]:
    """Those of the recorded steps that are nearest to `recipe.probes` evenly spaced ones, the last among them."""
    wanted = np.linspace(recipe.steps, 0, recipe.probes, endpoint=recipe.probes > 1)
    return {int(steps[np.abs(steps - step).argmin()]) for step in wanted}


def _optimiser(recipe: Recipe) -> tuple[optax.Schedule, optax.GradientTransformation]:
    rates = {"steps": recipe.steps, "warmup": recipe.warmup, "decay": recipe.decay}
    return learning_rates(recipe.learning_rate, **rates), optimiser(
        recipe.optimiser,
        recipe.learning_rate,
        **rates,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
        clip=recipe.clip,
    )


def _target_decay(recipe: Recipe) -> Callable[[jax.Array], jax.Array]:
    return lambda step: target_decay(step, recipe.steps, recipe.target_decay)


def _start(recipe: Recipe, encoder: Encoder, key: jax.Array, x: jax.Array) -> tuple[Any, dict[str, Any]]:
    """Parameters and model state at the start that the recipe asks for."""
    weights_key, bias_key = jax.random.split(key)
    variables = jax.jit(partial(encoder.init, method="embed_and_predict"))(weights_key, x)
    params = variables["params"]
    if recipe.init == "small":
        params = scaled_start(params, recipe.init_layers, recipe.init_scale)
        if recipe.init_bias:
            direction = jax.random.normal(bias_key, params["projector"]["readout"]["bias"].shape)
            params["projector"]["readout"]["bias"] = recipe.init_bias * direction / jnp.linalg.norm(direction)
    model_state = {BATCH_STATS: variables.get(BATCH_STATS, {})}
    if get_objective(recipe.objective).moving_target:
        model_state[TARGET] = jax.tree.map(np.array, params)  # a copy: what trains is reused memory
    return params, model_state
