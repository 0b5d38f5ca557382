"""Weights of an objective that give the same linear phase at another batch size, another dimension, another scale.

In the linear phase dF/dt = 2K̃BF. The kernel sums over the N views of a batch, so what a population sees is N B, a sum
of the terms of the objective, each with its weight: of the form weight × (batch)^a × (outputs)^b × (scale)^2. The
weights that keep every term follow from the exponents a and b, and where a weight is a share, λ and 1 − λ, the learning
rate takes what is left.

>>> moved = equivalent_weights("lejepa", {"weight": 0.02}, batch=(256, 1024))
>>> round(moved.settings["weight"], 5), round(moved.learning_rate, 4)
(0.00508, 0.985)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from dynamics.errors import ConfigError
from dynamics.objectives.registry import get_objective
from dynamics.support.bounds import Bounds


@dataclass(frozen=True)
class Term:
    """How one term of an objective counts in the linear phase.

    Parameters
    ----------
    setting : str
        Setting that weighs it; empty for a term of fixed weight, and `1 − weight` for what a share leaves.
    batch, dim : float
        Exponents a and b of batch size and number of outputs in its rate N B.
    """

    setting: str
    batch: float = 0.0
    dim: float = 0.0


@dataclass(frozen=True)
class Equivalent:
    """Settings that give the same rates.

    Parameters
    ----------
    settings : mapping
        Setting -> value.
    learning_rate : float
        Factor by which the learning rate is to be multiplied.
    """

    settings: Mapping[str, float | int]
    learning_rate: float


_REST = "1 - weight"
TERMS: Mapping[str, tuple[Term, ...]] = MappingProxyType(
    {
        "barlow-twins": (Term(""),),
        "spectral-contrastive": (Term(""),),
        "infonce": (Term(""),),
        "vicreg": (Term("variance_weight", dim=-1.0), Term("invariance_weight", dim=-1.0)),
        "sigreg": (Term("", batch=1.0, dim=-1.0),),
        "lejepa": (Term("weight", batch=1.0, dim=-1.0), Term(_REST, dim=-1.0)),
        "dino": (Term("", dim=-1.0),),
    }
)
"""Objective -> the terms of its linear phase."""


def equivalent_weights(
    objective: str,
    settings: Mapping[str, float | int] | None = None,
    *,
    batch: tuple[int, int] = (1, 1),
    dim: tuple[int, int] = (1, 1),
    scale: tuple[float | int, float | int] = (1.0, 1.0),
) -> Equivalent:
    """Weights and learning rate that give an objective the same linear-phase rates elsewhere.

    Parameters
    ----------
    objective : str
        Name of an objective with an exponential phase.
    settings : mapping, optional
        Weights as they are now; those that are left out have the values of the source.
    batch, dim : (int, int)
        Pairs of a batch, and number of outputs: as they are, and as they will be.
    scale : (float, float)
        Output multiplier of the network: as it is, and as it will be. Its square multiplies the kernel, and so all
        rates.

    Returns
    -------
    Equivalent
        The weights, and the factor of the learning rate.

    Raises
    ------
    ConfigError
        If the objective has no such rule or setting, or a number is not positive.
    """
    if objective not in TERMS:
        raise ConfigError(f"Objective {objective} has no equivalent weights; {', '.join(TERMS)} have.")
    positive = Bounds(1e-12, 1e12)
    for name, values in (("batch", batch), ("dim", dim), ("scale", scale)):
        for value in values:
            _require(name, value, positive)
    known = get_objective(objective).settings
    unknown = (settings or {}).keys() - known.keys()
    if unknown:
        raise ConfigError(
            f"Objective {objective} has no setting {min(unknown)!r}; it has {', '.join(known) or 'none'}."
        )
    now = {name: setting.default for name, setting in known.items()} | dict(settings or {})
    terms = TERMS[objective]
    factors = {term.setting: (batch[0] / batch[1]) ** term.batch * (dim[0] / dim[1]) ** term.dim for term in terms}
    rate = (scale[0] / scale[1]) ** 2
    if _REST in factors:
        weight, rest = now["weight"] * factors["weight"], (1 - now["weight"]) * factors[_REST]
        return Equivalent(now | {"weight": weight / (weight + rest)}, rate * (weight + rest))
    if "" in factors:
        return Equivalent(now, rate * factors[""])
    return Equivalent(now | {name: now[name] * factor for name, factor in factors.items()}, rate)


def _require(name: str, value: float | int, bounds: Bounds) -> None:
    if not bounds.admit(value):
        raise ConfigError(f"`{name}` has {value}; give {bounds}.")
