"""The small fully connected networks between features and loss, as data: projectors and predictors of the papers.

`dynamics.networks.projector.HeadNetwork` makes a module of one. This file imports no JAX.

>>> Head((8192, 8192), 8192).resized(dim=64, hidden=(2048,))
Head(hidden=(2048,), dim=64, norm='batch', bias=False, readout_bias=False, normalise_output=False)
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Head:
    """A fully connected network; its last layer is linear and called `readout`.

    Parameters
    ----------
    hidden : tuple of int
        Units of the hidden layers; 0 stands for as many as there are inputs.
    dim : int
        Number of outputs.
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
