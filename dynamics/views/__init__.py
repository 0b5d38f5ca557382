"""What a learner sees: positive pairs of views."""

from dynamics.views.pairs import Pairs

__all__ = ["Pairs"]
