"""Where characters are, by their coordinates and by words that are made true of their meshes.

Silently wrong would be: a relation whose picture shows another one, an object that floats where it is said to lie on
another or is sunk into it, one that stands beside its spot because a handle sticks out, and an animal that is placed
otherwise than before objects had a middle of their own.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest
from stand_ins import SHAPES, StandIns, body

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine, placement
from torchmultiverse.engines.builtin.footprint import centre_of_mass, field
from torchmultiverse.engines.builtin.relative import CLEARANCE, RELATIVE, arrange
from torchmultiverse.engines.builtin.stances import Body
from torchmultiverse.engines.builtin.world_builder import load_world
from torchmultiverse.scenes import Scene, expanded, hard_negative, parse_spec
from torchmultiverse.scenes.ar4t import PHYSICAL, RELATIONS, UNARY
from torchmultiverse.store import limits_of, measure, outside

UNIT = 1.6 / 150
EYE = np.array([0, -6.9, 2.4])
OBJECTS = ["Ball", "Bottle", "Bowl", "Box", "Pan", "Plate", "Table", "Elephant", "Robin"]
SMALL = RenderOptions(size=(48, 48), samples=1)


@pytest.fixture(scope="module")
def engine():
    made = BuiltinEngine(assets=StandIns(), worlds=2)
    yield made
    made.close()


def shown(engine, scene, options=SMALL):
    (frame,) = engine.render([scene], options)
    assert not isinstance(frame, Failure), frame.reason
    return {found["instance"]: found for found in frame.info["objects"]}


@cache
def design(placement: str = "published", worlds: tuple[str, ...] = ("SaltFlats", "Museum")):
    spec = parse_spec(
        {
            "name": "small",
            "family": "AR4T",
            "seed": 3,
            "design": {
                "kind": "ar4t_relations",
                "pairs": 3,
                "single": 4,
                "worlds": list(worlds),
                "assets": {name: [name] for name in OBJECTS},
                "placement": placement,
            },
        }
    )
    return list(expanded(spec.build()))


def middle(found):
    return (np.array(found["box_3d"][0]) + found["box_3d"][1]) / 2


def middle_2d(found):
    left, top, right, bottom = found["box_2d_full"]
    return np.array([(left + right) / 2, (top + bottom) / 2])


# Published coordinates


@pytest.mark.slow
def test_published_coordinates_say_where_objects_are(engine):
    """Of each relation the annotations say what its coordinates do, in the world and in the picture."""
    seen = set()
    for scene in design():
        found, relation = shown(engine, scene), scene.get_str("Relation")
        seen.add(relation)
        world = load_world(scene.get_str("World_Name"))
        for number, prefix in ((1, "Character"), (2, "Character2")):
            if number not in found:
                continue
            away, right, up = scene.table[f"{prefix}_Location"].parts(scene[f"{prefix}_Location"])
            low, high = np.array(found[number]["box_3d"])
            assert np.allclose(middle(found[number])[:2], (right * UNIT, away * UNIT), atol=2e-3), relation
            ground = world.ground(right * UNIT, away * UNIT)
            hover = StandIns().load(scene.get_str(f"{prefix}_Name"), "Default", 48).hover
            scale = scene.get_float(f"{prefix}_Scale")
            assert low[2] == pytest.approx(ground + up * UNIT + hover * scale, abs=2e-3), relation
            if scene[f"{prefix}_Name"] in SHAPES:
                assert (high - low).max() == pytest.approx(1.6 * scale, rel=2e-3), (
                    "the longest edge is not as published"
                )
        if relation in UNARY:
            assert list(found) == [1]
            assert found[1]["truncated_fraction"] == 0
            assert found[1]["pixels"] > 0
            continue
        one, two = found[1], found[2]
        a, b, p, q = middle(one), middle(two), middle_2d(one), middle_2d(two)
        match PHYSICAL[relation]:
            case "above" | "on":
                assert a[2] > b[2]
                assert p[1] < q[1]
            case "below" | "under":
                assert a[2] < b[2]
                assert p[1] > q[1]
            case "behind":
                assert a[1] > b[1] + 250 * UNIT
            case "in front of":
                assert a[1] < b[1] - 250 * UNIT
            case "to the left of":
                assert a[0] < b[0] - 250 * UNIT
                assert p[0] < q[0]
            case "to the right of":
                assert a[0] > b[0] + 250 * UNIT
                assert p[0] > q[0]
    assert seen == {*RELATIONS, *UNARY}


def test_relations_of_one_placement_have_one_geometry():
    """Three words for above, three for below: the 13 relations have 7 placements."""
    placements = {spots[:2] for spots in RELATIONS.values()} | {"one object"}
    assert len(placements) == 7
    assert RELATIONS["above"][:2] == RELATIONS["on top of"][:2] == RELATIONS["on"][:2]
    assert RELATIONS["below"][:2] == RELATIONS["beneath"][:2] == RELATIONS["under"][:2] == RELATIONS["on"][1::-1]


def test_what_is_farther_is_smaller_and_higher_on_the_ground_of_the_picture(engine):
    for relation, sign in (("behind", 1), ("in front of", -1)):
        one, two = ({"Character_Name": "Box", "Character2_Name": "Box"}, RELATIONS[relation])
        spots = {f"{p}_Location": ",".join(map(str, s)) for p, s in zip(("Character", "Character2"), two, strict=False)}
        places = {"Character1_Pos": "location", "Character2_Pos": "location"}
        found = shown(engine, Scene({"World_Name": "SaltFlats", **one, **spots, **places}))
        near, far = (found[2], found[1]) if sign > 0 else (found[1], found[2])
        assert far["box_2d_full"][3] < near["box_2d_full"][3], "it does not stand farther back on the ground"
        assert np.ptp(far["box_2d_full"][0::2]) < np.ptp(near["box_2d_full"][0::2])
        assert far["occluded_by_character"] > 0
        assert near["occluded_by_character"] == 0


# Where a thing stands


def test_an_anchor_comes_over_the_spot_whatever_the_turn():
    world = load_world("SaltFlats")
    pan = body("Pan")
    anchor = centre_of_mass(pan.vertices, pan.faces)
    assert anchor[0] == pytest.approx(-0.4, abs=0.08), "the handle weighs too much"
    for yaw, roll in ((0, 0), (90, 0), (45, 30), (180, 90)):
        actor = placement.Actor(1, "Pan", 1.3, yaw, roll, 0, "Default", "location", (20.0, -35.0, 0.0))
        placed, _ = placement.place(actor, [actor], world, pan.vertices, pan.normals, 0.0, anchor)
        over = placement.place(actor, [actor], world, np.vstack([pan.vertices, [anchor]]), pan.normals[:1], 0.0, anchor)
        assert np.allclose(over[0][-1, :2], (-35 * UNIT, 20 * UNIT), atol=1e-4)
        assert placed[:, 2].min() == pytest.approx(world.ground(-35 * UNIT, 20 * UNIT), abs=1e-4)


def test_without_an_anchor_all_is_as_it_was():
    """Byte for byte: animals have none."""
    world = load_world("SaltFlats")
    ball = body("Ball")
    for position, location in (("center", (0, 0, 0)), ("left", (0, 0, 0)), ("location", (40.0, -60.0, 10.0))):
        actor = placement.Actor(1, "Ball", 0.7, 30, 10, 20, "Default", position, location)
        a = placement.place(actor, [actor], world, ball.vertices, ball.normals, 0.3)
        b = placement.place(actor, [actor], world, ball.vertices, ball.normals, 0.3, None)
        assert a[0].tobytes() == b[0].tobytes()
        low, high = a[0].min(0), a[0].max(0)
        spot = {"left": (-1.12, 0)}.get(position, (location[1] * UNIT, location[0] * UNIT))
        assert np.allclose((low + high)[:2] / 2, spot, atol=1e-4)


def test_the_middle_of_a_body_is_that_of_its_volume():
    for name, expected in (("Ball", (0, 0, 0.8)), ("Box", (0, 0, 0.45)), ("Plate", (0, 0, 0.03))):
        mesh = SHAPES[name]()
        assert np.allclose(centre_of_mass(mesh.vertices, mesh.faces), expected, atol=0.02), name
    # Of a sheet, and of one triangle that covers no cell's middle.
    flat = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)
    assert np.allclose(centre_of_mass(flat, np.array([[0, 1, 2], [0, 2, 3]])), (0.5, 0.5, 1), atol=0.02)
    thin = np.array([[0, 0, 0], [1e-9, 0, 0], [0, 1e-9, 1]])
    assert np.isfinite(centre_of_mass(thin, np.array([[0, 1, 2]]))).all()


def test_heights_are_those_of_the_surface():
    mesh = SHAPES["Ball"]()
    found = field(mesh.vertices, mesh.faces, 0.02)
    rows, columns = np.nonzero(np.isfinite(found.top))
    x, y = (columns + found.first[0] + 0.5) * 0.02, (rows + found.first[1] + 0.5) * 0.02
    rise = np.sqrt(np.maximum(0.8**2 - x**2 - y**2, 0))
    inner = rise > 0.3
    assert np.abs(found.top[rows, columns] - 0.8 - rise)[inner].max() < 0.02
    assert np.abs(0.8 - rise - found.bottom[rows, columns])[inner].max() < 0.02
    assert len(rows) * 0.02**2 == pytest.approx(np.pi * 0.8**2, rel=0.03)


# Words made true


def made(name: str, at=(0.0, 0.0, 0.0), scale: float = 1.0) -> Body:
    one = StandIns().load(name, "Default", 48)
    vertices = one.vertices.astype(float) * scale + at
    return Body(vertices, one.faces, centre_of_mass(vertices, one.faces))


def reach(upper: Body, lower: Body) -> float:
    """How far the upper body reaches into the lower one from above, metres; less than 0: the gap between them.

    Over another grid than the placing's, so that nothing is tested with itself.
    """
    cell = 0.0137
    low, up = field(lower.vertices, lower.faces, cell), field(upper.vertices, upper.faces, cell)
    (c0, r0), (c1, r1) = low.first, up.first
    rows, columns = np.nonzero(np.isfinite(up.bottom))
    at = rows + r1 - r0, columns + c1 - c0
    known = (at[0] >= 0) & (at[1] >= 0) & (at[0] < low.top.shape[0]) & (at[1] < low.top.shape[1])
    gaps = low.top[at[0][known], at[1][known]] - up.bottom[rows[known], columns[known]]
    return float(gaps[np.isfinite(gaps)].max())


def span(one: Body) -> np.ndarray:
    """Return how far the vertices are from the middle, which turning does not change."""
    return np.linalg.norm(one.vertices - one.middle, axis=1)


PAIRS = [
    ("Ball", "Plate"), ("Plate", "Ball"), ("Bottle", "Box"), ("Box", "Bottle"), ("Pan", "Table"), ("Ball", "Bowl"),
    ("Bottle", "Elephant"), ("Robin", "Elephant"), ("Elephant", "Robin"), ("Table", "Pan"), ("Fish", "Box"),
]  # fmt: skip


@pytest.mark.parametrize(("upper", "lower"), PAIRS)
def test_on_and_under_touch_and_above_and_below_do_not(upper, lower):
    for scales in ((1.0, 1.0), (0.75, 1.3)):
        one, two = made(upper, (0.2, 0.1, 3.4), scales[0]), made(lower, (-0.1, 0.05, 0.2), scales[1])
        for relation, first, second in (("on", one, two), ("under", two, one)):
            a, b = arrange(relation, first, second, lambda x, y: 0.1, EYE)
            above, below = (a, b) if relation == "on" else (b, a)
            assert below.low[2] == pytest.approx(0.1), "what carries does not stand on the ground"
            assert abs(reach(above, below)) < 0.025, "it does not touch, or is sunk in"
            assert (below.low[:2] - 1e-6 <= above.middle[:2]).all(), "its middle is beside what carries it"
            assert (above.middle[:2] <= below.high[:2] + 1e-6).all()
            assert np.allclose(span(above), span(one)), "its size changed"
        for relation, first, second in (("above", one, two), ("below", two, one)):
            a, b = arrange(relation, first, second, lambda x, y: 0.1, EYE)
            above, below = (a, b) if relation == "above" else (b, a)
            assert above.low[2] - below.high[2] >= CLEARANCE - 1e-6
            assert above.high[2] <= max(0.1 + 4.5, below.high[2] + CLEARANCE + np.ptp(above.vertices[:, 2])) + 1e-6
            assert below.low[2] == pytest.approx(0.1)
            assert (below.low[:2] - 1e-6 <= above.middle[:2]).all()
            assert (above.middle[:2] <= below.high[:2] + 1e-6).all()


def test_a_ball_lies_in_the_middle_of_a_plate_and_a_plate_on_a_ball():
    plate, ball = made("Plate"), made("Ball", (0.6, -0.3, 2.0), 0.3)
    lying, _ = arrange("on", ball, plate, lambda x, y: 0.0, EYE)
    assert lying.low[2] == pytest.approx(0.06, abs=0.005)
    assert np.abs(lying.middle[:2]).max() < 0.06
    flat, under = arrange("on", plate, ball, lambda x, y: 0.0, EYE)
    assert flat.low[2] == pytest.approx(0.48, abs=0.005)
    assert np.abs(flat.middle[:2] - under.middle[:2]).max() < 0.06


@pytest.mark.parametrize(("subject", "other"), [("Box", "Ball"), ("Elephant", "Bottle"), ("Bottle", "Robin")])
def test_beside_and_behind_are_clear_of_each_other(subject, other):
    """Also where their coordinates would have them in one place."""
    one, two = made(subject, (0.1, 0, 0), 1.3), made(other, (0, 0.1, 0), 1.3)
    left, right = arrange("to the left of", one, two, lambda x, y: 0.0, EYE)
    assert left.high[0] < right.low[0]
    assert np.array_equal(right.vertices, two.vertices)
    right, left = arrange("to the right of", one, two, lambda x, y: 0.0, EYE)
    assert left.high[0] < right.low[0]
    far, near = arrange("behind", one, two, lambda x, y: 0.0, EYE)
    assert far.low[1] > near.high[1]
    near, far = arrange("in front of", one, two, lambda x, y: 0.0, EYE)
    assert far.low[1] > near.high[1]


def test_inside_is_in_the_hollow_of_a_vessel_or_within_the_extent_of_a_body():
    ball, bowl = arrange("inside", made("Ball"), made("Bowl", (0.3, 0.2, 0)), lambda x, y: 0.0, EYE)
    assert np.hypot(*(ball.middle - bowl.middle)[:2]) < 0.1
    assert ball.low[2] < 0.5 * bowl.high[2], "it lies on the rim"
    assert (ball.low[:2] > bowl.low[:2]).all()
    assert (ball.high[:2] < bowl.high[:2]).all()
    assert abs(reach(ball, bowl)) < 0.03
    for name in ("Box", "Elephant", "Table"):
        small, around = arrange("inside", made("Bottle"), made(name, (0.3, 0.2, 0)), lambda x, y: 0.0, EYE)
        assert (small.low > around.low).all()
        assert (small.high < around.high).all()
        ratio = np.ptp(small.vertices, axis=0) / np.ptp(made("Bottle").vertices, axis=0)
        assert np.allclose(ratio, ratio[0]), "its proportions changed"


@pytest.mark.slow
def test_a_physical_design_makes_every_relation_true_of_its_pictures(engine):
    """From the annotations of pictures: boxes in the world and what hides what."""
    hidden = []
    for scene in design("physical"):
        found, relation = shown(engine, scene), scene.get_str("Relation")
        assert found[1]["pixels"] > 0
        if relation in UNARY:
            assert found[1]["truncated_fraction"] == 0
            continue
        (a_low, a_high), (b_low, b_high) = (np.array(found[k]["box_3d"]) for k in (1, 2))
        match PHYSICAL[relation]:
            case "above":
                assert a_low[2] >= b_high[2] + CLEARANCE - 1e-3
            case "below":
                assert b_low[2] >= a_high[2] + CLEARANCE - 1e-3
            case "on":
                assert b_low[2] < a_low[2] <= b_high[2] + 1e-3
            case "under":
                assert a_low[2] < b_low[2] <= a_high[2] + 1e-3
            case "behind" | "in front of" as word:
                rear, front = (1, 2) if word == "behind" else (2, 1)
                assert found[rear]["box_3d"][0][1] > found[front]["box_3d"][1][1]
                assert found[front]["occluded_by_character"] == 0
                hidden.append(found[rear]["occluded_by_character"])
                assert found[rear]["visible_fraction"] > 0.2
            case "to the left of":
                assert a_high[0] < b_low[0]
                assert found[1]["box_2d_full"][2] <= found[2]["box_2d_full"][0] + 1
            case "to the right of":
                assert b_high[0] < a_low[0]
                assert found[2]["box_2d_full"][2] <= found[1]["box_2d_full"][0] + 1
    assert np.median(hidden) > 0.15, "what is behind is hardly hidden"


@pytest.mark.slow
@pytest.mark.parametrize("placement", ["published", "physical"])
def test_each_relation_is_rendered_without_a_failed_check(placement):
    """Limits follow from the placement: what is meant to be hidden is no fault, whatever else is hidden is one."""
    # Low ones: published coordinates put what is tall partly above the frame, and hide what is low behind it.
    kinds = ("Minivan_1", "Tractor_1", "Komodo_dragon_1", "Laptop_5", "Screwdriver_3", "Soup_Bowl_2")
    given = {"pairs": 1, "single": 1, "worlds": ["SaltFlats"], "assets": {name[:-2]: [name] for name in kinds}}
    spec = {"name": "small", "family": "AR4T", "design": {"kind": "ar4t_relations", **given, "placement": placement}}
    scenes = [*expanded(parse_spec(spec).build())]
    made, failed = BuiltinEngine(worlds=1), {}
    for scene, frame in zip(scenes, made.render(scenes, RenderOptions(size=(96, 96), samples=4)), strict=True):
        assert not isinstance(frame, Failure), frame.reason
        if names := outside(measure(frame), limits_of(scene.wire)):
            failed[f"{scene['Character_Name']} {scene['Relation']} {scene['Character2_Name']}"] = names
    made.close()
    assert {str(scene["Relation"]) for scene in scenes} == {*RELATIONS, *UNARY}
    assert failed == {}


def test_a_physical_design_draws_the_same_objects_and_leaves_the_published_as_it_is():
    physical, published = design("physical"), design()
    for a, b in zip(physical, published, strict=True):
        changed = {"Character1_Pos", "Character_Location", "Character2_Location"}
        assert {k: v for k, v in a.wire.items() if k not in changed} == {
            k: v for k, v in b.wire.items() if k not in changed
        }
        assert b["Character1_Pos"] == "location"
        assert a["Character2_Pos"] == b["Character2_Pos"]
        relation = str(a["Relation"])
        assert a["Character1_Pos"] == PHYSICAL.get(relation, "location")
        for name in ("Character_Location", "Character2_Location"):
            mine, its = (one.table[name].parts(one[name]) for one in (a, b))
            assert mine[:2] == its[:2]
            assert mine[2] == (its[2] if its[2] >= 300 else 0)
    ids = {scene.scene_id for scene in physical}
    assert len(ids) == len(physical)
    for scene in physical:
        other = hard_negative("AR4T", scene)
        if other is not None:
            assert other.scene_id in ids
            assert other["Character1_Pos"] == PHYSICAL[str(other["Relation"])]


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ({"Character_Name": "Box", "Character1_Pos": "on"}, "Character1_Pos = 'on'.*is not there"),
        ({"Character2_Name": "Box", "Character2_Pos": "under"}, "Character2_Pos = 'under'.*is not there"),
        (
            {"Character_Name": "Box", "Character2_Name": "Ball", "Character1_Pos": "on", "Character2_Pos": "under"},
            "give one of them 'location'",
        ),
    ],
)
def test_a_relative_place_needs_the_other_character(engine, factors, said):
    (failure,) = engine.render([Scene({"World_Name": "SaltFlats", **factors})], SMALL)
    assert isinstance(failure, Failure)
    assert re.search(said, failure.reason)


def test_either_character_may_be_the_relative_one(engine):
    """The same picture, whichever of the two says where it is to the other."""
    places = {"Character_Location": "10,5,0", "Character2_Location": "10,5,0", "World_Name": "SaltFlats"}
    names = {"Character_Name": "Ball", "Character2_Name": "Table"}
    on = shown(engine, Scene({**places, **names, "Character1_Pos": "on", "Character2_Pos": "location"}))
    under = shown(engine, Scene({**places, **names, "Character1_Pos": "location", "Character2_Pos": "under"}))
    assert on[1]["box_3d"] == under[1]["box_3d"]
    assert on[2]["box_3d"] == under[2]["box_3d"]
    assert set(RELATIVE) == {*PHYSICAL.values(), "inside"}
