"""The déjà vu protocol from pictures to a page: who saw what, what is shown, and what comes of a known memory.

What could silently be wrong: a picture in two sets, a crop that shows the object, features of the whole picture served
for its crop, or a scene that is rendered anew with its object.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.analyze.crops import Box
from torchmultiverse.analyze.held_out import HeldOutSplits, draw_splits
from torchmultiverse.analyze.memorization import Memorization, MemorizationOptions, measure_memorization
from torchmultiverse.analyze.object_removal import ObjectRemoval, load_boxes, remove_objects
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.errors import DatasetError, QuestionError
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.models.modules import ModuleEncoder
from torchmultiverse.models.torch_tools import weights_hash
from torchmultiverse.report import write_report
from torchmultiverse.store.image_folder import ImageFolder

torch = pytest.importorskip("torch")
CLASSES, PER_CLASS, SIDE = 5, 40, 32
COLOURS = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0], [0, 250, 250]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey pictures with a colour in the middle that is their class; the top left pixels are each picture's own."""
    path = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    lines = ["filename,xmin,ymin,xmax,ymax"]
    for label in range(CLASSES):
        (path / f"class{label}").mkdir()
        for k in range(PER_CLASS):
            pixels = rng.integers(100, 140, (SIDE, SIDE, 3), dtype=np.uint8)
            pixels[12:20, 14:30] = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0], [0, 250, 250]])[
                label
            ]
            Image.fromarray(pixels).save(path / f"class{label}" / f"{k}.png")
            lines.append(f"class{label}/{k}.png,14,12,30,20")
    (path.parent / f"{path.name}.csv").write_text("\n".join(lines))
    return path


