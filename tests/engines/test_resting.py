"""What relations promise of any two bodies, from their meshes alone.

Silently wrong would be: a picture whose caption says "on" while one thing hangs beside the other, pierces the ground,
or is balanced on a tip that could not carry it; "under" likewise; "above" that touches; "inside" that sticks out.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from skimage.morphology import reconstruction

from torchmultiverse.engines.builtin.footprint import centre_of_mass, field
from torchmultiverse.engines.builtin.mesh import Mesh, ball, box, lathe, merge
from torchmultiverse.engines.builtin.relative import CLEARANCE, RELATIVE, arrange
from torchmultiverse.engines.builtin.stances import Body, beside, laid, stands

GROUND = 0.1
EYE = np.array([0, -6.9, 2.4])


def leaning(mesh: Mesh, degrees: float) -> Mesh:
    """Return a mesh turned about y: what leans in the air."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return Mesh((mesh.vertices @ turn.T).astype(np.float32), mesh.faces)


SHAPES = {
    "rod": lambda: leaning(box((-0.05, -0.05, 0), (0.05, 0.05, 1.6)), 40),
    "spoon": lambda: leaning(
        merge([box((-0.03, -0.02, 0), (0.03, 0.02, 1.4)), ball(8, 12).moved((0, 0, 1.4), 0.2)]), 35
    ),
    "shield": lambda: leaning(box((-0.03, -0.6, -0.8), (0.03, 0.6, 0.8)), 12),
    "cone": lambda: lathe([(0, 0), (0.5, 0), (0.02, 1.6), (0, 1.6)], 20),
    "bowl": lambda: lathe([(0, 0), (0.4, 0), (0.8, 0.8), (0.75, 0.8), (0.38, 0.06), (0, 0.06)], 20),
    "tub": lambda: merge(
        [
            box((-0.8, -0.4, 0), (0.8, 0.4, 0.08)),
            *(box((x, -0.4, 0), (x + 0.06, 0.4, 0.6)) for x in (-0.8, 0.74)),
            *(box((-0.8, y, 0), (0.8, y + 0.06, 0.6)) for y in (-0.4, 0.34)),
        ]
    ),
    "sheet": lambda: box((-0.8, -0.7, 0), (0.8, 0.7, 0.02)),
    "ball": lambda: ball(16, 24).moved((0, 0, 0.8), 0.8),
    "car": lambda: merge(
        [
            box((-0.8, -0.35, 0.15), (0.8, 0.35, 0.4)), box((-0.4, -0.3, 0.4), (0.5, 0.3, 0.65)),
            *(box((x - 0.12, y - 0.05, 0), (x + 0.12, y + 0.05, 0.25)) for x in (-0.5, 0.5) for y in (-0.3, 0.3)),
        ]
    ),
    "table": lambda: merge(
        [
            box((-0.8, -0.5, 0.9), (0.8, 0.5, 1.0)),
            *(box((x - 0.05, y - 0.05, 0), (x + 0.05, y + 0.05, 0.9)) for x in (-0.7, 0.7) for y in (-0.4, 0.4)),
        ]
    ),
}  # fmt: skip
"""Thin, leaning, pointed, hollow and flat ones, and what has legs or wheels."""


def placed(vertices: np.ndarray, faces: np.ndarray, scale: float, at: tuple[float, float, float]) -> Body:
    middle = centre_of_mass(vertices, faces)
    moved = (vertices - [*middle[:2], vertices[:, 2].min()]) * scale + at
    return Body(moved, faces, centre_of_mass(moved, faces))


@cache
def shape(name: str, scale: float = 1.0, up: float = 0.1) -> Body:
    mesh = SHAPES[name]()
    return placed(mesh.vertices.astype(float), mesh.faces, scale, (0.1, 0.05, up))


