"""HaoChen & Ma 2023: what a limited class of functions learns."""

PAPER = "HaoChen & Ma 2023"
"""How claims and figures cite the paper."""