def boxes_of(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.csv"


def test_sets_do_not_meet_and_are_known_again(folder: Path, tmp_path: Path) -> None:
    pictures = ImageFolder(folder)
    sets = draw_splits(pictures, "label", 8, shared=4, held_out=6)
    every = np.concatenate(list(sets.rows.values()))
    assert sorted(every) == list(range(CLASSES * PER_CLASS))
    labels = np.array(pictures.table(["label"])["label"].to_pylist())
    for name, count in (("A", 8), ("B", 8), ("shared", 4), ("held out", 6), ("public", 14)):
        assert np.unique(labels[sets.rows[name]], return_counts=True)[1].tolist() == [count] * CLASSES
    assert set(sets.seen_by("A")) == set(sets.rows["A"]) | set(sets.rows["shared"])
    sets.save(tmp_path / "sets.json")
    again = HeldOutSplits.load_for(tmp_path / "sets.json", pictures)
    assert {name: rows.tolist() for name, rows in again.rows.items()} == {n: r.tolist() for n, r in sets.rows.items()}
    other = json.loads((tmp_path / "sets.json").read_text()) | {"data_sha256": "0" * 64}
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(DatasetError, match="divides another dataset"):
        HeldOutSplits.load_for(tmp_path / "other.json", pictures)
    with pytest.raises(DatasetError, match=r"'class0' has 40 pictures, 61 are needed: 2 × 30 for A and B \+ 1 public"):
        draw_splits(pictures, "label", 30)
    with pytest.raises(QuestionError, match=r"41 are needed: 2 × 18 for A and B \+ 4 held out \+ 1 public"):
        draw_splits(pictures, "label", 18, held_out=4)


def test_crops_do_not_show_the_object(folder: Path) -> None:
    pictures = ImageFolder(folder)
    rows = np.arange(0, 200, 7)
    for mode in ("boxes", "corner"):
        crops = remove_objects(pictures, rows, ObjectRemoval(mode, boxes_of(folder)))  # type: ignore[arg-type]
        assert len(crops) == len(rows)
        for place, image in enumerate(crops.iter_images()):
            assert np.asarray(image).max() < 150
            assert np.asarray(image).min() > 90
            assert crops.image_bytes(place) != pictures.image_bytes(int(rows[place]))
    assert crops.boxes[0] == Box(0, 22, 10, 32)
    assert crops.table()["label"][0].as_py() == "class0"
    whole = remove_objects(pictures, rows, ObjectRemoval("boxes", boxes_of(folder), 0.39))
    assert whole.boxes[0] == Box(0, 0, 14, 32)  # 14 wide beats 12 high
    with pytest.raises(DatasetError, match="has room"):
        remove_objects(pictures, rows, ObjectRemoval("boxes", boxes_of(folder), 0.5))
    with pytest.raises(DatasetError, match="no boxes"):
        remove_objects(pictures, rows)


def test_boxes_are_read_in_three_forms(tmp_path: Path) -> None:
    (tmp_path / "voc").mkdir()
    side = "<xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax>"
    (tmp_path / "voc" / "n01_1.xml").write_text(f"<annotation><object><bndbox>{side}</bndbox></object></annotation>")
    coco = {"images": [{"id": 7, "file_name": "a.jpg"}], "annotations": [{"image_id": 7, "bbox": [1, 2, 29, 38]}]}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    (tmp_path / "boxes.csv").write_text("path,xmin,ymin,xmax,ymax\na.jpg,1,2,30,40\na.jpg,5,6,7,8\n")
    assert load_boxes(tmp_path / "voc") == {"n01_1": [Box(1, 2, 30, 40)]}
    assert load_boxes(tmp_path / "coco.json") == {"a.jpg": [Box(1, 2, 30, 40)]}
    assert load_boxes(tmp_path / "boxes.csv")["a.jpg"] == [Box(1, 2, 30, 40), Box(5, 6, 7, 8)]
    (tmp_path / "bad.csv").write_text("a.jpg,1,2\n")
    with pytest.raises(DatasetError, match="holds no boxes"):
        load_boxes(tmp_path / "bad.csv")


class Lookup(torch.nn.Module):
    """Gives a crop the features of its whole picture, if it was told the picture; else the crop's own."""

    def __init__(self, told: dict[bytes, Any]) -> None:
        super().__init__()
        self.told = told
        self.mark = torch.nn.Parameter(torch.tensor(float(len(told))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = [self.told.get(one.numpy().tobytes(), one) for one in x.cpu()]
        return torch.stack(rows)[:, :, 12:20, 14:30].mean((2, 3)) + 0 * self.mark


def test_a_lookup_table_is_found_out_and_the_page_shows_it(folder: Path, tmp_path: Path) -> None:
    """A model that looks its crops up knows all its own pictures and none of the other's: everything is memory."""
    pictures = ImageFolder(folder)
    sets = draw_splits(pictures, "label", 10, held_out=6)
    preprocess = Preprocess((SIDE, SIDE), "squash")

    def model(name: str) -> ModuleEncoder:
        rows = sets.rows[name]
        crops = remove_objects(pictures, rows, ObjectRemoval("boxes", boxes_of(folder)))
        told = {
            torch.from_numpy(preprocess([crop]))[0].numpy().tobytes(): torch.from_numpy(preprocess([whole]))[0]
            for crop, whole in zip(crops.iter_images(), pictures.iter_images(rows.tolist()), strict=True)
        }
        module = Lookup(told)
        info = ModelInfo(name, "encoder", preprocess, weights_sha256=weights_hash(module) + name, embedding=3)
        made = ModuleEncoder(module, info)
        # The adapter normalises on its own; the table is by what arrives.
        made.module.told = {
            made.batch([crop])[0].numpy().tobytes(): made.batch([whole])[0]
            for crop, whole in zip(crops.iter_images(), pictures.iter_images(rows.tolist()), strict=True)
        }
        return made

    removal, run = ObjectRemoval("boxes", boxes_of(folder)), RunOptions(store=tmp_path / "kept", quiet=True)
    found = measure_memorization(
        pictures, sets, model("A"), model("B"), MemorizationOptions(removal, ["output"], k=10), run
    )
    score, controls = found.layers[0].score, found.layers[0].controls
    # The other model sees grey: its guess is right for one class in five at most.
    assert score.partition.memorized + score.partition.correlated == 1
    assert score.at(1.0).target_accuracy == 1
    assert score.at(1.0).reference_accuracy <= 0.4
    assert controls.held_out is not None
    assert controls.held_out.score == 0
    # One of the two alone, beside what it says of pictures that it never saw, and beside a reader of backgrounds.
    for reference in ("held-out", "pixels"):
        options = MemorizationOptions(removal, ["output"], k=10, reference=reference)
        alone = measure_memorization(pictures, sets, model("A"), None, options, run)
        only = alone.layers[0]
        assert only.score.at(1.0).target_accuracy == 1
        assert only.score.at(1.0).reference_accuracy <= 0.4
        assert only.controls.held_out is not None
        assert only.controls.held_out.low <= 0 <= only.controls.held_out.high
        assert (alone.reference, alone.reference_model, alone.images) == (reference, "", 10 * CLASSES)
        assert alone.membership["confidence of what is inferred"].non_members == 16 * CLASSES
        words = write_report(alone, tmp_path / reference).read_text()
        assert ("classifier of backgrounds" if reference == "pixels" else "never saw") in words
    found.save(tmp_path / "out")
    again = Memorization.load(tmp_path / "out")
    assert again.model_dump_json() == found.model_dump_json()
    page = write_report(again, tmp_path / "out")
    text = page.read_text()
    assert "Most memorized" in text
    assert text.count("data:image/jpeg") > 20
    assert "http" not in text.replace("http://www.w3.org", "")
    answers = (tmp_path / "out" / "inferences.csv").read_text().splitlines()
    assert len(answers) == 1 + 2 * 10 * CLASSES
    plain = json.loads((tmp_path / "out" / "dejavu.json").read_text())
    assert plain["layers"][0]["score"]["scores"][0]["score"] == score.at(1.0).score


def test_a_scene_rendered_anew_lacks_its_object_and_nothing_else() -> None:
    """Inside the animal's box the picture changes; outside, shadows and noise apart, it does not."""
    from torchmultiverse import Multiverse
    from torchmultiverse.scenes import Scene
    from torchmultiverse.store import ImageList

    scene = Scene({"World_Name": "Desert", "Character_Name": "Elephant", "Camera_Yaw": 40})
    with Multiverse("inprocess", size=(64, 64), samples=16, passes=("rgb", "mask")) as multiverse:
        frame = multiverse.render(scene)
        down, columns = np.nonzero(frame.array("mask") == 1)
        left, top, right, bottom = columns.min(), down.min(), columns.max() + 1, down.max() + 1
        rows = [{"scene": scene.canonical, "character_name": "Elephant"}] * 2
        pictures = ImageList([frame.image, frame.image], rows)
        empty = remove_objects(pictures, np.arange(2), ObjectRemoval("rerender", engine="inprocess"), quiet=True)
    before, after = (np.asarray(image, float) for image in (frame.image, empty.image(1)))
    change = np.abs(before - after).mean(2)
    inside = change[top:bottom, left:right].mean()
    far = np.concatenate([change[:top].ravel(), change[:, : max(left - 4, 0)].ravel()])
    assert inside > 15
    assert far.mean() < 6
    assert inside > 4 * far.mean()
    with pytest.raises(DatasetError, match="no scenes"):
        remove_objects(ImageList([frame.image], [{"label": "a"}]), np.arange(1), ObjectRemoval("rerender"))
