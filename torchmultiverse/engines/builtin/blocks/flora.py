"""Plants by which a part of the earth is known, each one metre high: trees, palms, grasses, crops.

Each is a function of random numbers and three sRGB tones (leaf, its second tone, bark or stem).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.blocks.plants import blade_tuft, leaves
from torchmultiverse.engines.builtin.mesh import Mesh, ball, linear, merge, tube

RGB = tuple[float, float, float]
Array = NDArray[np.float64]
Grower = Callable[[np.random.Generator, RGB, RGB, RGB], Mesh]


def _on_lumps(rng: np.random.Generator, lumps: Array, radii: Array, count: int) -> tuple[Array, Array]:
    """Return points on ellipsoids (middles (N, 3), half axes (N, 3)), and outward directions."""
    which = rng.integers(0, len(lumps), count)
    d = rng.normal(0, 1, (count, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    points = lumps[which] + d * radii[which] * rng.uniform(0.75, 1.0, (count, 1))
    outward = 0.5 * d + 0.5 * (points - lumps.mean(0)) / max(float(np.ptp(lumps, 0).max()), 0.2)
    return points, outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)


def _strips(spines: Array, sides: Array, widths: Array, tone: Array, up: float = 0.8) -> Mesh:
    """Return flat leaves: spines (N, M, 3), unit vectors across (N, 3), half widths (M,), linear colour (N, M, 3)."""
    n, m, _ = spines.shape
    left = spines - sides[:, None] * widths[None, :, None]
    right = spines + sides[:, None] * widths[None, :, None]
    rows = np.stack([left, right], 2).reshape(n, 2 * m, 3)
    face = np.array([[2 * k, 2 * k + 1, 2 * k + 3, 2 * k + 2] for k in range(m - 1)])
    faces = np.concatenate([face[:, [0, 1, 2]], face[:, [0, 2, 3]]])
    out = spines[:, -1] - spines[:, 0]
    out[:, 2] = 0
    normal = 0.5 * out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6) + [0, 0, up]
    return Mesh(
        rows.reshape(-1, 3).astype(np.float32),
        (faces[None] + np.arange(n)[:, None, None] * 2 * m).reshape(-1, 3).astype(np.uint32),
        np.repeat(normal, 2 * m, 0).astype(np.float32),
        None,
        np.repeat(tone, 2, 1).reshape(-1, 3).astype(np.float32),
    )


def _arched(
    rng: np.random.Generator,
    count: int,
    start: Array,
    reach: tuple[float, float],
    rise: tuple[float, float],
    droop: float,
    points: int = 6,
) -> tuple[Array, Array]:
    """Return spines (N, M, 3) that rise from points (N, 3), go outward and droop, and vectors across (N, 3)."""
    angle = np.arange(count) * 2.4 + rng.normal(0, 0.25, count)
    out = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    s = np.linspace(0, 1, points)
    long, high = rng.uniform(*reach, count), rng.uniform(*rise, count)
    z = high[:, None] * s - droop * long[:, None] * s**2.2
    spines = start[:, None] + out[:, None] * (long[:, None] * s)[..., None] + np.array([0, 0, 1.0]) * z[..., None]
    return spines, np.stack([-np.sin(angle), np.cos(angle), 0 * angle], -1)


def _birch(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    bend = rng.normal(0, 0.02, 2)
    path = [[0, 0, -0.02], [bend[0], bend[1], 0.3], [0, 0, 0.65], [bend[1], bend[0], 0.97]]
    parts = [tube(path, [0.021, 0.017, 0.011, 0.002], 7).tinted(linear(bark))]
    rings = [tube([[bend[0] * z / 0.3, bend[1] * z / 0.3, z], [bend[0] * z / 0.3, bend[1] * z / 0.3, z + 0.008]],
                  0.0215 - 0.014 * z, 7) for z in rng.uniform(0.03, 0.3, 9)]  # fmt: skip
    parts.append(merge(rings).tinted(linear((0.1, 0.1, 0.1))))
    z = np.linspace(0.4, 0.92, 9)
    lumps = np.stack([rng.normal(0, 0.07, 9), rng.normal(0, 0.07, 9), z], -1)
    radii = np.stack([0.13 * (1.15 - z), 0.13 * (1.15 - z), 0.13 + 0 * z], -1) * [1.5, 1.5, 1]
    points, outward = _on_lumps(rng, lumps, radii, 430)
    return merge([*parts, leaves(rng, points, outward, 0.028, color, accent, 0.8)])


def _cypress(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    n = 620
    z = rng.uniform(0.05, 1.0, n)
    width = 0.085 * np.sin(np.pi * np.clip(z * 0.86 + 0.12, 0, 1)) ** 0.7 * rng.uniform(0.75, 1.0, n)
    angle = rng.uniform(0, 2 * np.pi, n)
    out = np.stack([np.cos(angle), np.sin(angle), np.full(n, 0.25)], -1)
    points = np.stack([width * np.cos(angle), width * np.sin(angle), z], -1)
    crown = leaves(rng, points, out / np.linalg.norm(out, axis=1, keepdims=True), 0.035, color, accent, -0.9)
    core = tube([[0, 0, -0.02], [0, 0, 0.1], [0, 0, 0.5], [0, 0, 0.97]], [0.02, 0.05, 0.07, 0.004], 8)
    return merge([core.tinted(linear((color[0] * 0.6, color[1] * 0.6, color[2] * 0.6))), crown])


def _umbrella_pine(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    parts = [tube([[0, 0, -0.03], [0.02, 0, 0.3], [0, 0.01, 0.6], [0, 0, 0.75]], [0.035, 0.028, 0.022, 0.012], 7)]
    lumps = []
    for k in range(9):
        angle, reach = k * 2.4, 0.34 * np.sqrt((k + 0.3) / 9)
        end = np.array([reach * np.cos(angle), reach * np.sin(angle), 0.86 + 0.06 * (1 - reach / 0.34)])
        parts.append(tube(np.stack([[0, 0.01, 0.58], end * [0.5, 0.5, 1] - [0, 0, 0.1], end]), [0.014, 0.01, 0.005], 5))
        lumps.append(end)
    points, outward = _on_lumps(rng, np.array(lumps), np.full((9, 3), (0.15, 0.15, 0.065)), 460)
    crown = leaves(rng, points, outward, 0.036, color, accent, -0.2)
    return merge([merge(parts).tinted(linear(bark)), crown])


def _bamboo(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """A clump of culms, bare and ringed below, feathered above."""
    culms, points, outward = [], [], []
    for _ in range(9):
        base, lean = rng.normal(0, 0.06, 2), rng.normal(0, 0.09, 2)
        tall = rng.uniform(0.75, 1.0)
        t = np.linspace(0, 1, 7)
        path = np.stack([base[0] + lean[0] * t**2.2, base[1] + lean[1] * t**2.2, tall * t - 0.02], -1)
        culms.append(tube(path, 0.0085 - 0.006 * t, 6).tinted(linear(bark) * rng.uniform(0.75, 1.2)))
        n = 60
        s = rng.uniform(0.45, 1.0, n)
        d = rng.normal(0, 1, (n, 3)) * [0.055, 0.055, 0.03]
        spot = np.stack([base[0] + lean[0] * s**2.2, base[1] + lean[1] * s**2.2, tall * s], -1)
        points.append(spot + d)
        outward.append(d + np.array([0, 0, 0.02]))
    out = np.concatenate(outward)
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    return merge([*culms, leaves(rng, np.concatenate(points), out, 0.034, color, accent, 1.2)])


def _banana(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """A stem of sheaths with great paddle leaves."""
    stem = tube([[0, 0, -0.02], [0, 0, 0.25], [0, 0, 0.5]], [0.055, 0.045, 0.025], 9).tinted(linear(bark))
    n = 9
    spines, sides = _arched(rng, n, np.tile([0, 0, 0.45], (n, 1)), (0.3, 0.52), (0.3, 0.62), 0.75, 9)
    s = np.linspace(0, 1, 9)
    widths = 0.085 * np.sin(np.pi * np.clip(0.06 + s * 0.94, 0, 1)) ** 0.6
    tone = linear(color) * (1 - s[:, None] * 0.5) + linear(accent) * s[:, None] * 0.5
    return merge([stem, _strips(spines, sides, widths, tone[None] * rng.uniform(0.75, 1.2, (n, 1, 1)))])


def _baobab(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """A trunk as wide as a hut, that ends in short stout branches with little leaf."""
    parts = [tube([[0, 0, -0.03], [0, 0, 0.1], [0.01, 0, 0.35], [0, 0.01, 0.55]], [0.165, 0.14, 0.125, 0.085], 14)]
    lumps = []
    for k in range(8):
        angle, rise = k * 2.4 + rng.normal(0, 0.2), rng.uniform(0.2, 0.42)
        out = np.array([np.cos(angle), np.sin(angle), 0])
        end = out * rng.uniform(0.2, 0.42) + [0, 0, 0.53 + rise]
        middle = out * 0.14 + [0, 0, 0.58 + 0.3 * rise]
        parts.append(tube([out * 0.03 + [0, 0, 0.48], middle, end], [0.05, 0.03, 0.006], 6))
        for _ in range(2):
            twig = end + rng.normal(0, 0.09, 3)
            parts.append(tube([middle, twig], [0.014, 0.003], 4))
            lumps.append(twig)
    points, outward = _on_lumps(rng, np.array(lumps), np.full((len(lumps), 3), 0.055), 300)
    return merge([merge(parts).tinted(linear(bark)), leaves(rng, points, outward, 0.024, color, accent)])


def _maize(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """A stalk with long arching leaves and a tassel of the bark's tone."""
    stalk = tube([[0, 0, -0.02], [0, 0, 0.9]], [0.012, 0.006], 5).tinted(linear(color) * 0.8)
    n = 9
    start = np.stack([0 * np.arange(n), 0 * np.arange(n), np.linspace(0.12, 0.8, n)], -1)
    spines, sides = _arched(rng, n, start, (0.2, 0.36), (0.16, 0.3), 0.85)
    s = np.linspace(0, 1, 6)
    tone = linear(color) * (1 - s[:, None]) + linear(accent) * s[:, None]
    blade = _strips(spines, sides, 0.027 * (1 - s**2) + 0.002, tone[None] * rng.uniform(0.8, 1.2, (n, 1, 1)))
    tassel = [tube([[0, 0, 0.88], [*rng.normal(0, 0.05, 2), 1.0]], [0.007, 0.004], 4) for _ in range(4)]
    return merge([stalk, blade, merge(tassel).tinted(linear(bark))])


