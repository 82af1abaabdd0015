"""An animal among the objects whose pose moves the wrong parts, turns mirrored ones the wrong way or leaves a mark
behind still builds, and looks like a fault of the animal's data; so does one that silently lost the species it is like.
"""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.engines.builtin.characters import load_character
from torchmultiverse.engines.builtin.objects import document, library
from torchmultiverse.engines.builtin.objects.document import ObjectClass, ObjectSpec, Stand, merged, variant
from torchmultiverse.engines.builtin.objects.species import posed, started
from torchmultiverse.errors import SpecError

_PARTS = [
    {"label": "body", "tube": [[-0.4, 0, 0.5], [0.4, 0, 0.5]], "r": [0.2, 0.2]},
    {"label": "ear", "plate": [[0, 0], [0.1, 0.2], [-0.1, 0.2]], "at": [0.5, 0.1, 0.5], "r": [0.01],
     "turn": [40, 10, -15], "mirror": True, "swing": [0.1, 0.5]},
    {"label": "ear", "ellipsoid": [-0.5, 0.1, 0.5], "r": [0.1, 0.05, 0.1]},
]  # fmt: skip
_SPECIES = {
    "parts": _PARTS,
    "skins": {"body": {"color": "#808080"}},
    "eyes": [{"at": [0.5, 0.1, 0.5], "r": 0.02, "look": [1, 0, 0]}],
    "rows": [{"along": [[0.5, 0, 0.4]], "count": 1, "length": [0.1], "radius": 0.01, "lean": [1, 0, 0],
              "color": "#ffffff", "mirror": True}],
    "patterns": [{"kind": "mark", "labels": ["ear"], "at": [[0.5, 0.1, 0.6]], "size": 0.1},
                 {"kind": "mark", "labels": ["ear", "body"], "at": [[0.5, 0.1, 0.6]], "size": 0.1}],
}  # fmt: skip


def _with(**step: object) -> dict:
    return posed(_SPECIES | {"pose": {"step": {"labels": ["ear"], **step}}}, "here")


def test_a_species_starts_from_a_known_one_and_changes_single_entries() -> None:
    found = posed(
        started({"like": "Elephant", "parts": {"21": None, "1": {"r": [1, 2, 3]}}, "eyes": {"0": {"r": 0.5}}},
                merged, "here"), "here")  # fmt: skip
    assert len(found["parts"]) == 22
    assert not [part for part in found["parts"] if part["label"] == "tusk"]
    assert found["parts"][1] == {"label": "body", "ellipsoid": [-0.36, 0, 0.88], "r": [1, 2, 3], "blend": 0.12}
    assert found["eyes"][0]["r"] == 0.5
    assert "display_name" not in found
    with pytest.raises(SpecError, match=r"here: no species 'Wolff'.*Wolf"):
        started({"like": "Wolff"}, merged, "here")


def test_the_species_is_part_of_what_the_cache_is_keyed_by() -> None:
    animal = ObjectClass.model_validate(
        {"class": "X", "species": {"like": "Cat"}, "variants": {"X_1": {"species": {"plan": {"ear": 0.3}}}}}
    )
    spec = variant(animal, "X_1")
    assert spec.species is not None
    assert spec.species["plan"]["ear"] == 0.3
    assert spec.species["plan"]["skull"] == 0.155  # what the known species says is in the data, not only its name
    assert "like" not in spec.species


def test_a_variant_that_changes_nothing_is_the_known_species() -> None:
    spec = ObjectSpec(stand=Stand(longest=2.05), species=started({"like": "Crocodile"}, merged, "here"))
    mesh = library.build_object("African_crocodile_1", spec)
    known = load_character("Crocodile", 1_300_000)
    assert len(mesh.faces) == len(known.faces)
    low, high = known.vertices.min(0), known.vertices.max(0)
    middle = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]], np.float32)
    # The skin's small relief is drawn from the name.
    np.testing.assert_allclose(mesh.vertices, known.vertices - middle, atol=1e-2)


