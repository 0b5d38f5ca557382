"""Theory: contrastive modes to trajectories."""

from dynamics.flow.closed_form import closed_form
from dynamics.flow.descent import kernel_descent, matrix_kernel_descent
from dynamics.flow.growth import GrowthModes, growth_modes
from dynamics.flow.matrix_ode import matrix_growth_rate, matrix_kernel_flow
from dynamics.flow.objective_flow import objective_flow
from dynamics.flow.ode import kernel_flow

__all__ = [
    "GrowthModes",
    "closed_form",
    "growth_modes",
    "kernel_descent",
    "kernel_flow",
    "matrix_growth_rate",
    "matrix_kernel_descent",
    "matrix_kernel_flow",
    "objective_flow",
]
