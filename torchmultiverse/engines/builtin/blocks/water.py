"""Open water: a flat or rippled surface that mirrors the sky."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.blocks import Params, block
from torchmultiverse.engines.builtin.mesh import Material, Mesh, grid_faces
from torchmultiverse.engines.builtin.noise import mix, smoothstep
from torchmultiverse.engines.builtin.world import Builder

RGB = tuple[float, float, float]


class Water(Params):
    """A sheet of water.

    Attributes:
        level: height, metres. ``x`` and ``y``: its corners (low, high), metres.
        color, shallow: sRGB of deep water, and of water over ground that is less than ``depth`` metres below.
        waves: height of the swell, metres; ``ripple`` that of the small ones.
        foam: whether it breaks white where it meets the ground.
    """

    level: float = 0.0
    x: tuple[float, float] = (-300.0, 300.0)
    y: tuple[float, float] = (-300.0, 300.0)
    color: RGB = (0.02, 0.12, 0.18)
    shallow: RGB = (0.15, 0.5, 0.5)
    depth: float = 1.5
    waves: float = 0.1
    ripple: float = 0.012
    foam: bool = True
    vertices: int = 180
    texels: int = 1024


@block("water", Water)
def water(builder: Builder, p: Water) -> None:
    """Lay the water, dense near the centre."""
    n = builder.noise

    def axis(low: float, high: float, count: int) -> np.ndarray:
        # Finer where it is near the centre.
        near = float(np.clip(0.0, low, high))
        a, b = np.arcsinh((low - near) / 6), np.arcsinh((high - near) / 6)
        return np.asarray(near + 6 * np.sinh(np.linspace(a, b, count)))

    ax, ay = axis(*p.x, p.vertices), axis(*p.y, p.vertices)
    x, y = np.meshgrid(ax, ay)
    swell = n.fbm(x, y * 2.2, 9, 3, start=2) * p.waves
    z = p.level + swell
    dy, dx = np.gradient(swell, ay, ax)
    normals = np.stack([-dx, -dy, np.ones_like(dx)], -1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    u, v = np.meshgrid(np.linspace(0, 1, p.vertices), np.linspace(0, 1, p.vertices))
    mesh = Mesh(
        np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32),
        grid_faces(p.vertices, p.vertices),
        normals.reshape(-1, 3).astype(np.float32),
        np.stack([u, v], -1).reshape(-1, 2).astype(np.float32),
    )
    tx, ty = np.meshgrid(axis(*p.x, p.texels), axis(*p.y, p.texels))
    below = p.level - builder.ground(tx, ty)
    color = mix(p.shallow, p.color, smoothstep(0.0, p.depth, below))
    rough = np.full(below.shape, 0.06)
    if p.foam:
        edge = below + 0.08 * n.fbm(tx, ty, 1.5, 4, start=5)
        lace = smoothstep(-0.1, 0.5, n.fbm(tx, ty, 0.5, 4, start=8))
        foam = smoothstep(0.16, 0.05, edge) + 0.75 * lace * smoothstep(0.3, 0.22, np.abs(edge - 0.42))
        foam = np.clip(foam, 0, 1)
        color, rough = mix(color, (0.93, 0.95, 0.95), foam), mix(rough, 0.8, foam)
    height = p.ripple * n.fbm(tx, ty * 1.7, 0.8, 4, start=4) * smoothstep(60, 10, np.hypot(tx, ty))
    builder.add(
        mesh,
        Material(
            f"water {p.level:g}",
            specular=0.9,
            color=np.rint(np.clip(color, 0, 1) * 255).astype(np.uint8)[::-1].copy(),
            rough=np.rint(np.clip(rough, 0, 1) * 255).astype(np.uint8)[::-1].copy(),
            height=height[::-1].astype(np.float32).copy(),
        ),
    )
