from .connect import Multiverse as Multiverse
from .connect import open_engine as open_engine
from .engines import Failure as Failure
from .engines import Frame as Frame
from .engines import RenderOptions as RenderOptions
from .evaluation import evaluate as evaluate
from .farm import generate as generate
from .scenes import Scene as Scene
from .scenes import Spec as Spec
from .scenes import load_spec as load_spec
from .scenes import parse_spec as parse_spec
from .store import open_dataset as open_dataset
from .stream import ClipDataset as ClipDataset
from .stream import Clips as Clips
from .stream import ClipStream as ClipStream
from .stream import Dataset as Dataset
from .stream import RenderStream as RenderStream
from .stream import Replay as Replay

__version__: str

__all__ = [
    "ClipDataset",
    "ClipStream",
    "Clips",
    "Dataset",
    "Failure",
    "Frame",
    "Multiverse",
    "RenderOptions",
    "RenderStream",
    "Replay",
    "Scene",
    "Spec",
    "evaluate",
    "generate",
    "load_spec",
    "open_dataset",
    "open_engine",
    "parse_spec",
]
