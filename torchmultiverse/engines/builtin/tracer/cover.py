"""Water and snow on what lies open to the sky: ground, roads, roofs, leaves; characters stay as they are.

Whether a place is white or under water is said by fields over the world's plan whose values are spread evenly from 0 to
1: what is below a level has, over a few metres, the share of the area that the level says.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.tracer.backend import NONE, dot, mitsuba, opaque_float, opaque_uint, uploaded
from torchmultiverse.engines.builtin.tracer.bsdf import SurfaceInteraction, fresnel
from torchmultiverse.engines.builtin.tracer.geometry import Geometry
from torchmultiverse.engines.builtin.tracer.kinds import Bool, Float, Point3f, UInt32, Vector3f
from torchmultiverse.engines.builtin.tracer.materials import Textures
from torchmultiverse.engines.builtin.world import World

SNOW = (0.86, 0.87, 0.9)
"""Reflectance of fresh snow (0.8 to 0.9 of the visible light; Wiscombe and Warren, 1980)."""
WATER = 1.333
"""Index of refraction."""
INSIDE = 1 - (1 - 0.066) / WATER**2
"""Share of diffuse light that a film of water reflects back to the surface below (Lekner and Dorf)."""
HOLLOWS = 0.55
"""Share of level ground that is under water at a wetness of 1."""
_DRAINED = 0.2
"""Wetness up to which no water stands."""
_PERIOD, _TEXELS = 12.8, 512
"""Metres after which the fields repeat, and texels of them."""
_SNOW_PATCH, _PUDDLE = (0.12, 1.2), (0.3, 3.2)
"""Shortest and longest wave of the fields, metres."""
_EDGE = 0.05
"""Half the width of a patch's edge, in values of its field."""
_FINE, _BLURRED = 70.0, 300.0
"""Metres along a ray, by the cosine at which it arrives, from and to which patches run together: further ones are finer
than pixels, and each path would see white or not white at random."""
_REACH, _CELL = 48.0, 0.25
"""How far from the middle it is known what is below a roof, and how finely, metres."""
_GAP = 1.25
"""A roof is what leaves no gap to the sky for this many metres: crowns of trees let rain and snow through."""
_TOLERANCE = 0.4
_SKY = 400.0


