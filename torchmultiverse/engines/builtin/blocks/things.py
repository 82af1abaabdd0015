"""Shapes and props of a world's own choosing, lamps, and closed rooms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import Field

from torchmultiverse.engines.builtin import surfaces
from torchmultiverse.engines.builtin.blocks import Params, block
from torchmultiverse.engines.builtin.mesh import Light, Material, Mesh, linear
from torchmultiverse.engines.builtin.shapes import PlacedMesh, ShapeSpec, place
from torchmultiverse.engines.builtin.surfaces import Paint
from torchmultiverse.engines.builtin.world import Builder

RGB = tuple[float, float, float]


class Things(Params):
    """Shapes and props; ``paints`` are the world's own, beside the common ones of ``scenes/paints.json``."""

    paints: dict[str, Paint] = Field(default={})
    shapes: list[ShapeSpec] = Field(min_length=1)


def finished(piece: PlacedMesh, made: Material) -> tuple[Mesh, Material]:
    """Return a piece ready for the builder: colours at the vertices, texture coordinates in tiles."""
    mesh = piece.mesh
    if made.color is not None:
        assert mesh.uv is not None
        return replace(mesh, uv=(mesh.uv / np.float32(piece.paint.size)).astype(np.float32), colors=None), made
    color = linear(piece.paint.color) * piece.tint
    colors = np.tile(color.astype(np.float32), (len(mesh.vertices), 1))
    return replace(mesh, uv=None, colors=colors), made


@block("things", Things)
def things(builder: Builder, p: Things) -> None:
    """Put the shapes where they belong."""
    made: dict[Paint, Material] = {}
    for piece, grounded, spot in place(p.shapes, p.paints, builder.rng, "things: shapes"):
        if piece.paint not in made:
            made[piece.paint] = surfaces.material(piece.paint)
        mesh, surface = finished(piece, made[piece.paint])
        if grounded:
            rise = float(builder.ground(np.array([spot[0]]), np.array([spot[1]]))[0])
            mesh = replace(mesh, vertices=(mesh.vertices + np.array([0, 0, rise], np.float32)).astype(np.float32))
        builder.add(mesh, surface)


class Lamp(Params):
    """A lamp at ``at``: ``power`` is its radiant intensity by linear colour; with a ``target`` it is a spot.

    ``cone`` is the spot's opening in degrees.
    """

    at: tuple[float, float, float]
    power: RGB
    target: tuple[float, float, float] | None = None
    cone: float = 45.0


class Lamps(Params):
    """Lamps that are not seen themselves; few, for each costs shadow rays."""

    lamps: list[Lamp] = Field(min_length=1, max_length=8)


@block("lamps", Lamps)
def lamps(builder: Builder, p: Lamps) -> None:
    """Hang the lamps."""
    for lamp in p.lamps:
        builder.lights.append(Light(lamp.at, lamp.power, lamp.target, lamp.cone))


class Opening(Params):
    """A window or doorway in a wall: ``at`` is its middle along the wall seen from inside, metres, left negative.

    ``light`` is the radiance of what is seen through it; ``lights`` whether it lights the room by shadow rays.
    """

    wall: str
    at: float
    width: float
    height: float
    sill: float = 1.0
    light: float = 2.0
    tone: RGB = (0.85, 0.93, 1.0)
    lights: bool = False
    bars: int = 2
    frame: str = "white"


class Ceiling(Params):
    """Lamps in the ceiling: ``rows`` × ``columns`` glowing panels of ``size`` metres."""

    rows: int = 2
    columns: int = 2
    size: tuple[float, float] = (1.2, 0.6)
    light: float = 6.0
    tone: RGB = (1.0, 0.96, 0.9)
    lights: bool = True


