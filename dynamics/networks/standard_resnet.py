"""ResNet-18 and ResNet-50 as practical recipes use them: standard parameterisation, normalisation, ReLU.

>>> import jax, jax.numpy as jnp
>>> network = StandardResNet(depth=18, stem="cifar", width=0.25)
>>> variables = jax.jit(network.init)(jax.random.key(0), jnp.ones((1, 32, 32, 3)))
>>> jax.jit(network.apply)(variables, jnp.ones((4, 32, 32, 3))).shape
(4, 128)
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Float

from dynamics.errors import ConfigError
from dynamics.networks.convolution import convolution
from dynamics.networks.fusion import computed_once
from dynamics.typing import Array, Views

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
STEMS = ("cifar", "imagenet")
NORMS = ("batch", "group", "none")
GROUPS = 32  # Wu & He (2018)

# weights N(0, 2/fan_out) as in the reference implementations (He et al. 2015)
_he = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class StandardResNet(nn.Module):
    """Residual network (He et al. 2016a) up to its pooled features; strides in the 3×3 convolutions of bottlenecks.

    Without a head and with the ImageNet stem, ResNet-18 has 11,176,512 parameters and ResNet-50 23,508,032, as in the
    published models.

    Parameters
    ----------
    depth : {10, 18, 50}
        Number of layers. 18 has basic blocks (2, 2, 2, 2), 50 has bottlenecks (3, 4, 6, 3). 10 has basic blocks
        (1, 1, 1, 1) and compiles in half the time of 18; it is no published model.
    stem : {"cifar", "imagenet"}
        A 3×3 convolution at full resolution, for images up to about 64 pixels (Chen et al. 2020, app. B.9); or 7×7
        with stride 2 followed by pooling with stride 2.
    norm : {"batch", "group", "none"}
        Normalisation after each convolution. Batch statistics are those of the whole batch, on all devices, both views
        together. `group` has 32 groups at width 1, and as many channels a group at other widths. `none` has biases
        instead, and each branch scaled by 1/√(number of blocks), which bounds the growth of the variance (Hayou et al.
        2021).
    width : float
        Factor on all numbers of channels; 1 is the published network.
    dtype : dtype
        Type of the computation; parameters and statistics are float32.
    """

    depth: int = 18
    stem: str = "cifar"
    norm: str = "batch"
    width: float = 1.0
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Check the settings (called by Flax)."""
        for name, known in (("depth", tuple(BLOCKS)), ("stem", STEMS), ("norm", NORMS)):
            if getattr(self, name) not in known:
                choices = ", ".join(map(str, known))
                raise ConfigError(f"ResNet: {name} {getattr(self, name)!r} is unknown; choose from {choices}.")
        if not self.channels(64) >= 1:
            raise ConfigError(f"ResNet: a width of {self.width} leaves no channel; give at least 1/64.")

    def channels(self, published: int) -> int:
        """Channels of a layer that has `published` at width 1."""
        return round(published * self.width)

    @nn.compact
    def __call__(
        self, x: Views, train: bool = False, taps: dict[str, Array] | None = None
    ) -> Float[Array, "views features"]:
        """Return the features (batch, channels) of images (batch, height, width, channels).

        Parameters
        ----------
        x : array
            Images, in any floating-point precision.
        train : bool
            Whether batch normalisation uses the batch and updates its averages.
        taps : dict, optional
            Dictionary that receives the activations after the stem and every stage.
        """
        if x.ndim != 4:
            raise ConfigError(f"ResNet: needs views (height, width, channels), got shape {x.shape[1:]}.")
        taps = {} if taps is None else taps
        layer = _Layers(self.norm, train, self.dtype, max(1, round(GROUPS * self.width)))
        x = jnp.asarray(x, self.dtype)
        if self.stem == "cifar":
            x = layer.conv(self.channels(64), 3, name="stem")(x)
        else:
            x = layer.conv(self.channels(64), 7, 2, name="stem")(x)
        x = nn.relu(layer.norm("stem_norm")(x))
        if self.stem == "imagenet":
            x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        taps["stem"] = x
        blocks = BLOCKS[self.depth]
        block = _bottleneck if self.depth == 50 else _basic
        scale = 1.0 if self.norm != "none" else sum(blocks) ** -0.5
        for stage, count in enumerate(blocks, start=1):
            width = self.channels(64 * 2 ** (stage - 1))
            for index in range(1, count + 1):
                stride = 2 if stage > 1 and index == 1 else 1
                x = block(layer, x, width, stride, scale, f"stage{stage}_block{index}")
            taps[f"stage{stage}"] = x
        return x.mean(axis=(1, 2))


