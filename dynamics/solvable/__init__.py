"""Models of self-supervised learning that can be solved, on the same pairs and with the same `Trajectory`."""

from dynamics.solvable.deep_linear import deep_linear, deep_linear_times
from dynamics.solvable.directpred import directpred, directpred_fixed_points, directpred_modes, directpred_times
from dynamics.solvable.lagging_teacher import lagging_fixed_point, lagging_stability, lagging_teacher
from dynamics.solvable.latent_prediction import jepa, jepa_times, mae, mae_times
from dynamics.solvable.preconditioned import preconditioned, preconditioned_correlation, preconditioned_times
from dynamics.solvable.registry import MODELS, SolvableModel, solvable_model
from dynamics.solvable.saddle import escape, escape_times
from dynamics.solvable.task import Task
from dynamics.solvable.variance_regularisation import variance_regularisation, variance_regularisation_times
from dynamics.solvable.word_embedding import word_embedding, word_embedding_flow, word_embedding_times

__all__ = [
    "MODELS",
    "SolvableModel",
    "Task",
    "deep_linear",
    "deep_linear_times",
    "directpred",
    "directpred_fixed_points",
    "directpred_modes",
    "directpred_times",
    "escape",
    "escape_times",
    "jepa",
    "jepa_times",
    "lagging_fixed_point",
    "lagging_stability",
    "lagging_teacher",
    "mae",
    "mae_times",
    "preconditioned",
    "preconditioned_correlation",
    "preconditioned_times",
    "solvable_model",
    "variance_regularisation",
    "variance_regularisation_times",
    "word_embedding",
    "word_embedding_flow",
    "word_embedding_times",
]