def faults(upper: Body, lower: Body) -> list[str]:
    """Return what is wrong with one body on another, over another grid than the placing's."""
    cell = 0.0131
    below, above = field(lower.vertices, lower.faces, cell), field(upper.vertices, upper.faces, cell)
    top = below.top
    least = top[np.isfinite(top)].min()
    filled = np.pad(np.where(np.isfinite(top), top, least), 1, constant_values=least)
    seed = np.full_like(filled, filled.max())
    seed[0], seed[-1], seed[:, 0], seed[:, -1] = filled[0], filled[-1], filled[:, 0], filled[:, -1]
    hollow = (reconstruction(seed, filled, method="erosion") - filled > 0.02)[1:-1, 1:-1]
    rows, columns = np.nonzero(np.isfinite(above.bottom))
    bottom = above.bottom[rows, columns]
    at = rows + above.first[1] - below.first[1], columns + above.first[0] - below.first[0]
    known = (at[0] >= 0) & (at[1] >= 0) & (at[0] < top.shape[0]) & (at[1] < top.shape[1])
    under, vessel = np.full(len(rows), -np.inf), np.zeros(len(rows), bool)
    under[known], vessel[known] = top[at[0][known], at[1][known]], hollow[at[0][known], at[1][known]]
    gaps = under - bottom
    touching = gaps > gaps.max() - 0.04
    points = (np.stack([columns, rows], 1)[touching] + above.first + np.array([0.5, 0.5])) * cell
    size, its = upper.high - upper.low, lower.high - lower.low
    found = []
    if min(upper.low[2], lower.low[2]) < GROUND - 0.01:
        found.append("in the ground")
    if abs(gaps.max()) > 0.03:
        found.append("does not touch, or is sunk in")
    if beside(points, upper.middle[:2]) > 0.08 * size[:2].max():
        found.append("its middle is beside what it rests on")
    hanging = under[touching].max() - bottom[~vessel].min() if not vessel.all() else 0.0
    if hanging > max(0.05, 0.2 * size[2]):
        found.append("hangs down beside it")
    if np.hypot(*np.ptp(points, axis=0)) < 0.1 * min(np.hypot(*size[:2]), np.hypot(*its[:2])):
        found.append("is balanced on a point")
    return found


def wrong(first: Body, second: Body) -> list[str]:
    """Return what is wrong with two bodies in the relations that are about heights."""
    above, below = arrange("on", first, second, lambda x, y: GROUND, EYE)
    found = [f"on: {fault}" for fault in faults(above, below)]
    above, below = arrange("above", first, second, lambda x, y: GROUND, EYE)
    if above.low[2] < below.high[2] + CLEARANCE - 1e-6 or below.low[2] < GROUND - 1e-6:
        found.append("above: touches, or is in the ground")
    return found


PAIRS = [
    ("rod", "car"), ("car", "rod"), ("shield", "cone"), ("table", "shield"), ("rod", "tub"), ("sheet", "cone"),
    ("ball", "sheet"), ("cone", "ball"),
]  # fmt: skip


@pytest.mark.parametrize(("upper", "lower"), PAIRS)
def test_on_is_true_of_thin_leaning_pointed_and_hollow_things(upper: str, lower: str) -> None:
    assert wrong(shape(upper, 0.9, 3.3), shape(lower)) == []


def test_under_is_the_mirror_of_on() -> None:
    above, below = arrange("on", shape("rod"), shape("car"), lambda x, y: GROUND, EYE)
    other, subject = arrange("under", shape("car"), shape("rod"), lambda x, y: GROUND, EYE)
    assert np.array_equal(above.vertices, subject.vertices)
    assert np.array_equal(below.vertices, other.vertices)


def test_what_stands_and_carries_keeps_its_stance() -> None:
    """Nothing is laid down without need."""
    for upper, lower in (("car", "table"), ("table", "car"), ("ball", "table"), ("sheet", "tub")):
        for one in arrange("on", shape(upper, 0.8), shape(lower), lambda x, y: GROUND, EYE):
            assert np.array_equal(one.turn, np.eye(3)), (upper, lower)


