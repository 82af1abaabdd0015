"""The triangles of a world and of the characters in it, and what rays hit of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from torchmultiverse.engines.builtin.tracer.backend import FAR, NONE, mitsuba, opaque_uint, uint4
from torchmultiverse.engines.builtin.tracer.buffers import (
    CharacterInstance,
    Triangles,
    character_triangles,
    concatenate_triangles,
)
from torchmultiverse.engines.builtin.tracer.kinds import Bool, Float, Point3f, UInt32, Vector3f, Vector4f

_PLACEHOLDER = Triangles(
    np.array([[0, 1, 2, 0]], np.uint32),
    np.pad(np.array([[0, 0, -900], [0.01, 0, -900], [0, 0.01, -900]], np.float32), ((0, 0), (0, 9))),
)
"""Far below the ground: a ray-tracing structure of nothing is an error."""


@dataclass
class Hit:
    """Nearest hit of a ray: distance, triangle (``NONE``: nothing), barycentric coordinates of it."""

    t: Float
    face: UInt32
    u: Float
    v: Float


class HitTriangle(NamedTuple):
    """A triangle that was hit, and what its vertices say of the place.

    Attributes:
        material: row of its material.
        vertices: of each of the three vertices (position, roughness), (normal, u) and (colour, v).
        values: the same at the place.
        e1, e2: edges from the first vertex.
    """

    material: UInt32
    vertices: list[list[Vector4f]]
    values: list[Vector4f]
    e1: Vector3f
    e2: Vector3f


class Geometry:
    """Triangles as arrays and as ray-tracing structures; those of the characters are replaced for each picture.

    Args:
        world: the triangles that stay.
        character_material: row of the characters' material.
        one_scene: whether world and characters are one ray-tracing scene.
    """

    def __init__(self, world: Triangles, character_material: int, one_scene: bool) -> None:
        mi = mitsuba()
        self._world = world
        self._character_material = character_material
        self._one_scene = one_scene
        self._world_corners = mi.UInt32(world.corners.ravel())
        self._world_points = mi.Float(world.points.ravel())
        self._world_mesh = _positions("world", world)
        if not one_scene:
            self._world_scene = mi.load_dict({"type": "scene", "world": self._world_mesh})

    def set_characters(self, characters: Sequence[CharacterInstance | None]) -> None:
        """Put characters into the slots.

        The materials of their parts follow the characters' own in the order of the slots. ``starts`` holds the first
        triangle of each slot and the end of the last.
        """
        import drjit as dr

        mi = mitsuba()
        slots, row = [], self._character_material + 1
        for c in characters:
            parts = character_triangles(c, self._character_material, row) if c else []
            slots.append([triangles for _, triangles in parts])
            row += len(c.parts) if c else 0
        rows = concatenate_triangles([triangles for slot in slots for triangles in slot] or [_PLACEHOLDER])
        mesh = _positions("characters", rows)
        first = len(self._world.corners)
        before = len(self._world.points)
        corners = rows.corners + np.array([before, before, before, 0], np.uint32)
        self.starts = np.cumsum([first, *(sum(len(t.corners) for t in slot) for slot in slots)])
        self._corners = dr.concat([self._world_corners, mi.UInt32(corners.ravel())])
        self._points = dr.concat([self._world_points, mi.Float(rows.points.ravel())])
        self._scenes: list[tuple[Any, list[tuple[Any, UInt32]]]] = []
        if self._one_scene:
            scene = mi.load_dict({"type": "scene", "world": self._world_mesh, "characters": mesh})
            shapes = [mi.ShapePtr(self._world_mesh), mi.ShapePtr(mesh)]
            dr.make_opaque(shapes)  # each mesh has a number of its own, with which each would have its own kernel
            self._scenes = [(scene, [(shapes[0], opaque_uint(0)), (shapes[1], opaque_uint(first))])]
        else:
            # As a group its structure is built in a sixth of the time, and is as quick to trace.
            group = {"type": "shapegroup", "id": "group", "characters": mesh}
            instance = {"type": "instance", "g": {"type": "ref", "id": "group"}}
            scene = mi.load_dict({"type": "scene", "group": group, "characters": instance})
            self._scenes = [(self._world_scene, [(None, opaque_uint(0))]), (scene, [(None, opaque_uint(first))])]

    def intersect(self, o: Point3f, d: Vector3f, active: Bool, coherent: bool = False) -> Hit:
        """Return the nearest hit of rays."""
        import drjit as dr

        mi = mitsuba()
        best: Hit | None = None
        for scene, meshes in self._scenes:
            ray = mi.Ray3f(o, d)
            if best is not None:
                ray.maxt = best.t
            found = scene.ray_intersect_preliminary(ray, coherent, active)
            hit = active & found.is_valid()
            base = mi.UInt32(0)
            for shape, first in meshes:
                base = first if shape is None else dr.select(found.shape == shape, first, base)
            face = found.prim_index + base
            old = best or Hit(mi.Float(FAR), mi.UInt32(NONE), mi.Float(0), mi.Float(0))
            best = Hit(
                dr.select(hit, found.t, old.t),
                dr.select(hit, face, old.face),
                dr.select(hit, found.prim_uv.x, old.u),
                dr.select(hit, found.prim_uv.y, old.v),
            )
        assert best is not None
        return best

    def occluded(self, o: Point3f, d: Vector3f, distance: Float, active: Bool) -> Bool:
        """Return whether something is nearer than a distance; lanes that are not active are."""
        mi = mitsuba()
        blocked = ~active
        for scene, _ in self._scenes:
            ray = mi.Ray3f(o, d)
            ray.maxt = distance
            blocked |= scene.ray_test(ray, active=~blocked)
        return blocked

    def triangle(self, face: UInt32, weights: tuple[Float, Float, Float], active: Bool) -> HitTriangle:
        """Return a triangle, and what its vertices say of the place with these barycentric weights."""
        import drjit as dr

        mi = mitsuba()
        corner = dr.gather(uint4(), self._corners, face, active)
        rows = [
            [dr.gather(mi.Vector4f, self._points, index * 3 + j, active) for j in range(3)]
            for index in (corner.x, corner.y, corner.z)
        ]
        values = [sum((rows[k][j] * weights[k] for k in (1, 2)), rows[0][j] * weights[0]) for j in range(3)]
        first, second, third = (mi.Point3f(row[0].x, row[0].y, row[0].z) for row in rows)
        return HitTriangle(corner.w, rows, values, second - first, third - first)


def _positions(name: str, rows: Triangles) -> Any:
    """Return a Mitsuba mesh with nothing but positions."""
    mi = mitsuba()
    made = mi.Mesh(name, len(rows.points), len(rows.corners))
    params = mi.traverse(made)
    params["vertex_positions"] = mi.Float(np.ascontiguousarray(rows.points[:, :3]).ravel())
    params["faces"] = mi.UInt32(np.ascontiguousarray(rows.corners[:, :3]).ravel())
    params.update()
    return made
