"""Rung 4 beside the theory: how much of a practical network frozen kernels explain.

The kernels are those of the network itself, before and after training: the conjugate kernel of the projector's last
hidden layer, which drives a small readout, and the tangent kernel of all weights, with batch statistics held fixed.
Each gives contrastive modes, and the span of the d strongest is compared with what the embedding has learned.

Minibatches of fresh views follow the modes of the *population*, not those of a few fixed pairs, whose leading modes
belong to outliers and are several times too large (digits, ResNet-18 of width 1/8: γ_1 = 2.4 on 128 pairs, 0.42 on all
1,797). So the conjugate kernel is taken on as many pairs as possible; being one of explicit features, it costs a
forward pass. It gives forecasts in which nothing but the last layer learns.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynamics.errors import ConfigError
from dynamics.flow import closed_form, kernel_flow
from dynamics.kernels import empirical_ntk, gram
from dynamics.modes import ContrastiveModes, contrastive_modes, contrastive_modes_from_features
from dynamics.objectives.registry import get_objective
from dynamics.recipe.losses import loss_settings, recipe_loss
from dynamics.recipe.preparation import PreparedRecipe, at_rates_of
from dynamics.support.precision import in_full_precision
from dynamics.training.loop import run
from dynamics.training.minibatch import BATCH_STATS, batch_indices, deinterleave, loss_key
from dynamics.training.recorder import SpectrumRecorder
from dynamics.training.state import Metrics, TrainState, apply_gradient, initial_state
from dynamics.trajectories.comparison import Comparison, KernelOverlaps, compare, half_times
from dynamics.trajectories.metrics import span_overlap
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Embedding

PAIRS = 2048
TANGENT_PAIRS = 128
_MOMENTUM = 0.9  # of the batch statistics
_STEPS_PER_DISPATCH = 8


def compare_recipe(
    prepared: PreparedRecipe,
    measured: Trajectory,
    trained: TrainState,
    *,
    pairs: int = PAIRS,
    tangent_pairs: int = TANGENT_PAIRS,
    fixed_pairs: bool = True,
    report_cost: Callable[[float], None] | None = None,
) -> tuple[dict[str, Trajectory], Comparison]:
    """Compare a practical run with the kernels of its network.

    Parameters
    ----------
    prepared : PreparedRecipe
        The run before training.
    measured : Trajectory
        Trajectory of the trained network, with embeddings.
    trained : TrainState
        State of the network after training.
    pairs : int
        Number of training images, with two views each, on which conjugate kernels are evaluated.
    tangent_pairs : int
        Number m of pairs of the probe batch on which tangent kernels are evaluated and subspaces compared.
    fixed_pairs : bool
        Whether to train the network on the m pairs, too (rung 3), which costs about as much as the run itself.
    report_cost : callable, optional
        Function that is called with the seconds that this training will take.

    Returns
    -------
    forecasts : dict
        Name -> Trajectory. `kernel_start` and `kernel_after`: the readout alone learns, by the optimiser, loss and
        batch size of the recipe, on the network's features before and after training (rung 2). `closed_form` and `ode`,
        for the Barlow Twins of theory (rungs 0 and 1, from the features before training). `fixed_pairs`: the network
        itself on m fixed pairs, all of them at every step (rung 3).
    comparison : Comparison
        The run against them, by the times at which half of each dimension is learned, with the overlap of the top-d
        subspace of the embeddings, on m pairs of the probe batch, with the d strongest modes of every kernel.

    Raises
    ------
    ConfigError
        If the objective has a predictor or a moving target, so that no kernel of the embeddings describes it.
    """
    prepared = at_rates_of(prepared, measured)
    recipe, d = prepared.recipe, measured.dim
    if get_objective(recipe.objective).takes_targets:
        raise ConfigError(f"{recipe.objective} has targets, which the kernels of the embeddings do not describe.")
    p = len(prepared.probe) // 2
    m = min(tangent_pairs, p)
    some = prepared.probe[: 2 * m]
    population = prepared.draw(jax.random.key(recipe.seed + 1), pairs)
    modes: dict[str, ContrastiveModes] = {}
    functions: dict[str, np.ndarray] = {}  # the strongest modes on the m pairs
    forecasts: dict[str, Trajectory] = {}
    for when, state in (("start", prepared.state), ("end", trained)):
        h, h_some = _features(prepared, state, population, some)
        name = f"conjugate kernel, {when}"
        modes[name] = contrastive_modes_from_features(h, center=True)
        functions[name] = _centred(h_some @ (h.T @ modes[name].duals[:, :d]))
        if when == "start" and recipe.objective == "barlow-twins" and loss_settings(recipe)["off_diagonal"] == 1:
            F0 = _centred(h @ np.asarray(state.params["projector"]["readout"]["kernel"], np.float64))
            forecasts["closed_form"] = closed_form(modes[name], F0, measured.times)
            forecasts["ode"] = kernel_flow(modes[name], F0, measured.times)
        rung = "kernel_start" if when == "start" else "kernel_after"
        forecasts[rung] = _frozen_features(prepared, h, measured, rung)
        name = f"tangent kernel, {when}"
        modes[name] = tangent_modes(prepared, state, some)
        functions[name] = _centred(modes[name].on_views[:, :d])
    if fixed_pairs:
        forecasts["fixed_pairs"] = _fixed_pairs(prepared, some, measured, report_cost)
    rows = np.r_[0:m, p : p + m]
    comparison = compare(measured, forecasts, modes["conjugate kernel, start"], criterion=half_times)
    overlaps = KernelOverlaps(
        times=measured.embedding_times,
        overlaps={
            name: np.array([span_overlap(_centred(F[rows]), phi, d) for F in measured.embeddings])
            for name, phi in functions.items()
        },
        chance=d / (2 * m),
        eigenvalues={name: mode.eigenvalues[:d] for name, mode in modes.items()},
    )
    # plateaus are those of other views than these modes
    return forecasts, replace(comparison, subspace_overlap=[], kernel_overlaps=overlaps)


def _centred(functions: np.ndarray) -> np.ndarray:
    """The functions minus their mean over the views, in float64."""
    functions = functions.astype(np.float64)
    return functions - functions.mean(axis=0)


@in_full_precision
def _features(prepared: PreparedRecipe, state: TrainState, *views: jax.Array) -> list[np.ndarray]:
    """Inputs of the last layer, (2n, N) for each set of views, x_1 … x_n, x'_1 … x'_n; batch statistics of all."""

    @jax.jit
    def layer(params: Any, stats: Any, x: jax.Array) -> jax.Array:
        variables = {"params": params, BATCH_STATS: stats}
        return prepared.encoder.apply(variables, x, train=True, method="readout_features", mutable=[BATCH_STATS])[0]

    h = np.asarray(layer(state.params, state.model_state[BATCH_STATS], jnp.concatenate(views)), np.float64)
    return [np.asarray(deinterleave(part)) for part in np.split(h, np.cumsum([len(x) for x in views])[:-1])]


@in_full_precision
def _frozen_features(prepared: PreparedRecipe, h: np.ndarray, measured: Trajectory, name: str) -> Trajectory:
    """The readout alone, from the network's own start, on minibatches of frozen features (2n, N)."""
    recipe = prepared.recipe
    loss, n, random = recipe_loss(recipe), len(h) // 2, get_objective(recipe.objective).random
    pairs = jnp.asarray(h, jnp.float32).reshape(2, n, -1)
    embed = partial(_read_out, get_objective(recipe.objective).scale_free)

    def update(state: TrainState, pairs: jax.Array) -> tuple[TrainState, Metrics]:
        x = pairs[:, batch_indices(state.key, state.step, n, min(recipe.batch, n))].reshape(-1, pairs.shape[-1])
        key = {"key": loss_key(state)} if random else {}
        value, gradient = jax.value_and_grad(lambda params: loss(_read_out(False, params, x), **key))(state.params)
        return apply_gradient(prepared.optimiser, state, gradient), {"loss": value}

    recorder = SpectrumRecorder(
        jax.jit(lambda params: embed(params, pairs.reshape(2 * n, -1))), measured.steps, embedding_bytes=0
    )
    times = dict(zip(measured.steps.tolist(), measured.times, strict=True))

    def observe(state: TrainState, metrics: Metrics) -> None:
        recorder.record(int(state.step), state.params, loss=metrics["loss"], time=times[int(state.step)])

    start = jax.tree.map(np.array, prepared.state.params["projector"]["readout"])
    _, outcome = run(
        update,
        initial_state(start, prepared.optimiser, jax.random.key(recipe.seed)),
        steps=recipe.steps,
        data=(pairs,),
        observe=observe,
        observe_at=measured.steps,
        steps_per_dispatch=_STEPS_PER_DISPATCH,
        description=name.replace("_", " "),
    )
    return recorder.trajectory(rung=name, outcome=outcome, objective=recipe.objective)


