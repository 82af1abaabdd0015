"""GLB, OBJ and PLY files as models. The reader underneath is trimesh; what it may read is decided here."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse import pictures
from torchmultiverse.assets.files import MAX_FILE_BYTES, Neighbours, read_bounded
from torchmultiverse.assets.model import MAX_TEXTURE_SIDE, MAX_TRIANGLES, Axis, Model, Piece, welded_normals
from torchmultiverse.errors import AssetError, MissingExtra

MESH_SUFFIXES = (".glb", ".obj", ".ply")
FRONTS: dict[str, tuple[Axis, Axis]] = {".glb": ("y", "z"), ".obj": ("y", "z"), ".ply": ("z", "x")}
"""Up and forward axes of a format, where the manifest does not say: glTF's own, what exporters write, and ours."""
_MAX_NODES = 10_000
_UNREAD = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_texture_basisu")


def read_model(path: Path, folder: Path, what: str) -> tuple[Model, list[str]]:
    """Return the model of a file in a folder, and remarks for its owner.

    Args:
        path: a GLB, OBJ or PLY file.
        folder: nothing outside it is read, whatever the file names.
        what: names the asset in errors.

    Raises:
        AssetError: it cannot be read, names what is missing or outside, or is too large.
        MissingExtra: trimesh is not installed.
    """
    try:
        import trimesh
    except ImportError:
        raise MissingExtra("trimesh", "assets", "reading meshes") from None

    suffix = path.suffix.lower()
    data = read_bounded(path, MAX_FILE_BYTES, what)
    textured = _check_glb(data, what) if suffix == ".glb" else set()
    notes = []
    neighbours = Neighbours(folder, path, what)
    try:
        scene = trimesh.load_scene(
            io.BytesIO(data), file_type=suffix[1:], resolver=_resolver(neighbours), process=False
        )
    except MemoryError:
        raise AssetError(f"{what}: there is not enough memory to read {path}") from None
    except Exception as error:  # a reader of foreign files fails in as many ways as there are files
        neighbours.check()
        raise AssetError(f"{what}: {path} cannot be read: {type(error).__name__}: {str(error)[:300]}") from None
    neighbours.check()
    nodes = list(scene.graph.nodes_geometry)
    if len(nodes) > _MAX_NODES:
        raise AssetError(f"{what}: {len(nodes):,} parts; at most {_MAX_NODES:,} are read")
    count = sum(len(getattr(scene.geometry[scene.graph[node][1]], "faces", ())) for node in nodes)
    if count > MAX_TRIANGLES:
        raise AssetError(f"{what}: {count:,} triangles; at most {MAX_TRIANGLES:,} are read: decimate it in a modeller")
    pieces, images = [], dict[int, NDArray[np.uint8]]()
    for node in nodes:
        pose, name = scene.graph[node]
        mesh = scene.geometry[name]
        if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) == 0:
            notes.append(f"'{name}' has no triangles and was left out")
            continue
        pieces.append(_piece(mesh, np.asarray(pose, float), suffix, what, images, textured))
    if not pieces:
        raise AssetError(f"{what}: {path.name} has no triangles")
    if all(piece.image is None and piece.colors is None for piece in pieces):
        notes.append("it has neither a texture nor colours of vertices: it is in the plain colours of its materials")
    return Model(tuple(pieces)), notes


def _resolver(neighbours: Neighbours) -> Any:
    """Return trimesh's interface to the files beside a mesh."""
    from trimesh.resolvers import Resolver

    class Beside(Resolver):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

        def get(self, key: str) -> bytes:
            data = neighbours.read(key)
            if not key.lower().rstrip().endswith((".mtl", ".bin")):
                try:
                    decode(data, f"{neighbours.what}: the texture '{key}'", whole=False)
                except AssetError as error:
                    neighbours.problems.append(error)
                    raise
            return data

        def write(self, name: str, data: Any) -> None:
            raise NotImplementedError

        def namespaced(self, namespace: str) -> Any:
            return self

        def keys(self) -> list[str]:
            return []

    return Beside()


def _check_glb(data: bytes, what: str) -> set[str]:
    """Return the names of the materials that have a texture.

    Raises:
        AssetError: no GLB, or one that needs an extension which is not read.
    """
    try:
        magic, version, _, length, kind = struct.unpack("<IIIII", data[:20])
        if magic != 0x46546C67 or version != 2 or kind != 0x4E4F534A or length > len(data) - 20:
            raise ValueError("its header is not that of a GLB of version 2")
        header = json.loads(data[20 : 20 + length])
        needed = [name for name in _UNREAD if name in header.get("extensionsRequired", [])]
        textured = {
            str(material.get("name", ""))
            for material in header.get("materials", [])
            if "baseColorTexture" in material.get("pbrMetallicRoughness", {})
        }
        total = sum(int(accessor.get("count", 0)) for accessor in header.get("accessors", []))
    except (ValueError, struct.error, AttributeError, TypeError, RecursionError) as error:
        raise AssetError(f"{what}: it is no GLB file: {str(error)[:200]}") from None
    if needed:
        raise AssetError(f"{what}: it is compressed with {', '.join(needed)}, which is not read; export it without")
    if total > 20 * MAX_TRIANGLES:
        raise AssetError(f"{what}: its arrays have {total:,} entries; at most {20 * MAX_TRIANGLES:,} are read")
    return textured


