"""The triangles of a world and of the characters in it, and what rays hit of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from torchmultiverse.engines.builtin.tracer.backend import (
    EPSILON,
    FAR,
    NONE,
    mitsuba,
    opaque_point,
    opaque_uint,
    uint4,
    uploaded,
)
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

    def values(self) -> tuple[Any, ...]:
        """Return its fields."""
        return self.t, self.face, self.u, self.v


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


_AT_REST = (0.0, 0.0, 0.0)


class _Structure(NamedTuple):
    """A ray-tracing scene, the first triangle of each of its shapes, and its motion while the shutter is open."""

    scene: Any
    shapes: list[tuple[Any, UInt32]]
    motion: Vector3f | None = None


class _Group(NamedTuple):
    """Triangles that move together: a Mitsuba mesh, the first of them and one past the last, whether they are of
    glass, and their motion."""

    mesh: Any
    first: int
    end: int
    glass: bool
    motion: Vector3f | None


class Geometry:
    """Triangles as arrays and as ray-tracing structures; those of the characters are replaced for each picture.

    Characters that move while the shutter is open stay where they are at its middle, and rays are moved instead: those
    that move together are a structure of their own. That needs several structures.

    Args:
        world: the triangles that stay.
        character_material: row of the characters' material.
        one_scene: whether world and characters are one ray-tracing scene.

    Attributes:
        time: of each lane, -1/2 to 1/2 while the shutter is open, or None for its middle (see `at`).
    """

    def __init__(self, world: Triangles, character_material: int, one_scene: bool) -> None:
        mi = mitsuba()
        self._world = world
        self._character_material = character_material
        self.one_scene = one_scene
        self.time: Float | None = None
        self._world_corners = uploaded("UInt32", world.corners)
        self._world_points = uploaded("Float", world.points)
        self._world_mesh = _positions("world", world)
        if not one_scene:
            self._world_scene = mi.load_dict({"type": "scene", "world": self._world_mesh})

    def set_characters(self, characters: Sequence[CharacterInstance | None]) -> None:
        """Put characters into the slots.

        The materials of their parts follow the characters' own in the order of the slots. Triangles are in the order
        of what moves alike, first all that is opaque, then all that is of glass. ``glass`` says whether there is any,
        ``moves`` whether any moves.
        """
        import drjit as dr

        opaque, glass = [], []
        row = self._character_material + 1
        for c in characters:
            parts = character_triangles(c, self._character_material, row) if c else []
            clear = [part is not None and part.material.glass != 0 for part, _ in parts]
            opaque.append([rows for (_, rows), through in zip(parts, clear, strict=True) if not through])
            glass.append([rows for (_, rows), through in zip(parts, clear, strict=True) if through])
            row += len(c.parts) if c else 0
        motions = [c.motion if c and not self.one_scene else _AT_REST for c in characters]
        self.glass = any(glass)
        self.moves = any(motion != _AT_REST for motion in motions)
        self._slots: list[tuple[int, int]] = []
        self._groups: list[_Group] = []
        every = self._grouped(opaque, motions, False)
        if not every:
            every = [_PLACEHOLDER]
            self._slots.append((0, 1))
            self._groups.append(self._group(_PLACEHOLDER, len(self._world.corners), False, _AT_REST))
        every += self._grouped(glass, motions, True)
        rows = concatenate_triangles(every)
        before = len(self._world.points)
        corners = rows.corners + np.array([before, before, before, 0], np.uint32)
        numbers = np.repeat(*np.array(self._slots, np.int64).T)
        self._numbers = uploaded("UInt32", numbers.astype(np.uint32))
        self._corners = dr.concat([self._world_corners, uploaded("UInt32", corners)])
        self._points = dr.concat([self._world_points, uploaded("Float", rows.points)])
        self._glass_first: UInt32 = opaque_uint(next((group.first for group in self._groups if group.glass), 0))
        self._load()

    def _grouped(
        self, slots: Sequence[list[Triangles]], motions: Sequence[tuple[float, float, float]], glass: bool
    ) -> list[Triangles]:
        """Note the slots' triangles by motion, after those that are noted, and return them."""
        made = []
        for motion in dict.fromkeys(motions):
            first = self._groups[-1].end if self._groups else len(self._world.corners)
            numbers = [k for k, own in enumerate(motions) if own == motion]
            self._slots += [(k + 1, sum(len(triangles.corners) for triangles in slots[k])) for k in numbers]
            if triangles := [triangles for k in numbers for triangles in slots[k]]:
                made.append(concatenate_triangles(triangles))
                self._groups.append(self._group(made[-1], first, glass, motion))
        return made

    def _group(self, rows: Triangles, first: int, glass: bool, motion: tuple[float, float, float]) -> _Group:
        moved = None if motion == _AT_REST else mitsuba().Vector3f(opaque_point(motion))
        mesh = _positions("glass" if glass else "characters", rows)
        return _Group(mesh, first, first + len(rows.corners), glass, moved)

    def _load(self) -> None:
        """Build the ray-tracing structures of the characters: what is opaque and, where there is any, glass."""
        import drjit as dr

        mi = mitsuba()
        if self.one_scene:
            every = [(self._world_mesh, opaque_uint(0)), *((g.mesh, opaque_uint(g.first)) for g in self._groups)]
            scene = mi.load_dict({"type": "scene"} | {f"mesh{k}": mesh for k, (mesh, _) in enumerate(every)})
            shapes = [mi.ShapePtr(mesh) for mesh, _ in every]
            dr.make_opaque(shapes)  # each mesh has a number of its own, with which each would have its own kernel
            starts = [(shape, first) for shape, (_, first) in zip(shapes, every, strict=True)]
            self._opaque = [_Structure(scene, starts)]
            self._clear: list[_Structure] = []
            return
        self._opaque, self._clear = [_Structure(self._world_scene, [(None, opaque_uint(0))])], []
        for group in self._groups:
            # As a group its structure is built in a sixth of the time, and is as quick to trace.
            content = {"type": "shapegroup", "id": "group", "characters": group.mesh}
            instance = {"type": "instance", "g": {"type": "ref", "id": "group"}}
            scene = mi.load_dict({"type": "scene", "group": content, "characters": instance})
            structure = _Structure(scene, [(None, opaque_uint(group.first))], group.motion)
            (self._clear if group.glass else self._opaque).append(structure)

    def at(self, time: Float) -> Geometry:
        """Return the same with what moves where it is at a time of each lane."""
        moved = copy(self)
        moved.time = time
        return moved

    def moved(self, p: Point3f, face: UInt32) -> Point3f:
        """Return where a point of a triangle is at the lanes' time."""
        import drjit as dr

        if self.time is None:
            return p
        for group in self._groups:
            if group.motion is not None:
                first, end = (opaque_uint(n) for n in (group.first, group.end))
                p = dr.select((face >= first) & (face < end), p + mitsuba().Point3f(group.motion * self.time), p)
        return p

    def _seen_from(self, o: Point3f, structure: _Structure) -> Point3f:
        """Return where rays start as a structure sees it that moves."""
        if self.time is None or structure.motion is None:
            return o
        seen: Point3f = o - mitsuba().Point3f(structure.motion * self.time)
        return seen

    def intersect(self, o: Point3f, d: Vector3f, active: Bool, coherent: bool = False) -> Hit:
        """Return the nearest hit of rays with what is opaque."""
        mi = mitsuba()
        hit = Hit(mi.Float(FAR), mi.UInt32(NONE), mi.Float(0), mi.Float(0))
        if self.glass and self.one_scene:
            return self._past_glass(o, d, mi.Float(FAR), active)
        for k, structure in enumerate(self._opaque):
            hit = _nearer(structure, self._seen_from(o, structure), d, hit, active, coherent, limited=k > 0)
        return hit

    def glass_before(self, hit: Hit, o: Point3f, d: Vector3f, active: Bool) -> Hit:
        """Return the nearest hit of rays with glass or, where it is nearer, a hit with something else."""
        import drjit as dr

        if not self.glass:
            return hit
        if not self.one_scene:
            for structure in self._clear:
                hit = _nearer(structure, self._seen_from(o, structure), d, hit, active)
            return hit
        found = _nearer(self._opaque[0], o, d, hit, active)
        clear = active & (found.face != NONE) & (found.face >= self._glass_first)
        return Hit(*(dr.select(clear, new, old) for new, old in zip(found.values(), hit.values(), strict=True)))

    def _past_glass(self, o: Point3f, d: Vector3f, distance: Float, active: Bool) -> Hit:
        """Return the nearest hit with what is opaque where glass is in the same structure: rays go on behind it."""
        import drjit as dr

        mi = mitsuba()

        def step(searching: Bool, way: Float, hit: Hit) -> tuple[Bool, Float, Hit]:
            limit = Hit(distance - way, mi.UInt32(NONE), mi.Float(0), mi.Float(0))
            found = _nearer(self._opaque[0], o + mi.Point3f(d * way), d, limit, searching)
            clear = searching & (found.face != NONE) & (found.face >= self._glass_first)
            ends = searching & ~clear & (found.face != NONE)
            placed = Hit(found.t + way, found.face, found.u, found.v)
            hit = Hit(*(dr.select(ends, new, old) for new, old in zip(placed.values(), hit.values(), strict=True)))
            way = dr.select(clear, way + found.t + (1 + dr.max(dr.abs(o))) * EPSILON, way)
            return clear & (way < distance), way, hit

        none = Hit(mi.Float(FAR), mi.UInt32(NONE), mi.Float(0), mi.Float(0))
        start = (mi.Bool(active), mi.Float(0), none)
        found: Hit = dr.while_loop(start, lambda searching, way, hit: searching, step)[2]
        return found

    def occluded(self, o: Point3f, d: Vector3f, distance: Float, active: Bool) -> Bool:
        """Return whether something opaque is nearer than a distance; lanes that are not active are."""
        mi = mitsuba()
        if self.glass and self.one_scene:
            return ~active | (self._past_glass(o, d, distance, active).face != NONE)
        blocked = ~active
        for structure in self._opaque:
            ray = mi.Ray3f(self._seen_from(o, structure), d)
            ray.maxt = distance
            blocked |= structure.scene.ray_test(ray, active=~blocked)
        return blocked

    def world_occluded(self, o: Point3f, d: Vector3f, distance: Float) -> Bool:
        """Return whether something of the world is nearer than a distance; where it has no structure of its own,
        characters and glass are in the way as well."""
        mi = mitsuba()
        if self.one_scene:
            return self.occluded(o, d, distance, mi.Bool(True))
        ray = mi.Ray3f(o, d)
        ray.maxt = distance
        blocked: Bool = self._world_scene.ray_test(ray, active=mi.Bool(True))
        return blocked

    def glass_material(self, o: Point3f, d: Vector3f, distance: Float, active: Bool) -> tuple[UInt32, Bool]:
        """Return the row of the material of the first glass nearer than a distance, and where there is any."""
        import drjit as dr

        mi = mitsuba()
        limit = Hit(distance, mi.UInt32(NONE), mi.Float(0), mi.Float(0))
        found = self.glass_before(limit, o, d, active)
        present = active & (found.face != NONE)
        return dr.gather(mi.UInt32, self._corners, found.face * 4 + 3, present), present

    def number(self, face: UInt32, active: Bool) -> UInt32:
        """Return the number of the slot that a triangle is of, from 1; 0 of the world's. One table, so that one kernel
        does for any number of slots."""
        import drjit as dr

        first = opaque_uint(len(self._world.corners))
        found: UInt32 = dr.gather(mitsuba().UInt32, self._numbers, face - first, active & (face >= first))
        return found

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
    params["vertex_positions"] = uploaded("Float", rows.points[:, :3])
    params["faces"] = uploaded("UInt32", rows.corners[:, :3])
    params.update()
    return made


def _nearer(
    structure: _Structure, o: Point3f, d: Vector3f, old: Hit, active: Bool, coherent: bool = False, limited: bool = True
) -> Hit:
    """Return the nearest hit of rays with a structure or, where that is nearer, an old one; not ``limited``: the old
    one is none."""
    import drjit as dr

    mi = mitsuba()
    scene, meshes, _ = structure
    ray = mi.Ray3f(o, d)
    if limited:
        ray.maxt = old.t
    found = scene.ray_intersect_preliminary(ray, coherent, active)
    hit = active & found.is_valid()
    base = mi.UInt32(0)
    for shape, first in meshes:
        base = first if shape is None else dr.select(found.shape == shape, first, base)
    face = found.prim_index + base
    return Hit(
        dr.select(hit, found.t, old.t),
        dr.select(hit, face, old.face),
        dr.select(hit, found.prim_uv.x, old.u),
        dr.select(hit, found.prim_uv.y, old.v),
    )
