"""The published protocols to the letter. What could silently be wrong: a distractor, a rounding, a tie or a coin that
is not the published one; each moves scores by points and none raises an error.
"""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from PIL import Image
from planted import drawn_spar, spar_rows

from torchmultiverse.evaluate import PictureList, evaluate
from torchmultiverse.evaluate.asking import Asker, sentences
from torchmultiverse.evaluate.leaderboard import lines
from torchmultiverse.evaluate.protocol import ClassificationProtocol, Prompts, SparProtocol, load_protocol
from torchmultiverse.evaluate.scoring import first_of_best, half_scores
from torchmultiverse.evaluate.spar import Task, coin_flips, tasks
from torchmultiverse.models import ModelInfo, Preprocess, load_model
from torchmultiverse.resources import data_folder

torch = pytest.importorskip("torch")


def _protocol() -> SparProtocol:
    protocol = load_protocol("spar_pug2023")
    assert isinstance(protocol, SparProtocol)
    return protocol


@pytest.fixture(scope="module")
def published() -> list[Task]:
    design = json.loads((data_folder("scenes") / "spar.json").read_text())["design"]
    settings = [tuple(setting.values()) for setting in design["linked"][0]]
    rows = spar_rows(design["factors"]["World_Name"], design["factors"]["Character_Name"][1:], settings)
    columns = {name: np.array([row[name] for row in rows], dtype=object) for name in rows[0]}
    return tasks(_protocol(), columns)


def test_counts(published: list[Task]) -> None:
    counts = {(t.task, t.setting, t.scope): (len(t.rows), len(t.candidates)) for t in published}
    assert counts["scene", "", "plain"] == (10, 10)
    assert [counts["single_animal", t, "plain"] for t in ("Default", "Blue", "Grass")] == [
        (1280, 33),
        (640, 33),
        (640, 33),
    ]
    assert counts["single_animal", "Default", "background"] == (1280, 330)
    assert counts["position", "left/right", "background"] == (640, 640)
    assert counts["two_animals", "Default", "background"] == (20480, 5280)
    assert counts["attribute", "Grass/Stone", "plain"] == (9920, 992)
    distinct = {caption for t in published for caption in t.candidates}
    # 51,237 captions in all, without those that name the world in scenes with animals, which are this project's own.
    assert len(distinct) == 51_237
    blank = next(t for t in published if t.task == "single_animal")
    assert "This is a photo of a blank" in blank.candidates


def test_the_coin_is_pythons_in_the_published_order(published: list[Task]) -> None:
    random.seed(0)  # the published program seeds the module's own stream
    expected: list[bool] = []
    order = [("position", "left/right"), ("position", "bottom/top"), ("relation", "left/right"),
             ("relation", "bottom/top"), ("attribute", "Blue/Red"), ("attribute", "Grass/Stone")]  # fmt: skip
    sizes = {"position": 64, "relation": 992, "attribute": 992}
    for task, _ in [pair for _ in range(10) for pair in order]:
        for _ in range(sizes[task]):
            random.random()
    for task, _ in order:
        expected += [random.random() >= 0.5 for _ in range(10 * sizes[task])]
    flips = coin_flips(published)
    assert np.concatenate([flips[task, setting, "plain"] for task, setting in order]).tolist() == expected
    assert flips["position", "left/right", "background"][0] == (random.random() >= 0.5)
    assert 0.48 < np.mean(expected) < 0.52


def test_half_precision_is_torchs() -> None:
    rng = np.random.default_rng(0)
    images, texts = (rng.normal(size=(n, 64)).astype(np.float32) for n in (50, 40))
    images, texts = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (images, texts))
    half = (100.0 * torch.from_numpy(images).half()) @ torch.from_numpy(texts).half().T
    mine = half_scores(images, texts)
    assert mine.dtype == np.float32
    assert (mine == half.float().numpy()).mean() > 0.97, "sums in another order may round the last bit differently"
    assert np.abs(mine - half.float().numpy()).max() <= 2**-6
    assert len(np.unique(mine)) < len(np.unique(images @ texts.T)), "scores lie on a coarse grid"


def test_of_ties_the_first_wins() -> None:
    scores = np.array([[1, 1, 0], [1, 1, 0], [0, 2, 1], [0, 1, 1]], np.float32)
    outcome = first_of_best(scores, np.array([0, 1, 2, 2]))
    assert outcome.correct.tolist() == [1, 0, 0, 0]
    assert first_of_best(scores, np.array([0, 1, 2, 2]), among=2).correct.tolist() == [1, 1, 1, 1]
    assert outcome.prediction.tolist() == [0, 0, 1, 1]


class Constant:
    """Every picture and every caption alike: what remains is the coin."""

    info = ModelInfo("constant", "image-text")
    logit_scale = 100.0

    def encode_image(self, images):
        return np.full((len(images), 4), 0.5, np.float32)

    def encode_text(self, texts):
        return np.full((len(texts), 4), 0.5, np.float32)


