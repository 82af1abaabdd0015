"""Animals made by code: species files over implicit parts."""

from torchmultiverse.engines.builtin.characters.appearance import TEXTURES, texture
from torchmultiverse.engines.builtin.characters.library import (
    CharacterMesh,
    character_names,
    load_character,
    texture_character,
    texture_names,
)

__all__ = [
    "TEXTURES",
    "CharacterMesh",
    "character_names",
    "load_character",
    "texture",
    "texture_character",
    "texture_names",
]
