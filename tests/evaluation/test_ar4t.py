"""Hard negatives by row, Winoground's scores, fine-tuning. What could silently be wrong: a pair scored with another
pair's captions, a strict preference counted where there is a tie, training that leaves the test split in, or that never
shows a picture together with its hard negative.
"""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
from PIL import Image
from planted import ANIMALS, draw

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.evaluation.outcomes import pairs_of
from torchmultiverse.evaluation.pairs import PairsProtocol, pair_task, winoground
from torchmultiverse.evaluation.registry import choose_protocol, load_protocol
from torchmultiverse.models import ModelInfo, load_model
from torchmultiverse.models.tiny import build_tiny, save_tiny, tiny_config
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import parse_spec
from torchmultiverse.scenes.ar4t import SYNONYMS, negative
from torchmultiverse.scenes.captions import ar4t_captions
from torchmultiverse.store import ImageList
from torchmultiverse.train import FineTuning
from torchmultiverse.train.finetuning import _batches, _examples, _folded_captions, finetune

torch = pytest.importorskip("torch")


def _rows(copies: int = 4, animals: tuple[str, ...] = ANIMALS) -> list[dict]:
    rows = []
    for world in ("Desert", "Snow"):
        place = f"in a {world} environment"
        for one, two in permutations(animals, 2):
            for k in range(copies):
                rows.append({
                    "Relation": "to the left of", "Actor1Category": one, "Actor2Category": two, "Level": world,
                    "caption": f"{one} to the left of {two} {place}",
                    "alt_caption": f"{two} to the right of {one} {place}",
                    "negative_caption": f"{two} to the left of {one} {place}", "scene_id": f"{world}{one}{two}{k}",
                    "negative_scene_id": f"{world}{two}{one}{k}", "split": "test" if k == 0 else "train",
                })  # fmt: skip
    return rows


def _pictures(rows: list[dict], side: int = 48) -> ImageList:
    rng = np.random.default_rng(0)
    images = [
        draw({"world_name": r["Level"], "character_name": r["Actor1Category"], "character2_name": r["Actor2Category"],
              "character1_pos": "left", "character2_pos": "right", "character_texture": "Default",
              "character2_texture": "Default"}, rng, side) for r in rows
    ]  # fmt: skip
    return ImageList(images, rows, "drawn relations")


class Reading:
    """A scorer that knows each picture's caption by its first pixel, and says how well a caption fits by a rule."""

    def __init__(self, rows: list[dict], name: str, fits) -> None:
        self.info, self.rows, self.fits = ModelInfo(name, "scorer"), rows, fits

    def score(self, images, captions):
        return np.array(
            [[self.fits(self.rows[i.getpixel((0, 0))[0]], c) for c in captions] for i in images], np.float32
        )


def _tagged(rows: list[dict]) -> ImageList:
    return ImageList([Image.new("RGB", (2, 2), (i, 0, 0)) for i in range(len(rows))], rows, "tagged")


def test_scores_of_models_that_are_known() -> None:
    rows = _rows()
    knows = Reading(rows, "knows", lambda row, caption: float(row["caption"] == caption))
    blind = Reading(rows, "blind", lambda row, caption: 0.0)
    # Likes captions that begin with the first animal by name, whatever the picture: right for half, a pair never.
    prefers = Reading(rows, "prefers", lambda row, caption: -float(ANIMALS.index(caption.split()[0])))
    result = evaluate(_tagged(rows), [knows, blind, prefers], quiet=True)
    assert result.provenance.protocol["name"] == "ar4t"
    cell = lambda model, metric: result.cells(model=model, metric=metric, factor="all")[0]  # noqa: E731
    tests = sum(r["split"] == "test" for r in rows)
    assert cell("knows", "hard_negative")["n"] == tests == 24
    assert cell("knows", "winoground_group")["n"] == tests // 2
    assert [cell("knows", f"winoground_{m}")["accuracy"] for m in ("text", "image", "group")] == [1, 1, 1]
    assert cell("blind", "hard_negative")["accuracy"] == 0.5
    assert [cell("blind", f"winoground_{m}")["accuracy"] for m in ("text", "image", "group")] == [0, 0, 0]
    assert cell("prefers", "hard_negative")["accuracy"] == 0.5
    assert cell("prefers", "winoground_text")["accuracy"] == 0
    assert cell("knows", "winoground_group")["chance"] == pytest.approx(1 / 6)
    assert result.cells(model="knows", factor="level", level="Snow", metric="hard_negative")[0]["n"] == 12


