"""What models say of a picture. What could silently be wrong: a right class that counts as wrong because it has another
name, so that every failure that the explorer shows is one of words.
"""

from __future__ import annotations

import numpy as np
import pytest
from explore.worlds import NAMES, Broken, Colours, Words
from PIL import Image

from torchmultiverse.engines import class_list
from torchmultiverse.errors import ModelError
from torchmultiverse.explore import Reader
from torchmultiverse.models import ModelInfo


def field(red: int) -> Image.Image:
    return Image.fromarray(np.full((8, 8, 3), (red, 0, 0), np.uint8))


def test_a_classifier_is_read_by_the_names_that_it_and_the_scene_have_in_common() -> None:
    reader = Reader(Colours())
    reader.expect(class_list(NAMES))
    left, right = reader.read(field(0), ["zebra"]), reader.read(field(255), ["zebra"])
    assert [said.text for said in left.top] == ["Zebra", "Camel", "toaster"]
    assert [said.right for said in left.top] == [True, False, False]
    odds = np.exp([2, -2, -3])
    assert left.right == pytest.approx(odds[0] / odds.sum(), rel=1e-5)
    assert left.margin == pytest.approx((odds[0] - odds[1]) / odds.sum(), rel=1e-5)
    assert right.margin == pytest.approx(-left.margin, rel=1e-5)


def test_what_no_class_is_of_has_no_right_answer() -> None:
    reader = Reader(Colours())
    reader.expect(class_list(NAMES))
    found = reader.read(field(0), ["penguin"])
    assert found.right is None
    assert found.margin is None


def test_the_thousand_classes_of_imagenet_are_known_by_number() -> None:
    class Thousand:
        info = ModelInfo("thousand", "classifier")
        classes = None

        def logits(self, images):
            return np.eye(1000, dtype=np.float32)[[340]] * 20  # a zebra

    reader = Reader(Thousand())
    reader.expect(class_list(NAMES))
    found = reader.read(field(0), ["zebra"])
    assert found.top[0].text == "zebra"
    assert found.top[0].right
    assert found.right == pytest.approx(1, abs=1e-3)


def test_captions_are_true_that_name_what_is_there_and_nothing_else() -> None:
    reader = Reader(Words())
    reader.expect(class_list(NAMES))
    found = reader.read(field(0), ["zebra"], most=9)
    names = ["a dromedary camel", "an African elephant", "a penguin", "a zebra"]
    assert {said.text for said in found.top} == {f"a photo of {name}" for name in names}
    assert [said.text for said in found.top if said.right] == ["a photo of a zebra"]
    reader.ask(["a zebra", "a camel", "a zebra beside a camel", "sand"])
    found = reader.read(field(255), ["zebra"], most=9)
    assert [said.text for said in found.top if said.right] == ["a zebra"]
    both = reader.read(field(255), ["zebra", "dromedary camel"], most=9)
    assert {said.text for said in both.top if said.right} == {"a zebra", "a camel", "a zebra beside a camel"}
    reader.ask(["an elephant", "sand"])
    assert reader.read(field(0), ["African elephant"]).right is not None, "people write less than the whole name"
    with pytest.raises(ModelError, match="at most 64"):
        reader.ask(["x"] * 65)
    with pytest.raises(ModelError, match="1 to 200"):
        reader.ask([" "])


def asked(scene: list[str], *captions: str, classes: list[str] | None = None) -> dict[str, bool | None]:
    reader = Reader(Words())
    reader.expect(
        class_list(classes or [*NAMES, "BrownBear", "PolarBear", "Bear_1", "Great_white_shark_2", "WhiteShark"])
    )
    reader.ask(list(captions))
    return {said.text: said.right for said in reader.read(field(0), scene, most=99).top}


def test_a_caption_is_judged_by_all_of_its_words() -> None:
    """Silently wrong was: "a zebra and a dog" counted as true of a zebra, since no engine has dogs."""
    captions = [
        "a large zebra on the left",
        "Zebras!",
        "a zebra and a dog",
        "a pink zebra",
        "no zebra",
        "a dog",
        "sand",
    ]
    assert list(asked(["zebra"], *captions).values()).count(True) == 2
    found = asked(["zebra"], *captions)
    assert [found[text] for text in captions] == [True, True, None, None, None, False, False]


