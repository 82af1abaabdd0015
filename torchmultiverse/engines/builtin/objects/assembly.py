"""Objects put together: from a variant's data to meshes with materials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Floats, Material, Mesh, MeshPart, merge, smooth_normals
from torchmultiverse.engines.builtin.objects.builders import build
from torchmultiverse.engines.builtin.objects.copies import copied
from torchmultiverse.engines.builtin.objects.document import ObjectSpec, Part
from torchmultiverse.engines.builtin.objects.geometry import Built, creased, welded
from torchmultiverse.engines.builtin.objects.paints import material, painted
from torchmultiverse.engines.builtin.objects.pressed import pressed
from torchmultiverse.engines.builtin.shapes import transformed, turn
from torchmultiverse.errors import SpecError, nearest


@dataclass(frozen=True)
class Piece:
    """A painted mesh, the name of its paint, and the roughness of its vertices where it varies."""

    mesh: Mesh
    paint: str
    rough: Floats | None


def _under(piece: Piece, part: Part, others: dict[str, Mesh], rng: np.random.Generator) -> Piece:
    """Return a piece scaled, turned, moved and copied as its part says."""
    scale = np.diag(np.broadcast_to(np.asarray(part.scale, float), 3))
    matrix = turn(*part.turn) @ scale
    mesh = transformed(piece.mesh, np.asarray(matrix, float), np.asarray(part.at, float))
    if part.press is not None:
        mesh = pressed(mesh, part.press, part.at, others)
    rough = piece.rough
    for copies in part.copies:
        before = len(mesh.vertices)
        mesh = copied(Built(mesh), copies, others, rng).mesh
        rough = None if rough is None else np.tile(rough, len(mesh.vertices) // before)
    return Piece(mesh, piece.paint, rough)


def _cut(built: Built, tools: list[Mesh], crease: float) -> Built:
    """Return a body without those of others."""
    import manifold3d

    def solid(mesh: Mesh) -> Any:
        v, f = welded(mesh.vertices, mesh.faces, 5)
        made = manifold3d.Manifold(manifold3d.Mesh(v.astype(np.float32), f.astype(np.uint32)))
        if made.status() != manifold3d.Error.NoError:
            raise ValueError("what is cut, and what it is cut by, must be closed bodies (flat ends, whole circles)")
        return made

    left = solid(built.mesh)
    for tool in tools:
        left = left - solid(tool)
    mesh = left.to_mesh()
    if not len(mesh.tri_verts):
        raise ValueError("nothing is left after cutting")
    return Built(creased(np.asarray(mesh.vert_properties)[:, :3], np.asarray(mesh.tri_verts), crease))


def pieces(
    parts: dict[str, Part], spec: ObjectSpec, rng: np.random.Generator, where: str, paint: str = ""
) -> list[Piece]:
    """Return the painted meshes of some parts, groups taken apart, each in its place.

    Raises:
        SpecError: wrong parameters, an unknown paint or part; names the place.
    """
    found: list[Piece] = []
    meshes: dict[str, Mesh] = {}
    for name, part in parts.items():
        spot = f"{where}.{name}"
        own = part.paint or paint
        try:
            if part.build is None:
                inner = pieces(part.parts, spec, rng, f"{spot}.parts", own)
                seed = int(rng.integers(2**31))  # the pieces of a group are copied alike
                made = [_under(p, part, meshes, np.random.default_rng(seed)) for p in inner]
            else:
                built = build(part.build, part.shape, spot)
                if part.cut:
                    missing = [tool for tool in part.cut if tool not in meshes]
                    if missing:
                        raise SpecError(f"{spot}: no part '{missing[0]}' before this one.{nearest(missing[0], meshes)}")
                    place = np.asarray(part.at, float)
                    matrix = np.asarray(
                        np.linalg.inv(turn(*part.turn) @ np.diag(np.broadcast_to(part.scale, 3))), float
                    )
                    tools = [transformed(meshes[t], matrix, -matrix @ place) for t in part.cut]
                    built = _cut(built, tools, part.crease)
                if own not in spec.paints and not part.hidden:
                    raise SpecError(f"{spot}: no paint '{own}'.{nearest(own, spec.paints)}")
                if part.hidden and own not in spec.paints:
                    made = [_under(Piece(built.mesh, "", None), part, meshes, rng)]
                else:
                    mesh, rough = painted(built, spec.paints[own], int(rng.integers(2**15)))
                    made = [_under(Piece(mesh, own, rough), part, meshes, rng)]
        except ValueError as error:
            raise SpecError(f"{spot}: {error}") from error
        meshes[name] = merge([p.mesh for p in made])
        if not part.hidden:
            found += made
    return found


def _sound_normals(mesh: Mesh) -> Floats:
    """Return unit normals; where a sliver of a face has none, those of the faces around."""
    smooth = smooth_normals(mesh)
    if mesh.normals is None:
        return smooth
    length = np.linalg.norm(mesh.normals, axis=1, keepdims=True)
    return np.where(length > 0.5, mesh.normals / np.maximum(length, 1e-6), smooth).astype(np.float32)


def assembled(spec: ObjectSpec, rng: np.random.Generator, where: str) -> tuple[list[MeshPart], NDArray[np.float32]]:
    """Return an object's parts in metres, standing on the ground at the origin, and the roughness of all vertices.

    Pieces of one material are one part.

    Raises:
        SpecError: wrong content; names the place.
    """
    materials: dict[str, Material] = {}
    groups: dict[tuple[str, bool, bool], list[Piece]] = {}
    for piece in pieces(spec.parts, spec, rng, f"{where}: parts"):
        paint = spec.paints[piece.paint]
        if piece.paint not in materials:
            try:
                materials[piece.paint] = material(paint, spec.pictures)
            except ValueError as error:
                raise SpecError(f"{where}: paints.{piece.paint}: {error}") from None
        key = (materials[piece.paint].name, paint.keeps, piece.mesh.colors is not None)
        groups.setdefault(key, []).append(piece)
    if not groups:
        raise SpecError(f"{where}: it has no part that is seen")
    stand = spec.stand
    matrix = turn(stand.yaw, stand.lean, stand.roll)
    meshes = [transformed(merge([p.mesh for p in group]), matrix, np.zeros(3)) for group in groups.values()]
    low = np.min([m.vertices.min(0) for m in meshes], 0)
    high = np.max([m.vertices.max(0) for m in meshes], 0)
    scale = stand.longest / float((high - low).max())
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    parts, rough = [], []
    for mesh, group in zip(meshes, groups.values(), strict=True):
        made = materials[group[0].paint]
        if made.height is not None:  # relief is in metres as well
            made = replace(made, height=(made.height * np.float32(scale)).astype(np.float32))
        body = replace(mesh, vertices=((mesh.vertices - origin) * scale).astype(np.float32))
        body = replace(body, normals=_sound_normals(body))
        parts.append(MeshPart(made, body, spec.paints[group[0].paint].keeps))
        rough += [
            p.rough if p.rough is not None else np.full(len(p.mesh.vertices), made.roughness, np.float32) for p in group
        ]
    return parts, np.concatenate(rough).astype(np.float32)
