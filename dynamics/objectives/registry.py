"""Objectives by name: one record each says all that training, recipes and the command line need to know of it.

>>> loss = objective_loss("simclr", temperature=0.2)
>>> OBJECTIVES["byol"].takes_targets
True
>>> sorted(OBJECTIVES["simclr"].settings)
['temperature']

A loss of your own becomes an objective everywhere with `OBJECTIVES["name"] = Objective(loss, source)`. Projectors at
their published size:

| objective | layers on top of the features | normalisation |
|---|---|---|
| Barlow Twins (Zbontar et al. 2021) | 8192, 8192, 8192 | batch, after the hidden layers; no biases |
| VICReg (Bardes et al. 2022) | 8192, 8192, 8192 | batch, after the hidden layers; biases in these |
| SimCLR (Chen et al. 2020) | as many as there are features, 128 | none; biases |
| BYOL (Grill et al. 2020) | 4096, 256; predictor 4096, 256 | batch, after the hidden layers; biases |
| SimSiam (Chen & He 2021) | 2048, 2048, 2048; predictor 512, 2048 | batch, after every layer but the predictor's last |
| MMCR (Yerxa et al. 2023) | 8192, 512 | batch, after the hidden layer; no biases |
| LeJEPA (Balestriero & LeCun 2025) | 2048, 2048, 128 | batch, after the hidden layers; biases |
| DINO (Caron et al. 2021) | 2048, 2048, 256, without the normalised last layer of 65536 units | none; biases |
| spectral contrastive; SIGReg, VISReg | those of Barlow Twins and of LeJEPA, which is this project's choice | |
| latent prediction | that of BYOL, which is this project's choice | |

Where the last normalisation sits decides what a small start means. In all of these but SimSiam the last layer is
linear and nothing normalises what follows it, so that a small last layer is a small function. SimSiam's output is
normalised: a small last layer there changes nothing until its outputs are so small that ε = 1e-5 counts, and from then
on the network is a constant times the unnormalised one.

This file imports no JAX: the command line reads names, settings and presets from it before it knows whether it will
compute anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from numbers import Real
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Annotated, Any

from dynamics.errors import ConfigError
from dynamics.objectives.heads import Head
from dynamics.support.bounds import Bounds, require_within

Loss = Callable[..., Any]
"""(embeddings (2n, d)) -> scalar; with a predictor (predictions (2n, d), targets (2n, d)) -> scalar."""

BARLOW_TWINS_PROJECTOR = Head((8192, 8192), 8192)
"""Projector of Zbontar et al. 2021."""


@dataclass(frozen=True)
class Setting:
    """A number that a loss takes by name.

    Parameters
    ----------
    default : float or int
        Value in the source of the objective.
    meaning : str
        One sentence that says what the number does.
    recipe_field : str, optional
        Field of `Recipe`, and so flag of the command line, that sets it; without one it keeps its default in recipes.
    bounds : Bounds, optional
        Range that the number must lie in.
    """

    default: float | int
    meaning: str
    recipe_field: str | None = None
    bounds: Bounds | None = None


@dataclass(frozen=True)
class Objective:
    """Everything that training, recipes and the command line need to know about one objective.

    Parameters
    ----------
    loss : callable or str
        Loss of the embeddings F (2n, d); with a predictor, of the predictions (2n, d) and the targets (2n, d). As text,
        `module:function`, it is imported when it is first used.
    source : str
        Paper, and its settings, that the loss follows.
    settings : mapping
        Name of an argument of the loss -> `Setting`.
    centred : bool
        Whether recipes give the loss the embeddings about their mean over all views of the batch, as its theory does.
    scale_free : bool
        Whether the loss depends on the directions of the embeddings alone, as losses by cosine do. The spectra that are
        recorded are then those of the normalised embeddings.
    projector : Head
        Projector at its published size; by default the one of Barlow Twins.
    predictor : Head, optional
        Predictor at its published size, for losses of what it makes of the embeddings.
    moving_target : bool
        Whether the targets come from a moving average of the network (`moving_average`) and not from itself.
    random : bool
        Whether the loss draws random numbers. It then has an argument `key`, and training gives it a new one at every
        step; without a key its numbers are always the same.
    flow_settings : mapping
        Settings with which flows take the loss, because a flow needs the same loss at every time: for a random one,
        what stands for its fresh numbers.
    jumps : bool
        Whether the gradient jumps wherever embeddings change their ranks, so that no flow can be followed to many
        digits.
    compares_partners : bool
        Whether the loss sees which views are partners. One that does not learns directions of the embeddings also where
        partners disagree, so what it has learned is read from the covariance.
    presets : mapping
        Name of a preset of recipes -> fields of `Recipe` that suit this objective at that size.
    growth : callable or str, optional
        Closed form of the growth matrix B from a small start, (graph (N, N), settings) -> (N, N); as text, it is
        imported when it is first used. Without one `dynamics.objectives.growth_matrix` differentiates the loss.
    no_growth : str
        A sentence that says why there is no growth matrix, for a loss that is singular where embeddings are zero.
    """

    loss: Loss | str
    source: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    centred: bool = False
    scale_free: bool = False
    projector: Head = BARLOW_TWINS_PROJECTOR
    predictor: Head | None = None
    moving_target: bool = False
    random: bool = False
    flow_settings: Mapping[str, Any] = field(default_factory=dict)
    jumps: bool = False
    compares_partners: bool = True
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    growth: Callable[..., Any] | str | None = None
    no_growth: str = ""

    @property
    def takes_targets(self) -> bool:
        """Whether the loss takes predictions and targets; without a predictor the embeddings are the predictions."""
        return self.predictor is not None or self.moving_target

    def with_settings(self, **values: float | int | None) -> Loss:
        """The loss at these settings, and at the defaults of its source for all others.

        Raises
        ------
        ConfigError
            If a setting is out of its bounds.
        """
        for name, value in values.items():
            bounds = self.settings[name].bounds
            if bounds is not None and isinstance(value, Real):
                require_within(name, value, Annotated[float, bounds])  # type: ignore[arg-type]
        loss = resolve_name(self.loss) if isinstance(self.loss, str) else self.loss
        settings = {name: setting.default for name, setting in self.settings.items()} | values
        return partial(loss, **settings) if settings else loss


_POSITIVE, _TWO = Bounds(1e-12, 1e12), Bounds(2, 10**6, whole=True)


def _off_diagonal(default: float) -> Setting:
    return Setting(default, "λ weighs the off-diagonal terms of the cross-correlation.", "off_diagonal")


def _temperature(default: float) -> Setting:
    return Setting(default, "τ divides the similarities.", "temperature", _POSITIVE)


def _slices(default: int) -> Setting:
    return Setting(default, "S is the number of random directions onto which embeddings are projected.", "slices", _TWO)


def _share(default: float) -> Setting:
    meaning = "λ is the share of the regularisation, against 1 − λ for the distance of partners."
    return Setting(default, meaning, "sketch_weight", Bounds(0.0, 1.0))


_SINGULAR = "Its cosines depend on directions alone, and embeddings that are zero have none."
_EPSILON_OF_NORMS = Setting(1e-12, "ε is the smallest squared norm by which an embedding is divided.")

# A cosine does not see a small readout, so the small start of these is a common direction of all embeddings.
_ONE_DIRECTION = MappingProxyType({"init_scale": 1e-3, "init_bias": 1.0})
_VICREG_LARGE = MappingProxyType({"covariance_weight": 4.0, "init_scale": 1e-3})
_LEJEPA_PROJECTOR = Head((2048, 2048), 128, bias=True, readout_bias=True)
_BYOL_HEAD = Head((4096,), 256, bias=True, readout_bias=True)
_ALL_SLICES = MappingProxyType({"slices": None})  # the mean over all directions, which fresh slices have on average
_KNOTS = Setting(17, "The integral over frequencies has so many knots.", bounds=_TWO)
# Where both factors of a product start small, or the force points inwards, nothing is learned from a small start.
_STANDARD = MappingProxyType({"init": "standard"})
_SIMCLR_PROJECTOR = Head((0,), 128, norm="none", bias=True, readout_bias=True)

OBJECTIVES: dict[str, Objective] = {
    "barlow-twins": Objective(
        "dynamics.objectives.correlation:barlow_twins",
        "Simon et al. 2023, eq. 2: λ = 1, no normalisation",
        settings={"off_diagonal": _off_diagonal(1.0)},
        centred=True,
        growth="dynamics.objectives.growth:barlow_twins_growth",
    ),
    "barlow-twins-practical": Objective(
        "dynamics.objectives.correlation:barlow_twins_normalised",
        "Zbontar et al. 2021: λ = 0.0051, batch normalisation",
        settings={
            "off_diagonal": _off_diagonal(0.0051),
            "epsilon": Setting(1e-5, "ε is added to the variances by which the embeddings are divided."),
        },
    ),
    "vicreg": Objective(
        "dynamics.objectives.variance:vicreg_released",
        "Bardes et al. 2022: weights 25, 25, 1",
        settings={
            "variance_weight": Setting(25.0, "μ weighs the hinge on the standard deviations."),
            "covariance_weight": Setting(1.0, "ν weighs the squared covariances.", "covariance_weight"),
            "invariance_weight": Setting(25.0, "λ weighs the squared distance of partners."),
            "epsilon": Setting(1e-4, "ε is added to the variances before the root is taken.", "epsilon"),
        },
        growth="dynamics.objectives.growth:vicreg_released_growth",
        projector=Head((8192, 8192), 8192, bias=True),
        presets={
            "cpu": {"covariance_weight": 12.5, "learning_rate": 4e-3, "init_scale": 1e-3, "steps": 2000},
            "gpu": _VICREG_LARGE,
            "stl10": _VICREG_LARGE,
        },
    ),
    "simclr": Objective(
        "dynamics.objectives.contrastive:nt_xent",
        "Chen et al. 2020: τ = 0.5, as on CIFAR-10",
        settings={"temperature": _temperature(0.5)},
        scale_free=True,
        projector=_SIMCLR_PROJECTOR,
        presets={
            "cpu": {**_ONE_DIRECTION, "learning_rate": 0.05, "steps": 1800},
            "gpu": _ONE_DIRECTION,
            "stl10": _ONE_DIRECTION,
        },
        no_growth=_SINGULAR,
    ),
    "infonce": Objective(
        "dynamics.objectives.contrastive:nt_xent_dot",
        "Chen et al. 2020 with dot products in place of cosines, as theory has it: τ = 1",
        settings={"temperature": _temperature(1.0)},
        projector=_SIMCLR_PROJECTOR,
        presets={"cpu": {"learning_rate": 0.03}},
        growth="dynamics.objectives.growth:infonce_dot_growth",
    ),
    "spectral-contrastive": Objective(
        "dynamics.objectives.spectral:spectral_contrastive",
        "HaoChen et al. 2021, eq. 6",
        centred=True,
        growth="dynamics.objectives.growth:barlow_twins_growth",
    ),
    "byol": Objective(
        "dynamics.objectives.predictor:byol",
        "Grill et al. 2020",
        settings={"epsilon": _EPSILON_OF_NORMS},
        scale_free=True,
        projector=_BYOL_HEAD,
        predictor=_BYOL_HEAD,
        moving_target=True,
        no_growth=_SINGULAR,
    ),
    "simsiam": Objective(
        "dynamics.objectives.predictor:simsiam",
        "Chen & He 2021",
        settings={"epsilon": _EPSILON_OF_NORMS},
        scale_free=True,
        projector=Head((2048, 2048), 2048, normalise_output=True),
        predictor=Head((512,), 2048, readout_bias=True),
        no_growth=_SINGULAR,
    ),
    "latent-prediction": Objective(
        "dynamics.objectives.distillation:latent_prediction",
        "Assran et al. 2023 (I-JEPA), with squares, on two views of whole images",
        projector=_BYOL_HEAD,
        predictor=_BYOL_HEAD,
        moving_target=True,
        presets={"cpu": {**_STANDARD, "learning_rate": 0.1}, "gpu": _STANDARD, "stl10": _STANDARD},
        no_growth="It is a product of predictor and embeddings, so both must grow before either has a gradient.",
    ),
    "dino": Objective(
        "dynamics.objectives.distillation:dino",
        "Caron et al. 2021: τ = 0.1 and 0.04, centred on the batch",
        settings={
            "temperature": Setting(0.1, "τ_s divides the outputs of the student.", "temperature", _POSITIVE),
            "target_temperature": Setting(
                0.04,
                "τ_t divides the outputs of the teacher and sharpens them.",
                "target_temperature",
                _POSITIVE,
            ),
        },
        projector=Head((2048, 2048), 256, norm="none", bias=True, readout_bias=True),
        moving_target=True,
        presets={"cpu": {**_STANDARD, "learning_rate": 0.03}, "gpu": _STANDARD, "stl10": _STANDARD},
        growth="dynamics.objectives.growth:dino_growth",
    ),
    "mmcr": Objective(
        "dynamics.objectives.capacity:mmcr",
        "Yerxa et al. 2023: the nuclear norm of the centroids alone",
        settings={"epsilon": _EPSILON_OF_NORMS},
        scale_free=True,
        projector=Head((8192,), 512),
        presets={
            "cpu": {**_ONE_DIRECTION, "learning_rate": 3e-3, "steps": 1800},
            "gpu": _ONE_DIRECTION,
            "stl10": _ONE_DIRECTION,
        },
        no_growth=_SINGULAR,
    ),
    "sigreg": Objective(
        "dynamics.objectives.sketched:sigreg",
        "Balestriero & LeCun 2025: the regularisation of LeJEPA alone",
        settings={"slices": _slices(256), "knots": _KNOTS},
        projector=_LEJEPA_PROJECTOR,
        random=True,
        flow_settings=_ALL_SLICES,
        compares_partners=False,
        growth="dynamics.objectives.growth:sigreg_growth",
    ),
    "lejepa": Objective(
        "dynamics.objectives.sketched:lejepa",
        "Balestriero & LeCun 2025: λ = 0.02, 17 knots, 256 slices, as in the released example",
        settings={"weight": _share(0.02), "slices": _slices(256), "knots": _KNOTS},
        projector=_LEJEPA_PROJECTOR,
        random=True,
        flow_settings=_ALL_SLICES,
        presets={"cpu": {"learning_rate": 0.05}},
        growth="dynamics.objectives.growth:lejepa_growth",
    ),
    "visreg": Objective(
        "dynamics.objectives.wasserstein:visreg",
        "Wu et al. 2026: λ = 0.9, weights 1, 1, 1, 4096 slices",
        settings={
            "weight": _share(0.9),
            "scale_weight": Setting(1.0, "a weighs the distance of the standard deviations from 1."),
            "shape_weight": Setting(1.0, "b weighs the distance of sorted projections from normal quantiles."),
            "center_weight": Setting(1.0, "c weighs the squared means."),
            "slices": _slices(4096),
            "epsilon": Setting(1e-6, "ε is the smallest standard deviation by which is divided."),
        },
        projector=_LEJEPA_PROJECTOR,
        random=True,
        flow_settings={"slices": 64},  # fixed ones: the sorted distance has no mean in closed form
        jumps=True,
        presets={"cpu": {**_STANDARD, "learning_rate": 0.05, "slices": 256}, "gpu": _STANDARD, "stl10": _STANDARD},
        no_growth="Its standardised projections depend on directions alone, and its gradient does not vanish at zero.",
    ),
}
"""Name -> objective, with the settings of its source."""


def get_objective(name: str) -> Objective:
    """Record of the objective of that name.

    Raises
    ------
    ConfigError
        If there is no such objective.
    """
    if name not in OBJECTIVES:
        raise ConfigError(f"There is no objective {name!r}; choose from {', '.join(OBJECTIVES)}.")
    return OBJECTIVES[name]


def objective_loss(name: str, **settings: float | int) -> Loss:
    """Loss of the objective of that name, with other settings than its source's where they are given.

    Raises
    ------
    ConfigError
        If there is no such objective, or it has no such setting.
    """
    record = get_objective(name)
    for setting in settings:
        if setting not in record.settings:
            raise ConfigError(
                f"Objective {name} has no setting {setting!r}; it has {', '.join(record.settings) or 'none'}."
            )
    return record.with_settings(**settings)


def flow_loss(name: str) -> Loss:
    """Loss of the objective of that name as flows take it: not random, and otherwise at the settings of its source.

    Raises
    ------
    ConfigError
        If there is no such objective.
    """
    record = get_objective(name)
    return record.with_settings(**record.flow_settings)


def embedding_loss(objective: Loss | str) -> Loss:
    """A loss of embeddings alone, given as a function, which is returned as it is, or by name, as flows take it.

    Raises
    ------
    ConfigError
        If there is no objective of that name, or if it takes predictions and targets.
    """
    if not isinstance(objective, str):
        return objective
    if get_objective(objective).takes_targets:
        raise ConfigError(f"Objective {objective} is a loss of predictions and targets, not of embeddings alone.")
    return flow_loss(objective)
