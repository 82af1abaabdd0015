"""Light along paths: the surfaces that rays hit, the light that reaches them, and where paths go on."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

from torchmultiverse.engines.builtin.tracer.backend import EPSILON, FAR, NONE, dot, mitsuba
from torchmultiverse.engines.builtin.tracer.bsdf import Bsdf, SurfaceInteraction
from torchmultiverse.engines.builtin.tracer.camera import Rays
from torchmultiverse.engines.builtin.tracer.cover import Cover
from torchmultiverse.engines.builtin.tracer.geometry import Geometry, Hit, HitTriangle
from torchmultiverse.engines.builtin.tracer.glass import GLASS_BOUNCES, GlassState, scatter
from torchmultiverse.engines.builtin.tracer.kinds import Bool, Color3f, Float, Point3f, UInt32, Vector3f
from torchmultiverse.engines.builtin.tracer.lights import EmissivePoint, Lights
from torchmultiverse.engines.builtin.tracer.materials import Materials
from torchmultiverse.engines.builtin.tracer.sampling import LatticeSampler, power_heuristic, unit_float

_ROULETTE = 2.0
"""Paths that would carry less than one part in this many end at random, and the others stand in for them."""
_FIRST_LIGHT_SAMPLES = 2
"""How many light samples the first surface takes: what it receives is most of the noise."""
_DIMENSIONS = 5
"""Pairs of random numbers of each surface, after the one of the camera."""


@dataclass
class FirstSurface:
    """What a denoiser and the haze need of the first surface: diffuse colour (white for sky), normal, distance."""

    albedo: Color3f
    normal: Vector3f
    distance: Float


@dataclass
class _Path:
    """The state of each lane's path: the ray's direction and hit, what light along it is multiplied with, what it has
    carried, and the density with which its direction was sampled."""

    active: Bool
    depth: UInt32
    d: Vector3f
    hit: Hit
    throughput: Color3f
    radiance: Color3f
    density: Float
    albedo: Color3f
    normal: Vector3f
    glass: GlassState | None = None


class Integrator:
    """Traces paths and adds up the light along them, with light and BSDF samples (multiple importance sampling).

    Args:
        geometry, materials, lights: of the scene; ``shadow_tints`` are those of its glass (see `glass`).
        depth: number of surfaces that a light path may touch, plus one.
    """

    def __init__(self, geometry: Geometry, materials: Materials, lights: Lights, depth: int) -> None:
        self.geometry = geometry
        self.materials = materials
        self.lights = lights
        self.shadow_tints = mitsuba().Float(0)
        self.cover: Cover | None = None
        """Water and snow, where there is any."""
        self._last = depth - 2

    def at(self, time: Float) -> Integrator:
        """Return the same with what moves where it is at a time of each lane (see `Geometry`)."""
        moved = copy(self)
        moved.geometry = self.geometry.at(time)
        return moved

    def trace(self, sampler: LatticeSampler, rays: Rays) -> tuple[Color3f, FirstSurface]:
        """Return the radiance that arrives along rays, and what they meet first."""
        import drjit as dr

        mi = mitsuba()
        hit = self.geometry.intersect(rays.o, rays.d, rays.active, coherent=True)
        first = dr.select(hit.face == NONE, FAR, hit.t)
        glass = GlassState(mi.UInt32(0), mi.Color3f(0)) if self.geometry.glass else None
        start = _Path(
            mi.Bool(rays.active), mi.UInt32(0), mi.Vector3f(rays.d),
            self.geometry.glass_before(hit, rays.o, rays.d, rays.active),
            mi.Color3f(1), mi.Color3f(0), mi.Float(0), mi.Color3f(1), mi.Vector3f(0), glass,
        )  # fmt: skip
        end: _Path
        (end,) = dr.while_loop((start,), lambda path: path.active, lambda path: (self._step(sampler, path),))
        return end.radiance, FirstSurface(end.albedo, end.normal, first)

    def _step(self, sampler: LatticeSampler, path: _Path) -> _Path:
        """Return paths after their next surface."""
        import drjit as dr

        d, depth, hit, radiance = path.d, path.depth, path.hit, path.radiance
        met = depth if path.glass is None else path.glass.bounce
        valid = path.active & (hit.face != NONE)
        escaped = path.active & (hit.face == NONE)
        sky, sky_density = self.lights.sky(d, escaped)
        weight = dr.select(depth == 0, 1, power_heuristic(path.density, sky_density))
        radiance = radiance + dr.select(escaped, path.throughput * sky * weight, 0)
        if path.glass is not None:
            kept = dr.select(valid, dr.exp(-path.glass.absorption * hit.t), 1)
            path = replace(path, throughput=path.throughput * kept)

        s = self.interaction(hit, d, valid)
        if self.materials.emits:
            cosine = dr.maximum(dr.abs(dot(s.ng, d)), 1e-6)
            found = s.light_density * dr.square(hit.t) / cosine
            weight = dr.select(depth == 0, 1, power_heuristic(path.density, found))
            radiance = radiance + dr.select(valid, path.throughput * s.emission * weight, 0)
        clear = None if s.glass is None else valid & (s.glass != 0)
        # Glass has no colour of its own: which way a path took there is noise, and the denoiser trusts these.
        base = s.base if clear is None else dr.select(clear, 1, s.base)
        albedo = dr.select(valid & (met == 0), base, path.albedo)
        normal = dr.select(valid & (met == 0), s.n, path.normal)
        if clear is not None:
            valid = valid & ~clear

        bsdf = Bsdf(s, d)
        dimension = met * _DIMENSIONS + 1
        lobe, choice = sampler.pair(dimension)
        step = (1 + dr.max(dr.abs(s.p))) * EPSILON
        for k in range(_FIRST_LIGHT_SAMPLES):
            lanes = valid if k == 0 else valid & (depth == 0)
            uv = sampler.pair(dimension + 1 if k == 0 else mitsuba().UInt32(90 + k))
            # Each sample takes its own part of the lights.
            light = self.lights.select(choice + k * (0xFFFFFFFF // _FIRST_LIGHT_SAMPLES), lanes)
            radiance = radiance + self._direct(bsdf, light, uv, step, path, lanes)

        active = valid & (depth < self._last)
        u, v = sampler.floats(dimension + 2)
        out = bsdf.sample(unit_float(lobe), u, v)
        reflected, density = bsdf.eval(out)
        throughput = path.throughput * (reflected / dr.maximum(density, 1e-12))
        brightest = dr.max(throughput)
        active &= (brightest > 0) & (density > 0)
        chance, _ = sampler.floats(dimension + 3)
        live = dr.minimum(brightest * _ROULETTE, 1)
        active &= chance < live
        throughput = throughput / live
        if path.glass is None or clear is None:
            hit = self.geometry.intersect(_offset(s, out, step), out, active)
            return _Path(active, depth + 1, out, hit, throughput, radiance, density, albedo, normal)
        glass = path.glass
        way = scatter(s, d, unit_float(lobe), u, v)
        out = dr.select(clear, way.d, out)
        throughput = dr.select(clear, path.throughput * way.weight, throughput)
        absorption = dr.select(clear, dr.select(way.crossed, way.absorption, glass.absorption), 0)
        active |= clear
        depth = depth + dr.select(clear, mitsuba().UInt32(0), mitsuba().UInt32(1))
        o = _offset(s, out, step)
        hit = self.geometry.intersect(o, out, active)
        throughput = throughput * self._through_glass(o, out, hit.t, active & (depth > 0))
        # What has met the most glass goes straight through the rest of it.
        hit = self.geometry.glass_before(hit, o, out, active & (depth == 0) & (glass.bounce + 1 < GLASS_BOUNCES))
        glass = GlassState(glass.bounce + 1, absorption)
        return _Path(active, depth, out, hit, throughput, radiance, density, albedo, normal, glass)

    def _through_glass(self, o: Point3f, d: Vector3f, distance: Float, active: Bool) -> Color3f:
        """Return what light keeps that goes straight through the glass on its way."""
        import drjit as dr

        mi = mitsuba()
        material, present = self.geometry.glass_material(o, d, distance, active)
        t = dr.gather(mi.Vector4f, self.shadow_tints, material, present)
        kept: Color3f = dr.select(present, mi.Color3f(t.x, t.y, t.z), 1)
        return kept

    def _direct(
        self,
        bsdf: Bsdf,
        light: tuple[UInt32, Float],
        uv: tuple[UInt32, UInt32],
        step: Float,
        path: _Path,
        active: Bool,
    ) -> Color3f:
        """Return the light that reaches the eye by way of one light sample."""
        import drjit as dr

        s = bsdf.s
        sample = self.lights.sample(s.p, light, uv, self.emissive_point, active)
        reflected, density = bsdf.eval(sample.d)
        # The last surface has no BSDF sample beside this one, and no ray hits a lamp.
        alone = sample.point | (path.depth == self._last)
        weight = dr.select(alone, 1, power_heuristic(sample.density, density))
        count = dr.select(path.depth == 0, 1 / _FIRST_LIGHT_SAMPLES, 1)
        value = path.throughput * reflected * sample.value * (weight * count)
        active = active & (dr.max(value) > 0)
        distance = dr.select(sample.distance < FAR, sample.distance * (1 - 20 * EPSILON) - step, FAR)
        o = _offset(s, sample.d, step)
        shadow = self.geometry.occluded(o, sample.d, distance, active)
        if path.glass is not None:
            value = value * self._through_glass(o, sample.d, distance, active & ~shadow)
        return dr.select(active & ~shadow, value, 0)  # type: ignore[no-any-return]

    def interaction(self, hit: Hit, d: Vector3f, active: Bool) -> SurfaceInteraction:
        """Return the surface that was hit; ``active`` lanes have hit something."""
        import drjit as dr

        mi = mitsuba()
        weights = (1 - hit.u - hit.v, hit.u, hit.v)
        triangle = self.geometry.triangle(hit.face, weights, active)
        a, b, c = triangle.values
        material = triangle.material
        p = self.geometry.moved(mi.Point3f(a.x, a.y, a.z), hit.face)
        ng = dr.normalize(dr.cross(triangle.e1, triangle.e2))
        front = dot(ng, d) < 0
        smooth = dr.normalize(mi.Vector3f(b.x, b.y, b.z))
        u, v = b.w, c.w
        n = smooth
        if self.materials.heights:
            n = self._bumped(triangle, smooth, ng, d, active)
        n = dr.select(dot(n, d) > 0, -n, n)
        smooth = dr.select(dot(smooth, d) > 0, -smooth, smooth)
        base = self.materials.colors.multiplied(material, u, v, active, mi.Color3f(c.x, c.y, c.z))
        roughness = self.materials.roughness.lookup(material, u, v, active, a.w)
        row = self.materials.row(material, active)
        emission, density = mi.Color3f(0), mi.Float(0)
        if self.materials.emits:
            emission = self.materials.radiance(material, row, base, active)
            emission = dr.select(front & active, emission, 0)
            emits = active & (dr.max(emission) > 0)
            # Light that characters emit is found by chance only, which no light sample competes with.
            density = self.lights.face_density(hit.face, emits)
        ng = dr.select(front, ng, -ng)
        index = self.materials.index(material, active) if self.materials.glass else None
        coat, through = self.materials.layers(material, active) if self.materials.layered else (None, None)
        found = SurfaceInteraction(
            p, ng, n, smooth, base, roughness, row.x, row.y, row.z > 0, emission, density, index, front, coat, through
        )
        return found if self.cover is None else self.cover.apply(found, d, hit.t, material, active)

    def emissive_point(self, face: UInt32, u: Float, v: Float, active: Bool) -> EmissivePoint:
        """Return a point of a triangle that emits light."""
        import drjit as dr

        mi = mitsuba()
        triangle = self.geometry.triangle(face, (1 - u - v, u, v), active)
        a, b, c = triangle.values
        material = triangle.material
        color = self.materials.colors.multiplied(material, b.w, c.w, active, mi.Color3f(c.x, c.y, c.z))
        row = self.materials.row(material, active)
        radiance = self.materials.radiance(material, row, color, active)
        normal = dr.normalize(dr.cross(triangle.e1, triangle.e2))
        return EmissivePoint(mi.Point3f(a.x, a.y, a.z), normal, radiance)

    def _bumped(self, triangle: HitTriangle, smooth: Vector3f, ng: Vector3f, d: Vector3f, active: Bool) -> Vector3f:
        """Return the normal of the surface with its height map on it (Blinn, 1978)."""
        import drjit as dr

        mi = mitsuba()
        heights, vertices = self.materials.heights, triangle.vertices
        row, present = heights.find(triangle.material, active)
        t, fx, fy, size = heights.texels(row, triangle.values[1].w, triangle.values[2].w, present)
        rise_u = ((t[1] - t[0]) * (1 - fy) + (t[3] - t[2]) * fy) * size.x
        rise_v = ((t[2] - t[0]) * (1 - fx) + (t[3] - t[1]) * fx) * size.y
        du1, dv1 = vertices[1][1].w - vertices[0][1].w, vertices[1][2].w - vertices[0][2].w
        du2, dv2 = vertices[2][1].w - vertices[0][1].w, vertices[2][2].w - vertices[0][2].w
        determinant = du1 * dv2 - dv1 * du2
        present &= determinant != 0
        inverse = 1 / dr.select(present, determinant, 1)
        along_u = (triangle.e1 * dv2 - triangle.e2 * dv1) * inverse
        along_v = (triangle.e2 * du1 - triangle.e1 * du2) * inverse
        along_u += smooth * (rise_u - dot(smooth, along_u))
        along_v += smooth * (rise_v - dot(smooth, along_v))
        n = dr.normalize(dr.cross(along_u, along_v))
        n = dr.select(dot(n, ng) < 0, -n, n)
        # A normal that faces away from the ray is turned about the smooth one.
        wrong = dot(d, smooth) * dot(d, n) <= 0
        n = dr.select(wrong, 2 * dot(smooth, n) * smooth - n, n)
        return dr.select(present, mi.Vector3f(n), smooth)  # type: ignore[no-any-return]


def _offset(s: SurfaceInteraction, to: Vector3f, step: Float) -> Point3f:
    """Return the point moved off its surface, to the side that a ray leaves to."""
    import drjit as dr

    origin: Point3f = s.p + mitsuba().Point3f(s.ng * dr.select(dot(s.ng, to) > 0, step, -step))
    return origin
