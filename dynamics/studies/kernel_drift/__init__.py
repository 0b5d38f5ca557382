"""Fleissner et al. 2024 and Anil et al. 2024: under which self-supervised losses the tangent kernel stays."""

PAPER = "Fleissner et al. 2024 and Anil et al. 2024"
"""How the study as a whole is cited."""

BARLOW_TWINS = "Fleissner et al. 2024 (arXiv 2411.11176), abstract"
CONTRASTIVE = "Anil et al. 2024 (arXiv 2403.08673), abstract"
