"""Dr.Jit's and Mitsuba's kinds of arrays: what the tracer's signatures say, and what mypy checks.

A value holds one number, vector or colour for every lane. The classes that run are those of the active variant
(``llvm_ad_rgb``, ``cuda_ad_rgb``), which is known only once it is set; to a type checker they are those of
``drjit.auto``, whose stubs hold for all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from drjit.auto.ad import Array4u as UInt4
    from drjit.auto.ad import Bool, Float
    from drjit.auto.ad import UInt as UInt32
    from mitsuba import Color3f, Point3f, Vector2f, Vector3f, Vector4f
else:
    Bool = Float = UInt32 = UInt4 = Color3f = Point3f = Vector2f = Vector3f = Vector4f = Any

FloatPair: TypeAlias = tuple[Float, Float]
UInt32Pair: TypeAlias = tuple[UInt32, UInt32]

__all__ = [
    "Bool",
    "Color3f",
    "Float",
    "FloatPair",
    "Point3f",
    "UInt4",
    "UInt32",
    "UInt32Pair",
    "Vector2f",
    "Vector3f",
    "Vector4f",
]
