from . import torch_tools as torch_tools
from .arrays import array as array
from .arrays import unit as unit
from .baseline import HistogramBaseline as HistogramBaseline
from .blind import without_pictures as without_pictures
from .clip import ClipModel as ClipModel
from .contract import Classifier as Classifier
from .contract import HasAdapterName as HasAdapterName
from .contract import HasCandidateLimit as HasCandidateLimit
from .contract import HasDevice as HasDevice
from .contract import HasLayers as HasLayers
from .contract import HasLikelihood as HasLikelihood
from .contract import HasModule as HasModule
from .contract import HasMutableInfo as HasMutableInfo
from .contract import HasTokens as HasTokens
from .contract import ImageEncoder as ImageEncoder
from .contract import ImageTextModel as ImageTextModel
from .contract import Model as Model
from .contract import ModelInfo as ModelInfo
from .contract import Precision as Precision
from .contract import Scorer as Scorer
from .diffusion import DECODER_CONFIG as DECODER_CONFIG
from .diffusion import DECODER_STATE as DECODER_STATE
from .diffusion import DECODER_WEIGHTS as DECODER_WEIGHTS
from .diffusion import DIFFUSION_STEPS as DIFFUSION_STEPS
from .diffusion import Decoder as Decoder
from .diffusion import DecoderConfig as DecoderConfig
from .diffusion import decoder_loss as decoder_loss
from .diffusion import decoder_preset as decoder_preset
from .diffusion import load_decoder as load_decoder
from .options import split_alias as split_alias
from .preprocess import IMAGENET_MEAN as IMAGENET_MEAN
from .preprocess import IMAGENET_STD as IMAGENET_STD
from .preprocess import FloatArray as FloatArray
from .preprocess import Images as Images
from .preprocess import Prepared as Prepared
from .preprocess import Preprocess as Preprocess
from .published_decoder import PUBLISHED_PRESETS as PUBLISHED_PRESETS
from .published_decoder import load_published as load_published
from .registry import FAMILIES as FAMILIES
from .registry import ModelFamily as ModelFamily
from .registry import as_model as as_model
from .registry import as_models as as_models
from .registry import family_forms as family_forms
from .registry import known_models as known_models
from .registry import load_model as load_model
from .registry import model_strings as model_strings
from .registry import register as register
from .selftest import check_model as check_model
from .ssl import ENCODER_CONFIG as ENCODER_CONFIG
from .ssl import build_encoder as build_encoder
from .tiny import TINY_CONFIG as TINY_CONFIG
from .tiny import TINY_WEIGHTS as TINY_WEIGHTS
from .tiny import build_tiny as build_tiny
from .tiny import save_tiny as save_tiny
from .tiny import tiny_config as tiny_config
from .tiny import tiny_preprocess as tiny_preprocess
from .tokens import TOKEN_KINDS as TOKEN_KINDS
from .tokens import TokenConfig as TokenConfig
from .tokens import TokenKind as TokenKind
from .tokens import TokenModel as TokenModel
from .tokens import load_tokens as load_tokens
from .tokens import words_of_caption as words_of_caption
from .torch_tools import device as device
from .torch_tools import need as need

__all__ = [
    "DECODER_CONFIG",
    "DECODER_STATE",
    "DECODER_WEIGHTS",
    "DIFFUSION_STEPS",
    "ENCODER_CONFIG",
    "FAMILIES",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "PUBLISHED_PRESETS",
    "TINY_CONFIG",
    "TINY_WEIGHTS",
    "TOKEN_KINDS",
    "Classifier",
    "ClipModel",
    "Decoder",
    "DecoderConfig",
    "FloatArray",
    "HasAdapterName",
    "HasCandidateLimit",
    "HasDevice",
    "HasLayers",
    "HasLikelihood",
    "HasModule",
    "HasMutableInfo",
    "HasTokens",
    "HistogramBaseline",
    "ImageEncoder",
    "ImageTextModel",
    "Images",
    "Model",
    "ModelFamily",
    "ModelInfo",
    "Precision",
    "Prepared",
    "Preprocess",
    "Scorer",
    "TokenConfig",
    "TokenKind",
    "TokenModel",
    "array",
    "as_model",
    "as_models",
    "build_encoder",
    "build_tiny",
    "check_model",
    "decoder_loss",
    "decoder_preset",
    "device",
    "family_forms",
    "known_models",
    "load_decoder",
    "load_model",
    "load_published",
    "load_tokens",
    "model_strings",
    "need",
    "register",
    "save_tiny",
    "split_alias",
    "tiny_config",
    "tiny_preprocess",
    "torch_tools",
    "unit",
    "without_pictures",
    "words_of_caption",
]
