"""Rung 4 beside the theory: how much of a practical network frozen kernels explain.

The kernels are those of the network itself on m pairs of the probe batch, before and after training: the conjugate
kernel of the projector's last hidden layer, which drives a small readout, and the tangent kernel of all weights, with
batch statistics held at those of the m pairs. Each gives contrastive modes, and the span of the d strongest is compared
with what the embedding has learned. The conjugate kernels also give forecasts: gradient flow on the recipe's own loss
from the network's own start.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dynamics import files
from dynamics.comparison import half_times
from dynamics.errors import ConfigError
from dynamics.flow import closed_form, kernel_descent, kernel_flow, objective_flow
from dynamics.kernels import empirical_ntk, gram
from dynamics.metrics import correlation_spectrum, subspace_overlap
from dynamics.modes import ContrastiveModes, contrastive_modes, contrastive_modes_from_features
from dynamics.practical import Prepared
from dynamics.training.loop import Metrics, TrainState, run
from dynamics.training.losses import COSINES, needs_predictor, recipe_loss
from dynamics.training.recorder import SpectrumRecorder
from dynamics.training.self_supervised import BATCH_STATS, stacked
from dynamics.trajectory import Trajectory

PAIRS = 128
_MOMENTUM = 0.9  # of the batch statistics
_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class RecipeComparison:
    """A practical run against the kernels of its network.

    Parameters
    ----------
    overlaps : mapping
        Kernel -> array (S,), overlap of the top-d subspace of the embeddings with that of its d strongest modes, at
        `times`; 1 if they are equal.
    times : array (S,)
        Effective times.
    chance : float
        Overlap of random subspaces, d/2m.
    eigenvalues : mapping
        Kernel -> array (d,), its strongest contrastive eigenvalues.
    forecasts : mapping
        Name -> Trajectory: `ode` and for the Barlow Twins of theory `closed_form` and `linearised`, from the kernel at
        the start; `kernel_after` from the one after training; `fixed_pairs`, the network itself on m fixed pairs.
    """

    overlaps: Mapping[str, np.ndarray]
    times: np.ndarray
    chance: float
    eigenvalues: Mapping[str, np.ndarray]
    forecasts: Mapping[str, Trajectory]

    def save(self, path: Path, measured: Trajectory) -> None:
        """Write all but the trajectories as JSON, with the times at which dimensions were half learned."""
        times = {"network": half_times(measured)}
        times |= {name: half_times(forecast) for name, forecast in self.forecasts.items()}
        files.save_json(
            path,
            {
                "subspace_overlap": {name: values[-1] for name, values in self.overlaps.items()},
                "chance": self.chance,
                "times": self.times,
                "overlaps": self.overlaps,
                "eigenvalues_gamma": self.eigenvalues,
                "half_times": times,
            },
        )


def compare_recipe(
    prepared: Prepared,
    measured: Trajectory,
    trained: TrainState,
    *,
    pairs: int = PAIRS,
    tangent: bool = True,
    fixed_pairs: bool = True,
    report_cost: Callable[[float], None] | None = None,
) -> RecipeComparison:
    """Compare a practical run with the kernels of its network.

    Parameters
    ----------
    prepared : Prepared
        The run before training.
    measured : Trajectory
        Its trajectory, with embeddings.
    trained : TrainState
        Its state after training.
    pairs : int
        m, pairs of the probe batch on which kernels are evaluated.
    tangent : bool
        Whether to evaluate tangent kernels, at the cost of a backward pass a view and output.
    fixed_pairs : bool
        Whether to train the network on the m pairs (rung 3), at about the cost of the run itself.
    report_cost : callable, optional
        Receives the seconds that this training takes.

    Raises
    ------
    ConfigError
        If the objective has a predictor, so that no kernel of the embeddings describes it.
    """
    recipe = prepared.recipe
    if needs_predictor(recipe):
        raise ConfigError(f"{recipe.objective} has a predictor, which the kernels of the embeddings do not describe.")
    m = min(pairs, len(prepared.probe) // 2)
    x = prepared.probe[: 2 * m]
    states = {"start": prepared.state, "end": trained}
    modes, grams = {}, {}
    for when, state in states.items():
        h, F = _features(prepared, state, x)
        modes[f"conjugate kernel, {when}"] = contrastive_modes_from_features(h, center=True)
        bias = "bias" in state.params["projector"]["readout"]
        grams[when] = h @ h.T + (1.0 if bias else 0.0)
        if when == "start":
            F0 = F
        if tangent:
            modes[f"tangent kernel, {when}"] = _tangent_modes(prepared, state, x)
    forecasts = _forecasts(prepared, modes["conjugate kernel, start"], grams["start"], F0, measured)
    forecasts["kernel_after"] = _flow(prepared, grams["end"], F0, measured.times, "kernel_after")
    if fixed_pairs:
        forecasts["fixed_pairs"] = _fixed_pairs(prepared, x, measured, report_cost)
    rows = np.r_[0:m, len(prepared.probe) // 2 : len(prepared.probe) // 2 + m]
    snapshots = [F[rows].astype(np.float64) for F in measured.embeddings]
    d = measured.dim
    return RecipeComparison(
        overlaps={
            name: np.array([subspace_overlap(F, mode, min(d, mode.num_positive), center=True) for F in snapshots])
            for name, mode in modes.items()
        },
        times=measured.embedding_times,
        chance=d / (2 * m),
        eigenvalues={name: mode.eigenvalues[:d] for name, mode in modes.items()},
        forecasts=forecasts,
    )


def _features(prepared: Prepared, state: TrainState, x: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Inputs h (2m, N) of the last layer and embeddings (2m, d), in the order x_1 … x_m, x'_1 … x'_m, float64."""

    def layers(params: Any, stats: Any) -> tuple[jax.Array, jax.Array]:
        variables = {"params": params, BATCH_STATS: stats}
        apply = prepared.encoder.apply
        h, _ = apply(variables, x, train=True, method="readout_features", mutable=[BATCH_STATS])
        z, _ = apply(variables, x, train=True, mutable=[BATCH_STATS])
        return stacked(h), stacked(z)

    return tuple(np.asarray(a, np.float64) for a in jax.jit(layers)(state.params, state.model_state[BATCH_STATS]))


