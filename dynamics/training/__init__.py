"""Training of real networks, recorded as trajectories."""

from dynamics.training.checkpoints import Checkpoints
from dynamics.training.full_batch import gradient_descent
from dynamics.training.loop import run
from dynamics.training.optimisers import effective_times, learning_rates, optimiser
from dynamics.training.preconditioning import precondition_modes, precondition_spectrum
from dynamics.training.recorder import SpectrumRecorder, recording_steps
from dynamics.training.small_network import SmallNetwork, small_network
from dynamics.training.state import TrainState, apply_gradient, initial_state

__all__ = [
    "Checkpoints",
    "SmallNetwork",
    "SpectrumRecorder",
    "TrainState",
    "apply_gradient",
    "effective_times",
    "gradient_descent",
    "initial_state",
    "learning_rates",
    "optimiser",
    "precondition_modes",
    "precondition_spectrum",
    "recording_steps",
    "run",
    "small_network",
]
