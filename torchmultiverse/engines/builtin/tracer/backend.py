"""Mitsuba and Dr.Jit as they are once a variant is set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torchmultiverse.engines.builtin.tracer.kinds import Float, Point3f, UInt32, Vector3f

FAR = 1e30
"""Distance of what is never reached, metres."""
NONE = 0xFFFFFFFF
"""Index of nothing: no triangle, no texture."""
EPSILON = 2.0**-24 * 1500
"""How far a new ray starts from its surface, relative to the coordinates."""


def mitsuba() -> Any:
    """Return the module; its types depend on the variant, and its stubs describe only one."""
    import mitsuba

    return mitsuba


def _arrays() -> Any:
    import drjit as dr

    return dr.cuda.ad if "cuda" in mitsuba().variant() else dr.llvm.ad


def half4() -> Any:
    """Return the class of four float16."""
    return _arrays().Array4f16


def uint4() -> Any:
    """Return the class of four unsigned integers."""
    return _arrays().Array4u


def dot(a: Vector3f, b: Vector3f) -> Float:
    """Return the scalar product."""
    import drjit as dr

    made: Float = dr.dot(a, b)  # type: ignore[arg-type]  # its stub knows no arrays of Mitsuba's classes
    return made


# What changes between pictures or worlds is opaque, so that a new value does not compile a new kernel.


def opaque_uint(value: int) -> UInt32:
    """Return a whole number that kernels do not know."""
    import drjit as dr

    made: UInt32 = dr.opaque(mitsuba().UInt32, value)
    return made


def opaque_float(value: float) -> Float:
    """Return a number that kernels do not know."""
    import drjit as dr

    made: Float = dr.opaque(mitsuba().Float, float(value))
    return made


def opaque_point(values: Iterable[float]) -> Point3f:
    """Return a place that kernels do not know."""
    made: Point3f = mitsuba().Point3f(*(opaque_float(value) for value in values))
    return made
