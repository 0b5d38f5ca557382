"""Rung 4: the practical recipe, with normalisation, minibatches and fresh views, and how much of it kernels explain."""
