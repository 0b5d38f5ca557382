"""The fourth stage of an experiment: the output multiplier, which says how lazy the network is (Chizat et al. 2019)."""

from dynamics.modes import ContrastiveModes

# How much of the readout's random norm the learned readout may reach, (1/γ_d)/(c² N). Measured on digits with residual
# networks of width 8–64: the median error of the forecast is about 10 × this number, so 2e-3 keeps it near 2 %.
LAZINESS = 2e-3


def laziness(modes: ContrastiveModes, *, dim: int, readout_width: int) -> float:
    """How much of the readout's random norm the learned readout reaches, (1/γ_d)/(c² N).

    The eigenvalues are those of the kernel with its multiplier c. The smaller the number, the longer the kernel stays
    what it was at the start. It is 0 if no mode is learned.
    """
    last = min(dim, modes.num_positive) - 1
    return 0.0 if last < 0 else float(1.0 / (modes.eigenvalues[last] * readout_width))


def lazy_multiplier(modes: ContrastiveModes, *, dim: int, readout_width: int) -> float:
    """Smallest multiplier c ≥ 1 at which the learned weights stay small against the random ones.

    It solves (1/γ_d)/(c² N) = `LAZINESS`, with the last eigenvalue γ_d that is learned at multiplier 1 and the width N
    of the readout.
    """
    return max(1.0, (laziness(modes, dim=dim, readout_width=readout_width) / LAZINESS) ** 0.5)
