"""OBJ files with their materials.

They are read here, not by a library: the format is a handful of lines, and the readers at hand lose some without a word
(colours of vertices beside texture coordinates, options of textures, a second material file, faces of which only some
have texture coordinates, indices that count backwards).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.assets.files import Siblings, shown
from torchmultiverse.assets.model import MAX_REPEATS, MAX_TRIANGLES, Submesh, check_size, welded_normals
from torchmultiverse.assets.polygons import triangulated
from torchmultiverse.assets.textures import decode, linear
from torchmultiverse.errors import AssetError

Floats = NDArray[np.float64]

_PASSED = frozenset({"o", "g", "s", "mg", "bevel", "c_interp", "d_interp", "lod", "shadow_obj", "trace_obj"})
"""Statements that change nothing that is drawn here."""
_LISTS = {"v": (3, "vertices"), "vt": (1, "texture coordinates"), "vn": (3, "normals")}
_METAL = re.compile(
    r"chrom|cromo|metal|steel|inox|alum|brass|bronze|copper|gold|silver|mirror|reflector", re.IGNORECASE
)
_OTHERWISE = re.compile(r"white|paint|plastic|wood|black", re.IGNORECASE)
_CLEAR = 0.02
"""What is less opaque is not there."""
_OPAQUE = 0.85
"""What is at least so opaque is drawn as if it were wholly so."""
_PANE = -1.5
"""Thin glass; see `torchmultiverse.engines.builtin.Material`."""
_UNREAD_MAPS = re.compile(r"map_(?!kd$).*|bump|norm|disp|decal|refl")
_NUMBERS = {"-s": 3, "-o": 3, "-t": 3, "-mm": 2}
_WORDS = {"-blendu", "-blendv", "-boost", "-bm", "-cc", "-clamp", "-imfchan", "-texres", "-type"}


@dataclass
class _ObjTexture:
    file: str
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass
class _ObjMaterial:
    color: tuple[float, float, float] | None = None
    highlight: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shininess: float = 0.0
    lit: bool = True
    """Whether it has highlights (``illum``)."""
    glow: tuple[float, float, float] = (0.0, 0.0, 0.0)
    texture: _ObjTexture | None = None
    opacity: float = 1.0
    unread: list[str] = field(default_factory=list)


@dataclass
class _Faces:
    """The faces of one material; a corner is a number in ``corners``, whose keys are as the file writes them."""

    corners: dict[str, int] = field(default_factory=dict)
    flat: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)


@dataclass
class _Statements:
    """The statements of a file, sorted by what they are about.

    Attributes:
        rows: what follows the key of each line of numbers.
        groups: faces by material; None before the first is named.
        libraries: files of materials.
        unread: how many lines there are of keys that are not read.
        small: faces of fewer than three corners.
    """

    rows: dict[str, list[str]] = field(default_factory=lambda: {key: [] for key in _LISTS})
    groups: dict[str | None, _Faces] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    small: int = 0
    _material: str | None = None
    _triangles: int = 0

    def read(self, lines: list[str], what: str) -> None:
        """Take all lines of a file.

        Raises:
            AssetError: more triangles than are read.
        """
        for line in lines:
            parts = line.split(None, 1)
            if not parts or parts[0].startswith("#"):
                continue
            key, rest = parts[0], parts[1] if len(parts) > 1 else ""
            if key in self.rows:
                self.rows[key].append(rest)
            elif key in ("f", "fo"):
                self._face(rest, what)
            elif key == "usemtl":
                self._material = rest.strip()
            elif key == "mtllib":
                self.libraries.append(rest.strip())
            elif key not in _PASSED:
                self.unread[key] += 1

    def _face(self, rest: str, what: str) -> None:
        tokens = rest.partition("#")[0].split()
        if "-" in rest:
            tokens = [_absolute(token, self.rows) for token in tokens]
        if len(tokens) < 3:
            self.small += 1
            return
        self._triangles += len(tokens) - 2
        if self._triangles > MAX_TRIANGLES:
            check_size(self._triangles, what)
        group = self.groups.setdefault(self._material, _Faces())
        known = group.corners
        group.flat.extend([known.setdefault(token, len(known)) for token in tokens])
        group.sizes.append(len(tokens))


def read_obj(data: bytes, siblings: Siblings, what: str) -> tuple[list[Submesh], list[str]]:
    """Return the pieces of an OBJ file, one or two for each material, and what of it is not drawn.

    Raises:
        AssetError: it cannot be read, contradicts itself, is too large, or names a file that is not there.
    """
    lines = _lines(data)
    statements = _Statements()
    statements.read(lines, what)
    notes = [f"{n:,} lines '{shown(key)}' are not read" for key, n in list(statements.unread.items())[:10]]
    if statements.small:
        notes.append(f"{statements.small:,} faces of fewer than three corners are not drawn")
    if b"#MRGB" in data:
        notes.append("its colours in '#MRGB' comments are not read")
    arrays = {key: _array(key, values, lines, what) for key, values in statements.rows.items()}
    materials = _materials(statements.libraries, siblings, notes)
    pieces = []
    for name, group in statements.groups.items():
        pieces += _pieces(name, group, arrays, materials, siblings, notes)
    if not pieces:
        raise AssetError(f"{what}: it has no triangles")
    seen = [piece for piece, opacity in pieces if opacity >= _CLEAR]
    if not seen:
        notes.append(
            f"all of its materials are clear ('d' below {_CLEAR}), which is a mistake of many exporters: drawn opaque"
        )
    return seen or [replace(piece, glass=0.0) for piece, _ in pieces], list(dict.fromkeys(notes))


def _lines(data: bytes) -> list[str]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\\\n", " ").split("\n")


def _absolute(token: str, rows: dict[str, list[str]]) -> str:
    """Return a corner with indices that count from the first line on; those of a file may count back from here."""
    parts = token.split("/")
    for k, (part, key) in enumerate(zip(parts, ("v", "vt", "vn"), strict=False)):
        if part.startswith("-") and part[1:].isdecimal():
            parts[k] = str(len(rows[key]) + 1 - int(part[1:19]))
    return "/".join(parts)


def _array(key: str, rows: list[str], lines: list[str], what: str) -> Floats:
    """Return lines of numbers as an array (N, K); a line that has fewer numbers than others ends in nan.

    Raises:
        AssetError: a line holds something else, or too few.
    """
    least, name = _LISTS[key]
    if not rows:
        return np.zeros((0, least))
    width = len(rows[0].split())
    try:
        values = np.fromstring(" ".join(rows), np.float64, sep=" ")
        if width >= least and len(values) == width * len(rows):
            return values.reshape(-1, width)
    except ValueError:
        pass
    # Lines of several lengths, with comments, or with something that is no number.
    table = []
    for k, row in enumerate(rows):
        try:
            numbers = [float(word) for word in row.partition("#")[0].split()]
        except ValueError:
            numbers = []
        if len(numbers) < least:
            raise AssetError(f"{what}: {_at(key, k, lines)}: {least} numbers at least make one of its {name}")
        table.append(numbers[:7])
    out = np.full((len(table), max(len(row) for row in table)), np.nan)
    for k, numbers in enumerate(table):
        out[k, : len(numbers)] = numbers
    return out


def _at(key: str, index: int, lines: list[str]) -> str:
    """Return where the line number ``index`` of a kind is, and what it says."""
    found = (k for k, line in enumerate(lines) if line.split(None, 1)[:1] == [key])
    number = next((k for i, k in enumerate(found) if i == index), 0)
    return f"line {number + 1}: '{shown(lines[number].strip())}'"


def _corners(group: _Faces, arrays: dict[str, Floats], what: str) -> dict[str, NDArray[np.int64]]:
    """Return the indices of the corners into each list, from 0; -1 where a corner has none.

    Raises:
        AssetError: a corner that is none, or that names what is not there.
    """
    table = np.zeros((len(group.corners), 3), np.int64)
    for row, token in zip(table, group.corners, strict=True):
        parts = token.split("/")
        try:
            if not parts[0] or len(parts) > 3:
                raise ValueError
            row[: len(parts)] = [int(part) if part else 0 for part in parts]
        except (ValueError, OverflowError):
            raise AssetError(
                f"{what}: '{shown(token)}' is no corner of a face; they look like 3, 3/1, 3//2 or 3/1/2"
            ) from None
        if row[0] == 0:
            row[0] = -1
    out = {}
    for column, key in enumerate(("v", "vt", "vn")):
        have = len(arrays[key])
        wrong = table[:, column][(table[:, column] < 0) | (table[:, column] > have)]
        if len(wrong):
            thing = {"v": "vertex", "vt": "texture coordinate", "vn": "normal"}[key]
            raise AssetError(f"{what}: a face names {thing} {int(wrong[0])}, there are {have:,}")
        out[key] = table[:, column] - 1
    return out


def _pieces(
    name: str | None,
    group: _Faces,
    arrays: dict[str, Floats],
    materials: dict[str, _ObjMaterial],
    siblings: Siblings,
    notes: list[str],
) -> list[tuple[Submesh, float]]:
    """Return what one material is on, with its opacity."""
    what = siblings.what
    material = _material_of(name, materials, notes)
    at = _corners(group, arrays, what)
    vertices = arrays["v"][at["v"], :3]
    flat = np.array(group.flat)
    triangles, unfilled = triangulated(vertices[flat], np.array(group.sizes))
    if unfilled:
        notes.append(f"{unfilled:,} polygons are so folded that their triangles overlap")
    faces = flat[triangles]
    colors = _colors(arrays["v"][at["v"]], notes)
    plain = Submesh(
        vertices.astype(np.float32),
        _normals(vertices, faces, arrays["vn"], at["vn"]),
        faces.astype(np.uint32),
        colors=colors,
        **_surface(name or "", material, colors is not None),
    )
    if material.texture is None:
        return [(plain, material.opacity)]
    mapped = (at["vt"] >= 0)[faces].all(1)
    why = "" if mapped.any() else f"the material '{shown(name or '')}' has a texture, the mesh no texture coordinates"
    if siblings.lenient:
        why = why or _unusable(material.texture, arrays["vt"], siblings)
    if why and not siblings.lenient:
        raise AssetError(f"{what}: {why}")
    if why:
        notes.append(f"drawn without a texture: {why}")
        return [(plain, material.opacity)]
    textured = replace(plain, faces=plain.faces[mapped], tint=(1.0, 1.0, 1.0), metallic=0.0, glass=0.0)
    pieces = [_textured(textured, material.texture, arrays["vt"], at["vt"], siblings)]
    if not mapped.all():
        notes.append(
            f"{int((~mapped).sum()):,} faces of '{shown(name or '')}' have no texture coordinates: drawn plain"
        )
        pieces.append(replace(plain, faces=plain.faces[~mapped]))
    return [(piece, material.opacity) for piece in pieces]


def _material_of(name: str | None, materials: dict[str, _ObjMaterial], notes: list[str]) -> _ObjMaterial:
    """Return a material by its name, and note what of it is not drawn."""
    material = materials.get(name or "")
    if material is None:
        material = _ObjMaterial()
        if name is not None:
            notes.append(f"there is no material '{shown(name)}': its faces are plain")
    for text in material.unread:
        notes.append(f"not drawn of '{shown(name or '')}': {text}")
    if material.opacity < 1:
        seen = "not drawn" if material.opacity < _CLEAR else "drawn as thin glass"
        if material.opacity >= _OPAQUE or (material.texture is not None and material.opacity >= _CLEAR):
            seen = "drawn as if it were opaque"
        notes.append(f"'{shown(name or '')}' is see-through (d {material.opacity:g}) and is {seen}")
    return material


def _surface(name: str, material: _ObjMaterial, colored: bool) -> dict[str, Any]:
    """Return what a piece is made of: fields of `Submesh`.

    The format has no metals. One is taken for metal where it is called so and has highlights; how bright these are says
    nothing: exporters write that of a mirror for porcelain.
    """
    color, highlight = np.array(material.color or (1.0, 1.0, 1.0)), np.array(material.highlight)
    bright = float(highlight.mean()) if material.lit else 0.0
    named = _METAL.search(name) is not None and _OTHERWISE.search(name) is None
    metal = named and material.opacity >= _OPAQUE and bright >= 0.25 and float(color.max()) >= 0.08
    if metal and float(np.ptp(color)) <= 0.05:
        color = np.maximum(color, 0.6 * np.minimum(highlight, 1))
    tint = linear(color) if material.color is not None and not colored else np.ones(3)
    facts: dict[str, Any] = {"roughness": _roughness(material.shininess, bright), "metallic": float(metal)}
    if material.opacity < _OPAQUE:
        tint = 1 - material.opacity * (1 - tint)
        facts |= {"glass": _PANE, "roughness": 0.05}
    if max(material.glow) > 0:
        facts["emission"] = min(float(np.mean(material.glow)), 4.0)
    red, green, blue = (float(c) for c in tint)
    return {**facts, "tint": (red, green, blue)}


def _roughness(shininess: float, bright: float) -> float:
    """Return the roughness of a surface with Phong's exponent, and the strength of its highlights."""
    glossy = (2 / (max(shininess, 0.0) + 2)) ** 0.25
    return float(np.clip(0.8 + (glossy - 0.8) * min(bright / 0.5, 1), 0.15, 0.9))


