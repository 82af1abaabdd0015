from .activation_maps import HeatMaps as HeatMaps
from .activation_maps import resized_maps as resized_maps
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
from .qscore import BAND as BAND
from .qscore import EPSILON as EPSILON
from .qscore import ActiveFeatures as ActiveFeatures
from .qscore import Sign as Sign
from .qscore import active_features as active_features
from .qscore import discriminative_features as discriminative_features

__all__ = [
    "BAND",
    "EPSILON",
    "ActiveFeatures",
    "BatchSize",
    "FeatureCache",
    "Features",
    "HeatMaps",
    "LayerExtractor",
    "Sign",
    "active_features",
    "discriminative_features",
    "embed_texts",
    "encode_images",
    "encode_texts",
    "factor_names",
    "features_of",
    "image_array",
    "last_of_trunk",
    "layers_of",
    "resized_maps",
    "run_images",
    "text_vectors",
    "unit_maps",
]
