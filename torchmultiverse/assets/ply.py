"""PLY files.

They are read here, not by a library: trimesh takes the format's properties for its own and loses others (colours beside
texture coordinates, 16-bit colours, colours by their other names), and reads no binary file whose faces differ in size;
plyfile's licence is not ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.assets.files import Siblings, shown
from torchmultiverse.assets.model import MAX_TRIANGLES, Submesh, check_size, welded_normals
from torchmultiverse.assets.polygons import triangulated
from torchmultiverse.assets.textures import decode, linear
from torchmultiverse.errors import AssetError

Floats = NDArray[np.float64]

_MAX_HEADER = 1 << 20
_KINDS = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4"},
    **{"double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float32": "f4", "float64": "f8", "int64": "i8", "uint64": "u8"},
}
_COLORS = (("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"))
_UVS = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
_INDICES = ("vertex_indices", "vertex_index")
_ALPHAS = ("alpha", "diffuse_alpha", "a")


@dataclass
class _Property:
    name: str
    kind: str
    size: str | None
    """Type of the length before the values of a list; None for one value."""


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property] = field(default_factory=list)


@dataclass
class _Column:
    """The values of a property: one each, or lists, one after the other."""

    values: NDArray[np.generic]
    sizes: NDArray[np.int64] | None = None


_Table = dict[str, _Column]


def read_ply(data: bytes, siblings: Siblings, what: str) -> tuple[list[Submesh], list[str]]:
    """Return the pieces of a PLY file, one for each texture, and what of it is not drawn.

    Raises:
        AssetError: it cannot be read, contradicts itself, is too large, or names a file that is not there.
    """
    elements, order, textures, start = _header(data, what)
    tables = _tables(data[start:], elements, order, what)
    notes: list[str] = []
    vertex, face = tables.get("vertex", {}), tables.get("face", {})
    if not _has(vertex, ("x", "y", "z")):
        raise AssetError(f"{what}: it has no vertices with x, y and z")
    points = _stack(vertex, ("x", "y", "z"))
    corners, sizes = _polygons(tables, what)
    if len(corners) == 0:
        raise AssetError(f"{what}: it has no triangles")
    if int(corners.min()) < 0 or int(corners.max()) >= len(points):
        wrong = int(corners.max()) if int(corners.max()) >= len(points) else int(corners.min())
        raise AssetError(f"{what}: a face names vertex {wrong}, there are {len(points):,}")
    check_size(int(np.maximum(sizes - 2, 0).sum()), what)
    triangles, unfilled = triangulated(points[corners], sizes)
    if unfilled:
        notes.append(f"{unfilled:,} polygons are so folded that their triangles overlap")
    owner = np.repeat(np.arange(len(sizes)), np.maximum(sizes - 2, 0))
    faces = corners[triangles]
    if len(faces) == 0:
        raise AssetError(f"{what}: it has no triangles")

    colors = _colors(vertex, notes)
    by_face = _colors(face, notes) if colors is None else None
    given = next((_stack(vertex, names) for names in _UVS if _has(vertex, names)), None)
    wedges = _wedges(face, sizes, what)
    normals = _normals(vertex, points, faces)
    _note_unread(elements, face, colors is not None, notes)
    if by_face is not None or (wedges is not None and textures):
        # What belongs to faces, or to their corners, needs vertices of their own.
        flat = faces.reshape(-1)
        points, normals = points[flat], normals[flat]
        colors = colors[flat] if colors is not None else None
        colors = np.repeat(by_face[owner], 3, 0) if by_face is not None else colors
        if wedges is not None and textures:
            given = wedges[triangles.reshape(-1)]
        elif given is not None:
            given = given[flat]
        faces = np.arange(len(flat)).reshape(-1, 3)
    base = Submesh(points.astype(np.float32), normals, faces.astype(np.uint32), colors=colors)
    return _textured(base, given, textures, face, owner, siblings), notes


def _textured(
    base: Submesh,
    uv: Floats | None,
    textures: list[str],
    face: _Table,
    owner: NDArray[np.int64],
    siblings: Siblings,
) -> list[Submesh]:
    """Return a mesh with the textures that the file names: one, or one for each number that its faces give."""
    if not textures:
        return [base]
    what = siblings.what
    if uv is None:
        raise AssetError(
            f"{what}: the file names the texture '{shown(textures[0])}', the mesh has no texture coordinates"
        )
    number = np.zeros(len(base.faces), np.int64)
    if len(textures) > 1:
        if not _has(face, ("texnumber",)):
            raise AssetError(f"{what}: {len(textures)} textures, and no 'texnumber' says which face has which")
        number = np.asarray(face["texnumber"].values, np.int64)[owner]
        if int(number.min()) < 0 or int(number.max()) >= len(textures):
            raise AssetError(f"{what}: a face has the texture {int(number.max())}, there are {len(textures)}")
    pieces = []
    for k in np.unique(number):
        image = decode(siblings.read(textures[k]), f"{what}: the texture '{shown(textures[k])}'")
        clear = float((image[..., 3] < 128).mean())
        # The format does not say what alpha means. Holes are meant so; what is clear all over is a mistake.
        pieces.append(
            Submesh(
                base.vertices,
                base.normals,
                base.faces[number == k],
                uv=uv.astype(np.float32),
                colors=base.colors,
                image=image,
                cut=0.5 if 0 < clear < 0.98 else 0.0,
            )
        )
    return pieces


# -- the header -------------------------------------------------------------------------------------------------------


def _header(data: bytes, what: str) -> tuple[list[_Element], str, list[str], int]:
    """Return the elements, the byte order ('' for text), the files of textures, and where the data begins.

    Raises:
        AssetError: no PLY header.
    """
    end = re.search(rb"(?:^|[\r\n])end_header[ \t]*(?:\r\n|\n|\r)", data[:_MAX_HEADER])
    if not data.startswith(b"ply") or end is None:
        raise AssetError(f"{what}: it is no PLY file: there is no 'ply' at its beginning, or no 'end_header'")
    elements: list[_Element] = []
    order, textures = None, []
    for line in data[: end.start()].decode("utf-8", "replace").splitlines()[1:]:
        words = line.split()
        if len(words) < 2:
            continue
        try:
            if words[0] == "format":
                order = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}[words[1]]
            elif words[0] == "element":
                elements.append(_Element(words[1], int(words[2])))
                if not 0 <= elements[-1].count <= 4 * MAX_TRIANGLES:
                    raise ValueError
            elif words[0] == "property":
                elements[-1].properties.append(_property(words))
            elif words[0] in ("comment", "obj_info") and words[1].lower() == "texturefile" and len(words) > 2:
                textures.append(line.split(None, 2)[2].strip())
        except (KeyError, IndexError, ValueError):
            raise AssetError(
                f"{what}: its PLY header has a line that cannot be read: '{shown(line.strip())}'"
            ) from None
    if order is None:
        raise AssetError(f"{what}: its PLY header does not say its format")
    _check_elements(elements, what)
    return elements, order, textures, end.end()


def _property(words: list[str]) -> _Property:
    """Return what a line of the header declares: ``property TYPE NAME`` or ``property list COUNT_TYPE TYPE NAME``."""
    if words[1] == "list":
        return _Property(words[4], _KINDS[words[3]], _KINDS[words[2]])
    return _Property(words[2], _KINDS[words[1]], None)


def _check_elements(elements: list[_Element], what: str) -> None:
    for element in elements:
        names = [one.name for one in element.properties]
        if len(set(names)) != len(names) or not names:
            raise AssetError(f"{what}: the element '{shown(element.name)}' has no properties, or one of them twice")
    if len({element.name for element in elements}) != len(elements):
        raise AssetError(f"{what}: its PLY header has an element twice")


# -- the data ---------------------------------------------------------------------------------------------------------


class _ShortError(Exception):
    """The data ends too early."""


class _Binary:
    """Values one after the other, as bytes; places are counted in bytes."""

    def __init__(self, data: bytes, order: str) -> None:
        self._data, self._order = data, order
        self.end = len(data)

    def width(self, kind: str) -> int:
        """Return how many places a value takes."""
        return int(kind[1])

    def column(self, kind: str, at: int, count: int, step: int) -> NDArray[np.generic]:
        """Return ``count`` values that are ``step`` places apart."""
        return np.ndarray((count,), self._order + kind, self._data, at, (step,))

    def gather(self, kind: str, places: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return the values at these places."""
        width = self.width(kind)
        raw = np.frombuffer(self._data, np.uint8)[places[:, None] + np.arange(width)]
        return np.ascontiguousarray(raw).view(self._order + kind)[:, 0]


