"""Worlds: JSON files over building blocks, and what they become: meshes by material, a sky, lamps, a stage."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.engines.builtin import sky as sky_module
from torchmultiverse.engines.builtin.mesh import Light, Material, Mesh, Part, merge
from torchmultiverse.engines.builtin.noise import Noise
from torchmultiverse.engines.builtin.sky import RGB, Sky
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.resources import cache_folder, data_folder

STAGE = 4.0
"""Half the side of the square around the centre whose ground height a world knows."""
_STAGE_SAMPLES = 65


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


class Camera(BaseModel):
    """How the stage is looked at: ``elevation`` in degrees at ``Camera_Pitch`` 0, ``reach`` a factor on the layout's
    distance.

    ``low`` and ``high`` are the corners of the room or open air the eye sees from: what is outside (a wall, the
    ground) is looked through.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    elevation: float = 5.0
    reach: float = 1.0
    low: RGB = (-1e4, -1e4, 0.05)
    high: RGB = (1e4, 1e4, 1e4)


class WorldSpec(BaseModel):
    """The content of ``scenes/worlds/NAME.json``.

    Attributes:
        caption: what a person calls the place, in a sentence such as "in a …".
        sky: see `sky.Sky`.
        exposure: stops on top of the world's fixed exposure (which makes lit ground of ``key`` albedo middle grey).
        light: irradiance that the exposure is made for; by default what the sky sends down.
        blocks: what the world is built of, in order; the ground first. ``kind`` names a block.
        samples: per pixel, where nobody asks for another number: more where fine things are seen against the light.
        glow: share of light that spreads around bright things, as in a lens or in wet air.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    caption: str
    sky: Sky = Sky()
    haze: Haze | None = None
    camera: Camera = Camera()
    exposure: float = 0.0
    light: float | None = None
    saturation: float = 1.0
    samples: int = Field(default=16, ge=1, le=256)
    glow: float = 0.0
    blocks: list[dict[str, Any]] = Field(min_length=1)


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
    parts: list[Part] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)

    def add(self, mesh: Mesh, material: Material) -> None:
        """Add a mesh of a material."""
        self.parts.append(Part(material, mesh))


@dataclass(frozen=True)
class World:
    """A built world: all arrays, ready for the renderer.

    Attributes:
        heights: ground height on a grid over the stage, rows along +y.
        environment: linear radiance, float32 (H, W, 3), first row at the zenith.
        exposure: factor from radiance to the tone curve.
    """

    name: str
    spec: WorldSpec
    parts: list[Part]
    lights: list[Light]
    environment: NDArray[np.float32]
    heights: NDArray[np.float32]
    exposure: float

    def ground(self, x: float, y: float) -> float:
        """Return the ground height at a point of the stage, metres."""
        n = len(self.heights) - 1
        u, v = (float(np.clip((c + STAGE) / (2 * STAGE), 0, 1)) * n for c in (x, y))
        i, j = min(int(u), n - 1), min(int(v), n - 1)
        a, b = u - i, v - j
        h = self.heights
        return float(
            (h[j, i] * (1 - a) + h[j, i + 1] * a) * (1 - b) + (h[j + 1, i] * (1 - a) + h[j + 1, i + 1] * a) * b
        )


def world_names() -> list[str]:
    """Return the names of all worlds, sorted."""
    return sorted(path.stem for path in (data_folder("scenes") / "worlds").glob("*.json"))


def base_name(name: str) -> str:
    """Return a world's name without its view suffix."""
    head, _, tail = name.rpartition("_")
    return head if head and tail.isdigit() else name


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


_MADE_BY = ("mesh", "noise", "shapes", "sky", "surfaces", "world")
"""Modules of this folder, beside all building blocks, whose code goes into a world's meshes and textures."""


@lru_cache(maxsize=1)
def _code() -> tuple[Path, ...]:
    """Return the files of all code that worlds are made by."""
    here = Path(__file__).parent
    return (*sorted((here / "blocks").glob("*.py")), *(here / f"{name}.py" for name in _MADE_BY))


