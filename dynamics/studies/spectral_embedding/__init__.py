"""Balestriero & LeCun 2022: VICReg, SimCLR and Barlow Twins as spectral methods."""

PAPER = "Balestriero & LeCun 2022"
"""How claims and figures cite the paper."""
