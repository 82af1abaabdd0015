"""The ground: a height field whose grid and texture are dense near the centre and reach to the horizon.

A surface is two functions of position: the height of the land, and its appearance (colour, roughness, fine
relief).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.blocks import Params, block
from torchmultiverse.engines.builtin.mesh import Material, Mesh, grid_faces
from torchmultiverse.engines.builtin.noise import Field, Noise, mix, smoothstep
from torchmultiverse.engines.builtin.surfaces import Paint, tile
from torchmultiverse.engines.builtin.world import Builder
from torchmultiverse.errors import SpecError

RGB = tuple[float, float, float]
_SHARPNESS = 2.5
_PATTERN_REACH = 45.0
"""Metres within which a pattern's detail is wider than a texel of the ground."""


class GroundStrip(Params):
    """A band of another material on the ground, along ``along`` at ``at`` metres beside the centre.

    Attributes:
        width: metres; ``start`` and ``end`` bound it along its way.
        soft: metres over which its edge frays; ``wave`` how far it winds, over about ``wavelength`` metres.
        paint: what it is made of. ``dash``: metres of dash and gap (for painted lines), 0 is unbroken.
        sink: metres it lies below its surroundings (negative: above).
        wet: 0 to 1, how much of it puddles cover.
    """

    along: Literal["x", "y", "ring"] = "x"
    at: float = 0.0
    width: float
    start: float = -1e4
    end: float = 1e4
    soft: float = 0.05
    wave: float = 0.0
    wavelength: float = 40.0
    paint: Paint
    dash: tuple[float, float] = (0.0, 0.0)
    sink: float = 0.0
    wet: float = 0.0


class Terrain(Params):
    """The ground of an open world.

    Attributes:
        surface: what it is made of.
        color, accent: sRGB of the ground and of its second tone.
        relief: metres of the land's rise away from the centre.
        stage: radius that is kept nearly flat.
        reach: metres from the centre to the edge.
        mountains: height of the distant ones; ``mountain_color`` and ``rock_color`` are their tones.
        mesa: 0 to 1, how much distant land steps up in cliffs.
        paint: for ``ground``: what it is made of (a pattern); ``color`` and ``accent`` stain it from place to place.
        strips: roads, paths, pavements, painted lines, in order, over any surface.
        bumps: metres of unevenness near the centre, for ``ground``.
    """

    surface: Literal["dunes", "salt", "seafloor", "lawn", "snow", "track", "street", "ground"]
    color: RGB = (0.5, 0.45, 0.4)
    accent: RGB = (0.4, 0.36, 0.32)
    paint: Paint | None = None
    strips: tuple[GroundStrip, ...] = ()
    bumps: float = 0.05
    relief: float = 3.0
    stage: float = 7.0
    reach: float = 700.0
    mountains: float = 0.0
    mountain_color: RGB = (0.5, 0.4, 0.35)
    rock_color: RGB = (0.35, 0.28, 0.24)
    mesa: float = 0.0
    vertices: int = 241
    texels: int = 1280


@dataclass
class Appearance:
    """A surface's appearance: sRGB colour (…, 3), roughness, fine relief in metres, and what holds for all of it."""

    color: Field
    rough: Field
    micro: Field


def warp(u: Field, reach: float) -> Field:
    """Return metres for grid coordinates of -1 to 1: dense at 0, ``reach`` at 1."""
    return np.asarray(_SHARPNESS * np.sinh(np.arcsinh(reach / _SHARPNESS) * u))


def _band(low: float, high: float, x: Field, soft: float = 0.02) -> Field:
    return smoothstep(low - soft, low + soft, x) * smoothstep(high + soft, high - soft, x)


