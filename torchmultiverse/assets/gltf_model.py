"""A GLB file as pieces of a model, in its rest pose: nodes, morph weights and joints as the file has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.assets.files import Siblings, shown
from torchmultiverse.assets.gltf import SUPPORTED, GltfDocument, Node, Primitive, TextureInfo
from torchmultiverse.assets.gltf_surface import GltfSurface, GltfSurfaces, absorbed
from torchmultiverse.assets.model import Submesh, check_size, used_vertices
from torchmultiverse.errors import AssetError

MAX_NODES = 10_000
_COMPRESSIONS = frozenset({"EXT_meshopt_compression", "KHR_draco_mesh_compression", "KHR_meshopt_compression"})
"""Where a file does not require them it holds its arrays plainly as well: nothing is lost."""
_REPEAT = 10497

Floats = NDArray[np.float64]


@dataclass
class _PrimitiveGeometry:
    """The triangles of a primitive in the coordinates of its mesh; only vertices that faces use."""

    vertices: Floats
    faces: NDArray[np.int64]
    normals: Floats | None
    arrays: dict[str, Floats] = field(default_factory=dict)
    """Texture coordinates and colours by their glTF names."""
    joints: NDArray[np.int64] | None = None
    weights: Floats | None = None


def read_glb(data: bytes, siblings: Siblings, what: str) -> tuple[list[Submesh], list[str]]:
    """Return the pieces of a GLB file, and what of it is not drawn.

    Raises:
        AssetError: it cannot be read, contradicts itself, is too large, or nothing of it is to be seen.
    """
    reader = _GlbReader(GltfDocument(data, siblings, what))
    pieces = absorbed(list(reader.pieces()))
    if not pieces:
        why = f": {'; '.join(reader.notes)}" if reader.notes else ""
        raise AssetError(f"{what}: it has no triangles that are to be seen{why}")
    return pieces, list(reader.notes)


class _GlbReader:
    def __init__(self, document: GltfDocument) -> None:
        self._document, self._header, self._what = document, document.header, document.what
        self.notes: dict[str, None] = {}  # in their order, each once
        self._places: dict[int, Floats] = {}
        self._geometry: dict[tuple[int, int, tuple[float, ...]], _PrimitiveGeometry | None] = {}
        self._surfaces = GltfSurfaces(document, self._note)
        self._triangles = 0

    def pieces(self) -> Iterator[tuple[Submesh, GltfSurface]]:
        """Yield the triangles of every primitive that stands in the scene, and what they are made of."""
        self._note_unread()
        nodes = self._visible_nodes()
        for index in nodes:
            node = self._header.nodes[index]
            if node.mesh is None:
                continue
            place = f"node '{shown(node.name)}'" if node.name else f"node {index}"
            mesh = self._document.item(self._header.meshes, node.mesh, f"{place}: mesh")
            weights = tuple(mesh.weights if node.weights is None else node.weights)
            for k, primitive in enumerate(mesh.primitives):
                key = (node.mesh, k, weights)
                named = f"'{shown(mesh.name)}'" if mesh.name else str(node.mesh)
                where = f"mesh {named}, primitive {k}"
                if key not in self._geometry:
                    self._geometry[key] = self._primitive(primitive, weights, where)
                geometry = self._geometry[key]
                if geometry is not None:
                    yield from self._placed(geometry, primitive, index, node, where, place)

    # -- what is left out ---------------------------------------------------------------------------------------------

    def _note_unread(self) -> None:
        header = self._header
        unread = sorted(set(header.extensionsUsed) - SUPPORTED - _COMPRESSIONS)
        if unread:
            self._note(f"not read: {', '.join(shown(name) for name in unread[:10])}")
        if header.animations:
            self._note("its animations are not played: it stands in its rest pose")
        if len(header.scenes) > 1:
            self._note(f"only one of its {len(header.scenes)} scenes is read")

    def _note(self, text: str) -> None:
        self.notes[text] = None

    # -- nodes --------------------------------------------------------------------------------------------------------

    def _visible_nodes(self) -> list[int]:
        """Return the nodes of the scene that are visible; `_places` gets the matrix of each node of the scene."""
        header, what = self._header, self._what
        if header.scenes:
            roots = self._document.item(header.scenes, header.scene or 0, "scene").nodes
        else:
            children = {child for node in header.nodes for child in node.children}
            roots = [k for k in range(len(header.nodes)) if k not in children]
        found = []
        waiting = [(index, np.eye(4), True) for index in reversed(roots)]
        while waiting:
            index, above, visible = waiting.pop()
            node = self._document.item(header.nodes, index, "the scene: node")
            if index in self._places:
                raise AssetError(f"{what}: node {index} stands in the scene twice")
            if len(self._places) >= MAX_NODES:
                raise AssetError(f"{what}: more than {MAX_NODES:,} nodes")
            here = self._places[index] = above @ _matrix(node)
            drawn = visible and node.extensions.KHR_node_visibility.visible
            if drawn:
                found.append(index)
            elif node.mesh is not None:
                self._note(f"'{shown(node.name or str(index))}' is hidden in the file and is not drawn")
            waiting += [(child, here, drawn) for child in reversed(node.children)]
        return found

    def _instances(self, index: int, node: Node, place: str) -> list[Floats]:
        """Return the matrices of what a node holds."""
        given = node.extensions.EXT_mesh_gpu_instancing
        if given is None:
            return [self._places[index]]
        parts: dict[str, Floats] = {}
        for name, width in (("TRANSLATION", 3), ("ROTATION", 4), ("SCALE", 3)):
            if name in given.attributes:
                parts[name] = self._document.array(given.attributes[name], f"{place}: instances: {name}", (width,))
        counts = {len(values) for values in parts.values()}
        if len(counts) != 1 or max(counts) > MAX_NODES:
            raise AssetError(f"{self._what}: {place}: {sorted(counts)} instances; at most {MAX_NODES:,} of one number")
        empty = Node()
        return [
            self._places[index]
            @ _composed(
                parts.get("TRANSLATION", np.tile(empty.translation, (k + 1, 1)))[k],
                parts.get("ROTATION", np.tile(empty.rotation, (k + 1, 1)))[k],
                parts.get("SCALE", np.tile(empty.scale, (k + 1, 1)))[k],
            )
            for k in range(counts.pop())
        ]

    # -- geometry -----------------------------------------------------------------------------------------------------

    def _primitive(self, primitive: Primitive, weights: tuple[float, ...], place: str) -> _PrimitiveGeometry | None:
        """Return a primitive's triangles with its morph targets at their weights; None where it has none."""
        if primitive.mode < 4:
            kind = "points" if primitive.mode == 0 else "lines"
            self._note(f"{place} is made of {kind} and is not drawn")
            return None
        if "POSITION" not in primitive.attributes:
            self._note(f"{place} has no positions and is not drawn")
            return None
        arrays, indices = self._attributes(primitive, place)
        self._morph(primitive, weights, arrays, place)
        faces = self._faces(primitive, len(arrays["POSITION"]), place)
        if len(faces) == 0:
            self._note(f"{place} has no triangles")
            return None
        used, faces = used_vertices(faces, len(arrays["POSITION"]))
        sets = sorted(name[7:] for name in indices if f"WEIGHTS_{name[7:]}" in arrays)
        normals = arrays["NORMAL"][used] if "NORMAL" in arrays else None
        if normals is not None and not (np.linalg.norm(normals, axis=1) > 1e-9).all():
            normals = None
        geometry = _PrimitiveGeometry(
            arrays["POSITION"][used],
            faces,
            normals,
            {name: values[used] for name, values in arrays.items() if name.startswith(("TEXCOORD_", "COLOR_"))},
            np.concatenate([indices[f"JOINTS_{k}"][used] for k in sets], 1) if sets else None,
            np.concatenate([arrays[f"WEIGHTS_{k}"][used] for k in sets], 1) if sets else None,
        )
        return geometry if geometry.normals is not None else _flat(geometry)

    def _attributes(self, primitive: Primitive, place: str) -> tuple[dict[str, Floats], dict[str, NDArray[np.int64]]]:
        """Return the arrays of a primitive's vertices, and their joints, by glTF names."""
        document = self._document
        arrays: dict[str, Floats] = {}
        indices: dict[str, NDArray[np.int64]] = {}
        for name, accessor in primitive.attributes.items():
            at = f"{place}: {shown(name)}"
            if name in ("POSITION", "NORMAL"):
                arrays[name] = document.array(accessor, at, (3,))
            elif name.startswith("TEXCOORD_"):
                arrays[name] = document.array(accessor, at, (2,))
            elif name == "COLOR_0":
                arrays[name] = document.fractions(accessor, at, (3, 4))
            elif name.startswith("WEIGHTS_"):
                arrays[name] = document.fractions(accessor, at, (4,))
            elif name.startswith("JOINTS_"):
                indices[name] = document.array(accessor, at, (4,), real=False)
            elif name.startswith("COLOR_"):
                self._note(f"{shown(name)} is not drawn, only COLOR_0 is")
        count = len(arrays["POSITION"])
        for name, values in (*arrays.items(), *indices.items()):
            if len(values) != count:
                raise AssetError(
                    f"{self._what}: {place}: {len(values):,} entries of {shown(name)}, {count:,} of POSITION"
                )
        return arrays, indices

    def _faces(self, primitive: Primitive, count: int, place: str) -> NDArray[np.int64]:
        """Return the triangles (F, 3) of a primitive of ``count`` vertices."""
        if primitive.indices is None:
            order = np.arange(count)
        else:
            order = self._document.array(primitive.indices, f"{place}: indices", (1,), real=False)[:, 0]
        faces = _triangles(order, primitive.mode)
        if len(faces) and (int(faces.min()) < 0 or int(faces.max()) >= count):
            raise AssetError(f"{self._what}: {place}: a face names vertex {int(faces.max())}, there are {count:,}")
        return faces

    def _morph(self, primitive: Primitive, weights: tuple[float, ...], arrays: dict[str, Floats], place: str) -> None:
        """Add a primitive's targets to its arrays, at their weights."""
        for k, (target, weight) in enumerate(zip(primitive.targets, weights, strict=False)):
            if weight == 0:
                continue
            for name, accessor in target.items():
                at = f"{place}: target {k}: {shown(name)}"
                if name not in arrays or name.startswith("WEIGHTS_"):
                    self._note(f"{at} is not read")
                    continue
                delta = self._document.array(accessor, at, (3, 4) if name == "COLOR_0" else arrays[name].shape[1:])
                if delta.shape != arrays[name].shape:
                    raise AssetError(f"{self._what}: {at} has the shape {delta.shape}, not {arrays[name].shape}")
                arrays[name] = arrays[name] + weight * delta
                if name == "COLOR_0":
                    arrays[name] = np.clip(arrays[name], 0, 1)

    def _placed(
        self, geometry: _PrimitiveGeometry, primitive: Primitive, index: int, node: Node, where: str, place: str
    ) -> Iterator[tuple[Submesh, GltfSurface]]:
        """Yield a primitive in the coordinates of the scene, once however many instances there are."""
        if node.skin is not None and geometry.joints is not None and geometry.weights is not None:
            # Joints say where a mesh is; the node that holds it does not move it.
            matrices = [self._skinned(geometry.joints, geometry.weights, node.skin, place)]
        else:
            if node.skin is not None or geometry.joints is not None:
                self._note(f"{where} is not moved by its skin: joints or weights are missing")
            matrices = [matrix[None] for matrix in self._instances(index, node, place)]
        surface, facts, kept = self._appearance(geometry, primitive, where)
        faces = geometry.faces[kept]
        self._triangles += len(faces) * len(matrices)
        check_size(self._triangles, self._what)
        if surface is None or len(faces) == 0:
            return
        count = len(geometry.vertices)
        vertices, normals, turned = [], [], []
        for k, matrix in enumerate(matrices):
            moved, about = _moved(geometry, matrix)
            flip = float(np.median(np.linalg.det(matrix[:, :3, :3]))) < 0
            vertices.append(moved)
            normals.append(about)
            turned.append((faces[:, ::-1] if flip else faces) + k * count)
        facts = {name: np.tile(values, (len(matrices), 1)) for name, values in facts.items()}
        piece = Submesh(
            np.concatenate(vertices).astype(np.float32),
            np.concatenate(normals).astype(np.float32),
            np.concatenate(turned).astype(np.uint32),
            uv=facts.get("uv"),
            colors=facts.pop("colors", None),
        )
        yield from self._surfaces.pieces(piece, surface, facts)

    def _skinned(self, joints: NDArray[np.int64], weights: Floats, index: int, place: str) -> Floats:
        """Return the matrix of each vertex (V, 4, 4)."""
        document = self._document
        skin = document.item(self._header.skins, index, f"{place}: skin")
        joints = np.where(weights > 0, joints, 0)  # what a joint without weight is means nothing
        wrong = joints[(joints < 0) | (joints >= len(skin.joints))]
        if len(wrong):
            raise AssetError(f"{self._what}: {place}: joint {int(wrong[0])} of a skin of {len(skin.joints):,}")
        missing = [joint for joint in skin.joints if joint not in self._places]
        if missing:
            raise AssetError(f"{self._what}: {place}: the joint {missing[0]} of its skin is not in the scene")
        bones = np.stack([self._places[joint] for joint in skin.joints])
        if skin.inverseBindMatrices is not None:
            bind = document.array(skin.inverseBindMatrices, f"{place}: inverseBindMatrices", (16,))
            if len(bind) < len(bones):
                raise AssetError(f"{self._what}: {place}: {len(bind)} inverseBindMatrices for {len(bones)} joints")
            bones = bones @ bind[: len(bones)].reshape(-1, 4, 4).transpose(0, 2, 1)  # the file has columns first
        total = weights.sum(1, keepdims=True)
        normalized = np.where(total > 1e-6, weights / np.maximum(total, 1e-6), np.eye(weights.shape[1])[0])
        matrices = np.zeros((len(joints), 4, 4))
        for k in range(joints.shape[1]):
            matrices += normalized[:, k, None, None] * bones[joints[:, k]]
        return matrices

    # -- surfaces -----------------------------------------------------------------------------------------------------

    def _appearance(
        self, geometry: _PrimitiveGeometry, primitive: Primitive, where: str
    ) -> tuple[GltfSurface | None, dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
        """Return a primitive's surface (None: nothing is seen of it), its arrays, and which faces are there."""
        surface = self._surfaces[primitive.material]
        kept = np.ones(len(geometry.faces), bool)
        facts: dict[str, NDArray[np.float32]] = {}
        colors = geometry.arrays.get("COLOR_0")
        if colors is not None:
            facts["colors"] = colors[:, :3].astype(np.float32)
            if surface.limit > 0 and colors.shape[1] == 4:
                kept = colors[:, 3][geometry.faces].mean(1) * surface.alpha >= surface.limit
                if not kept.all():
                    self._note(f"{int((~kept).sum()):,} faces of '{surface.name}' are clear and are not drawn")
        opaque = surface.alpha
        for name, info in surface.textures.items():
            uv = self._coordinates(geometry, info, surface, where, name == "uv")
            if uv is not None:
                facts[name] = uv
        if surface.texture is not None:
            opaque *= float(self._surfaces.image(surface.texture, surface.name)[..., 3].max()) / 255
        if opaque < surface.limit:
            self._note(f"'{surface.name}' is clear (its alpha is {opaque:g}) and is not drawn")
            return None, facts, kept
        return surface, facts, kept

    def _coordinates(
        self, geometry: _PrimitiveGeometry, info: TextureInfo, surface: GltfSurface, where: str, needed: bool
    ) -> NDArray[np.float32] | None:
        """Return the coordinates (V, 2) of a texture, v upwards; None where there are none, and none are needed."""
        transform = info.extensions.KHR_texture_transform
        chosen = info.texCoord
        if transform is not None and transform.texCoord is not None:
            chosen = transform.texCoord
        uv = geometry.arrays.get(f"TEXCOORD_{chosen}")
        if uv is None:
            missing = f"the material '{surface.name}' has a texture, {where} no texture coordinates TEXCOORD_{chosen}"
            if needed:
                raise AssetError(f"{self._what}: {missing}")
            self._note(missing)
            return None
        if transform is not None:
            c, s = np.cos(transform.rotation), np.sin(transform.rotation)
            # v runs downwards in the file: what is counter-clockwise there has this sign.
            uv = uv * transform.scale @ np.array([[c, s], [-s, c]]).T + transform.offset
        if needed:
            self._wraps(info, surface, uv)
        return np.stack([uv[:, 0], 1 - uv[:, 1]], 1).astype(np.float32)

    def _wraps(self, info: TextureInfo, surface: GltfSurface, uv: Floats) -> None:
        number = self._document.item(self._header.textures, info.index, "a material: texture").sampler
        if number is None:
            return
        sampler = self._document.item(self._header.samplers, number, "a texture: sampler")
        for column, wrap in enumerate((sampler.wrapS, sampler.wrapT)):
            beyond = np.nanmax(np.abs(uv[:, column] - 0.5), initial=0) > 0.502
            if wrap != _REPEAT and beyond:
                self._note(f"the texture of '{surface.name}' repeats beyond its border; the file clamps or mirrors it")


def _matrix(node: Node) -> Floats:
    """Return a node's matrix (4, 4) for columns."""
    if node.matrix is not None:
        return np.array(node.matrix).reshape(4, 4).T
    return _composed(np.array(node.translation), np.array(node.rotation), np.array(node.scale))


def _composed(translation: Floats, rotation: Floats, scale: Floats) -> Floats:
    """Return the matrix that scales, turns by a quaternion (x, y, z, w), then moves."""
    length = float(np.linalg.norm(rotation))
    x, y, z, w = rotation / length if length > 1e-9 else (0.0, 0.0, 0.0, 1.0)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= scale
    matrix[:3, 3] = translation
    return matrix


def _triangles(order: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """Return the triangles (F, 3) of a list of vertices: triangles (4), a strip (5) or a fan (6)."""
    if mode == 4:
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    k = np.arange(max(len(order) - 2, 0))
    if mode == 5:  # every second triangle of a strip runs the other way round
        return np.stack([order[k], order[k + 1 + k % 2], order[k + 2 - k % 2]], 1)
    return np.stack([order[k + 1], order[k + 2], np.broadcast_to(order[:1], k.shape)], 1)


def _flat(geometry: _PrimitiveGeometry) -> _PrimitiveGeometry:
    """Return a mesh without normals as the format wants it: every face with its own."""
    corners = geometry.faces.reshape(-1)
    points = geometry.vertices[corners].reshape(-1, 3, 3)
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    return _PrimitiveGeometry(
        geometry.vertices[corners],
        np.arange(len(corners)).reshape(-1, 3),
        np.repeat(normals, 3, 0),
        {name: values[corners] for name, values in geometry.arrays.items()},
        None if geometry.joints is None else geometry.joints[corners],
        None if geometry.weights is None else geometry.weights[corners],
    )


def _moved(geometry: _PrimitiveGeometry, matrix: Floats) -> tuple[Floats, Floats]:
    """Return vertices and unit normals under a matrix (1, 4, 4), or one for each vertex."""
    turn = matrix[:, :3, :3]
    vertices = np.einsum("vij,vj->vi", np.broadcast_to(turn, (len(geometry.vertices), 3, 3)), geometry.vertices)
    assert geometry.normals is not None
    # Normals turn by the inverse's transpose; the cofactors are that times the determinant, and exist for every matrix.
    cofactors = np.stack([np.cross(turn[:, (k + 1) % 3], turn[:, (k + 2) % 3]) for k in range(3)], 1)
    cofactors = cofactors * np.where(np.linalg.det(turn) < 0, -1.0, 1.0)[:, None, None]
    normals = np.einsum("vij,vj->vi", np.broadcast_to(cofactors, (len(geometry.normals), 3, 3)), geometry.normals)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return vertices + matrix[:, :3, 3], np.where(length > 1e-30, normals / np.maximum(length, 1e-30), [0.0, 0.0, 1.0])