def test_a_constant_model_is_right_as_often_as_the_coin() -> None:
    pictures = drawn_spar(8)
    result = evaluate(pictures, Constant(), "spar_pug2023", quiet=True)
    columns = {n: np.array(pictures.table([n])[n].to_pylist(), object) for n in pictures.table().column_names}
    flips = coin_flips(tasks(_protocol(), columns))
    for task, setting in (("position", "left/right"), ("relation", "bottom/top"), ("attribute", "Blue/Red")):
        (cell,) = result.cells(task=task, setting=setting, metric="hard_negative", factor="all", scope="plain")
        assert cell["accuracy"] == pytest.approx((~flips[task, setting, "plain"]).mean())
    assert {c["accuracy"] * c["n"] % 1 for c in result.table.to_pylist() if c["metric"] != "mean"} == {0}
    assert any("in a way of its own" in note for note in result.provenance["notes"])
    (top5,) = result.cells(task="two_animals", setting="Default", metric="top5", factor="all", scope="plain")
    assert top5["chance"] == pytest.approx(5 / 10)
    (average,) = result.cells(task="average", factor="all")
    board = [line.cells["constant"]["accuracy"] for line in lines(result) if line.metric in ("top1", "hard_negative")]
    assert average["accuracy"] == pytest.approx(np.mean(board))


def test_the_prescribed_preprocessing_is_applied_and_taken_back() -> None:
    model = load_model("open_clip:RN50/random")
    own = model.info.preprocess
    seen = []
    real = model.encode_image
    model.encode_image = lambda images: (seen.append(model.info.preprocess), real(images))[1]
    rows = spar_rows(("Desert",), ("Zebra",), (("left", "right", "Default", "Default"),))
    pictures = PictureList([Image.new("RGB", (64, 48), (i * 40, 90, 20)) for i in range(len(rows))], rows)
    result = evaluate(pictures, model, "spar_pug2023", quiet=True)
    assert seen[0] == Preprocess((224, 224), "squash", 1.0, "bilinear")
    assert model.info.preprocess == own
    assert result.provenance["models"][0]["preprocess"]["interpolation"] == "bilinear"


def test_the_window_is_cut_before_resizing() -> None:
    from torchvision import transforms

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8))
    expected = transforms.Compose([transforms.CenterCrop(256), transforms.Resize((224, 224)), transforms.ToTensor(),
                                   transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])  # fmt: skip
    protocol = load_protocol("imagenet_pug2023")
    assert protocol.preprocess is not None
    np.testing.assert_allclose(protocol.preprocess.preprocess()([picture])[0], expected(picture).numpy(), atol=1e-5)


def test_prompt_ensembles_are_open_clips() -> None:
    import open_clip

    model = load_model("open_clip:RN50/random")
    prompts = Prompts(name="x", templates="openai-80")
    assert len(sentences(prompts, "zebra")) == 80
    tokenizer = open_clip.get_tokenizer("RN50")
    few = Prompts(name="x", templates=tuple(t.replace("zebra", "{}") for t in sentences(prompts, "zebra")[:7]))
    templates = [lambda c, t=t: t.format(c) for t in few.templates]
    expected = open_clip.build_zero_shot_classifier(model.module, tokenizer, ["zebra", "goldfish"], templates).T.numpy()
    asker = Asker(PictureList([], []), {}, 4, True)
    np.testing.assert_allclose(asker._heads(model, few, ["zebra", "goldfish"]), expected, atol=1e-5)


class Names:
    """Knows the word of the class in a sentence, and that of the picture from its first pixel."""

    info = ModelInfo("names", "image-text")
    logit_scale = 10.0
    words = ("penguin", "goldfish", "king penguin", "other")

    def encode_image(self, images):
        return np.eye(4, dtype=np.float32)[[image.getpixel((0, 0))[0] for image in images]]

    def encode_text(self, texts):
        found = [next((i for i, w in enumerate(self.words) if w in text.lower()), 3) for text in texts]
        return np.eye(4, dtype=np.float32)[found]


def test_the_thousand_classes_are_read_through_the_map() -> None:
    """In each label space, and beside the classes' own names; a class that shares an index shows the difference."""
    protocol = load_protocol("imagenet_pug2023")
    assert isinstance(protocol, ClassificationProtocol)
    rows = [{"character_label": "Goldfish", "character_name": f"G{i}", "world_name": "Desert"} for i in range(3)]
    pictures = PictureList([Image.new("RGB", (4, 4), (1, 0, 0))] * 3, rows)
    result = evaluate(pictures, Names(), protocol, quiet=True)
    cells = {c["setting"]: c for c in result.cells(task="classification", factor="all")}
    assert {"one prompt", "80 prompts", "1000 classes, pug2023", "1000 classes, any-of-set",
            "1000 classes, restricted"} == set(cells)  # fmt: skip
    assert all(cells[s]["accuracy"] == 1 for s in cells)
    assert cells["one prompt"]["candidates"] == 1
    assert cells["1000 classes, pug2023"]["candidates"] == 1000
    assert cells["1000 classes, restricted"]["candidates"] == 151
