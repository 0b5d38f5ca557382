"""The probabilistic model behind self-supervised learning (Bizeul et al. 2024).

SimVAE and its baselines on the same encoder, what their representations know, and the cases that are solved exactly.
"""

from dynamics.generative.elbo import CODE_ENTROPY_WEIGHT, ElboTerms, elbo
from dynamics.generative.entropy import gaussian_objective, vicreg_expansion, vicreg_weights
from dynamics.generative.evaluation import Clustering, cluster, evaluate, frechet_distance, mlp_probe, style_probe
from dynamics.generative.fitting import Fitted, fit
from dynamics.generative.likelihood import Bernoulli, Gaussian, Likelihood
from dynamics.generative.linear import TiedPLDA, plda_log_likelihood
from dynamics.generative.linear_flow import LinearRun, linear_elbo, plda_flow, simvae_flow
from dynamics.generative.linear_forecast import arrival_times, plda_forecast, simvae_forecast, simvae_growth
from dynamics.generative.mehler import (
    mehler_eigenvalues,
    mutual_information,
    pair_operator,
    pointwise_mutual_information,
)
from dynamics.generative.methods import METHODS, Method, make_method
from dynamics.generative.model import SimVAE
from dynamics.generative.posterior import Posterior
from dynamics.generative.prior import FlatPrior, GaussianPrior, Prior

__all__ = [
    "CODE_ENTROPY_WEIGHT",
    "METHODS",
    "Bernoulli",
    "Clustering",
    "ElboTerms",
    "Fitted",
    "FlatPrior",
    "Gaussian",
    "GaussianPrior",
    "Likelihood",
    "LinearRun",
    "Method",
    "Posterior",
    "Prior",
    "SimVAE",
    "TiedPLDA",
    "arrival_times",
    "cluster",
    "elbo",
    "evaluate",
    "fit",
    "frechet_distance",
    "gaussian_objective",
    "linear_elbo",
    "make_method",
    "mehler_eigenvalues",
    "mlp_probe",
    "mutual_information",
    "pair_operator",
    "plda_flow",
    "plda_forecast",
    "plda_log_likelihood",
    "pointwise_mutual_information",
    "simvae_flow",
    "simvae_forecast",
    "simvae_growth",
    "style_probe",
    "vicreg_expansion",
    "vicreg_weights",
]
