"""How steps blur as the start grows: the time that a mode takes to rise over the time until the next one.

A logistic mode rises from 10 to 90 % of its end in ln 81/(8γ_j), whatever the start, and the next one follows after
τ_{j+1} − τ_j, which grows with ln(1/α). So the blur is larger for larger starts, and steps are distinct far below 1.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dynamics.flow import closed_form
from dynamics.modes import contrastive_modes_from_features
from dynamics.studies.claims import Claim
from dynamics.studies.statistics import half_width, lower_end
from dynamics.studies.stepwise import PAPER
from dynamics.studies.stepwise.linear_model import descend, digits, random_weights, schedule, trajectory
from dynamics.studies.stepwise.practical import LOSSES, STARTS, PracticalRun
from dynamics.studies.stepwise.three_losses import chosen, setting
from dynamics.trajectories.comparison import final_values, learning_times
from dynamics.trajectories.trajectory import Trajectory

SCALES = (1e-6, 1e-3, 1e-1)
_DIM = 6
_LARGEST = 100.0  # a blur beyond says no more than that steps coincide


def blur(run: Trajectory, level: float = 0.1) -> float:
    """Median over neighbours j, j + 1 of (rise time of j from 10 to 90 % of its end) / (time between their halves).

    Infinite where the next dimension is half learned no later, or never.
    """
    u, end = run.eigenvalues, final_values(run.eigenvalues)
    low, half, high = (
        np.array([_reached(run.times, u[:, j], share * end[j]) for j in range(run.dim)])
        for share in (level, 0.5, 1 - level)
    )
    half = np.where(np.isfinite(learning_times(run)), half, np.nan)
    gap = np.diff(half)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(gap > 0, (high - low)[:-1] / gap, np.inf)
    return float(np.median(np.where(np.isnan(ratios), np.inf, ratios)))


def _reached(times: Float[np.ndarray, " records"], u: Float[np.ndarray, " records"], level: float) -> float:
    """First time at the level, interpolated; NaN if it is never reached."""
    at = int(np.argmax(u >= level))
    if u[at] < level:
        return np.nan
    if at == 0:
        return float(times[0])
    share = (level - u[at - 1]) / (u[at] - u[at - 1])
    return float(times[at - 1] + share * (times[at] - times[at - 1]))


def linear_blur(num_pairs: int, seeds: Sequence[int]) -> dict[float, Float[np.ndarray, "2 seeds"]]:
    """Scale of the start -> blur of a linear model trained by descent, and of the closed form, for every seed."""
    found = {}
    for alpha in SCALES:
        rows = []
        for seed in seeds:
            views = digits(num_pairs, seed)
            modes = contrastive_modes_from_features(views)
            W0 = random_weights(_DIM, views.shape[1], alpha, np.random.default_rng(seed))
            rate, steps = schedule(
                modes.eigenvalues[:_DIM], np.full(_DIM, 1e-2 * alpha**2), lr_fraction=0.1, beyond=1.4
            )
            times = rate * steps.astype(float)
            measured = trajectory(views, descend(views, W0, rate, steps), times)
            rows.append((blur(measured), blur(closed_form(modes, views @ W0.T, times))))
        found[alpha] = np.array(rows).T
    return found


def linear_blur_claims(linear: dict[float, Float[np.ndarray, "2 seeds"]], num_pairs: int) -> list[Claim]:
    """The blur of the linear model beside that of the closed form, and its growth with the start."""
    smallest, *_, largest = SCALES
    source = (
        f"{PAPER}, steps blur as the start grows; linear model, digits, n = {num_pairs}, d = {_DIM}, "
        f"{len(linear[smallest][0])} seeds"
    )
    by_theory = linear[smallest][0] / linear[smallest][1]
    growth = linear[largest][0] / linear[smallest][0]
    return [
        Claim.equals(
            f"linear model, α = {smallest:g}: steps are as blurred as the closed form says (rise from 10 to 90 % by "
            "the time to the next step, median over steps; ratio to theory)",
            f"{source}; the tolerance is this project's",
            expected=1.0,
            measured=by_theory.mean(),
            tolerance=0.1,
            interval=half_width(by_theory),
        ),
        Claim.at_least(
            f"linear model: a start of α = {largest:g} blurs steps more than one of {smallest:g} (ratio of the blurs)",
            f"{source}; the bound is this project's: by theory about the ratio of ln 1/α",
            bound=2.0,
            measured=growth.mean(),
            interval=half_width(growth),
        ),
    ]


def network_blur_claims(runs: Sequence[PracticalRun]) -> list[Claim]:
    """The blur of practical networks from both starts."""
    claims = []
    for loss, name in LOSSES.items():
        small, standard = (np.array([blur(run.trajectory) for run in chosen(runs, loss, start)]) for start in STARTS)
        more = np.log2(np.minimum(standard, _LARGEST) / np.minimum(small, _LARGEST))
        claims.append(
            Claim.at_least(
                f"{name}: the standard start blurs the steps of a network more than the small one (log₂ of the ratio "
                f"of blurs, {more.mean():.2g} ± {half_width(more):.2g}, lower end of the 95 % interval; median blur "
                f"{np.median(small):.2g} from the small start, {np.median(standard):.2g} from the standard one)",
                f"{PAPER}, steps blur as the start grows; {setting(runs, loss)}",
                bound=0.001,  # a tie is no difference
                measured=lower_end(more),
            )
        )
    return claims