def _inside(s: GroundStrip, n: Noise, x: Field, y: Field, soft: float | None = None) -> Field:
    """Return how much a point is on a strip, 0 to 1."""
    if s.along == "ring":
        across, way = np.hypot(x, y) - s.at, np.arctan2(y, x) * s.at
    else:
        across, way = (y, x) if s.along == "x" else (x, y)
        across = across - s.at
    if s.wave > 0:
        across = across + s.wave * n.fbm(way, 0 * way + s.at, s.wavelength, 2, start=3)
    edge = s.soft if soft is None else soft
    if edge > 0.1 and soft is None:
        across = across + 0.6 * edge * n.fbm(x, y, 1.2, 3, start=6)
    coverage = _band(-s.width / 2, s.width / 2, across, edge) * _band(s.start, s.end, way, edge)
    if s.dash[0] > 0:
        phase = np.mod(way, sum(s.dash))
        coverage = coverage * _band(0.0, s.dash[0], phase, 0.02)
    return np.asarray(coverage)


def _land(p: Terrain, noise: Noise, x: Field, y: Field) -> Field:
    z = _hills(p, noise, x, y)
    for s in p.strips:
        if s.sink:
            z = z - s.sink * _inside(s, noise, x, y, max(s.soft, 0.08))
    return z


def _hills(p: Terrain, noise: Noise, x: Field, y: Field) -> Field:
    r = np.hypot(x, y)
    away = smoothstep(p.stage, p.stage + 35, r)
    z: Field
    if p.surface == "dunes":
        bent = x + 9 * noise.fbm(x, y, 60, 2)
        ridge = noise.ridged(bent * 0.6, y, 75, 3, 0.42) - 0.35
        z = p.relief * (ridge * 1.5 * smoothstep(8, 90, r) + 0.12 * noise.fbm(x, y, 9, 3, start=4)) * away
        z = z + 0.05 * noise.fbm(x, y, 2.6, 2, start=7) * smoothstep(1.5, 6, r)
    elif p.surface == "salt":
        z = p.relief * 0.04 * noise.fbm(x, y, 25, 3) * away
    elif p.surface in ("track", "street"):
        z = p.relief * noise.fbm(x, y, 120, 3) * smoothstep(60, 200, r)
    elif p.surface == "ground":
        z = p.relief * (0.55 * noise.fbm(x, y, 48, 5) + 0.25 * noise.fbm(x, y, 11, 3, start=4)) * away
        z = z + p.bumps * noise.fbm(x, y, 3.1, 3, start=7) * smoothstep(0.5, 4, r)
    else:
        z = p.relief * (0.55 * noise.fbm(x, y, 48, 5) + 0.25 * noise.fbm(x, y, 11, 3, start=4)) * away
        z = z + 0.07 * noise.fbm(x, y, 3.1, 3, start=7) * smoothstep(1.0, 5, r)
    if p.mesa > 0:
        shape = noise.fbm(x, y, 260, 4, 0.45, start=2)
        step = smoothstep(0.08, 0.2, shape) * 0.75 + smoothstep(0.3, 0.36, shape) * 0.4
        z = z + p.mesa * 46 * step * smoothstep(60, 130, r)
    if p.mountains > 0:
        ridge = noise.ridged(x, y, 330, 5, 0.5)
        z = z + p.mountains * np.clip(ridge - 0.32, 0, None) * 1.6 * smoothstep(110, p.reach * 0.7, r)
    return np.asarray(z)


def _grain(rng_noise: Noise, x: Field, y: Field) -> Field:
    return rng_noise.fbm(x, y, 0.07, 3, 0.7, start=1)


def _dunes(p: Terrain, n: Noise, x: Field, y: Field, z: Field) -> Appearance:
    r = np.hypot(x, y)
    bend = 0.55 * n.fbm(x, y, 1.7, 3) + 1.6 * n.fbm(x, y, 7, 2, start=3)
    phase = 2 * np.pi * (0.25 * x + 0.97 * y + bend * 0.35) / 0.27
    wave = 0.5 + 0.5 * np.sin(phase + 0.6 * np.sin(phase))
    strength = smoothstep(-0.55, 0.35, n.fbm(x, y, 4.5, 3, start=6)) * smoothstep(60, 12, r)
    micro = 0.03 * wave * strength + 0.004 * _grain(n, x, y)
    color = mix(p.color, p.accent, smoothstep(-0.8, 0.9, n.fbm(x, y, 5, 6, 0.6, start=2)))
    shade = 1 + 0.13 * (wave - 0.5) * strength + 0.07 * _grain(n, x, y) + 0.06 * n.fbm(x, y, 40, 3, start=8)
    return Appearance(color * shade[..., None], 0.9 - 0.1 * wave, micro)


