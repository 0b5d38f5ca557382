"""Step times of every objective with an exponential phase, forecast and measured.

`uv run python figures/objective_steps.py [--quick]` trains lazy MLPs on digits, full batch, under each objective, and
lays the kernel flow of its loss beside them. DINO is left out: its outputs grow for ever, so that it has no step times.
Objectives with slices have the same fixed ones in both. Writes `objective_steps.json` beside this file.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dynamics.experiment import prepare
from dynamics.experiment.config import Config
from dynamics.experiment.objective import experiment_loss, first_of_experiment, forecast_objective
from dynamics.objectives import OBJECTIVES, escape_law
from dynamics.support.files import save_json
from dynamics.training import gradient_descent
from dynamics.trajectories.comparison import half_times
from dynamics.trajectories.trajectory import Trajectory

HERE = Path(__file__).parent
EXPONENTIAL = [
    name for name, record in OBJECTIVES.items() if not record.takes_targets and escape_law(name).law == "exponential"
]
FRACTION = 0.02  # of an e-folding of the fastest mode in one step
BEYOND = 1.1
RECORDS = 400


@dataclass(frozen=True)
class Case:
    """One objective: its forecast, the trained network, and the rate of the first mode in both.

    Parameters
    ----------
    forecast, measured : Trajectory
        Kernel flow and network.
    rate : float
        Rate of the fastest mode, in one over effective time.
    """

    forecast: Trajectory
    measured: Trajectory
    rate: float


def run_case(name: str, config: Config) -> Case:
    """Forecast an objective, and train the network under it until its last mode is learned."""
    experiment = prepare(config)
    first = first_of_experiment(name, experiment)
    rate = float(first.modes.rates[0])
    learning_rate = FRACTION / rate
    forecast = forecast_objective(name, experiment)
    steps = int(BEYOND * np.nanmax(half_times(forecast)) / learning_rate) + 1
    record_at = np.unique(np.linspace(0, steps, RECORDS).astype(int))
    measured = gradient_descent(
        experiment.network,
        experiment.pairs,
        learning_rate=learning_rate,
        steps=steps,
        center=config.center,
        objective=experiment_loss(name),
        record_at=record_at,
    )
    return Case(forecast, measured, rate)


def measured_rate(case: Case) -> float:
    """Slope of ln u_1 / 2 while the first eigenvalue is between 10 and 1,000 times its start and below a hundredth."""
    u, t = case.measured.eigenvalues[:, 0], case.measured.times
    first = int(np.argmax(u > 0))
    linear = (u > 30 * abs(u[first])) & (u < 0.003 * u[-1])
    return float(np.polyfit(t[linear], np.log(u[linear]) / 2, 1)[0]) if linear.sum() > 2 else float("nan")


def main() -> None:
    """Run every objective and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one objective, a narrow network")
    parser.add_argument("--only", nargs="*", default=EXPONENTIAL, help="objectives")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    width, names = (64, EXPONENTIAL[:1]) if arguments.quick else (512, arguments.only)
    config = Config(network="mlp", width=width, depth=1, num_pairs=16, dim=3, multiplier="auto")
    rows = {}
    for name in names:
        case = run_case(name, config)
        predicted, reached = half_times(case.forecast), half_times(case.measured)
        errors = np.abs(predicted / reached - 1)
        rows[name] = {
            "steps": (reached / (FRACTION / case.rate)).tolist(),
            "errors": errors.tolist(),
            "rate": case.rate,
            "measured_rate": measured_rate(case),
        }
        shown = " ".join(f"{100 * error:5.2f} %" for error in errors)
        print(f"{name:24} errors {shown}   rate {measured_rate(case) / case.rate:.3f} of theory", flush=True)
    save_json(arguments.out / "objective_steps.json", {"width": width, "fraction": FRACTION, "objectives": rows})


if __name__ == "__main__":
    main()
