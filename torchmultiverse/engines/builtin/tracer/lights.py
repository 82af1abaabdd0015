"""All that emits light, and how it is sampled: the sky, lamps, and emissive surfaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Light
from torchmultiverse.engines.builtin.tracer.backend import FAR, mitsuba, opaque_uint, uploaded
from torchmultiverse.engines.builtin.tracer.bsdf import LUMINANCE
from torchmultiverse.engines.builtin.tracer.buffers import Array, Triangles
from torchmultiverse.engines.builtin.tracer.kinds import Bool, Color3f, Float, Point3f, UInt32, Vector3f
from torchmultiverse.engines.builtin.tracer.sampling import DiscreteDistribution, unit_float
from torchmultiverse.engines.builtin.world import World


class EmissivePoint(NamedTuple):
    """A point of a triangle that emits light: place, normal and radiance."""

    p: Point3f
    normal: Vector3f
    radiance: Color3f


EmissivePoints: TypeAlias = Callable[[UInt32, Float, Float, Bool], EmissivePoint]
"""Returns the point of a triangle at barycentric coordinates."""


class LightSample(NamedTuple):
    """Light that reaches a point.

    Attributes:
        d, distance: where it comes from.
        value: radiance over density.
        density: per solid angle.
        point: whether it comes from a lamp, which no ray can hit.
    """

    d: Vector3f
    distance: Float
    value: Color3f
    density: Float
    point: Bool


class _EnvironmentMap:
    """The environment map, and with which density each direction of it is sampled."""

    def __init__(self, environment: Array) -> None:
        sky = environment.astype(np.float64)
        self.height, self.width = sky.shape[:2]
        # A bilinear map's mean over a texel; a floor lets shadow rays find what is dark there but not beside it.
        light = sky @ LUMINANCE
        light = 0.75 * light + 0.125 * (np.roll(light, 1, 1) + np.roll(light, -1, 1))
        padded = np.pad(light, ((1, 1), (0, 0)), "edge")
        light = 0.75 * light + 0.125 * (padded[:-2] + padded[2:])
        theta = np.pi * (np.arange(self.height) + 0.5) / self.height
        light = (light + 0.01 * light.mean()) * np.sin(theta)[:, None]
        self._columns = DiscreteDistribution(light)
        self._rows = DiscreteDistribution(light.sum(1)[None])
        solid = (2 * np.pi / self.width) * (np.pi / self.height) * np.sin(theta)[:, None]
        density = self._columns.probability * self._rows.probability[0][:, None] / solid
        texels = np.concatenate([sky, density[..., None]], -1).astype(np.float32)
        self._texels = uploaded("Float", texels)

    def sample(self, u: UInt32, v: UInt32, active: Bool) -> Vector3f:
        """Return a direction for two 32-bit random numbers."""
        import drjit as dr

        mi = mitsuba()
        row, fy = self._rows.find(v, mi.UInt32(0), active)
        column, fx = self._columns.find(u, row, active)
        sin_phi, cos_phi = dr.sincos((mi.Float(column) + fx) * (2 * dr.pi / self.width))
        sin_theta, cos_theta = dr.sincos((mi.Float(row) + fy) * (dr.pi / self.height))
        d: Vector3f = mi.Vector3f(sin_theta * cos_phi, sin_theta * sin_phi, cos_theta)
        return d

    def eval(self, d: Vector3f, active: Bool) -> tuple[Color3f, Float]:
        """Return the radiance in a direction, and the density with which ``sample`` takes it."""
        import drjit as dr

        mi = mitsuba()
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
            texel = dr.gather(mi.Vector4f, self._texels, mi.UInt32(cy * self.width + cx), active)
            weight = (fx if k & 1 else 1 - fx) * (fy if k >> 1 else 1 - fy)
            radiance += mi.Color3f(texel.x, texel.y, texel.z) * weight
            nearest = dr.select(weight > weight_max, texel.w, nearest)
            weight_max = dr.maximum(weight, weight_max)
        return radiance, nearest


class Emitters(NamedTuple):
    """The triangles of a world that emit light: their numbers, materials, areas, luminance of their colour, squared
    distance from the world's centre; and how many triangles the world has."""

    faces: NDArray[np.intp]
    material: NDArray[np.uint32]
    area: NDArray[np.float64]
    color: NDArray[np.float64]
    near: NDArray[np.float64]
    face_count: int

    def of(self, emission: Array) -> Emitters:
        """Return those whose material emits anything."""
        on = emission[self.material] > 0
        faces, material = self.faces[on], self.material[on]
        return Emitters(faces, material, self.area[on], self.color[on], self.near[on], self.face_count)


def emitters(rows: Triangles, emission: Array) -> Emitters:
    """Return the triangles that emit light, by how much each material does (M,)."""
    faces = np.nonzero(emission[rows.corners[:, 3]] > 0)[0]
    corners = rows.points[rows.corners[faces, :3]].astype(np.float64)
    area = np.linalg.norm(np.cross(*np.swapaxes(np.diff(corners[..., :3], axis=1), 0, 1)), axis=-1) / 2
    faces, corners, area = faces[area > 0], corners[area > 0], area[area > 0]
    color = corners[..., 8:11].mean(1) @ LUMINANCE
    # What the camera looks at is near the world's centre: what is far from it lights it less.
    near = (corners[..., :3].mean(1) ** 2).sum(-1) + 3.0**2
    return Emitters(faces, rows.corners[faces, 3], area, color, near, len(rows.corners))


