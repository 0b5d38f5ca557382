from .comparison import compare_recipe as compare_recipe
from .config import PRESETS as PRESETS
from .config import Recipe as Recipe
from .config import recipe_preset as recipe_preset
from .preparation import PreparedRecipe as PreparedRecipe
from .preparation import prepare as prepare
from .training import train as train
