"""What an embedding has learned, one direction after another: directions, plateaus between steps, ranks on them.

>>> import numpy as np
>>> from dynamics.trajectories.trajectory import Trajectory
>>> t = np.linspace(0, 10, 101)
>>> u = 1 / (1 + np.exp(-8 * (t[:, None] - [3.0, 7.0])))  # two steps
>>> F = np.sqrt(u)[:, None, :] * np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
>>> trajectory = Trajectory(t, u, ((1 - u) ** 2).sum(axis=1), embeddings=F, embedding_times=t)
>>> [(plateau.learned, round(plateau.time, 1)) for plateau in plateaus(trajectory)]
[(1, 5.0), (2, 8.5)]
>>> np.abs(learned_directions(trajectory)).round(2)
array([[1., 0.],
       [0., 1.]])
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dynamics.trajectories.comparison import learning_times
from dynamics.trajectories.trajectory import Trajectory
from dynamics.typing import Embedding


class Plateau(NamedTuple):
    """Embeddings (2n, d), centred, in the middle between step r and the next one, or the end of the run."""

    learned: int
    time: float
    embeddings: Embedding


def plateaus(trajectory: Trajectory) -> list[Plateau]:
    """One plateau for every dimension that was learned; the snapshot nearest to its middle."""
    assert trajectory.embeddings is not None and trajectory.embedding_times is not None
    times = learning_times(trajectory)
    steps = np.sort(times[np.isfinite(times)])
    ends = np.append(steps[1:], trajectory.times[-1])
    found = []
    for r, middle in enumerate((steps + ends) / 2, start=1):
        at = int(np.abs(trajectory.embedding_times - middle).argmin())
        F = trajectory.embeddings[at].astype(np.float64)
        found.append(Plateau(r, float(trajectory.embedding_times[at]), F - F.mean(axis=0)))
    return found


def learned_directions(trajectory: Trajectory) -> Float[np.ndarray, "dim modes"]:
    """Orthonormal directions of the embedding in the order in which they were learned, one for each learned dimension.

    Direction r has the most variance on plateau r among those orthogonal to the directions before it.
    """
    V = np.zeros((trajectory.dim, 0))
    for plateau in plateaus(trajectory):
        rest = plateau.embeddings - plateau.embeddings @ V @ V.T
        V = np.c_[V, np.linalg.svd(rest, full_matrices=False)[2][0]]
    return V
