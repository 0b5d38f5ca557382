"""Simon et al. 2023: embeddings are learned one dimension at a time."""

PAPER = "Simon et al. 2023"
"""How claims and figures cite the paper."""
