"""Bizeul, Schölkopf & Allen 2024: the generative model behind SSL."""
