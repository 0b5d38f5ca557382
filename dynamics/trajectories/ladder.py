"""The ladder: models of one experiment, each of which drops one assumption of the model above it.

>>> [f"{rung.number} {rung.name}" for rung in LADDER]
['0 closed_form', '1 ode', '1½ matrix_ode', '2 linearised', '2½ bilinear', '2¾ relinearised', '3 network', '4 recipe']
>>> rung("ode").label, rung("my_model").label
('kernel flow', 'my model')
>>> in_order(["updated", "ode", "my_model", "closed_form"])
['closed_form', 'ode', 'updated', 'my_model']

Tables, figures, reports and run folders take the names of models, their order and their look from here.
"""

from collections.abc import Iterable
from dataclasses import dataclass

Line = tuple[str, str | tuple[float, tuple[float, ...]]]
"""Colour and dashes, as Matplotlib takes them."""

_FRACTIONS = {0.0: "", 0.5: "½", 0.75: "¾"}

MEASURED = "#1b1b1b"
"""Colour of what was measured; its line is solid, and theory is dashed."""

_MEASURED: Line = (MEASURED, "-")
_BILINEAR = "#0e7490"
_THEORY: Line = ("0.55", (0.0, (2.0, 2.0)))
_SOLVED: Line = ("#c2410c", (0.0, (3.0, 1.5)))


@dataclass(frozen=True)
class Rung:
    """One model of an experiment.

    Parameters
    ----------
    name : str
        `Trajectory.rung` of what the model makes, key of tables, and stem of the file in a run folder.
    label : str
        The name in figures and tables.
    order : float, optional
        Place on the ladder, from 0 for the closed form to 4 for the practical recipe; None for a variant, which is
        drawn beside the ladder.
    line : (colour, dashes)
        Colour and dashes of its curves.
    marker : str
        Matplotlib marker of its points.
    filled : bool
        Whether its marker is filled.
    marker_area : float
        Area of its marker in points².
    is_measured : bool
        Whether the trajectory is that of a network that was trained, against which forecasts are compared.
    model : str
        What the model is, in the words of the ladder's table.
    drops : str
        The assumption that it drops, as the end of the sentence "It drops the assumption that …".
    """

    name: str
    label: str
    order: float | None = None
    line: Line = _THEORY
    marker: str = "v"
    filled: bool = False
    marker_area: float = 22.0
    is_measured: bool = False
    model: str = ""
    drops: str = ""

    @property
    def number(self) -> str:
        """Place on the ladder as it is printed, such as `1½`; empty for a variant."""
        if self.order is None:
            return ""
        return f"{int(self.order)}{_FRACTIONS[self.order % 1]}"


LADDER: tuple[Rung, ...] = (
    Rung(
        "closed_form",
        "closed form",
        0.0,
        line=("#c2410c", (0.0, (4.0, 1.5))),
        marker="o",
        marker_area=60.0,  # a ring around the marks of the other rungs
        model="independent logistic modes, in closed form",
        drops="(assumes them all)",
    ),
    Rung(
        "ode",
        "kernel flow",
        1.0,
        line=("#1d4ed8", (0.0, (1.0, 1.0))),
        marker="s",
        filled=True,
        model="gradient flow of the frozen kernel, from the actual initial function",
        drops="modes start aligned and do not interact",
    ),
    Rung(
        "matrix_ode",
        "matrix kernel",
        1.5,
        line=("#15803d", (0.0, (3.0, 1.0))),
        marker="D",
        filled=True,
        model="the same with the kernel of all outputs together",
        drops="the outputs have one kernel and are not coupled",
    ),
    Rung(
        "linearised",
        "linearised",
        2.0,
        line=("#7c3aed", (0.0, (5.0, 1.0, 1.0, 1.0))),
        marker="x",
        model="the linearised network, by discrete gradient descent",
        drops="steps are infinitesimal",
    ),
    Rung(
        "bilinear",
        "bilinear",
        2.5,
        line=(_BILINEAR, (0.0, (6.0, 1.0, 1.0, 1.0, 1.0, 1.0))),
        marker="P",
        filled=True,
        model="readout and features that learn together, each linear in its own parameters",
        drops="the kernel stays frozen",
    ),
    Rung(
        "relinearised",
        "relinearised",
        2.75,
        line=(_BILINEAR, (0.0, (4.0, 1.0, 1.0, 1.0))),
        marker="h",
        filled=True,
        model="the same, linearised again after each of d stretches of the way",
        drops="features stay linear in the parameters at the start",
    ),
    Rung(
        "network",
        "network",
        3.0,
        line=_MEASURED,
        is_measured=True,
        model="the finite network, full batch, fixed pairs",
        drops="features are linear in their parameters, for however short a stretch",
    ),
    Rung(
        "recipe",
        "practical network",
        4.0,
        line=_MEASURED,
        is_measured=True,
        model="the practical recipe: minibatches, fresh views, normalisation, any objective",
        drops="data are fixed and the objective is ideal",
    ),
)
"""The rungs in their order."""

