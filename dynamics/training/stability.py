"""A learning rate that stays a fraction of the stability limit of the network, and follows it while the kernel moves.

Gradient descent moves the embeddings by −η Θ ∇L, with Θ the tangent kernel of the batch. It is stable while η is below
2/λ, where λ is the largest curvature in the directions that the kernel can move: the largest eigenvalue, by size, of
the Hessian of the loss in the weights. One product with the Hessian, on the minibatch at hand, costs two to three
gradients and is one step of a power iteration. Its direction is kept, so that a few are enough at the start and one
each time after that.

**Which fraction.** From a small start the curvature is negative, and its size is the rate at which the first mode
grows: 4γ₁ for Barlow Twins. Where the mode has been learned the curvature along it is 8γ₁, twice as much (the limit
1/(4γ₁) of `ContrastiveModes.stability_limit`), even if the kernel stays as it is. So a rate that is chosen at the start
is stable later only below half of the limit. The kernel does not stay as it is: while a readout grows from a small
start, the part of the kernel that belongs to the layers below grows like its square, by up to e^{4φ} a step at the
fraction φ. `FRACTION` is therefore a quarter of this half. The quarter is chosen by eye, and leaves room for what the
kernel gains between two measurements and for the noise of minibatches. So are the steps between measurements.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from dynamics.training.sharding import DeviceMesh
from dynamics.training.state import Metrics, TrainState, Update

FRACTION = 1 / 8
"""Learning rate over the stability limit 2/λ: ½ for the curvature that a mode gains when it is learned, ¼ by eye."""

FIRST_PRODUCTS = 12
"""Products with the Hessian before the first step."""

GROWING_GAP = 2
"""Steps between two measurements while the curvature is negative: something grows exponentially."""

LARGEST_GAP = 32
"""Most steps between two measurements."""

MOVED = 1.25
"""Factor by which the curvature changes between two measurements that are too far apart."""

FORGOTTEN = 0.9
"""A curvature counts no less than this share of the one before, so that the rate rises by a tenth at a time."""

LOWERED = 0.5
"""Factor of the rate when a run that diverged goes back."""


class SteadyState(NamedTuple):
    """State of an optimiser whose learning rate follows the stability limit.

    Parameters
    ----------
    inner : pytree
        State of the optimiser itself.
    updates : int32 array ()
        Updates done.
    rate : float32 array ()
        η, before the schedule multiplies it; 0 until it has been measured.
    curvature : float32 array ()
        λ, the size of the largest eigenvalue of the Hessian.
    direction : pytree
        Its eigenvector as far as it is known, like the parameters, of norm 1.
    products : int32 array ()
        Products with the Hessian so far.
    gap, due : int32 array ()
        Steps between measurements, and the step of the next.
    time, rest : float32 array ()
        Sum of the learning rates used, and what rounding has left out of it.
    lowered : int32 array ()
        How often the run went back and halved its rate.
    """

    inner: Any
    updates: jax.Array
    rate: jax.Array
    curvature: jax.Array
    direction: Any
    products: jax.Array
    gap: jax.Array
    due: jax.Array
    time: jax.Array
    rest: jax.Array
    lowered: jax.Array

    @property
    def effective_time(self) -> float:
        """Sum of the learning rates used so far."""
        return float(self.time) + float(self.rest)


def steady(optimiser: optax.GradientTransformation, shape: optax.Schedule) -> optax.GradientTransformation:
    """Multiply the updates of an optimiser by the rate that `measuring` keeps in its state.

    Parameters
    ----------
    optimiser : optax.GradientTransformation
        With the schedule `shape`, a warm-up for example, whose highest value is 1.
    shape : optax.Schedule
        That schedule, for the effective time.
    """

    def init(params: optax.Params) -> SteadyState:
        keys = jax.random.split(jax.random.key(0), len(jax.tree.leaves(params)))
        keys = jax.tree.unflatten(jax.tree.structure(params), list(keys))
        direction = jax.tree.map(lambda leaf, key: jax.random.normal(key, leaf.shape, leaf.dtype), params, keys)
        zero, none = jnp.zeros(()), jnp.zeros((), jnp.int32)
        gap = jnp.asarray(GROWING_GAP, jnp.int32)
        direction = _scaled(1 / _norm(direction), direction)
        return SteadyState(optimiser.init(params), none, zero, zero, direction, none, gap, none, zero, zero, none)

    def update(
        gradient: optax.Updates, state: SteadyState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, SteadyState]:
        updates, inner = optimiser.update(gradient, state.inner, params)
        used = state.rate * shape(state.updates) + state.rest
        time = state.time + used
        following = state._replace(inner=inner, updates=state.updates + 1, time=time, rest=used - (time - state.time))
        return _scaled(state.rate, updates), following

    return optax.GradientTransformation(init, update)


def measuring(
    objective: Callable[[Any, Any, jax.Array], tuple[jax.Array, Any]],
    *,
    momentum: float = 0.0,
    mesh: DeviceMesh | None = None,
) -> Update:
    """Build the measurement (state, x) -> (state, metrics): one product with the Hessian, and the rate that follows.

    Parameters
    ----------
    objective : callable
        (params, model state, views x) -> (loss, anything), as the update has it.
    momentum : float
        μ of the optimiser, which moves 1/(1 − μ) times as far as its learning rate says.
    mesh : DeviceMesh, optional
        Devices over which the views are divided; one by default.
    """
    mesh = mesh or DeviceMesh(jax.devices()[:1])

    def measure(state: TrainState, x: jax.Array) -> tuple[TrainState, Metrics]:
        x, steady_state = mesh.distribute(x), state.opt_state
        gradient = jax.grad(lambda params: objective(params, state.model_state, x)[0])
        _, product = jax.jvp(gradient, (state.params,), (steady_state.direction,))
        found = _followed(steady_state, product, state.step, momentum)
        metrics = {"loss": found.curvature, "curvature": found.curvature, "rate": found.rate}
        return mesh.gather((state._replace(opt_state=found), metrics))

    return measure


def next_measurement(state: TrainState) -> int:
    """Step before which the rate is to be measured."""
    return int(state.opt_state.due)


def lowered(state: TrainState, times: int) -> TrainState:
    """The state with its rate halved so many times, counted from the start of the run."""
    steady_state = state.opt_state
    factor = LOWERED ** (times - int(steady_state.lowered))
    rate, count = steady_state.rate * factor, jnp.full_like(steady_state.lowered, times)
    return state._replace(opt_state=steady_state._replace(rate=rate, lowered=count))


def _followed(state: SteadyState, product: Any, step: jax.Array, momentum: float) -> SteadyState:
    """What a product H v with the direction v says of curvature, rate and the step of the next measurement."""
    size = _norm(product)
    usable = jnp.isfinite(size) & (size > 0)
    along = sum(jax.tree.leaves(jax.tree.map(lambda v, Hv: (v * Hv).sum(), state.direction, product)))
    direction = jax.tree.map(
        lambda v, Hv: jnp.where(usable, Hv / jnp.where(usable, size, 1.0), v), state.direction, product
    )
    products = state.products + 1
    beginning = products <= FIRST_PRODUCTS
    curvature = jnp.where(beginning, size, jnp.maximum(size, FORGOTTEN * state.curvature))
    curvature = jnp.where(usable, curvature, state.curvature)
    change = curvature / jnp.where(state.curvature > 0, state.curvature, curvature)
    moved = (change > MOVED) | (change < 1 / MOVED)
    gap = jnp.where(moved, jnp.maximum(state.gap // 2, 1), jnp.minimum(2 * state.gap, LARGEST_GAP))
    gap = jnp.where((along < 0) | beginning, GROWING_GAP, gap).astype(jnp.int32)
    limit = 2 * (1 - momentum) / jnp.maximum(curvature, jnp.finfo(jnp.float32).tiny)
    return state._replace(
        rate=(FRACTION * limit * LOWERED**state.lowered).astype(jnp.float32),
        curvature=curvature.astype(jnp.float32),
        direction=direction,
        products=products,
        gap=gap,
        due=jnp.where(products < FIRST_PRODUCTS, step, step + gap).astype(jnp.int32),
    )


def _norm(tree: Any) -> jax.Array:
    return jnp.sqrt(sum(jnp.square(leaf.astype(jnp.float32)).sum() for leaf in jax.tree.leaves(tree)))


def _scaled(factor: Any, tree: Any) -> Any:
    return jax.tree.map(lambda leaf: (factor * leaf).astype(leaf.dtype), tree)
