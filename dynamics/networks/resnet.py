"""Residual network without normalisation layers."""

from dataclasses import dataclass

from dynamics.networks.base import HEADS, Architecture
from dynamics.networks.layers import Activation, Conv, Layers, Residual, Tap


@dataclass(frozen=True)
class ResNet(Architecture):
    """Pre-activation residual network (He et al. 2016b) without normalisation, so that it has a kernel limit.

    Stem convolution; then stages of blocks act–conv–act–conv plus shortcut; a final activation; the head. Stage s has
    2^{s-1}·width channels; each stage after the first halves the resolution, its first block having a strided 1×1
    projection as shortcut. Of L blocks in all, each branch is scaled by 1/√L, which bounds the growth of the variance
    by (1 + 1/L)^L < e at any depth (Hayou et al. 2021, "Stable ResNet", Sec. 3, uniform scaling).

    Parameters
    ----------
    width : int
        Channels of the stem and the first stage.
    blocks : int
        Residual blocks in each stage.
    stages : int
        Number of stages. Two suit 8×8 images, three 32×32.
    head : {"flatten", "pool"}
        How the last images become features: flattened, or averaged over all positions. The infinite-width kernel with
        "pool" costs O(pixels²) a pair of views, with "flatten" O(pixels).
    activation, w_std, b_std
        See `Architecture`.
    """

    width: int = 32
    blocks: int = 1
    stages: int = 2
    head: str = "flatten"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("width", "blocks", "stages")
        self._require_head(self.head)

    def layers(self) -> Layers:
        """Return the declaration; the stem, every block's sum and `features` can be watched."""
        layers: Layers = (Conv("stem", self.width, 3, 1, self._gain, self.b_std), Tap("stem"))
        for stage in range(1, self.stages + 1):
            for block in range(1, self.blocks + 1):
                name = f"stage{stage}_block{block}"
                layers += (self._block(name, 2 ** (stage - 1) * self.width, stage > 1 and block == 1), Tap(name))
        return (*layers, Activation(self.activation), HEADS[self.head])

    def _block(self, name: str, width: int, shrinks: bool) -> Residual:
        act = Activation(self.activation)
        branch_scale = (self.blocks * self.stages) ** -0.5
        branch = (
            act,
            Conv(f"{name}_conv1", width, 3, 2 if shrinks else 1, self._gain, self.b_std),
            act,
            Conv(f"{name}_conv2", width, 3, 1, branch_scale * self._gain, self.b_std),
        )
        # the projection sees a linear signal, so it keeps the variance with w_std = 1
        shortcut = (Conv(f"{name}_shortcut", width, 1, 2, 1.0, None),) if shrinks else ()
        return Residual(branch, shortcut)

    def check_input(self, shape: tuple[int, ...]) -> None:
        """Raise `ConfigError` unless views are images (height, width, channels)."""
        self._require_images(shape)
