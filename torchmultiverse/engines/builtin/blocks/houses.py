"""Houses: walls with windows and doors, a roof; in rows along a street, around a square, or scattered."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from torchmultiverse.engines.builtin.blocks import Params, block
from torchmultiverse.engines.builtin.blocks.things import Things, things
from torchmultiverse.engines.builtin.shapes import ShapeSpec, common_paints
from torchmultiverse.engines.builtin.surfaces import Paint
from torchmultiverse.engines.builtin.world import Builder

RGB = tuple[float, float, float]


class Houses(Params):
    """Houses that look towards the centre or the street.

    Attributes:
        layout: ``street``: two rows along y, ``width`` apart, from ``start`` to ``end``; ``square``: around the centre,
            ``width`` across; ``scatter``: ``count`` of them between the radii ``near`` and ``far``.
        arc: for square and scatter: the part of the circle that has houses, degrees (90 is +y, away from the camera).
        frontage, depth, height: ranges in metres. ``gap``: range of the space between neighbours.
        walls: sRGB tones to choose from; ``wall`` the pattern: ``facade`` (windows are painted on, three to a floor of
            ``floor`` metres), ``plain`` (no windows), or a paint's name for rustic walls with a few real windows.
        frames: sRGB of window frames. ``roof``: kind, ``roof_paint``: its paint. ``doors``: whether each has one.
        lit: radiance of the windows; above 0 makes the walls those of a night.
        shops: glowing or dark shop fronts on the ground floor.
        timber: beams on the walls, as half-timbered houses have.
    """

    layout: Literal["street", "square", "scatter"] = "street"
    width: float = 18.0
    start: float = -40.0
    end: float = 90.0
    count: int = 12
    near: float = 14.0
    far: float = 40.0
    arc: tuple[float, float] = (0.0, 360.0)
    frontage: tuple[float, float] = (6.0, 10.0)
    depth: tuple[float, float] = (8.0, 11.0)
    height: tuple[float, float] = (7.0, 13.0)
    gap: tuple[float, float] = (0.0, 0.0)
    walls: list[RGB] = Field(min_length=1)
    wall: str = "facade"
    floor: float = 3.0
    frames: RGB = (0.9, 0.88, 0.84)
    roof: Literal["gable", "hip", "flat", "none", "front_gable"] = "gable"
    roof_paint: str = "roof tiles"
    doors: bool = True
    door: str = "brown"
    shops: bool = False
    timber: bool = False
    lit: float = 0.0


def _places(p: Houses, rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    """Return of each house the middle of its front, the yaw that turns its front (-y) to the viewer, its frontage."""
    found: list[tuple[float, float, float, float]] = []
    if p.layout == "street":
        for side in (-1, 1):
            y = p.start
            while y < p.end:
                wide = float(rng.uniform(*p.frontage))
                found.append((side * p.width / 2, y + wide / 2, 90.0 if side < 0 else -90.0, wide))
                y += wide + float(rng.uniform(*p.gap))
    elif p.layout == "square":
        angle, radius = p.arc[0], p.width / 2
        while angle < p.arc[1] - 1e-6:
            wide = float(rng.uniform(*p.frontage))
            step = np.degrees(2 * np.arcsin(min((wide + float(rng.uniform(*p.gap))) / 2 / radius, 1.0)))
            t = np.radians(angle + step / 2)
            found.append((radius * np.cos(t), radius * np.sin(t), float(np.degrees(t)) - 90.0, wide))
            angle += step
    else:
        tries = 0
        while len(found) < p.count and tries < 4000:
            tries += 1
            t = np.radians(rng.uniform(*p.arc))
            d = np.sqrt(rng.uniform(p.near**2, p.far**2))
            x, y, wide = d * np.cos(t), d * np.sin(t), float(rng.uniform(*p.frontage))
            if all(np.hypot(x - a, y - b) > 0.75 * (wide + w) + 2 for a, b, _, w in found):
                found.append((x, y, float(np.degrees(t)) - 90 + rng.uniform(-25, 25), wide))
    return found


class _House:
    """One house as shapes in its own coordinates (front at y = 0, facing -y), moved to its place.

    Args:
        p: what houses look like.
        rng: random numbers.
        spot: the middle of its front, its yaw and its frontage.
        wall: paint of its walls.
    """

    def __init__(self, p: Houses, rng: np.random.Generator, spot: tuple[float, float, float, float], wall: str) -> None:
        self._p, self._rng, self._wall = p, rng, wall
        self._x, self._y, self._yaw, self._wide = spot
        self._deep = float(rng.uniform(*p.depth))
        self._floors = max(1, round(float(rng.uniform(*p.height)) / p.floor))
        self._high = self._floors * p.floor
        self.shapes: list[ShapeSpec] = []

    def _put(self, kind: str, at: tuple[float, float, float], paint: str, turn: float = 0.0, **facts: object) -> None:
        c, s = np.cos(np.radians(self._yaw)), np.sin(np.radians(self._yaw))
        here = (float(self._x + c * at[0] - s * at[1]), float(self._y + s * at[0] + c * at[1]), at[2])
        data = {"shape": kind, "at": here, "yaw": self._yaw + turn, "paint": paint, **facts}
        self.shapes.append(ShapeSpec.model_validate(data))

    def build(self) -> list[ShapeSpec]:
        """Return all of it."""
        wide, deep, high = self._wide, self._deep, self._high
        self._put("panel", (0, 0, 0), self._wall, size=(wide, 0, high))
        self._put("panel", (0, deep, 0), self._wall, 180.0, size=(wide, 0, high))
        self._put("panel", (-wide / 2, deep / 2, 0), self._wall, -90.0, size=(deep, 0, high))
        self._put("panel", (wide / 2, deep / 2, 0), self._wall, 90.0, size=(deep, 0, high))
        if self._p.wall not in ("facade", "plain"):
            self._windows()
        if self._p.timber:
            self._timber()
        if self._p.shops:
            self._shop()
        elif self._p.doors:
            self._door()
        self._roof()
        return self.shapes

    def _windows(self) -> None:
        p = self._p
        for floor in range(self._floors):
            for at in np.arange(-self._wide / 2 + 1.3, self._wide / 2 - 0.8, 2.4):
                if floor == 0 and abs(at) < 0.9:
                    continue
                z = floor * p.floor + 1.0
                pane = "lit pane" if p.lit > 0 and self._rng.random() < 0.7 else "dark glass"
                self._put("box", (at, 0, z - 0.08), "frame", size=(1.1, 0.16, 1.4))
                self._put("box", (at, -0.03, z), pane, size=(0.9, 0.16, 1.2))
                self._put("box", (at, -0.06, z), "frame", size=(0.06, 0.16, 1.2))
                self._put("box", (at, -0.06, z + 0.7), "frame", size=(0.9, 0.16, 0.06))

    def _timber(self) -> None:
        wide, floor = self._wide, self._p.floor
        for z in (0.0, floor - 0.15, self._high - 0.25):
            self._put("box", (0, 0, z), "timber", size=(wide, 0.2, 0.22))
        for at in np.linspace(-wide / 2, wide / 2, max(3, round(wide / 1.6)) + 1):
            self._put("box", (at, 0, 0), "timber", size=(0.2, 0.2, self._high))
        for side in (-1, 1):
            at = (side * (wide / 2 - 0.8), -0.02, 0.1)
            self._put("box", at, "timber", size=(0.17, 0.14, floor * 1.1), roll=-side * 28)

    def _shop(self) -> None:
        wide, rng = self._wide, self._rng
        glass = "lit pane" if self._p.lit > 0 else "dark glass"
        self._put("box", (0, -0.02, 0.45), glass, size=(wide * 0.86, 0.2, 2.1))
        self._put("box", (0, -0.1, 2.55), f"awning{rng.integers(4)}", size=(wide * 0.92, 0.5, 0.5))
        for at in np.linspace(-0.43, 0.43, 4):
            self._put("box", (at * wide, -0.06, 0), "frame", size=(0.14, 0.24, 2.6))
        profile = [(-0.7, 0.0), (0.75, 0.55), (0.75, 0.6), (-0.7, 0.06)]
        awning = f"awning{rng.integers(4)}"
        self._put("slab", (0, -0.75, 2.5), awning, 90.0, size=(1, wide * 0.86, 1), profile=profile)

    def _door(self) -> None:
        at = 0.0 if self._p.wall != "facade" else float(self._rng.choice((-1, 0, 1))) * self._wide / 3
        self._put("box", (at, 0, 0), "frame", size=(1.25, 0.24, 2.25))
        self._put("box", (at, -0.03, 0), self._p.door, size=(1.0, 0.24, 2.1))
        self._put("box", (at, -0.35, 0), "frame", size=(1.5, 0.6, 0.14))

    def _roof(self) -> None:
        p, wide, deep, high = self._p, self._wide, self._deep, self._high
        over, rise = 0.4, min(wide, deep) * 0.38
        if p.roof == "gable":
            a, b = deep / 2 + over, deep / 2
            outline = [(-a, -0.3), (a, -0.3), (a, -0.15), (0, rise + 0.25), (-a, -0.15)]
            self._put("slab", (0, b, high), p.roof_paint, 90.0, size=(1, wide + 2 * over, 1), profile=outline)
        elif p.roof == "front_gable":
            a = wide / 2 + over
            outline = [(-a, -0.3), (a, -0.3), (a, -0.1), (0, rise * 1.35 + 0.25), (-a, -0.1)]
            self._put("slab", (0, deep / 2, high), p.roof_paint, size=(1, deep + 2 * over, 1), profile=outline)
            inner = [(-wide / 2, -0.3), (wide / 2, -0.3), (0, rise * 1.2)]
            self._put("slab", (0, deep / 2, high), self._wall, size=(1, deep + 2 * over + 0.04, 1), profile=inner)
        elif p.roof == "hip":
            scale = (wide + 2 * over, deep + 2 * over, 1.0)
            cone = {"r": 0.7071, "r2": 0.12, "h": rise, "sides": 4, "size": (1, 1, 1)}
            self._put("cylinder", (0, deep / 2, high), p.roof_paint, 45.0, **cone)
            self.shapes[-1] = self.shapes[-1].model_copy(update={"scale": scale, "yaw": self._yaw})
        elif p.roof == "flat":
            paint = "timber" if p.lit else self._wall
            self._put("box", (0, deep / 2, high), paint, size=(wide + 0.2, deep + 0.2, 0.5))
        if p.roof in ("gable", "front_gable", "hip") and self._rng.random() < 0.7:
            self._put("box", (wide * 0.28, deep * 0.55, high), "chimney", size=(0.6, 0.6, rise + 0.7))


@block("houses", Houses)
def houses(builder: Builder, p: Houses) -> None:
    """Build all of them from shapes."""
    rng = builder.rng
    paints: dict[str, Paint] = {
        "frame": Paint(color=p.frames, rough=0.6),
        "timber": Paint(color=(0.2, 0.12, 0.07), rough=0.8),
        "chimney": Paint(color=(0.5, 0.24, 0.18), rough=0.9),
        "lit pane": Paint(color=(1.0, 0.78, 0.45), emission=max(p.lit, 0.01), specular=0.0),
    }
    for k, tone in enumerate(((0.6, 0.1, 0.1), (0.1, 0.3, 0.2), (0.12, 0.2, 0.4), (0.85, 0.8, 0.7))):
        paints[f"awning{k}"] = Paint(color=tone, rough=0.7)
    names = []
    for k, tone in enumerate(p.walls):
        name = f"house wall {k}"
        if p.wall == "facade" and p.lit > 0:
            paints[name] = Paint(surface="lit_facade", color=tone, accent=(1.0, 0.8, 0.5), size=8, emission=p.lit)
        elif p.wall == "facade":
            paints[name] = Paint(surface="facade", color=tone, accent=p.frames, size=3 * p.floor)
        elif p.wall == "plain" or p.timber:
            dark = (tone[0] * 0.85, tone[1] * 0.84, tone[2] * 0.8)
            paints[name] = Paint(surface="plaster", color=tone, accent=dark, size=5)
        else:
            base = common_paints().get(p.wall, Paint(surface="plaster", color=tone, size=5))
            dark = (tone[0] * 0.75, tone[1] * 0.74, tone[2] * 0.72)
            paints[name] = base.model_copy(update={"color": tone, "accent": base.accent if k < 0 else dark})
        names.append(name)
    shapes: list[ShapeSpec] = []
    for k, spot in enumerate(_places(p, rng)):
        shapes += _House(p, rng, spot, names[(k * 7 + k // 3) % len(names)]).build()
    things(builder, Things(paints=paints, shapes=shapes))
