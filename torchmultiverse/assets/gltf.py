"""What a GLB or glTF file holds: its JSON header as typed records, its arrays and its pictures.

glTF is read here, not by a library: the readers that Python has (trimesh, pygltflib, assimp's bindings) either return
bare JSON or leave out, without a word, parts of the format that change what is seen. Here every part is in one of three
lists: what is read, what is left out with a remark, and what a file cannot be read without. `SUPPORTED` is the first.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.assets.files import Siblings
from torchmultiverse.assets.model import MAX_TRIANGLES
from torchmultiverse.errors import AssetError

SUPPORTED = frozenset(
    {
        "EXT_mesh_gpu_instancing",
        "EXT_texture_webp",
        "KHR_materials_pbrSpecularGlossiness",
        "KHR_mesh_quantization",
        "KHR_node_visibility",
        "KHR_texture_transform",
    }
)
"""Extensions whose meaning is read."""
MAX_COUNT = 3 * MAX_TRIANGLES
"""Entries of one array."""

_JSON, _BIN = 0x4E4F534A, 0x004E4942
_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
Index = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=0, le=2**40)]
T = TypeVar("T")


class _GltfRecord(BaseModel):
    """Only what is read or remarked upon has a field; the rest of a record is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Buffer(_GltfRecord):
    """Bytes, in the file or beside it."""

    byteLength: Size
    uri: str | None = None


class BufferView(_GltfRecord):
    """A part of a buffer."""

    buffer: Index
    byteLength: Size
    byteOffset: Size = 0
    byteStride: Annotated[int | None, Field(ge=1, le=1024)] = None


class SparseIndices(_GltfRecord):
    """Which entries of an array are replaced."""

    bufferView: Index
    componentType: Literal[5121, 5123, 5125]
    byteOffset: Size = 0


class SparseValues(_GltfRecord):
    """What they are replaced by."""

    bufferView: Index
    byteOffset: Size = 0


class Sparse(_GltfRecord):
    """Replaced entries of an array."""

    count: Annotated[int, Field(ge=0, le=MAX_COUNT)]
    indices: SparseIndices
    values: SparseValues


class Accessor(_GltfRecord):
    """An array; without a view, zeros."""

    componentType: Literal[5120, 5121, 5122, 5123, 5125, 5126]
    count: Annotated[int, Field(ge=0, le=MAX_COUNT)]
    type: str
    bufferView: Index | None = None
    byteOffset: Size = 0
    normalized: bool = False
    sparse: Sparse | None = None


class Image(_GltfRecord):
    """An image, in a view or beside the file."""

    uri: str | None = None
    bufferView: Index | None = None


class GltfSampler(_GltfRecord):
    """How a texture goes on beyond its border; 10497 repeats it."""

    wrapS: int = 10497
    wrapT: int = 10497


class _WebP(_GltfRecord):
    source: Index


class _TextureExtensions(_GltfRecord):
    EXT_texture_webp: _WebP | None = None


class GltfTexture(_GltfRecord):
    """An image with a sampler."""

    source: Index | None = None
    sampler: Index | None = None
    extensions: _TextureExtensions = _TextureExtensions()

    @property
    def image(self) -> int | None:
        """The image's index."""
        return self.extensions.EXT_texture_webp.source if self.extensions.EXT_texture_webp else self.source


class Transform(_GltfRecord):
    """``KHR_texture_transform``."""

    offset: tuple[float, float] = (0.0, 0.0)
    rotation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    texCoord: Index | None = None


class _InfoExtensions(_GltfRecord):
    KHR_texture_transform: Transform | None = None


class TextureInfo(_GltfRecord):
    """A texture and the coordinates that it is looked up by."""

    index: Index
    texCoord: Index = 0
    extensions: _InfoExtensions = _InfoExtensions()


Color4 = tuple[float, float, float, float]


class Metallic(_GltfRecord):
    """``pbrMetallicRoughness``."""

    baseColorFactor: Color4 = (1.0, 1.0, 1.0, 1.0)
    baseColorTexture: TextureInfo | None = None
    metallicFactor: float | None = None
    roughnessFactor: float | None = None
    metallicRoughnessTexture: TextureInfo | None = None


class Specular(_GltfRecord):
    """``KHR_materials_pbrSpecularGlossiness``."""

    diffuseFactor: Color4 = (1.0, 1.0, 1.0, 1.0)
    diffuseTexture: TextureInfo | None = None
    specularFactor: tuple[float, float, float] = (1.0, 1.0, 1.0)
    glossinessFactor: float = 1.0
    specularGlossinessTexture: TextureInfo | None = None


class _MaterialExtensions(_GltfRecord):
    KHR_materials_pbrSpecularGlossiness: Specular | None = None


