"""Figures of trajectories: functions that draw on an Axes, and figures put together from them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
