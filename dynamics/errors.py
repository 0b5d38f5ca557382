"""The errors a user can cause.

Every one carries a single sentence that says what is wrong, where, and what to do. Library code raises them; the
command line prints them and exits with status 2.
"""


class DynamicsError(Exception):
    """Base of every error that a user's input can cause."""


class DataError(DynamicsError):
    """Views that cannot be used: a missing or corrupt file, NaN, constant images, partners of different shape."""


class CollapseError(DynamicsError):
    """More embedding dimensions were asked for than there are positive contrastive modes to learn."""


class StabilityError(DynamicsError):
    """A learning rate above the stability limit of gradient descent."""


class DivergenceError(DynamicsError):
    """A run whose loss stopped being finite."""


class ConvergenceError(DynamicsError):
    """An iterative solver that did not come as close as it was asked to."""


class KernelError(DynamicsError):
    """A Gram matrix that is not what a kernel gives: not finite, not symmetric, not positive semi-definite."""


class CapacityError(DynamicsError):
    """Work that needs more memory, or more room on the disk, than there is."""


class ConfigError(DynamicsError):
    """A setting outside its range, or two settings that exclude each other."""
