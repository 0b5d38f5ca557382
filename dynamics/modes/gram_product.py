"""Products K̃ Q of a Gram matrix with a block of columns, in float64 wherever the matrix lies.

>>> import numpy as np
>>> product, views = gram_product(np.eye(4, dtype=np.float32))
>>> views, product(np.ones((4, 2))).dtype
(4, dtype('float64'))
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from threadpoolctl import ThreadpoolController

from dynamics.errors import KernelError
from dynamics.support.aligned import ALIGNMENT, aligned_empty
from dynamics.support.precision import double_precision
from dynamics.typing import SquareGram

Block = Float[np.ndarray, "views columns"]
Product = Callable[[Block], Block]
"""Q (2n, b) -> K̃ Q (2n, b), float64."""

TILE_BYTES = 2**24
"""Rows brought to float64 and multiplied at a time: what stays in the cache between the two."""

COPIED_BYTES = 2**30
"""Matrices up to this size are copied once to where XLA can read them in place, larger ones tile by tile."""


def gram_product(gram: SquareGram | Product, num_pairs: int | None = None) -> tuple[Product, int]:
    """Return the product of a Gram matrix, and its number of views 2n.

    Parameters
    ----------
    gram : array (2n, 2n) or callable
        The matrix, or what multiplies with it. JAX arrays are multiplied on the devices where they lie. A callable is
        returned as it is.
    num_pairs : int, optional
        Number of pairs n, needed where `gram` is a callable that does not know it.

    Raises
    ------
    KernelError
        If the matrix is not square with an even number of rows, or the number of pairs is not known.
    """
    if callable(gram):
        views = getattr(gram, "num_views", None) if num_pairs is None else 2 * num_pairs
        if views is None:
            raise KernelError(
                "A product in place of a Gram matrix does not say how many views there are; give num_pairs."
            )
        return gram, views
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or gram.shape[0] % 2 or gram.shape[0] == 0:
        raise KernelError(f"The Gram matrix has shape {gram.shape}; give (2n, 2n) for the 2n views of n pairs.")
    if not isinstance(gram, np.ndarray) and any(device.platform != "cpu" for device in gram.devices()):
        return partial(_device_product, gram), len(gram)
    K = np.asarray(gram)
    K = K if K.dtype in (np.float64, np.float32) else K.astype(np.float64)
    K = _aligned(K) if K.nbytes <= COPIED_BYTES else K
    if K.dtype == np.float64 and _is_aligned(K):
        with double_precision():
            resident = jax.device_put(K, jax.local_devices(backend="cpu")[0], may_alias=True)
        return partial(_device_product, resident), len(K)
    return partial(_host_product, K), len(K)


def centred_product(product: Product) -> Product:
    """The product of H K̃ H, H = I − 11ᵀ/2n."""

    def centred(Q: Block) -> Block:
        values = product(Q - Q.mean(axis=0))
        return values - values.mean(axis=0)

    return centred


@contextmanager
def one_thread() -> Iterator[None]:
    """Context in which BLAS and LAPACK use one thread.

    Between two products with a Gram matrix there are many small products. A second thread makes these no faster, and a
    hundred times slower where other programs use the same cores, because the threads wait for each other by spinning.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def _is_aligned(K: np.ndarray) -> bool:
    return K.flags.c_contiguous and K.ctypes.data % ALIGNMENT == 0


def _aligned(K: np.ndarray) -> np.ndarray:
    if _is_aligned(K):
        return K
    copy = aligned_empty(K.shape, K.dtype)
    copy[:] = K
    return copy


def _host_product(K: np.ndarray, Q: Block) -> Block:
    """Tile by tile through XLA, whose product with so few columns is 2–3 times as fast as OpenBLAS'.

    Values in float32 are multiplied in float64: rounding in the products would hide the small modes.
    """
    rows, values = max(1, TILE_BYTES // (8 * len(K))), np.empty(Q.shape)
    rows = rows // 8 * 8 or rows  # where the matrix is aligned its tiles are
    with double_precision():
        columns = jnp.asarray(Q)
        for start in range(0, len(K), rows):
            tile = jax.device_put(K[start : start + rows], may_alias=True)
            values[start : start + rows] = _in_double(tile, columns)
    return values


def _device_product(K: jax.Array, Q: Block) -> Block:
    count = max(1, len(K) // 512) if K.dtype != jnp.float64 else 1
    with double_precision():
        if count == 1:
            return np.asarray(_in_double(K, jnp.asarray(Q)))
        return np.concatenate([np.asarray(_in_double(tile, jnp.asarray(Q))) for tile in jnp.array_split(K, count)])


@jax.jit
def _in_double(K: jax.Array, Q: jax.Array) -> jax.Array:
    return jnp.matmul(K.astype(jnp.float64), Q, precision="highest")
