"""Rung 4 behind the interface that all runs share (`dynamics.runs.interface`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from dynamics.errors import ConfigError
from dynamics.modes import ContrastiveModes
from dynamics.recipe.comparison import PAIRS, TANGENT_PAIRS, compare_recipe
from dynamics.recipe.config import AUTO, Recipe
from dynamics.recipe.preparation import PreparedRecipe, prepare
from dynamics.recipe.training import train
from dynamics.support.bounds import Bounds, require_within
from dynamics.training.checkpoints import Checkpoints
from dynamics.training.stability import FRACTION
from dynamics.trajectories.comparison import Comparison, measured_alone
from dynamics.trajectories.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class RecipeRun:
    """A practical recipe as a `PreparedRun`.

    Parameters
    ----------
    prepared : PreparedRecipe
        The recipe, ready to be trained.
    pairs : int
        Number of training images on which conjugate kernels are evaluated.
    tangent_pairs : int
        Number m of pairs of the probe batch on which tangent kernels are evaluated and subspaces compared.
    fixed_pairs : bool
        Whether a comparison trains the network on these m pairs alone, too, which takes as long as the run itself.
    kernels : bool
        Whether a comparison evaluates kernels at all; without them it holds the measured steps alone.
    """

    prepared: PreparedRecipe
    pairs: int = PAIRS
    tangent_pairs: int = TANGENT_PAIRS
    fixed_pairs: bool = True
    kernels: bool = True

    @staticmethod
    def of(recipe: Recipe, **comparison: Any) -> "RecipeRun":
        """Prepare the run of a recipe; errors are those of `dynamics.recipe.preparation`.

        `comparison` are the other fields; `ConfigError` if one of their numbers is out of its range.
        """
        for name in ("pairs", "tangent_pairs"):
            require_within(name, comparison.get(name), Annotated[int, Bounds(2, 10**6, whole=True)])
        return RecipeRun(prepare(recipe), **comparison)

    @property
    def title(self) -> str:
        """Two lines for a figure."""
        return self.prepared.title()

    @property
    def resolved(self) -> Mapping[str, Any]:
        """What the settings came to."""
        recipe = self.prepared.recipe
        compared = {"pairs": self.pairs, "tangent_pairs": self.tangent_pairs, "fixed_pairs": self.fixed_pairs}
        return {
            "network": self.prepared.describe(),
            "learning_rate": recipe.learning_rate,
            "steps": recipe.steps,
            "steps_per_epoch": len(self.prepared.images) // recipe.batch,
            **(compared if self.kernels else {}),
        }

    @property
    def modes(self) -> ContrastiveModes | None:
        """None: which modes a practical run learns is not known before it is trained."""
        return None

    def describe(self) -> str:
        """Say data, network and schedule, a line each."""
        recipe, mesh = self.prepared.recipe, self.prepared.mesh
        return (
            f"{self.prepared.describe()}\n{recipe.objective}: {recipe.steps:,} steps, {recipe.batch} images a step, on "
            f"{mesh.describe()}{_rate(recipe)}"
        )

    def forecast(self) -> dict[str, Trajectory]:
        """No rung is forecast before training; `compare` adds those of the kernels before and after it."""
        return {}

    def train(
        self,
        checkpoints: Checkpoints | None = None,
        *,
        report_cost: Callable[[float], None] | None = None,
        report_resumed: Callable[[int], None] | None = None,
        report_records: Callable[[Trajectory], None] | None = None,
    ) -> Trajectory:
        """Train the recipe, rung 4; the parameters are those of `PreparedRun.train`."""
        return train(
            self.prepared,
            checkpoints,
            report_cost=report_cost,
            report_resumed=report_resumed,
            report_records=report_records,
        )

    def compare(
        self,
        measured: Trajectory,
        forecasts: Mapping[str, Trajectory],
        checkpoints: Checkpoints | None = None,
        *,
        report_cost: Callable[[float], None] | None = None,
    ) -> tuple[dict[str, Trajectory], Comparison]:
        """Forecasts from the network's kernels before and after training, and the measured run against them.

        Raises
        ------
        ConfigError
            If the checkpoint of the last step is missing, or the objective has a predictor or a moving
            target.
        """
        if not self.kernels:
            return {}, measured_alone(measured)
        state, _ = (checkpoints and checkpoints.latest(self.prepared.state)) or (None, None)
        if state is None or int(state.step) != self.prepared.recipe.steps:
            raise ConfigError("The checkpoint of the last step is missing; `force` trains the run again.")
        return compare_recipe(
            self.prepared,
            measured,
            state,
            pairs=self.pairs,
            tangent_pairs=self.tangent_pairs,
            fixed_pairs=self.fixed_pairs,
            report_cost=report_cost,
        )


def _rate(recipe: Recipe) -> str:
    """What is to be said of an automatic learning rate, on a line of its own."""
    if recipe.learning_rate != AUTO:
        return ""
    return (
        f"\nlearning rate: {FRACTION:g} of the stability limit, which is measured on the network at the start and "
        "followed while its kernel moves"
    )