class GltfMaterial(_GltfRecord):
    """What a surface looks like."""

    name: str | None = None
    pbrMetallicRoughness: Metallic | None = None
    alphaMode: Literal["OPAQUE", "MASK", "BLEND"] = "OPAQUE"
    alphaCutoff: float = 0.5
    normalTexture: TextureInfo | None = None
    occlusionTexture: TextureInfo | None = None
    emissiveTexture: TextureInfo | None = None
    emissiveFactor: tuple[float, float, float] = (0.0, 0.0, 0.0)
    extensions: _MaterialExtensions = _MaterialExtensions()


class Primitive(_GltfRecord):
    """Triangles, lines or points of one material."""

    attributes: dict[str, Index]
    indices: Index | None = None
    material: Index | None = None
    mode: Annotated[int, Field(ge=0, le=6)] = 4
    targets: list[dict[str, Index]] = []


class GltfMesh(_GltfRecord):
    """Primitives."""

    primitives: list[Primitive]
    name: str | None = None
    weights: list[float] = []


class _Instancing(_GltfRecord):
    attributes: dict[str, Index]


class _Visibility(_GltfRecord):
    visible: bool = True


class _NodeExtensions(_GltfRecord):
    EXT_mesh_gpu_instancing: _Instancing | None = None
    KHR_node_visibility: _Visibility = _Visibility()


class Node(_GltfRecord):
    """A place in the scene, with what stands there."""

    name: str | None = None
    children: list[Index] = []
    mesh: Index | None = None
    skin: Index | None = None
    weights: list[float] | None = None
    matrix: Annotated[list[float], Field(min_length=16, max_length=16)] | None = None
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: Color4 = (0.0, 0.0, 0.0, 1.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    extensions: _NodeExtensions = _NodeExtensions()


class GltfSkin(_GltfRecord):
    """The joints that move a mesh."""

    joints: Annotated[list[Index], Field(min_length=1)]
    inverseBindMatrices: Index | None = None


class GltfScene(_GltfRecord):
    """Nodes without parents."""

    nodes: list[Index] = []


class Header(_GltfRecord):
    """The JSON of a file."""

    extensionsUsed: list[str] = []
    extensionsRequired: list[str] = []
    scene: Index | None = None
    scenes: list[GltfScene] = []
    nodes: list[Node] = []
    meshes: list[GltfMesh] = []
    materials: list[GltfMaterial] = []
    textures: list[GltfTexture] = []
    images: list[Image] = []
    samplers: list[GltfSampler] = []
    skins: list[GltfSkin] = []
    animations: list[Any] = []
    accessors: list[Accessor] = []
    bufferViews: list[BufferView] = []
    buffers: list[Buffer] = []


class GltfDocument:
    """A GLB file, or a ``.gltf`` file whose buffers and images lie beside it.

    Args:
        data: its bytes.
        siblings: the files beside it.
        what: names it in errors.

    Raises:
        AssetError: no GLB of version 2, cut short, or one that needs what is not read.
    """

    def __init__(self, data: bytes, siblings: Siblings, what: str) -> None:
        self.what = what
        self._neighbours = siblings
        text, self._chunk = _chunks(data, what)
        try:
            self.header = Header.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "its JSON"
            found = "" if first["type"] == "missing" else f" (found {str(first.get('input'))[:60]!r})"
            raise AssetError(f"{what}: it is no GLB file that can be read: {place}: {first['msg']}{found}") from None
        unknown = sorted(set(self.header.extensionsRequired) - SUPPORTED)
        if unknown:
            names = ", ".join(name[:60] for name in unknown[:5])
            raise AssetError(f"{what}: it cannot be shown without {names}, which is not read; export it without")
        self._buffers: dict[int, bytes] = {}

    def item(self, of: list[T], index: int, place: str) -> T:
        """Return what an index names.

        Raises:
            AssetError: there is no such thing.
        """
        if index >= len(of):
            raise AssetError(f"{self.what}: {place} names number {index}, there are {len(of)}")
        return of[index]

    def array(self, index: int, place: str, width: tuple[int, ...], real: bool = True) -> NDArray[Any]:
        """Return an array (count, width): float64, integers scaled where the file says so; or int64.

        Args:
            index: of the accessor.
            place: what names it, for errors.
            width: those that are right here.
            real: whether floats are meant; otherwise whole numbers.

        Raises:
            AssetError: not there, of another type, or it leads out of its bytes.
        """
        one = self.item(self.header.accessors, index, f"{place}: accessor")
        place = f"{place} (accessor {index})"
        found = _WIDTHS.get(one.type, 0)
        kind = np.dtype(_COMPONENTS[one.componentType])
        if found not in width or (not real and kind.kind == "f"):
            raise AssetError(f"{self.what}: {place} has entries of the type {one.type[:20]}, which is no such thing")
        if one.bufferView is None:
            values = np.zeros((one.count, found), kind)
        else:
            values = self._values(one.bufferView, one.byteOffset, kind, one.count, found, place).copy()
        if one.sparse is not None:
            few = one.sparse
            of = np.dtype(_COMPONENTS[few.indices.componentType])
            where = self._values(few.indices.bufferView, few.indices.byteOffset, of, few.count, 1, place)[:, 0]
            if few.count and int(where.max()) >= one.count:
                raise AssetError(f"{self.what}: {place} replaces entry {int(where.max())}, there are {one.count}")
            values[where] = self._values(few.values.bufferView, few.values.byteOffset, kind, few.count, found, place)
        if not real:
            return values.astype(np.int64)
        if one.normalized and kind.kind in "iu":
            return np.maximum(values / np.iinfo(kind).max, -1.0)
        return values.astype(np.float64)

    def fractions(self, index: int, place: str, width: tuple[int, ...]) -> NDArray[np.float64]:
        """Return colours or weights (count, width): whole numbers are fractions here, whether the file says so or not.

        Raises:
            AssetError: see `array`.
        """
        values = self.array(index, place, width)
        one = self.header.accessors[index]
        kind = np.dtype(_COMPONENTS[one.componentType])
        return values / np.iinfo(kind).max if kind.kind in "iu" and not one.normalized else values

    def image_bytes(self, index: int, place: str) -> bytes:
        """Return the bytes of an image.

        Raises:
            AssetError: not there, or it leads out of its buffer or its folder.
        """
        image = self.item(self.header.images, index, f"{place}: image")
        if image.bufferView is not None:
            return bytes(self._bytes(image.bufferView, f"{place}: image {index}"))
        if image.uri is None:
            raise AssetError(f"{self.what}: {place}: image {index} has neither a bufferView nor an uri")
        return self._fetched(image.uri, f"{place}: image {index}")

    def _values(self, view: int, offset: int, kind: np.dtype[Any], count: int, width: int, place: str) -> NDArray[Any]:
        data = self._bytes(view, place)
        step = self.header.bufferViews[view].byteStride or kind.itemsize * width
        if count and offset + step * (count - 1) + kind.itemsize * width > len(data):
            raise AssetError(f"{self.what}: {place}: its {count:,} entries do not fit into their {len(data):,} bytes")
        return np.ndarray((count, width), kind, data if count else None, offset if count else 0, (step, kind.itemsize))

    def _bytes(self, index: int, place: str) -> memoryview:
        view = self.item(self.header.bufferViews, index, f"{place}: bufferView")
        data = self._buffer(view.buffer, place)
        if view.byteOffset + view.byteLength > len(data):
            raise AssetError(
                f"{self.what}: {place}: bufferView {index} ends at byte {view.byteOffset + view.byteLength:,} of a "
                f"buffer of {len(data):,}"
            )
        return memoryview(data)[view.byteOffset : view.byteOffset + view.byteLength]

    def _buffer(self, index: int, place: str) -> bytes:
        if index not in self._buffers:
            buffer = self.item(self.header.buffers, index, f"{place}: buffer")
            if buffer.uri is not None:
                self._buffers[index] = self._fetched(buffer.uri, f"{place}: buffer {index}")
            elif index == 0 and self._chunk is not None:
                self._buffers[index] = self._chunk
            else:
                raise AssetError(f"{self.what}: {place}: buffer {index} has no bytes")
        return self._buffers[index]

    def _fetched(self, uri: str, place: str) -> bytes:
        if not uri.startswith("data:"):
            return self._neighbours.read(uri)
        head, comma, text = uri.partition(",")
        try:
            if not comma or not head.endswith(";base64"):
                raise ValueError("it is not in base64")
            return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error) as error:
            raise AssetError(f"{self.what}: {place}: its data cannot be read: {error}") from None


