"""The objective of a recipe as a function of the embeddings, with the settings that the recipe gives it."""

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
    """Every setting of the recipe's objective: the value that the recipe gives, or else the objective's default."""
    values = {}
    for name, setting in get_objective(recipe.objective).settings.items():
        given = None if setting.recipe_field is None else getattr(recipe, setting.recipe_field)
        values[name] = setting.default if given is None else given
    return values
