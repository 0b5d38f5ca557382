"""Group-equivariant layers: transforming the image permutes the fibers of the feature map, exactly.

A lifted map is an array (batch, height, width, |P|, channels) over positions y and the elements p of a point group; its
fibers are the vectors over the channels. For a plane group G (`dynamics.networks.groups`) the map of a transformed
image is f(T_h x)[g] = f(x)[h⁻¹g] (Cohen & Welling 2016). Stride is 1 and filters have a centre, without which quarter
turns are not exact; shifts are exact with circular padding.

>>> import jax, jax.numpy as jnp
>>> from dynamics.networks.groups import PlaneGroup
>>> group = PlaneGroup("c4", 8, 8)
>>> network = EquivariantNetwork(group, width=4, dim=3)
>>> params = network.init(jax.random.key(0), jnp.ones((1, 8, 8, 1)))
>>> network.apply(params, jnp.ones((5, 8, 8, 1)), method="fibers").shape
(5, 4, 3)
>>> equivariance_error(lambda x: network.apply(params, x, method="fibers"), group) < 1e-6
True
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Float, Shaped

from dynamics.errors import ConfigError
from dynamics.networks.groups import PlaneGroup, PointGroup
from dynamics.networks.layers import ACTIVATION_GAINS
from dynamics.networks.linen import ACTIVATIONS, Affine, convolve_patches, convolve_xla
from dynamics.typing import Array, Embedding, Views

LiftedMap = Shaped[Array, "batch height width points _"]
Fibers = Shaped[Array, "batch fibers _"]
PADDINGS = ("zero", "circular")


class Lifting(nn.Module):
    """Convolve images with every turned copy of the filters: out[y, p] = Σ_u ψ(R_p⁻¹u) x(y + u).

    Parameters
    ----------
    point : PointGroup
        The point group P. The trivial group makes the layer an ordinary convolution.
    width : int
        Number of channels of a fiber.
    size : int
        Side of the filters, in pixels; odd.
    w_std : float
        Scale of the weights, in NTK parameterisation: ψ = w_std/√fan_in · N(0, 1).
    padding : {"zero", "circular"}
        What lies outside the image. With zeros the layer is equivariant to turns and reflections alone.
    tied : bool
        Whether all elements p share one filter. If False every p has filters of its own, which makes the layer an
        ordinary convolution with |P|·width channels, for comparison.
    """

    point: PointGroup
    width: int
    size: int = 3
    w_std: float = 1.0
    padding: Literal["zero", "circular"] = "zero"
    tied: bool = True

    @nn.compact
    def __call__(self, x: Shaped[Array, "batch height width channels"]) -> LiftedMap:
        """Return the lifted map of images."""
        _check_filter(self.size, self.padding)
        P, taps, channels = len(self.point), self.size**2, x.shape[-1]
        copies = () if self.tied else (P,)
        psi = self.param("kernel", nn.initializers.normal(1.0), (*copies, taps, channels, self.width))
        if self.tied:
            psi = psi[self.point.filter_index(self.size)]
        kernel = jnp.moveaxis(psi, 0, 2).reshape(self.size, self.size, channels, P * self.width)
        y = _convolve(x, kernel * (self.w_std / (taps * channels) ** 0.5), self.padding)
        return y.reshape(*y.shape[:3], P, self.width)


class GroupConv(nn.Module):
    """Convolve over positions and point group: `out[y, p] = Σ_{u,q} ψ[p⁻¹q](R_p⁻¹u) f[y + u, q]`.

    Parameters are those of `Lifting`; `tied=False` gives an ordinary convolution of all |P|·channels.
    """

    point: PointGroup
    width: int
    size: int = 3
    w_std: float = 1.0
    padding: Literal["zero", "circular"] = "zero"
    tied: bool = True

    @nn.compact
    def __call__(self, f: LiftedMap) -> LiftedMap:
        """Return the lifted map of the next layer."""
        _check_filter(self.size, self.padding)
        P, taps, channels = len(self.point), self.size**2, f.shape[-1]
        if f.shape[-2] != P:
            raise ConfigError(f"GroupConv over {P} point-group elements got a map with {f.shape[-2]} of them.")
        copies = () if self.tied else (P,)
        psi = self.param("kernel", nn.initializers.normal(1.0), (*copies, P, taps, channels, self.width))
        if self.tied:
            relative = self.point.product[self.point.inverse]  # p⁻¹q
            psi = psi[relative[:, :, None], self.point.filter_index(self.size)[:, None, :]]
        kernel = psi.transpose(2, 1, 3, 0, 4).reshape(self.size, self.size, P * channels, P * self.width)
        y = _convolve(f.reshape(*f.shape[:3], -1), kernel * (self.w_std / (P * taps * channels) ** 0.5), self.padding)
        return y.reshape(*y.shape[:3], P, self.width)


def to_fibers(f: LiftedMap, group: PlaneGroup, head: Literal["pool", "flatten"] = "pool") -> Fibers:
    """Turn a lifted map into one fiber for each element of the group, array (batch, |G|, channels).

    Positions that the group does not shift are averaged (`pool`), or join the channels (`flatten`) in an order that
    turns with the fiber. Fiber g is where the element g takes fiber 0.

    Parameters
    ----------
    f : array (batch, height, width, |P|, channels)
        Lifted map over the group's point group.
    group : PlaneGroup
        Group whose elements number the fibers.
    head : {"pool", "flatten"}
        What becomes of positions that the group does not shift, as described above. For a group with all shifts both
        heads are the same.
    """
    group.check_images((*f.shape[1:3], f.shape[-1]))
    along_height, along_width = (shifts > 1 for shifts in group.shifts)
    batch, height, width, P, channels = f.shape
    f = jnp.moveaxis(f, 3, 1)  # (batch, P, height, width, channels)
    if head == "pool":
        axes = tuple(axis for axis, shifted in ((2, along_height), (3, along_width)) if not shifted)
        return f.mean(axis=axes, keepdims=True).reshape(batch, group.order, channels)
    if along_height and along_width:
        return f.reshape(batch, group.order, channels)
    if along_width:
        return jnp.moveaxis(f[:, 0], 2, 1).reshape(batch, width, height * channels)
    pixel = np.arange(height * width).reshape(1, height, width, 1)
    frames = np.concatenate([group.act(group.inverse(p), pixel) for p in range(P)]).reshape(P, -1)  # g⁻¹: y ↦ g y
    turned = jnp.take_along_axis(f.reshape(batch, P, -1, channels), frames[None, :, :, None], axis=2)
    return turned.reshape(batch, P, -1)


def pool_group(fibers: Fibers) -> Embedding:
    """Average the fibers over the group, array (batch, channels); the average is invariant to the group."""
    return fibers.mean(axis=1)


class EquivariantNetwork(nn.Module):
    """Lifting, group convolutions, and one readout W shared by all fibers: f(x)[g] = h(x)[g] W/√N.

    Like `dynamics.networks.linen.Network` it is in NTK parameterisation and has a readout without bias. So the
    conjugate kernel between fibers is h hᵀ/N, and making W small makes the function small and changes nothing else.

    Parameters
    ----------
    group : PlaneGroup
        The group G, made for images of the size of the views.
    width : int
        Channels of a fiber in each layer.
    dim : int
        Number of outputs d.
    depth : int
        Number of convolutions, the lifting included.
    size : int
        Side of the filters, in pixels; odd.
    activation : {"relu", "erf", "gelu"}
        Non-linearity after each convolution.
    head : {"pool", "flatten"}
        What becomes of positions that are not shifted by G (`to_fibers`).
    padding : {"circular", "zero"}, optional
        What lies outside the image. The default is circular where the group shifts images, since shifts are exact with
        circular padding only, and zero elsewhere.
    tied : bool
        Whether the elements of the point group share their filters. If False they have independent filters: the arrays
        have the same shapes, and the network is not equivariant.
    """

    group: PlaneGroup
    width: int
    dim: int
    depth: int = 2
    size: int = 3
    activation: str = "relu"
    head: Literal["pool", "flatten"] = "pool"
    padding: Literal["zero", "circular"] | None = None
    tied: bool = True

    def setup(self) -> None:
        """Create the layers (called by Flax)."""
        padding = self.padding or ("zero" if self.group.shifts == (1, 1) else "circular")
        gain = ACTIVATION_GAINS[self.activation]
        settings = (self.group.point, self.width, self.size, gain, padding, self.tied)
        kinds = [Lifting, *[GroupConv] * (self.depth - 1)]
        self.layers = [kind(*settings, name=f"layer{index + 1}") for index, kind in enumerate(kinds)]
        self.readout = Affine(self.dim, 1.0, None)

    def __call__(self, x: Views) -> Embedding:
        """Return the embeddings (batch, dim) of images, those of fiber 0."""
        return self.readout(self.features(x))

    def fibers(self, x: Views) -> Float[Array, "batch fibers dim"]:
        """Return the embeddings of all fibers (batch, |G|, dim) in one pass."""
        return self.readout(self.hidden_fibers(x))

    def pooled(self, x: Views) -> Embedding:
        """Return the mean embedding over the group (batch, dim), which is invariant to it."""
        return pool_group(self.fibers(x))

    def features(self, x: Views) -> Float[Array, "batch features"]:
        """Return the last hidden layer at fiber 0 (batch, N)."""
        return self.hidden_fibers(x)[:, 0]

    def hidden_fibers(self, x: Views) -> Float[Array, "batch fibers features"]:
        """Return the last hidden layer at all fibers (batch, |G|, N)."""
        self.group.check_images(x.shape)
        f = jnp.asarray(x)
        if not jnp.issubdtype(f.dtype, jnp.floating):
            f = f.astype(jnp.float32)
        for layer in self.layers:
            f = ACTIVATIONS[self.activation](layer(f))
        return to_fibers(f, self.group, self.head)


def untie(params: dict, point: PointGroup) -> dict:
    """Parameters of the untied network that is the same function as the tied one with these parameters.

    Parameters
    ----------
    params : pytree
        Parameters of an `EquivariantNetwork` with `tied=True`.
    point : PointGroup
        Point group of that network.
    """

    def expand(path: tuple, psi: Array) -> Array:
        if not any(getattr(key, "key", "").startswith("layer") for key in path):
            return psi
        index = point.filter_index(round(psi.shape[-3] ** 0.5))
        if psi.ndim == 3:
            return psi[index]
        return psi[point.product[point.inverse][:, :, None], index[:, None, :]]

    return jax.tree_util.tree_map_with_path(expand, params)


def equivariance_error(
    f: Callable[[Array], Array],
    group: PlaneGroup,
    images: Shaped[Array, "n h w c"] | None = None,
    *,
    output: Literal["fibers", "invariant"] = "fibers",
) -> float:
    """Say how exact a network is: the largest relative error of f(T_h x)[g] = f(x)[h⁻¹g] over all h in G.

    Parameters
    ----------
    f : callable
        Images (n, h, w, c) -> fibers (n, |G|, …), one for each element of the group; for `invariant`, anything.
    group : PlaneGroup
        The group G.
    images : array (n, h, w, c), optional
        Images to measure on. By default four images of standard normal noise with one channel, in the precision that
        JAX is set to.
    output : {"fibers", "invariant"}
        Whether the fibers of f should be permuted, or f should not change at all.

    Returns
    -------
    float
        max_h ‖f(T_h x) − T_h f(x)‖ / ‖f(x)‖, Frobenius norms over images and fibers.

    Raises
    ------
    ConfigError
        If the images do not fit the group, or f does not return one fiber for each element.
    """
    if images is None:
        images = np.random.default_rng(0).normal(size=(4, group.height, group.width, 1))
    group.check_images(images.shape)
    f = jax.jit(f)
    images = np.asarray(images)
    reference = np.asarray(f(images))
    if output == "fibers" and reference.shape[1:2] != (group.order,):
        raise ConfigError(
            f"f returns shape {reference.shape}, and group {group.name} has {group.order} elements; return fibers "
            "(n, |G|, …), or ask for output='invariant'."
        )
    elements, largest = np.arange(group.order), 0.0
    for h in elements:
        moved = np.asarray(f(group.act(h, images)))
        expected = reference[:, group.compose(group.inverse(h), elements)] if output == "fibers" else reference
        largest = max(largest, float(np.linalg.norm(moved - expected)))
    return largest / float(np.linalg.norm(reference))


def _convolve(x: Array, kernel: Array, padding: str) -> Array:
    dtype = jnp.promote_types(x.dtype, kernel.dtype)
    half = kernel.shape[0] // 2
    mode = "wrap" if padding == "circular" else "constant"
    x = jnp.pad(x.astype(dtype), ((0, 0), (half, half), (half, half), (0, 0)), mode=mode)
    # as in dynamics.networks.linen: derivatives of XLA's convolution by example are slow, and float64 is for those
    convolve = convolve_patches if dtype == jnp.float64 else convolve_xla
    return convolve(x, kernel.astype(dtype), 1, "VALID")


def _check_filter(size: int, padding: str) -> None:
    if size < 1 or size % 2 == 0:
        raise ConfigError(f"The filters have side {size}; give an odd number, so that they have a centre.")
    if padding not in PADDINGS:
        raise ConfigError(f"There is no padding `{padding}`; known are {', '.join(PADDINGS)}.")
