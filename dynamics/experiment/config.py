"""Everything that one experiment depends on, as one flat record: the flags of the command line and `config.json`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from dynamics.errors import ConfigError
from dynamics.support.bounds import Bounds, Count, ImageSize, Scale, Seed, Size, check_bounds


@dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one experiment; the same settings give the same numbers."""

    WITHOUT_EFFECT: ClassVar[tuple[str, ...]] = ("data_dir", "kernel_memory", "kernel_cache")

    dataset: str = "digits"
    """Data set: digits, mnist, fashion-mnist, cifar10, stl10, synthetic, or a path. It is that of an .npz of pairs (x
    and x_prime) or of images, of a folder of images, or of a Hugging Face data set."""

    data_dir: Path | None = None
    """Folder with the data set's official files; without it they are downloaded once."""

    image_size: ImageSize | None = None
    """Side in pixels to which files of images are scaled and cropped; by default they stay as they are."""

    num_pairs: Count | None = None
    """Number of positive pairs n; by default 64, or all pairs of an .npz."""

    augmentation: str | None = None
    """How two views of an image are made; by default what suits the data set."""

    network: Literal["resnet", "convnet", "mlp", "group-convnet"] = "resnet"
    """Architecture, in NTK parameterisation and without normalisation layers."""

    group: Literal["c4", "d4", "translation", "cyclic", "p4", "p4m"] = "c4"
    """Group of a group-convnet: turns (c4), also reflections (d4), shifts (translation, cyclic), or both (p4, p4m)."""

    pairs: Literal["augmented", "group", "fibers"] = "augmented"
    """What makes a pair: augmented images, images moved by the group (A-SSL), or fibers of one forward pass (H-SSL)."""

    distance: Annotated[int, Bounds(0, 10**6, whole=True)] | None = None
    """Fixed topographic distance of the partners that the group makes; by default they are independent (Haar)."""

    window: Annotated[int, Bounds(0, 10**6, whole=True)] | None = None
    """Largest topographic distance of the partners that the group makes, uniform in the window."""

    width: Size | None = None
    """Channels (of a ResNet's first stage) or hidden units; the architecture's default if left out."""

    depth: Annotated[int, Bounds(1, 100, whole=True)] | None = None
    """Hidden layers of an MLP or ConvNet, or blocks in each stage of a ResNet."""

    head: Literal["flatten", "pool"] | None = None
    """What follows the last convolution. Pooling makes the infinite-width kernel slow: O(pixels²) a pair of views."""

    dim: Size = 8
    """Embedding dimensions d."""

    init: Literal["readout", "centred", "all"] = "readout"
    """What is made small at the start: the last layer, the function, or all weights. No kernel predicts the last; for
    an MLP the path from saddle to saddle does."""

    init_scale: Scale = 1e-4
    """α, the scale of the initial function against that of the standard network."""

    multiplier: Scale | Literal["auto"] = 1.0
    """Output multiplier c; 1 takes the network as it is. A large one keeps the features nearly fixed, and auto chooses
    the smallest at which a frozen kernel should hold."""

    center: bool = True
    """Subtract the mean embedding before the objective, as practical recipes do."""

    kernel: Literal["empirical", "infinite"] = "empirical"
    """Kernel behind the forecast: the network's own at the start, or that of the infinitely wide network."""

    kernel_dtype: Literal["float64", "float32"] = "float64"
    """Precision of the kernel. float32 halves the memory and blurs what lies below 1e-7 of the largest eigenvalue."""

    kernel_memory: Scale | None = None
    """Memory that kernels may take, in GiB; by default what the machine has left."""

    kernel_cache: Path | None = None
    """Folder that keeps kernels, so that a stopped run goes on where it was. They are never removed automatically."""

    lr_fraction: Scale = 0.05
    """Learning rate as a fraction of the stability limit 1/(4 γ_1)."""

    learning_rate: Scale | None = None
    """Learning rate; by default `lr_fraction` of the stability limit."""

    steps: Count | None = None
    """Training steps; by default a fifth more than the forecast needs for all dimensions. Where the kernel will move,
    that is the forecast in which it moves."""

    seed: Seed = 0
    """Seed of the data, the views and the network."""

    labels: bool = False
    """Forecast and measure how well probes read the data's labels from what was learned, on 256 held-out pairs."""

    allow_collapse: bool = False
    """Go on where fewer than d dimensions can be learned."""

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.network == "group-convnet" and self.kernel == "infinite":
            raise ConfigError('A group-convnet has no infinite-width kernel here; use `kernel="empirical"`.')
        if self.pairs != "augmented" and self.network != "group-convnet":
            raise ConfigError(f'`pairs="{self.pairs}"` needs a network with a group: `network="group-convnet"`.')
        if self.pairs != "augmented" and self.augmentation is not None:
            raise ConfigError(f'`pairs="{self.pairs}"` makes the views by the group; leave `augmentation` out.')
        if self.labels and self.pairs != "augmented":
            raise ConfigError(f'`pairs="{self.pairs}"` makes pairs without labels; leave `labels` or `pairs` out.')
        laws = [name for name in ("distance", "window") if getattr(self, name) is not None]
        if len(laws) == 2 or (laws and self.pairs == "augmented"):
            raise ConfigError('Give one of `distance` and `window`, with `pairs="group"` or `pairs="fibers"`.')

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}
