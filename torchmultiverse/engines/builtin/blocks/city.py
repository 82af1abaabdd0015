"""A street between high houses at night: lit windows, shop fronts, neon signs, lanterns, wires."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.blocks import Params, block
from torchmultiverse.engines.builtin.mesh import Light, Material, Mesh, ball, box, linear, merge, quad, tube
from torchmultiverse.engines.builtin.world import Builder

_NEON = np.array(
    [
        (1.0, 0.1, 0.35),
        (0.1, 0.75, 1.0),
        (1.0, 0.65, 0.1),
        (0.3, 1.0, 0.45),
        (0.85, 0.25, 1.0),
        (1.0, 0.95, 0.85),
        (1.0, 0.2, 0.1),
        (0.2, 0.35, 1.0),
    ]
)


class Street(Params):
    """Houses along y on both sides: ``width`` between them, how far they go, radiance of windows and signs."""

    width: float = 19.0
    length: float = 110.0
    windows: float = 1.1
    signs: float = 3.2


def _facade(rng: np.random.Generator, lit: float) -> NDArray[np.float64]:
    """Return 16 × 16 windows of a house at night, sRGB (1024, 1024, 3)."""
    cell = 64
    image = np.full((16 * cell, 16 * cell, 3), 0.045)
    image += rng.uniform(0, 0.012, image.shape[:2])[..., None]
    for row in range(16):
        for column in range(16):
            y, x = row * cell, column * cell
            if rng.random() < lit:
                warm = rng.random()
                tone = np.array((1.0, 0.78, 0.45)) * warm + np.array((0.75, 0.9, 1.0)) * (1 - warm)
                level = rng.uniform(0.45, 1.0)
                pane = np.linspace(0.75, 1.0, cell - 26)[:, None, None] * tone * level
                pane = np.broadcast_to(pane, (cell - 26, cell - 18, 3)).copy()
                if rng.random() < 0.5:
                    pane[: rng.integers(8, 26)] *= 0.45
                for _ in range(rng.integers(0, 3)):
                    a = rng.integers(0, cell - 26)
                    pane[-rng.integers(6, 20) :, a : a + rng.integers(4, 9)] *= 0.3
            else:
                pane = np.full((cell - 26, cell - 18, 3), 1.0) * (0.03, 0.04, 0.06)
            image[y + 12 : y + cell - 14, x + 9 : x + cell - 9] = pane
            image[y + 12 : y + cell - 14, x + cell // 2 - 1 : x + cell // 2 + 2] *= 0.35
    return image


def _glyph(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Return something that reads as a character from far away: strokes in a square, 0 to 1."""
    out = np.zeros((side, side))
    w = max(2, side // 11)
    a, b = side // 8, side - side // 8
    for y in rng.choice(np.linspace(a, b - w, 5).astype(int), rng.integers(2, 5), replace=False):
        x0, x1 = sorted(rng.choice(np.linspace(a, b, 5).astype(int), 2, replace=False))
        out[y : y + w, x0:x1] = 1
    for x in rng.choice(np.linspace(a, b - w, 5).astype(int), rng.integers(1, 4), replace=False):
        y0, y1 = sorted(rng.choice(np.linspace(a, b, 5).astype(int), 2, replace=False))
        out[y0:y1, x : x + w] = 1
    if rng.random() < 0.6:
        t = np.linspace(0, 1, side * 2)
        for k in range(w):
            out[
                np.clip((a + t * (b - a)).astype(int), 0, side - 1),
                np.clip((side / 2 + (t - 0.2) * side * 0.35 * rng.choice((-1, 1))).astype(int) + k, 0, side - 1),
            ] = 1
    return out


def _signs(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return eight upright signs beside each other, sRGB (512, 1024, 3)."""
    image = np.zeros((512, 1024, 3))
    for k in range(8):
        tone, other = _NEON[k], _NEON[(k + 3) % 8]
        full = rng.random() < 0.45
        sign = np.ones((512, 128, 3)) * (tone * 0.75 if full else tone * 0.06)
        ink = np.ones(3) if full else tone
        for j in range(4):
            glyph = _glyph(rng, 104)[..., None]
            block_ = sign[12 + j * 124 : 116 + j * 124, 12:116]
            sign[12 + j * 124 : 116 + j * 124, 12:116] = block_ * (1 - glyph) + ink * glyph
        sign[:5] = sign[-5:] = other
        sign[:, :5] = sign[:, -5:] = other
        image[:, k * 128 : k * 128 + 128] = sign
    return image


def _bytes(color: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(np.clip(color, 0, 1) * 255).astype(np.uint8)


def _glow(name: str, image: NDArray[np.float64], emission: float) -> Material:
    return Material(name, roughness=0.35, specular=0.5, color=_bytes(image), emission=emission, repeat=True)


@block("street", Street)
def street(builder: Builder, p: Street) -> None:
    """Build the houses, their signs, and the lamps that light the centre."""
    rng, half = builder.rng, p.width / 2
    facades = [_glow(f"facade{k}", _facade(rng, lit), p.windows) for k, lit in enumerate((0.42, 0.62))]
    signs = _glow("signs", _signs(rng), p.signs)
    for side in (-1, 1):
        y = -p.length * 0.55
        while y < p.length:
            deep = float(rng.uniform(7, 13))
            tall = float(rng.uniform(16, 46))
            x = side * (half + rng.uniform(0, 0.7))
            _house(builder, rng, side, x, y, deep, tall, facades, signs)
            y += deep + (0.4 if rng.random() < 0.7 else 2.5)
    for end in (-0.58 * p.length, p.length):
        for k, x in enumerate(np.linspace(-half * 1.6, half * 1.6, 4)):
            tall = float(rng.uniform(30, 62))
            a, b = x - 5, x + 5
            corners = [[a, end, 0], [b, end, 0], [b, end, tall], [a, end, tall]]
            floors = tall / 3.1
            builder.add(
                quad(corners, [(k / 3, 0), (k / 3 + 5 / 16, 0), (k / 3 + 5 / 16, floors / 16), (k / 3, floors / 16)]),
                facades[k % 2],
            )
    _lamps(builder, p)


def _house(
    builder: Builder,
    rng: np.random.Generator,
    side: int,
    x: float,
    y: float,
    deep: float,
    tall: float,
    facades: list[Material],
    signs: Material,
) -> None:
    front = np.array([[x, y, 4.2], [x, y + deep, 4.2], [x, y + deep, tall], [x, y, tall]])
    columns, floors = round(deep / 2.2), round((tall - 4.2) / 2.9)
    u0, v0 = rng.integers(0, 16, 2) / 16
    uv = np.array([(u0, v0), (u0 + columns / 16, v0), (u0 + columns / 16, v0 + floors / 16), (u0, v0 + floors / 16)])
    if side > 0:
        front = front[[1, 0, 3, 2]]
    material = facades[int(rng.integers(2))]
    builder.add(quad(front, uv), material)
    back = x + side * 12
    for wall_y in (y, y + deep):
        wall = quad([[x, wall_y, 4.2], [back, wall_y, 4.2], [back, wall_y, tall], [x, wall_y, tall]], uv * [2, 1])
        builder.add(wall, material)
    # The ground floor: a glowing shop front under an awning, a dark band with a lit board above it.
    tone = _NEON[rng.integers(8)] * 0.35 + np.array((1.0, 0.85, 0.6)) * 0.65
    shop = box([min(x, x + side * 0.3), y + 0.5, 0.5], [max(x, x + side * 0.3), y + deep - 0.5, 3.0])
    bare = Mesh(shop.vertices, shop.faces, shop.normals)
    builder.add(bare.tinted(linear(tone * 0.75)), Material("shop", emission=1.5, specular=0.0))
    frame = [
        box([x - 0.12, y + a - 0.1, 0], [x + 0.12, y + a + 0.1, 4.2])
        for a in np.linspace(0.4, deep - 0.4, max(3, int(deep / 1.6)))
    ]
    frame.append(box([x - 0.15, y, 3.0], [x + 0.15, y + deep, 4.3]))
    frame.append(box([x - 0.15, y, 0], [x + 0.15, y + deep, 0.5]))
    awning = box([min(x, x - side * 1.1), y + 0.4, 3.0], [max(x, x - side * 1.1), y + deep - 0.4, 3.12])
    dark = merge([*frame, awning])
    builder.add(
        Mesh(dark.vertices, dark.faces, dark.normals).tinted((0.02, 0.02, 0.025)),
        Material("trim", roughness=0.4, specular=0.4),
    )
    board = int(rng.integers(8))
    lying = [(board / 8, 0), (board / 8, 1), (board / 8 + 0.125, 1), (board / 8 + 0.125, 0)]
    out = x - side * 0.2
    face = np.array(
        [[out, y + 0.8, 3.2], [out, y + deep - 0.8, 3.2], [out, y + deep - 0.8, 4.15], [out, y + 0.8, 4.15]]
    )
    builder.add(quad(face if side < 0 else face[[1, 0, 3, 2]], lying), signs)
    for _ in range(int(rng.integers(1, 4))):
        k, high = int(rng.integers(8)), float(rng.uniform(3.6, 7.0))
        low = float(rng.uniform(4.6, max(5.0, min(tall, 20) - high)))
        at, wide = y + rng.uniform(0.3, deep - 0.3), high / 4.2
        a, b = x - side * 0.25, x - side * (0.25 + wide)
        left, right = min(a, b), max(a, b)
        uv_sign = [(k / 8, 0), (k / 8 + 0.125, 0), (k / 8 + 0.125, 1), (k / 8, 1)]
        corners = np.array([[left, at, low], [right, at, low], [right, at, low + high], [left, at, low + high]])
        builder.add(quad(corners, uv_sign), signs)
        away = corners[[1, 0, 3, 2]] + [0, 0.2, 0]
        builder.add(quad(away, uv_sign), signs)


def _lamps(builder: Builder, p: Street) -> None:
    posts, bulbs = [], []
    for y in np.arange(-40, 80, 13.0):
        for side in (-1, 1):
            x = side * 6.5
            arm = [[x, y, 0], [x, y, 5.4], [x - side * 0.4, y, 5.9], [x - side * 1.2, y, 6.0]]
            posts.append(tube(arm, 0.07, 7))
            bulbs.append(ball(6, 8).moved((x - side * 1.3, y, 5.9), (0.35, 0.18, 0.1)))
    wires = []
    t = np.linspace(0, 1, 12)
    for k, y in enumerate(np.arange(8, 70, 9.0)):
        for z in (8.2, 9.0):
            path = np.stack([(t * 2 - 1) * p.width / 2, y + 3 * np.sin(k) * t, z - 1.2 * 4 * t * (1 - t) * 0.5], -1)
            wires.append(tube(path, 0.025, 4))
    builder.add(merge(posts + wires).tinted((0.015, 0.015, 0.018)), Material("trim", roughness=0.4, specular=0.4))
    warm = merge(bulbs)
    builder.add(
        Mesh(warm.vertices, warm.faces, warm.normals).tinted((1.0, 0.85, 0.6)),
        Material("bulb", emission=9.0, specular=0.0),
    )
    for at, power in (
        ((-5.2, -4.5, 6.2), (240.0, 200.0, 150.0)),
        ((5.6, -2.0, 5.4), (170.0, 45.0, 130.0)),
        ((-5.4, 5.5, 5.0), (25.0, 110.0, 180.0)),
        ((5.0, 14.0, 6.0), (160.0, 130.0, 90.0)),
    ):
        builder.lights.append(Light(at, power, (0.0, 0.4, 0.7) if at[1] < 10 else (0.0, 12.0, 0.0), 48.0))
