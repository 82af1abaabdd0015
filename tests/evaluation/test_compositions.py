"""Scores of compositional questions by models whose scores are known.

What could silently be wrong: a tie counted as right, a mean over relations in which one counts more than another, a
caption of the wrong picture, chance of another question, a set that can be answered without looking and does not say.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.evaluation.caption_prior import caption_facts, judged_alone
from torchmultiverse.evaluation.composition_record import composition_study, score_compositions
from torchmultiverse.evaluation.compositions import change_of, mean_change, mean_score, questions, score_of
from torchmultiverse.evaluation.registry import choose_protocol, load_protocol
from torchmultiverse.models import ModelInfo, without_pictures
from torchmultiverse.stats import Intervals, LevelPart, mean_of_levels
from torchmultiverse.store import ImageList, columns_of

SETS = 60


class Scripted:
    """A scorer that knows which row it sees by the first two channels of a picture."""

    def __init__(self, name: str, rows: list[dict[str, Any]], fits: Any) -> None:
        self.info, self.rows, self.fits = ModelInfo(name, "scorer"), rows, fits

    def score(self, images: Any, captions: Any) -> Any:
        numbers = [image.getpixel((0, 0)) for image in images]
        return np.array([[self.fits(self.rows[(r + 256 * g) % len(self.rows)], c) for c in captions]
                         for r, g, _ in numbers], np.float32)  # fmt: skip


def _pictures(rows: list[dict[str, Any]], name: str) -> ImageList:
    images = [Image.new("RGB", (2, 2), (i % 256, i // 256, 0)) for i in range(len(rows))]
    return ImageList(images, rows, name)


def _winoground() -> list[dict[str, Any]]:
    rows = []
    for n in range(SETS):
        texts = [f"a mug {n} in some grass", f"some grass in a mug {n}"]
        for k in (0, 1):
            rows.append({
                "benchmark": "Winoground", "scene_id": f"{n}-{k}", "negative_scene_id": f"{n}-{1 - k}",
                "caption": texts[k], "negative_caption": texts[1 - k], "group": str(n),
                "winoground_collapsed_tag": "Object", "split": "test",
            })  # fmt: skip
    return rows


def _relations(names: tuple[str, ...] = ("on", "eating", "near"), each: int = 8) -> list[dict[str, Any]]:
    return [
        {"benchmark": "VG-Relation", "caption": f"the man {k} is {name} the horse", "split": "test",
         "negative_caption": f"the horse is {name} the man {k}", "relation_name": name, "image_id": str(k // 2)}
        for name in names for k in range(each)
    ]  # fmt: skip


def _orders() -> list[dict[str, Any]]:
    rows = []
    for n in range(20):
        true = f"a man {n} rides a brown horse"
        words = true.split()
        others = [" ".join(words[k:] + words[:k]) for k in (1, 2, 3, 4)]
        orders = [[true, *others], [f"two dogs {n}", f"dogs two {n}"]]
        rows.append({"benchmark": "COCO-Order", "caption": true, "orders_caption": json.dumps(orders), "split": "test",
                     "image_id": str(n)})  # fmt: skip
    return rows


def _bag(row: dict[str, Any], caption: str) -> float:
    return len(set(caption.split()) & set(row["caption"].split()))


def _cells(rows: list[dict[str, Any]], model: Scripted, name: str = "set") -> dict[str, float]:
    result = evaluate(_pictures(rows, name), model, quiet=True)
    return {c["metric"]: c["accuracy"] for c in result.cells(factor="all", scope="plain") if c["task"] != "average"}


def test_known_models_on_winoground() -> None:
    rows = _winoground()
    oracle = _cells(rows, Scripted("oracle", rows, lambda row, caption: float(row["caption"] == caption)))
    assert [oracle[f"winoground_{m}"] for m in ("text", "image", "group")] == [1, 1, 1]
    bag = _cells(rows, Scripted("bag", rows, _bag))
    assert bag["hard_negative"] == 0.5, "every pair is tied"
    assert [bag[f"winoground_{m}"] for m in ("text", "image", "group")] == [0, 0, 0]
    reader = Scripted("reader", rows, lambda row, caption: float(ord(caption[0])))
    blind = _cells(rows, reader)
    assert blind["winoground_text"] == blind["winoground_group"] == 0, "one caption wins whatever the picture"
    assert blind["hard_negative"] == 0.5


def test_random_scores_reach_chance() -> None:
    from torchmultiverse.evaluation.pairs import winoground

    rng = np.random.default_rng(0)
    scores = rng.random((4, 400 * 50))
    found = winoground(*scores)
    for metric, chance in (("text", 25), ("image", 25), ("group", 16.7)):
        assert 100 * found[metric].mean() == pytest.approx(chance, abs=1)
    biased = rng.normal(size=(2, 2, 200_000)) + 3 * rng.normal(size=(1, 2, 200_000))  # picture, caption
    found = winoground(biased[0, 0], biased[0, 1], biased[1, 1], biased[1, 0])
    for metric, low in (("text", 7.2), ("image", 24.8), ("group", 5.0)):
        assert 100 * found[metric].mean() == pytest.approx(low, abs=0.5), "below chance tells of a caption's prior"


def test_relations_count_once_each() -> None:
    rows = _relations(("on", "near", "eating"), 8)
    keen = Scripted("keen", rows, lambda row, caption: float(
        (row["caption"] == caption) == (row["relation_name"] != "eating")
    ))  # fmt: skip
    result = evaluate(_pictures(rows, "vg"), keen, quiet=True)
    assert result.provenance.protocol["name"] == "aro_relation"
    question, shared = questions(result)
    score = score_of(question, "keen", Intervals())
    assert score is not None
    assert question.benchmark == "VG-Relation"
    assert shared.benchmark == "VG-Relation, shared with AR4T"
    both = score_of(shared, "keen", Intervals())
    assert both is not None
    assert (both.accuracy, both.levels) == (1, 1), "'eating' is no relation of AR4T"
    assert score.micro == pytest.approx(8 / 16), "of the rows that count"
    assert score.n == 16
    assert score.accuracy == pytest.approx(0.5), "'near' holds both ways and does not count"
    assert score.levels == 2
    assert score.clusters == 4, "rows of one photograph are not independent"
    assert score.low < 0.5 < score.high


def test_attributes_need_twenty_five_rows() -> None:
    rows = [
        {**row, "attribute_pair": pair, "relation_name": None}
        for pair, each in (("red_white", 25), ("open_tall", 24))
        for row in _relations(("on",), each)
    ]
    for row in rows:
        del row["relation_name"]
    right = Scripted("right", rows, lambda row, caption: float(
        (row["caption"] == caption) == (row["attribute_pair"] == "red_white")
    ))  # fmt: skip
    question, shared = questions(evaluate(_pictures(rows, "vga"), right, quiet=True))
    both = score_of(shared, "right", Intervals())
    assert both is not None
    assert both.levels == 1, "AR4T has red and white, not open"
    score = score_of(question, "right", Intervals())
    assert score is not None
    assert (score.accuracy, score.levels) == (1.0, 1)
    assert (score.micro, score.n) == (1.0, 25)


def test_all_figures_are_of_the_rows_that_count() -> None:
    """A mean over some levels beside n, ties or lost rows of all is a number of two samples."""
    names = ("on", "near", "eating", "wearing", "behind", "under", "holding", "in")
    rows = _relations(names, 5)
    for number, row in enumerate(rows):
        row["image_id"] = str(number)
    before = Scripted("before", rows, lambda row, caption: 0.0 if row["relation_name"] in ("near", "on") else float(
        row["caption"] == caption
    ))  # fmt: skip
    after = Scripted("after", rows, lambda row, caption: float(
        (row["caption"] == caption) == (row["relation_name"] not in ("near", "in"))
    ))  # fmt: skip
    question, shared = questions(evaluate(_pictures(rows, "vg"), [before, after], quiet=True))
    score, change = score_of(question, "before", Intervals()), change_of(question, "before", "after")
    assert score is not None
    assert change is not None
    assert (score.n, score.clusters, score.levels) == (35, 35, 7), "'near' is left out"
    assert score.ties == pytest.approx(5 / 35)
    assert score.micro == pytest.approx(32.5 / 35)
    assert (change.lost, change.gained, change.n) == (5, 0, 35), "a tie that is broken is half a row"
    part = score_of(shared, "before", Intervals())
    assert part is not None
    assert 0 < part.levels < 7
    assert part.n == part.clusters == 5 * part.levels
    whole, moved = mean_score([question], "before"), mean_change([question], "before", "after")
    assert whole is not None
    assert moved is not None
    assert whole.n == 35
    assert [whole.micro, whole.ties] == pytest.approx([32.5 / 35, 5 / 35])
    assert (moved.lost, moved.gained, moved.n) == (5, 0, 35)


def test_a_mean_over_rows_is_not_shown_as_the_published_number() -> None:
    rows = [{**row, "attribute_pair": "red_white", "benchmark": "VG-Attribution"} for row in _relations(("on",), 24)]
    for row in rows:
        del row["relation_name"]
    right = Scripted("right", rows, lambda row, caption: float(row["caption"] == caption))
    result = evaluate(_pictures(rows, "vga"), right, quiet=True)
    assert [one.benchmark for one in questions(result)] == ["VG-Attribution, mean over rows"]
    study = composition_study([(result, None)], ["right"])
    assert [line["set"] for line in study.sections[0].table] == ["VG-Attribution, mean over rows"]
    assert not [section for section in study.sections if section.reference]
    assert any("no level of attribute_pair counts (none has 25 rows or more)" in note for note in study.notes)


def test_a_model_without_captions_is_refused_before_the_first_picture(tmp_path: Any) -> None:
    class Vectors:
        info = ModelInfo("vectors", "encoder")
        asked = 0

        def encode_image(self, images: Any) -> Any:
            self.asked += 1
            return np.ones((len(images), 4), np.float32)

    rows = _winoground()
    oracle = Scripted("oracle", rows, lambda row, caption: float(row["caption"] == caption))
    vectors = Vectors()
    seen: list[Any] = []
    oracle.score = lambda images, captions: seen.append(images)  # type: ignore[method-assign]
    with pytest.raises(ModelError, match=r"'vectors' reads no captions, and 'winoground' asks about them on 'w'"):
        score_compositions([_pictures(rows, "w")], [oracle, vectors], tmp_path, quiet=True)
    assert (vectors.asked, seen) == (0, [])


def test_captions_that_were_left_out_are_counted() -> None:
    from torchmultiverse.evaluation.composition_record import _notes

    rows = _orders()
    bag = Scripted("bag", rows, lambda row, caption: 0.0)
    result = evaluate(_pictures(rows, "coco"), bag, quiet=True)
    dataset = result.provenance.dataset.model_copy(update={"facts": {"left_out": "3"}})
    result.provenance = result.provenance.model_copy(update={"dataset": dataset})
    assert any(note.startswith("coco: 3 captions of one word are not asked") for note in _notes([(result, None)], []))


def test_orders_among_five_and_among_two() -> None:
    rows = _orders()
    pictures = _pictures(rows, "coco")
    knows = Scripted("knows", rows, lambda row, caption: float(
        any(caption == order[0] for order in json.loads(row["orders_caption"]))
    ))  # fmt: skip
    bag = Scripted("bag", rows, lambda row, caption: float(len(caption.split())))
    result = evaluate(pictures, [knows, bag], quiet=True)
    assert result.provenance.protocol["name"] == "aro_order"
    cells = {c["model"]: c for c in result.cells(metric="choice", factor="all")}
    assert cells["knows"]["accuracy"] == 1
    assert cells["knows"]["n"] == 40
    assert cells["knows"]["clusters"] == 20
    assert cells["bag"]["accuracy"] == pytest.approx((1 / 5 + 1 / 2) / 2) == cells["bag"]["chance"]
    (question,) = questions(result)
    score = score_of(question, "bag", Intervals())
    assert score is not None
    assert score.ties == 1
    change = change_of(question, "bag", "knows")
    assert change is not None
    assert change.difference == pytest.approx(1 - (1 / 5 + 1 / 2) / 2)
    assert change.low > 0


def test_protocols_are_told_by_columns() -> None:
    for rows, name in ((_relations(), "aro_relation"), (_winoground(), "winoground"), (_orders(), "aro_order")):
        assert choose_protocol(list(rows[0])).name == name


def test_captions_alone() -> None:
    """Captions that say who is who give themselves away; balanced ones do not."""
    (task,) = choose_protocol(list(_relations()[0])).compile(columns_of(_pictures(_relations(each=40), "vg")))
    facts = caption_facts(task, np.random.default_rng(0))
    assert facts is not None
    assert facts.same_bag == 1
    assert facts.alone > 0.95, "the man always comes first in what is true"
    (task,) = load_protocol("winoground").compile(columns_of(_pictures(_winoground(), "w")))
    facts = caption_facts(task, np.random.default_rng(0))
    assert facts is not None
    assert facts.alone == 0.5, "each caption is true once"
    rng = np.random.default_rng(1)
    words = [f"w{k}" for k in range(40)]
    random = [[" ".join(rng.permutation(words)[:6]) for _ in range(2)] for _ in range(600)]
    alone, asked = judged_alone(random, np.arange(600).astype(object), rng)
    assert asked == 600
    assert alone == pytest.approx(0.5, abs=0.06)


def test_a_model_without_pictures() -> None:
    rows = _winoground()
    oracle = Scripted("oracle", rows, lambda row, caption: float(row["caption"] == caption))
    result = evaluate(_pictures(rows, "w"), [oracle, without_pictures(oracle)], quiet=True)
    name = "oracle, without pictures"
    assert result.cells(model=name, metric="winoground_text", factor="all")[0]["accuracy"] == 0
    assert result.cells(model=name, metric="hard_negative", factor="all")[0]["accuracy"] == 0.5


def test_the_mean_over_levels_holds() -> None:
    """The interval of a mean over relations holds the truth in about 95 of 100 draws."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        level = rng.integers(0, 5, 300)
        photo = rng.integers(0, 60, 300)
        luck = rng.normal(0, 0.15, 60)[photo]
        values = (rng.random(300) < 0.5 + 0.08 * (level - 2) + luck).astype(float)
        found = mean_of_levels([LevelPart(values, level.astype(object), photo.astype(object))])
        hits += found.low <= 0.5 <= found.high
    assert 0.9 <= hits / 300 <= 0.99
    with pytest.raises(ValueError, match="no rows"):
        mean_of_levels([])
    none = mean_of_levels([LevelPart(np.zeros(40), np.arange(40) % 2, np.arange(40))], differences=True)
    assert none.mean == 0
    assert none.low == -none.high < 0, "no row differs: what is known is how many there are"
    few = mean_of_levels([LevelPart(np.ones(6), np.zeros(6, object), np.array([0, 0, 1, 1, 2, 2], object))])
    assert (few.low, few.high) == (0, 1), "three groups say nothing"


