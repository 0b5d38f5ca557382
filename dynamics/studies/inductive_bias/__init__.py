"""HaoChen & Ma 2023: what a limited class of functions learns."""
