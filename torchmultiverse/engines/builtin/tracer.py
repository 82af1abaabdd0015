"""A path tracer over arrays, for the LLVM and CUDA variants: Mitsuba and Dr.Jit find what a ray hits and compile the
rest, which is here.

A kernel that asks a scene's materials one after the other is long, takes seconds to compile for every world, and does
in every lane what only one needs. Here all surfaces are rows of one table, all textures are one buffer, and all
worlds with the same features share one kernel. The characters are a scene of their own, so that changing them leaves
the world's ray-tracing structure as it is.

The surfaces are those of "Physically Based Shading at Disney" (Burley, 2012) as far as a `Material` can say: diffuse
with retro-reflection, and a GGX coat. `tests/engines/test_builtin_tracer.py` compares with Mitsuba's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Light, Material, Mesh, linear, smooth_normals
from torchmultiverse.engines.builtin.stage import View
from torchmultiverse.engines.builtin.world import World

SKIN = Material("skin", specular=0.35)
SLOTS = 2
DEPTH = 4
_NONE = 0xFFFFFFFF
_EPSILON = 2.0**-24 * 1500
"""How far a new ray starts from its surface, relative to the coordinates."""
_FAR = 1e30
_KEEN = 2.0
"""Paths that would carry less than one part in this many end at random, and the others stand in for them."""
_LOOKS = 2
"""How often the first surface looks for a light: what it sees is most of the noise."""
_PILOT = 2048
"""Places at which each light is looked for when a world is loaded."""
_WAVEFRONT = 1 << 22
"""Most paths at a time: they take about a hundred bytes each."""
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])

Array = NDArray[np.float32]


def _mitsuba() -> Any:
    """Return the module; its types depend on the variant, and its stubs describe only one."""
    import mitsuba

    return mitsuba


@dataclass
class Costume:
    """What one slot wears for one picture: arrays in world coordinates."""

    vertices: Array
    faces: NDArray[np.uint32]
    normals: Array
    color: Array
    roughness: Array


@dataclass
class Raw:
    """What a renderer returns, all (H, W, …), linear and not denoised.

    Attributes:
        color: radiance (H, W, 3).
        albedo, normal: of the first surface, world coordinates, averaged over the pixel.
        through: share of light that reaches the eye through haze, by colour.
        shape: number of the character's slot + 1, or 0 for the world, at the pixel's centre.
        distance: along the ray through the pixel's centre, inf for sky.
        facing: shading normal there, world coordinates, 0 for sky.
        maps: where the picture stays on the device: color, albedo, normal and, with haze, through, as one torch tensor
            (H, W, 9 or 12) there; the first four fields are empty then.
    """

    color: Array
    albedo: Array
    normal: Array
    through: Array
    shape: NDArray[np.uint8]
    distance: Array
    facing: Array
    maps: Any = None


class Triangles(NamedTuple):
    """Triangles as rows: corners (F, 4) are three indices and the material's row; points (V, 12) hold position,
    roughness; normal, u; colour, v."""

    corners: NDArray[np.uint32]
    points: Array


def triangles(mesh: Mesh, roughness: Array | float, material: int) -> Triangles:
    """Return a mesh as rows."""
    normals = mesh.normals if mesh.normals is not None else smooth_normals(mesh)
    points = np.zeros((len(mesh.vertices), 12), np.float32)
    points[:, 0:3], points[:, 3] = mesh.vertices, roughness
    points[:, 4:7] = normals
    points[:, 8:11] = 0.5 if mesh.colors is None else mesh.colors
    if mesh.uv is not None:
        points[:, 7], points[:, 11] = mesh.uv.T
    corners = np.empty((len(mesh.faces), 4), np.uint32)
    corners[:, :3], corners[:, 3] = mesh.faces, material
    return Triangles(corners, points)


def joined(rows: Sequence[Triangles]) -> Triangles:
    """Return several meshes as one."""
    corners = np.concatenate([r.corners for r in rows])
    start = face = 0
    for r in rows:
        corners[face : face + len(r.corners), :3] += np.uint32(start)
        start, face = start + len(r.points), face + len(r.corners)
    return Triangles(corners, np.concatenate([r.points for r in rows]))


class _Textures:
    """Textures of one kind, one after the other, and where each is: (offset, width, height, repeats)."""

    def __init__(self) -> None:
        self.texels: list[NDArray[Any]] = []
        self.rows: list[tuple[int, int, int, int]] = []
        self._used = 0

    def add(self, texture: NDArray[Any] | None, repeat: bool) -> None:
        if texture is None:
            self.rows.append((_NONE, 1, 1, 0))
            return
        height, width = texture.shape[:2]
        self.rows.append((self._used, width, height, int(repeat)))
        self.texels.append(texture.reshape(height * width, -1))
        self._used += height * width


class _Cumulative:
    """Choices with given weights, found by a uniform 32-bit number: integers, so that small weights survive.

    ``guide`` says where the search for a number's leading bits begins and ends.
    """

    def __init__(self, weights: NDArray[np.float64]) -> None:
        """Take weights (R, N), one distribution per row."""
        import drjit as dr

        mi = _mitsuba()
        rows, n = weights.shape
        total = weights.sum(1, keepdims=True)
        share = np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / n)
        edges = np.rint(np.cumsum(share, 1) * 2.0**32)
        edges = np.concatenate([np.zeros((rows, 1)), np.clip(edges, 0, 2.0**32 - 1)], 1)
        edges[:, -1] = 2.0**32 - 1
        self.share = np.diff(edges, axis=1) / 2.0**32
        size = 1 << max(0, int(np.ceil(np.log2(n))))
        # Opaque: worlds that differ in sizes only share a kernel.
        self._stride = dr.opaque(mi.UInt32, n + 1)
        self._shift = dr.opaque(mi.UInt32, 31 - int(np.log2(size)))
        starts = np.arange(size) * 2.0**32 / size
        guide = np.stack([np.clip(np.searchsorted(e, starts, side="right") - 1, 0, n - 1) for e in edges])
        guide = np.concatenate([guide, np.full((rows, 1), n - 1)], 1)
        self._cells = dr.opaque(mi.UInt32, size + 1)
        self._edges = mi.UInt32(edges.astype(np.uint32).ravel())
        self._guide = mi.UInt32(guide.astype(np.uint32).ravel())

    def find(self, u: Any, row: Any, active: Any) -> tuple[Any, Any]:
        """Return the choice, and where in its interval the number lies, 0 to 1."""
        import drjit as dr

        mi = _mitsuba()
        # In two steps: shifting by all 32 bits is undefined.
        cell = row * self._cells + ((u >> self._shift) >> 1)
        low, high = (dr.gather(mi.UInt32, self._guide, cell + k, active) for k in (0, 1))
        base = row * self._stride

        def narrow(low: Any, high: Any) -> tuple[Any, Any]:
            middle = (low + high + 1) >> 1
            below = dr.gather(mi.UInt32, self._edges, base + middle, active) <= u
            return dr.select(below, middle, low), dr.select(below, high, middle - 1)

        low, _ = dr.while_loop((low, high), lambda low, high: active & (low < high), narrow)
        start = dr.gather(mi.UInt32, self._edges, base + low, active)
        end = dr.gather(mi.UInt32, self._edges, base + low + 1, active)
        return low, mi.Float(u - start) / dr.maximum(mi.Float(end - start), 1)


class _Surface(NamedTuple):
    """What a ray hit: point, geometric and shading normal towards the ray's origin, and the surface there."""

    p: Any
    ng: Any
    n: Any
    smooth: Any
    base: Any
    roughness: Any
    eta: Any
    metallic: Any
    plain: Any
    emission: Any
    light_density: Any


