"""Settings of the study of Bizeul et al. 2024, data set by data set: the released code's, and what fits a CPU."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp

from dynamics.errors import ConfigError
from dynamics.generative import Bernoulli, Gaussian, GaussianPrior, Likelihood, Prior, SimVAE
from dynamics.generative.evaluation import MIXTURE_STARTS
from dynamics.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder

RELEASED_NOISE = exp(-4.6)
RELEASED_BUDGETS = (2_000, 20_000)
"""Budgets beside the released one, which is 375,000 updates for 60,000 images; 2,000 is that of this study on a CPU."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Everything that the training and the probing of one data set depend on.

    Parameters
    ----------
    dataset, augmentation : str
        Names of the images and of the recipe for their views.
    widths : tuple of int
        Hidden units of an MLP, or channels of the stages of a residual network.
    convolutional : bool
        Whether the encoder is the residual network.
    latent : int
        Number of latent dimensions d.
    likelihood : {"gaussian", "bernoulli"}
        Likelihood p(x | z) of an image.
    noise : float
        Noise τ² of the decoder.
    prior : Prior
        Prior p(z_1 … z_J) of the latents.
    views : tuple of int
        Numbers of views J with which SimVAE is trained.
    steps, batch, learning_rate, adam_epsilon, decay
        Settings of the training, as for `dynamics.generative.fit`.
    train, test : int, optional
        Number of images for training and for testing; None for all there are.
    probed : int, optional
        Number of training images that probes are fitted to; None for all.
    repeats : int
        Number of views of each image in the probes of style.
    binarised : bool
        Whether images as they are, in the probes of content, are binarised at ½ like their views.
    mixture_starts : int
        Number of starts of the mixtures of Gaussians.
    noises : tuple of float
        Noises τ² of the sweep; empty for no sweep.
    sweep_steps : int
        Number of updates in the sweep.
    search_steps : int
        Number of updates of each training in the search for strengths.
    budgets : tuple of int
        Numbers of updates, fewer than `steps`, after which the class is read from every method, too.
    """

    dataset: str
    augmentation: str
    widths: tuple[int, ...]
    convolutional: bool = False
    latent: int
    likelihood: str
    noise: float = RELEASED_NOISE
    prior: Prior = GaussianPrior()  # noqa: RUF009 - frozen
    views: tuple[int, ...] = (2,)
    steps: int
    batch: int = 128
    learning_rate: float = 8e-5
    adam_epsilon: float = 1e-4
    decay: str = "constant"
    train: int | None = None
    test: int | None = None
    probed: int | None = None
    repeats: int = 1
    binarised: bool = False
    mixture_starts: int = MIXTURE_STARTS
    noises: tuple[float, ...] = ()
    sweep_steps: int = 0
    search_steps: int = 500
    budgets: tuple[int, ...] = ()

    def model(self, shape: tuple[int, ...], noise: float | None = None) -> SimVAE:
        """Networks, prior and likelihood for views of a shape (h, w, c), with another noise if one is given."""
        if self.convolutional:
            encoder = ConvEncoder(self.widths, outputs=2 * self.latent)
            decoder = ConvDecoder(self.widths[::-1], shape=shape)
        else:
            encoder = MLPEncoder(self.widths, 2 * self.latent)
            decoder = MLPDecoder(self.widths[::-1], shape)
        kinds: dict[str, Callable[[float], Likelihood]] = {"gaussian": Gaussian, "bernoulli": Bernoulli}
        return SimVAE(encoder, decoder, self.prior, kinds[self.likelihood](noise or self.noise), self.latent)


def _released_steps(images: int, epochs: int = 400, batch: int = 128, views: int = 2) -> int:
    return epochs * (images // (batch // views))


RELEASED: dict[str, Setting] = {
    "mnist": Setting(
        dataset="mnist",
        augmentation="simvae-mnist",
        widths=(2000, 500, 500),
        latent=10,
        likelihood="bernoulli",
        steps=_released_steps(60_000),
        search_steps=_released_steps(60_000, epochs=20),
        test=10_000,
        budgets=RELEASED_BUDGETS,
        binarised=True,
    ),
    "fashion-mnist": Setting(
        dataset="fashion-mnist",
        augmentation="simvae-fashion-mnist",
        widths=(2000, 500, 500),
        latent=10,
        likelihood="bernoulli",
        steps=_released_steps(60_000),
        search_steps=_released_steps(60_000, epochs=20),
        test=10_000,
        budgets=RELEASED_BUDGETS,
    ),
    "cifar10": Setting(
        dataset="cifar10",
        augmentation="simvae-cifar10",
        widths=(32, 64, 128),
        convolutional=True,
        latent=64,
        likelihood="gaussian",
        steps=_released_steps(50_000),
        search_steps=_released_steps(50_000, epochs=20),
        test=10_000,
        budgets=RELEASED_BUDGETS,
    ),
    "celeba": Setting(
        dataset="celeba",
        augmentation="simvae-cifar10",
        widths=(32, 64, 128),
        convolutional=True,
        latent=64,
        likelihood="gaussian",
        steps=_released_steps(162_770),
        search_steps=_released_steps(162_770, epochs=20),
        test=10_000,
        budgets=RELEASED_BUDGETS,
    ),
}
"""The settings of the released code, for a study at full size. They are made for an accelerator; a CPU takes days."""

# On a CPU: narrower layers, a tenfold learning rate that decays, some thousand steps, fewer images in the probes, and
# fewer starts of the mixtures.
_CPU = {"learning_rate": 1e-3, "adam_epsilon": 1e-8, "decay": "cosine", "budgets": (100, 300)}
_CPU_IMAGES = {"train": 20_000, "test": 4000, "probed": 4000, "mixture_starts": 3}
CPU: dict[str, Setting] = {
    "digits": Setting(
        dataset="digits",
        augmentation="digits-style",
        widths=(256, 256),
        latent=16,
        likelihood="gaussian",
        noise=0.02,
        views=(2, 6),
        steps=3000,
        train=1347,
        test=450,
        repeats=2,
        noises=(0.02, 0.1, 0.3, 1.0),
        sweep_steps=1000,
        search_steps=1000,
        mixture_starts=3,
        **{**_CPU, "learning_rate": 2e-3, "budgets": (100, 1000)},
    ),
    "mnist": replace(
        RELEASED["mnist"], widths=(512, 256), steps=2000, search_steps=500, views=(2, 6), **_CPU, **_CPU_IMAGES
    ),
    "fashion-mnist": replace(
        RELEASED["fashion-mnist"], widths=(512, 256), steps=2000, search_steps=500, views=(2, 6), **_CPU, **_CPU_IMAGES
    ),
    "cifar10": replace(RELEASED["cifar10"], widths=(16, 32, 64), steps=1000, search_steps=250, **_CPU, **_CPU_IMAGES),
    "celeba": replace(RELEASED["celeba"], widths=(16, 32, 64), steps=1000, search_steps=250, **_CPU, **_CPU_IMAGES),
}
"""The settings that run by default. Digits have no released setting; the one here shows the effects in minutes."""


def setting(dataset: str, full: bool) -> Setting:
    """Return the setting of a data set; `ConfigError` if there is none."""
    known = RELEASED if full else CPU
    if dataset not in known:
        size = " at full size" if full else ""
        raise ConfigError(f"The study `simve` has no setting for `{dataset}`{size}; it has {', '.join(known)}.")
    return known[dataset]
