"""Animals made by code: species files over implicit parts."""

from torchmultiverse.engines.builtin.characters.appearance import TEXTURES, texture, texture_kind
from torchmultiverse.engines.builtin.characters.library import (
    CharacterMesh,
    character_label,
    character_names,
    load_character,
    texture_character,
    texture_names,
)

__all__ = [
    "TEXTURES",
    "CharacterMesh",
    "character_label",
    "character_names",
    "load_character",
    "texture",
    "texture_character",
    "texture_kind",
    "texture_names",
]
