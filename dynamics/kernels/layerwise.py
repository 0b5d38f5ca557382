"""The exact tangent kernel of a network, contracted layer by layer without forming its Jacobian.

Where a weight matrix W (I, O) multiplies the activations a_t (t = 1 … T positions of one view: pixels of an image, one
for a vector), the Jacobian of an output f is Σ_t a_t g_tᵀ, with g_t the gradient of f by the product at t. So its part
of the kernel is

    Σ_{ts} (a_t(x) · a_s(y)) (g_t(x) · g_s(y)) ,

which needs T (I + O) numbers a view in place of I O. Novak et al. (2022), "Fast Finite Width Neural Tangent Kernel",
Sec. 3.3, call these structured derivatives. Each weight goes the cheaper way; parameters that enter in another manner
(biases, scales, a weight used twice) keep their Jacobian.

The layers are found in the traced function, not declared, so any `apply` will do.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax import lax

from dynamics.typing import Array

Factors = list[tuple[Array, ...]]
"""One entry a weight: Jacobian (views, entries), or activations (views, T, I) and gradients (views, T, outputs · O)."""

_CALLS = {"jit", "pjit", "closed_call", "core_call", "checkpoint", "remat", "remat2"}
_RESHAPING = {"reshape", "transpose", "squeeze", "convert_element_type", "copy", "copy_p"}


@dataclass(frozen=True)
class WeightProduct:
    """A product of activations (T, I) with a weight matrix (I, O), times `scale`; the weight is parameter `leaf`."""

    leaf: int
    positions: int
    inputs: int
    outputs: int
    scale: float

    def pays(self, outputs: int) -> bool:
        """Whether activations and gradients are cheaper a pair of views than Jacobians of so many network outputs."""
        gradient = outputs * self.outputs
        return self.positions**2 * (self.inputs + gradient) <= self.inputs * gradient

    def numbers(self, outputs: int) -> int:
        """Numbers to keep for one view and so many network outputs."""
        gradient = outputs * self.outputs
        return self.positions * (self.inputs + gradient) if self.pays(outputs) else self.inputs * gradient


@dataclass(frozen=True)
class TracedLayers:
    """How the parameters of a network enter its outputs.

    Parameters
    ----------
    products : tuple of WeightProduct
        The weights that multiply activations once.
    others : tuple of int
        Indices of the parameters that are used in any other way.
    other_entries : int
        Number of entries of these other parameters.
    dim : int
        Number of outputs d of the network.
    intermediates : int
        How many numbers one forward pass of one view computes, which bounds what its backward pass keeps.
    """

    products: tuple[WeightProduct, ...]
    others: tuple[int, ...]
    other_entries: int
    dim: int
    intermediates: int

    def numbers(self, outputs: int) -> int:
        """Numbers that the factors of one view and so many outputs hold."""
        return sum(product.numbers(outputs) for product in self.products) + outputs * self.other_entries

    def arrays(self, outputs: int) -> list[int]:
        """Number of arrays in each entry of the factors."""
        return [2 if product.pays(outputs) else 1 for product in self.products] + [1] * len(self.others)


@lru_cache(maxsize=32)
def find_layers(
    apply: Callable,
    leaves: tuple[jax.ShapeDtypeStruct, ...],
    treedef: Any,
    x: jax.ShapeDtypeStruct,
    constants: frozenset[int] = frozenset(),
) -> TracedLayers:
    """Trace `apply` on one view x (1, …) and see how each parameter enters; nothing is computed.

    Leaves whose indices are `constants` are no parameters.
    """
    products: list[WeightProduct] = []
    spoilt: set[int] = set()

    def note(product: WeightProduct, a: Array, value: Array) -> Array:
        products.append(product)
        return value

    jaxpr = _trace(apply, leaves, treedef, x)

    def run(leaves: list[Array], x: Array) -> Array:
        weights = [_Weight(leaf, index, 1.0) for index, leaf in enumerate(leaves)]
        return _walk(jaxpr.jaxpr, jaxpr.consts, [*weights, x], note, spoilt.add)[0]

    output = jax.eval_shape(run, list(leaves), x)
    used = [product.leaf for product in products]
    left_out = spoilt | constants
    kept = tuple(product for product in products if used.count(product.leaf) == 1 and product.leaf not in left_out)
    known = {product.leaf for product in kept}
    varying = [index for index in range(len(leaves)) if index not in known | constants]
    others = tuple(index for index in varying if index in spoilt or index in used)
    entries = sum(math.prod(leaves[index].shape) for index in others)
    return TracedLayers(kept, others, entries, output.shape[1], _intermediates(jaxpr.jaxpr)[0])


@partial(jax.jit, static_argnums=(0, 1, 2))
def factors(
    apply: Callable, layers: TracedLayers, treedef: Any, leaves: list[Array], x: Array, cotangents: Array
) -> Factors:
    """Return what the kernel of the outputs C f needs of every view.

    Parameters
    ----------
    apply : callable
        (params, x (batch, …)) -> (batch, d).
    layers, treedef
        The result of `find_layers`, and the structure of the parameters.
    leaves : list of arrays
        The parameters.
    x : array (views, …)
        The views.
    cotangents : array (c, d)
        The matrix C, with one row for each of the c outputs.
    """
    jaxpr = _trace(apply, leaves, treedef, jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype))
    numbers = {product.leaf: number for number, product in enumerate(layers.products)}

    def one(x: Array) -> Factors:
        def network(probes: list[Array], others: list[Array]) -> tuple[Array, list[Array]]:
            activations: list[Array | None] = [None] * len(probes)

            def probe(product: WeightProduct, a: Array, value: Array) -> Array:
                number = numbers[product.leaf]
                activations[number] = a
                return value + probes[number]

            arguments: list[Any] = list(leaves)
            for index in numbers:
                arguments[index] = _Weight(leaves[index], index, 1.0)
            for index, value in zip(layers.others, others, strict=True):
                arguments[index] = value
            output = _walk(jaxpr.jaxpr, jaxpr.consts, [*arguments, x[None]], probe, lambda leaf: None)[0]
            return output[0], activations

        probes = [jnp.zeros((p.positions, p.outputs), leaves[p.leaf].dtype) for p in layers.products]
        output, pullback, activations = jax.vjp(network, probes, [leaves[i] for i in layers.others], has_aux=True)
        gradients, others = jax.vmap(pullback)(cotangents.astype(output.dtype))
        found: Factors = []
        for product, a, g in zip(layers.products, activations, gradients, strict=True):
            if product.pays(len(cotangents)):
                found.append((a, product.scale * jnp.moveaxis(g, 0, 1).reshape(product.positions, -1)))
            else:
                found.append((product.scale * jnp.einsum("ti,cto->cio", a, g).reshape(-1),))
        return found + [(value.reshape(-1),) for value in others]

    return jax.vmap(one)(x)


@jax.jit
def contract(factors1: Factors, factors2: Factors) -> Array:
    """Return the kernel summed over outputs, array (a, b), from the factors of two stacks of views."""
    total: Any = 0.0
    for one, other in zip(factors1, factors2, strict=True):
        if len(one) == 1:
            total += one[0] @ other[0].T
            continue
        a, g = (jnp.einsum("xti,ysi->xtys", u, v) for u, v in zip(one, other, strict=True))
        total += (a * g).sum(axis=(1, 3))
    return total


def pair_numbers(layers: TracedLayers, outputs: int) -> int:
    """Numbers that `contract` holds for a pair of views besides its factors."""
    return 2 * max((p.positions**2 for p in layers.products if p.pays(outputs)), default=1)


def forward_numbers(apply: Callable, leaves: Sequence[Array], treedef: Any, x: jax.ShapeDtypeStruct) -> int:
    """Numbers in the largest two arrays that one forward pass of one view x (1, …) computes."""
    return 2 * _intermediates(_trace(apply, leaves, treedef, x).jaxpr)[1]


# ------------------------------------------------------------------------------------------------- the traced function


@dataclass(frozen=True)
class _Weight:
    """A parameter, reshaped and scaled on its way to the product that it enters."""

    value: Array
    leaf: int
    scale: float


def _trace(
    apply: Callable, leaves: Sequence[Array | jax.ShapeDtypeStruct], treedef: Any, x: jax.ShapeDtypeStruct
) -> Any:
    def flat(*arguments: Array) -> Array:
        return apply(jax.tree.unflatten(treedef, arguments[:-1]), arguments[-1])

    return jax.make_jaxpr(flat)(*(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves), x)


def _intermediates(jaxpr: Any) -> tuple[int, int]:
    """Return the number of entries of all arrays that a program computes, and of the largest."""
    total, largest = 0, 0
    for equation in jaxpr.eqns:
        if equation.primitive.name in _CALLS:
            inner, inner_largest = _intermediates(_inner(equation)[0])
            total, largest = total + inner, max(largest, inner_largest)
            continue
        sizes = [math.prod(variable.aval.shape) for variable in equation.outvars]
        total, largest = total + sum(sizes), max(largest, *sizes)
    return total, largest


def _inner(equation: Any) -> tuple[Any, Sequence[Array]]:
    """Return the program that a call runs, and its constants."""
    inner = equation.params["jaxpr" if "jaxpr" in equation.params else "call_jaxpr"]
    return (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, [])


def _walk(
    jaxpr: Any,
    consts: Sequence[Array],
    arguments: Sequence[Any],
    found: Callable[[WeightProduct, Array, Array], Array],
    spoil: Callable[[int], None],
) -> list[Any]:
    """Evaluate a program some of whose arguments are `_Weight`.

    At every product of activations with a weight, `found(product, activations (T, I), value (T, O))` gives the value to
    go on with. Every other use of a weight is told to `spoil`.
    """
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, jex.Literal) else values[variable]

    def plain(value: Any) -> Any:
        if isinstance(value, _Weight):
            spoil(value.leaf)
            return value.value
        return value

    for equation in jaxpr.eqns:
        inputs, name = [read(variable) for variable in equation.invars], equation.primitive.name
        weights = [isinstance(value, _Weight) for value in inputs]
        if name in _CALLS:
            outputs = _walk(*_inner(equation), inputs, found, spoil)
        else:
            outputs = None
            if weights == [True] or (any(weights) and name in ("mul", "div")):
                outputs = _pass_on(jaxpr, equation, inputs)
            elif sum(weights) == 1 and name == "dot_general":
                outputs = _dot(jaxpr, equation, inputs, found)
            elif weights == [False, True] and name == "conv_general_dilated":
                outputs = _convolution(jaxpr, equation, inputs, found)
            if outputs is None:
                outputs = _bind(jaxpr, equation, [plain(value) for value in inputs])
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _bind(jaxpr: Any, equation: Any, inputs: list[Any]) -> list[Any]:
    """Evaluate one equation of a program."""
    variables = [v for v in equation.invars if not isinstance(v, jex.Literal)]
    values = [value for v, value in zip(equation.invars, inputs, strict=True) if not isinstance(v, jex.Literal)]
    distinct = dict(zip(variables, values, strict=True))
    program = jaxpr.replace(constvars=[], invars=list(distinct), outvars=equation.outvars, eqns=[equation])
    return jex.jaxpr_as_fun(jex.ClosedJaxpr(program, []))(*distinct.values())


def _pass_on(jaxpr: Any, equation: Any, inputs: list[Any]) -> list[Any] | None:
    """A weight that is reshaped, or multiplied by a constant number, is still the weight."""
    name = equation.primitive.name
    if name in _RESHAPING or (name == "broadcast_in_dim" and _keeps_size(equation)):
        (weight,) = inputs
        return [replace(weight, value=_bind(jaxpr, equation, [weight.value])[0])]
    if name not in ("mul", "div") or not isinstance(inputs[0], _Weight):
        inputs = inputs[::-1] if name == "mul" else []
    if len(inputs) != 2 or isinstance(inputs[1], _Weight | jax.core.Tracer) or np.ndim(inputs[1]) != 0:
        return None
    weight, number = inputs
    factor = float(number) if name == "mul" else 1.0 / float(number)
    return [_Weight(weight.value * factor, weight.leaf, weight.scale * factor)]


def _keeps_size(equation: Any) -> bool:
    return math.prod(equation.invars[0].aval.shape) == math.prod(equation.outvars[0].aval.shape)


def _dot(jaxpr: Any, equation: Any, inputs: list[Any], found: Callable) -> list[Array] | None:
    contracted, batched = equation.params["dimension_numbers"]
    if batched[0]:
        return None
    first = isinstance(inputs[0], _Weight)
    weight, a = inputs if first else inputs[::-1]
    axes = contracted[1 if first else 0]
    value = _bind(jaxpr, equation, [v.value if isinstance(v, _Weight) else v for v in inputs])[0]
    inputs_number = math.prod(a.shape[axis] for axis in axes)
    a = jnp.moveaxis(a, axes, range(-len(axes), 0)).reshape(-1, inputs_number)
    outputs_number = math.prod(weight.value.shape) // inputs_number
    product = WeightProduct(weight.leaf, len(a), inputs_number, outputs_number, weight.scale)
    flat = value.reshape(outputs_number, -1).T if first else value.reshape(-1, outputs_number)
    flat = found(product, a, flat)
    return [(flat.T if first else flat).reshape(value.shape)]


def _convolution(jaxpr: Any, equation: Any, inputs: list[Any], found: Callable) -> list[Array] | None:
    parameters = equation.params
    if parameters["feature_group_count"] != 1 or parameters["batch_group_count"] != 1:
        return None
    a, weight = inputs
    numbers = parameters["dimension_numbers"]
    # a (batch, *image, inputs), kernel (*window, inputs, outputs), value (batch, *image, outputs)
    a = jnp.transpose(a, (numbers.lhs_spec[0], *numbers.lhs_spec[2:], numbers.lhs_spec[1]))
    window = (*numbers.rhs_spec[2:], numbers.rhs_spec[1], numbers.rhs_spec[0])
    kernel = jnp.transpose(weight.value, window)
    a = _patches(a, kernel.shape[:-2], parameters)
    order = (numbers.out_spec[0], *numbers.out_spec[2:], numbers.out_spec[1])
    if a.dtype == jnp.float64:
        # XLA's float64 convolutions on a CPU are slow, and large ones can bring the process down
        value = a @ kernel.reshape(-1, kernel.shape[-1])
    else:
        value = jnp.transpose(_bind(jaxpr, equation, [inputs[0], weight.value])[0], order)
    product = WeightProduct(weight.leaf, math.prod(a.shape[:-1]), a.shape[-1], kernel.shape[-1], weight.scale)
    flat = found(product, a.reshape(-1, a.shape[-1]), value.reshape(-1, kernel.shape[-1]))
    return [jnp.transpose(flat.reshape(value.shape), np.argsort(order))]


def _patches(x: Array, window: tuple[int, ...], parameters: dict[str, Any]) -> Array:
    """Return what a convolution multiplies at every position, array (batch, *image, window · inputs)."""
    padding = [
        (low, high, step - 1)
        for (low, high), step in zip(parameters["padding"], parameters["lhs_dilation"], strict=True)
    ]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *padding, (0, 0, 0)])
    strides, dilation = parameters["window_strides"], parameters["rhs_dilation"]
    reach = [step * (side - 1) + 1 for side, step in zip(window, dilation, strict=True)]
    counts = [(size - r) // stride + 1 for size, r, stride in zip(x.shape[1:-1], reach, strides, strict=True)]
    slices = []
    for offset in np.ndindex(*window):
        start = [o * step for o, step in zip(offset, dilation, strict=True)]
        stop = [s + (count - 1) * stride + 1 for s, count, stride in zip(start, counts, strides, strict=True)]
        slices.append(lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1)))
    return jnp.concatenate(slices, axis=-1)
