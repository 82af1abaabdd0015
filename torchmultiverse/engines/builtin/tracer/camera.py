"""Rays of a camera: a pinhole, or a thin lens with radial distortion."""

from __future__ import annotations

from typing import NamedTuple

from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.tracer.backend import mitsuba, opaque_float, opaque_point, opaque_uint
from torchmultiverse.engines.builtin.tracer.kinds import Bool, Float, FloatPair, Point3f, UInt32, Vector3f
from torchmultiverse.engines.builtin.tracer.sampling import LatticeSampler
from torchmultiverse.engines.builtin.world import Camera

_LENS, _TIME = 100, 101
"""Pairs of random numbers beyond those of the surfaces: place on the lens, time."""


class Rays(NamedTuple):
    """Rays: origin, unit direction, and which of them there are."""

    o: Point3f
    d: Vector3f
    active: Bool


def camera_rays(
    view: View,
    room: Camera,
    pixel: UInt32,
    x: Float | float,
    y: Float | float,
    lens: FloatPair | None = None,
) -> Rays:
    """Return rays through places in pixels; those are active that pass through the room the camera is in.

    Args:
        view: the camera.
        room: its ``low`` and ``high`` corners: what is outside is looked through.
        pixel: number of the pixel, row by row.
        x, y: place in the pixel, 0 to 1.
        lens: two numbers of 0 to 1 that say where on the lens they start; by default in its middle.
    """
    import drjit as dr

    mi = mitsuba()
    width, height = (opaque_uint(n) for n in view.size)
    row = pixel // width
    x, y = mi.Float(pixel - row * width) + x, mi.Float(row) + y
    axes = [mi.Vector3f(opaque_point(axis)) for axis in view.rotation]
    focal = opaque_float(view.focal)
    u, v = (x - 0.5 * mi.Float(width)) / focal, (y - 0.5 * mi.Float(height)) / focal
    if view.lens.distortion:
        factor = _undistortion(dr.sqrt(dr.square(u) + dr.square(v)), view.lens.distortion)
        u, v = u * factor, v * factor
    eye, low, high = (opaque_point(place) for place in (view.position, room.low, room.high))
    if lens is not None and view.lens.aperture:
        disk = mi.warp.square_to_uniform_disk_concentric(mi.Point2f(*lens)) * opaque_float(view.lens.aperture / 2)
        eye = eye + mi.Point3f(axes[0] * disk.x + axes[1] * disk.y)
        # All rays of a place in the picture meet where it is sharp.
        near = opaque_float(1 / view.lens.focus)
        u, v = u - disk.x * near, v - disk.y * near
    d = dr.normalize(axes[0] * u + axes[1] * v + axes[2])
    a, b = (low - eye) / d, (high - eye) / d
    near, far = dr.max(dr.minimum(a, b)), dr.min(dr.maximum(a, b))
    near = dr.maximum(near, 0)
    return Rays(eye + d * near, d, far > near)


def _undistortion(radius: Float, k1: float) -> Float:
    """Return the factor from slopes that are seen to those of a pinhole (see `lens.undistorted`)."""
    import drjit as dr

    r = dr.maximum(radius, 1e-6)
    s = opaque_float((3 * abs(k1)) ** -0.5)
    inner = 1.5 * r / s
    third = dr.asinh(inner) / 3 if k1 > 0 else dr.asin(dr.minimum(inner, 1)) / 3
    factor: Float = 2 * s * (dr.sinh(third) if k1 > 0 else dr.sin(third)) / r
    return factor


def sampled_rays(view: View, room: Camera, sampler: LatticeSampler) -> Rays:
    """Return a ray of each lane. Those of a lens are evaluated, so that all lenses share the kernel of the paths."""
    import drjit as dr

    mi = mitsuba()
    lens = sampler.floats(mi.UInt32(_LENS)) if view.lens.aperture else None
    rays = camera_rays(view, room, sampler.pixel, *sampler.floats(mi.UInt32(0)), lens)
    if not view.lens.plain:
        dr.eval(rays)
    return rays


def sampled_times(sampler: LatticeSampler) -> Float:
    """Return the time of each lane while the shutter is open, from -1/2 to 1/2, evaluated."""
    import drjit as dr

    mi = mitsuba()
    time: Float = sampler.floats(mi.UInt32(_TIME))[0] - 0.5
    dr.eval(time)
    return time
