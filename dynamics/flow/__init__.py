"""Theory: the course of training, computed from the modes of a kernel and the function before training."""

from dynamics.flow.batch import embeddings_at, kernel_flow_batch
from dynamics.flow.closed_form import closed_form
from dynamics.flow.descent import kernel_descent, matrix_kernel_descent
from dynamics.flow.growth import GrowthModes, growth_modes
from dynamics.flow.matrix_ode import matrix_growth_rate, matrix_kernel_flow
from dynamics.flow.objective_flow import objective_flow
from dynamics.flow.ode import kernel_flow
from dynamics.flow.truncation import Truncation, truncate
from dynamics.flow.whitened import logistic_energy, selection_rates, whitened_flow

__all__ = [
    "GrowthModes",
    "Truncation",
    "closed_form",
    "embeddings_at",
    "growth_modes",
    "kernel_descent",
    "kernel_flow",
    "kernel_flow_batch",
    "logistic_energy",
    "matrix_growth_rate",
    "matrix_kernel_descent",
    "matrix_kernel_flow",
    "objective_flow",
    "selection_rates",
    "truncate",
    "whitened_flow",
]
