from .activation_maps import unit_maps as unit_maps
from .cache import FeatureCache as FeatureCache
from .encode import BatchSize as BatchSize
from .encode import encode_texts as encode_texts
from .encode import image_array as image_array
from .encode import run_images as run_images
from .extract import Features as Features
from .extract import embed_texts as embed_texts
from .extract import encode_images as encode_images
from .extract import factor_names as factor_names
from .extract import features_of as features_of
from .extract import text_vectors as text_vectors
from .layers import LayerExtractor as LayerExtractor
from .layers import last_of_trunk as last_of_trunk
from .layers import layers_of as layers_of

__all__ = [
    "BatchSize",
    "FeatureCache",
    "Features",
    "LayerExtractor",
    "embed_texts",
    "encode_images",
    "encode_texts",
    "factor_names",
    "features_of",
    "image_array",
    "last_of_trunk",
    "layers_of",
    "run_images",
    "text_vectors",
    "unit_maps",
]