def test_a_turn_moves_points_radii_and_orientations_together() -> None:
    found = _with(about=[0.5, 0, 0.5], turn=90, scale=2, move=[0, 0, 1], eyes=True, rows=[0], x=[0, 1])
    body, plate, other = found["parts"]
    assert body == _PARTS[0]
    assert other == _PARTS[2]  # it begins outside of the range
    assert plate["at"] == pytest.approx([0.5, 0.2, 1.5])
    assert plate["plate"][1] == pytest.approx([0.2, 0.4])
    assert "swing" not in plate
    eye, row, (mark, shared) = found["eyes"][0], found["rows"][0], found["patterns"]
    assert eye["at"] == pytest.approx([0.5, 0.2, 1.5])
    assert eye["look"] == pytest.approx([0, 0, -1], abs=1e-9)  # the nose goes down
    assert row["lean"] == pytest.approx([0, 0, -1], abs=1e-9)
    assert row["length"] == [0.2]
    assert mark["at"][0] == pytest.approx([0.7, 0.2, 1.5])
    assert mark["size"] == pytest.approx(0.2)
    assert shared == _SPECIES["patterns"][1]


@pytest.mark.parametrize("angle", [-120.0, -30.0, 45.0, 200.0])
def test_turning_to_and_fro_leaves_a_part_as_it_was(angle: float) -> None:
    there = {"labels": ["ear"], "about": [0.1, 0, 0.7], "turn": angle}
    found = posed(_SPECIES | {"pose": {"a": there, "b": there | {"turn": -angle}}}, "here")
    for part, before in zip(found["parts"], _PARTS, strict=True):
        assert part.get("turn", (0, 0, 0)) == pytest.approx(before.get("turn", (0, 0, 0)), abs=1e-3)
        for key in ("at", "ellipsoid"):
            assert part.get(key) == pytest.approx(before.get(key), abs=1e-4)


def test_a_tube_keeps_its_width_when_only_its_height_is_scaled() -> None:
    found = posed(_SPECIES | {"pose": {"flat": {"labels": ["body"], "scale": [1, 1, 0.25]}}}, "here")["parts"][0]
    assert found["r"] == pytest.approx([0.1, 0.1])
    assert np.multiply(found["r"], found["w"][0]) == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"labels": ["eer"]}, r"pose\.step: no part is labelled 'eer'.*ear"),
        ({"turns": 3}, r"pose\.step: .*turns"),
        ({"rows": [4]}, r"pose\.step: rows: 4; there are 1 rows"),
    ],
)
def test_a_wrong_pose_names_its_place(step: dict, message: str) -> None:
    with pytest.raises(SpecError, match=f"(?s)here: {message}"):
        _with(**step)


def test_hair_where_there_is_no_skin_is_an_error_of_the_file() -> None:
    species = _SPECIES | {"hair": [{"labels": ["body"], "count": 9, "length": 0.1, "radius": 0.01, "low": [5, 5, 5]}]}
    with pytest.raises(SpecError, match=r"Wolf_1: species: no skin of \['body'\]"):
        library.build_object("Wolf_1", ObjectSpec(species=species))


def _animals() -> list[str]:
    classes = (document.load_class(name) for name in document.class_files())
    return [name for found in classes if found.species is not None for name in found.variants]


@pytest.mark.parametrize("name", _animals())
def test_every_animal_is_of_parts_that_its_pose_and_marks_name(name: str) -> None:
    spec = library.load_spec(name)
    assert spec.species is not None
    body = posed(spec.species, name)
    labels = {part.get("label", "body") for part in body["parts"]}
    named = {label for pattern in body.get("patterns", []) for label in pattern.get("labels") or []}
    assert named <= labels, f"patterns of {name} name {named - labels}"
    assert {label for hair in body.get("hair", []) for label in hair["labels"]} <= labels
    assert "body" in body["skins"]
