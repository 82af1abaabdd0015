"""What could silently be wrong: a class read from the wrong ImageNet index, a label space that is another one, a
picture counted for a factor that it says nothing about."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from planted import Tagged, spar_rows

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.evaluation.choice import ChoiceProtocol
from torchmultiverse.evaluation.classification import ClassificationProtocol, imagenet_outcome, varied_factors
from torchmultiverse.evaluation.imagenet import class_map, imagenet_names, match_classes
from torchmultiverse.evaluation.registry import load_protocol
from torchmultiverse.models import as_model
from torchmultiverse.store import ImageList


def _classes() -> dict[str, list[int]]:
    protocol = load_protocol("classification")
    assert isinstance(protocol, ClassificationProtocol)
    return protocol.imagenet_indices()


def _logits(*winners: int) -> np.ndarray:
    logits = np.random.default_rng(0).normal(size=(len(winners), 1000)).astype(np.float32)
    logits[np.arange(len(winners)), winners] = 50
    return logits


def test_the_map_is_the_published_one() -> None:
    classes = _classes()
    assert len(classes) == 151
    assert sum(map(len, classes.values())) == 177
    assert len({index for indices in classes.values() for index in indices}) == 176
    assert classes["Wolf"] == [269, 270, 271, 272]
    assert classes["Cat"] == [282, 283, 284, 285]
    assert 841 in classes["Shirt"]
    assert 841 in classes["Sweatshirt"]


def test_three_label_spaces_answer_three_questions() -> None:
    classes = _classes()
    labels = ["Shirt", "Sweatshirt", "Wolf", "Cat", "Goldfish"]
    logits = _logits(841, 841, 272, 281, 999)
    outcomes = {space: imagenet_outcome(logits, labels, classes, space) for space in ("any-of-set", "pug2023")}
    assert list(outcomes["any-of-set"][0].correct) == [1, 1, 1, 0, 0]
    # As published: index 841 belongs to Sweatshirt alone, so that no Shirt is ever right.
    assert list(outcomes["pug2023"][0].correct) == [0, 1, 1, 0, 0]
    assert outcomes["any-of-set"][1][3:] == ["tabby cat", "toilet paper"], "by name, not by number"
    # Restricted to the 151 classes, what 281 (no class of the 151) says does not matter.
    restricted = logits.copy()
    restricted[3, 282], restricted[4, 1] = 40, 40
    outcome, names, chance = imagenet_outcome(restricted, labels, classes, "restricted")
    assert names[2:] == ["Wolf", "Cat", "Goldfish"]
    assert list(outcome.correct) == [0.5, 0.5, 1, 1, 1], "Shirt and Sweatshirt share their one index"
    assert chance == 1 / 151
    assert outcomes["any-of-set"][2] == pytest.approx((1 + 1 + 4 + 4 + 1) / 5 / 1000)


def test_margins_have_the_sign_of_the_answer() -> None:
    classes = _classes()
    outcome, _, _ = imagenet_outcome(_logits(269, 5), ["Wolf", "Wolf"], classes, "any-of-set")
    assert outcome.margin[0] > 0 > outcome.margin[1]


def _one_at_a_time() -> list[dict]:
    rows = []
    for asset, label in (("wolf_1", "Wolf"), ("cat_1", "Cat")):
        base = {"character_name": asset, "character_label": label, "world_name": "Desert", "camera_yaw": 0}
        rows += [base, {**base, "world_name": "Snow"}, {**base, "world_name": "Grass"}, {**base, "camera_yaw": 45}]
    return rows


def _pictures(rows: list[dict]) -> ImageList:
    images = [Image.new("RGB", (4, 4), (index, 0, 0)) for index in range(len(rows))]
    return ImageList(images, rows)


def test_a_picture_tells_only_about_the_factor_that_it_varies() -> None:
    rows = _one_at_a_time()
    columns = {name: np.array([row[name] for row in rows], dtype=object) for name in rows[0]}
    tells = varied_factors(columns)
    assert set(tells) == {"world_name", "camera_yaw"}
    assert list(tells["world_name"]) == [True, True, True, False] * 2
    assert list(tells["camera_yaw"]) == [True, False, False, True] * 2
    factorial = {"world_name": np.array(["A", "A", "B", "B"]), "camera_yaw": np.array([0, 45, 0, 45])}
    assert all(told.all() for told in varied_factors(factorial).values())


def test_accuracy_by_factor_of_a_model_that_fails_on_one_level() -> None:
    rows = _one_at_a_time()
    index = {"Wolf": 269, "Cat": 282}

    def model(images):
        seen = [rows[image.getpixel((0, 0))[0]] for image in images]
        return _logits(*(0 if row["world_name"] == "Snow" else index[row["character_label"]] for row in seen))

    result = evaluate(_pictures(rows), as_model(model, name="no snow"))
    cells = {(c["factor"], c["level"]): c for c in result.cells(setting="any-of-set")}
    assert cells["all", "all"]["accuracy"] == 0.75
    assert cells["world_name", "Snow"]["accuracy"] == 0
    assert cells["world_name", "Grass"]["accuracy"] == 1
    assert cells["camera_yaw", "45"]["accuracy"] == 1
    assert cells["camera_yaw", "0"]["n"] == 2
    assert cells["class", "Wolf"]["n"] == 4
    assert not result.cells(task="average"), "label spaces are readings of one answer, not tasks to average"


def test_class_names_and_what_has_none() -> None:
    assert match_classes(["GiantTortoise", "Lion"], ["lion", "giant tortoise"]) == {"GiantTortoise": 1, "Lion": 0}
    rows = [{"character_name": name, "world_name": "Desert"} for name in ("Lion", "Zebra", "Dragon")]

    def lion(images):
        return np.tile(np.array([1.0, 0.0], np.float32), (len(images), 1))

    result = evaluate(_pictures(rows), as_model(lion, name="lion", classes=["lion", "zebra"]))
    assert [c["accuracy"] for c in result.cells(factor="all")] == [0.5]
    assert "Dragon" in result.provenance.notes[0]
    with pytest.raises(ModelError, match="no class that is called"):
        evaluate(_pictures(rows), as_model(lion, name="x", classes=["a", "b"]))
    with pytest.raises(ModelError, match="2 logits but no class names"):
        evaluate(_pictures(rows), as_model(lion, name="x"))
    with pytest.raises(DatasetError, match="label column"):
        evaluate(_pictures([{"world_name": "A"}]), as_model(lion, name="x"))


def test_an_image_text_model_chooses_between_one_caption_per_class() -> None:
    rows = [{"character_name": name, "world_name": w} for name in ("GiantTortoise", "Lion") for w in ("A", "B")]
    heard: list[str] = []

    class Model:
        def encode_image(self, images):
            return np.eye(2, dtype=np.float32)[[image.getpixel((0, 0))[0] // 2 for image in images]]

        def encode_text(self, texts):
            heard.extend(texts)
            return np.eye(2, dtype=np.float32)[[int("lion" in text) for text in texts]]

    result = evaluate(_pictures(rows), as_model(Model(), name="m"))
    assert heard == ["a photo of a giant tortoise", "a photo of a lion"]
    assert result.cells(factor="all")[0]["accuracy"] == 1


def test_animals_of_spar_are_read_by_their_imagenet_names() -> None:
    names = pytest.importorskip("open_clip").IMAGENET_CLASSNAMES
    protocol = load_protocol("classification")
    assert isinstance(protocol, ClassificationProtocol)
    said = {"Cattle": "ox", "Horse": "sorrel", "Orca": "killer whale", "Chicken": "rooster|hen", "Pig": "pig|boar"}
    said |= {"Crocodile": "crocodile|alligator", "Elephant": "elephant|tusker", "WhiteShark": "white shark"}
    said |= {"Rabbit": "rabbit|hare"}
    for animal, indices in protocol.imagenet_indices("animals").items():
        for index in indices:
            assert re.search(said.get(animal, animal.lower()), names[index].lower()), (animal, names[index])


def test_a_classifier_is_asked_for_the_single_animals_that_it_knows() -> None:
    rows = spar_rows(animals=["Zebra", "Lion", "GiantTortoise"])
    pictures = Tagged(rows)
    index = {"Zebra": 340, "Lion": 291}

    def model(images):
        seen = [rows[p[1] << 8 | p[2]] for p in (image.getpixel((0, 0)) for image in images)]
        alone = [max(row["character_name"], row["character2_name"], key=lambda n: n != "blank") for row in seen]
        return _logits(*(index[name] for name in alone))

    result = evaluate(pictures, as_model(model, name="zoologist"))
    cells = result.cells(factor="all", setting="all")
    assert [(c["task"], c["accuracy"], c["candidates"], c["n"]) for c in cells] == [("single_animal", 1, 2, 24)]
    assert "GiantTortoise" in result.provenance.notes[0]


def test_subsets_say_which_pictures_tell_about_a_factor() -> None:
    """PUG: ImageNet: lights are varied in another world than all else, and each subset has the default again."""
    rows = [
        ("Worlds", "Desert", 0, "w"), ("Worlds", "SaltFlats", 0, "w"), ("Camera_Yaw", "SaltFlats", 0, "w"),
        ("Camera_Yaw", "SaltFlats", 45, "w"), ("Scene_Light", "Opera", 0, "w"), ("Scene_Light", "Opera", 0, "r"),
    ]  # fmt: skip
    names = ("subset", "world_name", "camera_yaw", "scene_light")
    columns = {name: np.array([row[k] for row in rows], dtype=object) for k, name in enumerate(names)}
    tells = varied_factors(columns)
    assert {name: np.flatnonzero(found).tolist() for name, found in tells.items()} == {
        "subset": [0, 1, 2, 3, 4, 5], "world_name": [0, 1], "camera_yaw": [2, 3], "scene_light": [4, 5]
    }  # fmt: skip


def test_names_of_imagenet_are_open_clips() -> None:
    assert list(imagenet_names()) == list(pytest.importorskip("open_clip").IMAGENET_CLASSNAMES)


def test_every_animal_with_an_imagenet_class_is_asked() -> None:
    """Else a classifier is scored on 5 of the built-in engine's animals, and the other 18 are left out."""
    protocol = load_protocol("classification")
    assert isinstance(protocol, ClassificationProtocol)
    animals = protocol.imagenet_indices("animals")
    rows = [{"character_name": name, "world_name": world} for name in (*animals, "Crow") for world in ("A", "B")]

    def right(images):
        seen = [rows[image.getpixel((0, 0))[0]]["character_name"] for image in images]
        return _logits(*(animals.get(name, [999])[-1] for name in seen))

    result = evaluate(_pictures(rows), as_model(right, name="zoologist"), quiet=True)
    for space in ("any-of-set", "restricted"):
        (cell,) = result.cells(factor="all", setting=space)
        assert (cell["n"], cell["accuracy"]) == (2 * len(animals), 1), space
    assert cell["candidates"] == len(animals)
    (note,) = result.provenance.notes
    assert re.search(r": 2 of \d+ pictures are not asked: .*Crow has no ImageNet class", note)


