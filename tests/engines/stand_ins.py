"""Shapes of known size as characters: what placing is tested with."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from torchmultiverse.engines.builtin.engine import ProceduralAssets
from torchmultiverse.engines.builtin.mesh import Mesh, ball, box, lathe, merge, smooth_normals

TALL = 0.15
"""Radius of the bottle, metres."""


@dataclass
class Body:
    """A character of a mesh: grey, rough, standing."""

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    hover: float = 0.0
    anchor: np.ndarray | None = None
    color: np.ndarray = field(init=False)
    roughness: np.ndarray = field(init=False)

    def __post_init__(self):
        self.color = np.full_like(self.vertices, 0.4)
        self.roughness = np.full(len(self.vertices), 0.7, np.float32)


def bowl() -> Mesh:
    """A vessel with a wall of 5 cm, open above, 1.6 m wide and 0.8 m high."""
    return lathe([(0, 0), (0.4, 0), (0.8, 0.8), (0.75, 0.8), (0.38, 0.06), (0, 0.06)], 48)


SHAPES = {
    "Ball": lambda: ball(40, 60).moved((0, 0, 0.8), 0.8),
    "Bottle": lambda: lathe([(0, 0), (TALL, 0), (TALL, 1.1), (0.05, 1.3), (0.05, 1.6), (0, 1.6)], 32),
    "Bowl": bowl,
    "Box": lambda: box((-0.8, -0.5, 0), (0.8, 0.5, 0.9)),
    # A block with a long thin handle to one side.
    "Pan": lambda: merge([box((-0.8, -0.4, 0), (0.0, 0.4, 0.3)), box((0, -0.03, 0.2), (0.8, 0.03, 0.26))]),
    "Plate": lambda: box((-0.8, -0.7, 0), (0.8, 0.7, 0.06)),
    "Table": lambda: merge(
        [
            box((-0.8, -0.5, 0.9), (0.8, 0.5, 1.0)),
            *(box((x - 0.05, y - 0.05, 0), (x + 0.05, y + 0.05, 0.9)) for x in (-0.7, 0.7) for y in (-0.4, 0.4)),
        ]
    ),
}
"""Name → its mesh: metres, z up, standing on the ground, longest edge 1.6 m."""


def body(name: str) -> Body:
    """Return a stand-in as a character."""
    mesh = SHAPES[name]()
    return Body(mesh.vertices, mesh.faces, mesh.normals if mesh.normals is not None else smooth_normals(mesh))


class StandIns(ProceduralAssets):
    """The shapes and the animals; ``Fish`` is a ball of half the size that hovers."""

    def names(self):
        return sorted([*super().names(), *SHAPES, "Fish"])

    def about(self):
        said = super().about()
        return said | {"character": dict.fromkeys((*SHAPES, "Fish"), "a shape") | said["character"]}

    def load(self, name, texture, side=512):
        if name == "Fish":
            mesh = ball(20, 30).moved((0, 0, 0.4), 0.4)
            return Body(mesh.vertices, mesh.faces, mesh.normals, hover=0.5)
        return body(name) if name in SHAPES else super().load(name, texture, side)
