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
from typing import Any, Literal, SupportsFloat


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
    interval : float, optional
        Half of the 95 % confidence interval of the measured number over seeds; None where one number was measured.
    """

    claim: str
    source: str
    expected: float
    measured: float
    tolerance: float
    verdict: Literal["holds", "fails", "unknown"]
    relation: Literal["=", "≤", "≥"] = "="
    interval: float | None = None

    @staticmethod
    def equals(
        claim: str,
        source: str,
        *,
        expected: SupportsFloat,
        measured: SupportsFloat,
        tolerance: SupportsFloat,
        interval: SupportsFloat | None = None,
    ) -> "Claim":
        """Claim that a number has a value, within a tolerance stated beforehand."""
        holds = abs(float(measured) - float(expected)) <= float(tolerance)
        return _decided(claim, source, expected, measured, tolerance, holds, "=", interval)

    @staticmethod
    def at_most(
        claim: str,
        source: str,
        *,
        bound: SupportsFloat,
        measured: SupportsFloat,
        interval: SupportsFloat | None = None,
    ) -> "Claim":
        """Claim that a number stays at or below a bound."""
        return _decided(claim, source, bound, measured, 0.0, float(measured) <= float(bound), "≤", interval)

    @staticmethod
    def at_least(
        claim: str,
        source: str,
        *,
        bound: SupportsFloat,
        measured: SupportsFloat,
        interval: SupportsFloat | None = None,
    ) -> "Claim":
        """Claim that a number reaches a bound."""
        return _decided(claim, source, bound, measured, 0.0, float(measured) >= float(bound), "≥", interval)

    @property
    def expectation(self) -> str:
        """What is expected, as text: a value with its tolerance, or a bound with its sign."""
        if self.relation == "=":
            return f"{self.expected:.4g} ± {self.tolerance:.2g}"
        return f"{self.relation} {self.expected:.4g}"

    @property
    def measurement(self) -> str:
        """What was measured, as text: with half of its 95 % interval where there is one, and a dash for nothing."""
        if math.isnan(self.measured):
            return "–"
        return f"{self.measured:.4g}" + ("" if self.interval is None else f" ± {self.interval:.2g}")


def failing_first(claims: Sequence[Claim]) -> list[Claim]:
    """The claims that fail, then those that could not be measured, then those that hold; each in their order."""
    return sorted(claims, key=lambda claim: ("fails", "unknown", "holds").index(claim.verdict))


def counted(claims: Sequence[Claim]) -> str:
    """How many claims hold and how many could not be measured, as a sentence."""
    holding, unknown = (sum(claim.verdict == verdict for claim in claims) for verdict in ("holds", "unknown"))
    return f"{holding} of {len(claims)} claims hold" + (f"; {unknown} could not be measured." if unknown else ".")


def save_claims(claims: Sequence[Claim], path: str | Path) -> None:
    """Write the claims as a JSON list of objects, atomically; a number that could not be measured becomes null."""
    from dynamics.support import files  # needs NumPy, which `--help` does not wait for

    files.save_json(path, [asdict(claim) for claim in claims])


def load_claims(path: str | Path) -> list[Claim]:
    """Read claims that `save_claims` wrote; `DataError` if the file holds something else."""
    from dynamics.support.schema import as_record, load_record

    rows = load_record(path, list[dict[str, Any]])
    whole = [{**row, "measured": math.nan} if row.get("measured", 0) is None else row for row in rows]
    return as_record(path, whole, list[Claim])


def _decided(claim, source, expected, measured, tolerance, holds, relation, interval) -> Claim:
    verdict = "unknown" if math.isnan(measured) else "holds" if holds else "fails"
    half = None if interval is None else float(interval)
    return Claim(claim, source, float(expected), float(measured), float(tolerance), verdict, relation, half)