def _read_out(cosine: bool, params: Mapping[str, jax.Array], h: jax.Array) -> Embedding:
    z = h @ params["kernel"] + params.get("bias", 0.0)
    return z / jnp.linalg.norm(z, axis=1, keepdims=True) if cosine else z


@in_full_precision
def tangent_modes(prepared: PreparedRecipe, state: TrainState, x: jax.Array) -> ContrastiveModes:
    """Modes of the tangent kernel with the batch statistics of x."""
    apply = prepared.encoder.apply
    before = state.model_state[BATCH_STATS]
    variables = {"params": state.params, BATCH_STATS: before}
    after = jax.jit(lambda v: apply(v, x, train=True, mutable=[BATCH_STATS])[1])(variables).get(BATCH_STATS, {})
    # the averages moved by a tenth towards those of x
    stats = jax.tree.map(lambda new, old: (new - _MOMENTUM * old) / (1 - _MOMENTUM), after, before)
    kernel = empirical_ntk(
        lambda variables, x: apply(variables, x),
        {"params": state.params, BATCH_STATS: stats},
        collection="params",
        dtype="float32",
    )
    in_order = np.asarray(jnp.concatenate([x[0::2], x[1::2]]))
    return contrastive_modes(
        np.asarray(gram(kernel, in_order, dtype="float32", progress=True), np.float64), center=True
    )


def _fixed_pairs(
    prepared: PreparedRecipe, x: jax.Array, measured: Trajectory, report_cost: Callable[[float], None] | None
) -> Trajectory:
    """Rung 3: the same network from the same start on these pairs alone, all of them at every step."""
    times = dict(zip(measured.steps.tolist(), measured.times, strict=True))
    alone = replace(prepared, probe=x)
    embed = jax.jit(lambda variables: alone.embed(*variables))
    recorder = SpectrumRecorder(embed, measured.steps, embedding_bytes=0)

    def observe(state: TrainState, metrics: Metrics) -> None:
        step = int(state.step)
        recorder.record(step, (state.params, state.model_state), loss=metrics["loss"], time=times[step])

    _, outcome = run(
        prepared.descend,
        prepared.state,
        steps=prepared.recipe.steps,
        data=(x,),
        observe=observe,
        observe_at=measured.steps,
        report_cost=report_cost,
        description="fixed pairs",
    )
    return recorder.trajectory(rung="fixed_pairs", outcome=outcome, objective=prepared.recipe.objective)