def test_one_record_of_several_sets(tmp_path: Any) -> None:
    every = {"relations": _relations(each=10), "winoground": _winoground(), "orders": _orders()}
    sets = [_pictures(rows, name) for name, rows in every.items()]
    rows = every["winoground"]
    before = Scripted("before", rows, lambda row, caption: float(len(caption) % 5))
    after = Scripted("after", rows, lambda row, caption: float(row["caption"] == caption) + 0.01 * (len(caption) % 5))
    study = score_compositions(sets, [before, after], tmp_path, quiet=True)
    by_title = {section.title: section for section in study.sections}
    names = [line["set"] for line in by_title["What changed"].table]
    assert names[0] == "VG-Relation"
    assert {"COCO-Order", "Winoground, text", "Winoground, group"} <= set(names)
    published = [section for section in study.sections if section.reference]
    assert {line["set"] for line in published[0].table} >= {"VG-Relation", "COCO-Order"}
    assert published[0].table[0]["fine-tuned, AR4T (200K) %"] == pytest.approx(0.6836)
    assert any("Not here, and left out" in note and "Flickr30k-Order" in note for note in study.notes)
    assert "points" in study.headline
    texts = [line for line in by_title["Accuracy"].table if line["set"] == "Winoground, text"]
    assert [line["without pictures %"] for line in texts] == [0, 0]
    alone = {line["set"]: line["captions alone %"] for line in by_title["What captions give away"].table}
    assert alone["Winoground"] == 0.5
    assert (tmp_path / "winoground" / "results.parquet").is_file()


def test_the_mean_of_four_needs_all_four() -> None:
    rows = _relations()
    oracle = Scripted("oracle", rows, lambda row, caption: float(row["caption"] == caption))
    result = evaluate(_pictures(rows, "vg"), oracle, quiet=True)
    found = mean_score(questions(result)[:1], "oracle")
    assert found is not None
    assert found.accuracy == 1
    study = composition_study([(result, None)], ["oracle"])
    assert "ARO, mean of four" not in {line["set"] for line in study.sections[0].table}
