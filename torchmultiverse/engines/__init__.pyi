from . import codec as codec
from . import likeness as likeness
from . import motion as motion
from .contract import Annotates as Annotates
from .contract import AnswersInBatches as AnswersInBatches
from .contract import Asset as Asset
from .contract import Catalogue as Catalogue
from .contract import CharacterClass as CharacterClass
from .contract import Choice as Choice
from .contract import Engine as Engine
from .contract import Failure as Failure
from .contract import Frame as Frame
from .contract import HasManifestNotes as HasManifestNotes
from .contract import RenderOptions as RenderOptions
from .contract import RendersOnDevice as RendersOnDevice
from .contract import ReportsMemory as ReportsMemory
from .contract import ReportsPixels as ReportsPixels
from .contract import WrapsEngine as WrapsEngine
from .contract import capability as capability
from .contract import class_list as class_list
from .dispatch import LEASE as LEASE
from .dispatch import RESTARTS as RESTARTS
from .dispatch import EngineStatus as EngineStatus
from .dispatch import Limits as Limits
from .listing import LISTED as LISTED
from .listing import LISTED_FACTOR as LISTED_FACTOR
from .listing import Listed as Listed
from .listing import catalogue_rows as catalogue_rows
from .marker import MarkerEngine as MarkerEngine
from .registry import BUILT_IN as BUILT_IN
from .registry import EngineEntry as EngineEntry
from .registry import engine_names as engine_names
from .registry import find_engine as find_engine
from .remote import RemoteEngine as RemoteEngine
from .supervisor import Supervisor as Supervisor

__all__ = [
    "BUILT_IN",
    "LEASE",
    "LISTED",
    "LISTED_FACTOR",
    "RESTARTS",
    "Annotates",
    "AnswersInBatches",
    "Asset",
    "Catalogue",
    "CharacterClass",
    "Choice",
    "Engine",
    "EngineEntry",
    "EngineStatus",
    "Failure",
    "Frame",
    "HasManifestNotes",
    "Limits",
    "Listed",
    "MarkerEngine",
    "RemoteEngine",
    "RenderOptions",
    "RendersOnDevice",
    "ReportsMemory",
    "ReportsPixels",
    "Supervisor",
    "WrapsEngine",
    "capability",
    "catalogue_rows",
    "class_list",
    "codec",
    "engine_names",
    "find_engine",
    "likeness",
    "motion",
]
