"""Surfaces that show things: windows, books, bottles, carved signs, a crowd."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.noise import mix, smoothstep
from torchmultiverse.engines.builtin.surfaces.fields import RGB, Array, Pattern, Tile, axes, cell_value, fractal
from torchmultiverse.engines.builtin.surfaces.masonry import plaster


def _windows(x: Array, y: Array, columns: int, rows: int) -> tuple[Array, Array, Array, Array, Array]:
    """Return of a wall of windows: which pane, its frame, coordinates within, and a value per window."""
    u, v = x * columns, y * rows
    fu, fv = u % 1, v % 1
    value = cell_value(np.floor(u), np.floor(v))
    inside = (np.abs(fu - 0.5) < 0.24) & (np.abs(fv - 0.52) < 0.3)
    around = (np.abs(fu - 0.5) < 0.3) & (np.abs(fv - 0.52) < 0.36)
    bars = inside & ((np.abs(fu - 0.5) < 0.02) | (np.abs(fv - 0.62) < 0.016))
    pane = inside & ~bars
    return pane.astype(float), (around & ~pane).astype(float), (fu - 0.26) / 0.48, (fv - 0.22) / 0.6, value


def _facade(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """A house's wall by day, three windows wide and three floors high; the accent is that of the frames."""
    x, y = axes(n)
    pane, frame, _, high, value = _windows(x, y, 3, 3)
    stain, fine = fractal(rng, n, 2, 1.2), fractal(rng, n, 40, 0.4)
    wall = np.asarray(a) * (1 + 0.05 * stain + 0.03 * fine)[..., None]
    sill = ((y * 3 % 1) < 0.14) & ((y * 3 % 1) > 0.1)
    wall = wall * np.where(sill & (np.abs(x * 3 % 1 - 0.5) < 0.33), 1.25, 1.0)[..., None]
    glass = mix((0.1, 0.13, 0.17), (0.42, 0.5, 0.58), np.clip(0.75 * high + 0.5 * (value - 0.5), 0, 1))
    color = mix(mix(wall, b, frame), glass, pane)
    return Tile(color, 0.85 - 0.75 * pane, -0.012 * pane + 0.006 * frame)


