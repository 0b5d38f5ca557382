import numpy as np
import pytest
from matrix_flow import problem

from dynamics.errors import ConfigError
from dynamics.solvable import MODELS, solvable_model


@pytest.mark.parametrize("name", MODELS)
def test_every_model_runs_from_a_small_start_to_its_end(rng, name):
    task = problem(rng, [2e-3, 1e-3, 3e-3]).task
    trajectory = solvable_model(name)(task)
    tau = trajectory.mode_step_times
    assert trajectory.dim == 3 and trajectory.solution.source == MODELS[name].source
    assert (np.isfinite(tau) & (tau > 0)).all() and tau.max() < trajectory.times[-1] < 2 * tau.max()
    assert (np.diff(trajectory.eigenvalues, axis=0) >= -1e-9).all()
    last = tau.argmax() if name not in ("preconditioned", "word-embedding") else 2
    assert trajectory.eigenvalues[-1, last] > 0.5 * trajectory.solution.targets[last]
    assert np.isfinite(trajectory.loss).all()


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError) as error:
        solvable_model("dino")
    assert "dino" in str(error.value) and all(name in str(error.value) for name in MODELS)
