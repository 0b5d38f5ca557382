"""Simon et al. 2023: embeddings are learned one dimension at a time."""