def _salt(p: Terrain, n: Noise, x: Field, y: Field, z: Field) -> Appearance:
    bend = 0.5 * n.fbm(x, y, 0.9, 3), 0.5 * n.fbm(x, y, 0.9, 3, start=6)
    border, value = n.cells(x + bend[0], y + bend[1], 1.35)
    small, _ = n.cells(x + bend[1] * 0.4, y + bend[0] * 0.4, 0.42)
    rim = np.exp(-((border / 0.055) ** 2))
    fine = np.exp(-((small / 0.05) ** 2)) * smoothstep(-0.1, 0.5, n.fbm(x, y, 3, 2, start=3))
    crack = np.exp(-((border / 0.016) ** 2))
    fade = smoothstep(90, 15, np.hypot(x, y))
    micro = (0.035 * rim + 0.008 * fine - 0.03 * crack) * fade + 0.005 * n.fbm(x, y, 0.35, 4, start=2)
    color = mix(p.color, p.accent, np.clip(0.35 * value + 0.45 * n.fbm(x, y, 6, 5, start=5) ** 2, 0, 1))
    color = mix(color, np.asarray(p.accent) * 0.62, np.clip(0.75 * crack + 0.3 * fine, 0, 1) * fade)
    return Appearance(color * (1 + 0.05 * _grain(n, x, y))[..., None], 0.75 + 0.1 * value, micro)


def _seafloor(p: Terrain, n: Noise, x: Field, y: Field, z: Field) -> Appearance:
    bend = 0.8 * n.fbm(x, y, 1.3, 3)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (0.5 * x + 0.86 * y + 0.6 * bend) / 0.42)
    patch = smoothstep(-0.2, 0.5, n.fbm(x, y, 5, 5, 0.6, start=2))
    color = mix(p.color, p.accent, patch)
    color = color * (0.92 + 0.14 * wave * (1 - patch) + 0.1 * n.fbm(x, y, 0.3, 3, start=5))[..., None]
    return Appearance(color, 0.9 + 0 * x, 0.022 * wave * (1 - 0.7 * patch) + 0.012 * n.fbm(x, y, 0.25, 4, start=8))


def _lawn(p: Terrain, n: Noise, x: Field, y: Field, z: Field) -> Appearance:
    color = mix(p.color, p.accent, smoothstep(-0.6, 0.8, n.fbm(x, y, 4, 6, 0.65, start=2)))
    blades = n.fbm(x * 2.5, y * 0.7, 0.09, 3, 0.8, start=4)
    shade = 1 + 0.28 * blades + 0.12 * n.fbm(x, y, 25, 3, start=7)
    return Appearance(color * shade[..., None], 0.85 + 0 * x, 0.012 * blades)


def _snow(p: Terrain, n: Noise, x: Field, y: Field, z: Field) -> Appearance:
    drift = n.fbm(x * 0.6, y * 1.6, 0.9, 4, 0.55, start=2)
    color = mix(p.color, p.accent, smoothstep(-0.2, 0.9, n.fbm(x, y, 3.5, 5, start=5)))
    sparkle = 1 + 0.03 * _grain(n, x, y)
    return Appearance(
        color * sparkle[..., None], 0.6 + 0.1 * drift, 0.03 * drift + 0.004 * n.fbm(x, y, 0.12, 3, start=8)
    )


def _asphalt(p: Terrain, n: Noise, x: Field, y: Field) -> tuple[Field, Field, Field]:
    """Return colour, fine relief and stains of tarmac."""
    grain = n.fbm(x, y, 0.03, 2, 0.8, start=1)
    stains = n.fbm(x, y, 2.4, 6, 0.6, start=3)
    color = mix(p.color, p.accent, smoothstep(-0.7, 0.9, stains))
    border = n.cells(x + 0.6 * stains, y - 0.6 * stains, 3.1)[0]
    tar = np.exp(-((border / 0.012) ** 2)) * smoothstep(0.0, 0.4, n.fbm(x, y, 9, 2, start=6))
    return color * (1 + 0.2 * grain - 0.45 * tar)[..., None], 0.003 * grain - 0.004 * tar, stains