def test_what_leans_or_ends_in_a_point_does_not_stand_and_lies_otherwise() -> None:
    for name in SHAPES:
        body = shape(name)
        assert stands(body.vertices, body.middle) == (name not in {"rod", "spoon", "shield"}), name
        for other in laid(body):
            assert stands(other.vertices, other.middle), name
            assert np.allclose(other.turn @ other.turn.T, np.eye(3))
            assert np.allclose((body.vertices - body.middle) @ other.turn.T, other.vertices - other.middle)
    assert np.ptp(laid(shape("rod"))[0].vertices[:, 2]) == pytest.approx(0.1, abs=0.01)
    tilted = Body(shape("rod").vertices, shape("rod").faces, shape("rod").middle, fixed=True)
    assert laid(tilted) == [], "its own factors say how it is tilted"


@pytest.mark.parametrize("degrees", [0, 45, 100, 190, 300])
def test_what_lies_is_turned_as_it_is_said_to_be(degrees: float) -> None:
    """Else the yaw is a label that no picture shows."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    rod = shape("rod")
    turned = Body(
        (rod.vertices - rod.middle) @ about_z.T + rod.middle, rod.faces, rod.middle, heading=np.radians(degrees)
    )
    for one, other in zip(laid(rod), laid(turned), strict=True):
        back = (other.vertices - other.middle) @ about_z
        assert np.abs(back - (one.vertices - one.middle)).max() < 0.02


@pytest.mark.parametrize("subject", ["rod", "cone", "tub"])
def test_what_may_not_be_turned_is_not_in_the_ground_either(subject: str) -> None:
    above = shape(subject, 3.0)
    tilted = leaning(Mesh(above.vertices.astype(np.float32), above.faces), 60)
    body = placed(tilted.vertices.astype(float), tilted.faces, 1.0, (0, 0, 0.1))
    found, _ = arrange("on", replace(body, fixed=True), shape("ball", 0.15), lambda x, y: GROUND, EYE)
    assert found.low[2] >= GROUND - 1e-6


def test_no_word_puts_anything_into_ground_that_rises() -> None:
    def slope(x: float, y: float) -> float:
        return 0.1 * x + 0.15 * y

    for word in RELATIVE:
        for one in arrange(word, shape("ball", 0.6, slope(0.1, 0.05)), shape("tub", 1.0, slope(0.1, 0.05)), slope, EYE):
            assert one.low[2] >= slope(*one.middle[:2]) - 1e-4, word


@pytest.mark.parametrize(("subject", "other"), [("ball", "bowl"), ("rod", "tub"), ("table", "bowl"), ("car", "ball")])
def test_what_is_inside_is_enclosed(subject: str, other: str) -> None:
    small, around = arrange("inside", shape(subject), shape(other), lambda x, y: GROUND, EYE)
    assert (small.low >= around.low - 1e-6).all()
    assert (small.high <= around.high + 1e-6).all()


KINDS = (
    "Screwdriver_3", "Minivan_1", "Shield_4", "Military_uniform_1", "Whale_3", "Modem_3", "Hatchet_2", "WineBottle_4",
    "Wooden_Spoon_1", "Bathtub_1", "Shovel_1", "Soup_Bowl_2", "Pizza_2", "Obelisk_1", "Manhole_Cover_2", "Loupe_1",
    "HairDryer_2", "Starfish_3", "Throne_3", "Ice_Cream_2", "Elephant_1", "Umbrella_2", "Motor_Scooter_3", "Racket_1",
    "Traffic_Light_4", "Banana_5", "Dining_Table_2", "Frog_4", "Aircraft_Carrier_1", "Table_Lamb_1",
)  # fmt: skip
"""Thin, leaning, pointed, hollow and wide objects, animals and cars."""


@pytest.mark.slow
def test_on_and_above_are_true_of_the_objects_of_the_kinds_that_are_hard() -> None:
    from torchmultiverse.engines.builtin.objects import load_object

    rng = np.random.default_rng(0)
    found = {}
    order = [*rng.permutation(KINDS), *rng.permutation(KINDS)]
    for upper, lower in pairwise(order):
        bodies = []
        for name, up in ((upper, 3.3), (lower, 0.1)):
            mesh = load_object(name)
            scale = float(rng.integers(11, 21)) / 15
            bodies.append(placed(mesh.vertices.astype(float), mesh.faces, scale, (0.1, 0.05, up)))
        if said := wrong(*bodies):
            found[f"{upper} on {lower}"] = said
    assert found == {}