def _chunks(data: bytes, what: str) -> tuple[bytes, bytes | None]:
    """Return the JSON and the binary chunk of a GLB; of a ``.gltf`` file, which is the JSON alone, it and None."""
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return data.removeprefix(b"\xef\xbb\xbf"), None
    if len(data) < 20 or data[:4] != b"glTF":
        raise AssetError(f"{what}: it is no GLB file: it does not begin with 'glTF' and a header")
    version, length = struct.unpack("<II", data[4:12])
    if version != 2:
        raise AssetError(f"{what}: it is no GLB file of version 2, the one that is read: it says version {version}")
    if length > len(data):
        raise AssetError(f"{what}: it is no whole GLB file: {len(data):,} of its {length:,} bytes are there")
    chunks, at = list[tuple[int, bytes]](), 12
    while at + 8 <= length and len(chunks) < 16:
        size, kind = struct.unpack("<II", data[at : at + 8])
        if at + 8 + size > len(data):
            raise AssetError(f"{what}: it is no whole GLB file: a chunk of {size:,} bytes begins at byte {at:,}")
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    if not chunks or chunks[0][0] != _JSON:
        raise AssetError(f"{what}: it is no GLB file: its first chunk is not its JSON")
    return chunks[0][1], next((body for kind, body in chunks[1:] if kind == _BIN), None)
