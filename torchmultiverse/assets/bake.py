"""A textured mesh as vertices with colours: what a character of the built-in engine is.

The mesh is split until its edges are about as long as a pixel of the picture is wide, and each vertex takes its colour
from the texture, averaged over its surroundings. So a texture needs nothing from the renderer that the animals made by
code do not need too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.assets.model import Floats, MeshModel, Submesh, used_vertices

EDGES = ((192, 0.026), (320, 0.017), (640, 0.011), (1 << 16, 0.006))
"""Longest edge in metres by the side of the picture in pixels. Most edges are about half as long, and a pixel of 512 is
4 mm wide: halving these changes nothing that is seen."""
MAX_FACES = 400_000
_ROUNDS = 14

_SRGB = np.arange(256) / 255
_LINEAR = np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4).astype(np.float32)


@dataclass(frozen=True)
class Baked:
    """Arrays as of `torchmultiverse.engines.builtin.engine.Character`, without the hover."""

    vertices: Floats
    faces: NDArray[np.uint32]
    normals: Floats
    color: Floats
    roughness: Floats


def edge_for(side: int) -> float:
    """Return the longest edge, metres, that a picture of ``side`` pixels needs."""
    return next(edge for limit, edge in EDGES if side <= limit)


def bake(model: MeshModel, edge: float, everywhere: bool = False) -> Baked:
    """Return the model with its textures as colours of vertices.

    Args:
        model: in metres.
        edge: longest edge of a textured triangle, metres; longer where there would be more than `MAX_FACES` faces.
        everywhere: whether triangles without a texture are split, too, because they are to get a pattern.
    """
    split_pieces = [piece for piece in model.pieces if piece.image is not None or everywhere]
    area = sum(float(_areas(piece).sum()) for piece in split_pieces)
    # A split mesh has edges of between half and the whole of the longest: about four faces where one would do.
    edge = max(edge, (4 * area / (0.43 * MAX_FACES)) ** 0.5)
    parts = [_bake(piece, edge, everywhere) for piece in model.pieces]
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return Baked(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + np.uint32(o) for part, o in zip(parts, offsets, strict=True)]).astype(np.uint32),
        np.concatenate([part.normals for part in parts]),
        np.concatenate([part.color for part in parts]),
        np.concatenate([part.roughness for part in parts]),
    )


def _bake(piece: Submesh, edge: float, everywhere: bool) -> Baked:
    faces, vertices, normals = piece.faces, piece.vertices, piece.normals
    colors = piece.colors if piece.colors is not None else np.ones_like(vertices)
    base = np.asarray(piece.tint, np.float32) * colors
    if piece.image is not None and piece.uv is not None:
        values, faces = split(np.concatenate([vertices, normals, colors, piece.uv], 1), faces, edge)
        vertices, normals, colors, uv = values[:, :3], values[:, 3:6], values[:, 6:9], values[:, 9:11]
        texels = _texels(vertices, uv, faces, piece.image.shape[:2])
        seen, alpha = sample(piece.image, uv, texels, opaque=piece.cut == 0)
        base = np.asarray(piece.tint, np.float32) * colors * seen
        if piece.cut > 0:
            kept = alpha[faces].mean(1) >= piece.cut
            faces = faces[kept] if kept.any() else faces
    elif everywhere:
        values, faces = split(np.concatenate([vertices, normals, base], 1), faces, edge)
        vertices, normals, base = values[:, :3], values[:, 3:6], values[:, 6:9]
    used, index = used_vertices(faces, len(vertices))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 1e-6, normals / np.maximum(length, 1e-6), [0, 0, 1])
    return Baked(
        np.ascontiguousarray(vertices[used], np.float32),
        index.astype(np.uint32),
        np.ascontiguousarray(normals[used], np.float32),
        np.ascontiguousarray(np.clip(base[used], 0, 0.95), np.float32),
        np.full(len(used), piece.roughness, np.float32),
    )


def _areas(piece: Submesh) -> NDArray[np.float64]:
    corners = piece.vertices[piece.faces].astype(float)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(np.linalg.norm(cross, axis=1) / 2)


def split(values: Floats, faces: NDArray[Any], edge: float) -> tuple[Floats, NDArray[np.uint32]]:
    """Return the mesh with no edge longer than ``edge``.

    Every edge that is too long is halved in all faces that have it, so that no crack opens. Vertices that lie at one
    place (at a seam of the texture) are halved alike, because half-way between two places is the same from both ends.

    Args:
        values: (V, K), the position first, then what is carried along.
        faces: (F, 3).
        edge: in the units of the position.
    """
    faces = np.asarray(faces, np.int64)
    for _ in range(_ROUNDS):
        ends = np.stack([faces, np.roll(faces, -1, 1)], -1)  # (F, 3, 2): edges ab, bc, ca
        ordered = np.sort(ends, -1).reshape(-1, 2)
        keys, inverse = np.unique(ordered[:, 0] * len(values) + ordered[:, 1], return_inverse=True)
        a, b = keys // len(values), keys % len(values)
        long = ((values[a, :3] - values[b, :3]) ** 2).sum(1) > edge * edge
        if not long.any():
            break
        middle = np.full(len(keys), -1)
        middle[long] = len(values) + np.arange(int(long.sum()))
        values = np.concatenate([values, (values[a[long]] + values[b[long]]) / 2])
        faces = _divided(faces, middle[inverse.reshape(-1, 3)])
    return values, faces.astype(np.uint32)


def _divided(faces: NDArray[np.int64], middle: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the faces divided at the middles (F, 3) of their edges ab, bc and ca, -1 where an edge stays."""
    count = (middle >= 0).sum(1)
    out = [faces[count == 0]]
    for n in (1, 2):
        some, mid = faces[count == n], middle[count == n]
        # Turn each face so that the edge that is alone (split, or not) is the first.
        first = np.argmax((mid >= 0) == (n == 1), axis=1)
        turn = (first[:, None] + np.arange(3)) % 3
        some, mid = np.take_along_axis(some, turn, 1), np.take_along_axis(mid, turn, 1)
        (a, b, c), (ab, bc, ca) = some.T, mid.T
        if n == 1:
            out += [np.stack([a, ab, c], 1), np.stack([ab, b, c], 1)]
        else:
            out += [np.stack([bc, c, ca], 1), np.stack([a, b, bc], 1), np.stack([a, bc, ca], 1)]
    (a, b, c), (ab, bc, ca) = faces[count == 3].T, middle[count == 3].T
    out += [np.stack(corners, 1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    return np.concatenate(out)


def _texels(vertices: Floats, uv: Floats, faces: NDArray[Any], shape: tuple[int, ...]) -> Floats:
    """Return how many texels wide the surroundings of each vertex are, (V,)."""
    p, t = vertices[faces].astype(float), uv[faces] * np.array([shape[1], shape[0]])
    u, v = t[:, 1] - t[:, 0], t[:, 2] - t[:, 0]
    texture = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    size = np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1)
    corners = faces.ravel()
    # A vertex stands for a third of the area of its faces.
    total = np.bincount(corners, np.repeat(texture / 2 / 3, 3), minlength=len(vertices))
    around = np.bincount(corners, np.repeat(size, 3), minlength=len(vertices))
    return np.where(around > 0, np.sqrt(total), 1).astype(np.float32)


def sample(image: NDArray[np.uint8], uv: Floats, texels: Floats, opaque: bool) -> tuple[Floats, Floats]:
    """Return linear colours (V, 3) and alpha (V,) of a repeating texture.

    Args:
        image: (H, W, 4), sRGB and alpha, first row at v = 1.
        uv: (V, 2).
        texels: (V,), width of the square that each is averaged over, in texels.
        opaque: whether alpha means nothing; otherwise what is clear gives no colour to what is beside it.
    """
    alpha = np.ones(image.shape[:2], np.float32) if opaque else image[..., 3].astype(np.float32) / 255
    weight = np.maximum(alpha, 1e-3)
    level = np.concatenate([_LINEAR[image[..., :3]] * weight[..., None], alpha[..., None], weight[..., None]], -1)
    wanted = np.log2(np.maximum(texels, 1))
    out = np.zeros((len(uv), 5), np.float32)
    k = 0
    while True:
        last = min(level.shape[:2]) <= 1
        weight = np.clip(1 - np.abs(wanted - k), 0, 1) if not last else np.clip(wanted - k + 1, 0, 1)
        on = np.flatnonzero(weight > 0)
        if len(on):
            out[on] += weight[on, None] * _bilinear(level, uv[on])
        if last or k > wanted.max():
            break
        level = _halved(level)
        k += 1
    return out[:, :3] / out[:, 4:], out[:, 3]


def _halved(level: Floats) -> Floats:
    height, width = level.shape[:2]
    even = np.pad(level, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4, np.float32)


def _bilinear(level: Floats, uv: Floats) -> Floats:
    height, width = level.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    a, b = (x - column)[:, None].astype(np.float32), (y - row)[:, None].astype(np.float32)
    c0, c1, r0, r1 = column % width, (column + 1) % width, row % height, (row + 1) % height
    top = level[r0, c0] * (1 - a) + level[r0, c1] * a
    return np.asarray(top * (1 - b) + (level[r1, c0] * (1 - a) + level[r1, c1] * a) * b, np.float32)
