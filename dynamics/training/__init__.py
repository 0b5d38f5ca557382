"""Training of real networks, recorded as trajectories."""

from dynamics.training.full_batch import gradient_descent, recording_steps
from dynamics.training.preconditioning import precondition_modes, precondition_spectrum
from dynamics.training.small_network import SmallNetwork, small_network

__all__ = [
    "SmallNetwork",
    "gradient_descent",
    "precondition_modes",
    "precondition_spectrum",
    "recording_steps",
    "small_network",
]