@dataclass
class Hit:
    """Nearest hit of a ray: distance, triangle (``_NONE``: nothing), barycentric coordinates of it."""

    t: Any
    face: Any
    u: Any
    v: Any


class Points:
    """The random numbers of each lane: a lattice per pixel and dimension, shifted at random.

    Every pair of dimensions takes the pixel's samples in another order, so that pairs are independent of each other.
    The points are evenly spaced along the first axis and multiples of the golden ratio along the second.
    """

    def __init__(self, count: int, per_pixel: int, seed: int) -> None:
        import drjit as dr

        mi = _mitsuba()
        each = dr.opaque(mi.UInt32, per_pixel)
        lane = dr.arange(mi.UInt32, count)
        self.pixel = lane // each
        self._index = lane - self.pixel * each
        bits = max(1, (per_pixel - 1).bit_length())
        self._mask = dr.opaque(mi.UInt32, (1 << bits) - 1)
        self._shift = dr.opaque(mi.UInt32, (bits + 1) // 2)
        self._spacing = dr.opaque(mi.UInt32, 1 << (32 - bits))
        self._key = _mixed(self.pixel ^ _mixed(dr.opaque(mi.UInt32, seed & 0xFFFFFFFF)))

    def pair(self, dimension: Any) -> tuple[Any, Any]:
        """Return two 32-bit numbers."""
        h = _mixed(self._key + dimension * 0x9E3779B9)
        x, y = _mixed(h ^ 0x68BC21EB), _mixed(h ^ 0x02E5BE93)
        i = self._index
        for odd in (0x9E3779B1, 0x85EBCA77):
            i = ((i ^ h) * odd) & self._mask
            i = i ^ (i >> self._shift)
            h = h >> 7
        return i * self._spacing + x, i * 0x9E3779B9 + y

    def floats(self, dimension: Any) -> tuple[Any, Any]:
        """Return two numbers from 0 to below 1."""
        return tuple(_unit(x) for x in self.pair(dimension))  # type: ignore[return-value]


def _mixed(x: Any) -> Any:
    x = (x ^ (x >> 16)) * 0x7FEB352D
    x = (x ^ (x >> 15)) * 0x846CA68B
    return x ^ (x >> 16)


def _unit(x: Any) -> Any:
    return _mitsuba().Float(x >> 8) * 2.0**-24


def _luminance(c: Any) -> Any:
    return c.x * float(_LUMINANCE[0]) + c.y * float(_LUMINANCE[1]) + c.z * float(_LUMINANCE[2])


def _schlick(cosine: Any) -> Any:
    import drjit as dr

    m = dr.clip(1 - cosine, 0, 1)
    return dr.square(dr.square(m)) * m


def _fresnel(cosine: Any, eta: Any) -> Any:
    """Return the share of unpolarised light that a dielectric reflects, seen from outside."""
    import drjit as dr

    inner = dr.sqrt(dr.maximum(1 - (1 - dr.square(cosine)) / dr.square(eta), 0))
    s = (cosine - eta * inner) / (cosine + eta * inner)
    p = (inner - eta * cosine) / (inner + eta * cosine)
    return 0.5 * (dr.square(s) + dr.square(p))


class Bsdf:
    """How a surface scatters light that comes from ``d`` (the ray's direction, into the surface).

    Args:
        surface: where.
        d: direction of the ray that hit it.
    """

    def __init__(self, surface: _Surface, d: Any) -> None:
        import drjit as dr

        self.s = surface
        self.wi = -d
        self.cos_i = dr.maximum(dr.dot(self.wi, surface.n), 1e-6)
        self.alpha = dr.maximum(dr.square(surface.roughness), 1e-3)
        self._fi = _schlick(self.cos_i)
        # How often the coat is sampled: by its share of what is reflected.
        matt = _luminance(surface.base) * (1 - surface.metallic)
        coat = dr.lerp(_fresnel(self.cos_i, surface.eta), _luminance(surface.base), surface.metallic)
        share = dr.clip(coat / dr.maximum(matt + coat, 1e-6), 0.1, 0.9)
        self.coat_share = dr.select(surface.plain, 0, dr.select(surface.metallic > 0.999, 1, share))
        # The terminator of a bumped surface (Conty Estevez, Lecocq and Stein, 2019).
        across = dr.dot(surface.n, surface.smooth)
        self._bump = dr.minimum(0.125 * (1 / dr.maximum(dr.square(across), 1e-6) - 1), 1)

    def _g1(self, cosine: Any) -> Any:
        import drjit as dr

        c2 = dr.square(cosine)
        return 2 / (1 + dr.sqrt(1 + dr.square(self.alpha) * dr.maximum(1 - c2, 0) / c2))

    def eval(self, wo: Any) -> tuple[Any, Any]:
        """Return reflectance times cosine, and the density with which ``sample`` takes this direction."""
        import drjit as dr

        s = self.s
        cos_o = dr.dot(wo, s.n)
        across = dr.dot(wo, s.smooth)
        seen = (cos_o > 1e-6) & (across > 1e-6)
        cos_o = dr.maximum(cos_o, 1e-6)
        half = dr.normalize(self.wi + wo)
        cos_h, cos_d = dr.dot(half, s.n), dr.maximum(dr.dot(half, wo), 1e-6)
        a2 = dr.square(self.alpha)
        spread = a2 / (dr.pi * dr.square(dr.square(cos_h) * (a2 - 1) + 1))
        g_i = self._g1(self.cos_i)
        fresnel = mix(_fresnel(cos_d, s.eta), s.base + (1 - s.base) * _schlick(cos_d), s.metallic)
        coat = fresnel * (spread * g_i * self._g1(cos_o) / (4 * self.cos_i))
        fo, retro = _schlick(cos_o), 2 * s.roughness * dr.square(cos_d)
        matt = (1 - 0.5 * self._fi) * (1 - 0.5 * fo) + retro * (fo + self._fi + fo * self._fi * (retro - 1))
        matt = dr.select(s.plain, 1, matt * (1 - s.metallic)) * cos_o / dr.pi
        value = s.base * matt + dr.select(s.plain, 0, coat)
        value *= 2 / (1 + dr.sqrt(1 + self._bump * (1 / dr.maximum(dr.square(across), 1e-6) - 1)))
        density = (1 - self.coat_share) * cos_o / dr.pi + self.coat_share * spread * g_i / (4 * self.cos_i)
        return dr.select(seen, value, 0), dr.select(seen, density, 0)

    def sample(self, lobe: Any, u: Any, v: Any) -> Any:
        """Return a direction for three numbers of 0 to 1."""
        import drjit as dr

        mi = _mitsuba()
        frame = mi.Frame3f(self.s.n)
        matt = mi.warp.square_to_cosine_hemisphere(mi.Point2f(u, v))
        # Visible normals of GGX by spherical caps (Dupuy and Benyoub, 2023).
        local = frame.to_local(self.wi)
        stretched = dr.normalize(mi.Vector3f(local.x * self.alpha, local.y * self.alpha, dr.maximum(local.z, 1e-6)))
        sin_phi, cos_phi = dr.sincos(2 * dr.pi * u)
        z = (1 - v) * (1 + stretched.z) - stretched.z
        r = dr.sqrt(dr.clip(1 - dr.square(z), 0, 1))
        half = mi.Vector3f(r * cos_phi, r * sin_phi, z) + stretched
        half = dr.normalize(mi.Vector3f(half.x * self.alpha, half.y * self.alpha, dr.maximum(half.z, 1e-6)))
        coat = 2 * dr.dot(local, half) * half - local
        return dr.normalize(frame.to_world(dr.select(lobe < self.coat_share, coat, matt)))


def mix(a: Any, b: Any, t: Any) -> Any:
    """Return a (1 - t) + b t, where a may have fewer dimensions than b."""
    return b * t + a * (1 - t)


class Lights:
    """All that shines: the sky, lamps, and surfaces that shadow rays look for."""

    def __init__(self, world: World, rows: Triangles, emission: Array) -> None:
        """Take the rows of all parts and about how much light each of their materials emits (M,)."""
        import drjit as dr

        mi = _mitsuba()
        sky = world.environment.astype(np.float64)
        self.height, self.width = sky.shape[:2]
        # A bilinear map's mean over a texel; a floor lets shadow rays find what is dark there but not beside it.
        light = sky @ _LUMINANCE
        light = 0.75 * light + 0.125 * (np.roll(light, 1, 1) + np.roll(light, -1, 1))
        padded = np.pad(light, ((1, 1), (0, 0)), "edge")
        light = 0.75 * light + 0.125 * (padded[:-2] + padded[2:])
        theta = np.pi * (np.arange(self.height) + 0.5) / self.height
        light = (light + 0.01 * light.mean()) * np.sin(theta)[:, None]
        self._columns = _Cumulative(light)
        self._rows = _Cumulative(light.sum(1)[None])
        solid = (2 * np.pi / self.width) * (np.pi / self.height) * np.sin(theta)[:, None]
        density = self._columns.share * self._rows.share[0][:, None] / solid
        texels = np.concatenate([sky, density[..., None]], -1).astype(np.float32)
        self._sky = mi.Float(texels.ravel())

        self._emitters: _Cumulative | None = None
        self._faces, weight, area = _emitting(rows, emission)
        if len(self._faces):
            self._emitters = _Cumulative(weight[None])
            # Of every face, so that what a ray hits knows how likely it was to be found: per area.
            density = np.zeros(len(rows.corners), np.float32)
            density[self._faces] = self._emitters.share[0] / area
            self._density = mi.Float(density)
            self._emitting = mi.UInt32(self._faces.astype(np.uint32))
        lamps = [_lamp(light) for light in world.lights]
        self._lamps = mi.Float(np.asarray(lamps, np.float32).ravel()) if lamps else None
        images = [light.image for light in world.lights if light.image is not None]
        self._image: Any = None
        if images:
            self._image = mi.Texture2f(mi.TensorXf(images[0].astype(np.float32)), wrap_mode=_clamp())
        self._lamp_count = dr.opaque(mi.UInt32, len(lamps))
        self.shines = len(self._faces) > 0
        self.count = 1 + len(lamps) + self.shines
        self.choose(np.ones(self.count))

    def choose(self, weights: NDArray[np.float64]) -> None:
        """Set how often the sky, each lamp, and the shining surfaces are looked for."""
        mi = _mitsuba()
        self._choice = _Cumulative(weights[None])
        self._chosen = mi.Float(self._choice.share[0].astype(np.float32))

    def face_density(self, face: Any, active: Any) -> Any:
        """Return the density per area with which ``sample`` takes a point of a shining triangle."""
        import drjit as dr

        mi = _mitsuba()
        chosen = dr.gather(mi.Float, self._chosen, self._lamp_count + 1, active)
        return dr.gather(mi.Float, self._density, face, active) * chosen

    def sky(self, d: Any, active: Any) -> tuple[Any, Any]:
        """Return the sky's radiance in a direction and the density with which ``sample`` takes it."""
        import drjit as dr

        mi = _mitsuba()
        turn = dr.atan2(d.y, d.x) * (0.5 / dr.pi)
        x = (turn - dr.floor(turn)) * self.width - 0.5
        y = dr.clip(dr.safe_acos(d.z) / dr.pi, 0, 1) * self.height - 0.5
        x0, y0 = dr.floor(x), dr.floor(y)
        fx, fy = x - x0, y - y0
        column, row = mi.Int32(x0), mi.Int32(y0)
        radiance, nearest, weight_max = mi.Color3f(0), mi.Float(0), mi.Float(-1)
        for k in range(4):
            cx = column + (k & 1)
            cx = dr.select(cx < 0, cx + self.width, dr.select(cx >= self.width, cx - self.width, cx))
            cy = dr.clip(row + (k >> 1), 0, self.height - 1)
            texel = dr.gather(mi.Vector4f, self._sky, mi.UInt32(cy * self.width + cx), active)
            weight = (fx if k & 1 else 1 - fx) * (fy if k >> 1 else 1 - fy)
            radiance += mi.Color3f(texel.x, texel.y, texel.z) * weight
            nearest = dr.select(weight > weight_max, texel.w, nearest)
            weight_max = dr.maximum(weight, weight_max)
        return radiance, nearest * dr.gather(mi.Float, self._chosen, mi.UInt32(0), active)

    def pick(self, choice: Any, active: Any) -> tuple[Any, Any]:
        """Return the number of a light for a 32-bit random number, and how often it is taken."""
        import drjit as dr

        mi = _mitsuba()
        light, _ = self._choice.find(choice, mi.UInt32(0), active)
        return light, dr.gather(mi.Float, self._chosen, light, active)

    def sample(
        self, p: Any, light: Any, chance: Any, u: Any, v: Any, shining: Callable[..., Any], active: Any
    ) -> tuple[Any, Any, Any, Any, Any]:
        """Return direction, distance, radiance over density, density (per solid angle) and whether it is a point.

        Args:
            p: seen from where.
            light, chance: number of the light and how often it is taken, see `pick`.
            u, v: 32-bit random numbers.
            shining: what returns place, normal and radiance of a triangle's point.
            active: lanes that matter.
        """
        import drjit as dr

        mi = _mitsuba()
        sky = active & (light == 0)
        row, fy = self._rows.find(v, mi.UInt32(0), sky)
        column, fx = self._columns.find(u, row, sky)
        sin_phi, cos_phi = dr.sincos((mi.Float(column) + fx) * (2 * dr.pi / self.width))
        sin_theta, cos_theta = dr.sincos((mi.Float(row) + fy) * (dr.pi / self.height))
        d = mi.Vector3f(sin_theta * cos_phi, sin_theta * sin_phi, cos_theta)
        far = mi.Float(_FAR)
        value, density = self.sky(d, sky)
        value /= dr.maximum(density, 1e-20)
        point = mi.Bool(False)
        if self._lamps is not None:
            point = active & (light > 0) & (light <= self._lamp_count)
            to, distance, strength = self._lamp(p, light - 1, point)
            d, far = dr.select(point, to, d), dr.select(point, distance, far)
            value = dr.select(point, strength / chance, value)
        if self._emitters is not None:
            here = active & (light > 0) & ~point
            which, a = self._emitters.find(u, mi.UInt32(0), here)
            face = dr.gather(mi.UInt32, self._emitting, which, here)
            a = dr.sqrt(a)
            place, normal, radiance = shining(face, a * (1 - _unit(v)), a * _unit(v), here)
            way = place - p
            distance = dr.norm(way)
            way /= dr.maximum(distance, 1e-9)
            cosine = -dr.dot(way, normal)
            solid = self.face_density(face, here) * dr.square(distance) / dr.maximum(cosine, 1e-6)
            radiance = dr.select(cosine > 1e-6, radiance / dr.maximum(solid, 1e-20), 0)
            d, far = dr.select(here, way, d), dr.select(here, distance, far)
            value, density = dr.select(here, radiance, value), dr.select(here, solid, density)
        return d, far, value, density, point

    def _lamp(self, p: Any, k: Any, active: Any) -> tuple[Any, Any, Any]:
        import drjit as dr

        mi = _mitsuba()
        row = [dr.gather(mi.Vector4f, self._lamps, k * 5 + j, active) for j in range(5)]
        to = mi.Point3f(row[0].x, row[0].y, row[0].z) - p
        distance = dr.norm(to)
        to /= dr.maximum(distance, 1e-9)
        axis = mi.Vector3f(row[2].x, row[2].y, row[2].z)
        cosine = -dr.dot(to, axis)
        cutoff, inner, slope = row[0].w, row[1].w, row[2].w
        fall = dr.select(cosine >= dr.cos(inner) - 1e-6, 1, (cutoff - dr.safe_acos(cosine)) * slope)
        strength = mi.Color3f(row[1].x, row[1].y, row[1].z) * dr.select(cosine > dr.cos(cutoff) - 1e-6, fall, 0)
        strength /= dr.square(distance)
        if self._image is not None:
            side, up = mi.Vector3f(row[3].x, row[3].y, row[3].z), mi.Vector3f(row[4].x, row[4].y, row[4].z)
            z = dr.maximum(cosine, 1e-6)
            u = 0.5 + dr.dot(to, side) / z * row[3].w
            v = 0.5 + dr.dot(to, up) / z * row[3].w
            inside = (cosine > 0) & (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)
            color = mi.Color3f(self._image.eval(mi.Point2f(u, v), active & inside))
            # The image says what falls on the plane one metre ahead.
            shown = color * (dr.pi * row[4].w / (dr.square(distance) * z * z * z))
            strength = dr.select(row[4].w > 0, dr.select(inside, shown, 0), strength)
        return to, distance, strength


def _emitting(rows: Triangles, emission: Array) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Return the triangles that shine, how often each is worth looking for, and their areas."""
    faces = np.nonzero(emission[rows.corners[:, 3]] > 0)[0]
    corners = rows.points[rows.corners[faces, :3]].astype(np.float64)
    area = np.linalg.norm(np.cross(*np.swapaxes(np.diff(corners[..., :3], axis=1), 0, 1)), axis=-1) / 2
    faces, corners, area = faces[area > 0], corners[area > 0], area[area > 0]
    color = corners[..., 8:11].mean(1) @ _LUMINANCE
    # What is seen is near the stage: what is far from it lights it less.
    near = (corners[..., :3].mean(1) ** 2).sum(-1) + 3.0**2
    return faces, area * (color + 0.02) * emission[rows.corners[faces, 3]] / near, area


def _clamp() -> Any:
    import drjit as dr

    return dr.WrapMode.Clamp


def _lamp(light: Light) -> NDArray[np.float64]:
    """Return a lamp's row (20,): position, cutoff; intensity, beam; axis, slope; side, 1 / (2 tan); up, image scale."""
    row = np.zeros(20)
    row[:3], row[4:7] = light.position, light.power
    row[3] = row[7] = np.pi
    row[8:11] = (0, 0, 1)
    if light.target is None:
        return row
    axis = np.asarray(light.target, float) - light.position
    row[8:11] = axis = axis / np.linalg.norm(axis)
    cutoff = np.radians(light.cone)
    row[3], row[7], row[11] = cutoff, 0.6 * cutoff, 1 / (0.4 * cutoff)
    if light.image is not None:
        up = np.array([0.0, 1, 0]) if abs(axis[2]) > 0.9 else np.array([0.0, 0, 1])
        left = np.cross(up, axis)
        left /= np.linalg.norm(left)
        row[12:15], row[16:19] = left, np.cross(axis, left)
        row[15], row[19] = 0.5 / np.tan(cutoff / 2), np.mean(light.power)
    return row


class Tracer:
    """One world in arrays, two character slots whose arrays are replaced, and the paths through them.

    Args:
        world: what to load.
        depth: number of surfaces that a light path may touch, plus one.
        one_scene: whether world and characters are one ray-tracing scene. It has to be on CUDA; elsewhere two are
            quicker to change.
    """

    def __init__(self, world: World, depth: int = DEPTH, one_scene: bool | None = None) -> None:
        mi = _mitsuba()
        self.world = world
        self.depth = depth
        self._one_scene = "cuda" in mi.variant() if one_scene is None else one_scene
        materials = [part.material for part in world.parts] + [SKIN]
        self._static = joined([triangles(part.mesh, part.material.roughness, k) for k, part in enumerate(world.parts)])
        self._load_materials(world, materials)
        self._static_corners = mi.UInt32(self._static.corners.ravel())
        self._static_points = mi.Float(self._static.points.ravel())
        self._world_mesh = _geometry("world", self._static)
        if not self._one_scene:
            self._world_scene = mi.load_dict({"type": "scene", "world": self._world_mesh})
        self.dress([None] * SLOTS)
        self._weigh_lights()

    def _load_materials(self, world: World, materials: list[Material]) -> None:
        mi = _mitsuba()
        table = np.zeros((len(materials), 8), np.float32)
        colors, roughs, heights = _Textures(), _Textures(), _Textures()
        meshes = [part.mesh for part in world.parts]
        emission = np.zeros(len(materials), np.float32)
        for k, material in enumerate(materials):
            eta = 2 / (1 - np.sqrt(0.08 * material.specular)) - 1
            table[k, :3] = eta, material.metallic, material.specular <= 0
            color = material.color
            if color is not None:
                color = np.concatenate([linear(color / np.float32(255)), np.zeros((*color.shape[:2], 1))], -1)
            colors.add(None if color is None else color.astype(np.float16), material.repeat)
            roughs.add(None if material.rough is None else material.rough / np.float32(255), material.repeat)
            heights.add(material.height, material.repeat)
            if material.emission > 0:
                tint, tinted = np.ones(3), material.color is not None
                if material.color is None and meshes[k].colors is not None:
                    own = meshes[k].colors
                    assert own is not None
                    tinted = not material.samples_light
                    tint = np.ones(3) if tinted else own.mean(0)
                table[k, 3], table[k, 4:7] = float(tinted), tint * material.emission
                emission[k] = material.emission * (color.mean() if color is not None else 1)
        self._emits = bool(emission.any())
        self.lights = Lights(world, self._static, emission)
        self._materials = mi.Float(table.ravel())
        self._colors, self._color_rows = _buffer(colors, "f16")
        self._roughs, self._rough_rows = _buffer(roughs, "f32")
        self._heights, self._height_rows = _buffer(heights, "f32")

    def _weigh_lights(self) -> None:
        """Look for each light as often as it lights the surroundings of the stage: a sky behind walls seldom."""
        import drjit as dr

        mi = _mitsuba()
        count = self.lights.count
        if count == 1:
            return
        lanes = _PILOT * count
        points = Points(lanes, _PILOT, 1)
        light = points.pixel
        x, y = points.floats(mi.UInt32(0))
        z, _ = points.floats(mi.UInt32(1))
        ground = float(self.world.ground(0, 0))
        p = mi.Point3f(6 * x - 3, 6 * y - 3, dr.opaque(mi.Float, ground) + 0.1 + 2.4 * z)
        d, far, value, _, _ = self.lights.sample(
            p, light, mi.Float(1), *points.pair(mi.UInt32(2)), self._shining, mi.Bool(True)
        )
        seen = ~self._blocked(p, d, dr.select(far < _FAR, far * (1 - 20 * _EPSILON), _FAR), mi.Bool(True))
        strength = np.array(dr.select(seen, _luminance(value), 0)).reshape(count, _PILOT).astype(np.float64)
        strength[0] *= 1 / count  # the sky's density has its chance in it
        strength[-1] *= 1 / count if self.lights.shines else 1
        # One place beside a lamp is not the whole room.
        mean = np.minimum(strength, 8 * strength.mean(1, keepdims=True)).mean(1)
        if mean.sum() > 0:
            self.lights.choose(mean + 0.1 * mean.sum() / count)

    def dress(self, costumes: Sequence[Costume | None]) -> None:
        """Put characters into the slots."""
        import drjit as dr

        mi = _mitsuba()
        skin = len(self.world.parts)
        worn = [
            triangles(Mesh(c.vertices, c.faces, c.normals, colors=c.color), c.roughness, skin) for c in costumes if c
        ] or [_SPECK]
        rows = joined(worn)
        cast = _geometry("cast", rows)
        first = len(self._static.corners)
        rows.corners[:, :3] += np.uint32(len(self._static.points))
        self._starts = np.cumsum([first, *(len(c.faces) if c else 0 for c in costumes)])
        self._corners = dr.concat([self._static_corners, mi.UInt32(rows.corners.ravel())])
        self._points = dr.concat([self._static_points, mi.Float(rows.points.ravel())])
        self._scenes: list[tuple[Any, list[tuple[Any, int]]]] = []
        if self._one_scene:
            scene = mi.load_dict({"type": "scene", "world": self._world_mesh, "cast": cast})
            self._scenes = [(scene, [(self._world_mesh, 0), (cast, first)])]
        else:
            # As a group its structure is built in a sixth of the time, and is as quick to trace.
            group = {"type": "shapegroup", "id": "group", "cast": cast}
            scene = mi.load_dict(
                {"type": "scene", "group": group, "cast": {"type": "instance", "g": {"type": "ref", "id": "group"}}}
            )
            self._scenes = [(self._world_scene, [(None, 0)]), (scene, [(None, first)])]

    # -- rays -------------------------------------------------------------------------------------------------------

    def _nearest(self, o: Any, d: Any, active: Any, coherent: bool = False) -> Hit:
        import drjit as dr

        mi = _mitsuba()
        best: Hit | None = None
        for scene, meshes in self._scenes:
            ray = mi.Ray3f(o, d)
            if best is not None:
                ray.maxt = best.t
            found = scene.ray_intersect_preliminary(ray, coherent, active)
            hit = active & found.is_valid()
            base = mi.UInt32(0)
            for mesh, start in meshes:
                start = dr.opaque(mi.UInt32, start)
                base = start if mesh is None else dr.select(found.shape == mi.ShapePtr(mesh), start, base)
            face = found.prim_index + base
            old = best or Hit(mi.Float(_FAR), mi.UInt32(_NONE), mi.Float(0), mi.Float(0))
            best = Hit(
                dr.select(hit, found.t, old.t),
                dr.select(hit, face, old.face),
                dr.select(hit, found.prim_uv.x, old.u),
                dr.select(hit, found.prim_uv.y, old.v),
            )
        assert best is not None
        return best

    def _blocked(self, o: Any, d: Any, far: Any, active: Any) -> Any:
        mi = _mitsuba()
        blocked = ~active
        for scene, _ in self._scenes:
            ray = mi.Ray3f(o, d)
            ray.maxt = far
            blocked |= scene.ray_test(ray, active=~blocked)
        return blocked

    def _bilinear(
        self, buffer: Any, row: Any, u: Any, v: Any, active: Any, color: bool
    ) -> tuple[list[Any], Any, Any, Any]:
        """Return the four texels around a place, the fractions between them, and the texture's size."""
        import drjit as dr

        mi = _mitsuba()
        size = mi.Vector2f(mi.Float(row.y), mi.Float(row.z))
        x, y = u * size.x - 0.5, v * size.y - 0.5
        x0, y0 = dr.floor(x), dr.floor(y)
        texels = []
        for k in range(4):
            cx, cy = x0 + (k & 1), y0 + (k >> 1)
            wrapped = (cx - dr.floor(cx / size.x) * size.x, cy - dr.floor(cy / size.y) * size.y)
            cx = dr.clip(dr.select(row.w > 0, wrapped[0], cx), 0, size.x - 1)
            cy = dr.clip(dr.select(row.w > 0, wrapped[1], cy), 0, size.y - 1)
            at = row.x + mi.UInt32(cy) * row.y + mi.UInt32(cx)
            if color:
                t = dr.gather(_half4(), buffer, at, active)
                texels.append(mi.Color3f(mi.Float(t[0]), mi.Float(t[1]), mi.Float(t[2])))
            else:
                texels.append(dr.gather(mi.Float, buffer, at, active))
        return texels, x - x0, y - y0, size

    def _texture(self, buffer: Any, rows: Any, k: Any, u: Any, v: Any, active: Any, color: bool, default: Any) -> Any:
        import drjit as dr

        row = dr.gather(_uint4(), rows, k, active)
        there = active & (row.x != _NONE)
        t, fx, fy, _ = self._bilinear(buffer, row, u, v, there, color)
        value = (t[0] * (1 - fx) + t[1] * fx) * (1 - fy) + (t[2] * (1 - fx) + t[3] * fx) * fy
        return dr.select(there, value, default)

    def _surface(self, hit: Hit, d: Any, active: Any) -> _Surface:
        """Return what was hit; ``active`` lanes have hit something."""
        import drjit as dr

        mi = _mitsuba()
        corner = dr.gather(_uint4(), self._corners, hit.face, active)
        row = [
            [dr.gather(mi.Vector4f, self._points, index * 3 + j, active) for j in range(3)]
            for index in (corner.x, corner.y, corner.z)
        ]
        weight = (1 - hit.u - hit.v, hit.u, hit.v)
        a, b, c = (sum((row[k][j] * weight[k] for k in (1, 2)), row[0][j] * weight[0]) for j in range(3))
        p = mi.Point3f(a.x, a.y, a.z)
        corners = [mi.Point3f(row[k][0].x, row[k][0].y, row[k][0].z) for k in range(3)]
        e1, e2 = corners[1] - corners[0], corners[2] - corners[0]
        ng = dr.normalize(dr.cross(e1, e2))
        front = dr.dot(ng, d) < 0
        smooth = dr.normalize(mi.Vector3f(b.x, b.y, b.z))
        u, v, k = b.w, c.w, corner.w
        base, roughness = mi.Color3f(c.x, c.y, c.z), a.w
        n = smooth
        if self._heights is not None:
            n = self._bumped(k, u, v, row, e1, e2, smooth, ng, d, active)
        n = dr.select(dr.dot(n, d) > 0, -n, n)
        smooth = dr.select(dr.dot(smooth, d) > 0, -smooth, smooth)
        if self._colors is not None:
            base = self._texture(self._colors, self._color_rows, k, u, v, active, True, base)
        if self._roughs is not None:
            roughness = self._texture(self._roughs, self._rough_rows, k, u, v, active, False, roughness)
        m = dr.gather(mi.Vector4f, self._materials, k * 2, active)
        emission, density = mi.Color3f(0), mi.Float(0)
        if self._emits:
            e = dr.gather(mi.Vector4f, self._materials, k * 2 + 1, active)
            emission = mi.Color3f(e.x, e.y, e.z) * dr.select(m.w > 0, base, 1)
            emission = dr.select(front & active, emission, 0)
            shines = active & (dr.max(emission) > 0)
            density = dr.select(shines, self.lights.face_density(hit.face, shines), 0)
        ng = dr.select(front, ng, -ng)
        return _Surface(p, ng, n, smooth, base, roughness, m.x, m.y, m.z > 0, emission, density)

    def _shining(self, face: Any, u: Any, v: Any, active: Any) -> tuple[Any, Any, Any]:
        """Return place, normal and radiance of a point of a triangle that shines."""
        import drjit as dr

        mi = _mitsuba()
        corner = dr.gather(_uint4(), self._corners, face, active)
        row = [
            [dr.gather(mi.Vector4f, self._points, index * 3 + j, active) for j in range(3)]
            for index in (corner.x, corner.y, corner.z)
        ]
        a, b, c = (row[0][j] * (1 - u - v) + row[1][j] * u + row[2][j] * v for j in range(3))
        corners = [mi.Point3f(row[k][0].x, row[k][0].y, row[k][0].z) for k in range(3)]
        color = mi.Color3f(c.x, c.y, c.z)
        if self._colors is not None:
            color = self._texture(self._colors, self._color_rows, corner.w, b.w, c.w, active, True, color)
        m = dr.gather(mi.Vector4f, self._materials, corner.w * 2, active)
        e = dr.gather(mi.Vector4f, self._materials, corner.w * 2 + 1, active)
        radiance = mi.Color3f(e.x, e.y, e.z) * dr.select(m.w > 0, color, 1)
        normal = dr.normalize(dr.cross(corners[1] - corners[0], corners[2] - corners[0]))
        return mi.Point3f(a.x, a.y, a.z), normal, radiance

    def _bumped(
        self, k: Any, u: Any, v: Any, row: Any, e1: Any, e2: Any, smooth: Any, ng: Any, d: Any, active: Any
    ) -> Any:
        """Return the normal of the surface with its height map on it (Blinn, 1978)."""
        import drjit as dr

        mi = _mitsuba()
        place = dr.gather(_uint4(), self._height_rows, k, active)
        there = active & (place.x != _NONE)
        t, fx, fy, size = self._bilinear(self._heights, place, u, v, there, False)
        rise_u = ((t[1] - t[0]) * (1 - fy) + (t[3] - t[2]) * fy) * size.x
        rise_v = ((t[2] - t[0]) * (1 - fx) + (t[3] - t[1]) * fx) * size.y
        du1, dv1 = row[1][1].w - row[0][1].w, row[1][2].w - row[0][2].w
        du2, dv2 = row[2][1].w - row[0][1].w, row[2][2].w - row[0][2].w
        determinant = du1 * dv2 - dv1 * du2
        there &= determinant != 0
        inverse = 1 / dr.select(there, determinant, 1)
        along_u, along_v = (e1 * dv2 - e2 * dv1) * inverse, (e2 * du1 - e1 * du2) * inverse
        along_u += smooth * (rise_u - dr.dot(smooth, along_u))
        along_v += smooth * (rise_v - dr.dot(smooth, along_v))
        n = dr.normalize(dr.cross(along_u, along_v))
        n = dr.select(dr.dot(n, ng) < 0, -n, n)
        # A normal that faces away from the ray is turned about the smooth one.
        wrong = dr.dot(d, smooth) * dr.dot(d, n) <= 0
        n = dr.select(wrong, 2 * dr.dot(smooth, n) * smooth - n, n)
        return dr.select(there, mi.Vector3f(n), smooth)

    # -- pictures ---------------------------------------------------------------------------------------------------

    def _camera(self, view: View, pixel: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
        """Return rays through places in pixels, and which of them are inside the world's bounds."""
        import drjit as dr

        mi = _mitsuba()
        # Opaque values: a camera that moves does not compile anew.
        width, height = (dr.opaque(mi.UInt32, n) for n in view.size)
        row = pixel // width
        x, y = mi.Float(pixel - row * width) + x, mi.Float(row) + y
        axes = [mi.Vector3f(*(dr.opaque(mi.Float, float(v)) for v in axis)) for axis in view.rotation]
        focal = dr.opaque(mi.Float, view.focal)
        u, v = (x - 0.5 * mi.Float(width)) / focal, (y - 0.5 * mi.Float(height)) / focal
        d = dr.normalize(axes[0] * u + axes[1] * v + axes[2])
        camera = self.world.spec.camera
        eye, low, high = (
            mi.Point3f(*(dr.opaque(mi.Float, float(c)) for c in place))
            for place in (view.position, camera.low, camera.high)
        )
        a, b = (low - eye) / d, (high - eye) / d
        near, far = dr.max(dr.minimum(a, b)), dr.min(dr.maximum(a, b))
        near = dr.maximum(near, 0)
        return eye + d * near, d, far > near

    def render(self, view: View, samples: int, seed: int, device: bool = False) -> Raw:
        """Render what the slots wear. The same arguments give the same bytes.

        Args:
            view, samples, seed: from where, how well, and with which random numbers.
            device: leave colour and its maps where they were traced, as a torch tensor.
        """
        import drjit as dr

        mi = _mitsuba()
        width, height = view.size
        pixels = width * height
        rounds = -(-pixels * samples // _WAVEFRONT)
        per_round = -(-samples // rounds)
        haze = self.world.spec.haze
        total: Any = 0 if device else np.zeros((9 if haze is None else 12, pixels))
        for k in range(rounds):
            points = Points(pixels * per_round, per_round, seed + 7919 * k)
            o, d, inside = self._camera(view, points.pixel, *points.floats(mi.UInt32(0)))
            light, albedo, normal, distance = self.paths(points, o, d, inside)
            values = [dr.select(inside & dr.isfinite(c), c, 0) for c in light] + [*albedo, *normal]
            if haze is not None:
                way = dr.maximum(distance - dr.opaque(mi.Float, haze.start), 0)
                far = dr.opaque(mi.Float, 0.0 if haze.shafts > 0 else 1.0)
                density = [dr.opaque(mi.Float, haze.density + c) for c in haze.absorb]
                values += [dr.select(distance < _FAR, dr.exp(-c * way), far) for c in density]
            # All at once: a sum over blocks is a kernel of its own and would trace the paths anew for each value.
            dr.eval(values)
            if device:
                import torch

                sums = [dr.block_sum(c, per_round) for c in values]
                dr.eval(sums)
                dr.sync_thread()  # torch works in a queue of its own
                total = total + torch.stack([c.torch().double() for c in sums])
            else:
                total += np.stack([np.array(dr.block_sum(c, per_round)) for c in values])
        if device:
            maps = (total / (rounds * per_round)).T.reshape(height, width, -1).float()
            none = np.zeros((0, 0, 3), np.float32)
            return Raw(none, none, none, none, *self._exact(view), maps)
        maps = (total / (rounds * per_round)).T.reshape(height, width, -1).astype(np.float32)
        through = maps[..., 9:] if haze is not None else np.ones_like(maps[..., :3])
        return Raw(maps[..., :3], np.clip(maps[..., 3:6], 0, 1), maps[..., 6:9], through, *self._exact(view))

    def _exact(self, view: View) -> tuple[NDArray[np.uint8], Array, Array]:
        import drjit as dr

        mi = _mitsuba()
        width, height = view.size
        o, d, inside = self._camera(view, dr.arange(mi.UInt32, width * height), 0.5, 0.5)
        hit = self._nearest(o, d, inside, coherent=True)
        valid = inside & (hit.face != _NONE)
        surface = self._surface(hit, d, valid)
        shape = dr.zeros(mi.UInt32, width * height)
        for k, (start, end) in enumerate(pairwise(dr.opaque(mi.UInt32, int(n)) for n in self._starts)):
            shape = dr.select(valid & (hit.face >= start) & (hit.face < end), k + 1, shape)
        eye = mi.Point3f(*(dr.opaque(mi.Float, float(c)) for c in view.position))
        distance = dr.select(valid, dr.norm(surface.p - eye), dr.inf)
        normal = dr.select(valid, surface.smooth, 0)
        dr.eval(shape, distance, normal)
        # One copy to the host: on a GPU each one waits for the device.
        found = np.array(dr.concat([mi.Float(shape), distance, *normal])).reshape(5, height, width)
        facing = np.ascontiguousarray(np.moveaxis(found[2:], 0, -1))
        return found[0].astype(np.uint8), found[1].copy(), facing

    # -- paths ------------------------------------------------------------------------------------------------------

    def paths(self, points: Points, o: Any, d: Any, active: Any) -> tuple[Any, Any, Any, Any]:
        """Return radiance, and of the first surface diffuse colour (white for sky), normal and distance."""
        import drjit as dr

        mi = _mitsuba()
        last = self.depth - 2
        hit = self._nearest(o, d, active, coherent=True)
        first = dr.select(hit.face == _NONE, _FAR, hit.t)
        state = (
            mi.Bool(active), mi.UInt32(0), mi.Vector3f(d), hit.t, hit.face, hit.u, hit.v,
            mi.Color3f(1), mi.Color3f(0), mi.Float(0), mi.Color3f(1), mi.Vector3f(0),
        )  # fmt: skip

        def body(
            active: Any, depth: Any, d: Any, t: Any, face: Any, u: Any, v: Any,
            through: Any, light: Any, density: Any, albedo: Any, normal: Any,
        ) -> tuple[Any, ...]:  # fmt: skip
            valid = active & (face != _NONE)
            escaped = active & (face == _NONE)
            radiance, sky_density = self.lights.sky(d, escaped)
            light += dr.select(escaped, through * radiance * _balance(density, sky_density, depth), 0)

            s = self._surface(Hit(t, face, u, v), d, valid)
            if self._emits:
                cosine = dr.maximum(dr.abs(dr.dot(s.ng, d)), 1e-6)
                found = s.light_density * dr.square(t) / cosine
                light += dr.select(valid, through * s.emission * _balance(density, found, depth), 0)
            albedo = dr.select(valid & (depth == 0), s.base, albedo)
            normal = dr.select(valid & (depth == 0), s.n, normal)

            bsdf = Bsdf(s, d)
            dimension = depth * 5 + 1
            lobe, choice = points.pair(dimension)
            step = (1 + dr.max(dr.abs(s.p))) * _EPSILON
            for k in range(_LOOKS):
                look = valid if k == 0 else valid & (depth == 0)
                x, y = points.pair(dimension + 1 if k == 0 else mi.UInt32(90 + k))
                # The second half of the lights for the second look.
                picked = self.lights.pick(choice + k * (0xFFFFFFFF // _LOOKS), look)
                to, far, value, light_density, point = self.lights.sample(s.p, *picked, x, y, self._shining, look)
                reflected, bsdf_density = bsdf.eval(to)
                weight = dr.select(point | (depth == last), 1, _balance(light_density, bsdf_density, 1))
                value = through * reflected * value * (weight * dr.select(depth == 0, 1 / _LOOKS, 1))
                look = look & (dr.max(value) > 0)
                away = s.p + s.ng * dr.select(dr.dot(s.ng, to) > 0, step, -step)
                shadow = self._blocked(away, to, dr.select(far < _FAR, far * (1 - 20 * _EPSILON) - step, _FAR), look)
                light += dr.select(look & ~shadow, value, 0)

            active = valid & (depth < last)
            out = bsdf.sample(_unit(lobe), *points.floats(dimension + 2))
            reflected, density = bsdf.eval(out)
            through *= reflected / dr.maximum(density, 1e-12)
            brightest = dr.max(through)
            active &= (brightest > 0) & (density > 0)
            chance, _ = points.floats(dimension + 3)
            live = dr.minimum(brightest * _KEEN, 1)
            active &= chance < live
            through /= live
            hit = self._nearest(s.p + s.ng * dr.select(dr.dot(s.ng, out) > 0, step, -step), out, active)
            return active, depth + 1, out, hit.t, hit.face, hit.u, hit.v, through, light, density, albedo, normal

        end = dr.while_loop(state, lambda *s: s[0], body)
        return end[8], end[10], end[11], first


def _balance(a: Any, b: Any, depth: Any) -> Any:
    """Return the weight of the way that has density ``a`` (power heuristic); 1 for what the camera sees itself."""
    import drjit as dr

    a2, b2 = dr.square(a), dr.square(b)
    weight = a2 / dr.maximum(a2 + b2, 1e-30)
    return dr.select(depth == 0, 1, weight) if not isinstance(depth, int) else weight


_SPECK = Triangles(
    np.array([[0, 1, 2, 0]], np.uint32),
    np.pad(np.array([[0, 0, -900], [0.01, 0, -900], [0, 0.01, -900]], np.float32), ((0, 0), (0, 9))),
)
"""Far below the ground: a ray-tracing structure of nothing is an error."""


def _geometry(name: str, rows: Triangles) -> Any:
    """Return a Mitsuba mesh with nothing but positions."""
    mi = _mitsuba()
    made = mi.Mesh(name, len(rows.points), len(rows.corners))
    params = mi.traverse(made)
    params["vertex_positions"] = mi.Float(np.ascontiguousarray(rows.points[:, :3]).ravel())
    params["faces"] = mi.UInt32(np.ascontiguousarray(rows.corners[:, :3]).ravel())
    params.update()
    return made


def _buffer(textures: _Textures, kind: str) -> tuple[Any, Any]:
    """Return the texels on the device, or None where there are none, and the rows."""
    mi = _mitsuba()
    rows = mi.UInt32(np.asarray(textures.rows, np.uint32).ravel())
    if not textures.texels:
        return None, rows
    texels = np.concatenate(textures.texels).ravel()
    if kind == "f16":
        return mi.Float16(texels.astype(np.float16)), rows
    return mi.Float(texels.astype(np.float32)), rows


def _backend() -> Any:
    import drjit as dr

    return dr.cuda.ad if "cuda" in _mitsuba().variant() else dr.llvm.ad


def _half4() -> Any:
    return _backend().Array4f16


def _uint4() -> Any:
    return _backend().Array4u
