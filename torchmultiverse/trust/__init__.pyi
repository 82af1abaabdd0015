from .judgement import Judgement as Judgement
from .judgement import judged as judged
from .qscore import ActiveFeatures as ActiveFeatures
from .qscore import active_features as active_features
from .qscore import discriminative_features as discriminative_features
from .trust_study import TrustOptions as TrustOptions
from .trust_study import study_trust as study_trust

__all__ = [
    "ActiveFeatures",
    "Judgement",
    "TrustOptions",
    "active_features",
    "discriminative_features",
    "judged",
    "study_trust",
]
