"""Glass on characters: solid bodies that refract and absorb light, and thin panes.

Paths from the eye are refracted and reflected by glass up to their first opaque surface. From there on, glass lets
light straight through, dimmed by one tint for each part: light samples find what shines behind glass, and no path has
to find a lamp by way of a lens. So there are shadows with the glass's colour in them, and no caustics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Material, Mesh, MeshPart, linear
from torchmultiverse.engines.builtin.tracer.backend import dot, mitsuba
from torchmultiverse.engines.builtin.tracer.bsdf import SurfaceInteraction, visible_normal
from torchmultiverse.engines.builtin.tracer.kinds import Bool, Color3f, Float, UInt32, Vector3f

GLASS_BOUNCES = 12
"""Most surfaces of glass that bend a path; they do not count as those of its depth. Then it goes straight on."""
_REACH = 0.1
"""Thickness, metres, whose transmittance a solid body's colour is."""
_DARKEST = 1e-4


@dataclass
class GlassState:
    """What a path knows of glass: how many surfaces it has met, of glass or not, and what the medium that it is in
    absorbs per metre."""

    bounce: UInt32
    absorption: Color3f


class GlassScattering(NamedTuple):
    """Where light goes on at a surface of glass, what of it does, and the absorption there; ``crossed``: whether it
    goes through the surface into another medium."""

    d: Vector3f
    weight: Color3f
    absorption: Color3f
    crossed: Bool


def reflectance(cosine: Float, eta: Float) -> tuple[Float, Float]:
    """Return the fraction of unpolarised light that an interface reflects, and the cosine of what is refracted.

    Args:
        cosine: of the angle of incidence.
        eta: index of refraction of this side over that of the other.
    """
    import drjit as dr

    sine2 = dr.square(eta) * (1 - dr.square(cosine))
    inner = dr.sqrt(dr.maximum(1 - sine2, 0))
    s = (eta * cosine - inner) / (eta * cosine + inner)
    p = (cosine - eta * inner) / (cosine + eta * inner)
    return dr.select(sine2 >= 1, 1, 0.5 * (dr.square(s) + dr.square(p))), inner


def scatter(s: SurfaceInteraction, d: Vector3f, chance: Float, u: Float, v: Float) -> GlassScattering:
    """Return what a surface of glass does with light that comes along ``d``, for three numbers of 0 to 1.

    The surface is of microfacets (GGX), of which one that is seen reflects or refracts; nothing is lost.
    """
    import drjit as dr

    mi = mitsuba()
    assert s.glass is not None
    assert s.front is not None
    thin, index = s.glass < 0, dr.abs(s.glass)
    frame = mi.Frame3f(s.n)
    local = frame.to_local(-d)
    m = frame.to_world(visible_normal(local, dr.maximum(dr.square(s.roughness), 1e-3), u, v))
    cosine: Float = dr.clip(-dot(d, m), 1e-4, 1)
    eta: Float = dr.select(s.front | thin, 1 / index, index)
    reflected, inner = reflectance(cosine, eta)
    reflected = dr.select(thin, 2 * reflected / (1 + reflected), reflected)  # both sides of it, over and over
    mirror: Bool = chance < reflected
    back = d + 2 * cosine * m
    bent = dr.normalize(eta * d + (eta * cosine - inner) * m)
    through = dr.select(thin, back - 2 * dot(back, s.n) * s.n, bent)
    out = dr.normalize(dr.select(mirror, back, through))
    # What a facet or a smooth normal sends to the wrong side of the triangle is turned to the right one.
    beyond = dot(out, s.ng)
    out = dr.select((beyond > 0) == mirror, out, out - 2 * beyond * s.ng)
    crossed = ~mirror & ~thin
    base = dr.clip(s.base, _DARKEST, 1)
    weight = dr.select(thin & ~mirror, base, mi.Color3f(1))
    return GlassScattering(out, weight, dr.select(s.front, -dr.log(base) / _REACH, 0), crossed)


def shadow_tints(parts: Sequence[MeshPart], first: int) -> NDArray[np.float32]:
    """Return what light that goes straight through each part keeps, (first + P, 4); 0 where it is opaque.

    Args:
        parts: in the order of their materials' rows, in their places.
        first: row of the first.
    """
    tints = np.zeros((first + len(parts), 4), np.float32)
    for k, part in enumerate(parts):
        index = abs(part.material.glass)
        if index:
            r = ((index - 1) / (index + 1)) ** 2
            tints[first + k, :3] = transmittance(part.material, part.mesh) * (1 - 2 * r / (1 + r))
    return tints


def transmittance(material: Material, mesh: Mesh) -> NDArray[np.floating]:
    """Return what of light that goes straight through a body or pane of glass is not absorbed (3,), on average."""
    color = np.ones(3) if mesh.colors is None else mesh.colors.mean(0).astype(float)
    if material.color is not None:
        color = color * linear(material.color.reshape(-1, 3).mean(0) / 255)
    elif mesh.colors is None:
        color = color * 0.5  # that of all surfaces without any
    if material.glass > 0:
        color = np.clip(color, _DARKEST, 1) ** (_chord(mesh) / _REACH)
    return color


def _chord(mesh: Mesh) -> float:
    """Return the mean length of a straight way through a closed body, metres: four times volume over surface."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(float), 1, 0)
    across = np.cross(b - a, c - a)
    area = np.linalg.norm(across, axis=1).sum() / 2
    return float(4 * abs((across * (a - mesh.vertices.mean(0))).sum() / 6) / max(area, 1e-12))