def _piece(
    mesh: Any,
    pose: NDArray[np.float64],
    suffix: str,
    what: str,
    images: dict[int, NDArray[np.uint8]],
    textured: set[str],
) -> Piece:
    """Return a mesh of trimesh's in the coordinates of its scene."""
    vertices = np.asarray(mesh.vertices, float) @ pose[:3, :3].T + pose[:3, 3]
    faces = np.asarray(mesh.faces)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise AssetError(f"{what}: a face names vertex {int(faces.max())}, there are {len(vertices)}")
    if np.linalg.det(pose[:3, :3]) < 0:
        faces = faces[:, ::-1]
    # Only normals that the file itself gives: those that trimesh would make show the seams of the texture.
    normals = None
    if "vertex_normals" in mesh._cache.cache:
        turned = np.asarray(mesh.vertex_normals, float) @ np.linalg.pinv(pose[:3, :3])
        length = np.linalg.norm(turned, axis=1, keepdims=True)
        if np.isfinite(turned).all() and (length > 1e-9).all():
            normals = (turned / length).astype(np.float32)
    if normals is None:
        normals = welded_normals(vertices, faces)
    visual = mesh.visual
    material: Any = getattr(visual, "material", None)
    uv = getattr(visual, "uv", None)
    facts: dict[str, Any] = {}
    picture = getattr(material, "baseColorTexture", None) if suffix == ".glb" else getattr(material, "image", None)
    if suffix == ".glb" and picture is None and material is not None and str(material.name or "") in textured:
        raise AssetError(f"{what}: the texture of the material '{material.name}' cannot be read")
    if picture is not None and (uv is None or len(uv) != len(vertices)):
        raise AssetError(f"{what}: the material '{material.name}' has a texture, the mesh no texture coordinates")
    if picture is not None:
        if id(picture) not in images:
            images[id(picture)] = _array(picture, f"{what}: the texture of '{material.name}'")
        facts["image"] = images[id(picture)]
        facts["uv"] = np.asarray(uv, np.float32)
        facts["cut"] = _cut(material, facts["image"], suffix)
    if material is not None and suffix == ".glb":
        if material.baseColorFactor is not None:
            facts["tint"] = tuple(float(c) / 255 for c in np.asarray(material.baseColorFactor)[:3])
        facts["roughness"] = float(
            np.clip(0.7 if material.roughnessFactor is None else material.roughnessFactor, 0.05, 1)
        )
    elif material is not None and picture is None and getattr(material, "diffuse", None) is not None:
        facts["tint"] = tuple(float(c) for c in linear(np.asarray(material.diffuse)[:3] / 255))
    colors = None
    if visual.kind == "vertex":
        colors = np.asarray(visual.vertex_colors)
    elif hasattr(visual, "vertex_attributes") and "color" in visual.vertex_attributes:
        colors = np.asarray(visual.vertex_attributes["color"])
    if colors is not None and len(colors) == len(vertices):
        value = colors[:, :3].astype(float) / (255 if colors.dtype.kind in "ui" else 1)
        facts["colors"] = (value if suffix == ".glb" else linear(value)).astype(np.float32)
    return Piece(vertices.astype(np.float32), normals, faces.astype(np.uint32), **facts)


def _cut(material: Any, image: NDArray[np.uint8], suffix: str) -> float:
    """Return below which alpha a texture is a hole."""
    if suffix == ".glb":
        if material.alphaMode == "MASK":
            return float(0.5 if material.alphaCutoff is None else material.alphaCutoff)
        return 0.5 if material.alphaMode == "BLEND" else 0.0
    # A material of an OBJ does not say. A texture with holes is meant so; one that is clear all over is a mistake.
    clear = float((image[..., 3] < 128).mean())
    return 0.5 if 0 < clear < 0.98 else 0.0


def linear(color: NDArray[Any]) -> NDArray[np.float64]:
    """Return sRGB values of 0 to 1 as linear light."""
    c = np.asarray(color, float)
    return np.where(c <= 0.04045, c / 12.92, ((np.maximum(c, 0) + 0.055) / 1.055) ** 2.4)


def decode(data: bytes, what: str, whole: bool = True) -> NDArray[np.uint8]:
    """Return a picture file as uint8 (H, W, 4); with ``whole`` off only its header is looked at.

    Raises:
        AssetError: no picture, or too large.
    """
    try:
        if not whole:
            pictures.size(data, what, formats=pictures.TEXTURE_FORMATS)
            return np.zeros((0, 0, 4), np.uint8)
        return _array(pictures.decode(data, what, upright=False, formats=pictures.TEXTURE_FORMATS), what)
    except pictures.PictureError as error:
        raise AssetError(str(error)) from None


def _array(picture: Any, what: str) -> NDArray[np.uint8]:
    if picture.width * picture.height > pictures.MAX_PIXELS:
        raise AssetError(
            f"{what} has {picture.width} × {picture.height} pixels; at most {pictures.MAX_PIXELS:,} are read"
        )
    try:
        picture = pictures.rgba(picture, what)
    except (pictures.PictureError, OSError, ValueError, SyntaxError) as error:
        raise AssetError(f"{what} cannot be read: {str(error)[:200]}") from None
    if max(picture.size) > MAX_TEXTURE_SIDE:
        picture = picture.copy()
        picture.thumbnail((MAX_TEXTURE_SIDE, MAX_TEXTURE_SIDE))
    return np.asarray(picture, np.uint8)
