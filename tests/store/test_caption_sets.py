"""Sets of photographs with true and false captions, as people have them on their disks.

What could silently be wrong: the true caption taken for the false one, a picture of another entry, a box cut at the
wrong place, word orders that are others at every reading or that are no other order at all.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError
from torchmultiverse.scenes import normalised_caption
from torchmultiverse.store import facts_of, import_captions, open_dataset, verify


def _photo(file: Path, shade: int, size: tuple[int, int] = (40, 30)) -> None:
    """A picture whose pixel (x, y) is (x, y, shade)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[: size[1], : size[0]]
    Image.fromarray(np.stack([x, y, np.full_like(x, shade)], -1).astype(np.uint8)).save(file.with_suffix(".png"))
    file.with_suffix(".png").rename(file)


def _relation(number: int, **more: Any) -> dict[str, Any]:
    return {
        "image_id": number, "image_path": f"{number}.jpg", "bbox_x": 4, "bbox_y": 6, "bbox_w": 12, "bbox_h": 10,
        "true_caption": f"the man {number} is on the horse", "false_caption": f"the horse is on the man {number}",
        "relation_name": "on", **more,
    }  # fmt: skip


def relations(folder: Path, **more: Any) -> Path:
    for number in (1, 2):
        _photo(folder / "images" / f"{number}.jpg", 100 * number)
    (folder / "visual_genome_relation.json").write_text(json.dumps([_relation(1), _relation(2, **more)]))
    return folder


