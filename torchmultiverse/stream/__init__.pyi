from .clip_stream import ClipStream as ClipStream
from .clips import ClipDataset as ClipDataset
from .clips import Clips as Clips
from .dataset import Dataset as Dataset
from .options import StreamOptions as StreamOptions
from .record import Replay as Replay
from .render_stream import RenderStream as RenderStream
from .samplers import Adaptive as Adaptive
from .samplers import Curriculum as Curriculum
from .samplers import Sampler as Sampler
from .samplers import Uniform as Uniform

__all__ = [
    "Adaptive",
    "ClipDataset",
    "ClipStream",
    "Clips",
    "Curriculum",
    "Dataset",
    "RenderStream",
    "Replay",
    "Sampler",
    "StreamOptions",
    "Uniform",
]
