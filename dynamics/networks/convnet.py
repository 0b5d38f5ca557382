"""Plain convolutional network."""

from dataclasses import dataclass

from dynamics.networks.base import HEADS, Architecture
from dynamics.networks.layers import Activation, Conv, Layers, Tap


@dataclass(frozen=True)
class ConvNet(Architecture):
    """Stack of convolutions at full resolution with zero padding.

    Parameters
    ----------
    width : int
        Channels of each layer.
    depth : int
        Number of convolutions.
    kernel_size : int
        Side of the square filters, in pixels.
    head : {"flatten", "pool"}
        How the last images become features: flattened, or averaged over all positions. The infinite-width kernel with
        "pool" costs O(pixels²) a pair of views, with "flatten" O(pixels).
    activation, w_std, b_std
        See `Architecture`.
    """

    width: int = 64
    depth: int = 3
    kernel_size: int = 3
    head: str = "flatten"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("width", "depth", "kernel_size")
        self._require_head(self.head)

    def layers(self) -> Layers:
        """Return the declaration; every hidden layer but the last, which is `features`, can be watched."""
        layers: Layers = ()
        for index in range(1, self.depth + 1):
            name = f"layer{index}"
            layers += (
                Conv(name, self.width, self.kernel_size, 1, self._gain, self.b_std),
                Activation(self.activation),
            )
            if index < self.depth:
                layers += (Tap(name),)
        return (*layers, HEADS[self.head])

    def check_input(self, shape: tuple[int, ...]) -> None:
        """Raise `ConfigError` unless views are images (height, width, channels)."""
        self._require_images(shape)
