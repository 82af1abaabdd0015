"""Animals made by code: species files over implicit parts."""

from torchmultiverse.engines.builtin.characters.appearance import TEXTURES, texture, texture_kind
from torchmultiverse.engines.builtin.characters.implicit import polygon_distance, smooth_min, spline
from torchmultiverse.engines.builtin.characters.library import (
    CharacterMesh,
    animal,
    character_label,
    character_names,
    load_character,
    texture_character,
    texture_names,
    textured_parts,
)
from torchmultiverse.engines.builtin.characters.noise import cells, fractal, srgb
from torchmultiverse.engines.builtin.characters.plans import grow

__all__ = [
    "TEXTURES",
    "CharacterMesh",
    "animal",
    "cells",
    "character_label",
    "character_names",
    "fractal",
    "grow",
    "load_character",
    "polygon_distance",
    "smooth_min",
    "spline",
    "srgb",
    "texture",
    "texture_character",
    "texture_kind",
    "texture_names",
    "textured_parts",
]
