"""One hidden layer, trained on one fixed batch from a small readout, beside the forecast of its kernel at the start."""

from pathlib import Path

import jax
import jax.numpy as jnp

from dynamics.drawing.trajectories import comparison_figure, style
from dynamics.experiment import Experiment, compare_run, forecast_trajectories, prepare, train
from dynamics.experiment.config import Config
from dynamics.studies.claims import Claim
from dynamics.studies.stepwise import PAPER
from dynamics.support import files
from dynamics.training import gradient_descent, recording_steps, small_network


def network_claims(out: Path, config: Config) -> list[Claim]:
    """One hidden layer of ReLU, small readout, against its kernel at the start."""
    experiment = prepare(config)
    measured = train(experiment)
    forecasts = forecast_trajectories(experiment)
    comparison = compare_run(experiment, measured, forecasts)
    name = f"mlp_{config.dataset}"
    measured.save(out / f"{name}_measured.npz")
    comparison.save(out / f"{name}_comparison.json")
    with style():
        files.save_figure(comparison_figure(comparison, measured, forecasts), out / name)
    overlaps = [plateau.overlap for plateau in comparison.subspace_overlap]
    source = f"{PAPER}, one hidden layer; {experiment.pairs.source}, width {config.width}, d = {config.dim}"
    return [
        Claim.equals(
            f"network on {config.dataset}, small readout: step times are those of its kernel at the start "
            "(median |predicted/measured − 1|)",
            source,
            expected=0.0,
            measured=comparison.median_error("ode"),
            tolerance=0.1,
        ),
        Claim.at_least(
            f"network on {config.dataset}: at every plateau its subspace is that of the top kernel modes (lowest "
            f"overlap of {len(overlaps)}; chance ≤ {config.dim / (2 * len(experiment.pairs)):.2f})",
            source,
            bound=0.9,
            measured=comparison.lowest_overlap,
        ),
        _all_weights_small(config, experiment),
    ]


def _all_weights_small(config: Config, experiment: Experiment) -> Claim:
    """If all weights start small, the escape from the start is algebraic, so nothing happens in the same time."""
    module = experiment.random.architecture.module(config.dim)
    params = module.init(jax.random.key(config.seed), jnp.asarray(experiment.pairs.stacked[:1]))
    network = small_network(module.apply, params, "all", scale=1e-4, multiplier=experiment.multiplier)
    steps = min(experiment.schedule.steps, 7000)
    frozen = gradient_descent(
        network,
        experiment.pairs,
        learning_rate=experiment.schedule.learning_rate,
        steps=steps,
        center=config.center,
        record_at=recording_steps(steps, count=4),
    )
    return Claim.equals(
        f"network on {config.dataset}: with all weights × 1e-4 nothing happens in {steps} updates (final loss)",
        "not in the paper, whose initialisation is not known in detail",
        expected=config.dim,
        measured=frozen.loss[-1],
        tolerance=0.1,
    )
