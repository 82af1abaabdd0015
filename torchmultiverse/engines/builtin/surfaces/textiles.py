"""Surfaces of cloth and leather: knitted, woven, printed, plaited."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.noise import mix, smoothstep
from torchmultiverse.engines.builtin.surfaces.fields import RGB, Array, Pattern, Tile, axes, fractal, voronoi


def _stitches(x: Array, y: Array, columns: int, rows: int) -> Array:
    """Return the height (0 to 1) of stocking stitch: columns of interlocking V."""
    u, v = x * columns % 1 - 0.5, y * rows
    best = np.zeros_like(x)
    for shift in (0, 1):
        w = (v - 1.1 * np.abs(u) + 0.5 * shift) % 1 - 0.5
        across = (np.abs(u) - 0.25) / 0.27
        best = np.maximum(best, np.sqrt(np.clip(1 - across**2 - (w / 0.5) ** 2 * 0.9, 0, 1)) * (1 - 0.15 * shift))
    return best


def _knit(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    h = _stitches(x, y, 12, 16)
    fine = fractal(rng, n, 60, 0.3)
    color = mix(b, a, smoothstep(0.05, 0.75, h)) * (1 + 0.05 * fine)[..., None]
    return Tile(color, 0.92 + 0 * x, 0.018 * h + 0.0004 * fine)


def _rib_knit(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    rib = np.clip(0.5 + 0.8 * np.cos(2 * np.pi * x * 6), 0, 1)
    h = rib * (0.75 + 0.25 * _stitches(x, y, 18, 22))
    fine = fractal(rng, n, 60, 0.3)
    return Tile(mix(b, a, smoothstep(0.0, 0.8, h)) * (1 + 0.05 * fine)[..., None], 0.92 + 0 * x, 0.035 * h)


def _plain_weave(x: Array, y: Array, count: int) -> tuple[Array, Array]:
    """Return the height (0 to 1) of a plain weave, and 1 where the weft is on top."""
    u, v = x * count, y * count
    odd = (np.floor(u) + np.floor(v)) % 2
    s, t = np.sin(np.pi * (u % 1)), np.sin(np.pi * (v % 1))
    return np.where(odd > 0.5, t * (0.45 + 0.55 * s), s * (0.45 + 0.55 * t)) ** 0.7, odd


def _canvas(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    h, _ = _plain_weave(x, y, 40)
    slub = fractal(rng, n, 20, 0.4, 10.0) + fractal(rng, n, 20, 0.4, 0.1)
    color = mix(b, a, smoothstep(0.0, 0.7, h)) * (1 + 0.05 * slub)[..., None]
    return Tile(color, 0.92 + 0 * x, 0.004 * h + 0.0006 * slub)


def _weave(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Coarse threads, the warp of the one and the weft of the other colour."""
    x, y = axes(n)
    h, weft = _plain_weave(x, y, 16)
    fine = fractal(rng, n, 50, 0.3)
    color = mix(a, b, weft) * ((0.5 + 0.5 * smoothstep(0.05, 0.6, h)) * (1 + 0.06 * fine))[..., None]
    return Tile(color, 0.9 + 0 * x, 0.014 * h)


def _wicker(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Withes in front of and behind stakes by turns."""
    x, y = axes(n)
    rows, stakes = 16, 6
    row = np.floor(y * rows)
    t = np.sin(np.pi * (y * rows % 1))
    bow = 0.5 + 0.5 * np.cos(np.pi * (x * stakes * 2 + row) * 1.0)
    withe = t**0.6 * (0.35 + 0.65 * bow)
    grain = fractal(rng, n, 30, 0.5, 16.0)
    color = mix(b, a, smoothstep(0.05, 0.75, withe)) * (1 + 0.09 * grain)[..., None]
    return Tile(color, 0.6 + 0.2 * (1 - withe), 0.03 * withe)


def _denim(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Twill: diagonal ridges of the first colour over a weft of the second, faded in streaks."""
    x, y = axes(n)
    warp = 48
    ridge = 0.5 + 0.5 * np.sin(2 * np.pi * (x * warp / 2 + y * warp))
    thread = 0.5 + 0.5 * np.cos(2 * np.pi * x * warp)
    streak = fractal(rng, n, 12, 0.5, 0.06)
    fade = fractal(rng, n, 3, 0.9)
    t = np.clip(0.16 + 0.5 * (1 - ridge) ** 2 * thread + 0.07 * streak + 0.05 * fade, 0, 1)
    return Tile(mix(a, b, t), 0.9 + 0 * x, 0.003 * ridge + 0.001 * thread)


def _nylon(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """A fine dense weave with the raised squares of ripstop."""
    x, y = axes(n)
    h, _ = _plain_weave(x, y, 80)
    line = np.maximum(np.cos(2 * np.pi * x * 10), np.cos(2 * np.pi * y * 10))
    stop = smoothstep(0.88, 0.98, line)
    fine = fractal(rng, n, 40, 0.3)
    color = mix(a, b, 0.25 * (1 - h) + 0.3 * stop) * (1 + 0.03 * fine)[..., None]
    return Tile(color, 0.55 + 0.1 * (1 - h), 0.0015 * h + 0.003 * stop)


def _leather(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Pebbled grain, darker in its creases and patchy on the whole."""
    border, value = voronoi(rng, n, 46)
    pebble = smoothstep(0.0, 0.35, border)
    patch, fine = fractal(rng, n, 3, 1.0), fractal(rng, n, 40, 0.4)
    t = np.clip(0.55 * (1 - pebble) + 0.2 + 0.12 * patch + 0.08 * (value - 0.5), 0, 1)
    return Tile(mix(a, b, t) * (1 + 0.03 * fine)[..., None], 0.42 + 0.2 * (1 - pebble), 0.006 * pebble)


def _camouflage(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Blotches of four tones: both colours, a dark and a pale one between them."""
    x, y = axes(n)
    between = mix(a, b, np.full(1, 0.5))[0]
    color = np.tile(np.asarray(a, float), (n, n, 1))
    for tone, share in ((np.asarray(b), 0.15), (between * 0.36, 0.95), (np.clip(between * 1.45, 0, 1), 1.05)):
        field = fractal(rng, n, 4, 1.1, 1.6) + 0.16 * fractal(rng, n, 20, 0.5)
        color = mix(color, np.broadcast_to(tone, color.shape), smoothstep(share, share + 0.03, field))
    h, _ = _plain_weave(x, y, 80)
    return Tile(color * (0.9 + 0.1 * h)[..., None], 0.9 + 0 * x, 0.0012 * h)


PATTERNS: dict[str, Pattern] = {
    "knit": _knit,
    "rib_knit": _rib_knit,
    "canvas": _canvas,
    "weave": _weave,
    "wicker": _wicker,
    "denim": _denim,
    "nylon": _nylon,
    "leather": _leather,
    "camouflage": _camouflage,
}
