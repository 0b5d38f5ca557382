"""Bizeul, Schölkopf & Allen 2024: the generative model behind SSL."""

PAPER = "Bizeul et al. 2024"
"""How claims and figures cite the paper."""
