from .classifier import Recipe as Recipe
from .classifier import recipe_of as recipe_of
from .classifier import train_classifier as train_classifier
from .clip import train_clip as train_clip
from .decoder import train_decoder as train_decoder
from .finetuning import finetune as finetune
from .finetuning import trained_on as trained_on
from .ssl import AugmentedViews as AugmentedViews
from .ssl import Training as Training
from .ssl import changed as changed
from .ssl import train_encoder as train_encoder
from .ssl import with_settings as with_settings

__all__ = [
    "AugmentedViews",
    "Recipe",
    "Training",
    "changed",
    "finetune",
    "recipe_of",
    "train_classifier",
    "train_clip",
    "train_decoder",
    "train_encoder",
    "trained_on",
    "with_settings",
]
