"""What the parts of objects are made of: the paints of worlds, and glass, clear coats, pictures and layers on top.

Layers colour (and lift) the vertices, so that they need meshes about as fine as they are; a surface pattern or a
picture is a texture, which needs none. Where a part has both, they multiply.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from torchmultiverse.engines.builtin import surfaces
from torchmultiverse.engines.builtin.characters import cells, fractal, srgb
from torchmultiverse.engines.builtin.mesh import Floats, Material, Mesh, smooth_normals
from torchmultiverse.engines.builtin.objects.geometry import Built, welded
from torchmultiverse.engines.builtin.objects.pictures import Picture, image

RGB = tuple[float, float, float]
Array = NDArray[np.float64]


class Layer(BaseModel):
    """A colour over a part of the surface, a lift of it, or both. Its weight is 0 where the quantity is at ``low``, 1
    at ``high`` (either may be the greater), times ``mix``. Quantities (``by``):

    - ``noise``: octaves of noise of ``size``, 0 to 1 (most is 0.3 to 0.7); ``stretch`` lengthens it along x, y, z.
    - ``cells``: distance from the border of random cells of ``size``, 0 to about 0.6; ``spots``: 1 in a share
      ``amount`` of such cells, 0 at their border and in the others.
    - ``height``: along ``axis`` (z), 0 at the part's lowest and 1 at its highest point; ``facing``: cosine between the
      normal and ``axis``; ``radius``: distance from z, 1 at the greatest.
    - ``around``: the angle about z, 0 to 1; ``waves``: sine along ``axis`` of period ``size``, 0 to 1; ``rays``: sine
      of ``amount`` periods around z.
    - ``hollow``: how much the surface is a hollow (dirt), ``edge``: how much it is an edge (wear); 0 to 1, over
      about ``size``.
    - ``all``: 1 everywhere.

    ``ragged`` adds that much noise of ``size`` to any quantity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    by: Literal[
        "noise", "cells", "spots", "height", "facing", "radius", "around", "waves", "rays", "hollow", "edge", "all"
    ] = "noise"
    color: str | None = None
    rough: float | None = None
    lift: float = 0.0
    size: float = Field(default=0.1, gt=0)
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    amount: float = 0.4
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    low: float = 0.4
    high: float = 0.6
    mix: float = Field(default=1.0, ge=0, le=1)
    ragged: float = 0.0
    seed: int = 0