class _Layers:
    """Convolution and normalisation with the settings of one network."""

    def __init__(self, norm: str, train: bool, dtype: Any, groups: int):
        self._norm, self._train, self._dtype, self._groups = norm, train, dtype, groups

    def conv(self, channels: int, size: int, stride: int = 1, *, name: str) -> Callable[[Array], Array]:
        pad = size // 2  # SAME would pad strided convolutions on one side only
        conv = nn.Conv(
            channels,
            (size, size),
            (stride, stride),
            ((pad, pad), (pad, pad)),
            use_bias=self._norm == "none",
            kernel_init=_he,
            dtype=self._dtype,
            conv_general_dilated=convolution if self._train else None,  # a kernel of the network wants forward mode
            name=name,
        )
        return lambda x: conv(computed_once(x))

    def norm(self, name: str) -> Callable[[Array], Array]:
        return normalisation(self._norm, self._train, self._dtype, name, groups=self._groups)


def as_float32(x: Array) -> jax.Array:
    """The same numbers in float32, or in float64 if they are that."""
    return jnp.asarray(x, jnp.promote_types(x.dtype, jnp.float32))


def normalisation(
    kind: str, train: bool, dtype: Any, name: str, *, groups: int = 1, affine: bool = True
) -> Callable[[Array], Array]:
    """Return a normalisation layer, to be called inside a compact module; for `none` it is the identity.

    Variances are computed in float32 and have ε = 1e-5 added, so activations whose standard deviation is below 3e-3
    are not normalised but only multiplied by 300.

    Parameters
    ----------
    kind : {"batch", "group", "none"}
        Whether to normalise over the batch, over groups of channels of each example, or not at all.
    train : bool
        Whether batch statistics are those of the batch, and update the averages.
    dtype : dtype
        Type of the output.
    name : str
        Name of the layer.
    groups : int
        Number of groups of channels, or the next smaller number that divides the channels. One group is layer
        normalisation.
    affine : bool
        Whether a scale and a shift are learned.
    """
    settings = {"epsilon": 1e-5, "dtype": dtype, "use_scale": affine, "use_bias": affine, "name": name}
    if kind == "batch":
        return nn.BatchNorm(not train, momentum=0.9, **settings)
    if kind == "group":

        def group_norm(x: Array) -> Array:
            divisor = next(g for g in range(min(groups, x.shape[-1]), 0, -1) if x.shape[-1] % g == 0)
            return nn.GroupNorm(divisor, **settings)(x)

        return group_norm
    return lambda x: x


def _basic(layer: _Layers, x: jax.Array, width: int, stride: int, scale: float, name: str) -> jax.Array:
    y = nn.relu(layer.norm(f"{name}_norm1")(layer.conv(width, 3, stride, name=f"{name}_conv1")(x)))
    y = layer.norm(f"{name}_norm2")(layer.conv(width, 3, name=f"{name}_conv2")(y))
    return nn.relu(_shortcut(layer, x, y.shape, stride, name) + scale * y)


def _bottleneck(layer: _Layers, x: jax.Array, width: int, stride: int, scale: float, name: str) -> jax.Array:
    y = nn.relu(layer.norm(f"{name}_norm1")(layer.conv(width, 1, name=f"{name}_conv1")(x)))
    y = nn.relu(layer.norm(f"{name}_norm2")(layer.conv(width, 3, stride, name=f"{name}_conv2")(y)))
    y = layer.norm(f"{name}_norm3")(layer.conv(4 * width, 1, name=f"{name}_conv3")(y))
    return nn.relu(_shortcut(layer, x, y.shape, stride, name) + scale * y)


def _shortcut(layer: _Layers, x: jax.Array, shape: tuple[int, ...], stride: int, name: str) -> jax.Array:
    if x.shape == shape:
        return x
    projected = layer.conv(shape[-1], 1, stride, name=f"{name}_shortcut")(x)
    return layer.norm(f"{name}_shortcut_norm")(projected)
