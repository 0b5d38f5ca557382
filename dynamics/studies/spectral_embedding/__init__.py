"""Balestriero & LeCun 2022: VICReg, SimCLR and Barlow Twins as spectral methods."""