def spread_evenly(waves: tuple[float, float], slope: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a smooth periodic field, float32 (512, 512), whose values are spread evenly over 0 to 1.

    Args:
        waves: shortest and longest wave in it, metres; the field is 12.8 metres wide.
        slope: power of the wavelength that amplitudes go with.
        rng: random numbers.
    """
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(_TEXELS, _PERIOD / _TEXELS)] * 2))
    inside = (frequency >= 1 / waves[1]) & (frequency <= 1 / waves[0])
    amplitude = np.where(inside, 1 / np.maximum(frequency, 1e-9) ** slope, 0)
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=frequency.shape)) * amplitude).real
    ranks = np.empty(field.size)
    ranks[field.ravel().argsort(kind="stable")] = (np.arange(field.size) + 0.5) / field.size
    return ranks.reshape(field.shape).astype(np.float32)


def standing(wetness: float) -> float:
    """Return the share of level ground that is under water.

    >>> standing(0.2), standing(1)
    (0.0, 0.55)
    """
    return max(0.0, (wetness - _DRAINED) / (1 - _DRAINED)) * HOLLOWS


def _threshold(share: float) -> float:
    """Return below which value of a field patches with soft edges have a share of the area."""
    if share < _EDGE:
        return float(2 * (_EDGE * share) ** 0.5 - _EDGE)
    if share > 1 - _EDGE:
        return float(1 + _EDGE - 2 * (_EDGE * (1 - share)) ** 0.5)
    return share


class _Level(NamedTuple):
    """A share of the area, and below which value of a field patches with soft edges have it."""

    share: Float
    threshold: Float


def _level(share: float) -> _Level:
    return _Level(opaque_float(share), opaque_float(_threshold(share)))


class Places:
    """Where water and snow can lie in a world, and in which order its places are taken.

    Args:
        world: what it is of.
        geometry: its triangles, no characters among them.
    """

    def __init__(self, world: World, geometry: Geometry) -> None:
        rng = np.random.default_rng(19)
        fields = [spread_evenly(waves, slope, rng) for waves, slope in ((_SNOW_PATCH, 1.5), (_PUDDLE, 2.0))]
        self.fields = Textures(fields, [True, True])
        self.tops = Textures([_tops(geometry)], [False])
        open_parts = [not part.material.name.startswith("water") for part in world.parts]
        self.materials = len(open_parts)
        self.open = uploaded("Float", np.asarray(open_parts, np.float32))


class Cover:
    """What wetness and snow make of a world's surfaces.

    Args:
        places: where they can be.
        wetness, snow: 0 to 1.
    """

    def __init__(self, places: Places, wetness: float, snow: float) -> None:
        self._places = places
        self._wet = opaque_float(wetness)
        self._snow, self._standing = _level(snow), _level(standing(wetness))

    def apply(
        self, s: SurfaceInteraction, d: Vector3f, distance: Float, material: UInt32, active: Bool
    ) -> SurfaceInteraction:
        """Return a surface with what lies on it, as a ray along ``d`` sees it that comes from a distance."""
        import drjit as dr

        mi = mitsuba()
        mine = active & (material < opaque_uint(self._places.materials))
        mine &= dr.gather(mi.Float, self._places.open, material, mine) > 0
        mine &= (s.ng.z > 0.2) & self._under_sky(s.p, mine)
        faces_up = _step(0.2, 0.45, s.ng.z)
        wet = dr.select(mine, self._wet * faces_up, 0)
        level = _step(0.96, 0.985, s.ng.z)
        cosine = dr.maximum(dot(s.ng, -d), 1e-3)
        far = _step(_FINE, _BLURRED, distance / cosine)
        standing = dr.select(mine, self._within(s.p, 1, self._standing, far, mine) * level, 0)
        white = dr.select(mine, self._within(s.p, 0, self._snow, far, mine) * faces_up, 0)

        # A wet surface is darker: water reflects back into it what it scatters (Ångström, 1925; Lekner and Dorf, 1988).
        through = 1 - fresnel(cosine, mi.Float(WATER))
        base = dr.lerp(s.base, through * s.base * (1 - INSIDE) / (1 - INSIDE * s.base), wet)
        rough = dr.lerp(dr.lerp(s.roughness, 0.22, wet), 0.02, standing)
        film = dr.select(s.diffuse_only, dr.lerp(1.0, WATER, wet), dr.maximum(s.eta, dr.lerp(1.0, WATER, wet)))
        eta = dr.lerp(film, WATER, standing)
        n = dr.normalize(dr.lerp(s.n, mi.Vector3f(0, 0, 1), standing))
        snowy = white > 0.5
        rest = dr.select(mine, 1 - white, 1)
        return s._replace(
            base=dr.lerp(base, mi.Color3f(*SNOW), white),
            roughness=dr.lerp(rough, 0.9, white),
            eta=dr.lerp(eta, 1.31, white),
            metallic=s.metallic * rest,
            n=dr.normalize(dr.lerp(n, s.smooth, white)),
            diffuse_only=snowy | (s.diffuse_only & (wet <= 0)),
            coat=None if s.coat is None else s.coat * rest,
            translucency=None if s.translucency is None else s.translucency * rest,
        )

    def _within(self, p: Point3f, field: int, level: _Level, far: Float, active: Bool) -> Float:
        """Return whether a field is below a level at points: 0 to 1, with a soft edge; its mean where it is ``far``."""
        import drjit as dr

        mi = mitsuba()
        value = self._places.fields.lookup(mi.UInt32(field), p.x / _PERIOD, p.y / _PERIOD, active, mi.Float(1))
        share: Float = dr.clip((level.threshold - value) / (2 * _EDGE) + 0.5, 0, 1)
        return dr.lerp(share, level.share, far)

    def _under_sky(self, p: Point3f, active: Bool) -> Bool:
        """Return whether no roof is above points."""
        mi = mitsuba()
        u, v = p.x / (2 * _REACH) + 0.5, p.y / (2 * _REACH) + 0.5
        top = self._places.tops.lookup(mi.UInt32(0), u, v, active, mi.Float(0))
        outside = (u < 0) | (u > 1) | (v < 0) | (v > 1)
        under: Bool = outside | (p.z > top - _TOLERANCE)
        return under


def _step(low: float, high: float, x: Float) -> Float:
    import drjit as dr

    t = dr.clip((x - low) / (high - low), 0, 1)
    step: Float = t * t * (3 - 2 * t)
    return step


def _tops(geometry: Geometry) -> NDArray[np.float32]:
    """Return the height of the highest roof, or of the ground where there is none, on a grid over the world's plan."""
    import drjit as dr
    from scipy.ndimage import minimum_filter

    mi = mitsuba()
    cells = round(2 * _REACH / _CELL)
    index = dr.arange(mi.UInt32, cells * cells)
    row = index // cells
    x = (mi.Float(index - row * cells) + 0.5) * _CELL - _REACH
    y = (mi.Float(row) + 0.5) * _CELL - _REACH
    hit = geometry.intersect(mi.Point3f(x, y, _SKY), mi.Vector3f(0, 0, -1), mi.Bool(True))
    height: Any = dr.select(hit.face == NONE, -_SKY, _SKY - hit.t)
    tops = np.array(height, np.float32).reshape(cells, cells)
    return np.asarray(minimum_filter(tops, round(_GAP / _CELL), mode="nearest"), np.float32)
