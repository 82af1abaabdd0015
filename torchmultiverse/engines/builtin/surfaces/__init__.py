"""Surfaces that repeat without a seam: brick, planks, tiles, panels … as colour, roughness and relief.

Each is a function over a unit square, periodic in both directions; `Paint` gives it colours and a size in metres.
"""

from torchmultiverse.engines.builtin.surfaces.fields import Tile, fractal
from torchmultiverse.engines.builtin.surfaces.paint import Kind, Paint, material, tile

__all__ = ["Kind", "Paint", "Tile", "fractal", "material", "tile"]
