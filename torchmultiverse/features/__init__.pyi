from .cache import EmbeddingStore as EmbeddingStore
from .cache import embed_texts as embed_texts
from .cache import encode_pictures as encode_pictures
from .encode import BatchSize as BatchSize
from .encode import encode_texts as encode_texts
from .encode import picture_array as picture_array
from .encode import run_pictures as run_pictures
from .extract import Features as Features
from .extract import factor_names as factor_names
from .extract import features_of as features_of
from .layers import Tap as Tap
from .layers import layers_of as layers_of

__all__ = [
    "BatchSize",
    "EmbeddingStore",
    "Features",
    "Tap",
    "embed_texts",
    "encode_pictures",
    "encode_texts",
    "factor_names",
    "features_of",
    "layers_of",
    "picture_array",
    "run_pictures",
]