def _tangent_modes(prepared: Prepared, state: TrainState, x: jax.Array) -> ContrastiveModes:
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


def _forecasts(
    prepared: Prepared, modes: ContrastiveModes, K: np.ndarray, F0: np.ndarray, measured: Trajectory
) -> dict[str, Trajectory]:
    """Rungs 0 to 2 from the conjugate kernel at the start."""
    recipe, times = prepared.recipe, measured.times
    if recipe.objective != "barlow-twins" or recipe.off_diagonal != 1:
        return {"ode": _flow(prepared, K, F0, times, "ode")}
    F0 = F0 - F0.mean(axis=0)
    forecasts = {"closed_form": closed_form(modes, F0, times), "ode": kernel_flow(modes, F0, times)}
    plain = recipe.optimiser == "sgd" and recipe.momentum == 0 and recipe.decay == "constant" and not recipe.clip
    if plain and recipe.warmup == 0:
        forecasts["linearised"] = kernel_descent(modes, F0, recipe.learning_rate, measured.steps)
    return forecasts


def _flow(prepared: Prepared, K: np.ndarray, F0: np.ndarray, times: np.ndarray, name: str) -> Trajectory:
    """Kernel flow on the recipe's loss, its spectrum as the recorder takes it of the network."""
    flow = objective_flow(K, F0, times, recipe_loss(prepared.recipe), embedding_times=times, tolerance=_TOLERANCE)
    spectra = []
    for F in flow.embeddings:
        if prepared.recipe.objective in COSINES:
            F = F / np.linalg.norm(F, axis=1, keepdims=True)
        spectra.append(correlation_spectrum(F - F.mean(axis=0)))
    return replace(
        flow,
        eigenvalues=np.array(spectra),
        covariance=None,
        embeddings=None,
        embedding_times=None,
        meta={**flow.meta, "rung": name},
    )


def _fixed_pairs(
    prepared: Prepared, x: jax.Array, measured: Trajectory, report_cost: Callable[[float], None] | None
) -> Trajectory:
    """Rung 3: the same network from the same start on these pairs alone, all of them at every step."""
    times = dict(zip(measured.steps.tolist(), measured.times, strict=True))
    alone = replace(prepared, probe=x)
    embed = jax.jit(lambda variables: alone.embed(*variables))
    recorder = SpectrumRecorder(embed, measured.steps, embedding_bytes=0)

    def observe(state: TrainState, metrics: Metrics) -> None:
        step = int(state.step)
        recorder.record(step, (state.params, state.model_state), loss=metrics["loss"], time=times[step])

    _, reason = run(
        prepared.descend,
        prepared.state,
        steps=prepared.recipe.steps,
        data=(x,),
        observe=observe,
        observe_at=measured.steps,
        report_cost=report_cost,
        description="fixed pairs",
    )
    return recorder.trajectory({"rung": "fixed_pairs", "partial": reason, "objective": prepared.recipe.objective})
