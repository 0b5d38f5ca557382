"""Group-equivariant convolutional network, as an architecture that can be forecast and trained."""

from dataclasses import dataclass

from dynamics.errors import ConfigError
from dynamics.networks.base import Architecture
from dynamics.networks.equivariant import EquivariantNetwork
from dynamics.networks.groups import PlaneGroup
from dynamics.networks.layers import Layers


@dataclass(frozen=True, kw_only=True)
class GroupConvNet(Architecture):
    """Lifting and group convolutions without biases; the embedding of an image is that of fiber 0.

    Parameters
    ----------
    group : PlaneGroup
        The group G, made for images of the size of the views.
    width : int
        Channels of a fiber in each layer.
    depth : int
        Number of convolutions, the lifting included.
    kernel_size : int
        Side of the square filters, in pixels; odd.
    head : {"flatten", "pool"}
        How positions that G does not shift become features: `flatten` joins them, `pool` averages over them.
    activation, w_std, b_std
        See `Architecture`; scales other than the default are not offered.
    """

    group: PlaneGroup
    width: int = 16
    depth: int = 2
    kernel_size: int = 3
    head: str = "flatten"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("width", "depth", "kernel_size")
        self._require_head(self.head)
        if self.kernel_size % 2 == 0:
            raise ConfigError(f"GroupConvNet: kernel_size is {self.kernel_size}; give an odd number.")
        if self.w_std is not None or self.b_std is not None:
            raise ConfigError("GroupConvNet: w_std and b_std are fixed; leave them out.")

    def module(self, dim: int) -> EquivariantNetwork:
        """Return the finite network with `dim` outputs as a Flax Linen module; `ConfigError` if `dim` is below 1."""
        if dim < 1:
            raise ConfigError(f"GroupConvNet: dim is {dim}; give an integer of at least 1.")
        return EquivariantNetwork(
            self.group, self.width, dim, self.depth, self.kernel_size, activation=self.activation, head=self.head
        )

    def layers(self) -> Layers:
        """Raise `ConfigError`: lifted maps are not in the vocabulary of infinite-width kernels."""
        raise ConfigError(f"{self._name} has no infinite-width kernel here; use its empirical kernel.")

    @property
    def has_infinite_width(self) -> bool:
        """False: `layers` raises."""
        return False

    def check_input(self, shape: tuple[int, ...]) -> None:
        """Raise `ConfigError` unless views are images (height, width, channels) of the group's size."""
        self._require_images(shape)
        self.group.check_images(shape)
