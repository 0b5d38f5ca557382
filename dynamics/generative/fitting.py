"""Training of a method on images, fresh views at every step, several seeds at once.

>>> import jax, jax.numpy as jnp
>>> from dynamics.generative import Gaussian, GaussianPrior, SimVAE, fit, make_method
>>> from dynamics.networks import MLPDecoder, MLPEncoder
>>> from dynamics.views import load_images, get_augmentation
>>> images = load_images("digits", limit=64).images
>>> model = SimVAE(MLPEncoder((16,), 4), MLPDecoder((16,), (8, 8, 1)), GaussianPrior(), Gaussian(0.1), latent=2)
>>> style = get_augmentation("digits-style", (8, 8, 1)).first
>>> fitted = fit(make_method("simvae", model), images, style, steps=4, num_seeds=2)
>>> fitted.embed(images, 1).shape, sorted(fitted.terms)
((64, 2), ['entropy', 'loss', 'prior', 'reconstruction'])
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int

from dynamics.errors import ConfigError, DataError, DivergenceError
from dynamics.generative.methods import Method, draw_views
from dynamics.generative.model import Params
from dynamics.support.numbers import real_array
from dynamics.support.one_line import one_line
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.loop import run
from dynamics.training.optimisers import learning_rates
from dynamics.training.state import Metrics, TrainState, apply_gradient, initial_state
from dynamics.views import Augmentation

LEARNING_RATE = 8e-5
ADAM_EPSILON = 1e-4
BATCH = 128
"""How the released code of Bizeul et al. (2024) trains: Adam, and this many views (not images) in a batch."""

_RECORDS = 50
_EMBED_AT_ONCE = 2048
_STEPS_PER_DISPATCH = 16


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained method.

    Parameters
    ----------
    method : Method
        The method that was trained.
    params : pytree
        Parameters, with a leading axis for the seeds.
    steps : array (records,)
        Steps at which the loss was recorded.
    terms : mapping
        The loss, under `loss`, and its terms by name, (records, seeds), on one batch each.
    """

    method: Method
    params: Params
    steps: Int[np.ndarray, " records"]
    terms: Mapping[str, Float[np.ndarray, "records seeds"]] = field(default_factory=dict)

    __repr__ = one_line

    @property
    def num_seeds(self) -> int:
        """Number of seeds with which it was trained."""
        return len(jax.tree.leaves(self.params)[0])

    def of_seed(self, index: int) -> Params:
        """Parameters of one seed."""
        return jax.tree.map(lambda leaf: leaf[index], self.params)

    def embed(self, images: Float[np.ndarray, "n h w c"], index: int = 0) -> Float[np.ndarray, "n latent"]:
        """μ(x) of every image by the encoder of one seed."""
        embed, params = jax.jit(self.method.model.embed), self.of_seed(index)
        parts = [
            np.asarray(embed(params, images[start : start + _EMBED_AT_ONCE]))
            for start in range(0, len(images), _EMBED_AT_ONCE)
        ]
        return np.concatenate(parts)


def fit(
    method: Method,
    images: Float[np.ndarray, "n h w c"],
    augmentation: Augmentation,
    *,
    steps: int,
    batch: int = BATCH,
    learning_rate: float = LEARNING_RATE,
    decay: str = "constant",
    adam_epsilon: float = ADAM_EPSILON,
    num_seeds: int = 1,
    seed: int = 0,
    together: bool = True,
    checkpoints: Path | None = None,
    report_cost: Callable[[float], None] | None = None,
) -> Fitted:
    """Train a method with Adam.

    Parameters
    ----------
    method : Method
        The method to train.
    images : array (n, h, w, c)
        Training images, with intensities in [0, 1].
    augmentation : callable
        Augmentation (key, image) -> view.
    steps : int
        Number of updates.
    batch : int
        Number of views in a batch, which are those of batch/J images with J views each.
    learning_rate, decay, adam_epsilon
        Settings of Adam; `decay` is "constant" or "cosine".
    num_seeds : int
        Number of independent trainings, each with its own start, batches, views and noise.
    seed : int
        Seed from which all of them are drawn.
    together : bool
        Whether all seeds are trained in one computation. This is faster for small dense networks, and slower for
        convolutions on a CPU.
    checkpoints : path, optional
        Folder in which the state of this training, and nothing else, is kept; training goes on from what it holds.
    report_cost : callable, optional
        Function that is called after the first few steps with the seconds that the training will take.

    Raises
    ------
    ConfigError
        If the batch has no room for one image's views, or there are fewer images than a batch takes.
    DivergenceError
        If a loss stops being finite.
    KeyboardInterrupt
        If the user ends the training.
    """
    count = batch // method.num_views
    if not 1 <= count <= len(images):
        raise ConfigError(
            f"A batch of {batch} views is {count} images with {method.num_views} views each; give a batch of at least "
            f"{method.num_views} and at most {method.num_views * len(images)} views."
        )
    optimiser = optax.adam(learning_rates(learning_rate, steps=max(steps, 1), decay=decay), eps=adam_epsilon)
    init_key, run_key = jax.random.split(jax.random.key(seed))
    shape = jax.eval_shape(augmentation, run_key, jnp.asarray(images[0])).shape
    loss = _batch_loss(method, augmentation, count)
    groups = [range(num_seeds)] if together else [[index] for index in range(num_seeds)]
    at = np.unique(np.linspace(0, steps, min(_RECORDS, steps) + 1).astype(int))
    params, records = [], []
    for group in groups:
        seeds = _Seeds(np.asarray(group), vectorised=together)
        start = jax.jit(seeds.lift(lambda key: method.init(key, shape)))(seeds.keys(init_key))
        state, kept = _train(
            seeds.update(loss, optimiser),
            # images travel with the state: a constant of the program would be compiled into it
            initial_state(start, optimiser, run_key, {"images": jnp.array(images)}),
            steps=steps,
            at=at,
            name=method.name,
            store=None if checkpoints is None else Path(checkpoints) / f"seed-{'-'.join(map(str, group))}",
            report_cost=report_cost,
            steps_per_dispatch=_STEPS_PER_DISPATCH if together else None,
        )
        params.append(state.params if together else jax.tree.map(lambda leaf: leaf[None], state.params))
        records.append({name: np.array([record[name] for record in kept]).reshape(len(at), -1) for name in kept[0]})
    terms = {name: np.concatenate([record[name] for record in records], axis=1) for name in records[0]}
    terms["loss"] = terms.pop("losses")
    return Fitted(method, jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *params), at, terms)


