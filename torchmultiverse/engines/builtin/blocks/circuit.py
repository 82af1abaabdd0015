"""A motor-racing circuit: barriers, grandstands with people, boards, a gantry. Its tarmac is a terrain surface."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.blocks import Params, block
from torchmultiverse.engines.builtin.mesh import Material, Mesh, ball, box, linear, merge, quad, scatter, tube
from torchmultiverse.engines.builtin.world import Builder

_PAINT = Material("paint", roughness=0.4, specular=0.4)
_METAL = Material("metal", roughness=0.35, specular=0.6, metallic=0.0)
_TEAM = np.array(
    [(0.85, 0.08, 0.1), (0.1, 0.25, 0.75), (0.95, 0.75, 0.1), (0.95, 0.95, 0.95), (0.1, 0.55, 0.3), (0.95, 0.45, 0.1)]
)


class Circuit(Params):
    """The track runs along x; ``edge`` is half its width, ``stand`` the distance of the grandstands from its middle."""

    edge: float = 7.5
    stand: float = 22.0
    length: float = 120.0


def _stand(rng: np.random.Generator, length: float) -> list[tuple[Mesh, Material]]:
    """Return a grandstand along x that looks to -y, its foot at y = 0."""
    concrete, people, roof = [], [], []
    rows, rise, tread = 13, 0.55, 0.9
    for k in range(rows):
        concrete.append(box([-length / 2, k * tread, 0], [length / 2, rows * tread, 1.4 + k * rise]))
    seats = int(length / 0.8)
    body = merge([ball(5, 7).moved((0, 0, 0.38), (0.2, 0.16, 0.4)), ball(4, 6).moved((0, 0, 0.86), 0.125)])
    x = np.tile(np.linspace(-length / 2 + 0.4, length / 2 - 0.4, seats), rows)
    row = np.repeat(np.arange(rows), seats)
    keep = rng.random(len(x)) < 0.86
    x, row = x[keep] + rng.normal(0, 0.06, keep.sum()), row[keep]
    at = np.stack([x, row * tread + 0.45, 1.4 + row * rise], -1)
    shirts = linear(_TEAM[rng.integers(0, len(_TEAM), len(x))]) * rng.uniform(0.5, 1.0, (len(x), 1))
    half = 5 * 7
    colors = np.ones((len(body.vertices), 3))
    crowd = scatter(body, at, rng.uniform(0.85, 1.1, len(x)), rng.uniform(-0.5, 0.5, len(x)), shirts)
    shade = crowd.colors.reshape(len(x), -1, 3) if crowd.colors is not None else colors[None]
    shade[:, half:] = linear((0.75, 0.55, 0.42))
    people.append(Mesh(crowd.vertices, crowd.faces, crowd.normals, None, shade.reshape(-1, 3).astype(np.float32)))
    top = 1.4 + rows * rise + 4.2
    roof.append(box([-length / 2 - 1, -0.5, top], [length / 2 + 1, rows * tread + 1, top + 0.3]))
    posts = [
        tube([[px, rows * tread + 0.2, 0], [px, rows * tread + 0.2, top]], 0.16, 8)
        for px in np.linspace(-length / 2, length / 2, 7)
    ]
    fascia = box([-length / 2 - 1, -0.6, top - 0.2], [length / 2 + 1, -0.45, top + 0.7])
    return [
        (merge(concrete).tinted(linear((0.62, 0.62, 0.6))), Material("concrete", specular=0.0, roughness=0.9)),
        (merge(people), Material("crowd", specular=0.0, roughness=0.9)),
        (merge(roof).tinted(linear((0.9, 0.9, 0.92))), _PAINT),
        (merge(posts).tinted(linear((0.5, 0.5, 0.52))), _METAL),
        (fascia.tinted(linear((0.75, 0.05, 0.08))), _PAINT),
    ]


@block("circuit", Circuit)
def circuit(builder: Builder, p: Circuit) -> None:
    """Build both sides of the track and the gantry over the start line."""
    rng = builder.rng
    for side in (1, -1):
        yaw = 0.0 if side > 0 else np.pi
        for centre in (-31.0, 31.0):
            for mesh, material in _stand(rng, 54):
                builder.add(mesh.moved((centre * side, side * p.stand, 0), yaw=yaw), material)
        wall = side * (p.edge + 5.5)
        boards = []
        for k, x in enumerate(np.arange(-p.length, p.length, 4.0)):
            tone = linear(_TEAM[(k * 5 + (side > 0)) % len(_TEAM)])
            boards.append(box([x, wall - 0.12, 0], [x + 3.96, wall + 0.12, 0.95]).tinted(tone))
        builder.add(merge(boards), _PAINT)
        rails = [
            tube([[-p.length, wall - side * 0.3, z], [p.length, wall - side * 0.3, z]], 0.05, 6).tinted(
                linear((0.6, 0.62, 0.64))
            )
            for z in (1.5, 2.1, 2.7)
        ]
        posts = [
            tube([[x, wall, 0], [x, wall, 3.0]], 0.05, 5).tinted(linear((0.55, 0.56, 0.58)))
            for x in np.arange(-60, 61, 4.0)
        ]
        builder.add(merge(rails + posts), _METAL)
        tyre = tube([[0.3 * np.cos(a), 0.3 * np.sin(a), 0.12] for a in np.linspace(0, 2 * np.pi, 9)], 0.12, 5)
        x = np.repeat(np.arange(-26, 26, 0.66), 4)
        level = np.tile(np.arange(4), len(x) // 4)
        at = np.stack([x, np.full(len(x), wall - side * 0.75), level * 0.22], -1)
        tints = np.where(
            (((x / 2.64).astype(int) % 2) == 0)[:, None], linear((0.85, 0.06, 0.08)), linear((0.93, 0.93, 0.93))
        )
        builder.add(scatter(tyre, at, np.ones(len(x)), np.zeros(len(x)), tints), _PAINT)
    gantry_x, high = -14.0, 6.2
    beams = [tube([[gantry_x, y, 0], [gantry_x, y, high]], 0.22, 10) for y in (-p.edge - 1.5, p.edge + 1.5)]
    builder.add(merge(beams).tinted(linear((0.15, 0.16, 0.18))), _METAL)
    cells = []
    for k in range(int((2 * p.edge + 3) / 0.6)):
        for j in range(2):
            y, z = -p.edge - 1.5 + 0.6 * k, high - 0.6 * j
            tone = linear((0.95, 0.95, 0.95) if (j + k) % 2 else (0.03, 0.03, 0.03))
            cells.append(box([gantry_x - 0.3, y, z - 0.6], [gantry_x + 0.3, y + 0.6, z]).tinted(tone))
    builder.add(merge(cells), _PAINT)
    for k, x in enumerate(np.linspace(-50, 50, 12)):
        for side in (1, -1):
            pole = np.array([x, side * (p.stand + 13), 0])
            builder.add(tube([pole, pole + np.array([0, 0, 17])], 0.08, 5).tinted(linear((0.8, 0.8, 0.8))), _METAL)
            flag = quad(
                [
                    pole + np.array([0, 0, 15]),
                    pole + np.array([2.6, 0.2, 14.9]),
                    pole + np.array([2.6, 0.3, 16.7]),
                    pole + np.array([0, 0, 16.8]),
                ]
            )
            builder.add(Mesh(flag.vertices, flag.faces, flag.normals).tinted(linear(_TEAM[k % len(_TEAM)])), _PAINT)
