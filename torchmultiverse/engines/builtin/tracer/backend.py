"""Mitsuba and Dr.Jit as they are once a variant is set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.tracer.kinds import Float, Point3f, UInt32, Vector3f

FAR = 1e30
"""Distance of what is never reached, metres."""
NONE = 0xFFFFFFFF
"""Index of nothing: no triangle, no texture."""
EPSILON = 2.0**-24 * 1500
"""How far a new ray starts from its surface, relative to the coordinates."""

_ALIGNMENT = 64


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


def uploaded(kind: str, values: NDArray[Any]) -> Any:
    """Return an array of a class of Mitsuba's (``Float``, …) with these values: the one way for arrays of numpy.

    They are used where they are, and kernels differ by whether that is a multiple of 64 bytes, which is chance. In a
    place that is, all worlds and characters with the same features share a kernel.
    """
    return getattr(mitsuba(), kind)(placed(values))


def placed(values: NDArray[Any]) -> NDArray[Any]:
    """Return a flat copy at a multiple of 64 bytes, with as many bytes after it that may be read.

    Kernels read 64 bytes at once, and ray tracers 16, also where an array ends. A large array of numpy's may end where
    memory does: the process would die.
    """
    flat = np.ascontiguousarray(values).ravel()
    memory = np.empty(flat.nbytes + 2 * _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    copy = memory[start : start + flat.nbytes].view(flat.dtype)
    copy[:] = flat
    return copy


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
