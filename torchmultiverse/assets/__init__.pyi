from .builders import build as build
from .classes import classed_names as classed_names
from .classes import published_classes as published_classes
from .engines import known_catalogue as known_catalogue
from .engines import make_engine as make_engine
from .folder import add as add
from .library import BUILDABLE as BUILDABLE
from .library import PAGE as PAGE
from .library import PROCEDURAL as PROCEDURAL
from .library import Pack as Pack
from .library import check_packs as check_packs
from .library import drop as drop
from .library import everything as everything
from .library import installed as installed
from .library import open_pack as open_pack
from .library import remove as remove
from .licences import LICENCES as LICENCES
from .packs import asset_source as asset_source
from .page import turntable as turntable
from .polyhaven import POLYHAVEN_CREDIT as POLYHAVEN_CREDIT
from .request import BuildRequest as BuildRequest
from .sheet import pack_sheet as pack_sheet

__all__ = [
    "BUILDABLE",
    "LICENCES",
    "PAGE",
    "POLYHAVEN_CREDIT",
    "PROCEDURAL",
    "BuildRequest",
    "Pack",
    "add",
    "asset_source",
    "build",
    "check_packs",
    "classed_names",
    "drop",
    "everything",
    "installed",
    "known_catalogue",
    "make_engine",
    "open_pack",
    "pack_sheet",
    "published_classes",
    "remove",
    "turntable",
]
