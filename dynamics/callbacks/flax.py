"""Embeddings of a Flax NNX module for the recorder; Linen needs no help, since its `apply` is a function already."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from dynamics.typing import Embedding, Views


def nnx_embed(probe: Views) -> Callable[[Any], Embedding]:
    """Return the `embed` of a `SpectrumRecorder` that records an NNX module.

    A copy of the module is evaluated, compiled once, so that neither its mode nor its batch statistics change.

    Parameters
    ----------
    probe : array (2n, …)
        Views in the order x_1 … x_n, x'_1 … x'_n.
    """

    @partial(jax.jit, static_argnums=0)
    def run(graph: Any, state: Any) -> Any:
        from flax import nnx

        module = nnx.merge(graph, state)
        module.eval()
        return module(probe)

    def embed(module: Any) -> Any:
        from flax import nnx

        return run(*nnx.split(module))

    return embed
