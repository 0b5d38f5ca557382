"""Fully connected network."""

from dataclasses import dataclass

from dynamics.errors import ConfigError
from dynamics.networks.base import Architecture
from dynamics.networks.layers import Activation, Dense, Flatten, Layers, Tap


@dataclass(frozen=True)
class MLP(Architecture):
    """Fully connected network on flattened views.

    Parameters
    ----------
    width : int
        Units of each hidden layer.
    depth : int
        Number of hidden layers.
    activation, w_std, b_std
        See `Architecture`.

    Examples
    --------
    >>> MLP(width=64, depth=2).parameter_count(input_shape=(8, 8, 1), dim=10)
    8832
    """

    width: int = 512
    depth: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("width", "depth")

    def layers(self) -> Layers:
        """Return the declaration; every hidden layer but the last, which is `features`, can be watched."""
        layers: Layers = (Flatten(),)
        for index in range(1, self.depth + 1):
            name = f"layer{index}"
            layers += (Dense(name, self.width, self._gain, self.b_std), Activation(self.activation))
            if index < self.depth:
                layers += (Tap(name),)
        return layers

    def check_input(self, shape: tuple[int, ...]) -> None:
        """Raise `ConfigError` for views without an entry."""
        if not shape or 0 in shape:
            raise ConfigError(f"MLP: needs views with at least one entry, got shape {shape}; give arrays (n, ...).")
