"""A textured mesh as arrays, and what is done to it before it is kept: axes, size, ground, checks."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import AssetError

Floats = NDArray[np.float32]
Axis = Literal["x", "y", "z", "-x", "-y", "-z"]

DISPLAY_SIZE = 1.6
"""Largest dimension of a character in metres, where nothing else is asked for."""
MAX_TRIANGLES = 5_000_000
MAX_REPEATS = 1_000_000
"""Of a texture: float32 has no place within a texture beyond."""
KEPT_TRIANGLES = 300_000
"""A finer mesh is decimated to this: a picture of 512 pixels shows no more."""
MAX_TEXTURE_SIDE = 2048


@dataclass(frozen=True)
class Pose:
    """How a mesh is to stand in the world; the turns follow each other in this order.

    Attributes:
        up: the file's axis that points up.
        forward: the file's axis that it looks along, which is turned to +x.
        yaw: then turned about the vertical, degrees, counter-clockwise seen from above.
        lean: then its upper side tilted towards the camera of yaw 0 (which stands at -y), degrees: a keyboard that lies
            flat is a line from the side.
        size: largest edge of the box around it, metres.
    """

    up: Axis = "z"
    forward: Axis = "x"
    yaw: float = 0.0
    lean: float = 0.0
    size: float = DISPLAY_SIZE

    def turn(self) -> NDArray[np.float64]:
        """Return the rotation (3, 3), for columns."""
        z, x = axis_vector(self.up), axis_vector(self.forward)
        c, s = _circle(self.yaw)
        ct, st = _circle(self.lean)
        about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
        about_x = np.array([[1.0, 0, 0], [0, ct, -st], [0, st, ct]])
        return np.asarray(about_x @ about_z @ np.stack([x, np.cross(z, x), z]))


def _circle(degrees: float) -> tuple[float, float]:
    """Return cosine and sine; of a quarter turn exactly."""
    angle = np.radians(degrees)
    return float(np.round(np.cos(angle), 15)), float(np.round(np.sin(angle), 15))


@dataclass(frozen=True)
class Submesh:
    """The triangles of one material.

    Attributes:
        vertices, normals: float32 (V, 3).
        faces: uint32 (F, 3), counter-clockwise seen from outside.
        uv: float32 (V, 2), v upwards, repeating; None without a texture.
        colors: float32 (V, 3), linear sRGB, multiplies the texture; None for white.
        image: uint8 (H, W, 4), sRGB and alpha, first row at v = 1; None without a texture.
        tint: linear sRGB, multiplies everything.
        roughness: 0 mirror-like to 1 fully rough.
        cut: what has less alpha than this is not there; 0: alpha means nothing.
        rough: uint8 (H, W), roughness times 255 by the same texture coordinates; None where `roughness` is all of it.
        metallic: 0 or 1.
        glass: as of `torchmultiverse.engines.builtin.Material`: 0 opaque, above 0 a solid body of this index of
            refraction, below 0 a thin pane.
        emission: radiance that it gives off, times its colour.
        coat: strength of a clear coat over it, 0 to 1.
        keeps: whether a texture that replaces the model's surface leaves this piece as it is.
    """

    vertices: Floats
    normals: Floats
    faces: NDArray[np.uint32]
    uv: Floats | None = None
    colors: Floats | None = None
    image: NDArray[np.uint8] | None = None
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    roughness: float = 0.7
    cut: float = 0.0
    rough: NDArray[np.uint8] | None = None
    metallic: float = 0.0
    glass: float = 0.0
    emission: float = 0.0
    coat: float = 0.0
    keeps: bool = False


@dataclass(frozen=True)
class MeshModel:
    """A mesh of one or more materials."""

    pieces: tuple[Submesh, ...]

    @property
    def triangles(self) -> int:
        """How many there are."""
        return sum(len(piece.faces) for piece in self.pieces)

    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the corners of the box around what the faces use."""
        used = np.concatenate([piece.vertices[_has_face(piece.faces, len(piece.vertices))] for piece in self.pieces])
        used = used.astype(float)
        return used.min(0), used.max(0)


def _has_face(faces: NDArray[Any], count: int) -> NDArray[np.bool_]:
    """Return which of so many vertices a face has, (count,)."""
    used = np.zeros(count, bool)
    used[faces] = True
    return used


