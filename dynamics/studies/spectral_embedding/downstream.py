"""The recommendations of both versions of the paper about which method suits which relation, as claims."""

from dynamics.studies.claims import Claim
from dynamics.studies.spectral_embedding import PAPER
from dynamics.studies.spectral_embedding.probes import HIGH_WEIGHTS, SMALL_WEIGHTS, Probes

HIGH, SMALL = (tuple(f"VICReg {weight}" for weight in weights) for weights in (HIGH_WEIGHTS, SMALL_WEIGHTS))
SIMCLR, BARLOW = ("SimCLR",), ("Barlow Twins",)


def downstream_claims(probes: Probes, num_seeds: int) -> list[Claim]:
    """The recommendations of both versions, one row for every method that a version recommends."""
    everything = {HIGH, SMALL, SIMCLR, BARLOW}
    recommended = (
        ("arXiv (a)", "aligned", "low", (HIGH,)),
        ("NeurIPS (a)", "aligned", "low", (HIGH, SIMCLR)),
        ("arXiv (b)", "misaligned", "full", (SMALL,)),
        ("NeurIPS (b)", "misaligned", "full", (SMALL, BARLOW)),
    )
    claims = []
    for space in ("linear", "kernel"):
        for version, relation, data, methods in recommended:
            rivals = everything - set(methods)
            if version == "arXiv (b)":
                rivals = {SIMCLR, BARLOW}  # the comparison that it makes
            for method in methods:
                names, mean, low = probes.advantage(space, relation, data, method, sum(sorted(rivals), ()))
                claims.append(
                    Claim.at_least(
                        f"{version}, {relation} relation, {data} data, {space} functions: {names} tests better, "
                        f"{mean:+.3f} (lower end of the 95 % interval)",
                        f"{PAPER}, recommendation {version[-3:]}, {version[:-4]} version; "
                        f"{probes.images[data]} {probes.name} images, {num_seeds} seeds",
                        bound=0.001,  # a tie is no advantage
                        measured=low,
                    )
                )
    return claims
