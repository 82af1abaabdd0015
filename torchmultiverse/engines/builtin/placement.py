"""Where the camera and the characters are: functions of a scene's factors and the world, never of the picture.

Coordinates: metres, right-handed, z up. At ``Camera_Yaw`` 0 the camera looks along +y, and +x runs to the right. The
camera stands at a distance fixed by the layout (one character, two side by side, one above the other), so that a
character's size in the picture says nothing but its size.

Angles are an Unreal ``FRotator``'s, whose axes are forward, right, up: a left-handed frame, so that a positive yaw
turns to the right (clockwise seen from above), a positive pitch raises the nose, and a positive roll lowers the right
side. Roll is applied first, then pitch, then yaw. For the camera forward is where it looks, here +y; for a character it
is where its nose points, at 0 the picture's right, +x.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.lens import SENSOR_SIDE, Lens, lens_of, undistorted
from torchmultiverse.engines.builtin.relative import RELATIVE
from torchmultiverse.engines.builtin.world import World
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.scenes import BLANK, Scene

Layout = Literal["center", "pair", "stack", "free"]
POSITIONS = tuple(sorted(("bottom", "center", "left", "location", "right", "top", *RELATIVE)))
FOV = 40.0
"""Opening of the shorter side of the picture in the published layouts, degrees."""
_SIDE = 1.12
_GAP = 0.22
_SPECIES_SIZE = 1.6
# Distance of the camera, height of what it looks at (metres above the ground), and opening of the picture. Every world
# has room for 6.9 metres, so what needs more room in the picture gets a wider lens.
_LAYOUTS: dict[Layout, tuple[float, float, float]] = {
    "center": (4.7, 0.98, FOV),
    "pair": (6.9, 1.2, FOV),
    "stack": (6.9, 1.8, FOV),
    "free": (6.9, 1.8, 51.0),
}
UNIT = _SPECIES_SIZE / 150
"""Metres of one unit of ``Character_Location``: in the published scenes an object's longest edge has 150 of them."""


_PIECE = 1 << 14