def used_vertices(faces: NDArray[Any], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the vertices that faces have, in ascending order, and the faces (F, 3) by their places among these.

    What `numpy.unique` returns, without its sorting.

    Args:
        faces: (F, 3), each below ``count``.
        count: of the vertices.

    >>> used, faces = used_vertices(np.array([[1, 3, 4]]), 6)
    >>> used.tolist(), faces.tolist()
    ([1, 3, 4], [[0, 1, 2]])
    """
    used = _has_face(faces, count)
    return np.flatnonzero(used), (np.cumsum(used) - 1)[faces]


_KEEPING = re.compile(
    r"(?<![a-z])(?:lens|glass|window|windscreen|windshield|bulb|light|headlight|taillight|headlamp|lamp|led|screen"
    r"|display|mirror|licht|vitre|verre)(?:e?s)?(?![a-z])",
    re.IGNORECASE,
)
_NAMED_COLOR = re.compile(r"light[\W_]*(?:gr[ae]y|blue|green|red|brown|wood|oak|yellow|pink|metal|skin)", re.IGNORECASE)


def named_to_keep(name: str) -> bool:
    """Return whether a material is called as lamps, lenses, panes and screens are, which keep what they are.

    >>> named_to_keep("Head_Lights"), named_to_keep("window.001"), named_to_keep("light_wood"), named_to_keep("glasses")
    (True, True, False, False)
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|\d+", "_", name)
    return _KEEPING.search(words) is not None and _NAMED_COLOR.search(words) is None and "glasses" not in words.lower()


def look(piece: Submesh) -> tuple[float, ...]:
    """Return what pieces without a texture have in common that are one part: all of a material but its colour."""
    return (round(piece.roughness, 1), piece.metallic, piece.glass, piece.emission, piece.coat)


def keeping(model: MeshModel) -> list[bool]:
    """Return which pieces stay as they are when a texture replaces the model's surface: glass, lamps, and by name.

    Names alone do not count where nothing else would be left to be replaced.
    """
    sure = [piece.glass != 0 or piece.emission > 0 for piece in model.pieces]
    named = [certain or piece.keeps for certain, piece in zip(sure, model.pieces, strict=True)]
    return sure if all(named) else named


def check_size(triangles: int, what: str) -> None:
    """Raise an error if a mesh has more triangles than are read.

    Raises:
        AssetError: it has more than `MAX_TRIANGLES`.
    """
    if triangles > MAX_TRIANGLES:
        raise AssetError(
            f"{what}: {triangles:,} triangles; at most {MAX_TRIANGLES:,} are read: decimate it in a modeller"
        )


def cleaned(model: MeshModel, what: str) -> tuple[MeshModel, list[str]]:
    """Return the model without faces that have no area, and remarks for its owner.

    Raises:
        AssetError: no triangles, too many, indices out of range, or coordinates that are no numbers.
    """
    notes: list[str] = []
    if model.triangles == 0:
        raise AssetError(f"{what}: it has no triangles")
    check_size(model.triangles, what)
    pieces, dropped = [], 0
    for piece in model.pieces:
        count = len(piece.vertices)
        if len(piece.faces) and int(piece.faces.max()) >= count:
            raise AssetError(f"{what}: a face names vertex {int(piece.faces.max())}, there are {count}")
        for name in ("vertices", "normals", "uv", "colors"):
            values = getattr(piece, name)
            if values is not None and not np.isfinite(values).all():
                bad = int((~np.isfinite(values)).any(1).sum())
                raise AssetError(f"{what}: {bad} of {count} {name} are not finite numbers")
        if piece.uv is not None and float(np.abs(piece.uv).max(initial=0)) > MAX_REPEATS:
            raise AssetError(
                f"{what}: its texture repeats more than {MAX_REPEATS:,} times; that is no coordinate of it"
            )
        corners = piece.vertices[piece.faces].astype(float)
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        longest = np.max(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2), axis=1)
        good = area > 1e-9 * np.maximum(longest, 1e-30) ** 2
        dropped += int((~good).sum())
        if good.any():
            pieces.append(replace(piece, faces=_outward(piece, piece.faces[good])))
    if not pieces:
        raise AssetError(f"{what}: none of its {model.triangles} triangles has an area")
    if dropped:
        notes.append(f"{dropped} triangles without area were left out")
    return MeshModel(tuple(pieces)), notes


