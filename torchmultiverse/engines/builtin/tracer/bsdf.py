"""How surfaces scatter light: those of "Physically Based Shading at Disney" (Burley, 2012) as far as a `Material` can
say: diffuse with retro-reflection and a GGX specular lobe; over them a clear coat, a GGX lobe of its own that takes
from the light to and from what lies below; and a share of the diffuse light that goes through."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from torchmultiverse.engines.builtin.tracer.backend import dot, mitsuba
from torchmultiverse.engines.builtin.tracer.kinds import Bool, Color3f, Float, Point3f, Vector3f

COAT_INDEX = 1.5
"""Index of refraction of a clear coat: that of lacquer and glaze."""
COAT_ALPHA = 0.02
"""Width of its GGX lobe: smooth, with the little haze that polish leaves."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Weights of linear sRGB."""


class SurfaceInteraction(NamedTuple):
    """What a ray hit.

    Attributes:
        p: the point.
        ng, n: geometric and shading normal, towards the ray's origin.
        smooth: shading normal without the height map.
        base: reflectance (of a metal: at normal incidence).
        roughness, eta, metallic: of the specular lobe.
        diffuse_only: whether there is none.
        emission: radiance towards the ray's origin.
        light_density: density per area with which light sampling takes this point.
        glass, front: what `Material.glass` says, and whether the ray comes from outside; where there is any glass.
        coat, translucency: what the `Material` says; where any has them.
    """

    p: Point3f
    ng: Vector3f
    n: Vector3f
    smooth: Vector3f
    base: Color3f
    roughness: Float
    eta: Float
    metallic: Float
    diffuse_only: Bool
    emission: Color3f
    light_density: Float
    glass: Float | None = None
    front: Bool | None = None
    coat: Float | None = None
    translucency: Float | None = None


def luminance(c: Color3f) -> Float:
    """Return the luminance of a linear colour."""
    return c.x * float(LUMINANCE[0]) + c.y * float(LUMINANCE[1]) + c.z * float(LUMINANCE[2])


def _schlick(cosine: Float) -> Float:
    import drjit as dr

    m = dr.clip(1 - cosine, 0, 1)
    weight: Float = dr.square(dr.square(m)) * m
    return weight


def fresnel(cosine: Float, eta: Float) -> Float:
    """Return the fraction of unpolarised light that a dielectric reflects, seen from outside."""
    import drjit as dr

    inner = dr.sqrt(dr.maximum(1 - (1 - dr.square(cosine)) / dr.square(eta), 0))
    s = (cosine - eta * inner) / (cosine + eta * inner)
    p = (inner - eta * cosine) / (inner + eta * cosine)
    reflected: Float = 0.5 * (dr.square(s) + dr.square(p))
    return reflected


def visible_normal(local: Vector3f, alpha: Float, u: Float, v: Float) -> Vector3f:
    """Return a microfacet's normal as it is seen, by spherical caps (Dupuy and Benyoub, 2023).

    Args:
        local: direction to the eye, the surface's normal is z.
        alpha: width of GGX.
        u, v: numbers of 0 to 1.
    """
    import drjit as dr

    mi = mitsuba()
    stretched = dr.normalize(mi.Vector3f(local.x * alpha, local.y * alpha, dr.maximum(local.z, 1e-6)))
    sin_phi, cos_phi = dr.sincos(2 * dr.pi * u)
    z = (1 - v) * (1 + stretched.z) - stretched.z
    r = dr.sqrt(dr.clip(1 - dr.square(z), 0, 1))
    half = mi.Vector3f(r * cos_phi, r * sin_phi, z) + stretched
    normal: Vector3f = dr.normalize(mi.Vector3f(half.x * alpha, half.y * alpha, dr.maximum(half.z, 1e-6)))
    return normal


def _facets(cosine: Float, alpha2: Float) -> Float:
    """Return the density of GGX's facets whose normal has this cosine."""
    import drjit as dr

    density: Float = alpha2 / (dr.pi * dr.square(dr.square(cosine) * (alpha2 - 1) + 1))
    return density


def _masking(cosine: Float, alpha: Float) -> Float:
    """Return Smith's masking of GGX."""
    import drjit as dr

    c2 = dr.square(cosine)
    masking: Float = 2 / (1 + dr.sqrt(1 + dr.square(alpha) * dr.maximum(1 - c2, 0) / c2))
    return masking


def _mix(a: Float, b: Color3f, t: Float) -> Color3f:
    """Return a (1 - t) + b t."""
    return b * t + a * (1 - t)