def _worn(n: Noise, x: Field, y: Field) -> Field:
    return 0.95 * smoothstep(-0.9, -0.15, n.fbm(x, y, 0.35, 4, start=9) + 0.25)


def _track(p: Terrain, n: Noise, x: Field, y: Field, z: Field) -> Appearance:
    """Tarmac along x with rubbered lines, a chequered start line, grid boxes, kerbs, and grass beyond."""
    color, micro, stains = _asphalt(p, n, x, y)
    rough = 0.75 + 0.1 * stains
    for lane in (-2.2, 2.6):
        rubber = np.exp(-(((y - lane - 0.5 * n.fbm(x, y, 30, 2, start=2)) / 0.9) ** 2))
        color = color * (1 - 0.38 * rubber)[..., None]
        rough = rough - 0.18 * rubber
    worn, across = _worn(n, x, y), np.abs(y)
    checks = ((np.floor(x / 0.55) + np.floor(y / 0.55)) % 2)[..., None]
    color = mix(color, 0.06 + 0.84 * checks, _band(-3.85, -2.2, x) * _band(-7.4, 7.4, y) * worn)
    # Grid boxes: a bracket open to the back, one row after the other.
    for row in range(-6, 7):
        side = 3.2 if row % 2 else -3.2
        at = 4.2 + row * 8.0
        if row == -1:
            continue
        bracket = _band(at, at + 0.16, x) * _band(side - 1.3, side + 1.3, y)
        for end in (-1.3, 1.3):
            bracket = np.maximum(
                bracket, _band(at - 1.3, at + 0.16, x) * _band(side + end - 0.08, side + end + 0.08, y)
            )
        color = mix(color, (0.9, 0.9, 0.88), bracket * worn)
    color = mix(color, (0.9, 0.9, 0.88), _band(7.2, 7.4, across) * worn)
    stripe = (np.floor(x / 1.1) % 2)[..., None]
    kerb = _band(7.5, 8.6, across)
    color = mix(color, np.array((0.8, 0.07, 0.08)) * (1 - stripe) + np.array((0.93, 0.93, 0.92)) * stripe, kerb)
    grass = smoothstep(8.6, 8.75, across)
    blades = n.fbm(x, y, 0.16, 3, 0.8, start=4)
    mown = 0.12 * np.sign(np.sin(x * 2 * np.pi / 9))
    green = mix((0.25, 0.43, 0.13), (0.36, 0.5, 0.18), smoothstep(-0.6, 0.8, n.fbm(x, y, 5, 5, start=7)))
    color = mix(color, green * (1 + 0.25 * blades + mown)[..., None], grass)
    return Appearance(
        color, mix(rough, 0.9, grass), micro * (1 - grass) + 0.03 * kerb * (0.5 + 0.5 * np.sin(across * 12))
    )


def _street(p: Terrain, n: Noise, x: Field, y: Field, z: Field) -> Appearance:
    """Wet tarmac along y: lane lines, a zebra crossing behind the centre, paved sidewalks, puddles."""
    color, micro, stains = _asphalt(p, n, x, y)
    worn, across = _worn(n, x, y), np.abs(x)
    crossing = _band(3.6, 7.6, y) * ((np.floor(x / 0.62) % 2) == 0) * (across < 5.6)
    color = mix(color, (0.78, 0.78, 0.76), crossing * worn)
    color = mix(color, (0.8, 0.79, 0.75), _band(2.6, 2.9, y) * (across < 5.6) * worn)
    dashes = _band(-0.07, 0.07, x) * ((np.floor(y / 3) % 2) == 0) * (np.abs(y - 3) > 7)
    color = mix(color, (0.85, 0.7, 0.2), dashes * worn)
    walk = smoothstep(5.95, 6.0, across)
    joint = np.minimum(np.abs(x % 0.6 - 0.3), np.abs(y % 0.6 - 0.3))
    paving = mix((0.2, 0.2, 0.21), (0.27, 0.26, 0.26), smoothstep(-0.6, 0.6, n.fbm(x, y, 1.2, 4, start=2)))
    color = mix(color, paving * (1 - 0.4 * smoothstep(0.27, 0.3, joint))[..., None], walk)
    puddle = smoothstep(0.0, 0.35, n.fbm(x, y, 3.2, 4, 0.5, start=5)) * (1 - 0.6 * walk)
    rough = 0.38 - 0.31 * puddle + 0.06 * stains
    return Appearance(color * (1 - 0.45 * puddle)[..., None], rough, micro * (1 - puddle))


