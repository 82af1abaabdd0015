from .qscore import ActiveFeatures as ActiveFeatures
from .qscore import active_features as active_features
from .qscore import discriminative_features as discriminative_features

__all__ = ["ActiveFeatures", "active_features", "discriminative_features"]
