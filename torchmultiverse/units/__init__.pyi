from .detection import Concepts as Concepts
from .detection import Detections as Detections
from .detection import Expression as Expression
from .detection import UnitDetections as UnitDetections
from .detection import centred_ranks as centred_ranks
from .detection import detect as detect
from .detection import single_areas as single_areas
from .semanticity import factor_embeddings as factor_embeddings
from .semanticity import monosemanticity as monosemanticity
from .unit_kinds import UnitOptions as UnitOptions
from .unit_kinds import concepts_of as concepts_of
from .unit_study import study_units as study_units
from .words import CaptionBank as CaptionBank
from .words import UnitMap as UnitMap
from .words import UnitWords as UnitWords
from .words import WordOptions as WordOptions
from .words import interpretability as interpretability
from .words import map_units as map_units
from .words import unit_groups as unit_groups
from .words import words_of as words_of

__all__ = [
    "CaptionBank",
    "Concepts",
    "Detections",
    "Expression",
    "UnitDetections",
    "UnitMap",
    "UnitOptions",
    "UnitWords",
    "WordOptions",
    "centred_ranks",
    "concepts_of",
    "detect",
    "factor_embeddings",
    "interpretability",
    "map_units",
    "monosemanticity",
    "single_areas",
    "study_units",
    "unit_groups",
    "words_of",
]