def _lit_facade(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """A house's wall by night, to be given an emission: dark wall, some windows in the tone of the accent."""
    x, y = axes(n)
    pane, _, wide, high, value = _windows(x, y, 4, 4)
    lit = pane * (value > 0.45) * (0.5 + 0.5 * value)
    shade = np.where((wide < 0.3 + 0.4 * value) & (high > 0.5), 0.6, 1.0)
    color = mix(np.asarray(a) * np.ones((n, n, 1)), b, lit * shade)
    return Tile(color, 0.6 - 0.4 * pane, 0.0 * x)


def _books(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Four shelves of books; the first colour is that of the shelf."""
    color = np.empty((n, n, 3))
    color[:] = np.asarray(a) * 0.18
    height = np.zeros((n, n))
    spines = np.array(
        [(0.45, 0.1, 0.1), (0.12, 0.25, 0.4), (0.15, 0.35, 0.2), (0.6, 0.48, 0.25), (0.3, 0.16, 0.1), (0.75, 0.7, 0.6)]
    )
    shelf = n // 4
    board = n // 40
    for row in range(4):
        bottom = row * shelf
        x = 0
        while x < n:
            w = int(rng.uniform(0.012, 0.03) * n)
            tall = int(rng.uniform(0.62, 0.86) * shelf)
            top = min(bottom + board + tall, bottom + shelf)
            tone = spines[rng.integers(len(spines))] * rng.uniform(0.7, 1.25) if rng.random() < 0.9 else np.asarray(b)
            part = color[bottom + board : top, x : x + w]
            round_ = np.sin(np.linspace(0.25, np.pi - 0.25, max(part.shape[1], 1)))[None, :, None]
            part[:] = tone * round_
            height[bottom + board : top, x : x + w] = 0.012
            if rng.random() < 0.6:
                k = bottom + board + int(tall * rng.uniform(0.6, 0.85))
                color[k : k + max(2, n // 150), x + 1 : x + w - 1] = (0.75, 0.6, 0.3)
            x += w + (1 if rng.random() < 0.9 else n // 30)
        color[bottom : bottom + board] = a
        height[bottom : bottom + board] = 0.02
    return Tile(np.clip(color, 0, 1), np.full((n, n), 0.6), height)


def _bottles(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Three shelves of bottles before a lit back wall in the tone of the accent."""
    color = np.empty((n, n, 3))
    shelf, board = n // 3, n // 45
    x, y = axes(n)
    color[:] = np.asarray(b) * (0.55 + 0.45 * ((y * 3) % 1))[..., None]
    tones = [
        (0.1, 0.3, 0.12),
        (0.5, 0.25, 0.06),
        (0.75, 0.7, 0.6),
        (0.12, 0.2, 0.4),
        (0.5, 0.08, 0.08),
        (0.7, 0.5, 0.12),
    ]
    for row in range(3):
        at = int(n * 0.02)
        while at < n * 0.96:
            w, tall = int(rng.uniform(0.04, 0.06) * n), rng.uniform(0.55, 0.85) * shelf
            u = np.abs(x * n - at - w / 2) / (w / 2)
            v = (y * n - row * shelf - board) / tall
            shape = (
                (v > 0)
                & (v < 1)
                & (u < np.where(v < 0.58, 1.0, np.where(v < 0.72, 1 - 0.65 * (v - 0.58) / 0.14, 0.35)))
            )
            shade = np.sqrt(np.clip(1 - u**2, 0.05, 1)) * 0.9 + 0.25 * (np.abs(u - 0.5) < 0.1)
            tone = np.asarray(tones[rng.integers(len(tones))])
            label = (v > 0.15) & (v < 0.4)
            color = np.where(
                shape[..., None],
                np.where(label[..., None], np.array((0.9, 0.86, 0.75)), tone) * shade[..., None],
                color,
            )
            at += w + int(rng.uniform(0.006, 0.02) * n)
        color[row * shelf : row * shelf + board] = a
    return Tile(np.clip(color, 0, 1), np.full((n, n), 0.3), np.zeros((n, n)))


def _glyphs(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Carved columns of signs: birds, eyes, waves, suns, feathers, made of simple strokes."""
    base = plaster(rng, n, a, b)
    mark = np.zeros((n, n))
    columns = 6
    cell = n // columns
    u, v = np.meshgrid(np.linspace(-1, 1, cell), np.linspace(-1, 1, cell))

    def stroke(d: Array) -> Array:
        return np.asarray(smoothstep(0.16, 0.06, np.abs(d)))

    def sign(kind: int) -> Array:
        r, t = np.hypot(u, v), np.arctan2(v, u)
        if kind == 0:  # an eye
            return np.maximum(stroke(np.abs(v) - 0.45 * np.clip(1 - u**2, 0, 1)), smoothstep(0.3, 0.2, r)) * (
                np.abs(u) < 0.9
            )
        if kind == 1:  # water
            return stroke((v + 0.3 - 0.15 * np.sin(u * 9)) * (v - 0.3 - 0.15 * np.sin(u * 9))) * (np.abs(u) < 0.85)
        if kind == 2:  # a sun
            return np.maximum(stroke(r - 0.6), smoothstep(0.22, 0.14, r))
        if kind == 3:  # a bird
            body = smoothstep(1.05, 0.9, np.hypot((u + 0.05) / 0.62, (v + 0.1) / 0.34))
            head = smoothstep(1.1, 0.9, np.hypot((u - 0.5) / 0.24, (v - 0.42) / 0.22))
            legs = ((np.abs(u + 0.15) < 0.06) | (np.abs(u - 0.15) < 0.06)) & (v < -0.3) & (v > -0.85)
            return np.asarray(np.maximum(np.maximum(body, head), legs), float)
        if kind == 4:  # an ankh
            loop = stroke(np.hypot(u / 0.8, v - 0.45) - 0.32)
            bar = ((np.abs(v) < 0.1) & (np.abs(u) < 0.6)) | ((np.abs(u) < 0.1) & (v < 0) & (v > -0.9))
            return np.asarray(np.maximum(loop, bar), float)
        if kind == 5:  # a feather
            vane = np.abs(u - 0.1 * v) < 0.28 * np.sqrt(np.clip(1 - v**2, 0, 1))
            return np.asarray(vane & (np.sin(v * 26 + 3 * u) > -0.3), float)
        return np.asarray(np.maximum(stroke(np.abs(t) - 0.5) * (r < 0.9), stroke(r - 0.75) * (u < 0)))

    for i in range(columns):
        for j in range(columns):
            mark[j * cell : j * cell + cell, i * cell : i * cell + cell] = sign(int(rng.integers(7)))
        mark[:, i * cell : i * cell + max(2, n // 150)] = 1
    color = base.color * (1 - 0.5 * mark)[..., None]
    return Tile(color, base.rough, base.height - 0.01 * mark)


def _crowd(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Rows of people seen from afar; the first colour is that of the stands."""
    color = np.empty((n, n, 3))
    color[:] = np.asarray(a) * 0.35
    x, y = axes(n)
    rows, columns = 10, 22
    skins = [(0.85, 0.65, 0.52), (0.6, 0.42, 0.3), (0.35, 0.23, 0.16), (0.9, 0.73, 0.6)]
    for row in range(rows - 1, -1, -1):
        color[int(row * n / rows) : int((row + 0.16) * n / rows)] = np.asarray(a)
        for k in range(columns):
            if rng.random() < 0.12:
                continue
            cx, cy = (k + 0.5 * (row % 2) + rng.uniform(0.4, 0.6)) / columns % 1, (row + 0.3) / rows
            dx = (x - cx + 0.5) % 1 - 0.5
            body = (np.hypot(dx * columns / 0.42, (y - cy) * rows / 0.42) < 1) & (y > (row + 0.1) / rows)
            color[body] = np.clip(rng.uniform(0.1, 0.95, 3), 0, 1)
            color[np.hypot(dx * columns / 0.24, (y - cy - 0.042) * rows / 0.24 * 0.6) < 1] = skins[rng.integers(4)]
    return Tile(mix(color, np.asarray(b), np.full((n, n), 0.08)), np.full((n, n), 0.9), np.zeros((n, n)))


PATTERNS: dict[str, Pattern] = {
    "facade": _facade,
    "lit_facade": _lit_facade,
    "books": _books,
    "bottles": _bottles,
    "glyphs": _glyphs,
    "crowd": _crowd,
}
