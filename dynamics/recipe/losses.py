"""The objective of a recipe as a function of the embeddings, with the settings that the recipe gives it."""

from dynamics.objectives.equivalence import Equivalent, equivalent_weights
from dynamics.objectives.registry import Loss, get_objective, objective_loss
from dynamics.recipe.config import Recipe


def recipe_loss(recipe: Recipe) -> Loss:
    """Loss of embeddings (2n, d) of the whole batch, in the order x_1 … x_n, x'_1 … x'_n.

    Losses and their conventions are those of `dynamics.objectives`. An objective that is centred gets the embeddings
    about their mean over all 2n views. One with a predictor or a moving target is a loss of predictions and targets,
    and one that draws random numbers takes a `key`.
    """
    loss = objective_loss(recipe.objective, **loss_settings(recipe))
    if not get_objective(recipe.objective).centred:
        return loss
    return lambda F, **key: loss(F - F.mean(axis=0), **key)


def loss_settings(recipe: Recipe) -> dict[str, float | int]:
    """Every setting of the recipe's objective: the value that the recipe gives, or else the objective's default.

    Weights that were tuned at another batch are changed to those that give the same rates at this one.
    """
    return dict(_equivalent(recipe, _given(recipe)).settings)


def learning_rate(recipe: Recipe, given: float) -> float:
    """A given learning rate, changed as the batch differs from that at which it was tuned."""
    return given * _equivalent(recipe, _given(recipe)).learning_rate


def _given(recipe: Recipe) -> dict[str, float | int]:
    values = {}
    for name, setting in get_objective(recipe.objective).settings.items():
        given = None if setting.recipe_field is None else getattr(recipe, setting.recipe_field)
        values[name] = setting.default if given is None else given
    return values


def _equivalent(recipe: Recipe, values: dict[str, float | int]) -> Equivalent:
    """What the settings of the objective become at the recipe's batch, if they were tuned at another one."""
    if recipe.tuned_batch is None:
        return Equivalent(values, 1.0)
    return equivalent_weights(recipe.objective, values, batch=(recipe.tuned_batch, recipe.batch))
