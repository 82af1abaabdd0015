"""What could silently be wrong: a mean corruption error that divides by something else, a rise above other pictures'
error, an interval over pictures that are not independent, a folder of ImageNet-C read under the wrong type."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import drawn_spar

from torchmultiverse.corruptions import CORRUPTIONS, IMAGENET_C, SEVERITIES
from torchmultiverse.errors import DatasetError, ModelError, SpecError
from torchmultiverse.evaluation import CorruptionOptions, errors_under_corruptions, evaluate, evaluate_corruptions
from torchmultiverse.evaluation.corruption_errors import (
    PLAIN,
    Answers,
    Estimate,
    ModelErrors,
    against_published,
    common_answers,
    corruption_error,
    estimate,
    mean_error,
    mean_ratio,
    relative,
    relative_corruption_error,
    rise,
)
from torchmultiverse.evaluation.corruption_run import CorruptionErrors
from torchmultiverse.evaluation.corruption_study import corruption_study
from torchmultiverse.evaluation.imagenet import imagenet_names
from torchmultiverse.evaluation.imagenet_c import alexnet_errors, published_on_imagenet_c
from torchmultiverse.models import ModelInfo, as_model
from torchmultiverse.stats import Intervals
from torchmultiverse.store import CorruptedImages, ImageList

DARK, BRIGHT = 70, 130


def _squares(per_class: int = 16) -> ImageList:
    """Dark cats and bright dogs, each with a faint pattern that keeps its mean, of eight assets."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    for label, level in (("cat", DARK), ("dog", BRIGHT)):
        for number in range(per_class):
            pattern = rng.integers(-6, 7, (16, 16, 1))
            pixels = np.kron(level + pattern - int(pattern.mean()), np.ones((4, 4, 3))).astype(np.uint8)
            images.append(Image.fromarray(pixels))
            rows.append({"character_name": f"{label}_{number % 4}", "character_label": label, "camera_yaw": number})
    return ImageList(images, rows, name="squares")


class _ByBrightness:
    """Says dog to what is bright, cat to the rest; it sees nothing else."""

    classes = ("cat", "dog")

    def __init__(self, name: str = "by brightness", border: float = 100) -> None:
        self.info, self._border = ModelInfo(name, "classifier"), border

    def logits(self, images: Sequence[Image.Image]) -> np.ndarray:
        light = np.array([np.asarray(image).mean() for image in images])
        return np.stack([self._border - light, light - self._border], 1).astype(np.float32)


def test_who_reads_brightness_breaks_under_brightness_and_not_under_blur() -> None:
    asked = CorruptionOptions("brightness,gaussian_blur,pixelate,jpeg_compression,contrast", side=64)
    (errors,) = errors_under_corruptions(_squares(), _ByBrightness(), asked, quiet=True).models
    found = errors.errors()
    assert found[PLAIN] == 0
    for severity in SEVERITIES:
        # Shifts are 26, 51, …: from the second on every dark cat is as bright as a dog.
        assert found["brightness", severity] == (0 if severity == 1 else 0.5)
        for name in ("gaussian_blur", "pixelate", "jpeg_compression", "contrast"):
            assert found[name, severity] == 0, name
    assert errors.groups == 8
    assert errors.chance == 0.5
    assert estimate(errors, Intervals(), mean_error(["brightness"], SEVERITIES)).value == pytest.approx(0.4)
    more = estimate(errors, Intervals(), rise(["brightness"], [5]), bounded=False)
    assert more.value == 0.5
    assert more.low is not None
    assert more.low < 0.5 < more.high


