"""Keller, Suau & Zappella 2023: positive pairs from the fibers of an equivariant network."""