def _millet(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """Maize with one long upright head of the bark's tone."""
    plant = _maize(rng, color, accent, color)
    head = tube([[0, 0, 0.8], [0, 0, 0.86], [0.01, 0, 1.0], [0.02, 0, 1.08]], [0.006, 0.028, 0.026, 0.006], 7)
    return merge([plant, head.tinted(linear(bark))])


def _cereal(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """A tuft of stalks, from the first tone to the second."""
    return blade_tuft(rng, 8, 1.0, 0.4, color, accent)


def _topped(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """A leafy plant, round, with flowers of the bark's tone above: mustard, lavender."""
    green = blade_tuft(rng, 7, 0.8, 0.5, color, accent)
    d = rng.normal(0, 1, (16, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    d[:, 2] = np.abs(d[:, 2])
    heads = leaves(rng, d * [0.3, 0.3, 0.3] + [0, 0, 0.66], d, 0.11, bark, bark, -0.6)
    return merge([green, heads])


def _vine(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """A vine on its stake: crooked stem, leaves in a wall that runs along y."""
    stem = tube([[0, 0, -0.02], [0.02, 0.01, 0.25], [0, 0, 0.5]], [0.03, 0.025, 0.02], 6).tinted(linear(bark))
    stake = tube([[0.03, 0, 0], [0.03, 0, 1.02]], 0.014, 5).tinted(linear((0.5, 0.42, 0.32)))
    y = np.linspace(-0.42, 0.42, 7)
    lumps = np.stack([0 * y, y, 0.66 + 0.05 * np.cos(y * 9)], -1)
    points, outward = _on_lumps(rng, lumps, np.full((7, 3), (0.13, 0.12, 0.25)), 150)
    return merge([stem, stake, leaves(rng, points, outward, 0.065, color, accent)])


def _agave(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    n = 26
    spines, sides = _arched(rng, n, np.zeros((n, 3)), (0.3, 0.75), (0.45, 1.0), 0.18)
    s = np.linspace(0, 1, 6)
    tone = linear(color) * (1 - s[:, None]) + linear(accent) * s[:, None]
    return _strips(spines, sides, 0.075 * (1 - s) ** 0.8, tone[None] * rng.uniform(0.8, 1.2, (n, 1, 1)))


def _hedge(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """A bush that touches the ground, with flowers of the bark's tone on it: bougainvillea, lupins, azaleas."""
    d = rng.normal(0, 1, (330, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    d[:, 2] = np.abs(d[:, 2])
    core = ball(6, 9).moved((0, 0, 0.3), (0.42, 0.42, 0.42)).tinted(linear(color) * 0.4)
    green = leaves(rng, d[:200] * [0.5, 0.5, 0.86] + [0, 0, 0.08], d[:200], 0.09, color, accent, -0.3)
    bloom = leaves(rng, d[200:] * [0.54, 0.54, 0.92] + [0, 0, 0.08], d[200:], 0.06, bark, bark, -0.3)
    return merge([core, green, bloom])


SPECIES: dict[str, Grower] = {
    "agave": _agave, "bamboo": _bamboo, "banana": _banana, "baobab": _baobab, "birch": _birch, "cereal": _cereal,
    "cypress": _cypress, "flowering_bush": _hedge, "maize": _maize, "millet": _millet, "topped": _topped,
    "umbrella_pine": _umbrella_pine, "vine": _vine,
}  # fmt: skip
"""Name → how it grows."""