def test_the_record_says_it_in_one_sentence_and_its_tables_agree() -> None:
    asked = CorruptionOptions("brightness,gaussian_blur", (1, 5), baseline="weak", side=64)
    models = [_ByBrightness(), _ByBrightness("weak", border=128)]
    study = evaluate_corruptions(_squares(), models, asked, quiet=True)
    assert "by brightness errs on 0.0 % on plain pictures and 12.5 %" in study.headline
    assert "costliest for by brightness is brightness" in study.headline
    overview, by_type = study.sections[0].table, study.sections[1].table
    values = {(line["model"], line["what"]): line["value %"] for line in overview}
    assert values["by brightness", "mean error under corruptions"] == pytest.approx(0.125)
    assert values["weak", "error relative to weak (mean over corruptions)"] == pytest.approx(1) or (
        values["weak", "error relative to weak (mean over corruptions)"] is None
    )
    rows = {(line["model"], line["corruption"]): line for line in by_type}
    assert rows["by brightness", "brightness"]["severity 5 %"] == 0.5
    assert rows["by brightness", "brightness"]["plain error %"] == 0
    assert {line["n"] for line in by_type} == {32}
    assert study.facts["error of a blind guess"] == "50.0 %"
    pictures = study.sections[3].pictures
    assert [(row.label, len(row.samples)) for row in pictures] == [("brightness", 2), ("gaussian_blur", 2)]
    assert type(study).model_validate(study.model_dump()) == study


def test_the_average_is_that_of_the_leaderboard() -> None:
    data = drawn_spar(side=48, worlds=("Desert",))

    def guess(images: Sequence[Image.Image], captions: Sequence[str]) -> np.ndarray:
        rng = np.random.default_rng(len(captions))
        light = np.array([np.asarray(image).mean() for image in images])
        return (light[:, None] % 1 + rng.random((len(images), len(captions)))).astype(np.float32)

    asked = CorruptionOptions("contrast", (3,), side=48)
    (errors,) = errors_under_corruptions(data, guess, asked, quiet=True).models
    result = evaluate(CorruptedImages(data, "contrast", 3, side=48), guess, quiet=True)
    (cell,) = result.cells(task="average")
    assert errors.errors()["contrast", 3] == pytest.approx(1 - cell["accuracy"])
    assert errors.cells["contrast", 3] == pytest.approx((1 - cell["accuracy"], 1 - cell["high"], 1 - cell["low"]))
    assert errors.answers == cell["n"]
    assert errors.pictures == len(set(result.rows["index"].to_pylist())) < errors.answers
    task = errors_under_corruptions(
        data, guess, CorruptionOptions("contrast", (3,), task="relation", side=48), quiet=True
    )
    assert task.models[0].question != errors.question


def _errors(name: str, wrong: float, conditions: Sequence[tuple[str, int]], groups: int = 20) -> ModelErrors:
    rng = np.random.default_rng(len(name))
    errors = (rng.random((len(conditions), 10 * groups)) < wrong).astype(float)
    return _planted(name, conditions, errors, np.arange(10 * groups))


