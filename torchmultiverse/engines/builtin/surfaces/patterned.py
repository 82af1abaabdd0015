"""Surfaces with the patterns of places: mats, painted tiles, printed and striped cloth, boarded walls."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.noise import mix, smoothstep
from torchmultiverse.engines.builtin.surfaces.fields import RGB, Array, Pattern, Tile, axes, cell_value, fractal


def _tatami(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Two mats side by side, twice as long as wide: rush in fine ribs, a border of cloth along the long sides."""
    x, y = axes(n)
    mat = np.floor(x * 2)
    u = x * 2 % 1
    rib = 0.5 + 0.5 * np.cos(2 * np.pi * y * 96)
    rush = fractal(rng, n, 30, 0.4, 20.0)
    tone = 0.94 + 0.08 * cell_value(mat, mat * 0 + 2) + 0.05 * rib + 0.04 * rush
    edge = smoothstep(0.045, 0.04, np.minimum(u, 1 - u))
    end = smoothstep(0.004, 0.002, np.minimum(y, 1 - y))
    color = mix(np.asarray(a) * tone[..., None], b, edge) * (1 - 0.6 * end)[..., None]
    return Tile(color, 0.75 + 0 * x, 0.001 * rib * (1 - edge) - 0.002 * end)


def _joint(u: Array, v: Array, width: float) -> Array:
    return smoothstep(width, width * 0.5, np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)))


def _azulejo(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Glazed tiles, four by four: arcs at the corners that meet in circles, and a blossom in the middle."""
    x, y = axes(n)
    u, v = x * 4 % 1, y * 4 % 1
    corner: Array = np.hypot(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    arc = smoothstep(0.045, 0.03, np.abs(corner - 0.36)) + smoothstep(0.16, 0.14, corner)
    r, t = np.hypot(u - 0.5, v - 0.5), np.arctan2(v - 0.5, u - 0.5)
    blossom = smoothstep(0.02, -0.02, r - 0.19 * (0.62 + 0.38 * np.cos(4 * t)))
    heart = smoothstep(0.05, 0.035, r)
    color = mix(
        mix(a, b, np.clip(arc + blossom, 0, 1) * (0.85 + 0.1 * fractal(rng, n, 20, 0.5))), (0.93, 0.75, 0.25), heart
    )
    joint = _joint(u, v, 0.02)
    return Tile(mix(color, (0.75, 0.74, 0.7), joint), 0.15 + 0.6 * joint, -0.001 * joint)


def _cement_tiles(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Tiles of dyed cement, four by four: an eight-pointed star of the second tone within a square of a darker one."""
    x, y = axes(n)
    u, v = np.abs(x * 4 % 1 - 0.5), np.abs(y * 4 % 1 - 0.5)
    star = np.asarray(np.minimum(np.maximum(u, v) / 0.72, (u + v) / 1.02) < 0.36, float)
    inner = np.asarray(np.hypot(u, v) < 0.12, float)
    corner = np.asarray((0.5 - u) + (0.5 - v) < 0.3, float)
    dark = (b[0] * 0.5, b[1] * 0.5, b[2] * 0.5)
    color = mix(mix(mix(a, b, star), a, inner), dark, corner)
    value = cell_value(np.floor(x * 4), np.floor(y * 4))
    joint = _joint(x * 4 % 1, y * 4 % 1, 0.016)
    worn = 0.96 + 0.06 * value + 0.03 * fractal(rng, n, 3, 1.1)
    return Tile(color * (worn * (1 - 0.35 * joint))[..., None], 0.4 + 0.2 * joint, -0.001 * joint)


def _wax_print(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Printed cotton: large rings and rays of the second tone, rows of dots, fine veins as of cracked wax."""
    x, y = axes(n)
    u, v = x * 2 % 1 - 0.5, (y * 2 + 0.5 * np.floor(x * 2)) % 1 - 0.5
    r, t = np.hypot(u, v), np.arctan2(v, u)
    rings = smoothstep(0.02, 0.01, np.abs(r - 0.32) - 0.035) + smoothstep(0.02, 0.01, np.abs(r - 0.2) - 0.02)
    rays = smoothstep(-0.1, 0.1, np.cos(16 * t)) * smoothstep(0.43, 0.42, r) * smoothstep(0.36, 0.37, r)
    heart = smoothstep(0.11, 0.1, r)
    dots = smoothstep(0.3, 0.2, np.hypot(x * 24 % 1 - 0.5, y * 24 % 1 - 0.5)) * smoothstep(0.44, 0.46, r)
    dark = (0.06, 0.06, 0.2)
    color = mix(mix(a, b, np.clip(rings + heart, 0, 1)), dark, np.clip(rays + 0.85 * dots, 0, 1))
    vein = np.exp(-((fractal(rng, n, 8, 1.1) / 0.02) ** 2))
    return Tile(mix(color, dark, 0.35 * vein), 0.85 + 0 * x, 0 * x)


def _plaid(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Woven checks: wide and narrow bands both ways, darker where they cross."""
    x, y = axes(n)

    def bands(t: Array) -> Array:
        s = t * 3 % 1
        return 0.55 * smoothstep(0.21, 0.2, np.abs(s - 0.3)) + 0.8 * smoothstep(0.035, 0.03, np.abs(s - 0.78))

    color = (
        mix(a, b, np.clip(bands(x) * 0.62 + bands(y) * 0.62, 0, 1)) * (1 + 0.04 * fractal(rng, n, 50, 0.3))[..., None]
    )
    return Tile(color, 0.95 + 0 * x, 0.0004 * fractal(rng, n, 60, 0.2))


def _rag_rug(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Stripes of many widths across, of both tones, white and what lies between them."""
    _, y = axes(n)
    tones = np.array([a, b, (0.93, 0.91, 0.86), tuple(np.add(a, b) / 2), tuple(np.asarray(b) * 0.55), a])
    edges = np.cumsum(rng.uniform(0.4, 1.6, 22))
    stripe = np.searchsorted(edges / edges[-1], y)
    weave = fractal(rng, n, 40, 0.3, 8.0)
    color = tones[(stripe * 5 + stripe // 3) % len(tones)] * (0.95 + 0.07 * weave)[..., None]
    return Tile(color, 0.95 + 0 * y, 0.0012 * weave)


def _clapboard(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Boards that overlap like scales, each throwing a thin shadow on the next."""
    _, y = axes(n)
    v = y * 10 % 1
    value = cell_value(np.floor(y * 10), np.floor(y * 10) * 0 + 1)
    grain = fractal(rng, n, 24, 0.7, 16.0)
    color = (
        mix(a, b, np.clip(0.2 + 0.3 * value + 0.07 * grain, 0, 1)) * (1 - 0.5 * smoothstep(0.88, 0.97, v))[..., None]
    )
    return Tile(color, 0.6 + 0.1 * value, 0.006 * (1 - v))


PATTERNS: dict[str, Pattern] = {
    "tatami": _tatami,
    "azulejo": _azulejo,
    "cement_tiles": _cement_tiles,
    "wax_print": _wax_print,
    "plaid": _plaid,
    "rag_rug": _rag_rug,
    "clapboard": _clapboard,
}