def winoground(folder: Path) -> Path:
    lines = []
    for number in range(2):
        for k in (0, 1):
            _photo(folder / "images" / f"ex_{number}_img_{k}.png", 10 * number + k)
        lines.append({
            "id": number, "image_0": f"ex_{number}_img_0", "image_1": f"ex_{number}_img_1",
            "caption_0": f"a mug in some grass {number}", "caption_1": f"some grass in a mug {number}",
            "tag": "Noun", "secondary_tag": "", "num_main_preds": 1, "collapsed_tag": "Object",
        })  # fmt: skip
    (folder / "examples.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder


def order(folder: Path, name: str = "coco_karpathy_test.json") -> Path:
    entries = []
    for number in range(2):
        image = f"val2014/COCO_val2014_{number:012d}.jpg"
        _photo(folder / image, number)
        captions = [f"A man riding a brown horse near {number} red houses.", "Two dogs (small) run on the green grass"]
        entries.append({"image": image, "caption": [*captions, "dog"]})
    (folder / name).write_text(json.dumps(entries))
    return folder


def _rows(dataset: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = open_dataset(dataset).table().to_pylist()
    return rows


def test_relations_are_cut_to_their_box(tmp_path: Path) -> None:
    made = import_captions(relations(tmp_path / "aro"), tmp_path / "d", "aro-relation")
    rows = _rows(tmp_path / "d")
    assert [row["caption"] for row in rows] == [f"the man {n} is on the horse" for n in (1, 2)]
    assert [row["negative_caption"] for row in rows] == [f"the horse is on the man {n}" for n in (1, 2)]
    assert {row["relation_name"] for row in rows} == {"on"}
    assert {row["benchmark"] for row in rows} == {"VG-Relation"}
    assert [row["image_id"] for row in rows] == ["1.jpg", "2.jpg"]
    assert {row["split"] for row in rows} == {"test"}
    pixels = np.asarray(made.image(1))
    assert pixels.shape == (10, 12, 3)
    assert pixels[0, 0].tolist() == [4, 6, 200]
    assert pixels[-1, -1].tolist() == [15, 15, 200]
    assert not verify(tmp_path / "d").problems
    assert "`relation_name`" in (tmp_path / "d" / "README.md").read_text()
    again = import_captions(tmp_path / "aro", tmp_path / "d", "aro-relation")
    assert len(again) == 2
    assert _rows(tmp_path / "d") == rows, "the same import goes on from what is there"


def test_attributes_name_their_pair(tmp_path: Path) -> None:
    entry = {**_relation(1), "attributes": ["open", "crouched"]}
    del entry["relation_name"]
    _photo(tmp_path / "aro" / "images" / "1.jpg", 7)
    (tmp_path / "aro" / "visual_genome_attribution.json").write_text(json.dumps([entry]))
    import_captions(tmp_path / "aro", tmp_path / "d", "aro-attribution")
    assert _rows(tmp_path / "d")[0]["attribute_pair"] == "open_crouched"


def test_winoground_pairs_know_each_other(tmp_path: Path) -> None:
    made = import_captions(winoground(tmp_path / "w"), tmp_path / "d", "winoground")
    rows = _rows(tmp_path / "d")
    assert len(rows) == 4
    for place, row in enumerate(rows):
        other = rows[place ^ 1]
        assert row["negative_scene_id"] == other["scene_id"]
        assert row["negative_caption"] == other["caption"]
        assert np.asarray(made.image(place))[0, 0, 2] == 10 * (place // 2) + place % 2
        assert row["winoground_collapsed_tag"] == "Object"
        assert row["group"] == str(place // 2)
    assert len({row["scene_id"] for row in rows}) == 4


def test_word_orders_are_frozen(tmp_path: Path) -> None:
    """The same seed gives the same orders, of the same words, none of them the caption's own."""
    import_captions(order(tmp_path / "coco"), tmp_path / "d", "aro-order", seed=3)
    rows = _rows(tmp_path / "d")
    assert len(rows) == 2
    assert rows[0]["benchmark"] == "COCO-Order"
    for row in rows:
        orders = json.loads(row["orders_caption"])
        assert len(orders) == 2, "a caption of one word has no other order"
        for true, *others in orders:
            assert len({true, *others}) == 1 + len(others)
            assert 3 <= len(others) <= 4
            assert all(sorted(one.split()) == sorted(true.split()) for one in others)
        assert row["caption"] == orders[0][0] == normalised_caption(orders[0][0])
    import_captions(tmp_path / "coco", tmp_path / "same", "aro-order", seed=3)
    import_captions(tmp_path / "coco", tmp_path / "other", "aro-order", seed=4)
    told = [[row["orders_caption"] for row in _rows(tmp_path / name)] for name in ("d", "same", "other")]
    assert told[0] == told[1] != told[2]
    assert facts_of(open_dataset(tmp_path / "d").manifest)["left_out"] == "2", "one word each"
    lineage = json.loads((tmp_path / "d" / "manifest.json").read_text())["lineage"]
    assert lineage[0]["imported"]["seed"] == 3
    assert lineage[0]["imported"]["tagger"]


def test_flickr_by_its_file(tmp_path: Path) -> None:
    folder = order(tmp_path / "f", "flickr30k_val.json")
    import_captions(folder / "flickr30k_val.json", tmp_path / "d", "aro-order")
    assert {(row["benchmark"], row["split"]) for row in _rows(tmp_path / "d")} == {("Flickr30k-Order", "validation")}


def test_a_split_that_no_file_has_is_refused(tmp_path: Path) -> None:
    folder = order(tmp_path / "f")
    for split in ("test2", "train", "val"):
        with pytest.raises(DatasetError, match=rf"split = '{split}': test is right \(coco_karpathy_test.json\)"):
            import_captions(folder, tmp_path / "d", "aro-order", split=split)
    with pytest.raises(DatasetError, match="split = 'val': test is right"):
        import_captions(folder / "coco_karpathy_test.json", tmp_path / "d", "aro-order", split="val")
    (folder / "coco_karpathy_val.json").write_text((folder / "coco_karpathy_test.json").read_text())
    with pytest.raises(DatasetError, match="split = 'test2': test or val is right"):
        import_captions(folder, tmp_path / "d", "aro-order", split="test2")
    assert len(import_captions(folder, tmp_path / "d", "aro-order", split="val")) == 2


def test_an_id_of_winoground_comes_once(tmp_path: Path) -> None:
    folder = winoground(tmp_path / "w")
    lines = (folder / "examples.jsonl").read_text().replace('"id": 1', '"id": 0')
    (folder / "examples.jsonl").write_text(lines)
    with pytest.raises(DatasetError, match=r"examples.jsonl:2: id = 0 is that of .*examples.jsonl:1 too"):
        import_captions(folder, tmp_path / "d", "winoground")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"true_caption": 3}, r"visual_genome_relation.json, entry 1: true_caption = 3: a text is right"),
        ({"bbox_w": 0}, r"entry 1: bbox_w = 0, bbox_h = 10: at least 1 pixel"),
        ({"bbox_x": "left"}, r"entry 1: bbox_x = 'left': a whole number is right"),
        ({"bbox_x": 400}, r"entry 1, .*2.jpg: the box \(400, 6, 412, 16\) lies outside the picture, which has 40 × 30"),
        ({"image_path": "3.jpg"}, r"entry 1: '3.jpg': no such file"),
        ({"image_path": "../../etc/1.jpg"}, r"entry 1: '../../etc/1.jpg': no such file"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(DatasetError, match=told):
        import_captions(relations(tmp_path / "aro", **change), tmp_path / "d", "aro-relation")


def test_a_missing_field_and_a_missing_file_are_named(tmp_path: Path) -> None:
    folder = relations(tmp_path / "aro")
    entries = [_relation(1)]
    entries[0]["relation"] = entries[0].pop("relation_name")
    (folder / "visual_genome_relation.json").write_text(json.dumps(entries))
    with pytest.raises(DatasetError, match=r"entry 0: no field 'relation_name'.*relation"):
        import_captions(folder, tmp_path / "d", "aro-relation")
    with pytest.raises(DatasetError, match=r"aro: none of examples.jsonl there; a set of the layout winoground"):
        import_captions(folder, tmp_path / "d", "winoground")
    with pytest.raises(DatasetError, match=r"layout = 'aro': one of"):
        import_captions(folder, tmp_path / "d", "aro")
    (folder / "visual_genome_relation.json").write_text("{}")
    with pytest.raises(DatasetError, match="a list of objects is right"):
        import_captions(folder, tmp_path / "d", "aro-relation")