_FREE = ("grass", "dirt", "sand", "gravel", "rock", "asphalt", "ice", "plaster", "concrete")
"""Patterns without a direction: two layers of them, one turned, hide that they repeat."""


def _bilinear(layers: NDArray[np.float32], u: Field, v: Field) -> NDArray[np.float32]:
    """Return periodic layers (N, N, C) at places given in texels, (…, C)."""
    n = len(layers)
    i, j = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    a, b = (u - i).astype(np.float32)[..., None], (v - j).astype(np.float32)[..., None]
    flat = layers.reshape(n * n, -1)
    i0, i1, j0, j1 = i % n, (i + 1) % n, j % n * n, (j + 1) % n * n
    lower = flat[j0 + i0] * (1 - a) + flat[j0 + i1] * a
    upper = flat[j1 + i0] * (1 - a) + flat[j1 + i1] * a
    return np.asarray(lower * (1 - b) + upper * b)


def _patterned(paint: Paint, x: Field, y: Field) -> Appearance:
    """Return a paint's pattern laid on the ground at points (N,); far away its mean stands for it."""
    if paint.surface is None:
        color = np.broadcast_to(np.asarray(paint.color, float), (*np.shape(x), 3)).copy()
        return Appearance(color, np.full(np.shape(x), 0.7 if paint.rough is None else paint.rough), 0 * x)
    made = tile(paint)
    layers = np.concatenate([made.color, made.rough[..., None], made.height[..., None] * paint.size], -1)
    mean = layers.mean((0, 1))
    r = np.hypot(x, y)
    near = r < _PATTERN_REACH
    found = np.empty((*np.shape(x), 5))
    found[:] = mean
    px, py, scale = x[near], y[near], len(layers) / paint.size
    detail: NDArray[Any] = _bilinear(layers.astype(np.float32), px * scale, py * scale)
    if paint.surface in _FREE:
        c, s = np.cos(0.7) * scale / 1.37, np.sin(0.7) * scale / 1.37
        detail = (detail + _bilinear(layers.astype(np.float32), c * px - s * py, s * px + c * py)) / 2
    fade = smoothstep(_PATTERN_REACH, 14, r[near])[..., None]
    found[near] = mean + (detail - mean) * fade
    return Appearance(found[..., :3], found[..., 3], found[..., 4])


def _ground(p: Terrain, n: Noise, x: Field, y: Field, z: Field) -> Appearance:
    """The pattern of the paint, with two tones of stain at several scales."""
    if p.paint is None:
        raise SpecError("a terrain with surface 'ground' needs a 'paint'")
    appearance = _patterned(p.paint, x, y)
    stain = mix(p.color, p.accent, smoothstep(-0.7, 0.8, n.fbm(x, y, 14, 6, 0.6, start=2)))
    tone = stain / np.maximum((np.asarray(p.color) + np.asarray(p.accent)) / 2, 0.05)
    return Appearance(appearance.color * (0.25 + 0.75 * tone), appearance.rough, appearance.micro)


