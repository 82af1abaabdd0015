from .characters import TEXTURES as TEXTURES
from .characters import texture as texture
from .characters import textured_parts as textured_parts
from .engine import AssetSource as AssetSource
from .engine import BuiltinEngine as BuiltinEngine
from .engine import Character as Character
from .engine import ProceduralAssets as ProceduralAssets
from .engine import describe as describe
from .llvm import fetch_llvm as fetch_llvm
from .mesh import Material as Material
from .mesh import Mesh as Mesh
from .mesh import MeshPart as MeshPart
from .mesh import grid_faces as grid_faces
from .sky import horizontal_irradiance as horizontal_irradiance
from .variant import missing_packages as missing_packages
from .variant import probe as probe
from .variant import use_library as use_library
from .world import World as World
from .world import WorldSpec as WorldSpec
from .world import world_names as world_names

__all__ = [
    "TEXTURES",
    "AssetSource",
    "BuiltinEngine",
    "Character",
    "Material",
    "Mesh",
    "MeshPart",
    "ProceduralAssets",
    "World",
    "WorldSpec",
    "describe",
    "fetch_llvm",
    "grid_faces",
    "horizontal_irradiance",
    "missing_packages",
    "probe",
    "texture",
    "textured_parts",
    "use_library",
]