class Lights:
    """All that emits light: the sky, lamps, and surfaces that shadow rays look for.

    Attributes:
        count: the sky, each lamp, and the emissive surfaces as one.
        emissive: whether there are any of those.

    Args:
        world: whose sky and lamps.
        rows: the triangles of all its parts.
        emission: about how much light each of their materials emits (M,).
    """

    def __init__(self, world: World, emitters: Emitters, emission: Array) -> None:
        import drjit as dr

        mi = mitsuba()
        self._sky = _EnvironmentMap(world.environment)
        self._surfaces: DiscreteDistribution | None = None
        emitters = emitters.of(emission)
        faces = emitters.faces
        if len(faces):
            weight = emitters.area * (emitters.color + 0.02) * emission[emitters.material] / emitters.near
            self._surfaces = DiscreteDistribution(weight[None])
            # Of every face, so that what a ray hits knows how likely it was to be found: per area.
            density = np.zeros(emitters.face_count, np.float32)
            density[faces] = self._surfaces.probability[0] / emitters.area
            self._density = uploaded("Float", density)
            self._faces = uploaded("UInt32", faces.astype(np.uint32))
        lamps = [_lamp_row(light) for light in world.lights]
        self._lamps = uploaded("Float", np.asarray(lamps, np.float32)) if lamps else None
        images = [light.image for light in world.lights if light.image is not None]
        self._image: Any = None
        if images:
            self._image = mi.Texture2f(mi.TensorXf(images[0].astype(np.float32)), wrap_mode=dr.WrapMode.Clamp)
        self._lamp_count = opaque_uint(len(lamps))
        self.emissive = len(faces) > 0
        self._face_count = opaque_uint(emitters.face_count)
        self.count = 1 + len(lamps) + self.emissive
        self.set_probabilities(np.ones(self.count))

    def set_probabilities(self, weights: NDArray[np.float64]) -> None:
        """Set how often the sky, each lamp, and the emissive surfaces are sampled."""
        self._choice = DiscreteDistribution(weights[None])
        self._probability = mitsuba().Float(self._choice.probability[0].astype(np.float32))

    def face_density(self, face: UInt32, active: Bool) -> Float:
        """Return the density per area with which ``sample`` takes a point of an emissive triangle; 0 of others."""
        import drjit as dr

        mi = mitsuba()
        if self._surfaces is None:
            return mi.Float(0)  # type: ignore[no-any-return]
        active = active & (face < self._face_count)
        chosen = dr.gather(mi.Float, self._probability, self._lamp_count + 1, active)
        density: Float = dr.gather(mi.Float, self._density, face, active) * chosen
        return density

    def sky(self, d: Vector3f, active: Bool) -> tuple[Color3f, Float]:
        """Return the sky's radiance in a direction and the density with which ``sample`` takes it."""
        import drjit as dr

        mi = mitsuba()
        radiance, density = self._sky.eval(d, active)
        return radiance, density * dr.gather(mi.Float, self._probability, mi.UInt32(0), active)

    def select(self, choice: UInt32, active: Bool) -> tuple[UInt32, Float]:
        """Return the number of a light for a 32-bit random number, and its probability."""
        import drjit as dr

        mi = mitsuba()
        light, _ = self._choice.find(choice, mi.UInt32(0), active)
        return light, dr.gather(mi.Float, self._probability, light, active)

    def sample(
        self,
        p: Point3f,
        light: tuple[UInt32, Float],
        uv: tuple[UInt32, UInt32],
        emissive_point: EmissivePoints,
        active: Bool,
    ) -> LightSample:
        """Return light that reaches a point.

        Args:
            p: the point.
            light: number of the light and its probability, see `select`.
            uv: 32-bit random numbers.
            emissive_point: what returns a point of an emissive triangle.
            active: lanes that matter.
        """
        import drjit as dr

        mi = mitsuba()
        number, probability = light
        u, v = uv
        sky = active & (number == 0)
        d = self._sky.sample(u, v, sky)
        far = mi.Float(FAR)
        value, density = self.sky(d, sky)
        value = value / dr.maximum(density, 1e-20)
        point = mi.Bool(False)
        if self._lamps is not None:
            point = active & (number > 0) & (number <= self._lamp_count)
            to, distance, strength = self._lamp(p, number - 1, point)
            d, far = dr.select(point, to, d), dr.select(point, distance, far)
            value = dr.select(point, strength / probability, value)
        if self._surfaces is not None:
            here = active & (number > 0) & ~point
            which, a = self._surfaces.find(u, mi.UInt32(0), here)
            face = dr.gather(mi.UInt32, self._faces, which, here)
            a = dr.sqrt(a)
            place, normal, radiance = emissive_point(face, a * (1 - unit_float(v)), a * unit_float(v), here)
            way: Any = place - p
            distance = dr.norm(way)
            way /= dr.maximum(distance, 1e-9)
            cosine = -dr.dot(way, normal)
            solid = self.face_density(face, here) * dr.square(distance) / dr.maximum(cosine, 1e-6)
            radiance = dr.select(cosine > 1e-6, radiance / dr.maximum(solid, 1e-20), 0)
            d, far = dr.select(here, way, d), dr.select(here, distance, far)
            value, density = dr.select(here, radiance, value), dr.select(here, solid, density)
        return LightSample(d, far, value, density, point)

    def _lamp(self, p: Point3f, number: UInt32, active: Bool) -> tuple[Vector3f, Float, Color3f]:
        """Return direction, distance and irradiance (towards it) of a lamp."""
        import drjit as dr

        mi = mitsuba()
        row = [dr.gather(mi.Vector4f, self._lamps, number * 5 + j, active) for j in range(5)]
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


def _lamp_row(light: Light) -> NDArray[np.float64]:
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