def _outward(piece: Submesh, faces: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the faces counter-clockwise as seen from where their normals point, whichever way the file has them."""
    corners = piece.vertices[faces].astype(float)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    agree = float((cross * piece.normals[faces].mean(1)).sum(1).sum())
    return faces if agree >= 0 else np.ascontiguousarray(faces[:, ::-1])


def placed(model: MeshModel, what: str, pose: Pose) -> tuple[MeshModel, list[str]]:
    """Return the model facing +x with z up, its largest dimension ``pose.size`` metres, on the ground, over the origin.

    Raises:
        AssetError: up and forward lie on one axis, or the box around it is none of a body.
    """
    if pose.up[-1] == pose.forward[-1]:
        raise AssetError(f"{what}: up = '{pose.up}' and forward = '{pose.forward}' lie on one axis")
    low, high = model.bounds()
    extent = high - low
    largest = float(extent.max())
    if not 1e-6 < largest < 1e7:
        raise AssetError(f"{what}: it is {largest:g} units large; between 0.000001 and 10,000,000 can be scaled")
    notes = []
    if extent.min() < 1e-3 * largest:
        notes.append(f"it is flat: {extent.min():g} × {np.median(extent):g} × {largest:g} units")
    if not 1e-3 < largest < 1e3:
        notes.append(f"it is {largest:g} units large, no size in metres; scaled to {pose.size:g} m all the same")
    turn = pose.turn()
    model = MeshModel(
        tuple(
            replace(
                piece,
                vertices=(piece.vertices.astype(float) @ turn.T).astype(np.float32),
                normals=(piece.normals.astype(float) @ turn.T).astype(np.float32),
            )
            for piece in model.pieces
        )
    )
    low, high = model.bounds()
    factor = pose.size / float((high - low).max())
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    pieces = (
        replace(piece, vertices=((piece.vertices.astype(float) - origin) * factor).astype(np.float32))
        for piece in model.pieces
    )
    return MeshModel(tuple(pieces)), notes


def axis_vector(axis: Axis) -> NDArray[np.float64]:
    """Return the unit vector of an axis' name.

    Raises:
        KeyError: no axis.
    """
    if axis not in get_args(Axis):
        raise KeyError(axis)
    vector = np.zeros(3)
    vector["xyz".index(axis[-1])] = -1.0 if axis.startswith("-") else 1.0
    return vector


def welded_normals(vertices: NDArray[Any], faces: NDArray[Any]) -> Floats:
    """Return smooth normals (V, 3); vertices at one place share theirs, so that a texture's seam does not show."""
    places, index = np.unique(np.asarray(vertices, np.float32), axis=0, return_inverse=True)
    index = index.reshape(-1)
    corners = places.astype(float)[index[faces]]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [
            np.bincount(index[faces].ravel(), np.repeat(face[:, k], 3), minlength=len(places)) for k in range(3)
        ],
        -1,
    )  # fmt: skip
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 0, total / np.maximum(length, 1e-30), [0, 0, 1])[index].astype(np.float32)


_ARRAYS = ("vertices", "normals", "faces", "uv", "colors", "image", "rough")
_FACTS = ("tint", "roughness", "cut", "metallic", "glass", "emission", "coat", "keeps")


def pack(model: MeshModel) -> bytes:
    """Return a model as the bytes of an ``.npz`` file."""
    arrays: dict[str, NDArray[Any]] = {}
    facts = []
    for k, piece in enumerate(model.pieces):
        facts.append({name: getattr(piece, name) for name in _FACTS})
        arrays |= {f"{k}.{name}": getattr(piece, name) for name in _ARRAYS if getattr(piece, name) is not None}
    arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(data: bytes) -> MeshModel:
    """Return the model of an ``.npz`` file's bytes.

    Raises:
        ValueError, KeyError, TypeError, OSError: not what `pack` wrote.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays: Mapping[str, NDArray[Any]] = {name: file[name] for name in file.files}
    facts = json.loads(arrays["facts"].tobytes())
    pieces = []
    for k, fact in enumerate(facts):
        given: dict[str, Any] = {name: arrays.get(f"{k}.{name}") for name in _ARRAYS}
        pieces.append(Submesh(**given, **{**fact, "tint": tuple(fact["tint"])}))
    return MeshModel(tuple(pieces))