def test_the_published_classes_stay_alone_and_other_spellings_are_read() -> None:
    """An animal's class more among the candidates of PUG: ImageNet would change its published label spaces."""
    published = _classes()
    assert class_map(sorted(published)) == published
    assert class_map(["Elephant", "Wolf"]) == published
    named = class_map(["African elephant", "zebra"])
    assert named["African elephant"] == [101, 385, 386]
    assert "Elephant" not in named, "one class under two names would be two candidates"
    both = class_map(["african elephant", "Asian elephant"])
    assert both["Asian elephant"] == [385]
    assert 385 not in both["african elephant"]
    assert "African elephant" not in class_map(["African elephant", "Elephant"])
    known = class_map(["zebra", "giant_panda", "Crow", "WhiteShark", "Lion"])
    assert (known["zebra"], known["giant_panda"], known["WhiteShark"]) == ([340], [388], [2])
    assert "Zebra" not in known, "one class, one candidate"
    assert "Crow" not in known


def test_synonyms_of_a_class_name_count_after_whole_names() -> None:
    names = ["great white shark, white shark, man-eater", "ox", "white shark"]
    assert match_classes(["WhiteShark", "Ox", "man-eater"], names) == {"WhiteShark": 2, "Ox": 1, "man-eater": 0}


@pytest.mark.parametrize(
    ("names", "logits", "message"),
    [
        (["background", "Elephant", "Zebra", "Camel"], 3, r"3 logits but names 4 classes.*classes\[1:\]"),
        (["Elephant", "Zebra"], 3, r"3 logits but names 2 classes.*logits\[:, 1:\]"),
        (["Elephant", "Zebra"], 5, "5 logits but names 2 classes; there must be a name for each$"),
        (None, 1001, r"1001 logits but no class names; without names 1000 are needed.*logits\[:, 1:\]"),
    ],
)
def test_a_name_for_each_logit(names: list[str] | None, logits: int, message: str) -> None:
    """With a class for the background in front, every answer is read as its neighbour's: 0 %, without a word."""
    rows = [{"scene_id": str(i), "character_name": ["Elephant", "Zebra"][i % 2]} for i in range(4)]

    def right(images):
        scores = np.zeros((len(images), logits), np.float32)
        scores[np.arange(len(images)), [image.getpixel((0, 0))[0] % 2 for image in images]] = 5
        return scores

    with pytest.raises(ModelError, match=message):
        evaluate(_pictures(rows), as_model(right, name="m", classes=names), protocol="classification", quiet=True)
    spar = Tagged(spar_rows(animals=["Elephant", "Zebra"]))
    with pytest.raises(ModelError, match=message):
        evaluate(spar, as_model(right, name="m", classes=names), protocol="spar", quiet=True)


