from .detection import Concepts as Concepts
from .detection import Expression as Expression
from .detection import UnitDetections as UnitDetections
from .detection import centred_ranks as centred_ranks
from .detection import detect as detect
from .detection import single_areas as single_areas

__all__ = ["Concepts", "Expression", "UnitDetections", "centred_ranks", "detect", "single_areas"]