def test_winoground_by_its_definition_and_its_chance() -> None:
    rng = np.random.default_rng(0)
    s = rng.random((4, 200_000))
    right = winoground(*s)  # s(c0,i0), s(c1,i0), s(c1,i1), s(c0,i1)
    np.testing.assert_array_equal(right["text"], (s[0] > s[1]) & (s[2] > s[3]))
    np.testing.assert_array_equal(right["image"], (s[0] > s[3]) & (s[2] > s[1]))
    assert [right[m].mean() for m in ("text", "image", "group")] == pytest.approx([1 / 4, 1 / 4, 1 / 6], abs=0.005)


def test_pairs_are_each_others_hard_negative() -> None:
    rows = _rows()
    rows[0]["negative_scene_id"] = rows[5]["scene_id"]  # leads elsewhere: no pair
    protocol = load_protocol("ar4t")
    assert isinstance(protocol, PairsProtocol)
    columns = {n: np.array([r[n] for r in rows], object) for n in rows[0]}
    asked = pair_task(protocol, columns)
    one, two = pairs_of(asked)
    for first, second in zip(asked.rows[one], asked.rows[two], strict=True):
        assert rows[first]["negative_caption"] == rows[second]["caption"]
        assert rows[second]["negative_caption"] == rows[first]["caption"]
        assert rows[first]["split"] == rows[second]["split"] == "test"
    assert len(one) == 11
    assert choose_protocol(list(columns)).name == "ar4t"
    with pytest.raises(DatasetError, match="no picture in the split 'test'"):
        pair_task(protocol, {**columns, "split": np.array(["train"] * len(rows), object)})
    with pytest.raises(DatasetError, match="needs the column 'negative_caption'"):
        pair_task(protocol, {k: v for k, v in columns.items() if k != "negative_caption"})
    with pytest.raises(ModelError, match="is a classifier"):
        evaluate(_tagged(rows), lambda images: np.zeros((len(images), 3)), "ar4t", quiet=True)


def test_a_batch_holds_both_pictures_of_a_pair_and_an_epoch_each_once() -> None:
    rows = _rows()
    places, texts, partner = _examples(_tagged(rows), "train", "both")
    assert len(places) == 72
    assert all(len(t) == 2 for t in texts)
    assert {rows[i]["split"] for i in places} == {"train"}
    batches = list(_batches(72, 12, partner, np.random.default_rng(0)))
    seen = np.concatenate(batches)
    assert sorted(seen) == list(range(72))
    for batch in batches:
        assert all(partner[i] in batch for i in batch)
        assert len(batch) == 12
    assert len(list(_batches(72, 50, None, np.random.default_rng(0)))) == 1
    with pytest.raises(DatasetError, match="needs the column alt_caption"):
        _examples(ImageList([Image.new("RGB", (2, 2))], [{"caption": "a"}]), None, "alternate")


def test_fine_tuning_moves_the_weights_and_is_for_clip_models(tmp_path) -> None:
    pictures = _pictures(_rows(2, ("Elephant", "Penguin")))
    config = tiny_config(48)
    start = save_tiny(tmp_path / "start", build_tiny(config, 0)[0], "tiny", config, {"seed": 0})
    tuned = finetune(pictures, f"tiny:{start}", tmp_path / "tuned", FineTuning(epochs=1, batch_size=8), quiet=True)
    before, after = (load_model(spec) for spec in (f"tiny:{start}", tuned))
    assert before.info.weights_sha256 != after.info.weights_sha256
    with pytest.raises(ModelError, match="no CLIP model"):
        finetune(pictures, "timm:resnet18/random", tmp_path / "x")


@pytest.mark.slow
def test_fine_tuning_teaches_sides(tmp_path) -> None:
    """From random weights: hard negatives from chance to well above it, on pictures that were held back."""
    pictures = _pictures(_rows(14, ("Elephant", "Penguin", "Goldfish")))
    config = tiny_config(48)
    start = save_tiny(tmp_path / "start", build_tiny(config, 0)[0], "tiny", config, {"seed": 0})
    tuned = finetune(
        pictures,
        f"tiny:{start}",
        tmp_path / "tuned",
        FineTuning(epochs=12, batch_size=39, learning_rate=2e-3),
        quiet=True,
    )
    result = evaluate(pictures, [f"tiny:{start}", tuned], "ar4t", quiet=True)
    before, after = (result.cells(model=m, metric="hard_negative", factor="all")[0]["accuracy"] for m in result.models)
    assert before == pytest.approx(0.5, abs=0.25)
    assert after > 0.8
    group = result.cells(model=result.models[1], metric="winoground_group", factor="all")[0]
    assert group["accuracy"] > group["chance"]