class Room(Params):
    """A closed room around the centre.

    Attributes:
        x, y, height: its corners (low, high) along x and y, and its height, metres. The world's centre is the origin.
        floor, wall, ceiling: paints. ``walls`` replaces that of one wall (``back`` is at high y, ``front`` at low y,
            ``left`` at low x, ``right`` at high x); ``open`` names walls that are left out.
        wainscot: paint of the walls' lower part, up to ``wainscot_height``; none by default.
        skirting, cornice: paints of the strips along floor and ceiling.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    height: float
    paints: dict[str, Paint] = Field(default={})
    floor: str | None = "parquet"
    wall: str = "plaster"
    walls: dict[str, str] = Field(default={})
    open: list[str] = Field(default=[])
    ceiling: str | None = "white plaster"
    wainscot: str | None = None
    wainscot_height: float = 1.1
    skirting: str | None = "white"
    cornice: str | None = None
    openings: list[Opening] = Field(default=[])
    lamps: Ceiling | None = None


@block("room", Room)
def room(builder: Builder, p: Room) -> None:
    """Build floor, walls, ceiling, windows and ceiling lamps, each from shapes."""
    (x0, x1), (y0, y1), h = p.x, p.y, p.height
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    wide, deep = x1 - x0, y1 - y0
    # Each wall: its middle on the floor, the yaw that makes a panel's -y face the room, its length.
    sides = {
        "back": ((middle[0], y1), 0.0, wide),
        "front": ((middle[0], y0), 180.0, wide),
        "left": ((x0, middle[1]), 90.0, deep),
        "right": ((x1, middle[1]), -90.0, deep),
    }
    shapes: list[ShapeSpec] = []
    paints = dict(p.paints)
    if p.floor is not None:
        shapes.append(ShapeSpec(shape="floor", size=(wide, deep, 0), at=(*middle, 0), paint=p.floor))
    if p.ceiling is not None:
        shapes.append(ShapeSpec(shape="ceiling", size=(wide, deep, 0), at=(*middle, h), paint=p.ceiling))
    for name, ((x, y), yaw, long) in sides.items():
        if name in p.open:
            continue
        paint = p.walls.get(name, p.wall)
        shapes.append(ShapeSpec(shape="panel", size=(long, 0, h), at=(x, y, 0), yaw=yaw, paint=paint))
        strips = [(p.wainscot, 0.0, p.wainscot_height, 0.03), (p.skirting, 0.0, 0.14, 0.05)]
        strips.append((p.cornice, h - 0.22, 0.22, 0.14))
        for strip, low, high, thick in strips:
            if strip is not None:
                shapes.append(
                    ShapeSpec(shape="box", size=(long, 2 * thick, high), at=(x, y, low), yaw=yaw, paint=strip)
                )
    for k, o in enumerate(p.openings):
        (x, y), yaw, _ = sides[o.wall]
        c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))

        def spot(along: float, out: float, z: float, x: float = x, y: float = y, c: float = c, s: float = s) -> RGB:
            return (float(x + c * along + s * out), float(y + s * along - c * out), z)

        pane = f"pane{k}"
        paints[pane] = Paint(color=o.tone, emission=o.light, lights=o.lights, specular=0.0, lamp=False)
        size = (o.width, 0.0, o.height)
        shapes.append(ShapeSpec(shape="panel", size=size, at=spot(o.at, 0.02, o.sill), yaw=yaw, paint=pane))
        beams = [
            (o.at - o.width / 2, o.sill - 0.06, 0.08, o.height + 0.12),
            (o.at + o.width / 2, o.sill - 0.06, 0.08, o.height + 0.12),
        ]
        beams += [(o.at - o.width / 2 + o.width * j / o.bars, o.sill, 0.045, o.height) for j in range(1, o.bars)]
        for along, z, thick, tall in beams:
            shapes.append(
                ShapeSpec(shape="box", size=(thick, 0.16, tall), at=spot(along, 0.0, z), yaw=yaw, paint=o.frame)
            )
        for z in (o.sill - 0.06, o.sill + o.height * 0.62, o.sill + o.height):
            shapes.append(
                ShapeSpec(shape="box", size=(o.width, 0.16, 0.06), at=spot(o.at, 0.0, z), yaw=yaw, paint=o.frame)
            )
    if p.lamps is not None:
        n, m = p.lamps.rows, p.lamps.columns
        paints["ceiling lamp"] = Paint(color=p.lamps.tone, emission=p.lamps.light, lights=p.lamps.lights, specular=0.0)
        for i in range(n):
            for j in range(m):
                at = (x0 + wide * (j + 0.5) / m, y0 + deep * (i + 0.5) / n, h - 0.03)
                shapes.append(ShapeSpec(shape="ceiling", size=(*p.lamps.size, 0), at=at, paint="ceiling lamp"))
    things(builder, Things(paints=paints, shapes=shapes))