def test_a_caption_that_cannot_be_judged_says_why_and_makes_nothing_right_or_wrong() -> None:
    reader = Reader(Words())
    reader.expect(class_list(NAMES))
    reader.ask(["a zebra and a dog", "a camel"])
    found = reader.read(field(0), ["zebra"])
    assert (found.right, found.margin) == (None, None)
    assert next(said.why for said in found.top if said.right is None) == "not judged: nothing is known of 'dog'"
    reader.ask(["a zebra and a dog", "a zebra", "a camel"])
    found = reader.read(field(0), ["zebra"])
    first, second = (said.probability for said in found.top if "zebra" in said.text)
    (camel,) = (said.probability for said in found.top if "camel" in said.text)
    assert first == second == found.right
    assert found.margin == pytest.approx(first - camel)


class Scored:
    """A scorer that says what it was told to."""

    info = ModelInfo("scored", "scorer")

    def __init__(self, **scores: float) -> None:
        self.scores = {name.replace("_", " "): score for name, score in scores.items()}

    def score(self, images, captions):
        return np.array([[self.scores[text] for text in captions]] * len(images), np.float32)


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ({"no_zebra": 3.0, "a_zebra": 1.0, "a_camel": 0.0}, "not judged"),
        ({"no_zebra": 2.0, "a_zebra": 1.0, "a_camel": 3.0}, "wrong"),
        ({"no_zebra": 2.0, "a_zebra": 3.0, "a_camel": 1.0}, "right"),
        ({"no_zebra": 3.0, "a_camel": 1.0}, "not judged"),
        ({"no_zebra": 1.0, "a_camel": 3.0}, ""),
    ],
)
def test_right_and_wrong_are_of_the_likeliest_answer_of_all(scores: dict[str, float], verdict: str) -> None:
    """Silently wrong was: "no zebra" at 69 %, "a zebra" at 7 %, and a badge that said "right"."""
    reader = Reader(Scored(**scores))
    reader.expect(class_list(NAMES))
    reader.ask(list(reader.model.scores))
    found = reader.read(field(0), ["zebra"])
    assert found.verdict == verdict
    assert (found.margin is None) == (verdict in ("not judged", ""))
    assert (found.right is None) == ("a_zebra" not in scores)


def test_a_caption_that_is_written_twice_is_asked_once() -> None:
    """It was two answers, each with half of its share, so that a third one was the likeliest."""
    reader = Reader(Scored(a_zebra=1.0, a_camel=1.5))
    reader.expect(class_list(NAMES))
    reader.ask(["a camel", "a zebra", " a  zebra", "a camel"])
    found = reader.read(field(0), ["zebra"])
    assert [said.text for said in found.top] == ["a camel", "a zebra"]
    assert found.right == pytest.approx(1 / (1 + np.exp(0.5)), rel=1e-5)


def test_less_than_the_whole_name_is_a_name_and_more_is_another_one() -> None:
    assert asked(["brown bear"], "a bear", "a brown bear", "a zebra") == {
        "a bear": True, "a brown bear": True, "a zebra": False,
    }  # fmt: skip
    assert asked(["brown bear"], "a red-crowned crane", classes=["BrownBear", "RedCrownedCrane"]) == {
        "a red-crowned crane": False
    }
    crane = asked(["red-crowned crane"], "a red-crowned crane", "a crane", classes=["BrownBear", "RedCrownedCrane"])
    assert set(crane.values()) == {True}
    assert asked(["bear"], "a brown bear", "a bear") == {"a brown bear": False, "a bear": True}


def test_two_classes_of_one_name_are_asked_once() -> None:
    """Those of animals and of objects overlap: "a great white shark" stood there twice, and had half of its share."""
    classes = class_list(["Great_white_shark_2", "WhiteShark", "Zebra"])
    assert [one.display for one in classes].count("great white shark") == 2
    reader = Reader(Words())
    reader.expect(classes)
    found = reader.read(field(0), ["great white shark"], most=9)
    assert sorted(said.text for said in found.top) == ["a photo of a great white shark", "a photo of a zebra"]
    assert [said.text for said in found.top if said.right] == ["a photo of a great white shark"]


def test_a_model_without_words_says_how_near_the_reference_is() -> None:
    class Vectors:
        info = ModelInfo("vectors", "encoder")

        def encode_image(self, images):
            angle = np.asarray(images[0])[0, 0, 0] / 255 * np.pi / 2
            return np.array([[3 * np.cos(angle), 3 * np.sin(angle)]], np.float32)

    reader = Reader(Vectors())
    reader.expect(class_list(NAMES))
    assert reader.read(field(0), ["zebra"]).top[0].probability == pytest.approx(1)
    assert reader.read(field(170), ["zebra"]).top[0].probability == pytest.approx(0.5, abs=0.01)
    reader.pin()
    assert reader.read(field(170), ["zebra"]).top[0].probability == pytest.approx(1)


def test_what_a_model_raises_comes_through() -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        Reader(Broken()).read(field(0), [])
