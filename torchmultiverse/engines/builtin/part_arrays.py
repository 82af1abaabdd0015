"""Parts as named arrays and JSON facts, as the caches of worlds and of objects keep them; parts in their place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
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


def placed_parts(
    parts: tuple[MeshPart, ...], vertices: NDArray[np.float32], normals: NDArray[np.float32]
) -> tuple[MeshPart, ...]:
    """Return a character's parts with their share of its vertices and normals."""
    ends = np.cumsum([len(part.mesh.vertices) for part in parts])
    spans = [slice(end - len(part.mesh.vertices), end) for part, end in zip(parts, ends, strict=True)]
    return tuple(
        replace(part, mesh=replace(part.mesh, vertices=vertices[span], normals=normals[span]))
        for part, span in zip(parts, spans, strict=True)
    )
