"""A path tracer over arrays, for the LLVM and CUDA variants: Mitsuba and Dr.Jit find what a ray hits and compile the
rest, which is here.

A kernel that asks a scene's materials one after the other is long, takes seconds to compile for every world, and does
in every lane what only one needs. Here all surfaces are rows of one table, all textures are one buffer, and all
worlds with the same features share one kernel. The characters are a scene of their own, so that changing them leaves
the world's ray-tracing structure as it is.

`kinds` has the types of Dr.Jit's arrays, `sampling` random numbers and choices, `camera` rays, `geometry` what they
hit, `materials` tables and textures, `bsdf` reflection, `lights` what emits, `integrator` the paths, `tracer` the
images. ``tests/engines/test_builtin_tracer.py`` compares with Mitsuba's own.
"""

from torchmultiverse.engines.builtin.tracer.backend import mitsuba
from torchmultiverse.engines.builtin.tracer.buffers import (
    Air,
    Array,
    CharacterInstance,
    RenderBuffers,
    Triangles,
    character_triangles,
    concatenate_triangles,
    mesh_triangles,
)
from torchmultiverse.engines.builtin.tracer.glass import transmittance
from torchmultiverse.engines.builtin.tracer.tracer import CHARACTER_MATERIAL, DEPTH, Tracer

__all__ = [
    "CHARACTER_MATERIAL",
    "DEPTH",
    "Air",
    "Array",
    "CharacterInstance",
    "RenderBuffers",
    "Tracer",
    "Triangles",
    "character_triangles",
    "concatenate_triangles",
    "mesh_triangles",
    "mitsuba",
    "transmittance",
]
