"""The materials of a scene as rows of one table, and their textures as one buffer of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Material, Mesh, linear
from torchmultiverse.engines.builtin.tracer.backend import NONE, half4, mitsuba, uint4, uploaded
from torchmultiverse.engines.builtin.tracer.buffers import Array
from torchmultiverse.engines.builtin.tracer.kinds import Bool, Color3f, Float, UInt4, UInt32, Vector2f, Vector4f

Value = TypeVar("Value")
"""A colour or a number per lane."""


class _Texels(NamedTuple):
    """The four texels around a place, the fractions between them, and the texture's size."""

    values: list[Any]
    fx: Float
    fy: Float
    size: Vector2f


class Textures:
    """Textures of one kind, one after the other, and where each is: (offset, width, height, repeats).

    Args:
        textures: of each material (H, W) or, for colours, (H, W, 4), or None where it has none.
        repeats: whether each goes on beyond its edge.
        color: whether they are colours, which are kept as float16.
        before: those that come first; their texels are copied where they are.
    """

    def __init__(
        self,
        textures: Sequence[NDArray[Any] | None],
        repeats: Sequence[bool],
        color: bool = False,
        before: Textures | None = None,
    ) -> None:
        import drjit as dr

        self._color = color
        rows: list[tuple[int, int, int, int]] = [] if before is None else list(before._places)
        used = 0 if before is None else before._used
        texels = []
        for texture, repeat in zip(textures, repeats, strict=True):
            if texture is None:
                rows.append((NONE, 1, 1, 0))
                continue
            height, width = texture.shape[:2]
            rows.append((used, width, height, int(repeat)))
            texels.append(texture.reshape(height * width, -1))
            used += height * width
        self._places: list[tuple[int, int, int, int]] = rows
        self._used: int = used
        self._rows = uploaded("UInt32", np.asarray(rows, np.uint32))
        self._buffer: Any = None if before is None else before._buffer
        if texels:
            flat = np.concatenate(texels).ravel()
            made = uploaded("Float16", flat.astype(np.float16)) if color else uploaded("Float", flat.astype(np.float32))
            self._buffer = made if self._buffer is None else dr.concat([self._buffer, made])

    def __bool__(self) -> bool:
        """Return whether there is any texture."""
        return self._buffer is not None

    def find(self, material: UInt32, active: Bool) -> tuple[UInt4, Bool]:
        """Return a material's row and where it has a texture."""
        import drjit as dr

        row: UInt4 = dr.gather(uint4(), self._rows, material, active)
        return row, active & (row.x != NONE)

    def texels(self, row: UInt4, u: Float, v: Float, active: Bool) -> _Texels:
        """Return what is around a place, for an interpolation between the four."""
        import drjit as dr

        mi = mitsuba()
        size = mi.Vector2f(mi.Float(row.y), mi.Float(row.z))
        x, y = u * size.x - 0.5, v * size.y - 0.5
        x0, y0 = dr.floor(x), dr.floor(y)
        values: list[Any] = []
        for k in range(4):
            cx, cy = x0 + (k & 1), y0 + (k >> 1)
            wrapped = (cx - dr.floor(cx / size.x) * size.x, cy - dr.floor(cy / size.y) * size.y)
            cx = dr.clip(dr.select(row.w > 0, wrapped[0], cx), 0, size.x - 1)
            cy = dr.clip(dr.select(row.w > 0, wrapped[1], cy), 0, size.y - 1)
            at = row.x + mi.UInt32(cy) * row.y + mi.UInt32(cx)
            if self._color:
                t = dr.gather(half4(), self._buffer, at, active)
                values.append(mi.Color3f(mi.Float(t[0]), mi.Float(t[1]), mi.Float(t[2])))
            else:
                values.append(dr.gather(mi.Float, self._buffer, at, active))
        return _Texels(values, x - x0, y - y0, size)

    def lookup(self, material: UInt32, u: Float, v: Float, active: Bool, default: Value) -> Value:
        """Return the value of a material's texture, or the default where it has none."""
        import drjit as dr

        if not self:
            return default
        value, present = self._interpolated(material, u, v, active)
        found: Value = dr.select(present, value, default)
        return found

    def multiplied(self, material: UInt32, u: Float, v: Float, active: Bool, tint: Value) -> Value:
        """Return the value of a material's texture times a tint, or the tint where it has none."""
        import drjit as dr

        if not self:
            return tint
        value, present = self._interpolated(material, u, v, active)
        found: Value = dr.select(present, value * tint, tint)
        return found

    def _interpolated(self, material: UInt32, u: Float, v: Float, active: Bool) -> tuple[Any, Bool]:
        """Return the value of a material's texture, and where it has one."""
        row, present = self.find(material, active)
        t, fx, fy, _ = self.texels(row, u, v, present)
        value = (t[0] * (1 - fx) + t[1] * fx) * (1 - fy) + (t[2] * (1 - fx) + t[3] * fx) * fy
        return value, present


