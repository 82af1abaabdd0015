from .judgement import Judgement as Judgement
from .judgement import judged as judged
from .trust_study import TrustOptions as TrustOptions
from .trust_study import study_trust as study_trust

__all__ = [
    "Judgement",
    "TrustOptions",
    "judged",
    "study_trust",
]