def _attributes() -> list[dict]:
    """Pairs of two objects with attributes: of textures, of sizes that look alike, and of one attribute twice."""
    rows = []
    for k, (one, two) in enumerate([("Brick", "Metal"), ("Brick", "Brick"), ("Big", "Large"), ("Big", "Tiny")]):
        for a, b, end in ((one, two, "a"), (two, one, "b")):
            rows.append({
                "Relation": "above", "Actor1Category": "cat", "Actor2Category": "chair", "Level": "Museum",
                "Actor1Attribute": a, "caption": f"{a} cat and {b.lower()} chair inside museum",
                "alt_caption": f"{b} chair and {a.lower()} cat inside museum",
                "negative_caption": f"{b} cat and {a.lower()} chair inside museum", "split": "test",
                "scene_id": f"{k}{end}", "negative_scene_id": f"{k}{'b' if end == 'a' else 'a'}",
            })  # fmt: skip
    return rows


def test_questions_without_an_answer_are_not_asked() -> None:
    """A perfect model had 98 % hard negatives and 96 % of groups: equal captions tie, and equal pictures."""
    rows = _attributes()
    # One class twice: "cat to the right of cat" is as true as "cat to the left of cat".
    same = {"caption": "Cat to the left of cat", "alt_caption": "Cat to the right of cat"}
    negative_caption = {"negative_caption": "Cat to the right of cat", "negative_scene_id": "none"}
    rows.append({**rows[0], **same, **negative_caption, "scene_id": "9a"})
    knows = Reading(rows, "knows", lambda row, caption: float(row["caption"] == caption))
    result = evaluate(_tagged(rows), knows, "ar4t", quiet=True)
    for metric, n in (("hard_negative", 4), ("winoground_group", 2)):
        cell = result.cells(metric=metric, factor="all")[0]
        assert (cell["n"], cell["accuracy"]) == (n, 1)
    notes = result.provenance.notes
    assert "knows: 3 of 9 pictures are not asked: the false caption is true as well" in notes
    assert "knows: 2 of 9 pictures are not asked: the pictures are the same under other words" in notes
    protocol = load_protocol("ar4t")
    assert isinstance(protocol, PairsProtocol)
    assert protocol.alike == SYNONYMS
    columns = {n: np.array([r[n] for r in rows[2:6]], object) for n in rows[0]}
    with pytest.raises(DatasetError, match="none of 4 questions has an answer"):
        pair_task(protocol, columns)


def test_the_published_attributes_have_as_many_such_pairs_as_counted() -> None:
    """Of every two of the 53 variants, in order: 101 name one attribute twice, 24 are one size under other words."""
    spec = json.loads((data_folder("scenes") / "animal_attributes.json").read_text())
    spec["design"] |= {"single": 0, "worlds": spec["design"]["worlds"][:1]}
    rows = []
    for scene in parse_spec(spec).build():
        caption, alternate = ar4t_captions(scene)
        other = negative(scene)
        assert other is not None
        rows.append((caption, alternate, ar4t_captions(other)[0], scene["Negative"]))
    rows = [row for row in rows if not row[3]]
    columns = dict(zip(("caption", "alt_caption", "negative_caption"), np.array(rows, object).T, strict=False))
    protocol = load_protocol("ar4t")
    assert isinstance(protocol, PairsProtocol)
    asked = pair_task(protocol, {**columns, "negative_scene_id": np.full(len(rows), "", object)})
    assert asked.eligible == 53 * 53
    assert list(asked.excluded.values()) == [101, 24]


def test_captions_that_a_model_reads_alike_are_no_question(tmp_path) -> None:
    """Beyond the tokenizer's limit nothing tells two captions apart: ties, which were counted as half right."""
    pytest.importorskip("open_clip")
    rows = _rows(1)
    for row in rows[:6]:
        for name in ("caption", "negative_caption"):
            row[name] = "a picture that shows " + "very " * 40 + row[name]
    config = tiny_config(48)
    model = f"tiny:{save_tiny(tmp_path / 'm', build_tiny(config, 0)[0], 'tiny', config, {'seed': 0})}"
    result = evaluate(_pictures(rows), model, "ar4t", quiet=True)
    assert result.cells(metric="hard_negative", factor="all")[0]["n"] == len(rows) - 6
    assert any("6 of 24 pictures are not asked: the captions differ only where" in n for n in result.provenance.notes)


def test_no_batch_says_that_a_true_caption_is_false() -> None:
    """The loss holds that a caption fits one picture of a batch: two with one caption taught a contradiction."""
    rows = _attributes() * 3
    pictures = _tagged(rows)
    places, texts, partner = _examples(pictures, None, "both")
    said = _folded_captions(pictures, places, texts)
    seen = []
    for batch in _batches(len(rows), 6, partner, np.random.default_rng(1), said):
        captions = [caption for i in batch for caption in said[i]]
        assert len(captions) == len(set(captions))
        seen += batch.tolist()
    assert sorted(seen) == sorted(set(seen))
    assert len(seen) > 0.8 * len(rows)
    plain = [frozenset(["one"])] * 30
    assert list(_batches(30, 6, None, np.random.default_rng(0), plain)) == []
