"""Rays of a pinhole camera."""

from __future__ import annotations

from typing import NamedTuple

from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.tracer.backend import mitsuba, opaque_float, opaque_point, opaque_uint
from torchmultiverse.engines.builtin.tracer.kinds import Bool, Float, Point3f, UInt32, Vector3f
from torchmultiverse.engines.builtin.world import Camera


class Rays(NamedTuple):
    """Rays: origin, unit direction, and which of them there are."""

    o: Point3f
    d: Vector3f
    active: Bool


def camera_rays(view: View, room: Camera, pixel: UInt32, x: Float | float, y: Float | float) -> Rays:
    """Return rays through places in pixels; those are active that pass through the room the camera is in.

    Args:
        view: the camera.
        room: its ``low`` and ``high`` corners: what is outside is looked through.
        pixel: number of the pixel, row by row.
        x, y: place in the pixel, 0 to 1.
    """
    import drjit as dr

    mi = mitsuba()
    width, height = (opaque_uint(n) for n in view.size)
    row = pixel // width
    x, y = mi.Float(pixel - row * width) + x, mi.Float(row) + y
    axes = [mi.Vector3f(opaque_point(axis)) for axis in view.rotation]
    focal = opaque_float(view.focal)
    u, v = (x - 0.5 * mi.Float(width)) / focal, (y - 0.5 * mi.Float(height)) / focal
    d = dr.normalize(axes[0] * u + axes[1] * v + axes[2])
    eye, low, high = (opaque_point(place) for place in (view.position, room.low, room.high))
    a, b = (low - eye) / d, (high - eye) / d
    near, far = dr.max(dr.minimum(a, b)), dr.min(dr.maximum(a, b))
    near = dr.maximum(near, 0)
    return Rays(eye + d * near, d, far > near)