def _sources(world: dict[str, Any]) -> bytes:
    """Return a hash of each file that a world is made of beside its own: code, paints, and props."""
    scenes = data_folder("scenes")
    data = {scenes / "paints.json"}
    text = [json.dumps(world)]
    while text:
        for name in re.findall(r'"prop":\s*"([^"]+)"', text.pop()):
            file = scenes / "props" / f"{name}.json"
            if file not in data and file.is_file():
                data.add(file)
                text.append(file.read_text())
    return b"".join(hashlib.sha256(file.read_bytes()).digest() for file in [*_code(), *sorted(data)])


def build(name: str, spec: WorldSpec) -> World:
    """Build a world from its spec. The same name and spec always give the same arrays."""
    from torchmultiverse.engines.builtin.blocks import apply

    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    noise = Noise(np.random.default_rng([seed, 0]))
    builder = Builder(spec, np.random.default_rng([seed, 1]), noise)
    for k, block in enumerate(spec.blocks):
        builder.rng = np.random.default_rng([seed, 2 + k])
        apply(builder, block, f"scenes/worlds/{name}.json: blocks[{k}]")
    by_material: dict[str, list[Part]] = {}
    for part in builder.parts:
        by_material.setdefault(part.material.name, []).append(part)
    parts = [Part(same[0].material, merge([p.mesh for p in same])) for same in by_material.values()]
    environment = sky_module.environment(spec.sky, noise, np.random.default_rng([seed, 99]))
    axis = np.linspace(-STAGE, STAGE, _STAGE_SAMPLES)
    x, y = np.meshgrid(axis, axis)
    light = spec.light
    if light is None:
        light = float(sky_module.horizontal_irradiance(environment) @ [0.2126, 0.7152, 0.0722])
    exposure = 2.0**spec.exposure * np.pi / light
    return World(name, spec, parts, builder.lights, environment, builder.ground(x, y).astype(np.float32), exposure)


def load_world(name: str) -> World:
    """Return a world, built or from the cache.

    Raises:
        SpecError: no such world, or a file that is wrong.
    """
    spec, data = load_spec(name)
    key = hashlib.sha256(data + _sources(json.loads(data))).hexdigest()[:24]
    path = cache_folder("worlds") / f"{name}-{key}.npz"
    if path.exists():
        try:
            return _read(path, name, spec)
        except (OSError, ValueError, KeyError):
            path.unlink(missing_ok=True)  # half a file of a crash; it is built again
    world = build(name, spec)
    _write(path, world)
    return world


_TEXTURES = ("color", "rough", "height")
_ARRAYS = ("vertices", "faces", "normals", "uv", "colors")


def _write(path: Path, world: World) -> None:
    arrays: dict[str, NDArray[Any]] = {"environment": world.environment, "heights": world.heights}
    parts: list[dict[str, Any]] = []
    for k, part in enumerate(world.parts):
        facts = dataclasses.asdict(part.material)
        for name in _TEXTURES:
            texture = facts.pop(name)
            if texture is not None:
                arrays[f"{k}.texture.{name}"] = texture
        for name in _ARRAYS:
            if (array := getattr(part.mesh, name)) is not None:
                arrays[f"{k}.{name}"] = array
        parts.append(facts)
    lights = []
    for k, light in enumerate(world.lights):
        facts = dataclasses.asdict(light)
        if (image := facts.pop("image")) is not None:
            arrays[f"light{k}"] = image
        lights.append(facts)
    text = json.dumps({"parts": parts, "lights": lights, "exposure": world.exposure})
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    arrays["meta"] = np.frombuffer(text.encode(), np.uint8)
    np.savez(temporary, **arrays)  # type: ignore[arg-type]
    os.replace(temporary, path)


def _read(path: Path, name: str, spec: WorldSpec) -> World:
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(arrays["meta"].tobytes())
    parts = [
        Part(
            Material(**facts, **{t: arrays.get(f"{k}.texture.{t}") for t in _TEXTURES}),  # type: ignore[arg-type]
            Mesh(**{a: arrays.get(f"{k}.{a}") for a in _ARRAYS}),  # type: ignore[arg-type]
        )
        for k, facts in enumerate(meta["parts"])
    ]
    lights = [Light(**facts, image=arrays.get(f"light{k}")) for k, facts in enumerate(meta["lights"])]
    return World(name, spec, parts, lights, arrays["environment"], arrays["heights"], meta["exposure"])
