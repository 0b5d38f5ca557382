"""Projectors and predictors: the small fully connected networks between the features and the loss.

| method | layers on top of the features | normalisation |
|---|---|---|
| Barlow Twins (Zbontar et al. 2021) | 8192, 8192, 8192 | batch, after the hidden layers; no biases |
| VICReg (Bardes et al. 2022) | 8192, 8192, 8192 | batch, after the hidden layers; biases in these |
| SimCLR (Chen et al. 2020) | as many as there are features, 128 | none; biases |
| BYOL (Grill et al. 2020) | 4096, 256; predictor 4096, 256 | batch, after the hidden layers; biases |
| SimSiam (Chen & He 2021) | 2048, 2048, 2048; predictor 512, 2048 | batch, after every layer but the predictor's last |
| spectral contrastive (HaoChen et al. 2021) | that of Barlow Twins: ours | |

Where the last normalisation sits decides what a small start means. In all of these but SimSiam the last layer is
linear and nothing normalises what follows it, so that a small last layer is a small function. SimSiam's output is
normalised: a small last layer there changes nothing until its outputs are so small that ε = 1e-5 counts, and from then
on the network is a constant times the unnormalised one.
"""

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from dynamics.errors import ConfigError
from dynamics.networks.standard_resnet import as_float32, normalisation
from dynamics.typing import Array, Embedding


@dataclass(frozen=True)
class Head:
    """A fully connected network; its last layer is linear and called `readout`.

    Parameters
    ----------
    hidden : tuple of int
        Units of the hidden layers; 0 stands for as many as there are inputs.
    dim : int
        Outputs.
    norm : str
        Normalisation after hidden layers: `batch`, `group` (all units of a layer are one group) or `none`.
    bias, readout_bias : bool
        Whether the hidden layers and the last have biases.
    normalise_output : bool
        Whether the normalisation follows the last layer, too (without scale and shift, as in SimSiam).
    """

    hidden: tuple[int, ...]
    dim: int
    norm: str = "batch"
    bias: bool = False
    readout_bias: bool = False
    normalise_output: bool = False

    def resized(
        self,
        dim: int | None = None,
        hidden: tuple[int, ...] | None = None,
        norm: str | None = None,
        readout_bias: bool = False,
    ) -> "Head":
        """The same head with other numbers of outputs or hidden units, another normalisation, or a further bias."""
        return replace(
            self,
            dim=self.dim if dim is None else dim,
            hidden=self.hidden if hidden is None else tuple(hidden),
            # a projector without normalisation stays so; one that has it gets that of the backbone
            norm=self.norm if norm is None or self.norm == "none" else norm,
            readout_bias=self.readout_bias or readout_bias,
        )


PROJECTORS = {
    "barlow-twins": Head((8192, 8192), 8192),
    "vicreg": Head((8192, 8192), 8192, bias=True),
    "simclr": Head((0,), 128, norm="none", bias=True, readout_bias=True),
    "byol": Head((4096,), 256, bias=True, readout_bias=True),
    "simsiam": Head((2048, 2048), 2048, normalise_output=True),
    "spectral": Head((8192, 8192), 8192),
}
"""Projector of every method, at its published size."""

PREDICTORS = {
    "byol": Head((4096,), 256, bias=True, readout_bias=True),
    "simsiam": Head((512,), 2048, readout_bias=True),
}
"""Predictor of the methods that have one."""


class HeadNetwork(nn.Module):
    """The network of a `Head`.

    Parameters
    ----------
    head : Head
        Its declaration.
    dtype : dtype
        Of the computation; parameters are float32, and outputs at least float32.
    """

    head: Head
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, h: Array, train: bool = False, taps: dict[str, Array] | None = None) -> Embedding:
        """Outputs (batch, dim), at least float32, of features (batch, N); `taps` receives the hidden layers."""
        head = self.head
        if head.dim < 1 or any(width < 0 for width in head.hidden):
            raise ConfigError(f"The projector has layers {(*head.hidden, head.dim)}; give positive numbers of units.")
        taps = {} if taps is None else taps
        inputs = h.shape[-1]
        for index, width in enumerate(head.hidden, start=1):
            h = nn.Dense(width or inputs, use_bias=head.bias, dtype=self.dtype, name=f"layer{index}")(h)
            h = nn.relu(normalisation(head.norm, train, self.dtype, f"norm{index}")(h))
            taps[f"layer{index}"] = h
        z = nn.Dense(head.dim, use_bias=head.readout_bias, dtype=self.dtype, name="readout")(h)
        if head.normalise_output:
            z = normalisation(head.norm, train, self.dtype, "output_norm", affine=False)(z)
        return as_float32(z)


def scaled_start(params: Any, layers: str, scale: float) -> Any:
    """Parameters with chosen weights made small.

    Parameters
    ----------
    params : pytree
        Of an `Encoder`.
    layers : {"readout", "projector", "all"}
        The projector's last layer, all of the projector's linear layers, or all convolutions and linear layers of the
        network. Scales and shifts of normalisation stay as they are.
    scale : float
        α.
    """

    def chosen(path: tuple) -> bool:
        keys = [getattr(key, "key", None) for key in path]
        if any("norm" in str(key) for key in keys):
            return False
        within = {"readout": {"projector", "readout"}, "projector": {"projector"}, "all": set()}[layers]
        return within <= set(keys)

    return jax.tree_util.tree_map_with_path(lambda path, leaf: scale * leaf if chosen(path) else leaf, params)
