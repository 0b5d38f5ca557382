"""Claims about β, α and the bound of Theorem 3.6 on trained networks, and about φ_m and the error of a probe."""

import numpy as np
import scipy.stats
from jaxtyping import Float

from dynamics.studies.claims import Claim
from dynamics.studies.inductive_bias import PAPER
from dynamics.studies.inductive_bias.implementable import Implementable
from dynamics.studies.statistics import half_width


def interval(sample: Float[np.ndarray, " seeds"]) -> float | None:
    """Half of the 95 % interval over the seeds; None for one seed."""
    return half_width(sample) if len(sample) > 1 else None


def cluster_claims(measured: Implementable) -> list[Claim]:
    """β against α, the theorem's bound, and the order of architectures by φ_m and by the error of a probe."""
    claims = []
    source = f"{measured.dataset}, linear functions of the outputs of trained networks"
    for name, probes in measured.clusters.items():
        ratio = np.array([probe.beta / max(probe.alpha, 1e-12) for probe in probes])
        beta = np.array([probe.beta for probe in probes])
        claims.append(
            Claim.at_least(
                f"{name}: no trained function splits a class more easily than pairs cross classes (β of Assumption "
                f"3.3, {beta.mean():.2g} at most, over the share α of pairs that a head puts into two classes)",
                f"{PAPER}, Assumptions 3.1 and 3.3, whose β is not estimated in the paper; {source}",
                bound=1.0,
                measured=ratio.mean(),
                interval=interval(ratio),
            )
        )
    every = [probe for probes in measured.clusters.values() for probe in probes]
    # where α ≥ P_min the theorem says nothing that could be obeyed
    shares = [probe.cluster_error / probe.bound for probe in every if np.isfinite(probe.bound)]
    claims += [
        Claim.at_most(
            "the error of a head on the classes that it sees obeys the bound of Theorem 3.6 at the estimated α and β "
            f"(largest error/bound of the {len(shares)} of {len(every)} networks with α < P_min)",
            f"{PAPER}, Theorem 3.6, whose Assumption 3.4 holds for these classes only nearly; {source}",
            bound=1.0,
            measured=max(shares, default=np.nan),
        ),
        Claim.at_least(
            f"and for some network the bound says something: it is below 0.9, the error of the best constant for ten "
            f"classes (number of networks, of {len(every)})",
            f"{PAPER}, Theorem 3.6; {source}; the paper evaluates no bound",
            bound=1,
            measured=sum(probe.bound < 0.9 for probe in every),
        ),
    ]
    return [*claims, order_claim(measured)]


def order_claim(measured: Implementable) -> Claim:
    """Whether architectures with smaller φ_m have a smaller error of a probe, over all networks."""
    phi = np.concatenate([rows[:, -1] for rows in measured.phi.values()])
    error = np.array([probe.error for probes in measured.clusters.values() for probe in probes])
    known = np.isfinite(phi) & np.isfinite(error)
    found = scipy.stats.spearmanr(phi[known], error[known]) if known.sum() > 3 else None
    correlation = np.nan if found is None else float(found.statistic)
    chance = "" if found is None else f"; p = {found.pvalue:.2g}"
    return Claim.at_least(
        f"the order of networks by φ_m at m = {measured.sizes[-1]} is that by the error of a probe (rank correlation "
        f"over {known.sum()} networks of {len(measured.phi)} architectures{chance})",
        f"{PAPER}: agreement is what an architecture is judged by, while its probe error is not reported; "
        f"{measured.dataset}; the bound is this project's",
        bound=0.5,
        measured=correlation,
    )
