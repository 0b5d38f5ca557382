"""Everything that a practical run (rung 4) depends on, as one flat record, and presets that are known to work."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from dynamics.errors import ConfigError

Objective = Literal[
    "barlow-twins", "barlow-twins-practical", "vicreg", "simclr", "infonce", "spectral-contrastive", "byol", "simsiam"
]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of one practical run; on a CPU the same settings give the same numbers bit for bit."""

    preset: str = "cpu"
    """Where these settings come from: cpu, gpu or stl10."""

    objective: Objective = "barlow-twins"
    """Loss. barlow-twins is unnormalised and centred, as in theory; barlow-twins-practical is the released recipe;
    infonce is SimCLR's with dot products in place of cosines."""

    dataset: str = "digits"
    """digits, mnist, fashion-mnist, cifar10 or stl10."""

    data_dir: Path | None = None
    """Folder with the data set's official files; without it they are downloaded once."""

    num_images: int | None = None
    """Use the first so many images of the training split; by default all."""

    augmentation: str | None = None
    """How two views of an image are made, afresh at every step; by default what suits the data set."""

    network: Literal["resnet10", "resnet18", "resnet50"] = "resnet18"
    """Backbone; resnet10 has one block a stage and compiles fast."""

    stem: Literal["cifar", "imagenet"] = "cifar"
    """First layers: 3×3 at full resolution, or 7×7 and pooling, which divide it by 4."""

    norm: Literal["batch", "group", "none"] = "batch"
    """Normalisation of backbone and projector."""

    width: float = 0.125
    """Multiplies the channels of the backbone; 1 is the published network."""

    projector: tuple[int, ...] | None = (128,)
    """Hidden layers of the projector; 0 stands for the number of features. By default those of the method's paper."""

    dim: int | None = 8
    """Embedding dimensions d; by default those of the method's paper."""

    init: Literal["small", "standard"] = "small"
    """Small makes the layers of --init-layers small at the start, so that dimensions are learned one by one."""

    init_scale: float = 1e-2
    """α, by which a small start multiplies weights."""

    init_layers: Literal["readout", "projector", "all"] = "readout"
    """Which weights a small start scales: those of the projector's last layer, of the projector, or all. Before a
    batch normalisation a scale of weights has no effect on the function as long as variances stay above 1e-5."""

    init_bias: float = 0.0
    """Norm of a random bias of the projector's last layer at a small start. Cosines do not see the scale of the
    embeddings; with this they start close to one direction, which is small for a cosine."""

    batch: int = 128
    """Images of a step, on all devices together; each gives two views."""

    steps: int = 2400
    """Updates."""

    optimiser: Literal["sgd", "lars", "adamw", "adam"] = "sgd"
    """Optimiser."""

    learning_rate: float = 0.01
    """η, the highest."""

    warmup: int = 20
    """Steps in which the learning rate rises."""

    decay: Literal["cosine", "constant"] = "constant"
    """How the learning rate goes on."""

    weight_decay: float = 0.0
    """Of weights, not of biases and normalisation."""

    momentum: float = 0.0
    """Of sgd and lars. With 0.9 a learned eigenvalue overshoots and rings."""

    clip: float | None = None
    """Largest norm of the gradient."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's computation; parameters, batch statistics, losses and spectra are float32 or better."""

    off_diagonal: float = 1.0
    """λ of Barlow Twins: 1 in theory, 0.0051 in the released recipe."""

    temperature: float = 0.5
    """τ of simclr and infonce."""

    covariance_weight: float = 1.0
    """ν of VICReg. It acts on each pair of dimensions, so the published 1 (at d = 8192) is weak where d is small: all
    dimensions then share the first directions for a long time."""

    epsilon: float = 1e-4
    """ε of VICReg's standard deviations, below which they hardly grow."""

    target_decay: float = 0.996
    """τ of BYOL's target network at the start; it rises to 1 with a cosine."""

    records: int = 200
    """Steps at which the spectrum is recorded, half of them evenly and half logarithmically spaced."""

    probe_images: int = 256
    """Images whose two views, always the same, are the probe batch of the spectra."""

    probes: int = 0
    """Steps, evenly spaced and with the last, at which a linear and a k-NN probe read the class from the features of
    the backbone; 0 for none."""

    checkpoint_seconds: float = 60.0
    """Time between checkpoints."""

    seed: int = 0
    """Seeds the network, the order of the images and the views."""

    def __post_init__(self) -> None:
        for name in ("num_images", "dim", "batch", "steps", "records", "probe_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; give at least 1.")
        if self.probes < 0:
            raise ConfigError(f"probes is {self.probes}; give 0 or more.")
        positive = (
            "width",
            "init_scale",
            "learning_rate",
            "clip",
            "temperature",
            "checkpoint_seconds",
            "covariance_weight",
        )
        for name in positive:
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"{name} is {value}; give a positive number.")
        if self.projector is not None and any(width < 0 for width in self.projector):
            raise ConfigError(f"projector is {self.projector}; give numbers of units, or 0 for that of the features.")
        if not 0 <= self.target_decay < 1:
            raise ConfigError(f"target_decay is {self.target_decay}; give a number from 0 up to, but not including, 1.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    @staticmethod
    def from_dict(settings: dict[str, Any]) -> "Recipe":
        """Recipe of what `to_dict` returned; settings that this version does not know are left out."""
        known = {field.name for field in fields(Recipe)}
        values = {name: value for name, value in settings.items() if name in known}
        if values.get("projector") is not None:
            values["projector"] = tuple(values["projector"])
        if values.get("data_dir") is not None:
            values["data_dir"] = Path(values["data_dir"])
        return Recipe(**values)


# What the presets share beyond the defaults: sizes first, then what suits each objective at these sizes.
_SIZES: dict[str, dict[str, Any]] = {
    "cpu": {},
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
_SIMCLR = {"init_scale": 1e-3, "init_bias": 1.0}
_OBJECTIVES: dict[str, dict[str, dict[str, Any]]] = {
    "cpu": {
        "barlow-twins-practical": {"off_diagonal": 0.0051},
        "vicreg": {"covariance_weight": 12.5, "learning_rate": 4e-3, "init_scale": 1e-3, "steps": 2000},
        "simclr": {**_SIMCLR, "learning_rate": 0.05, "steps": 1800},
        "infonce": {"temperature": 1.0, "learning_rate": 0.03},
    },
    "gpu": {
        "barlow-twins-practical": {"off_diagonal": 0.0051},
        "vicreg": {"covariance_weight": 4.0, "init_scale": 1e-3},
        "simclr": {**_SIMCLR, "learning_rate": 0.05},
        "infonce": {"temperature": 1.0},
    },
}
_OBJECTIVES["stl10"] = _OBJECTIVES["gpu"]
PRESETS = tuple(_SIZES)


def recipe_preset(name: str, objective: str | None = None) -> Recipe:
    """Settings of a preset for an objective.

    Raises
    ------
    ConfigError
        If there is no such preset or objective.
    """
    if name not in _SIZES:
        raise ConfigError(f"There is no preset '{name}'; choose {', '.join(PRESETS)}.")
    objective = Recipe.objective if objective is None else objective
    if objective not in get_args(Objective):
        raise ConfigError(f"There is no objective '{objective}'; choose {', '.join(get_args(Objective))}.")
    settings = _SIZES[name] | _OBJECTIVES[name].get(objective, {})
    return Recipe(preset=name, objective=objective, **settings)