def _batch_loss(method: Method, augmentation: Augmentation, count: int) -> Callable:
    """(params, key, images) -> loss and its terms on `count` images drawn with the key, in fresh views."""

    def loss(params: Params, key: jax.Array, images: jax.Array) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        rows_key, view_key, latent_key = jax.random.split(key, 3)
        rows = jax.random.choice(rows_key, len(images), (count,), replace=False)
        return method.loss(params, latent_key, draw_views(augmentation, view_key, images[rows], method.num_views))

    return loss


@dataclass(frozen=True)
class _Seeds:
    """Some seeds, trained in one computation with a leading axis for them, or a single one without that axis."""

    indices: Int[np.ndarray, " seeds"]
    vectorised: bool

    def lift(self, function: Callable, in_axes: Any = 0) -> Callable:
        return jax.vmap(function, in_axes) if self.vectorised else function

    def keys(self, key: jax.Array) -> jax.Array:
        """One key a seed, the same whichever seeds it is trained with."""
        own = jax.vmap(lambda index: jax.random.fold_in(key, index))(jnp.asarray(self.indices))
        return own if self.vectorised else own[0]

    def update(self, loss: Callable, optimiser: optax.GradientTransformation) -> Callable:
        gradients = self.lift(jax.value_and_grad(loss, has_aux=True), (0, 0, None))

        def update(state: TrainState) -> tuple[TrainState, Metrics]:
            keys = self.keys(jax.random.fold_in(state.key, state.step))
            (losses, terms), gradient = gradients(state.params, keys, state.model_state["images"])
            # the sum decides whether training goes on: it is not finite if one of the seeds is not
            return apply_gradient(optimiser, state, gradient), {"loss": losses.sum(), "losses": losses, **terms}

        return update


class _Checkpoints(Checkpoints):
    """Checkpoints without the images, which are there when training goes on."""

    def save(self, state: TrainState, recorder_state: Any = None, *, wait: bool = True) -> None:
        super().save(state._replace(model_state={}), recorder_state, wait=wait)

    def latest(self, like: TrainState) -> tuple[TrainState, Any] | None:
        found = super().latest(like._replace(model_state={}))
        return found and (found[0]._replace(model_state=like.model_state), found[1])


def _terms(recorded: Any, store: Path | None) -> list[dict[str, np.ndarray]]:
    """The terms that were kept with a checkpoint, if they are what `_train` keeps."""
    terms = recorded.get("terms") if isinstance(recorded, dict) else None
    if not isinstance(terms, list) or not all(isinstance(each, dict) for each in terms):
        raise DataError(f"{store}: the records of its checkpoint are damaged; remove the folder.")
    return [{name: real_array(value, f"{store}: `{name}`") for name, value in each.items()} for each in terms]


def _train(
    update: Callable,
    state: TrainState,
    *,
    steps: int,
    at: Int[np.ndarray, " records"],
    name: str,
    store: Path | None,
    report_cost: Callable[[float], None] | None,
    steps_per_dispatch: int | None,
) -> tuple[TrainState, list[dict[str, np.ndarray]]]:
    """Run the updates, going on from the last checkpoint; the state at the end and the terms at every step of `at`."""
    kept: list[dict[str, np.ndarray]] = []
    checkpoints = None if store is None else _Checkpoints(store)
    resumed = None if checkpoints is None else checkpoints.latest(state)
    if resumed is not None:
        state, kept = resumed[0], _terms(resumed[1], store)
    state, outcome = run(
        update,
        state,
        steps=steps,
        observe=lambda _, metrics: kept.append({k: np.asarray(v) for k, v in metrics.items() if k != "loss"}),
        observe_at=at.tolist(),
        checkpoints=checkpoints,
        recorder_state=lambda: {"terms": list(kept)},  # a list of its own, which is written while this one grows
        report_cost=report_cost,
        steps_per_dispatch=steps_per_dispatch,
        description=name,
    )
    if outcome.kind == "interrupted":
        raise KeyboardInterrupt(f"{name}: {outcome.describe()}")
    if outcome.is_partial:
        raise DivergenceError(f"{name}: {outcome.describe()}; lower the learning rate.")
    return state, kept
