from .catalog import CORRUPTIONS as CORRUPTIONS
from .catalog import IMAGENET_C as IMAGENET_C
from .catalog import LEFT_OUT as LEFT_OUT
from .catalog import SETS as SETS
from .catalog import SEVERITIES as SEVERITIES
from .catalog import VERSION as VERSION
from .catalog import Corruption as Corruption
from .catalog import corrupt as corrupt
from .catalog import corruption_names as corruption_names
from .catalog import parse_severities as parse_severities
from .catalog import picture_rng as picture_rng
from .constants import SIDE as SIDE
from .strength import matched_severity as matched_severity
from .strength import psnr as psnr
from .strength import rms_contrast as rms_contrast

__all__ = [
    "CORRUPTIONS",
    "IMAGENET_C",
    "LEFT_OUT",
    "SETS",
    "SEVERITIES",
    "SIDE",
    "VERSION",
    "Corruption",
    "corrupt",
    "corruption_names",
    "matched_severity",
    "parse_severities",
    "picture_rng",
    "psnr",
    "rms_contrast",
]
