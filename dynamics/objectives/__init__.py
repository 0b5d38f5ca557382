"""Losses as plain functions, one file each."""

from dynamics.objectives.barlow_twins import barlow_twins, correlation_loss, cross_correlation

__all__ = ["barlow_twins", "correlation_loss", "cross_correlation"]