class _Text:
    """Values one after the other, as words; places are counted in words.

    Raises:
        AssetError: a word is no number.
    """

    def __init__(self, data: bytes, what: str) -> None:
        text = data.decode("latin-1")
        try:
            self._words = np.fromstring(text, np.float64, sep=" ")
        except ValueError:
            wrong = next((word for word in text.split() if not _is_number(word)), "?")
            raise AssetError(f"{what}: its data holds '{shown(wrong)}', which is no number") from None
        self.end = len(self._words)

    def width(self, kind: str) -> int:
        """Return how many places a value takes."""
        return 1

    def column(self, kind: str, at: int, count: int, step: int) -> NDArray[np.generic]:
        """Return ``count`` values that are ``step`` places apart."""
        return self._as(kind, self._words[at : at + (count - 1) * step + 1 : step])

    def gather(self, kind: str, places: NDArray[np.int64]) -> NDArray[np.generic]:
        """Return the values at these places."""
        return self._as(kind, self._words[places])

    def _as(self, kind: str, values: Floats) -> NDArray[np.generic]:
        if kind.startswith("f"):
            return values
        # Of the type that the header gives, whose range the values of colours are fractions of.
        ends = np.iinfo(kind)
        return np.clip(np.nan_to_num(values), float(ends.min), float(ends.max)).astype(np.int64).astype(kind)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _tables(data: bytes, elements: list[_Element], order: str, what: str) -> dict[str, _Table]:
    """Return the columns of each element.

    Raises:
        AssetError: the file ends early, or holds something that is no number.
    """
    source = _Binary(data, order) if order else _Text(data, what)
    tables, at = {}, 0
    for element in elements:
        try:
            tables[element.name], at = _table(source, element, at)
        except _ShortError:
            raise AssetError(
                f"{what}: the file ends within its {element.count:,} entries of '{shown(element.name)}'"
            ) from None
    return tables


