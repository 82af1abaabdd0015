"""Parts as named arrays and JSON facts, as the caches of worlds and of objects keep them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Material, Mesh, MeshPart

_TEXTURES = ("color", "rough", "height")
_ARRAYS = ("vertices", "faces", "normals", "uv", "colors")


def part_arrays(parts: Sequence[MeshPart]) -> tuple[dict[str, NDArray[Any]], list[dict[str, Any]]]:
    """Return the arrays of parts by name, and of each what is left of its material, as JSON values."""
    arrays: dict[str, NDArray[Any]] = {}
    facts = []
    for k, part in enumerate(parts):
        fact = dataclasses.asdict(part.material)
        for name in _TEXTURES:
            texture = fact.pop(name)
            if texture is not None:
                arrays[f"{k}.texture.{name}"] = texture
        for name in _ARRAYS:
            if (array := getattr(part.mesh, name)) is not None:
                arrays[f"{k}.{name}"] = array
        facts.append({"material": fact, "keeps": part.keeps})
    return arrays, facts


def parts_of_arrays(arrays: Mapping[str, NDArray[Any]], facts: Sequence[Mapping[str, Any]]) -> list[MeshPart]:
    """Return the parts that `part_arrays` took apart.

    Raises:
        KeyError: facts that are not of parts.
    """
    return [
        MeshPart(
            Material(**fact["material"], **{t: arrays.get(f"{k}.texture.{t}") for t in _TEXTURES}),  # type: ignore[arg-type]
            Mesh(**{a: arrays.get(f"{k}.{a}") for a in _ARRAYS}),  # type: ignore[arg-type]
            fact["keeps"],
        )
        for k, fact in enumerate(facts)
    ]