def _striped(p: Terrain, n: Noise, x: Field, y: Field, appearance: Appearance) -> Appearance:
    """Lay the strips over the appearance, each only where it is."""
    for s in p.strips:
        coverage = _inside(s, n, x, y)
        at = np.nonzero(coverage > 0)
        if not len(at[0]):
            continue
        sx, sy, part = x[at], y[at], coverage[at]
        top = _patterned(s.paint, sx, sy)
        color, rough, micro = top.color * (1 + 0.07 * n.fbm(sx, sy, 3, 4, start=4))[..., None], top.rough, top.micro
        if s.wet > 0:
            puddle = smoothstep(0.55 - s.wet, 0.85 - s.wet, n.fbm(sx, sy, 3.2, 4, 0.5, start=5))
            color, rough, micro = color * (1 - 0.45 * puddle)[..., None], mix(rough, 0.06, puddle), micro * (1 - puddle)
        if s.paint.surface is None:
            part = part * (1 - 0.5 * smoothstep(0.0, 0.6, n.fbm(sx, sy, 0.5, 4, start=9)))  # paint wears off
            micro = appearance.micro[at]
        appearance.color[at] = mix(appearance.color[at], color, part)
        appearance.rough[at] = mix(appearance.rough[at], rough, part)
        appearance.micro[at] = mix(appearance.micro[at], micro, part)
    return appearance


_APPEARANCES: dict[str, Callable[[Terrain, Noise, Field, Field, Field], Appearance]] = {
    "dunes": _dunes,
    "salt": _salt,
    "seafloor": _seafloor,
    "lawn": _lawn,
    "snow": _snow,
    "track": _track,
    "street": _street,
    "ground": _ground,
}


def _far(p: Terrain, n: Noise, x: Field, y: Field, z: Field, slope: Field, appearance: Appearance) -> Appearance:
    """Return the appearance with rock on cliffs and mountains: strata by height, bare where it is steep."""
    if p.mesa <= 0 and p.mountains <= 0:
        return appearance
    band = 0.5 + 0.5 * np.sin(z * 0.55 + 1.5 * n.fbm(x, y, 40, 3)) + 0.5 * n.fbm(x, y, 14, 4, start=4)
    rock = mix(p.rock_color, p.mountain_color, np.clip(band, 0, 1))
    where = smoothstep(0.28, 0.62, slope) * smoothstep(40, 90, np.hypot(x, y))
    if p.mountains > 0 and p.surface != "snow":
        where = np.maximum(where, smoothstep(0.8, 5, z))
    return Appearance(mix(appearance.color, rock, where), appearance.rough, appearance.micro * (1 - where))


@block("terrain", Terrain)
def terrain(builder: Builder, p: Terrain) -> None:
    """Lay the ground and tell the other blocks its height."""
    noise = builder.noise
    builder.ground = lambda x, y: _land(p, noise, np.asarray(x, float), np.asarray(y, float))
    u = np.linspace(-1, 1, p.vertices)
    axis = warp(u, p.reach)
    x, y = np.meshgrid(axis, axis)
    z = _land(p, noise, x, y)
    dy, dx = np.gradient(z, axis, axis)
    normals = np.stack([-dx, -dy, np.ones_like(dx)], -1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    uu, vv = np.meshgrid((u + 1) / 2, (u + 1) / 2)
    mesh = Mesh(
        np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32),
        grid_faces(p.vertices, p.vertices),
        normals.reshape(-1, 3).astype(np.float32),
        np.stack([uu, vv], -1).reshape(-1, 2).astype(np.float32),
    )
    fine = warp((np.arange(p.texels) + 0.5) / p.texels * 2 - 1, p.reach)
    tx, ty = np.meshgrid(fine, fine)
    tz = _land(p, noise, tx, ty)
    gy, gx = np.gradient(tz, fine, fine)
    appearance = _APPEARANCES[p.surface](p, noise, tx, ty, tz)
    appearance = _striped(p, noise, tx, ty, appearance)
    appearance = _far(p, noise, tx, ty, tz, np.hypot(gx, gy), appearance)
    wet = p.surface == "street" or any(s.wet > 0 for s in p.strips)
    shiny = p.paint is not None and (p.paint.rough or 1.0) < 0.5
    builder.add(mesh, ground_material("ground", appearance, 0.6 if wet or shiny else 0.0))


def ground_material(name: str, appearance: Appearance, specular: float = 0.25) -> Material:
    """Return a material of an appearance that was evaluated with rows along +y (texture rows run down)."""

    def bytes_of(values: Field) -> NDArray[np.uint8]:
        return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)[::-1].copy()

    return Material(
        name,
        specular=specular,
        color=bytes_of(appearance.color),
        rough=bytes_of(appearance.rough),
        height=appearance.micro[::-1].astype(np.float32).copy(),
    )
