"""Environment maps as worlds: the map all around, and a ground of its own colours that takes shadows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torchmultiverse.engines.builtin import World

EYE = 1.6
"""Height in metres from which the map is taken to be photographed."""
REACH = 60.0
"""Radius of the ground; beyond it the map itself is seen."""
_RINGS, _SECTORS = 96, 256
NO_CONDITIONS = ("Sun_Elevation", "Sun_Azimuth", "Overcast", "Lamps")
"""Conditions that a photographed environment cannot have."""
_OWN_LIGHT = "a photographed environment: its light is that of its map"
_LUMA = np.array([0.2126, 0.7152, 0.0722])


def pack_map(radiance: NDArray[np.float32]) -> bytes:
    """Return a map as the bytes of an ``.npz`` file: three mantissas and one exponent per pixel, as Radiance does."""
    peak = radiance.max(2)
    mantissa, exponent = np.frexp(np.maximum(peak, 1e-32))
    scale = np.where(peak > 1e-30, mantissa * 256 / np.maximum(peak, 1e-32), 0)
    rgbe = np.concatenate([np.floor(radiance * scale[..., None]), (exponent + 128)[..., None]], -1)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, rgbe=np.clip(rgbe, 0, 255).astype(np.uint8))
    return buffer.getvalue()


def unpack_map(data: bytes) -> NDArray[np.float32]:
    """Return the map of an ``.npz`` file's bytes.

    Raises:
        ValueError, KeyError, OSError: not what `pack_map` wrote.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        rgbe = file["rgbe"]
    color = rgbe[..., :3].astype(np.float32)
    return np.asarray(np.ldexp(color + 0.5 * (color > 0), rgbe[..., 3:].astype(int) - 136), np.float32)


def world(name: str, radiance: NDArray[np.float32], caption: str, stops: float) -> World:
    """Return a map as a world.

    The ground is a disc whose colours are those that the map's lower half shows of it, as seen from eye height; under
    the map's own light it looks like the map, and things throw shadows on it.

    Args:
        name: of the world.
        radiance: (H, 2H, 3), as of `read_map`.
        caption: what a person calls the place.
        stops: exposure on top of the one that makes middle grey ground middle grey.
    """
    from torchmultiverse.engines.builtin import (
        Material,
        Mesh,
        MeshPart,
        World,
        WorldSpec,
        grid_faces,
        horizontal_irradiance,
    )

    height = len(radiance)
    upper = radiance.copy()
    upper[height // 2 :] = 0
    light = np.maximum(horizontal_irradiance(upper), 1e-9)
    lower = radiance[height // 2 :]
    albedo = lower * (np.pi / light)
    bright = float(np.percentile(albedo @ _LUMA, 99))
    albedo = np.clip(albedo * min(1.0, 0.85 / max(bright, 1e-9)), 0.01, 0.9)
    encoded = np.where(albedo <= 0.0031308, 12.92 * albedo, 1.055 * np.maximum(albedo, 1e-9) ** (1 / 2.4) - 0.055)
    image = np.rint(encoded * 255).astype(np.uint8)
    radius = np.concatenate([[0.02], np.geomspace(0.15, REACH, _RINGS - 1)])
    phi = np.linspace(0, 2 * np.pi, _SECTORS + 1)
    x, y = radius[:, None] * np.cos(phi)[None], radius[:, None] * np.sin(phi)[None]
    below = np.arctan2(EYE, radius) / (np.pi / 2)  # 0 at the horizon, 1 straight down
    uv = np.stack(np.broadcast_arrays((phi / (2 * np.pi))[None], below[:, None]), -1).reshape(-1, 2)
    vertices = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3).astype(np.float32)
    # Rings run outwards and columns counter-clockwise, so the grid's own order faces down.
    faces = grid_faces(_RINGS, _SECTORS + 1)[:, ::-1]
    up = np.tile(np.array([0, 0, 1], np.float32), (len(vertices), 1))
    ground = MeshPart(
        Material("ground", roughness=1.0, specular=0.0, repeat=True, color=image),
        Mesh(vertices, np.ascontiguousarray(faces), up, uv.astype(np.float32)),
    )
    spec = WorldSpec(caption=caption, exposure=stops, no_sun=_OWN_LIGHT, blocks=[{"kind": "environment map"}])
    exposure = 2.0**stops * np.pi / float(light @ _LUMA)
    return World(name, spec, [ground], [], radiance, np.zeros((2, 2), np.float32), exposure)