VARIANTS: tuple[Rung, ...] = (
    Rung("bilinear_flow", "bilinear flow", line=(_BILINEAR, (0.0, (1.0, 1.0))), marker="p"),
    Rung("bilinear_exact", "bilinear, exact", line=(_BILINEAR, (0.0, (4.0, 1.0))), marker="X"),
    Rung("saddle_to_saddle", "saddle to saddle", line=("#be185d", (0.0, (4.0, 1.5))), marker="*", marker_area=60.0),
    Rung("infinite_width", "infinite width", marker="^"),
    Rung("forecast", "forecast"),
    Rung("updated", "updated forecast", line=("#be185d", (0.0, (6.0, 2.0)))),
    Rung("kernel_start", "kernel at the start"),
    Rung("fixed_pairs", "fixed pairs"),
    Rung("kernel_after", "kernel after training"),
    Rung("objective_flow", "kernel flow of the objective", line=("#1d4ed8", (0.0, (1.0, 1.0)))),
    Rung("teacher_flow", "kernel flow with a teacher", line=("#1d4ed8", (0.0, (1.0, 1.0)))),
    Rung("linear_model", "linear model", line=_MEASURED, is_measured=True),
    Rung("directpred", "DirectPred", line=_SOLVED),
    Rung("variance_regularisation", "variance regularisation", line=_SOLVED),
    Rung("isoloss", "IsoLoss", line=_SOLVED),
    Rung("jepa", "JEPA", line=_SOLVED),
    Rung("mae", "MAE", line=_SOLVED),
    Rung("word_embedding", "word embedding", line=_SOLVED),
    Rung("deep_linear", "deep linear network", line=_SOLVED),
    Rung("preconditioned", "preconditioned", line=_SOLVED),
    Rung("plda", "linear SimVAE, likelihood"),
    Rung("linear_simvae", "linear SimVAE"),
    Rung("linear_barlow_twins", "linear Barlow Twins"),
)
"""Models that are drawn beside the ladder, in the order in which tables show them."""

_BY_NAME = {rung.name: rung for rung in (*LADDER, *VARIANTS)}
_POSITIONS = {name: position for position, name in enumerate(_BY_NAME)}
_FLOWS = ("saddle_to_saddle", "relinearised", "bilinear", "matrix_ode", "ode")


def rung(name: str) -> Rung:
    """The rung or variant of that name; for an unknown name, a variant with that name and the look of other theory."""
    return _BY_NAME.get(name) or Rung(name, name.replace("_", " "))


def in_order(names: Iterable[str]) -> list[str]:
    """Names sorted as tables show them: the ladder, its variants, then unknown names as they come."""
    return sorted(names, key=lambda name: _POSITIONS.get(name, len(_POSITIONS)))


def main_forecast(names: Iterable[str]) -> str | None:
    """The forecast that a figure shows mode by mode where there is room for one; None without forecasts.

    It is the highest rung that is a gradient flow, whose curves are smooth, or else the first of the names in order.
    """
    names = list(names)
    return next((name for name in (*_FLOWS, *in_order(names)) if name in names), None)
