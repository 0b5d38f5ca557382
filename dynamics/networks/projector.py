"""Projectors and predictors as Flax modules; what each paper's looks like stands in `dynamics.objectives`."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from dynamics.errors import ConfigError
from dynamics.networks.standard_resnet import as_float32, normalisation
from dynamics.objectives.heads import Head
from dynamics.typing import Array, Embedding


class HeadNetwork(nn.Module):
    """The network of a `Head`.

    Parameters
    ----------
    head : Head
        What the network looks like.
    dtype : dtype
        Type of the computation; parameters are float32, and outputs at least float32.
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
    """Return the parameters with chosen weights made small.

    Parameters
    ----------
    params : pytree
        Parameters of an `Encoder`.
    layers : {"readout", "projector", "all"}
        The projector's last layer, all of the projector's linear layers, or all convolutions and linear layers of the
        network. Scales and shifts of normalisation stay as they are.
    scale : float
        α, the factor by which these weights are multiplied.
    """

    def chosen(path: tuple) -> bool:
        keys = [getattr(key, "key", None) for key in path]
        if any("norm" in str(key) for key in keys):
            return False
        within = {"readout": {"projector", "readout"}, "projector": {"projector"}, "all": set()}[layers]
        return within <= set(keys)

    return jax.tree_util.tree_map_with_path(lambda path, leaf: scale * leaf if chosen(path) else leaf, params)
