"""The kinks of a loss: where a hinge, an absolute value or a maximum turns, and which side of it the gradient takes.

Every kink is b + max(0, x) with x = a − b, whose derivative jumps from ∇b to ∇a where x = 0. With a share s in place of
the step function, b + s x, a loss has at the kink all the gradients between the two, its subdifferential: a flow
that is pushed towards x = 0 from both sides slides along it with the one s for which x stays zero.

>>> import jax, jax.numpy as jnp
>>> hinge = lambda F: jnp.maximum(0, 1 - F).sum() + jnp.abs(F).sum()
>>> F = jnp.array([0.5, 2.0])
>>> [x.tolist() for x in relaxed(hinge)(F, jnp.array([1.0, 0.0, 1.0, 1.0]))]  # the value, and x of every kink
[3.0, [0.5, -1.0, 0.5, 2.0]]
>>> jax.grad(lambda F: relaxed(hinge)(F, jnp.array([0.25, 0.0, 1.0, 1.0]))[0])(F).tolist()
[0.75, 1.0]
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun
from jaxtyping import Float

from dynamics.typing import Array

Kinks = Float[Array, " kinks"]


def relaxed(loss: Callable) -> Callable:
    """Return (F, shares (k,)) -> (value, kinks (k,)) of a loss of F, where kink j counts with its share s_j.

    With the shares of the signs of x, 1 where it is positive and 0 where not, the value is that of the loss. Kinks are
    found in what the loss computes: `jnp.maximum`, `jnp.minimum`, `jnp.abs` and `jax.nn.relu`, also within compiled
    functions, but not within loops and branches. The largest of many, and functions with derivatives of their own, are
    taken as they are.
    """

    def with_shares(F: Array, shares: Kinks) -> tuple[Array, Kinks]:
        closed = jax.make_jaxpr(loss)(F)
        ledger = _Ledger(shares)
        (value,) = _evaluated(closed.jaxpr, closed.consts, [F], ledger)
        return value, ledger.kinks()

    return with_shares


def kinks_of(loss: Callable) -> Callable:
    """Return F -> x (k,) of all kinks of a loss."""

    def kinks(F: Array) -> Kinks:
        closed = jax.make_jaxpr(loss)(F)
        ledger = _Ledger(None)
        _evaluated(closed.jaxpr, closed.consts, [F], ledger)
        return ledger.kinks()

    return kinks


def subgradient(loss: Callable) -> Callable:
    """Return (F, shares (k,)) -> gradient of a loss whose kinks count with these shares; without shares, its own."""
    own, shared = jax.grad(loss), jax.grad(relaxed(loss), has_aux=True)

    def gradient(F: Array, shares: Kinks | None = None) -> Array:
        return own(F) if shares is None else shared(F, shares)[0]

    return gradient


class _Ledger:
    """Hands out the shares in the order in which kinks are met, and keeps their x; without shares, by the signs."""

    def __init__(self, shares: Kinks | None):
        self._shares, self._used = shares, 0
        self._met: list[Array] = []

    def share_of(self, x: Array) -> Array:
        self._met.append(jnp.ravel(x))
        if self._shares is None:
            return jnp.where(x > 0, 1.0, 0.0).astype(x.dtype)
        start, self._used = self._used, self._used + x.size
        return self._shares[start : self._used].reshape(x.shape).astype(x.dtype)

    def kinks(self) -> Kinks:
        return jnp.concatenate(self._met) if self._met else jnp.zeros(0)


def _evaluated(jaxpr: Jaxpr, consts: Sequence[Any], inputs: Sequence[Any], ledger: _Ledger) -> list[Any]:
    """What a traced function computes, with the kinks in it relaxed."""
    values: dict = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *inputs], strict=True))
    for equation in jaxpr.eqns:
        operands = [v.val if isinstance(v, Literal) else values[v] for v in equation.invars]
        results = _applied(jaxpr, equation, operands, ledger)
        values.update(zip(equation.outvars, results, strict=True))
    return [v.val if isinstance(v, Literal) else values[v] for v in jaxpr.outvars]


def _applied(jaxpr: Jaxpr, equation: JaxprEqn, operands: list[Any], ledger: _Ledger) -> list[Any]:
    name = equation.primitive.name
    if name in ("max", "min", "abs") and _has_kink(operands):
        return [_relaxed_primitive(name, operands, ledger)]
    inner = _inlined(equation)
    if inner is not None:
        return _evaluated(inner.jaxpr, inner.consts, operands, ledger)
    free = {v: each for v, each in zip(equation.invars, operands, strict=True) if not isinstance(v, Literal)}
    alone = jaxpr.replace(constvars=[], invars=list(free), outvars=equation.outvars, eqns=[equation])
    return jaxpr_as_fun(ClosedJaxpr(alone, []))(*free.values())


def _relaxed_primitive(name: str, operands: list[Any], ledger: _Ledger) -> Array:
    if name == "abs":
        x = operands[0]
        return (2 * ledger.share_of(x) - 1) * x
    if _is_known(operands[0]):  # the kink of max(0, x) is x
        operands = operands[::-1]
    a, b = jnp.broadcast_arrays(*operands)
    s = ledger.share_of(a - b)
    return s * a + (1 - s) * b if name == "max" else (1 - s) * a + s * b


def _has_kink(operands: list[Any]) -> bool:
    """Whether the operands are real numbers of which none is infinite by definition, as the bounds of a maximum are."""
    if not all(jnp.issubdtype(jnp.result_type(each), jnp.floating) for each in operands):
        return False
    return all(np.isfinite(each).all() for each in operands if _is_known(each))


def _is_known(operand: Any) -> bool:
    return isinstance(operand, (float, int, np.generic, np.ndarray))


def _inlined(equation: JaxprEqn) -> Any:
    """The function that an equation calls, where its derivative is that of what it computes."""
    name = equation.primitive.name
    if name in ("jit", "pjit", "closed_call"):
        return equation.params["jaxpr" if "jaxpr" in equation.params else "call_jaxpr"]
    if name == "custom_jvp_call" and _is_one_maximum(equation.params["call_jaxpr"].jaxpr):  # relu
        return equation.params["call_jaxpr"]
    return None


def _is_one_maximum(jaxpr: Jaxpr) -> bool:
    if len(jaxpr.eqns) != 1:
        return False
    (equation,) = jaxpr.eqns
    inner = _inlined(equation)
    return equation.primitive.name == "max" if inner is None else _is_one_maximum(inner.jaxpr)