class ObjectPaint(surfaces.Paint):
    """A paint of worlds with more.

    Attributes:
        color, accent: as in worlds, or "#rrggbb".
        glass, coat, translucency: see `Material`; the colour of glass is what it lets through.
        picture: name of one of the file's pictures; ``wrap`` how it lies on the part: ``around`` as the builder has
            it, or projected from one side over the part's bounding box (``front`` is -y). Over a ``surface`` it is
            printed on it: the pattern's light and dark and its relief go on, ``size`` then being the share of the
            picture's width that one repetition covers.
        layers: from the lowest to the one on top.
        keeps: a ``Character_Texture`` leaves it as it is.
    """

    glass: float = Field(default=0.0, ge=-3, le=3)
    coat: float = Field(default=0.0, ge=0, le=1)
    translucency: float = Field(default=0.0, ge=0, le=1)
    picture: str | None = None
    wrap: Literal["around", "front", "back", "top", "left", "right"] = "around"
    layers: list[Layer] = Field(default=[])
    keeps: bool = False

    @field_validator("color", "accent", mode="before")
    @classmethod
    def _hexadecimal(cls, value: Any) -> Any:
        if isinstance(value, str):
            if len(value) != 7 or value[0] != "#":
                raise ValueError(f"'{value}' is not a colour such as \"#a08060\"")
            return tuple(int(value[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return value


_WORLD = set(surfaces.Paint.model_fields)


def material(paint: ObjectPaint, pictures: dict[str, Picture]) -> Material:
    """Return the material of a paint.

    Raises:
        ValueError: a picture that is not there, or cannot be drawn.
    """
    world = surfaces.Paint(**{k: v for k, v in paint.model_dump().items() if k in _WORLD})
    made = surfaces.material(world)
    facts: dict[str, Any] = {"glass": paint.glass, "coat": paint.coat, "translucency": paint.translucency}
    told = paint.model_dump_json(exclude={"layers", "keeps"} if paint.layers else {"keeps"})
    if paint.picture is not None:
        if paint.picture not in pictures:
            raise ValueError(f"no picture '{paint.picture}' in this file")
        picture = pictures[paint.picture]
        told += picture.model_dump_json()
        facts |= {"color": image(picture)[::-1].copy(), "repeat": False}
        if paint.surface is not None:
            facts |= _printed(facts["color"], made, paint.size)
    elif paint.surface is None:
        told = f"{made.name} {paint.glass} {paint.coat} {paint.translucency} {paint.emission}"
        if paint.layers:
            told += " layered"
    return replace(made, name=hashlib.sha256(told.encode()).hexdigest()[:16], **facts)


def _printed(color: NDArray[np.uint8], made: Material, size: float) -> dict[str, Any]:
    """Return a picture (H, W, 3) as colour with the light and dark, the roughness and the relief of a pattern."""
    from PIL import Image

    high, wide = color.shape[:2]
    side = max(4, round(size * wide))

    def spread(field: NDArray[Any]) -> NDArray[np.float32]:
        small = np.asarray(Image.fromarray(field.astype(np.float32)).resize((side, side), Image.Resampling.BOX))
        return np.asarray(np.tile(small, (high // side + 1, wide // side + 1))[:high, :wide], np.float32)

    assert made.color is not None
    assert made.rough is not None
    light = spread(made.color.astype(np.float32).mean(-1))
    shaded = color * (light / max(float(light.mean()), 1e-6))[..., None]
    facts: dict[str, Any] = {
        "color": shaded.clip(0, 255).round().astype(np.uint8),
        "rough": spread(made.rough).clip(0, 255).round().astype(np.uint8),
    }
    if made.height is not None:
        facts["height"] = spread(made.height)
    return facts


def painted(built: Built, paint: ObjectPaint, seed: int) -> tuple[Mesh, Floats | None]:
    """Return a part's mesh with colours at its vertices and texture coordinates as its material has them, and its
    roughness (V,) where layers change it."""
    mesh = built.mesh
    normals = mesh.normals if mesh.normals is not None else smooth_normals(mesh)
    mesh = replace(mesh, normals=normals)
    textured = paint.surface is not None or paint.picture is not None
    base = np.ones(3) if textured else srgb(list(paint.color)).astype(float)
    color = np.tile(base, (len(mesh.vertices), 1))
    if mesh.colors is not None:
        color *= mesh.colors
    mesh, color, roughness = _layered(mesh, paint, color, seed)
    uv = mesh.uv
    if paint.picture is not None:
        uv = built.unit if paint.wrap == "around" and built.unit is not None else _projected(mesh, paint.wrap)
    elif paint.surface is not None:
        assert uv is not None
        uv = (uv / np.float32(paint.size)).astype(np.float32)
    colors = None if textured and not paint.layers and mesh.colors is None else color.clip(0, 1).astype(np.float32)
    return replace(mesh, uv=uv if textured else None, colors=colors), roughness


def _layered(mesh: Mesh, paint: ObjectPaint, color: Array, seed: int) -> tuple[Mesh, Array, Floats | None]:
    """Return the mesh lifted, its colours (V, 3), and its roughness (V,) where layers change it."""
    lift = np.zeros(len(mesh.vertices))
    rough = np.full(len(mesh.vertices), 0.6 if paint.rough is None else paint.rough)
    for number, layer in enumerate(paint.layers):
        weight = layer.mix * _weight(layer, mesh, seed + 31 * number)
        if layer.color is not None:
            color = color * (1 - weight[:, None]) + srgb(layer.color) * weight[:, None]
        if layer.rough is not None:
            rough = rough * (1 - weight) + layer.rough * weight
        lift += layer.lift * weight
    changed = any(layer.rough is not None for layer in paint.layers)
    return _lifted(mesh, lift) if lift.any() else mesh, color, rough.astype(np.float32) if changed else None


def _projected(mesh: Mesh, wrap: str) -> Floats:
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    x, y, z = ((mesh.vertices - low) / np.maximum(high - low, 1e-9)).T
    u, v = {"back": (1 - x, z), "top": (x, y), "left": (1 - y, z), "right": (y, z)}.get(wrap, (x, z))
    return np.stack([u, v], -1).astype(np.float32)


def _weight(layer: Layer, mesh: Mesh, seed: int) -> Array:
    quantity = _quantity(layer, mesh, seed)
    if layer.ragged:
        points = (mesh.vertices / np.float32(layer.size)).astype(np.float32)
        quantity = quantity + layer.ragged * 2 * (fractal(points, 3, seed + 7 + layer.seed) - 0.5)
    t = np.clip((quantity - layer.low) / (layer.high - layer.low or 1e-9), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), float)


def _quantity(layer: Layer, mesh: Mesh, seed: int) -> Array:
    p = mesh.vertices.astype(float)
    axis = np.asarray(layer.axis, float)
    axis = axis / max(float(np.linalg.norm(axis)), 1e-9)
    scaled = (p / (layer.size * np.asarray(layer.stretch))).astype(np.float32)
    match layer.by:
        case "noise":
            return np.asarray(fractal(scaled, 4, seed + layer.seed), float)
        case "cells" | "spots":
            border, number = cells(scaled, seed + layer.seed)
            return np.asarray(border if layer.by == "cells" else np.minimum(border * 2.5, 1) * (number < layer.amount))
        case "height":
            h = p @ axis
            return np.asarray((h - h.min()) / max(float(np.ptp(h)), 1e-9))
        case "facing":
            assert mesh.normals is not None
            return np.asarray(mesh.normals @ axis, float)
        case "radius":
            r = np.hypot(p[:, 0], p[:, 1])
            return np.asarray(r / max(float(r.max()), 1e-9))
        case "around":
            return np.asarray(np.arctan2(p[:, 1], p[:, 0]) / (2 * np.pi) % 1)
        case "waves":
            return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * (p @ axis) / layer.size))
        case "rays":
            return np.asarray(0.5 + 0.5 * np.sin(layer.amount * np.arctan2(p[:, 1], p[:, 0])))
        case "hollow" | "edge":
            bent = curvature(mesh) * layer.size
            return np.clip(-bent if layer.by == "hollow" else bent, 0, 1)
    return np.ones(len(p))


def curvature(mesh: Mesh) -> Array:
    """Return how a surface bends at its vertices (V,), per unit of length: above 0 on edges, below 0 in hollows.

    The mean over the edges at a vertex of how far apart the normals point over how far apart the ends are.
    """
    v, f = welded(mesh.vertices, mesh.faces)
    corners = v[f]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal = np.zeros_like(v)
    for k in range(3):
        for axis in range(3):
            normal[:, axis] += np.bincount(f[:, k], face[:, axis], len(v))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-15)
    a, b = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]).T
    way = v[b] - v[a]
    bend = ((normal[b] - normal[a]) * way).sum(1) / np.maximum((way**2).sum(1), 1e-12)
    count = np.maximum(np.bincount(a, minlength=len(v)) + np.bincount(b, minlength=len(v)), 1)
    mean = (np.bincount(a, bend, len(v)) + np.bincount(b, bend, len(v))) / count
    from scipy.spatial import cKDTree

    _, nearest = cKDTree(v).query(mesh.vertices)
    return np.asarray(mean[nearest])


def _lifted(mesh: Mesh, lift: Array) -> Mesh:
    """Return it displaced along its normals, which follow; vertices of one place stay together."""
    assert mesh.normals is not None
    key = np.round(mesh.vertices, 6)
    _, first, inverse = np.unique(key, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    count = np.bincount(inverse)
    shift = np.stack([np.bincount(inverse, lift * mesh.normals[:, k]) / count for k in range(3)], -1)
    moved = (mesh.vertices + shift[inverse]).astype(np.float32)
    whole = Mesh(moved[first], inverse[mesh.faces].astype(np.uint32))
    new, old = smooth_normals(whole)[inverse], smooth_normals(Mesh(mesh.vertices[first], whole.faces))[inverse]
    # Only the change of the smooth normal is taken over, so that sharp edges stay sharp.
    normals = mesh.normals + new - old
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return replace(mesh, vertices=moved, normals=normals.astype(np.float32))
