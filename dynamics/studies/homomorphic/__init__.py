"""Keller, Suau & Zappella 2023: positive pairs from the fibers of an equivariant network."""

PAPER = "Keller et al. 2023"
"""How claims and figures cite the paper."""
