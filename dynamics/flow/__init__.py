"""Theory: contrastive modes to trajectories."""

from dynamics.flow.closed_form import closed_form
from dynamics.flow.ode import kernel_flow

__all__ = ["closed_form", "kernel_flow"]
