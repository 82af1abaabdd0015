"""What a thing is made of, as the files of worlds say it, and the material that this becomes."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from torchmultiverse.engines.builtin.mesh import Material
from torchmultiverse.engines.builtin.surfaces import figurative, manufactured, masonry, natural, patterned, textiles
from torchmultiverse.engines.builtin.surfaces.fields import RGB, Pattern, Tile

TEXELS = 512
"""Side of a tile."""

Kind = Literal[
    "plaster",
    "concrete",
    "brick",
    "blocks",
    "cobbles",
    "planks",
    "tiles",
    "marble",
    "panels",
    "corrugated",
    "rust",
    "greebles",
    "carpet",
    "checks",
    "stripes",
    "grass",
    "dirt",
    "sand",
    "gravel",
    "asphalt",
    "rock",
    "roof",
    "thatch",
    "facade",
    "lit_facade",
    "books",
    "bottles",
    "glyphs",
    "hedge",
    "crowd",
    "planet",
    "continents",
    "craters",
    "flagstones",
    "ice",
    "knit",
    "rib_knit",
    "canvas",
    "weave",
    "wicker",
    "denim",
    "nylon",
    "leather",
    "camouflage",
    "tatami",
    "azulejo",
    "cement_tiles",
    "wax_print",
    "plaid",
    "rag_rug",
    "clapboard",
]


class Paint(BaseModel):
    """What a thing is made of.

    Attributes:
        surface: pattern, or None for one even colour.
        color, accent: sRGB, the pattern's two tones.
        size: metres that one repetition of the pattern covers.
        rough: 0 mirror-like to 1 fully rough; by default the pattern's own.
        specular: strength of the specular reflection, 0 to 1.
        metallic: 0 or 1.
        emission: radiance of what shines; the colour multiplies it.
        lights: whether it lights its surroundings by shadow rays (for a few large lamps, not for many small ones).
        relief: factor on the depth of the pattern.
        lamp: whether what shines is a lamp, a sign or a fire; not so a window's day, a skylight or a planet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    surface: Kind | None = None
    color: RGB
    accent: RGB | None = None
    size: float = Field(default=2.0, gt=0)
    rough: float | None = Field(default=None, ge=0, le=1)
    specular: float = Field(default=0.3, ge=0, le=1)
    metallic: float = Field(default=0.0, ge=0, le=1)
    emission: float = Field(default=0.0, ge=0)
    lights: bool = False
    relief: float = 1.0
    lamp: bool = True

    def second(self) -> RGB:
        """Return the second tone; by default a darker first one."""
        if self.accent is not None:
            return self.accent
        r, g, b = self.color
        return (r * 0.72, g * 0.72, b * 0.72)


_PATTERNS: dict[str, Pattern] = {
    **masonry.PATTERNS,
    **manufactured.PATTERNS,
    **natural.PATTERNS,
    **figurative.PATTERNS,
    **textiles.PATTERNS,
    **patterned.PATTERNS,
}


def tile(paint: Paint, n: int = TEXELS) -> Tile:
    """Return a paint's pattern; the same paint always gives the same arrays."""
    assert paint.surface is not None
    rng = np.random.default_rng(sum(ord(c) * 131**k for k, c in enumerate(paint.surface)) % 2**31)
    made = _PATTERNS[paint.surface](rng, n, paint.color, paint.second())
    rough = made.rough if paint.rough is None else made.rough - made.rough.mean() + paint.rough
    return Tile(np.clip(made.color, 0, 1), np.clip(rough, 0, 1), made.height * paint.relief)


def material(paint: Paint) -> Material:
    """Return what the renderer needs; without a pattern, the colour is left to the mesh's vertices.

    Its name says what it is made of, so that parts of one paint become one mesh.
    """
    told = paint.model_dump_json(exclude={"lamp"} if paint.lamp else None)
    name = hashlib.sha256(told.encode()).hexdigest()[:16]
    facts: dict[str, Any] = {
        "specular": paint.specular,
        "metallic": paint.metallic,
        "emission": paint.emission,
        "samples_light": paint.lights,
        "lamp": paint.lamp,
    }
    if paint.surface is None:
        rough = 0.6 if paint.rough is None else paint.rough
        if not paint.lights:  # those of one sheen become one mesh, whatever their colours
            name = f"plain {rough:g} {paint.specular:g} {paint.metallic:g} {paint.emission:g}"
            name += "" if paint.lamp else " no lamp"
        return Material(name, roughness=rough, **facts)
    made = tile(paint)
    color = np.rint(made.color[::-1] * 255).astype(np.uint8).copy()
    rough_map = np.rint(made.rough[::-1] * 255).astype(np.uint8).copy()
    height: NDArray[np.float32] | None = (made.height[::-1] * paint.size).astype(np.float32).copy()
    if paint.emission > 0 or not np.ptp(made.height):
        height = None
    return Material(name, repeat=True, color=color, rough=rough_map, height=height, **facts)