def _normals(
    vertices: Floats, faces: NDArray[np.int64], given: Floats, index: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return unit normals (V, 3): those of the file, and where it gives none those of the faces."""
    smooth = welded_normals(vertices, faces)
    normals = given[index, :3] if len(given) else np.zeros_like(vertices)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    usable = (index >= 0)[:, None] & (length > 1e-9) & np.isfinite(length)
    return np.where(usable, normals / np.where(usable, length, 1), smooth).astype(np.float32)


def _textured(
    piece: Submesh, texture: _ObjTexture, coordinates: Floats, index: NDArray[np.int64], siblings: Siblings
) -> Submesh:
    """Return a piece with its texture."""
    uv = coordinates[index]
    uv = np.stack([uv[:, 0], uv[:, 1] if uv.shape[1] > 1 else np.zeros(len(uv))], 1)
    uv = np.where((index >= 0)[:, None], np.nan_to_num(uv, nan=0.0) * texture.scale + texture.offset, 0)
    image = decode(siblings.read(texture.file), f"{siblings.what}: the texture '{shown(texture.file)}'")
    # A material of an OBJ does not say. A texture with holes is meant so; one that is clear all over is a mistake.
    clear = float((image[..., 3] < 128).mean())
    return replace(piece, uv=uv.astype(np.float32), image=image, cut=0.5 if 0 < clear < 0.98 else 0.0)


def _unusable(texture: _ObjTexture, coordinates: Floats, siblings: Siblings) -> str:
    """Return why a texture of a mesh that is read leniently cannot be drawn; empty where it can."""
    if not siblings.has(texture.file):
        return f"there is no file '{shown(texture.file)}' beside it"
    if float(np.abs(np.nan_to_num(coordinates)).max(initial=0)) > MAX_REPEATS:
        return "its coordinates are none"
    return ""


def _colors(rows: Floats, notes: list[str]) -> NDArray[np.float32] | None:
    """Return the linear colours (V, 3) that stand behind the coordinates of vertices; None where there are none."""
    if rows.shape[1] < 6:
        return None
    # With seven numbers the colour has an alpha behind it.
    colors = rows[:, 3:6]
    missing = np.asarray(~np.isfinite(colors).all(1))
    if bool(missing.all()):
        return None
    if missing.any():
        notes.append(f"{int(missing.sum()):,} vertices have no colour, others have: white")
    colors = np.where(missing[:, None], 1.0, colors)
    if colors.max() > 1:
        notes.append("its colours of vertices go beyond 1: taken to be of 0 to 255")
        colors = colors / 255
    return None if (colors == 1).all() else linear(np.clip(colors, 0, 1)).astype(np.float32)


# -- materials --------------------------------------------------------------------------------------------------------


def _materials(libraries: list[str], siblings: Siblings, notes: list[str]) -> dict[str, _ObjMaterial]:
    """Return the materials of all the files that an OBJ names.

    Raises:
        AssetError: one is not there.
    """
    found: dict[str, _ObjMaterial] = {}
    for rest in dict.fromkeys(libraries):
        names = [rest]
        if not siblings.has(rest):
            split = re.findall(r"\S.*?\.mtl(?=\s|$)", rest, re.IGNORECASE)
            names = split or names
        for name in names:
            if siblings.lenient and not siblings.has(name):
                notes.append(f"there is no file of materials '{shown(name)}' beside it")
                continue
            for key, material in _library(siblings.read(name), notes, f"{siblings.what}: {shown(name)}"):
                if key in found and found[key] != material:
                    notes.append(f"there are several materials '{shown(key)}': the first is taken")
                found.setdefault(key, material)
    return found


def _library(data: bytes, notes: list[str], place: str) -> list[tuple[str, _ObjMaterial]]:
    found: list[tuple[str, _ObjMaterial]] = []
    for line in _lines(data):
        parts = line.split(None, 1)
        if len(parts) < 2 or parts[0].startswith("#"):
            continue
        key, rest = parts[0].lower(), parts[1].strip()
        if key == "newmtl":
            found.append((rest, _ObjMaterial()))
            continue
        if not found:
            continue
        if key in _SHADING:
            _shading(found[-1][1], key, rest, notes, f"{place}: {parts[0]}")
        else:
            _mapping(found[-1][1], parts[0], rest, notes, place)
    return found


_SHADING = frozenset({"kd", "ks", "ke", "ns", "illum", "d"})


def _shading(material: _ObjMaterial, key: str, rest: str, notes: list[str], place: str) -> None:
    """Take a statement with numbers into a material."""
    if key == "illum":
        material.lit = rest.split()[0] not in ("0", "1")
        return
    most = {"kd": 1.0, "d": 1.0, "ns": 1e6}.get(key, 4.0)
    numbers = _floats(rest.removeprefix("-halo"), place, notes, most)
    if not numbers:
        return
    red, green, blue = (numbers * 3 if len(numbers) < 3 else numbers)[:3]  # one number is a grey
    if key == "kd":
        material.color = (red, green, blue)
    elif key == "ks":
        material.highlight = (red, green, blue)
    elif key == "ke":
        material.glow = (red, green, blue)
    elif key == "ns":
        material.shininess = red
    else:
        material.opacity = red


def _mapping(material: _ObjMaterial, word: str, rest: str, notes: list[str], place: str) -> None:
    """Take a statement of a texture into a material, and what is not read into its remarks."""
    key = word.lower()
    if key == "tr" and any(_floats(rest, f"{place}: {word}", notes)):
        material.unread.append(f"{word} {shown(rest)}")
    elif key == "map_kd":
        material.texture, unread = _texture(rest, f"{place}: map_Kd")
        material.unread += unread
    elif key == "map_d" and material.texture is not None and rest.endswith(material.texture.file):
        return  # the alpha of the texture itself, which is read
    elif _UNREAD_MAPS.fullmatch(key):
        material.unread.append(shown(word))


def _floats(text: str, place: str, notes: list[str], most: float = 1.0) -> list[float]:
    """Return numbers between 0 and ``most``; none, and a remark, where there is something else."""
    try:
        values = [float(word) for word in text.partition("#")[0].split()]
    except ValueError:
        values = []
    if not values or not np.isfinite(values).all():
        notes.append(f"{place} '{shown(text)}' is not read: it is no number")
        return []
    return [min(max(value, 0.0), most) for value in values]


def _texture(text: str, place: str) -> tuple[_ObjTexture, list[str]]:
    """Return a texture of a statement with options, such as ``-s 2 2 1 -o 0.5 0 0 skin.png``, and options not read.

    Raises:
        AssetError: there is no file at its end.
    """
    words = text.split()
    given: dict[str, list[float]] = {}
    unread = []
    k = 0
    while k < len(words) - 1 and words[k] in (*_NUMBERS, *_WORDS):
        option = words[k]
        k += 1
        if option in _WORDS:
            if (option, words[k].lower()) not in (("-clamp", "off"), ("-cc", "off"), ("-imfchan", "l"), ("-bm", "1")):
                unread.append(f"{option} {shown(words[k])}")
            k += 1
            continue
        numbers: list[float] = []
        while k < len(words) - 1 and len(numbers) < _NUMBERS[option] and re.fullmatch(r"[-+.\deE]+", words[k]):
            try:
                numbers.append(float(words[k]))
            except ValueError:
                break
            k += 1
        given[option] = numbers
        if option in ("-t", "-mm") and numbers not in ([0, 0, 0], [0, 1]):
            unread.append(option)
    # The name is the rest of the line as it stands: it may have blanks in it.
    match = re.match(rf"(?:\S+\s+){{{k}}}", text)
    file = text[match.end() :] if match else text
    if not file.strip():
        raise AssetError(f"{place} '{shown(text)}' names no file")
    scale = (*given.get("-s", []), 1.0, 1.0)
    offset = (*given.get("-o", []), 0.0, 0.0)
    made = _ObjTexture(file.strip(), (scale[0], scale[1]), (offset[0], offset[1]))
    return made, [f"the option {option} of its texture" for option in unread]
