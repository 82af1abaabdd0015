from . import codec as codec
from . import likeness as likeness
from .base import Asset as Asset
from .base import Catalogue as Catalogue
from .base import Choice as Choice
from .base import Engine as Engine
from .base import Failure as Failure
from .base import Frame as Frame
from .base import RenderOptions as RenderOptions
from .marker import MarkerEngine as MarkerEngine
from .pairing import BATCH as BATCH
from .remote import RemoteEngine as RemoteEngine

__all__ = [
    "BATCH",
    "Asset",
    "Catalogue",
    "Choice",
    "Engine",
    "Failure",
    "Frame",
    "MarkerEngine",
    "RemoteEngine",
    "RenderOptions",
    "codec",
    "likeness",
]
