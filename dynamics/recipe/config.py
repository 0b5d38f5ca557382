"""Everything that a practical run (rung 4) depends on, as one flat record, and the presets it starts from.

This file imports no JAX, so that the command line lists all settings at once.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from dynamics.errors import ConfigError
from dynamics.objectives.equivalence import equivalent_weights
from dynamics.objectives.registry import get_objective
from dynamics.support.bounds import Bounds, Count, ImageSize, Scale, Seed, Size, check_bounds

Momentum = Annotated[float, Bounds(0.0, 1.0, open_above=True)]
Layer = Annotated[int, Bounds(0, 10**6, whole=True)]
NonNegative = Annotated[float, Bounds(0.0, 1e12)]

AUTO: Literal["auto"] = "auto"
"""The learning rate that follows the stability limit."""

LOSS_SETTINGS = (
    *("off_diagonal", "temperature", "target_temperature", "covariance_weight", "epsilon"),
    *("sketch_weight", "slices"),
)
"""Fields that set an argument of the loss; None, where one is not given, leaves it at the objective's default."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of one practical run; on a CPU the same settings give the same numbers bit for bit."""

    WITHOUT_EFFECT: ClassVar[tuple[str, ...]] = ("preset", "data_dir", "checkpoint_seconds")

    preset: str = "cpu"
    """Preset that these settings come from: cpu, gpu or stl10."""

    objective: str = "barlow-twins"
    """The loss; barlow-twins is that of theory, and barlow-twins-practical the released recipe. The first is
    unnormalised and centred. infonce is the loss of simclr with dot products in place of cosines."""

    dataset: str = "digits"
    """Data set: digits, mnist, fashion-mnist, cifar10, stl10, or a path. It is that of an .npz of images, of a folder
    of images, or of a Hugging Face data set."""

    data_dir: Path | None = None
    """Folder with the data set's official files; without it they are downloaded once."""

    image_size: ImageSize | None = None
    """Side in pixels to which files of images are scaled and cropped; by default they stay as they are."""

    num_images: Count | None = None
    """Number of images to use, the first of the training split; by default all of them."""

    augmentation: str | None = None
    """How two views of an image are made, afresh at every step; by default what suits the data set."""

    network: Literal["resnet10", "resnet18", "resnet50"] = "resnet18"
    """Backbone; resnet10 has one block a stage and compiles fast."""

    stem: Literal["cifar", "imagenet"] = "cifar"
    """First layers: 3×3 at full resolution, or 7×7 and pooling, which divide the resolution by 4."""

    norm: Literal["batch", "group", "none"] = "batch"
    """Normalisation of backbone and projector."""

    width: Annotated[float, Bounds(1e-3, 64.0)] = 0.125
    """Channels of the backbone as a multiple of those of the published network."""

    projector: tuple[Layer, ...] | None = (128,)
    """Hidden layers of the projector, 0 for as many units as features; by default those of the method's paper."""

    dim: Size | None = 8
    """Embedding dimensions d; by default those of the method's paper."""

    init: Literal["small", "standard"] = "small"
    """Whether the last layers start small, so that dimensions are learned one by one; `init_layers` says which."""

    init_scale: Scale = 1e-2
    """α, the factor by which a small start multiplies weights."""

    init_layers: Literal["readout", "projector", "all"] = "readout"
    """Weights that a small start scales: those of the projector's last layer, of the projector, or all. Before a
    batch normalisation a scale of weights has no effect on the function as long as variances stay above 1e-5."""

    init_bias: NonNegative = 0.0
    """Norm of a random bias of the projector's last layer at a small start. Cosines do not see the scale of the
    embeddings; with this bias they start close to one direction, which is small for a cosine."""

    batch: Annotated[int, Bounds(2, 10**9, whole=True)] = 128
    """Images of a step, on all devices together; each gives two views. Covariances and negatives need two at least."""

    steps: Count = 2400
    """Number of updates."""

    optimiser: Literal["sgd", "lars", "adamw", "adam"] = "sgd"
    """Rule by which a gradient becomes an update."""

    learning_rate: Scale | Literal["auto"] = AUTO
    """η, the highest learning rate of the schedule; with auto it follows the stability limit of the network. It is then
    an eighth of that limit, which is measured at the start and again while the kernel grows."""

    warmup: Annotated[int, Bounds(0, 10**9, whole=True)] = 20
    """Number of steps over which the learning rate rises from zero."""

    decay: Literal["cosine", "constant"] = "constant"
    """How the learning rate goes on after the warm-up."""

    weight_decay: NonNegative = 0.0
    """Weight decay; applied to weights only, not to biases and the scales and shifts of normalisation."""

    momentum: Momentum = 0.0
    """Momentum of sgd and lars. With 0.9 a learned eigenvalue overshoots and rings."""

    clip: Scale | None = None
    """Largest norm of the gradient; longer gradients are shortened to it. By default none is."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the network's computation; parameters, batch statistics, losses and spectra are float32 at least."""

    off_diagonal: NonNegative | None = None
    """λ, the weight of Barlow Twins' off-diagonal terms; by default 1 in theory and 0.0051 in the released recipe."""

    temperature: Scale | None = None
    """τ, the temperature of simclr, infonce and dino's student; by default 0.5, 1 and 0.1."""

    target_temperature: Scale | None = None
    """τ_t, the temperature of dino's teacher; by default 0.04. Only modes along which partners agree by more than its
    ratio to the student's leave a small start."""

    covariance_weight: Scale | None = None
    """ν, the weight of VICReg's covariances; by default the published 1. It acts on each pair of dimensions, so the
    1 of d = 8192 is weak where d is small: all dimensions then share the first directions for a long time."""

    epsilon: NonNegative | None = None
    """ε of VICReg's standard deviations, which hardly grow from below it; by default 1e-4."""

    sketch_weight: Annotated[float, Bounds(0.0, 1.0)] | None = None
    """λ of lejepa and visreg, the share of the regularisation in the loss; by default 0.02 and 0.9. That of lejepa acts
    in proportion to the batch."""

    slices: Annotated[int, Bounds(2, 10**6, whole=True)] | None = None
    """Number of random directions, drawn anew at every step, along which sigreg, lejepa and visreg compare embeddings
    with a Gaussian; by default 256, 256 and 4096."""

    tuned_batch: Annotated[int, Bounds(2, 10**9, whole=True)] | None = None
    """Batch size at which weights and learning rate were tuned; both are rescaled so that `batch` gives the same
    rates. By default they are taken as they are; an automatic learning rate follows by itself."""

    target_decay: Momentum = 0.996
    """τ of the target network of byol, latent-prediction and dino at the start; it rises to 1 along a cosine."""

    records: Annotated[int, Bounds(1, 10**6, whole=True)] = 200
    """Number of steps at which the spectrum is recorded, half of them evenly and half logarithmically spaced."""

    probe_images: Count = 256
    """Number of images whose two views, always the same, are the probe batch of the spectra."""

    probes: Annotated[int, Bounds(0, 10**6, whole=True)] = 0
    """Number of steps, evenly spaced and with the last, at which a linear and a k-NN probe read the class from the
    features of the backbone; 0 for none."""

    checkpoint_seconds: Annotated[float, Bounds(1e-3, 1e9)] = 60.0
    """Seconds between checkpoints."""

    seed: Seed = 0
    """Seed of the network, the order of the images and the views."""

    def __post_init__(self) -> None:
        check_bounds(self)
        if isinstance(self.learning_rate, str) and self.learning_rate != AUTO:
            raise ConfigError(f"`learning_rate` is {self.learning_rate!r}; give a number, or {AUTO!r}.")
        if self.tuned_batch is not None:
            equivalent_weights(self.objective, batch=(self.tuned_batch, self.batch))
        fed = {setting.recipe_field for setting in get_objective(self.objective).settings.values()} - {None}
        for name in LOSS_SETTINGS:
            if getattr(self, name) is not None and name not in fed:
                has = ", ".join(f"`{field}`" for field in LOSS_SETTINGS if field in fed) or "none"
                raise ConfigError(f"Objective {self.objective} has no setting `{name}`; it has {has}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "cpu": {"learning_rate": 0.01},  # measured to be stable; what an objective needs instead stands in its record
    "gpu": {
        "dataset": "cifar10",
        "augmentation": "barlow-twins",
        "width": 1.0,
        "projector": (2048,),
        "dim": 64,
        "batch": 512,
        "steps": 5000,
        "warmup": 100,
        "precision": "bfloat16",
        "probe_images": 512,
    },
    "stl10": {
        "dataset": "stl10",
        "network": "resnet50",
        "stem": "imagenet",
        "width": 1.0,
        "projector": (2048,),
        "dim": 64,
        "batch": 256,
        "steps": 5000,
        "warmup": 100,
        "precision": "bfloat16",
        "probe_images": 512,
    },
}
"""Name of a preset -> sizes; what suits an objective at these sizes stands in its `Objective.presets`."""


def recipe_preset(name: str, objective: str | None = None) -> Recipe:
    """Settings of a preset for an objective.

    Raises
    ------
    ConfigError
        If there is no such preset or objective, or the objective's preset sets what is no field of `Recipe`.
    """
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}; choose from {', '.join(PRESETS)}.")
    objective = Recipe.objective if objective is None else objective
    settings = {**PRESETS[name], **get_objective(objective).presets.get(name, {})}
    unknown = settings.keys() - {field.name for field in fields(Recipe)}
    if unknown:
        raise ConfigError(f"Preset {name} of objective {objective} sets {min(unknown)}, which is no field of a recipe.")
    return Recipe(preset=name, objective=objective, **settings)
