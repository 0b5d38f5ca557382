"""Rungs 0 to 3 of one experiment: its pairs, its network, the kernel that drives it, its forecast and its training."""