def test_a_question_of_a_file_reads_imagenet_by_the_same_map() -> None:
    """`Orca` is ImageNet's "killer whale": by its own name no class is found and the question is left out."""
    rows = [{"character_name": name} for name in ("Orca", "Cattle", "GiantPanda")]
    asked = {
        "task": "which", "title": "Which?", "truth": "{character_name}",
        "prompts": {"name": "p", "templates": ["a {}"]},
    }  # fmt: skip
    protocol = ChoiceProtocol.model_validate(
        {"name": "which", "version": 1, "kind": "choice", "title": "Which?", "description": "", "tasks": [asked]}
    )

    def right(images):
        return _logits(*([148, 345, 388][image.getpixel((0, 0))[0]] for image in images))

    result = evaluate(_pictures(rows), as_model(right, name="m"), protocol=protocol, quiet=True)
    assert [(c["n"], c["accuracy"]) for c in result.cells(factor="all")] == [(3, 1.0)]


def test_variants_of_a_class_are_one_answer() -> None:
    """Two candidates of one text would be a coin toss; of each class all variants count as right."""
    rows = [
        {"world_name": world, "character_name": name, "camera_yaw": yaw}
        for world in ("Desert", "Snow")
        for name in ("Cofee_Mug_1", "Cofee_Mug_2", "Zebra")
        for yaw in (0, 90)
    ]
    columns = {key: np.array([row[key] for row in rows], object) for key in rows[0]}
    protocol = load_protocol("classification")
    assert isinstance(protocol, ClassificationProtocol)
    protocol = protocol.model_copy(update={"label_columns": ("character_name",)})
    for task in protocol.compile(columns):
        if "imagenet" not in task.setting and task.label_space is None:
            assert task.candidates == ("Cofee_Mug", "Zebra")
            assert [task.candidates[k] for k in task.labels[:6]] == ["Cofee_Mug"] * 4 + ["Zebra"] * 2
            assert len(set(task.clusters)) == 3, "what is resampled is still the object"
