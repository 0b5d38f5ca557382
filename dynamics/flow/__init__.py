"""Theory: the course of training, computed from the modes of a kernel and the function before training."""

from dynamics.flow.batch import embeddings_at, kernel_flow_batch
from dynamics.flow.bilinear import BilinearModel, bilinear_descent, bilinear_flow, model_of_kernel
from dynamics.flow.bilinear_exact import exact_bilinear_descent
from dynamics.flow.closed_form import closed_form
from dynamics.flow.descent import kernel_descent, matrix_kernel_descent
from dynamics.flow.growth import GrowthModes, growth_modes
from dynamics.flow.learned_first import LearnedFirst, learned_first
from dynamics.flow.matrix_ode import matrix_growth_rate, matrix_kernel_flow
from dynamics.flow.mean_field import mean_field_flow
from dynamics.flow.objective_flow import objective_flow
from dynamics.flow.ode import kernel_flow
from dynamics.flow.readout_network import ReadoutNetwork
from dynamics.flow.reduction import Reduction, reduced_model
from dynamics.flow.relinearised import relinearised_descent
from dynamics.flow.saddles import SaddlePath, saddle_to_saddle_flow
from dynamics.flow.teacher import teacher_flow
from dynamics.flow.truncation import Truncation, truncate
from dynamics.flow.whitened import logistic_energy, selection_rates, whitened_flow

__all__ = [
    "BilinearModel",
    "GrowthModes",
    "LearnedFirst",
    "ReadoutNetwork",
    "Reduction",
    "SaddlePath",
    "Truncation",
    "bilinear_descent",
    "bilinear_flow",
    "closed_form",
    "embeddings_at",
    "exact_bilinear_descent",
    "growth_modes",
    "kernel_descent",
    "kernel_flow",
    "kernel_flow_batch",
    "learned_first",
    "logistic_energy",
    "matrix_growth_rate",
    "matrix_kernel_descent",
    "matrix_kernel_flow",
    "mean_field_flow",
    "model_of_kernel",
    "objective_flow",
    "reduced_model",
    "relinearised_descent",
    "saddle_to_saddle_flow",
    "selection_rates",
    "teacher_flow",
    "truncate",
    "whitened_flow",
]
