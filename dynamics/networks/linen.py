"""The finite network of a declaration, as a Flax Linen module in NTK parameterisation."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Float, Shaped

from dynamics.networks.layers import Activation, Conv, Declaration, Dense, Flatten, Layers, Pool, Residual, Tap
from dynamics.typing import Array, Embedding, Views

ACTIVATIONS = {"relu": jax.nn.relu, "erf": lax.erf, "gelu": lambda x: jax.nn.gelu(x, approximate=False)}


class Network(nn.Module):
    """Finite-width network f(x) = h(x) W/√N with a bias-free readout W on the last hidden layer h (batch, N).

    `params["params"]` holds `body` (every hidden layer by name) and `readout`, whose `kernel` is W, shape (N, dim),
    entries N(0, 1) at the start. So the conjugate kernel is h hᵀ/N, and shrinking W shrinks the function alone.

    Parameters
    ----------
    architecture : Architecture
        Whatever declares its layers and checks its input.
    dim : int
        Number of outputs d.
    """

    architecture: Declaration
    dim: int

    def setup(self) -> None:
        """Create the submodules (called by Flax)."""
        self.body = _Body(self.architecture.layers())
        self.readout = Affine(self.dim, 1.0, None)

    def __call__(self, x: Views) -> Embedding:
        """Return the embeddings (batch, dim) of views (batch, *input_shape)."""
        return self.readout(self.features(x))

    def features(self, x: Views) -> Float[Array, "views features"]:
        """Return the last hidden layer h (batch, N), flattened or pooled."""
        return self._walk(x)[0]

    def hidden(self, x: Views) -> dict[str, Float[Array, "views ..."]]:
        """Return the activations of the named hidden layers, in order; the last, `features`, is h."""
        features, taps = self._walk(x)
        return {**taps, "features": features}

    def _walk(self, x: Views) -> tuple[Array, dict[str, Array]]:
        self.architecture.check_input(x.shape[1:])
        x = jnp.asarray(x)
        if not jnp.issubdtype(x.dtype, jnp.floating):
            x = x.astype(jnp.float32)
        return self.body(x)


class _Body(nn.Module):
    """Every layer up to the readout."""

    declaration: Layers

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array, dict[str, Array]]:
        taps: dict[str, Array] = {}

        def walk(layers: Layers, x: Array) -> Array:
            for layer in layers:
                match layer:
                    case Dense():
                        x = Affine(layer.width, layer.w_std, layer.b_std, name=layer.name)(x)
                    case Conv():
                        x = _Convolution(
                            layer.width, layer.size, layer.stride, layer.w_std, layer.b_std, name=layer.name
                        )(x)
                    case Activation():
                        x = ACTIVATIONS[layer.kind](x)
                    case Residual():
                        x = walk(layer.shortcut, x) + walk(layer.branch, x)
                    case Tap():
                        taps[layer.name] = x
                    case Flatten():
                        x = x.reshape(x.shape[0], -1)
                    case Pool():
                        x = x.mean(axis=(1, 2))
            return x

        return walk(self.declaration, x), taps


class Affine(nn.Module):
    """x ↦ w_std/√fan_in · x W + b_std · b with W, b ~ N(0, 1), over the last axis; `b_std=None` leaves the bias out."""

    width: int
    w_std: float
    b_std: float | None

    @nn.compact
    def __call__(self, x: Shaped[Array, "... fan_in"]) -> Shaped[Array, "... width"]:
        """Return the outputs."""
        fan_in = x.shape[-1]
        kernel = self.param("kernel", nn.initializers.normal(1.0), (fan_in, self.width))
        return _add_bias(self, (x @ kernel) * (self.w_std / fan_in**0.5))


class _Convolution(nn.Module):
    width: int
    size: int
    stride: int
    w_std: float
    b_std: float | None

    @nn.compact
    def __call__(self, x: Shaped[Array, "batch height width channels"]) -> Shaped[Array, "batch _ _ out"]:
        fan_in = self.size**2 * x.shape[-1]
        kernel = self.param("kernel", nn.initializers.normal(1.0), (self.size, self.size, x.shape[-1], self.width))
        dtype = jnp.promote_types(x.dtype, kernel.dtype)
        # On a CPU at 8×8 and width 16–128, a training step outside of lax.scan is 2.5–5 times faster with XLA's
        # convolution than with patches and a matmul. But per-example Jacobians in float64 are 40 times slower with it
        # (they become grouped convolutions), and those are what float64 is for.
        convolve = convolve_patches if dtype == jnp.float64 else convolve_xla
        x = convolve(x.astype(dtype), (kernel * (self.w_std / fan_in**0.5)).astype(dtype), self.stride)
        return _add_bias(self, x)


def convolve_xla(
    x: Shaped[Array, "batch height width channels"],
    kernel: Shaped[Array, "size size channels out"],
    stride: int,
    padding: str = "SAME",
) -> Shaped[Array, "batch _ _ out"]:
    """Convolve images, zero-padded (`SAME`) or not at all (`VALID`), with XLA's own operation."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding=padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def convolve_patches(
    x: Shaped[Array, "batch height width channels"],
    kernel: Shaped[Array, "size size channels out"],
    stride: int,
    padding: str = "SAME",
) -> Shaped[Array, "batch _ _ out"]:
    """Convolve images as a matmul on shifted slices; the same values as `convolve_xla`."""
    size = kernel.shape[0]
    pads = lax.padtype_to_pads(x.shape[1:3], (size, size), (stride, stride), padding)
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    height, width = ((side - size) // stride + 1 for side in padded.shape[1:3])
    patches = [
        padded[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.concatenate(patches, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def _add_bias(module: Affine | _Convolution, x: Array) -> Array:
    if module.b_std is None:
        return x
    return x + module.b_std * module.param("bias", nn.initializers.normal(1.0), (module.width,))