class Bsdf:
    """How a surface scatters light that comes from ``d`` (the ray's direction, into the surface).

    Args:
        surface: where.
        d: direction of the ray that hit it.
    """

    def __init__(self, surface: SurfaceInteraction, d: Vector3f) -> None:
        import drjit as dr

        self.s = surface
        self.wi = -d
        self.cos_i: Float = dr.maximum(dot(self.wi, surface.n), 1e-6)
        self.alpha: Float = dr.maximum(dr.square(surface.roughness), 1e-3)
        self._fi = _schlick(self.cos_i)
        # How often the specular lobe is sampled: by its fraction of what is reflected.
        diffuse = luminance(surface.base) * (1 - surface.metallic)
        specular = dr.lerp(fresnel(self.cos_i, surface.eta), luminance(surface.base), surface.metallic)
        fraction = dr.clip(specular / dr.maximum(diffuse + specular, 1e-6), 0.1, 0.9)
        metal: Float = dr.select(surface.metallic > 0.999, 1, fraction)
        self.specular_probability: Float = dr.select(surface.diffuse_only, 0, metal)
        self.coat_probability: Float | None = None
        if surface.coat is not None:
            self._coat_i = surface.coat * fresnel(self.cos_i, mitsuba().Float(COAT_INDEX))
            share: Float = self._coat_i / dr.maximum(self._coat_i + (1 - self._coat_i) * (diffuse + specular), 1e-6)
            self.coat_probability = dr.select(surface.coat > 0, dr.clip(share, 0.1, 0.9), share * 0)
        # The terminator of a bumped surface (Conty Estevez, Lecocq and Stein, 2019).
        across = dot(surface.n, surface.smooth)
        self._bump = dr.minimum(0.125 * (1 / dr.maximum(dr.square(across), 1e-6) - 1), 1)

    def _g1(self, cosine: Float) -> Float:
        return _masking(cosine, self.alpha)

    def eval(self, wo: Vector3f) -> tuple[Color3f, Float]:
        """Return reflectance times cosine, and the density with which ``sample`` takes this direction."""
        import drjit as dr

        s = self.s
        cos_o = dot(wo, s.n)
        across = dot(wo, s.smooth)
        above = (cos_o > 1e-6) & (across > 1e-6)
        cos_o = dr.maximum(cos_o, 1e-6)
        half = dr.normalize(self.wi + wo)
        cos_h, cos_d = dot(half, s.n), dr.maximum(dot(half, wo), 1e-6)
        a2 = dr.square(self.alpha)
        ggx = _facets(cos_h, a2)
        g_i = self._g1(self.cos_i)
        mirrored = _mix(fresnel(cos_d, s.eta), s.base + (1 - s.base) * _schlick(cos_d), s.metallic)
        specular = mirrored * (ggx * g_i * self._g1(cos_o) / (4 * self.cos_i))
        fo, retro = _schlick(cos_o), 2 * s.roughness * dr.square(cos_d)
        diffuse = (1 - 0.5 * self._fi) * (1 - 0.5 * fo) + retro * (fo + self._fi + fo * self._fi * (retro - 1))
        diffuse = dr.select(s.diffuse_only, 1, diffuse * (1 - s.metallic)) * cos_o / dr.pi
        if s.translucency is not None:
            diffuse *= 1 - s.translucency
        value = s.base * diffuse + dr.select(s.diffuse_only, 0, specular)
        value *= 2 / (1 + dr.sqrt(1 + self._bump * (1 / dr.maximum(dr.square(across), 1e-6) - 1)))
        chance = self.specular_probability
        glossy = chance * ggx * g_i / (4 * self.cos_i)
        density = (1 - chance) * cos_o / dr.pi + glossy
        if s.translucency is not None:
            density -= (1 - chance) * s.translucency * cos_o / dr.pi
        if s.coat is not None:
            assert self.coat_probability is not None
            alpha, index = mitsuba().Float(COAT_ALPHA), mitsuba().Float(COAT_INDEX)
            facets = _facets(cos_h, dr.square(alpha)) * _masking(self.cos_i, alpha) / (4 * self.cos_i)
            coated = s.coat * fresnel(cos_d, index) * facets * _masking(cos_o, alpha)
            value = value * ((1 - self._coat_i) * (1 - s.coat * fresnel(cos_o, index))) + coated
            density = dr.lerp(density, facets, self.coat_probability)
            glossy = dr.lerp(glossy, facets, self.coat_probability)
        value, density = dr.select(above, value, 0), dr.select(above, density, 0)
        return (value, density) if s.translucency is None else self._transmitted(wo, value, density, cos_h, glossy)

    def _transmitted(
        self, wo: Vector3f, value: Color3f, density: Float, cos_h: Float, glossy: Float
    ) -> tuple[Color3f, Float]:
        """Return value and density with the diffuse light that goes through to the other side.

        Args:
            wo: the direction.
            value, density: of this side.
            cos_h: cosine of the facet that would reflect there.
            glossy: density with which such facets are sampled: they may send a path through the surface, too.
        """
        import drjit as dr

        s = self.s
        assert s.translucency is not None
        cos_o = -dot(wo, s.n)
        beyond = (cos_o > 1e-6) & (dot(wo, s.ng) < 0)
        share = s.translucency * cos_o / dr.pi
        through, chance = s.base * ((1 - s.metallic) * share), (1 - self.specular_probability) * share
        if s.coat is not None:
            assert self.coat_probability is not None
            through, chance = through * (1 - self._coat_i), chance * (1 - self.coat_probability)
        chance = chance + dr.select(cos_h > 0, glossy, 0)
        return dr.select(beyond, through, value), dr.select(beyond, chance, density)

    def sample(self, lobe: Float, u: Float, v: Float) -> Vector3f:
        """Return a direction for three numbers of 0 to 1."""
        import drjit as dr

        mi = mitsuba()
        frame: Any = mi.Frame3f(self.s.n)
        diffuse = mi.warp.square_to_cosine_hemisphere(mi.Point2f(u, v))
        local = frame.to_local(self.wi)
        half = visible_normal(local, self.alpha, u, v)
        specular = 2 * dot(local, half) * half - local
        if self.coat_probability is not None:
            coated = lobe < self.coat_probability
            lobe = (lobe - self.coat_probability) / dr.maximum(1 - self.coat_probability, 1e-6)
        if self.s.translucency is not None:
            rest = (lobe - self.specular_probability) / dr.maximum(1 - self.specular_probability, 1e-6)
            through = rest < self.s.translucency
            diffuse = dr.select(through, mi.Vector3f(diffuse.x, diffuse.y, -diffuse.z), diffuse)
        chosen = dr.select(lobe < self.specular_probability, specular, diffuse)
        if self.coat_probability is not None:
            half = visible_normal(local, mi.Float(COAT_ALPHA), u, v)
            chosen = dr.select(coated, 2 * dot(local, half) * half - local, chosen)
        out: Vector3f = dr.normalize(frame.to_world(chosen))
        return out
