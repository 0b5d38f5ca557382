"""Rung 4: the practical recipe, with normalisation, minibatches and fresh views, and how much of it kernels explain."""

import lazy_loader

# loaded when they are used, so that the command line knows the settings without loading JAX
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
