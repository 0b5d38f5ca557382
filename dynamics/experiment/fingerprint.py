"""Whether a recorded run is the run of an experiment: by hashes of its pairs, its network and its objective.

>>> from dynamics.experiment import Config, prepare
>>> experiment = prepare(Config(num_pairs=16, dim=3, network="mlp", width=32))
>>> sorted(fingerprint(experiment))
['network', 'objective', 'pairs']
"""

import jax
import numpy as np

from dynamics.errors import ConfigError
from dynamics.experiment.preparation import Experiment
from dynamics.support.hashes import content_hash
from dynamics.trajectories.metrics import correlation_spectrum
from dynamics.trajectories.trajectory import Trajectory

_SAME_START = 0.01
"""Spectra at the start agree to this share of their largest value, TF32 products of an accelerator included."""


def fingerprint(experiment: Experiment) -> dict[str, str]:
    """Hashes of what decides the course of a run besides its learning rate and its length.

    Returns
    -------
    dict
        `pairs`: the views; `network`: the architecture, its random parameters and how it was made small; `objective`:
        whether the embeddings are centred.
    """
    config = experiment.config
    start = f"{experiment.random.description} {config.init} {config.init_scale!r} {experiment.multiplier:.6g}"
    return {
        "pairs": content_hash(experiment.pairs.stacked),
        "network": content_hash(start, *jax.tree.leaves(experiment.random.params)),
        "objective": "centred" if config.center else "not centred",
    }


def require_same_run(experiment: Experiment, measured: Trajectory) -> None:
    """Raise `ConfigError` unless a recorded run may be that of an experiment.

    Hashes tell. Where they differ, or the recorder did not keep them, the spectrum at step 0 decides: on other devices
    the same settings make the same network up to the last digits. A record without either is taken as it is.

    Parameters
    ----------
    experiment : Experiment
        The prepared experiment.
    measured : Trajectory
        The recorded run, or the part of it that there is.
    """
    if measured.dim != experiment.config.dim:
        raise ConfigError(
            f"The recorded run has {measured.dim} embedding dimensions and these settings {experiment.config.dim}; "
            "give both the same `dim`."
        )
    wanted = fingerprint(experiment)
    other = [name for name, value in measured.fingerprint.items() if value != wanted.get(name)]
    if measured.fingerprint and not other:
        return
    recorded = _recorded_start(measured)
    if recorded is None and not other:
        return
    if recorded is not None:
        start = correlation_spectrum(experiment.initial_embeddings)
        if np.abs(start - recorded).max() <= _SAME_START * np.abs(start).max():
            return
    differs = " and ".join(f"other {name}" if name == "pairs" else f"another {name}" for name in other)
    raise ConfigError(
        f"The recorded run is one of {differs or 'another network or other pairs'} than these settings make; give the "
        "settings with which the run was started."
    )


def _recorded_start(measured: Trajectory) -> np.ndarray | None:
    begins = len(measured.times) > 0 and measured.times[0] == 0
    return measured.eigenvalues[0] if begins and np.isfinite(measured.eigenvalues[0]).all() else None