def _table(source: _Binary | _Text, element: _Element, at: int) -> tuple[_Table, int]:
    """Return the columns of an element that begins at a place, and where it ends."""
    if element.count == 0:
        return {
            one.name: _Column(np.zeros(0), np.zeros(0, np.int64) if one.size else None) for one in element.properties
        }, at
    # First as if all lists were as long as those of the first row, which can be read at once.
    starts, sizes, end = _row(source, element, at)
    step = end - at
    if at + step * element.count <= source.end:
        table: _Table = {}
        for one, start, size in zip(element.properties, starts, sizes, strict=True):
            if one.size is None:
                table[one.name] = _Column(source.column(one.kind, start, element.count, step))
                continue
            counts = source.column(one.size, start - source.width(one.size), element.count, step)
            if (counts != size).any():
                break
            each = [
                source.column(one.kind, start + k * source.width(one.kind), element.count, step) for k in range(size)
            ]
            values = np.stack(each, 1).reshape(-1) if each else np.zeros(0)
            table[one.name] = _Column(values, np.full(element.count, size, np.int64))
        else:
            return table, at + step * element.count
    rows = []
    for _ in range(element.count):
        starts, sizes, at = _row(source, element, at)
        rows.append((starts, sizes))
    table = {}
    for k, one in enumerate(element.properties):
        first = np.array([starts[k] for starts, _ in rows], np.int64)
        count = np.array([sizes[k] for _, sizes in rows], np.int64)
        within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        values = source.gather(one.kind, np.repeat(first, count) + within * source.width(one.kind))
        table[one.name] = _Column(values, count if one.size else None)
    return table, at


def _row(source: _Binary | _Text, element: _Element, at: int) -> tuple[list[int], list[int], int]:
    """Return where the values of a row begin, how many there are of each property, and where the row ends."""
    starts, sizes = [], []
    for one in element.properties:
        size = 1
        if one.size is not None:
            width = source.width(one.size)
            if at + width > source.end:
                raise _ShortError
            size = int(source.column(one.size, at, 1, width)[0])
            at += width
        starts.append(at)
        sizes.append(size)
        at += size * source.width(one.kind)
        if size < 0 or at > source.end:
            raise _ShortError
    return starts, sizes, at


# -- what the columns mean --------------------------------------------------------------------------------------------


def _has(table: _Table, names: tuple[str, ...]) -> bool:
    """Return whether an element has these properties, one value each."""
    return all(name in table and table[name].sizes is None for name in names)


def _stack(table: _Table, names: tuple[str, ...]) -> Floats:
    return np.stack([table[name].values.astype(np.float64) for name in names], 1)


