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
