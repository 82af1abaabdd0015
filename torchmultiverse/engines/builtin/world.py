"""Worlds: what their JSON files say, what building blocks add to, and what they become."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.engines.builtin.mesh import Light, Material, Mesh, MeshPart
from torchmultiverse.engines.builtin.noise import Noise
from torchmultiverse.engines.builtin.sky import RGB, Sky
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import OWN

GROUND_EXTENT = 4.0
"""Half the side of the square around the centre whose ground height a world knows."""


class Haze(BaseModel):
    """Air or water between the eye and things: ``density`` per metre, ``start`` metres of clear view.

    ``shafts`` is the strength of light beams from above (under water), ``absorb`` the extra density by colour.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    color: RGB
    density: float
    start: float = 0.0
    absorb: RGB = (0.0, 0.0, 0.0)
    shafts: float = 0.0


_OPEN = 1e4
"""From here on, metres, a limit of the camera is none."""


OUTDOORS = "outdoors"
"""Setting of a world that is open to the sky."""


class Camera(BaseModel):
    """How the centre is looked at: ``elevation`` in degrees at ``Camera_Pitch`` 0, ``reach`` a factor on the layout's
    distance.

    ``low`` and ``high`` are the corners of the room or open air the eye sees from: what is outside (a wall, the
    ground) is looked through.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    elevation: float = 5.0
    reach: float = 1.0
    low: RGB = (-_OPEN, -_OPEN, 0.05)
    high: RGB = (_OPEN, _OPEN, _OPEN)


class WorldSpec(BaseModel):
    """The content of ``scenes/worlds/NAME.json``.

    Attributes:
        caption: what a person calls the place, in a sentence such as "in a …".
        sky: see `sky.Sky`.
        exposure: stops on top of the world's fixed exposure (which makes lit ground of ``key`` albedo middle grey).
        light: irradiance that the exposure is made for; by default what the sky sends down.
        blocks: what the world is built of, in order; the ground first. ``kind`` names a block.
        airless: whether it is in space: no weather, no air.
        samples: per pixel, where nobody asks for another number: more where fine things are seen against the light.
        glow: share of light that spreads around bright things, as in a lens or in wet air.
        lit_windows: share of the windows in which light is on while a sun that is asked for has set (see `evening`).
        no_sun: why no sun can be moved here and no clouds drawn up, such as "a closed room"; None where they can.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    caption: str
    sky: Sky = Sky()
    haze: Haze | None = None
    camera: Camera = Camera()
    exposure: float = 0.0
    light: float | None = None
    saturation: float = 1.0
    airless: bool = False
    samples: int = Field(default=16, ge=1, le=256)
    glow: float = 0.0
    lit_windows: float = Field(default=0.0, ge=0, le=1)
    no_sun: str | None = None
    blocks: list[dict[str, Any]] = Field(min_length=1)

    @property
    def setting(self) -> str:
        """Where the eye is: indoors (shut in on all sides), under a roof, under water, in space, or outdoors."""
        limits = (*self.camera.low, *self.camera.high)
        if all(abs(limit) < _OPEN for limit in limits):
            return "indoors"
        if self.haze is not None and self.haze.shafts > 0:
            return "under water"
        if self.airless:
            return "in space"
        return OUTDOORS if self.camera.high[2] >= _OPEN else "under a roof"

    @property
    def about(self) -> str:
        """What it is in a few words: its caption and its setting."""
        return f"{self.caption}, {self.setting}"


Ground = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass
class Builder:
    """What a block works on: it adds parts and lights, and may set or read the ground.

    Attributes:
        rng: random numbers of this block alone, so that a change in one block leaves the others as they are.
        noise: the world's fields.
        ground: height of the ground, metres, at x and y.
    """

    spec: WorldSpec
    rng: np.random.Generator
    noise: Noise
    ground: Ground = field(default=lambda x, y: np.zeros(np.shape(x)))
    parts: list[MeshPart] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)

    def add(self, mesh: Mesh, material: Material) -> None:
        """Add a mesh of a material."""
        self.parts.append(MeshPart(material, mesh))


@dataclass(frozen=True)
class World:
    """A built world: all arrays, ready for the renderer.

    Attributes:
        heights: ground height on a grid over the centre, rows along +y.
        environment: linear radiance, float32 (H, W, 3), first row at the zenith.
        exposure: factor from radiance to the tone curve.
        region: look that it has (see `regions`), or ``own``.
        wetness, snow_cover: of what lies open to the sky, 0 to 1 (see `tracer.cover`).
        evening: whether light is on in its windows.
    """

    name: str
    spec: WorldSpec
    parts: list[MeshPart]
    lights: list[Light]
    environment: NDArray[np.float32]
    heights: NDArray[np.float32]
    exposure: float
    region: str = OWN
    wetness: float = 0.0
    snow_cover: float = 0.0
    evening: bool = False

    def ground(self, x: float, y: float) -> float:
        """Return the ground height at a point near the centre, metres."""
        n = len(self.heights) - 1
        u, v = (float(np.clip((c + GROUND_EXTENT) / (2 * GROUND_EXTENT), 0, 1)) * n for c in (x, y))
        i, j = min(int(u), n - 1), min(int(v), n - 1)
        a, b = u - i, v - j
        h = self.heights
        return float(
            (h[j, i] * (1 - a) + h[j, i + 1] * a) * (1 - b) + (h[j + 1, i] * (1 - a) + h[j + 1, i + 1] * a) * b
        )


def world_names() -> list[str]:
    """Return the names of all worlds, sorted."""
    return sorted(path.stem for path in (data_folder("scenes") / "worlds").glob("*.json"))


def load_spec(name: str) -> tuple[WorldSpec, bytes]:
    """Return a world's file, checked, and its bytes.

    Raises:
        SpecError: no such world, or a file that is wrong; names the place.
    """
    known = world_names()
    if name not in known:
        raise SpecError(f"no world '{name}'.{nearest(name, known)}")
    path = data_folder("scenes") / "worlds" / f"{name}.json"
    data = path.read_bytes()
    try:
        return WorldSpec.model_validate_json(data), data
    except ValidationError as error:
        raise SpecError(f"{path}: {error}") from None
