from .comparison import compare_recipe as compare_recipe
from .config import PRESETS as PRESETS
from .config import Recipe as Recipe
from .config import recipe_preset as recipe_preset
from .prepare import PreparedRecipe as PreparedRecipe
from .prepare import prepare as prepare
from .training import train as train
