"""Claims about trained networks: the table of A-SSL and H-SSL, calibrations beside it, and the sweep of distances."""

from collections.abc import Mapping

import numpy as np

from dynamics.studies.claims import Claim
from dynamics.studies.homomorphic import PAPER
from dynamics.studies.homomorphic.training import SchemeScores
from dynamics.studies.statistics import half_width

# upright and rotated accuracy and inv-ratio of a p4 and a plain network of two convolutions on 8×8 digits, d = 10, L₁,
# Adam, 1500 steps, 3 seeds: measured before this study was written
CALIBRATION = {
    "p4, random": (0.641, 0.161, 0.581),
    "p4, A-SSL": (0.421, 0.283, 0.0051),
    "p4, H-SSL": (0.436, 0.305, 0.0034),
    "CNN, A-SSL": (0.455, 0.265, 0.0124),
    "CNN, “H-SSL”": (0.674, 0.175, 1.48),
}
PREDICTING = ("BYOL", "SimSiam")
"""Objectives of the table that predict one view's embedding from the other's."""

ACCURACY_TOLERANCE = 0.15
CHANCE = 0.1
"""Accuracy of a guess among ten digits."""

INV_RATIO_FACTOR = 5.0


def table_claims(rows: list[SchemeScores], source: str) -> list[Claim]:
    """Structure is necessary; where it is there, H-SSL does what A-SSL does, in less time; calibrations beside it."""
    found = {row.name: row for row in rows}
    a, h, plain, broken = (found[name] for name in ("p4, A-SSL", "p4, H-SSL", "CNN, A-SSL", "CNN, “H-SSL”"))
    claims = [
        Claim.at_most(
            f"{row.name}: the embedding becomes invariant (inv-ratio, worst seed)",
            f"{PAPER}; {source}",
            bound=0.05,
            measured=row.inv_ratio.max(),
            interval=_interval(row.inv_ratio),
        )
        for row in (a, h, plain)
    ]
    claims += [
        Claim.at_least(
            "CNN, “H-SSL”: without the structure the same loss does not make it invariant (inv-ratio, best seed)",
            f"{PAPER}, structure is necessary; {source}",
            bound=0.2,
            measured=broken.inv_ratio.min(),
            interval=_interval(broken.inv_ratio),
        ),
        Claim.at_most(
            "CNN, “H-SSL”: what it learns is not carried to rotated digits (rotated accuracy less that of p4, H-SSL)",
            f"{PAPER}, structure is necessary; {source}",
            bound=0.0,
            measured=broken.rotated.mean() - h.rotated.mean(),
            interval=_interval(broken.rotated - h.rotated),
        ),
        Claim.equals(
            "p4: H-SSL is as accurate upright as A-SSL (difference of means)",
            f"{PAPER}; {source}",
            expected=0.0,
            measured=h.upright.mean() - a.upright.mean(),
            tolerance=0.05,
            interval=_interval(h.upright - a.upright),
        ),
        Claim.equals(
            "p4: and as accurate rotated (difference of means)",
            f"{PAPER}; {source}",
            expected=0.0,
            measured=h.rotated.mean() - a.rotated.mean(),
            tolerance=0.05,
            interval=_interval(h.rotated - a.rotated),
        ),
        Claim.at_most(
            "p4: one pass in place of two (time of H-SSL by that of A-SSL, median over seeds)",
            f"{PAPER}; {source}",
            bound=0.75,
            measured=np.median(h.seconds / a.seconds),
            interval=_interval(h.seconds / a.seconds),
        ),
    ]
    return claims + [claim for objective in PREDICTING for claim in _predicting(found, objective, source)]


def _predicting(found: Mapping[str, SchemeScores], objective: str, source: str) -> list[Claim]:
    """The same of a method that predicts one view from the other, which the identity covers as well."""
    a, h = (found[f"p4, {kind}, {objective}"] for kind in ("A-SSL", "H-SSL"))
    return [
        *(
            Claim.equals(
                f"p4, {objective}: H-SSL is as accurate {quantity} as A-SSL (difference of means)",
                f"{PAPER}; {source}",
                expected=0.0,
                measured=getattr(h, quantity).mean() - getattr(a, quantity).mean(),
                tolerance=0.05,
                interval=_interval(getattr(h, quantity) - getattr(a, quantity)),
            )
            for quantity in ("upright", "rotated")
        ),
        Claim.at_most(
            f"p4, H-SSL, {objective}: the embedding becomes invariant (inv-ratio, worst seed)",
            f"{PAPER}; {source}",
            bound=0.05,
            measured=h.inv_ratio.max(),
            interval=_interval(h.inv_ratio),
        ),
    ]


def calibration_claims(rows: list[SchemeScores], source: str) -> list[Claim]:
    """Accuracies and inv-ratios of the rows that were measured earlier; width and batch of that network are not known.

    Hence the tolerances: 0.15 of an accuracy, but at most half of what sets it apart from chance, and a factor of five
    of an inv-ratio, which spans three orders.
    """
    source = f"not in the paper: this project's calibration, an earlier network of the same kind; {source}"
    claims = []
    for row in (row for row in rows if row.name in CALIBRATION):
        upright, rotated, inv_ratio = CALIBRATION[row.name]
        for quantity, expected in (("upright", upright), ("rotated", rotated)):
            claims.append(
                Claim.equals(
                    f"{row.name}: accuracy {quantity} (chance {CHANCE})",
                    source,
                    expected=expected,
                    measured=getattr(row, quantity).mean(),
                    tolerance=min(ACCURACY_TOLERANCE, abs(expected - CHANCE) / 2),
                    interval=_interval(getattr(row, quantity)),
                )
            )
        claims.append(
            Claim.equals(
                f"{row.name}: inv-ratio of {inv_ratio:.2g} (log₁₀ of measured by calibration, geometric mean)",
                source,
                expected=0.0,
                measured=np.log10(row.inv_ratio).mean() - np.log10(inv_ratio),
                tolerance=np.log10(INV_RATIO_FACTOR),
                interval=_interval(np.log10(row.inv_ratio)),
            )
        )
    return claims


def _interval(sample: np.ndarray) -> float | None:
    """Half of the 95 % interval over the seeds; None for one seed."""
    return half_width(sample) if len(sample) > 1 else None


def sweep_claims(rows: list[SchemeScores]) -> list[Claim]:
    """What the filter says of distances: those that alias do not make invariant."""
    found = {row.name: float(row.inv_ratio.mean()) for row in rows}
    source = f"{PAPER}, topographic distance as strength of augmentation"
    return [
        Claim.at_least(
            "quarter turns: fibers at distance 2 leave the embedding as changeable as the filter says, those of all "
            "distances do not (ratio of inv-ratios)",
            source,
            bound=10.0,
            measured=found["c4, distance 2"] / found["c4, window 2"],
        )
    ]
