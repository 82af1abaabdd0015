from .detection import Concepts as Concepts
from .detection import Detections as Detections
from .detection import Expression as Expression
from .detection import UnitDetections as UnitDetections
from .detection import centred_ranks as centred_ranks
from .detection import detect as detect
from .detection import single_areas as single_areas
from .semanticity import factor_embeddings as factor_embeddings
from .semanticity import monosemanticity as monosemanticity
from .unit_study import UnitOptions as UnitOptions
from .unit_study import concepts_of as concepts_of
from .unit_study import study_units as study_units

__all__ = [
    "Concepts",
    "Detections",
    "Expression",
    "UnitDetections",
    "UnitOptions",
    "centred_ranks",
    "concepts_of",
    "detect",
    "factor_embeddings",
    "monosemanticity",
    "single_areas",
    "study_units",
]
