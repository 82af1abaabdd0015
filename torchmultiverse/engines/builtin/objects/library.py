"""The objects that come with the package, by name, and the cache that keeps their meshes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.array_cache import Arrays, cached_arrays
from torchmultiverse.engines.builtin.characters import CharacterMesh, animal
from torchmultiverse.engines.builtin.footprint import centre_of_mass
from torchmultiverse.engines.builtin.mesh import MeshPart
from torchmultiverse.engines.builtin.objects import document
from torchmultiverse.engines.builtin.objects.assembly import assembled
from torchmultiverse.engines.builtin.objects.species import posed
from torchmultiverse.engines.builtin.part_arrays import part_arrays, parts_of_arrays
from torchmultiverse.engines.builtin.shapes import turn
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.resources import data_folder

_VOXELS = 1_300_000
"""Grid of an animal."""


@lru_cache(maxsize=1)
def _classes() -> dict[str, str]:
    """Return the class of each object, by its name."""
    return {name: kind for kind in document.class_files() for name in document.load_class(kind).variants}


def object_names() -> list[str]:
    """Return the names of all objects, by class, in the classes' own order."""
    return list(_classes())


def object_class(name: str) -> str:
    """Return the class of an object.

    Raises:
        SpecError: no such object.
    """
    if name not in _classes():
        raise SpecError(f"no object '{name}'.{nearest(name, _classes())}")
    return _classes()[name]


def load_spec(name: str) -> document.ObjectSpec:
    """Return an object's data.

    Raises:
        SpecError: no such object, or a file that is wrong.
    """
    return document.variant(document.load_class(object_class(name)), name)


@lru_cache(maxsize=1)
def _code_hash() -> str:
    """Return a hash of the code that objects are made by."""
    here = Path(__file__).parent
    files = [*sorted(here.rglob("*.py")), *sorted((here.parent / "surfaces").glob("*.py"))]
    files += [*sorted((here.parent / "characters").rglob("*.py"))]
    files += [here.parent / f"{name}.py" for name in ("mesh", "part_arrays", "shapes")]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def object_key(spec: document.ObjectSpec) -> str:
    """Return a hash, 24 hexadecimal digits, of what an object is made of: its data and the code that builds it."""
    return hashlib.sha256(f"{spec.model_dump_json()} {_code_hash()}".encode()).hexdigest()[:24]


def load_object(name: str) -> CharacterMesh:
    """Return an object, built or from the cache.

    Raises:
        SpecError: no such object, or a file that is wrong.
    """
    spec = load_spec(name)
    arrays = cached_arrays("objects", name, object_key(spec), lambda: _arrays(build_object(name, spec)))
    return _object(arrays, name, spec.stand.hover)


def build_object(name: str, spec: document.ObjectSpec) -> CharacterMesh:
    """Return an object built from its data; the same name and data always give the same arrays.

    Raises:
        SpecError: wrong content; names the place.
    """
    where = f"scenes/objects/{object_class(name)}.json: {name}"
    if spec.species is not None:
        return _animal(name, spec, where)
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    parts, rough = assembled(spec, np.random.default_rng(seed), where)
    return _whole(name, parts, rough, spec.stand.hover)


def _animal(name: str, spec: document.ObjectSpec, where: str) -> CharacterMesh:
    """Return an animal of a species' data, in the pose and standing as that says."""
    assert spec.species is not None
    stand = spec.stand
    given = {"display_name": name, "display_size": stand.longest, "hover": stand.hover}
    try:
        mesh = animal(name, given | posed(spec.species, where), where, _VOXELS)
    except ValueError as error:  # such as hair where there is no skin
        raise SpecError(f"{where}: species: {error}") from error
    matrix = turn(stand.yaw, stand.lean, stand.roll).astype(np.float32)
    vertices, normals = mesh.vertices @ matrix.T, mesh.normals @ matrix.T
    low, high = vertices.min(0), vertices.max(0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], np.float32)
    scale = np.float32(stand.longest / float((high - low).max()))
    return dataclasses.replace(mesh, vertices=((vertices - origin) * scale).astype(np.float32), normals=normals)


def _whole(name: str, parts: list[MeshPart], rough: NDArray[np.float32], hover: float) -> CharacterMesh:
    """Return one mesh over all parts."""
    offsets = np.cumsum([0, *(len(p.mesh.vertices) for p in parts)])
    meshes = [p.mesh for p in parts]
    white = [m.colors if m.colors is not None else np.full((len(m.vertices), 3), 0.5, np.float32) for m in meshes]
    flat = [m.uv if m.uv is not None else np.zeros((len(m.vertices), 2), np.float32) for m in meshes]
    normals = [m.normals for m in meshes if m.normals is not None]
    vertices = np.concatenate([m.vertices for m in meshes])
    faces = np.concatenate([m.faces + np.uint32(o) for m, o in zip(meshes, offsets[:-1], strict=True)])
    return CharacterMesh(
        name=name,
        vertices=vertices,
        faces=faces,
        normals=np.concatenate(normals),
        uv=np.concatenate(flat),
        color=np.concatenate(white),
        roughness=rough,
        hover=hover,
        parts=tuple(parts),
        anchor=centre_of_mass(vertices, faces),
    )


def _arrays(mesh: CharacterMesh) -> Arrays:
    arrays, facts = part_arrays(mesh.parts)
    own = ("roughness",) if mesh.parts else ("vertices", "faces", "normals", "uv", "color", "roughness")
    arrays |= {name: getattr(mesh, name) for name in own}
    arrays["parts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    return arrays


def _object(arrays: Arrays, name: str, hover: float) -> CharacterMesh:
    facts = json.loads(arrays.pop("parts").tobytes())
    if not facts:
        return CharacterMesh(name=name, hover=hover, **arrays)  # type: ignore[arg-type]
    return _whole(name, parts_of_arrays(arrays, facts), arrays["roughness"], hover)


def object_files() -> list[Path]:
    """Return the files of all classes."""
    return [data_folder("scenes") / "objects" / f"{name}.json" for name in document.class_files()]
