from .detection import Concepts as Concepts
from .detection import Detections as Detections
from .detection import Expression as Expression
from .detection import UnitDetections as UnitDetections
from .detection import centred_ranks as centred_ranks
from .detection import detect as detect
from .detection import single_areas as single_areas
from .semanticity import factor_embeddings as factor_embeddings
from .semanticity import monosemanticity as monosemanticity

__all__ = [
    "Concepts",
    "Detections",
    "Expression",
    "UnitDetections",
    "centred_ranks",
    "detect",
    "factor_embeddings",
    "monosemanticity",
    "single_areas",
]