def _polygons(tables: dict[str, _Table], what: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the vertices of all faces, one face after the other, and how many each has."""
    face = tables.get("face", {})
    name = next((name for name in _INDICES if name in face and face[name].sizes is not None), None)
    if name is not None:
        column = face[name]
        assert column.sizes is not None
        return column.values.astype(np.int64), column.sizes
    strips = next((c for c in tables.get("tristrips", {}).values() if c.sizes is not None), None)
    if strips is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    values = strips.values.astype(np.int64)
    assert strips.sizes is not None
    # A strip ends at -1, and with its list; every second triangle of it runs the other way round.
    borders = np.zeros(len(values) + 1, bool)
    borders[np.cumsum(strips.sizes)] = True
    triangles = []
    begun = 0
    for k, value in enumerate(values.tolist()):
        if borders[k]:
            begun = k
        if value < 0:
            begun = k + 1
        elif k - begun >= 2:
            a, b, c = values[k - 2 : k + 1]
            triangles.append((a, b, c) if (k - begun) % 2 == 0 else (b, a, c))
    flat = np.array(triangles, np.int64).reshape(-1)
    return flat, np.full(len(triangles), 3, np.int64)


def _wedges(face: _Table, sizes: NDArray[np.int64], what: str) -> Floats | None:
    """Return the texture coordinates (C, 2) of the corners of faces; None where there are none."""
    column = face.get("texcoord")
    if column is None or column.sizes is None:
        return None
    if not np.array_equal(column.sizes, 2 * sizes):
        raise AssetError(f"{what}: 'texcoord' does not hold two numbers for each corner of a face")
    return column.values.astype(np.float64).reshape(-1, 2)


def _normals(vertex: _Table, points: Floats, faces: NDArray[np.int64]) -> NDArray[np.float32]:
    smooth = welded_normals(points, faces)
    if not _has(vertex, ("nx", "ny", "nz")):
        return smooth
    given = _stack(vertex, ("nx", "ny", "nz"))
    length = np.linalg.norm(given, axis=1, keepdims=True)
    usable = (length > 1e-9) & np.isfinite(length)
    return np.where(usable, given / np.where(usable, length, 1), smooth).astype(np.float32)


def _colors(table: _Table, notes: list[str]) -> NDArray[np.float32] | None:
    """Return the linear colours of an element's entries, (N, 3); None where it has none."""
    names = next((names for names in _COLORS if _has(table, names)), None)
    if names is None:
        return None
    columns = []
    for name in names:
        values = table[name].values
        scale = float(np.iinfo(values.dtype.str).max) if values.dtype.kind in "iu" else 1.0
        columns.append(values.astype(np.float64) / scale)
    alpha = next((table[name].values for name in _ALPHAS if _has(table, (name,))), np.zeros(0))
    if len(alpha) and (alpha != alpha.max()).any():
        notes.append("its colours' alpha is not read")
    colors = np.stack(columns, 1)
    if not np.isfinite(colors).all():
        notes.append("colours that are no numbers are black")
        colors = np.nan_to_num(colors, nan=0.0, posinf=0.0, neginf=0.0)
    if colors.size and colors.max() > 1:
        notes.append("its colours go beyond 1: taken to be of 0 to 255")
        colors = colors / 255
    return linear(np.clip(colors, 0, 1)).astype(np.float32)


def _note_unread(elements: list[_Element], face: _Table, by_vertex: bool, notes: list[str]) -> None:
    """Say what of the header is not read."""
    read = {
        "vertex": {"x", "y", "z", "nx", "ny", "nz", *sum((*_COLORS, *_UVS, _ALPHAS), ())},
        "face": {"texcoord", "texnumber", *_INDICES, *([] if by_vertex else sum(_COLORS, ())), *_ALPHAS, "flags"},
        "tristrips": {"vertex_indices", "vertex_index"},
    }
    for element in elements:
        names = [one.name for one in element.properties if one.name not in read.get(element.name, set())]
        if element.count and element.name not in read:
            notes.append(f"not read: its {element.count:,} entries of '{shown(element.name)}'")
        elif element.count and names:
            notes.append(f"not read of its element '{element.name}': {', '.join(shown(name) for name in names[:20])}")
    if "tristrips" in [e.name for e in elements if e.count] and any(name in face for name in _INDICES):
        notes.append("not read: its strips of triangles, beside its faces")
