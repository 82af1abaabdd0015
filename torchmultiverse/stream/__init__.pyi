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
    "Curriculum",
    "Dataset",
    "RenderStream",
    "Replay",
    "Sampler",
    "StreamOptions",
    "Uniform",
]