def product(points: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """Return points (N, 3) times a matrix (3, 3). In pieces, which BLAS gives to no threads of its own: their waiting
    costs several times the work."""
    out = np.empty(points.shape, np.result_type(points, matrix))
    for start in range(0, len(points), _PIECE):
        np.matmul(points[start : start + _PIECE], matrix, out=out[start : start + _PIECE])
    return out


def extent(points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the least and the greatest coordinates of points (N, 3). Axis by axis: that is tens of times as quick."""
    axes = np.ascontiguousarray(points.T)
    return axes.min(1), axes.max(1)


@dataclass(frozen=True)
class View:
    """A camera: a pinhole, and what its lens does beyond that.

    Attributes:
        position: of the eye, world coordinates.
        rotation: (3, 3), rows are the camera's axes x right, y down, z forward in world coordinates, so that
            ``camera = rotation @ (world - position)``.
        focal: focal length in pixels, square pixels; the principal point is the picture's centre.
        size: width and height in pixels.
        lens: depth of field and distortion.
    """

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    focal: float
    size: tuple[int, int]
    lens: Lens = Lens()  # noqa: RUF009 - frozen

    @property
    def opening(self) -> float:
        """Opening of the shorter side of the picture, degrees."""
        return float(2 * np.degrees(np.arctan(min(self.size) / 2 / self.focal)))

    def project(self, points: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return pixel coordinates (N, 2) (pixel centres at halves) and depths (N,) of world points (N, 3)."""
        p = product(np.asarray(points, float) - self.position, self.rotation.T)
        depth = p[:, 2]
        flat = self.focal * p[:, :2] / np.where(np.abs(depth) < 1e-9, 1e-9, depth)[:, None]
        if self.lens.distortion:
            flat = self.focal * self.lens.distorted(flat / self.focal)
        return flat + np.asarray(self.size) / 2, depth

    def slopes(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return how far to the right and how far down a ray goes per metre forward, for pixel coordinates.

        Args:
            x, y: of shapes that go with each other; pixel centres are at halves.
        """
        width, height = self.size
        u, v = (x - width / 2) / self.focal, (y - height / 2) / self.focal
        if self.lens.distortion:
            radius = np.maximum(np.sqrt(u**2 + v**2), 1e-9)
            factor = undistorted(radius, self.lens.distortion) / radius
            u, v = u * factor, v * factor
        return u, v

    def grid(self, step: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the `slopes` at the centres of every ``step``-th pixel, of shapes that go with (H, W)."""
        width, height = self.size
        return self.slopes((np.arange(0, width, step) + 0.5)[None], (np.arange(0, height, step) + 0.5)[:, None])

    def as_dict(self) -> dict[str, Any]:
        """Return intrinsics and extrinsics as JSON values, with their conventions."""
        width, height = self.size
        extrinsic = np.concatenate([self.rotation, (-self.rotation @ self.position)[:, None]], 1)
        more: dict[str, Any] = {}
        if k1 := self.lens.distortion:
            more["distortion"] = {"model": "OpenCV", "k1": k1, "k2": 0.0, "p1": 0.0, "p2": 0.0}
        if self.lens.aperture:
            more["depth_of_field"] = {"aperture_m": self.lens.aperture, "focus_m": self.lens.focus}
        return more | {
            "convention": "world: metres, right-handed, z up; camera: x right, y down, z forward; "
            "pixel = K [R|t] world, pixel centres at halves"
            + ("; after the division by depth x (1 + k1 r²), r² = x · x" if self.lens.distortion else ""),
            "K": [[self.focal, 0.0, width / 2], [0.0, self.focal, height / 2], [0.0, 0.0, 1.0]],
            "Rt": [[float(v) for v in row] for row in extrinsic],
        }


@dataclass(frozen=True)
class Actor:
    """One character of a scene: its factors, and ``travel``, the metres that it goes nose first while the shutter is
    open; whether the engine added it."""

    number: int
    name: str
    scale: float
    yaw: float
    roll: float
    pitch: float
    texture: str
    position: str
    location: tuple[float, float, float] = (0.0, 0.0, 0.0)
    travel: float = 0.0
    distractor: bool = False


def scene_actors(scene: Scene) -> list[Actor]:
    """Return the characters that are there, with their positions.

    Two characters of which neither has a place stand left and right.

    Raises:
        SpecError: an unknown position, two characters in one place, or one that is relative to none.
    """
    found = []
    for number, prefix in ((1, "Character"), (2, "Character2")):
        position = scene.get_str(f"Character{number}_Pos")
        if position not in POSITIONS:
            raise SpecError(f"Character{number}_Pos = '{position}' is unknown.{nearest(position, POSITIONS)}")
        name = scene.get_str(f"{prefix}_Name")
        if name != BLANK:
            angles = [scene.get_float(f"{prefix}_Rotation_{axis}") for axis in ("Yaw", "Roll", "Pitch")]
            scale, texture = scene.get_float(f"{prefix}_Scale"), scene.get_str(f"{prefix}_Texture")
            wire = f"{prefix}_Location"
            location = scene.table[wire].parts(scene[wire])
            if position not in ("location", *RELATIVE) and any(location):
                raise SpecError(f"{wire} = '{scene[wire]}' needs Character{number}_Pos = 'location'")
            found.append(Actor(number, name, scale, angles[0], angles[1], angles[2], texture, position, location))
    relative = [actor for actor in found if actor.position in RELATIVE]
    if relative and len(found) - len(relative) != 1:
        first = relative[0]
        raise SpecError(
            f"Character{first.number}_Pos = '{first.position}' is relative to the other character, which "
            + ("is relative to this one; give one of them 'location'" if len(relative) == 2 else "is not there")
        )
    if len(found) == 2:
        places = [actor.position for actor in found]
        if places == ["center", "center"]:
            return [replace(found[0], position="left"), replace(found[1], position="right")]
        if places[0] == places[1] != "location":
            raise SpecError(f"both characters are at '{places[0]}'; give Character1_Pos and Character2_Pos two places")
    return found


def layout(scene: Scene, actors: list[Actor]) -> Layout:
    """Return which of the three camera distances applies: by the places asked for, filled or not."""
    places = {scene.get_str("Character1_Pos"), scene.get_str("Character2_Pos"), *(a.position for a in actors)}
    if places & {"location", *RELATIVE}:
        return "free"
    if places & {"bottom", "top"}:
        return "stack"
    return "pair" if places & {"left", "right"} else "center"


def spot(actor: Actor) -> tuple[float, float]:
    """Return where a character stands, metres: x and y."""
    away, right, _ = (part * UNIT for part in actor.location)
    return {"left": -_SIDE, "right": _SIDE}.get(actor.position, 0.0) + right, away


def place(
    actor: Actor,
    actors: list[Actor],
    world: World,
    vertices: NDArray[Any],
    normals: NDArray[Any],
    hover: float,
    anchor: NDArray[Any] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a character's vertices and normals in world coordinates.

    It is turned, then set on the ground of its place; what swims or flies hovers above it, and what is at the top
    hovers above the size that the character at the bottom has.

    Args:
        actor, actors: the character, and all of the scene.
        world: where it stands.
        vertices, normals: of its mesh, (V, 3).
        hover: height of its lowest point above the ground, at scale 1.
        anchor: the point of the mesh (3,) that comes over the spot, such as its centre of mass; by default the middle
            of the bounding box that it has when it is turned.
    """
    turn = rotation(actor.yaw, actor.pitch, actor.roll)
    low, high = extent(vertices)
    middle = (low + high).astype(float) / 2
    turned = product((vertices - middle) * actor.scale, turn.T)
    x, y = spot(actor)
    up = actor.location[2] * UNIT
    low, high = extent(turned)
    centre = (low + high) / 2 if anchor is None else turn @ ((np.asarray(anchor, float) - middle) * actor.scale)
    offset = np.array([x - centre[0], y - centre[1], world.ground(x, y) + up - low[2]])
    if actor.position == "top":
        below = next((other.scale for other in actors if other.position in ("bottom", "center")), 1.0)
        offset[2] += _SPECIES_SIZE * below + _GAP
    else:
        offset[2] += hover * actor.scale
    return (turned + offset).astype(np.float32), product(normals, turn.T).astype(np.float32)


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Return the turn of a character that faces +x, (3, 3): roll (its right side, -y, down), then pitch (nose up), then
    yaw (to its right), degrees."""
    y, p, r = np.radians([-yaw, -pitch, roll])
    about_z = np.array([[np.cos(y), -np.sin(y), 0], [np.sin(y), np.cos(y), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(p), 0, np.sin(p)], [0, 1, 0], [-np.sin(p), 0, np.cos(p)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(r), -np.sin(r)], [0, np.sin(r), np.cos(r)]])
    return np.asarray(about_z @ about_y @ about_x)


def turned(actor: Actor, turn: NDArray[Any]) -> Actor:
    """Return a character with the angles that it has after a further turn (3, 3) in the world."""
    found = turn @ rotation(actor.yaw, actor.pitch, actor.roll)
    pitch = float(np.degrees(np.arcsin(np.clip(found[2, 0], -1, 1))))
    yaw = float(np.degrees(np.arctan2(-found[1, 0], found[0, 0])))
    roll = float(np.degrees(np.arctan2(found[2, 1], found[2, 2])))
    return replace(actor, yaw=yaw, pitch=pitch, roll=roll)


def view(scene: Scene, world: World, kind: Layout, size: tuple[int, int]) -> View:
    """Return the camera: on a sphere around the world's centre, looking at it.

    It is at the end of an arm that turns about the centre, as an Unreal spring arm does: a camera that looks down is
    above, and one at a pitch beyond -90 has gone over the top and sees the world upside down. At ``Camera_Pitch`` 0 it
    has the world's own view, which looks down by ``elevation``.
    """
    camera = world.spec.camera
    distance, height, opening = _LAYOUTS[kind]
    distance *= camera.reach
    if (own := scene.get_number("Camera_Distance")) is not None:
        distance = own
    yaw, pitch, roll = (np.radians(scene.get_float(f"Camera_{axis}")) for axis in ("Yaw", "Pitch", "Roll"))
    elevation = _elevation(scene, camera.elevation, distance, height) - pitch
    forward_flat = np.array([np.sin(yaw), np.cos(yaw), 0.0])
    up_axis = np.array([0.0, 0.0, 1.0])
    forward = forward_flat * np.cos(elevation) - up_axis * np.sin(elevation)
    right = np.cross(forward_flat, up_axis)
    down = np.cross(forward, right)
    target = np.array([0, 0, world.ground(0, 0) + height])
    c, s = np.cos(roll), np.sin(roll)
    axes = np.stack([right * c + down * s, down * c - right * s, forward])
    focal = min(size) / 2 / np.tan(np.radians(opening / 2))
    if (length := scene.get_number("Camera_Focal_Length")) is not None:
        focal = min(size) * length / SENSOR_SIDE
    lens = lens_of(scene, size, float(focal), distance)
    return View(target - forward * distance, axes, float(focal), size, lens)


def _elevation(scene: Scene, own: float, distance: float, height: float) -> float:
    """Return how far the camera looks down at ``Camera_Pitch`` 0, radians.

    Raises:
        SpecError: it would have to be higher or lower than it is far.
    """
    above = scene.get_number("Camera_Height")
    if above is None:
        return float(np.radians(own))
    if abs(above - height) >= distance:
        raise SpecError(
            f"Camera_Height = {above:g}: a camera {distance:.3g} m from what it looks at, {height:.3g} m above "
            f"the ground, is from {height - distance:.3g} to {height + distance:.3g} m high"
        )
    return float(np.arcsin((above - height) / distance))


def eye_of(world: World) -> NDArray[np.float64]:
    """Return where the camera at yaw 0 is that looks at characters in places of their own, (3,)."""
    distance, height, _ = _LAYOUTS["free"]
    elevation = np.radians(world.spec.camera.elevation)
    back, up = np.cos(elevation), np.sin(elevation)
    target = np.array([0, 0, world.ground(0, 0) + height])
    return np.asarray(target + distance * world.spec.camera.reach * np.array([0, -back, up]))


def entry(view: View, low: NDArray[Any], high: NDArray[Any], directions: NDArray[Any]) -> NDArray[np.float64]:
    """Return how far along each direction (N, 3) the eye's ray first is inside a box; -1 where it never is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / np.where(np.abs(directions) < 1e-12, 1e-12, directions)
        a, b = (low - view.position) * inverse, (high - view.position) * inverse
    near, far = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
    return np.where(far > np.maximum(near, 0), np.maximum(near, 0), -1.0)