class Materials:
    """All materials of a scene.

    Attributes:
        emission: about how much light each material emits (M,).
        emits: whether any of them does.
        glass: whether any of them is.
        layered: whether any has a clear coat, or lets diffuse light through.
        colors, roughness, heights: their textures.

    Args:
        materials: in the order of their rows.
        meshes: what the first of them are on: a light without a texture has its mesh's colour.
        before: the materials whose rows come first.
    """

    def __init__(self, materials: Sequence[Material], meshes: Sequence[Mesh], before: Materials | None = None) -> None:
        table = np.zeros((len(materials), 8), np.float32)
        layers = np.array([[m.coat, m.translucency] for m in materials], np.float32).reshape(-1, 2)
        self.emission: Array = np.zeros(len(materials), np.float32)
        self._shades: dict[int, tuple[NDArray[np.floating], bool, float]] = {}
        colors: list[NDArray[np.float16] | None] = []
        for k, material in enumerate(materials):
            color = None if material.color is None else _linear_texture(material.color)
            colors.append(None if color is None else color.astype(np.float16))
            eta = 2 / (1 - np.sqrt(0.08 * material.specular)) - 1
            table[k, :3] = eta, material.metallic, material.specular <= 0
            table[k, 7] = material.glass
            if material.emission > 0:
                tint, tinted = _emission_tint(material, meshes[k])
                self._shades[k] = tint, tinted, 1.0 if color is None else float(color.mean())
        self._shine(table, materials)
        if before is not None:
            table = np.concatenate([before._rows, table])
            layers = np.concatenate([before._layers, layers])
            self.emission = np.concatenate([before.emission, self.emission])
        self.emits = bool(self.emission.any())
        self.glass = bool(table[:, 7].any())
        self.layered = bool(layers.any())
        self._layers: Array = layers
        self._layer_table = uploaded("Float", layers) if self.layered else None
        self._rows: Array = table
        self._table = uploaded("Float", table)
        repeats = [m.repeat for m in materials]
        self.colors: Textures = Textures(colors, repeats, color=True, before=before.colors if before else None)
        rough = [None if m.rough is None else m.rough / np.float32(255) for m in materials]
        self.roughness: Textures = Textures(rough, repeats, before=before.roughness if before else None)
        self.heights: Textures = Textures(
            [m.height for m in materials], repeats, before=before.heights if before else None
        )

    def _shine(self, table: NDArray[np.float32], materials: Sequence[Material]) -> None:
        """Write what materials emit into the table, and about how much it is."""
        for k, (tint, tinted, mean) in self._shades.items():
            emission = materials[k].emission
            table[k, 3], table[k, 4:7] = float(tinted and emission > 0), tint * emission
            self.emission[k] = emission * mean

    def relit(self, materials: Sequence[Material]) -> Materials:
        """Return these materials with the emission of others, which are else the same.

        Raises:
            ValueError: one that has emitted nothing is to do so.
        """
        for k, material in enumerate(materials):
            if material.emission > 0 and k not in self._shades:
                raise ValueError(f"{material.name}: it has been loaded as what emits nothing")
        made = copy(self)
        made.emission, made._rows = self.emission.copy(), self._rows.copy()
        made._shine(made._rows, materials)
        made.emits = bool(made.emission.any())
        made._table = uploaded("Float", made._rows)
        return made

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def row(self, material: UInt32, active: Bool) -> Vector4f:
        """Return refractive index, metallic, diffuse only, and whether the surface's colour tints its emission."""
        import drjit as dr

        row: Vector4f = dr.gather(mitsuba().Vector4f, self._table, material * 2, active)
        return row

    def index(self, material: UInt32, active: Bool) -> Float:
        """Return what `Material.glass` says."""
        import drjit as dr

        row: Vector4f = dr.gather(mitsuba().Vector4f, self._table, material * 2 + 1, active)
        return row.w

    def layers(self, material: UInt32, active: Bool) -> tuple[Float, Float]:
        """Return strength of the clear coat, and share of the diffuse light that goes through."""
        import drjit as dr

        row = dr.gather(mitsuba().Vector2f, self._layer_table, material, active)
        return row.x, row.y

    def radiance(self, material: UInt32, row: Vector4f, color: Color3f, active: Bool) -> Color3f:
        """Return what a material emits where it has a colour."""
        import drjit as dr

        mi = mitsuba()
        e = dr.gather(mi.Vector4f, self._table, material * 2 + 1, active)
        emitted: Color3f = mi.Color3f(e.x, e.y, e.z) * dr.select(row.w > 0, color, 1)
        return emitted


@cache
def _levels() -> NDArray[np.float64]:
    """Return the linear value of each sRGB level (256,)."""
    return linear(np.arange(256, dtype=np.uint8) / np.float32(255))


def _linear_texture(color: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return linear colours and a fourth column, (H, W, 4)."""
    out = np.zeros((*color.shape[:2], 4))
    out[..., :3] = _levels()[color]
    return out


def _emission_tint(material: Material, mesh: Mesh) -> tuple[NDArray[np.floating], bool]:
    """Return the colour of what a material emits, and whether its surface's colour multiplies it."""
    if material.color is not None:
        return np.ones(3), True
    if mesh.colors is None:
        return np.ones(3), False
    if material.samples_light:
        return mesh.colors.mean(0), False
    return np.ones(3), True
