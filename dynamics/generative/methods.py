r"""SimVAE and the methods that it is compared with, all on the same encoder.

| name | views | objective | source |
|---|---|---|---|
| `vae` | 1 | ELBO with N(0, I) | Kingma & Welling 2014 |
| `beta-vae` | 1 | the same, entropy and prior times β | Higgins et al. 2017 |
| `cr-vae` | 2 | ELBO of each view, plus λ KL(q(z\|x') ‖ q(z\|x)) | Sinha & Dieng 2021 |
| `simvae` | J | ELBO_SSL | Bizeul et al. 2024 |
| `simclr` | 2 | NT-Xent | Chen et al. 2020 |
| `vicreg` | 2 | hinge, 25 : 25 : 1 | Bardes et al. 2022 |
| `barlow-twins` | 2 | normalised, λ = 0.0051 | Zbontar et al. 2021 |
| `l-lambda` | 2 | E‖z − z'‖² + λ‖E zzᵀ − I‖² | HaoChen & Ma 2023 |

The last four train only the means of the encoder, without a projector. The strengths β, λ, τ and the covariance weight
of VICReg are settings; where the source leaves them open, their defaults are choices made here.

VICReg and Barlow Twins weigh d(d − 1) off-diagonal terms against d others, and their weights were published for
projectors with 8192 outputs. `strengths_to_try` therefore goes up to 8191/(d − 1) times the published weight, with
which both kinds of terms weigh against each other as they do there. With the published weights at d = 10 all outputs
learn the same one or two dimensions: on MNIST (MLP 256–128, 1000 updates, one seed) the effective ranks of Barlow
Twins and VICReg are 1.1 and 1.7, and linear probes read .26 and .30 of the digits, whatever Adam's ε; with the
transferred weights the ranks are 6.8 and 6.6, and probes read .61 and .66.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from dynamics.errors import ConfigError
from dynamics.generative.elbo import ElboTerms
from dynamics.generative.entropy import RELEASED_WEIGHTS
from dynamics.generative.model import Params, SimVAE
from dynamics.generative.prior import GaussianPrior
from dynamics.objectives import barlow_twins_normalised, generalised_spectral, nt_xent, vicreg
from dynamics.typing import Array

ViewStack = Float[Array, "views batch h w c"]
Loss = Callable[[Params, Key[jax.Array, ""], ViewStack], tuple[jax.Array, Mapping[str, jax.Array]]]

BATCH_NORM_EPSILON = 1e-5  # of the released code of Barlow Twins

_PUBLISHED_OUTPUTS = 8192
"""Outputs of the projectors for which the weights of VICReg and Barlow Twins were published."""


@dataclass(frozen=True)
class Method:
    """A way to train the encoder of a model.

    Parameters
    ----------
    name : str
        Name of the method in the table of this module.
    num_views : int
        Number J of views of each image in a batch.
    model : SimVAE
        Networks, prior and likelihood; its decoder is trained by generative methods only.
    loss : callable
        (params, key, views (J, batch, h, w, c)) -> loss, and its terms by name.
    generative : bool
        Whether there is a decoder.
    """

    name: str
    num_views: int
    model: SimVAE
    loss: Loss
    generative: bool

    def init(self, key: Key[jax.Array, ""], shape: tuple[int, ...]) -> Params:
        """Parameters of all that is trained, for images of a shape (h, w, c)."""
        params = self.model.init(key, shape)
        return params if self.generative else {"encoder": params["encoder"]}


def make_method(name: str, model: SimVAE, *, num_views: int = 2, strength: float | None = None) -> Method:
    """Return a method by name.

    Parameters
    ----------
    name : str
        Name of the method in the table of this module.
    model : SimVAE
        Networks, prior and likelihood. VAEs replace the prior by N(0, I).
    num_views : int
        Number J of views, for `simvae`.
    strength : float, optional
        Strength of the method: β of `beta-vae` (4 by default), λ of `cr-vae` (0.1), `barlow-twins` (0.0051) and
        `l-lambda` (1), τ of `simclr` (0.5), or the weight of the covariances of `vicreg` (2).

    Raises
    ------
    ConfigError
        If there is no such method, it has no strength, or J is below 1.
    """
    if name not in METHODS:
        raise ConfigError(f"There is no method `{name}`; known are {', '.join(METHODS)}.")
    if num_views < 1:
        raise ConfigError(f"num_views is {num_views}; give at least 1.")
    if strength is not None and name not in _STRENGTHS:
        raise ConfigError(f"The method `{name}` has no strength; leave it out.")
    return METHODS[name](model, num_views, _STRENGTHS.get(name) if strength is None else strength)


def _simvae(model: SimVAE, num_views: int, strength: None) -> Method:
    return Method("simvae", num_views, model, partial(_negative_elbo, model), True)


def _vae(model: SimVAE, num_views: int, strength: None) -> Method:
    model = replace(model, prior=GaussianPrior(within_variance=model.prior.within_variance))  # N(0, I) for J = 1
    return Method("vae", 1, model, partial(_negative_elbo, model), True)


def _beta_vae(model: SimVAE, num_views: int, beta: float) -> Method:
    vae = _vae(replace(model, regulariser_weight=beta), num_views, None)
    return replace(vae, name="beta-vae")


def _cr_vae(model: SimVAE, num_views: int, weight: float) -> Method:
    vae = _vae(model, num_views, None).model

    def loss(params: Params, key: Key[jax.Array, ""], views: ViewStack) -> tuple[jax.Array, dict[str, jax.Array]]:
        keys = jax.random.split(key, 2)
        parts = [vae.elbo(params, view_key, view[None]) for view_key, view in zip(keys, views, strict=True)]
        terms = ElboTerms(*(sum(term) for term in zip(*parts, strict=True)))
        image, augmented = (vae.posterior(params, view) for view in views)
        consistency = augmented.divergence(image).mean()
        return weight * consistency - terms.total, {**terms._asdict(), "consistency": consistency}

    return Method("cr-vae", 2, vae, loss, True)


def _joint_embedding(name: str, objective: Callable[[jax.Array], jax.Array], model: SimVAE) -> Method:
    def loss(params: Params, key: Key[jax.Array, ""], views: ViewStack) -> tuple[jax.Array, dict[str, jax.Array]]:
        return objective(model.embed(params, views.reshape(-1, *views.shape[2:]))), {}

    return Method(name, 2, model, loss, False)


METHODS: dict[str, Callable[[SimVAE, int, Any], Method]] = {
    "vae": _vae,
    "beta-vae": _beta_vae,
    "cr-vae": _cr_vae,
    "simvae": _simvae,
    "simclr": lambda model, J, tau: _joint_embedding("simclr", partial(nt_xent, temperature=tau), model),
    "vicreg": lambda model, J, nu: _joint_embedding("vicreg", partial(vicreg, **_vicreg_weights(nu)), model),
    "barlow-twins": lambda model, J, lam: _joint_embedding(
        "barlow-twins", partial(barlow_twins_normalised, off_diagonal=lam, epsilon=BATCH_NORM_EPSILON), model
    ),
    "l-lambda": lambda model, J, lam: _joint_embedding("l-lambda", partial(generalised_spectral, weight=lam), model),
}
"""Name -> (model, J, strength) -> method."""

_STRENGTHS = {
    "beta-vae": 4.0,
    "cr-vae": 0.1,
    "simclr": 0.5,
    "vicreg": RELEASED_WEIGHTS.covariance,
    "barlow-twins": 0.0051,
    "l-lambda": 1.0,
}
_FACTORS = {"beta-vae": (0.5, 1, 2), "cr-vae": (1, 3, 10), "simclr": (0.2, 0.4, 1), "l-lambda": (0.3, 1, 3)}


def strengths_to_try(name: str, outputs: int) -> tuple[float, ...]:
    """Three strengths of a method for a search, the default among them; none for a method that has no strength.

    Parameters
    ----------
    name : str
        Name of the method.
    outputs : int
        Number d of latents. For `vicreg` and `barlow-twins` it decides how far the search goes: to the weight with
        which a row of off-diagonal terms weighs as it does among 8192 outputs. For the others the factors 0.2 … 10 are
        chosen by eye.
    """
    if name not in _STRENGTHS:
        return ()
    transferred = (_PUBLISHED_OUTPUTS - 1) / max(outputs - 1, 1)
    return tuple(_STRENGTHS[name] * factor for factor in _FACTORS.get(name, (1, transferred**0.5, transferred)))


def _negative_elbo(
    model: SimVAE, params: Params, key: Key[jax.Array, ""], views: ViewStack
) -> tuple[jax.Array, dict[str, jax.Array]]:
    terms = model.elbo(params, key, views)
    return -terms.total, terms._asdict()


def _vicreg_weights(covariance: float) -> dict[str, float]:
    weights = RELEASED_WEIGHTS._replace(covariance=covariance)
    return {f"{name}_weight": weight for name, weight in weights._asdict().items()}


def draw_views(
    augmentation: Callable[[jax.Array, jax.Array], jax.Array],
    key: Key[jax.Array, ""],
    images: Float[Array, "batch h w c"],
    num_views: int,
) -> ViewStack:
    """J independent views of every image, (J, batch, h, w, c)."""
    keys = jax.random.split(key, (num_views, len(images)))
    return jnp.asarray(jax.vmap(jax.vmap(augmentation), (0, None))(keys, images))