def _planted(
    name: str, conditions: Sequence[tuple[str, int]], wrong: np.ndarray, index: np.ndarray,
    setting: str = "class names", chance: float = 0.001,
) -> ModelErrors:  # fmt: skip
    """A model with given errors on given pictures; ten that follow each other are of one group."""
    cells = {key: Estimate(float(part.mean()), 0, 1) for key, part in zip(conditions, wrong, strict=True)}
    groups = np.array([str(number // 10) for number in index.tolist()], object)
    answers = Answers("classification, top1", setting, chance, index, groups, wrong)
    return ModelErrors(name, "classification", 1 - chance, tuple(conditions), cells, (answers,))


def test_alexnet_has_an_mce_of_100() -> None:
    alexnet = alexnet_errors()
    assert corruption_error(alexnet, alexnet, IMAGENET_C, SEVERITIES) == 1
    assert relative_corruption_error(alexnet, alexnet, IMAGENET_C, SEVERITIES) == 1
    assert alexnet[PLAIN] == 0.435
    assert {name for name, _ in alexnet if name} == set(IMAGENET_C)
    # The means by type that public evaluation code divides by.
    means = {"gaussian_noise": 0.886428, "shot_noise": 0.894468, "impulse_noise": 0.922640, "defocus_blur": 0.819880,
             "glass_blur": 0.826268, "motion_blur": 0.785948, "zoom_blur": 0.798360, "snow": 0.866816,
             "frost": 0.826572, "fog": 0.819324, "brightness": 0.564592, "contrast": 0.853204,
             "elastic_transform": 0.646056, "pixelate": 0.717840, "jpeg_compression": 0.606500}  # fmt: skip
    for name, mean in means.items():
        assert np.mean([alexnet[name, s] for s in SEVERITIES]) == pytest.approx(mean, abs=1e-6)
    half = {key: value / 2 for key, value in alexnet.items()}
    assert corruption_error(half, alexnet, IMAGENET_C, SEVERITIES) == pytest.approx(0.5)
    conditions = [(name, s) for name in IMAGENET_C for s in SEVERITIES]
    drawn = _errors("drawn", 0.5, conditions)
    expected = np.mean([0.5 / means[name] for name in IMAGENET_C])
    found = against_published(drawn, alexnet, Intervals(), IMAGENET_C, SEVERITIES)
    assert found.value == pytest.approx(expected, abs=0.02)
    assert found.low < expected < found.high


def test_a_ratio_to_a_baseline_is_paired() -> None:
    conditions = [PLAIN, ("fog", 1), ("fog", 5), ("snow", 1), ("snow", 5)]
    first, second = _errors("one", 0.2, conditions), _errors("another", 0.4, conditions)
    intervals = Intervals()
    ratio = mean_ratio(first, second, intervals, ["fog", "snow"], [1, 5])
    assert ratio is not None
    assert ratio.low < 0.5 < ratio.high
    same = mean_ratio(first, first, intervals, ["fog", "snow"], [1, 5])
    assert same is not None
    assert same.value == 1
    assert same.low is None, "a model relative to itself varies with nothing"
    none = _errors("none", 0.0, conditions)
    assert mean_ratio(first, none, intervals, ["fog"], [1]) is None
    assert relative(first, none, intervals, mean_error(["fog"], [1])) is None
    few = mean_ratio(_errors("a", 0.3, conditions, 3), _errors("bc", 0.3, conditions, 3), intervals, ["fog"], [1])
    assert few is not None
    assert few[1:] == (None, None), "three groups say nothing"


def test_a_ratio_is_of_the_pictures_that_both_were_asked_about() -> None:
    """Same sizes of groups, other pictures: the ratio was one of two sets of pictures, with an interval that paired
    nothing."""
    conditions = [PLAIN, ("fog", 1)]
    index, later = np.arange(100), np.arange(50, 150)
    of_first = np.stack([np.zeros(100), np.where(index < 50, 1.0, 0.2)])
    of_second = np.stack([np.zeros(100), np.where(later < 100, 0.4, 0.0)])
    first = _planted("first", conditions, of_first, index)
    second = _planted("second", conditions, of_second, later, "any-of-set", 0.01)
    ratio = mean_ratio(first, second, Intervals(), ["fog"], [1])
    assert ratio is not None
    assert ratio.value == pytest.approx(0.5), (
        "0.2 over 0.4 where both were asked; 0.6 over 0.2 is of different pictures"
    )
    assert relative(first, second, Intervals(), mean_error(["fog"], [1])).value == pytest.approx(0.5)
    mine, theirs = common_answers(first, second)
    assert mine.pictures == theirs.pictures == 50
    assert mine.groups == 5
    found = CorruptionErrors("planted", ("fog",), (1,), (first, second), {}, None, False, False,
                             CorruptionOptions("fog", (1,), baseline="second"))  # fmt: skip
    study = corruption_study(found, Intervals())
    line = next(row for row in study.sections[0].table if row["model"] == "first" and "relative" in str(row["what"]))
    assert (line["value %"], line["n"]) == (pytest.approx(0.5), 50)
    assert any("of the 50 answers that both gave" in note for note in study.notes)
    assert any("first and second do not choose among the same classes" in note for note in study.notes)


def test_models_without_a_common_picture_are_not_divided() -> None:
    conditions = [PLAIN, ("fog", 1)]
    first = _planted("first", conditions, np.ones((2, 20)), np.arange(20))
    second = _planted("second", conditions, np.ones((2, 20)), np.arange(20, 40))
    with pytest.raises(DatasetError, match="'first' and 'second' were asked about no picture that both have"):
        mean_ratio(first, second, Intervals(), ["fog"], [1])
    found = CorruptionErrors("planted", ("fog",), (1,), (first, second), {}, None, False, False,
                             CorruptionOptions("fog", (1,), baseline="second"))  # fmt: skip
    study = corruption_study(found, Intervals())
    line = next(row for row in study.sections[0].table if row["model"] == "first" and "relative" in str(row["what"]))
    assert line["value %"] is None
    assert any(note.startswith("first: no error relative to second") for note in study.notes)


@pytest.mark.parametrize(
    ("fog", "snow", "blur", "said"),
    [
        (0.2, 0.2, 0.1, "no type makes one err more than on plain pictures"),
        (0.4, 0.4, 0.4, "all 3 types cost one alike"),
        (0.4, 0.4, 0.3, "2 types cost one most, alike: fog, snow"),
        (0.4, 0.5, 0.3, "the costliest for one is snow"),
    ],
)
def test_the_headline_names_the_costliest_type_where_there_is_one(
    fog: float, snow: float, blur: float, said: str
) -> None:
    conditions = [PLAIN, ("fog", 1), ("snow", 1), ("gaussian_blur", 1)]
    errors = np.repeat(np.array([[0.2], [fog], [snow], [blur]]), 40, 1)
    one = _planted("one", conditions, errors, np.arange(40))
    found = CorruptionErrors("planted", one.names, (1,), (one,), {}, None, False, False, CorruptionOptions("fog", (1,)))
    headline = corruption_study(found, Intervals()).headline
    assert said in headline
    assert ("costliest" in headline) == (snow == 0.5)


# Folders as ImageNet-C has them --------------------------------------------------------------------------


def _imagenet_c(root: Path, names: Sequence[str] = IMAGENET_C, group: str = "") -> Path:
    """Write 15 types × 5 severities of two classes, dark and bright; and the plain pictures beside them."""
    synsets = published_on_imagenet_c()["synsets"].split()
    for synset, level in ((synsets[1], DARK), (synsets[7], BRIGHT)):
        for number in range(4):
            image = Image.new("RGB", (8, 8), (level, level, level + number))
            for folder in [root.parent / "plain", *(root / group / n / str(s) for n in names for s in SEVERITIES)]:
                (folder / synset).mkdir(parents=True, exist_ok=True)
                image.save(folder / synset / f"ILSVRC2012_val_{number}.png")
    return root


def _seven(images: Sequence[Image.Image]) -> np.ndarray:
    """Logits of ImageNet's classes: always the class of number 7."""
    logits = np.zeros((len(images), 1000), np.float32)
    logits[:, 7] = 9
    return logits


def test_folders_of_imagenet_c_give_an_mce(tmp_path: Path) -> None:
    root = _imagenet_c(tmp_path / "imagenet-c")
    found = errors_under_corruptions(root, as_model(_seven, classes=imagenet_names()),
                                     CorruptionOptions(plain=tmp_path / "plain"), quiet=True)  # fmt: skip
    assert found.ready
    assert found.imagenet_c
    assert found.names == IMAGENET_C
    (errors,) = found.models
    assert set(errors.errors().values()) == {0.5}
    study = corruption_study(found, Intervals(), root)
    values = {line["what"]: line["value %"] for line in study.sections[0].table}
    expected = np.mean([0.5 / np.mean([alexnet_errors()[name, s] for s in SEVERITIES]) for name in IMAGENET_C])
    assert values["mCE (AlexNet is 100)"] == pytest.approx(expected)
    assert values["relative mCE (AlexNet is 100)"] == 0
    assert [section.title for section in study.sections if section.reference] == [
        "Published: AlexNet, by which mCE divides", "Published: ResNet-50",
    ]  # fmt: skip


def test_part_of_imagenet_c_gives_no_mce(tmp_path: Path) -> None:
    root = _imagenet_c(tmp_path / "c", ["fog", "snow"], "weather")
    model = as_model(_seven, classes=imagenet_names())
    found = errors_under_corruptions(root, model, CorruptionOptions(severities=(1, 5)), quiet=True)
    assert found.names == ("snow", "fog")
    assert not found.imagenet_c
    notes = corruption_study(found, Intervals()).notes
    assert any(note.startswith("No mCE") for note in notes)
    assert any("--plain" in note for note in notes)
    there = r"It has snow, fog at severities 1, 2, 3, 4, 5: --corruptions snow,fog --severity 1,2,3,4,5$"
    with pytest.raises(DatasetError, match=rf"has no gaussian_blur/1, nor 4 others\. {there}"):
        errors_under_corruptions(root, model, CorruptionOptions("gaussian_blur"), quiet=True)
    for severity in (2, 3, 4):
        shutil.rmtree(root / "weather" / "fog" / str(severity))
    parts = r"It has snow at severities 1, 2, 3, 4, 5; fog at severities 1, 5: --corruptions snow,fog --severity 1,5$"
    with pytest.raises(DatasetError, match=rf"has no fog/2, nor 2 others\. {parts}"):
        errors_under_corruptions(root, model, CorruptionOptions(), quiet=True)
    (next(root.glob("weather/fog/5/*/*.png"))).unlink()
    with pytest.raises(DatasetError, match=r"fog/5 has other pictures.*7 instead of 8"):
        errors_under_corruptions(root, model, CorruptionOptions(severities=(1, 5)), quiet=True)


def test_a_plain_folder_of_other_pictures_is_named_itself(tmp_path: Path) -> None:
    root = _imagenet_c(tmp_path / "c", ["fog"])
    next((tmp_path / "plain").glob("*/*.png")).unlink()
    asked = CorruptionOptions(severities=(1,), plain=tmp_path / "plain")
    with pytest.raises(DatasetError, match=r"^--plain: .*plain has other pictures than the first folder: 7 instead"):
        errors_under_corruptions(root, as_model(_seven, classes=imagenet_names()), asked, quiet=True)


def test_no_corruption_at_all_is_no_question() -> None:
    with pytest.raises(SpecError, match="no corruption is named; all, imagenet-c, noise"):
        errors_under_corruptions(_squares(4), _ByBrightness(), CorruptionOptions(""), quiet=True)


def test_other_datasets_have_no_mce_and_say_why() -> None:
    study = evaluate_corruptions(
        _squares(4), _ByBrightness(), CorruptionOptions("imagenet-c", (1,), side=32), quiet=True
    )
    assert not any("mCE" in str(line["what"]) for line in study.sections[0].table)
    assert any("AlexNet's published errors are of ImageNet-C's pictures" in note for note in study.notes)
    assert any("frost lays made ice" in note for note in study.notes)


def test_errors_name_what_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model 'by lightness' to be the baseline.*by brightness"):
        errors_under_corruptions(_squares(4), _ByBrightness(), CorruptionOptions(baseline="by lightness"), quiet=True)
    with pytest.raises(SpecError, match=r"fog_3d: the pictures have no depth"):
        errors_under_corruptions(_squares(4), _ByBrightness(), CorruptionOptions("fog_3d"), quiet=True)
    with pytest.raises(DatasetError, match="laid out as ImageNet-C"):
        errors_under_corruptions(_squares(4), _ByBrightness(), CorruptionOptions("fog", plain=tmp_path), quiet=True)
    assert len(CORRUPTIONS) == 28
