"""Fleissner et al. 2024 and Anil et al. 2024: whether the tangent kernel stays what it is as networks grow wider.

Two-layer networks (one hidden layer, erf) with the standard start are trained on pairs of digits under four losses. The
abstracts say that the kernel tends to a constant under Barlow Twins and under contrastive losses of cosines, and not
under those of dot products; how long is trained, on which data, and what counts as constant is this project's choice.
"""

from pathlib import Path

import numpy as np

from dynamics.errors import ConfigError
from dynamics.studies.claims import Claim
from dynamics.studies.kernel_drift import BARLOW_TWINS, CONTRASTIVE
from dynamics.studies.kernel_drift.drifts import FULL_WIDTHS, OBJECTIVES, PAIRS, WIDTHS, exponent, measured
from dynamics.studies.kernel_drift.figures import drifts_figure
from dynamics.support import files
from dynamics.support.progress import note

FALLS, MOVES = -0.25, -0.1
"""An exponent below the first counts as a kernel that tends to a constant, one above the second as one that moves."""

ORDER = -1.0
"""Exponent of the change of the kernel in perturbation theory at a fixed time (Dyer & Gur-Ari 2020)."""

_WHEN = {
    "fixed": "after a time that is the same for all widths",
    "half": "after a time that grows as ½ ln(width)",
    "log": "after a time that grows as ln(width)",
    "end": "once the loss is learned",
}

Drifts = dict[str, dict[str, np.ndarray]]


def run(
    out: Path, *, data_dir: Path | None = None, full: bool = False, seed: int = 0, num_seeds: int = 4
) -> list[Claim]:
    """Test the claims and draw the figure.

    Parameters
    ----------
    out : Path
        Folder for the figure (PNG and PDF) and the drifts (JSON).
    data_dir : Path, optional
        Folder with official files; not used.
    full : bool
        Networks of up to 8,192 hidden units in place of 2,048.
    seed : int
        First of the seeds of pairs, views and weights.
    num_seeds : int
        Number of seeds, at least 3.

    Raises
    ------
    ConfigError
        If there are fewer than 3 seeds.
    """
    if num_seeds < 3:
        raise ConfigError(f"num_seeds is {num_seeds}; give at least 3, for intervals.")
    widths, out = FULL_WIDTHS if full else WIDTHS, Path(out)
    found = measured(widths, [seed + i for i in range(num_seeds)], report=note)
    tables = {name: {when: drifts.tolist() for when, drifts in of.items()} for name, of in found.items()}
    files.save_json(out / "drifts.json", {"widths": widths, "drifts": tables})
    files.save_figure(drifts_figure(widths, found), out / "drifts")
    return claims(widths, found)


def claims(widths: tuple[int, ...], found: Drifts) -> list[Claim]:
    """The claims of both abstracts, and what they leave open, with intervals over seeds."""
    softmax = f"{CONTRASTIVE}, for a dot product inside of a softmax"
    return [
        *(falls("barlow-twins", when, widths, found, BARLOW_TWINS) for when in ("end", "log")),
        *(falls("simclr", when, widths, found, CONTRASTIVE) for when in ("end", "log")),
        *(moves("dot-product", when, widths, found, CONTRASTIVE) for when in ("log", "half")),
        *(moves("infonce", when, widths, found, softmax) for when in ("end", "log")),
        falls("dot-product", "fixed", widths, found, "not in the papers: at a fixed time the width decides"),
        *(order(name, widths, found) for name in OBJECTIVES),
    ]


def falls(name: str, when: str, widths: tuple[int, ...], found: Drifts, source: str) -> Claim:
    """Claim that a kernel tends to a constant: the upper end of the exponent's interval lies below `FALLS`."""
    slope, _, high = exponent(widths, found[name][when])
    return Claim.at_most(
        f"{OBJECTIVES[name].title}: the tangent kernel tends to a constant as the width grows, {_WHEN[when]} (exponent "
        f"of its relative change in the width, {slope:.2f}; upper end of the 95 % interval)",
        f"{source}; {_setting(widths, found[name][when])}",
        bound=FALLS,
        measured=high,
    )


def moves(name: str, when: str, widths: tuple[int, ...], found: Drifts, source: str) -> Claim:
    """Claim that a kernel does not tend to a constant: the lower end of the interval lies above `MOVES`."""
    slope, low, _ = exponent(widths, found[name][when])
    return Claim.at_least(
        f"{OBJECTIVES[name].title}: the tangent kernel does not tend to a constant as the width grows, {_WHEN[when]} "
        f"(exponent of its relative change in the width, {slope:.2f}; lower end of the 95 % interval)",
        f"{source}; {_setting(widths, found[name][when])}",
        bound=MOVES,
        measured=low,
    )


def order(name: str, widths: tuple[int, ...], found: Drifts) -> Claim:
    """Claim that the change of the kernel at a fixed time is of the order of perturbation theory, whatever the loss."""
    slope, low, high = exponent(widths, found[name]["fixed"])
    return Claim.equals(
        f"{OBJECTIVES[name].title}: {_WHEN['fixed']} the relative change of the kernel is of order 1/width",
        f"Dyer & Gur-Ari 2020, for losses of supervised learning; {_setting(widths, found[name]['fixed'])}; the "
        "tolerance is this project's",
        expected=ORDER,
        measured=slope,
        tolerance=0.25,
        interval=(high - low) / 2,
    )


def _setting(widths: tuple[int, ...], drifts: np.ndarray) -> str:
    return (
        f"digits, {PAIRS} pairs, one hidden layer of {widths[0]} to {widths[-1]:,} units, {drifts.shape[1]} seeds; "
        "time and bound are this project's"
    )
