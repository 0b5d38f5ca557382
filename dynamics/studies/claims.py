"""Claims of a paper as numbers: what is expected, what came out, and whether it holds.

>>> from dynamics.studies import Claim
>>> Claim.equals("steps come on time (ratio)", "Prop. 4.1", expected=1.0, measured=1.02, tolerance=0.05).verdict
'holds'
>>> Claim.at_least("subspaces align", "Fig. 4", bound=0.9, measured=0.7).verdict
'fails'
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, SupportsFloat


@dataclass(frozen=True)
class Claim:
    """One claim and its verdict; `equals`, `at_most` and `at_least` compute it.

    Parameters
    ----------
    claim : str
        A sentence that says what should be so, and in which setting.
    source : str
        Place where the claim is made, such as `Simon et al. 2023, Prop. 4.1`.
    expected : float
        Value or bound that the claim states.
    measured : float
        Value that was measured; NaN if it could not be measured.
    tolerance : float
        Largest |measured − expected| at which an equality is said to hold; 0 for bounds.
    verdict : {"holds", "fails", "unknown"}
        Unknown if nothing was measured.
    relation : {"=", "≤", "≥"}
        How measured and expected should stand to each other.
    """

    claim: str
    source: str
    expected: float
    measured: float
    tolerance: float
    verdict: Literal["holds", "fails", "unknown"]
    relation: Literal["=", "≤", "≥"] = "="

    @staticmethod
    def equals(
        claim: str, source: str, *, expected: SupportsFloat, measured: SupportsFloat, tolerance: SupportsFloat
    ) -> "Claim":
        """Claim that a number has a value, within a tolerance stated beforehand."""
        holds = abs(float(measured) - float(expected)) <= float(tolerance)
        return _decided(claim, source, expected, measured, tolerance, holds, "=")

    @staticmethod
    def at_most(claim: str, source: str, *, bound: SupportsFloat, measured: SupportsFloat) -> "Claim":
        """Claim that a number stays at or below a bound."""
        return _decided(claim, source, bound, measured, 0.0, float(measured) <= float(bound), "≤")

    @staticmethod
    def at_least(claim: str, source: str, *, bound: SupportsFloat, measured: SupportsFloat) -> "Claim":
        """Claim that a number reaches a bound."""
        return _decided(claim, source, bound, measured, 0.0, float(measured) >= float(bound), "≥")


def save_claims(claims: Sequence[Claim], path: str | Path) -> None:
    """Write the claims as a JSON list of objects, atomically; a number that could not be measured becomes null."""
    from dynamics.support import files  # needs NumPy, which `--help` does not wait for

    files.save_json(path, [asdict(claim) for claim in claims])


def _decided(claim, source, expected, measured, tolerance, holds, relation) -> Claim:
    verdict = "unknown" if math.isnan(measured) else "holds" if holds else "fails"
    return Claim(claim, source, float(expected), float(measured), float(tolerance), verdict, relation)
