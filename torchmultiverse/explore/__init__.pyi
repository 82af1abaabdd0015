from .controls import Control as Control
from .controls import engine_controls as engine_controls
from .events import Event as Event
from .events import Request as Request
from .finding import Finding as Finding
from .finding import load_finding as load_finding
from .finding import neighbourhood as neighbourhood
from .finding import read_finding as read_finding
from .readers import Reader as Reader
from .readers import Reading as Reading
from .running import explore_forever as explore_forever
from .running import make_studio as make_studio
from .server import Explorer as Explorer
from .studio import Studio as Studio
from .widget import explorer_widget as explorer_widget

__all__ = [
    "Control",
    "Event",
    "Explorer",
    "Finding",
    "Reader",
    "Reading",
    "Request",
    "Studio",
    "engine_controls",
    "explore_forever",
    "explorer_widget",
    "load_finding",
    "make_studio",
    "neighbourhood",
    "read_finding",
]
