"""Kernels of a finite network at given parameters: the neural tangent kernel and the conjugate kernel.

The parameters are cast inside, by default to float64, so that the Gram matrix of a float32 network is positive
semi-definite to rounding. Memory is bounded whatever the size of the network: views are taken in blocks, outputs in
groups.

>>> import numpy as np
>>> from dynamics.kernels import empirical_ntk, gram
>>> kernel = empirical_ntk(lambda W, x: x @ W, np.ones((3, 2)))
>>> gram(kernel, np.eye(3)[:2])
array([[1., 0.],
       [0., 1.]])
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dynamics.errors import ConfigError, DataError
from dynamics.kernels.kernel import DEFAULT_TILE, ColumnViews, Kernel, RowViews, blocks
from dynamics.kernels.layerwise import (
    Factors,
    TracedLayers,
    contract,
    factors,
    find_layers,
    forward_numbers,
    pair_numbers,
)
from dynamics.support.hashes import content_hash
from dynamics.support.numbers import real_array
from dynamics.support.precision import full_precision
from dynamics.typing import Array, Gram, Views

Apply = Callable[[Any, Views], Array]
"""(params, x (batch, …)) -> (batch, columns); one row must not depend on the others (BatchNorm in evaluation mode)."""

MEMORY = 2**31
"""Default bound, in bytes, on what is held at once besides the parameters and the Gram matrix."""

ENOUGH_VIEWS = 256
"""Views a tile at which evaluating a view again for every tile no longer counts; memory beyond goes to more outputs."""

MOST_VIEWS = 2048


def empirical_ntk(
    apply: Apply,
    params: Any,
    *,
    output: int | None = None,
    collection: str | None = None,
    memory: int = MEMORY,
    dtype: str = "float64",
    key: str | None = None,
) -> Kernel:
    """Return the empirical neural tangent kernel (1/d) Σ_k Σ_θ ∂_θf_k(x) ∂_θf_k(y) (Jacot et al. 2018, Sec. 4).

    It is exact; weights whose Jacobians would be large are contracted through their layers (`kernels.layerwise`).

    Parameters
    ----------
    apply : callable
        (params, x (batch, …)) -> embeddings (batch, d), row by row; BatchNorm belongs in evaluation mode.
    params : pytree of arrays
        Parameters at which the network is linearised. Of a mapping that has `params` beside other collections, such as
        Flax's variables with their running averages, `params` alone is differentiated; of everything else, all leaves.
    output : int, optional
        Use this output alone instead of the mean over all d.
    collection : str, optional
        Key of the entry of the mapping `params` that is differentiated, where it is another one.
    memory : int
        Bound, in bytes, on what is held at once besides the parameters.
    dtype : {"float64", "float32"}
        Precision of the network.
    key : str, optional
        Text that says what `apply` computes, so that `gram` can keep the kernel on disk. The values of the parameters
        are added to it.

    Returns
    -------
    Kernel

    Raises
    ------
    ConfigError
        If `memory` does not hold what two views need or `output` is not an output (when called), or there is no such
        collection.
    """
    name = "empirical-ntk" if output is None else f"empirical-ntk(output {output})"
    network = _Network(apply, params, memory, dtype, name, collection)

    def bind(x1: RowViews) -> Callable[[ColumnViews], Gram]:
        plan = network.plan(x1.shape[1:], x1.dtype, output)
        d = plan.layers.dim
        groups = [plan.cotangents] if output is not None else list(_groups(d, plan.outputs))
        scale = 1.0 if output is not None else 1.0 / d
        # with all outputs at once the rows are done once for a whole sweep; else one group at a time fits into memory
        held = network.factors(x1, plan, groups[0]) if len(groups) == 1 else None

        def against(x2: ColumnViews) -> Gram:
            total = np.zeros((len(x1), len(x2)), dtype)
            for group in groups:
                rows = network.factors(x1, plan, group) if held is None else held
                total += network.contract(rows, rows, plan) if x2 is x1 else network.stream(rows, x2, plan, group)
                del rows  # before the next group takes its place
            return scale * total

        return against

    return Kernel(
        name,
        lambda x1, x2: bind(x1)(x2),
        lambda view_shape, view_type=network.dtype: network.plan(view_shape, view_type, output).side,
        bind,
        key and content_hash("empirical-ntk", key, repr(output), *network.identity),
        integers=True,
    )


def full_empirical_ntk(
    apply: Apply,
    params: Any,
    x1: RowViews,
    x2: ColumnViews | None = None,
    *,
    collection: str | None = None,
    memory: int = MEMORY,
    dtype: str = "float64",
) -> Float[np.ndarray, "rows columns d d"]:
    """Return the matrix-valued empirical kernel Σ_θ ∂_θf_k(x) ∂_θf_l(y), array (a, b, d, d), in `dtype`.

    Parameters and errors are those of `empirical_ntk`; with infinite width it tends to k(x, y) I_d.
    """
    name = "full_empirical_ntk"
    x1 = real_array(x1, f"{name}: x1")
    x2 = x1 if x2 is None else real_array(x2, f"{name}: x2")
    network = _Network(apply, params, memory, dtype, name, collection)
    plan = network.plan(x1.shape[1:], x1.dtype, all_pairs=True)
    d = plan.layers.dim
    values = np.empty((len(x1), len(x2), d, d), dtype)
    units = list(_groups(d, 1))
    for row in blocks(len(x1), plan.side):
        rows = [network.factors(x1[row], plan, unit) for unit in units]
        for column in blocks(len(x2), plan.side):
            same = x1 is x2 and row == column
            columns = rows if same else [network.factors(x2[column], plan, unit) for unit in units]
            for k, l in np.ndindex(d, d):
                if same and l < k:
                    values[row, column, k, l] = values[row, column, l, k].T
                else:
                    values[row, column, k, l] = network.contract(rows[k], columns[l], plan)
    return values


def conjugate_kernel(
    features: Apply, params: Any, *, memory: int = MEMORY, dtype: str = "float64", key: str | None = None
) -> Kernel:
    """Return the conjugate kernel h(x) · h(y)/N of a layer with N features.

    For the last hidden layer, with readout f = h W/√N, the conjugate kernel is the part of the neural tangent kernel
    that belongs to the readout, and it is the kernel that drives training from a small readout.

    Parameters
    ----------
    features : callable
        (params, x (batch, …)) -> h (batch, N), such as `partial(network.apply, method="features")`.
    params : pytree of arrays
        The network's parameters.
    memory, dtype, key
        Bound on the memory in bytes, precision, and text for the cache, as for `empirical_ntk`.
    """
    network = _Network(features, params, memory, dtype, "conjugate")

    def bind(x1: RowViews) -> Callable[[ColumnViews], Gram]:
        h1 = network.features(x1)

        def against(x2: ColumnViews) -> Gram:
            h2 = h1 if x2 is x1 else network.features(x2)
            with full_precision(dtype):
                return h1 @ h2.T / h1.shape[1]

        return against

    return Kernel(
        "conjugate",
        lambda x1, x2: bind(x1)(x2),
        lambda view_shape, view_type=None: DEFAULT_TILE,
        bind,
        key and content_hash("conjugate", key, *network.identity),
        integers=True,
    )


@dataclass(frozen=True, eq=False)
class _Plan:
    """How much is done at once: `side` views a tile, `outputs` at a time, `chunk` views a pass, `corner` a product."""

    layers: TracedLayers
    side: int
    outputs: int
    chunk: int
    corner: int
    cotangents: np.ndarray | None = None


class _Network:
    """(apply, params) in one precision and within a bound on memory."""

    def __init__(self, apply: Apply, params: Any, memory: int, dtype: str, name: str, collection: str | None = None):
        if dtype not in ("float64", "float32"):
            raise ConfigError(f"{name}: dtype is {dtype!r}; choose float64 or float32.")
        self.apply, self.memory, self.dtype, self.name = apply, memory, np.dtype(dtype), name
        leaves, self.treedef = jax.tree.flatten(params)
        self.collection = _differentiated(collection, params, name)
        self.constants = _outside(self.collection, params)
        counts = [index in self.constants and np.asarray(leaf).dtype.kind in "biu" for index, leaf in enumerate(leaves)]
        self.leaves = [np.asarray(leaf, None if c else self.dtype) for leaf, c in zip(leaves, counts, strict=True)]
        self.shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in self.leaves)
        self._plans: dict[tuple, _Plan] = {}

    @property
    def identity(self) -> tuple[str | np.ndarray, ...]:
        """What the kernel depends on besides the function."""
        return (str(self.treedef), repr(self.collection), *self.leaves)

    @cached_property
    def on_device(self) -> list[Array]:
        return [jnp.asarray(leaf) for leaf in self.leaves]

    def plan(
        self, view_shape: tuple[int, ...], view_type: np.dtype, output: int | None = None, all_pairs: bool = False
    ) -> _Plan:
        """What to do at once for views of this shape and type, traced once."""
        case = (view_shape, self._type(view_type), output, all_pairs)
        if case not in self._plans:
            self._plans[case] = self._make_plan(*case)
        return self._plans[case]

    def _make_plan(
        self, view_shape: tuple[int, ...], view_type: np.dtype, output: int | None, all_pairs: bool
    ) -> _Plan:
        """Divide the memory: three quarters for factors, a quarter for passes through the network and for products.

        The trace holds the factors of the rows and lets the columns pass by; all pairs of outputs hold both.
        """
        with full_precision(self.dtype):
            view = jax.ShapeDtypeStruct((1, *view_shape), _on_device(view_type))
            layers = find_layers(self.apply, self.shapes, self.treedef, view, self.constants)
        d, size = layers.dim, self.dtype.itemsize
        if output is not None and not -d <= output < d:
            raise ConfigError(f"{self.name}: the network has {d} outputs; give an index from 0 to {d - 1}.")
        copies = 2 * d if all_pairs else 1
        outputs = 1 if all_pairs or output is not None else d
        while outputs > 1 and self._side(layers, outputs, copies) < ENOUGH_VIEWS:
            outputs = -(-outputs // 2)
        side = self._side(layers, outputs, copies)
        if side < 1:
            needed = math.ceil(2 * size * copies * layers.numbers(outputs))
            raise ConfigError(
                f"{self.name}: one view needs {needed:.2g} bytes, more than memory={self.memory:.2g}; raise it"
                + ("." if output is not None else ", or choose one output.")
            )
        quarter = self.memory // (4 * size)
        return _Plan(
            layers,
            side=side,
            outputs=outputs,
            chunk=max(1, quarter // max(1, 2 * layers.intermediates * (1 + outputs))),
            corner=max(1, math.isqrt(quarter // pair_numbers(layers, outputs))),
            cotangents=None if output is None else np.eye(d, dtype=self.dtype)[[output]],
        )

    def factors(self, x: Views, plan: _Plan, cotangents: np.ndarray) -> Factors:
        """What the kernel of these outputs needs of every view."""

        def run(x: Array) -> list[Array]:
            C = jnp.asarray(cotangents, self.dtype)
            return jax.tree.leaves(factors(self.apply, plan.layers, self.treedef, self.on_device, x, C))

        flat = iter(self._in_chunks(run, x, plan.chunk))
        return [tuple(next(flat) for _ in range(count)) for count in plan.layers.arrays(len(cotangents))]

    def stream(self, rows: Factors, x: Views, plan: _Plan, cotangents: np.ndarray) -> np.ndarray:
        """The kernel between rows whose factors are held and views that pass by."""
        chunk = plan.chunk * _devices(x)
        values = np.empty((len(rows[0][0]), len(x)), self.dtype)
        for column in blocks(len(x), chunk):
            values[:, column] = self.contract(rows, self.factors(x[column], plan, cotangents), plan)
        return values

    def contract(self, rows: Factors, columns: Factors, plan: _Plan) -> Gram:
        """The kernel between two stacks of views whose factors are held."""
        count1, count2 = len(rows[0][0]), len(columns[0][0])
        with full_precision(self.dtype):
            if max(count1, count2) <= plan.corner:
                return contract(rows, columns)
            values = np.empty((count1, count2), self.dtype)
            for row in blocks(count1, plan.corner):
                part = jax.tree.map(lambda factor, row=row: factor[row], rows)
                for column in blocks(count2, plan.corner):
                    values[row, column] = contract(part, jax.tree.map(lambda factor, c=column: factor[c], columns))
            return values

    def features(self, x: Views) -> Float[Array, "views features"]:
        """The function itself, flattened."""
        with full_precision(self.dtype):
            view = jax.ShapeDtypeStruct((1, *x.shape[1:]), _on_device(self._type(x.dtype)))
            numbers = forward_numbers(self.apply, self.leaves, self.treedef, view)
        chunk = max(1, self.memory // (2 * self.dtype.itemsize * numbers))

        def run(x: Array) -> list[Array]:
            values = _evaluate(self.apply, jax.tree.unflatten(self.treedef, self.on_device), x)
            return [values.reshape(len(values), -1)]

        return self._in_chunks(run, x, chunk)[0]

    def _side(self, layers: TracedLayers, outputs: int, copies: int) -> int:
        factor_bytes = self.dtype.itemsize * copies * layers.numbers(outputs)
        # half of it once more: one weight's factors while they are put together, and the columns that pass by
        return min(MOST_VIEWS, 3 * self.memory // 4 * 2 // max(1, 3 * factor_bytes))

    def _type(self, view_type: np.dtype) -> np.dtype:
        """Integers, such as tokens, stay integers; everything else has the precision of the network."""
        return np.dtype(view_type) if np.dtype(view_type).kind in "iu" else self.dtype

    def _in_chunks(self, run: Callable[[Array], list[Array]], x: Views, chunk: int) -> list[Array]:
        """Put together what `run` gives for at most `chunk` views a device."""
        with full_precision(self.dtype):
            cut = list(blocks(len(x), chunk * _devices(x)))
            dtype = _on_device(self._type(x.dtype))
            if dtype.kind in "iu" and not (x.min() >= np.iinfo(dtype).min and x.max() <= np.iinfo(dtype).max):
                raise DataError(f"{self.name}: integers beyond {np.iinfo(dtype).max:,} need dtype='float64'.")
            parts = [run(jnp.asarray(x[block], dtype)) for block in cut]
            if len(parts) == 1:
                return parts[0]
            new = cut[-2].stop - cut[-1].start  # blocks overlap: of the last, only what is not in the one before
            whole = []
            for index in range(len(parts[0])):
                pieces = [part[index] for part in parts]
                whole.append(jnp.concatenate([*pieces[:-1], pieces[-1][new:]]))
                for part in parts:
                    part[index] = None
            return whole


def _differentiated(collection: str | None, params: Any, name: str) -> str | None:
    """The collection of parameters: the one asked for, else `params` where there are others beside it."""
    has = isinstance(params, Mapping) and (collection or "params") in params
    if collection is not None and not has:
        raise ConfigError(f"{name}: there is no collection {collection!r} of parameters in what was given.")
    return collection or ("params" if has and len(params) > 1 else None)


def _outside(collection: str | None, params: Any) -> frozenset[int]:
    """Return which leaves do not belong to the collection of parameters."""
    if collection is None:
        return frozenset()
    paths = jax.tree_util.tree_flatten_with_path(params)[0]
    return frozenset(index for index, (path, _) in enumerate(paths) if path[0].key != collection)


def _on_device(dtype: np.dtype) -> np.dtype:
    """The type that numbers of this type have on the device, which is at most as long as floats are there."""
    return np.dtype(jax.dtypes.canonicalize_dtype(dtype))


def _devices(x: Views) -> int:
    return len(x.sharding.device_set) if isinstance(x, jax.Array) else 1


@partial(jax.jit, static_argnums=0)
def _evaluate(apply: Apply, params: Any, x: Array) -> Array:
    return apply(params, x)


def _groups(d: int, size: int) -> Iterator[np.ndarray]:
    """Cut the d outputs into groups of `size` unit vectors, array (size, d); the last is filled up with zeros."""
    for start in range(0, d, size):
        group = np.zeros((size, d))
        group[: len(range(start, min(start + size, d))), start : start + size] = np.eye(min(size, d - start))
        yield group
