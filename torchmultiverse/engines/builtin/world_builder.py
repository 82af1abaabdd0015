"""Worlds built from their files, and the cache that keeps them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.array_cache import Arrays, cached_arrays
from torchmultiverse.engines.builtin.blocks import apply
from torchmultiverse.engines.builtin.mesh import Light, MeshPart, merge
from torchmultiverse.engines.builtin.noise import Noise
from torchmultiverse.engines.builtin.part_arrays import part_arrays, parts_of_arrays
from torchmultiverse.engines.builtin.regions import load_region, regional
from torchmultiverse.engines.builtin.sky import environment as environment_map
from torchmultiverse.engines.builtin.sky import horizontal_irradiance
from torchmultiverse.engines.builtin.world import GROUND_EXTENT, Builder, World, WorldSpec, load_spec
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import OWN

_GROUND_SAMPLES = 65
_MADE_BY = ("mesh", "noise", "part_arrays", "regions", "shapes", "sky", "world", "world_builder")
"""Modules of this folder, beside the building blocks and the surfaces, whose code goes into a world's meshes and
textures."""


@lru_cache(maxsize=1)
def _code() -> tuple[Path, ...]:
    """Return the files of all code that worlds are made by."""
    here = Path(__file__).parent
    folders = [file for name in ("blocks", "surfaces") for file in sorted((here / name).glob("*.py"))]
    return (*folders, *(here / f"{name}.py" for name in _MADE_BY))


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


def build(
    name: str, spec: WorldSpec, region: str = OWN, seeds: Sequence[int] | None = None, where: Sequence[str] = ()
) -> World:
    """Build a world from its spec. The same name and spec always give the same arrays.

    Args:
        name: of the world; all its random numbers come of it.
        spec: what it is built of.
        region: look that the spec is of.
        seeds: of the blocks' random numbers; by default each block's place in the list.
        where: what messages call the blocks; by default by the world's file.

    Raises:
        SpecError: a block that is wrong; names the place.
    """
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    noise = Noise(np.random.default_rng([seed, 0]))
    builder = Builder(spec, np.random.default_rng([seed, 1]), noise)
    for k, block in enumerate(spec.blocks):
        builder.rng = np.random.default_rng([seed, 2 + (seeds[k] if seeds else k)])
        apply(builder, block, where[k] if where else f"scenes/worlds/{name}.json: blocks[{k}]")
    by_material: dict[str, list[MeshPart]] = {}
    for part in builder.parts:
        by_material.setdefault(part.material.name, []).append(part)
    parts = [MeshPart(same[0].material, merge([p.mesh for p in same])) for same in by_material.values()]
    environment = environment_map(spec.sky, noise, np.random.default_rng([seed, 99]))
    axis = np.linspace(-GROUND_EXTENT, GROUND_EXTENT, _GROUND_SAMPLES)
    x, y = np.meshgrid(axis, axis)
    light = spec.light
    if light is None:
        light = float(horizontal_irradiance(environment) @ [0.2126, 0.7152, 0.0722])
    exposure = 2.0**spec.exposure * np.pi / light
    heights = builder.ground(x, y).astype(np.float32)
    return World(name, spec, parts, builder.lights, environment, heights, exposure, region)


def load_world(name: str, region: str = OWN) -> World:
    """Return a world in a region's look, built or from the cache.

    Raises:
        SpecError: no such world, a region that it has not, or a file that is wrong.
    """
    spec, data = load_spec(name)
    seeds: list[int] = []
    where: list[str] = []
    if region != OWN:
        look, more = load_region(name, region)
        spec, seeds, where = regional(name, spec, look, region)
        data += more
    key = hashlib.sha256(data + _sources(spec.model_dump(mode="json"))).hexdigest()[:24]
    file = name if region == OWN else f"{name}-{region}"
    arrays = cached_arrays("worlds", file, key, lambda: _arrays(build(name, spec, region, seeds, where)))
    return _world(arrays, name, spec, region)


def _arrays(world: World) -> Arrays:
    arrays, parts = part_arrays(world.parts)
    arrays |= {"environment": world.environment, "heights": world.heights}
    lights = []
    for k, light in enumerate(world.lights):
        facts = dataclasses.asdict(light)
        if (image := facts.pop("image")) is not None:
            arrays[f"light{k}"] = image
        lights.append(facts)
    text = json.dumps({"parts": parts, "lights": lights, "exposure": world.exposure})
    arrays["meta"] = np.frombuffer(text.encode(), np.uint8)
    return arrays


def _world(arrays: Arrays, name: str, spec: WorldSpec, region: str) -> World:
    meta = json.loads(arrays["meta"].tobytes())
    parts = parts_of_arrays(arrays, meta["parts"])
    lights = [Light(**facts, image=arrays.get(f"light{k}")) for k, facts in enumerate(meta["lights"])]
    return World(name, spec, parts, lights, arrays["environment"], arrays["heights"], meta["exposure"], region)
