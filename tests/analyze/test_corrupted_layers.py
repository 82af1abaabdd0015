"""What could silently be wrong: a probe that learnt from corrupted pictures, a layer under the name of another, a
filter that is stronger than its condition, scenes compared that differ in more than the condition."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.analyze import CorruptedLayerOptions, RunOptions, analyze_corruptions, probe_corruptions
from torchmultiverse.analyze.corrupted_layers import CorruptedLayers
from torchmultiverse.analyze.corruption_record import layer_study
from torchmultiverse.analyze.filter_comparison import DEEP, FLAT, PLAIN, REAL, compare_filters, scene_pairs
from torchmultiverse.corruptions.spatial import in_air
from torchmultiverse.errors import DatasetError
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.models.modules import ModuleClassifier
from torchmultiverse.models.torch_tools import weights_hash
from torchmultiverse.stats import Intervals
from torchmultiverse.store import ImageList

torch = pytest.importorskip("torch")
QUIET = RunOptions(quiet=True)


def _sides() -> ModuleClassifier:
    """Layer ``1`` is the brightness of both halves; layer ``2`` their difference with four times their mean added."""
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d((1, 2)), torch.nn.Flatten(), torch.nn.Linear(6, 1))
    with torch.no_grad():
        module[2].weight[:] = torch.tensor([[1.0, -1] * 3]) / 3 + 4 / 6
        module[2].bias[:] = 0
    info = ModelInfo("sides", "classifier", Preprocess((32, 32), "squash"), weights_sha256=weights_hash(module))
    return ModuleClassifier(module, info, ["a"])


def _halves(count: int = 60) -> ImageList:
    """Pictures whose left or whose right half is brighter, all of one mean."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    for number in range(count):
        left = number % 2
        pixels = np.full((32, 32, 3), 90, np.int64)
        pixels[:, :16] += 12 if left else -12
        pixels[:, 16:] -= 12 if left else -12
        noise = rng.integers(-4, 5, (32, 32, 1))
        images.append(Image.fromarray((pixels + noise).astype(np.uint8)))
        rows.append({"label": "left" if left else "right", "world_name": f"w{number // 2 % 15}"})
    return ImageList(images, rows, name="halves")


def test_the_layer_that_keeps_both_sides_survives_what_the_last_does_not() -> None:
    asked = CorruptedLayerOptions("brightness,gaussian_blur", (1, 5), group="world_name", layers="every", side=32)
    found = probe_corruptions(_sides(), _halves(), asked, QUIET)
    assert found.plain.mean() == 0
    kept, last = 0, len(found.layers) - 1
    blur = found.names.index("gaussian_blur")
    bright = found.names.index("brightness")
    assert found.wrong[bright, :, kept].mean() == 0
    assert found.wrong[bright, 1, last].mean() == pytest.approx(0.5, abs=0.2)
    assert found.wrong[blur].mean() == 0
    assert found.shift[bright, 1, last] > found.shift[blur, 1, last]
    gap = found.against_last(kept)
    assert gap.mean < 0
    assert found.chosen == kept
    assert found.chosen_by_type[bright] == kept
    assert found.group_column == "world_name"
    assert found.chance == pytest.approx(0.5, abs=0.05)


def test_the_record_names_the_layer_and_keeps_published_numbers_apart() -> None:
    asked = CorruptedLayerOptions("brightness", (5,), layers="every", side=32)
    study = analyze_corruptions(_sides(), _halves(), asked, run=QUIET)
    assert "is best read at 0, as validation pictures say" in study.headline
    assert [section.title for section in study.sections if section.reference] == ["Published: a supervised ResNet-50"]
    (reference,) = (section for section in study.sections if section.reference)
    assert [line["error under corruptions %"] for line in reference.table] == [0.633, 0.58, 0.588, 0.59]
    assert any(note.startswith("No condition was compared") for note in study.notes)
    assert type(study).model_validate(study.model_dump()) == study


def test_the_layer_of_a_type_is_that_of_the_validation_pictures() -> None:
    """The best of the test pictures was named before: its error is flattered by the choice."""
    found = CorruptedLayers(
        "m", "d", "label", ("first", "last"), ("fog",), (1,), np.zeros((2, 4)),
        np.array([[[[0.0, 0, 0, 0], [1, 1, 0, 0]]]]), np.zeros((1, 1, 2)), np.arange(4), "", 0.5, 8,
        (1.0, 1.0), 1, (1,),
    )  # fmt: skip
    study = layer_study(found, (), Intervals(), CorruptedLayerOptions("fog", (1,)))
    (line,) = next(section for section in study.sections if section.title == "Error by corruption and layer").table
    assert (line["layer chosen by validation"], line["there %"]) == ("last", 0.5)


class _Worlds(ImageList):
    """Scenes rendered plain, after a JPEG of quality 10, and in air of 6 m of visibility; with their depth."""

    passes = ("depth",)

    def __init__(self, scenes: int = 24, deep: bool = True) -> None:
        images, rows = [], []
        if not deep:
            self.passes = ()
        for scene in range(scenes):
            pixels, depth = self._scene(scene)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=10)
            for jpeg, fog, shown in (
                (None, None, Image.fromarray(pixels)),
                (10.0, None, Image.open(buffer).convert("RGB")),
                (None, 6.0, Image.fromarray(in_air(pixels, depth, 3.912 / 6))),
            ):
                images.append(shown)
                rows.append({"character_name": f"animal {scene % 3}", "camera_yaw": scene, "jpeg_quality": jpeg,
                             "fog_visibility": fog})  # fmt: skip
        super().__init__(images, rows, name="worlds")

    @staticmethod
    def _scene(scene: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(scene)
        small = rng.integers(20, 220, (6, 6, 3), dtype=np.uint8)
        pixels = np.array(Image.fromarray(small).resize((48, 48), Image.Resampling.BICUBIC))
        pixels[14:34, 14:34, scene % 3] = 250
        depth = np.full((48, 48), 20, np.float32)
        depth[14:34, 14:34] = 1.5
        return pixels, depth

    def annotation(self, index: int, name: str) -> np.ndarray:
        return self._scene(index // 3)[1]


def _grid() -> ModuleClassifier:
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d((6, 6)), torch.nn.Flatten())
    info = ModelInfo("grid", "classifier", Preprocess((48, 48), "squash"), weights_sha256=weights_hash(module))
    return ModuleClassifier(module, info, ["a"])


def test_scenes_are_paired_with_themselves() -> None:
    pairs = scene_pairs(_Worlds(6), "jpeg_quality")
    assert list(pairs) == ["10"]
    changed, plain = pairs["10"]
    assert (changed - plain == 1).all()
    assert (scene_pairs(_Worlds(6), "fog_visibility")["6"][0] % 3 == 2).all()


def test_the_right_filter_moves_features_as_the_condition_does() -> None:
    found = compare_filters(_grid(), _Worlds(), layer="1", side=48, run=QUIET)
    ways = {(one.condition, one.way): one for one in found}
    assert set(ways) == {("jpeg_quality", w) for w in (PLAIN, REAL, FLAT)} | {
        ("fog_visibility", w) for w in (PLAIN, REAL, FLAT, DEEP)
    }
    jpeg = ways["jpeg_quality", FLAT]
    assert jpeg.psnr == pytest.approx(ways["jpeg_quality", REAL].psnr, abs=0.5)
    assert np.nanmean(jpeg.direction) > 0.9
    real, flat, deep = (ways["fog_visibility", way] for way in (REAL, FLAT, DEEP))
    assert deep.psnr == pytest.approx(real.psnr, abs=0.3)
    assert flat.psnr == pytest.approx(real.psnr, abs=0.8), "it ends at severity 5"
    assert np.nanmean(deep.direction) > 0.97, "the same law of the same depth"
    assert np.nanmean(flat.direction) < np.nanmean(deep.direction) - 0.05
    assert deep.shift.mean() == pytest.approx(real.shift.mean(), rel=0.15)
    assert ways["fog_visibility", PLAIN].shift.max() == 0
    assert np.nanmean(ways["fog_visibility", PLAIN].wrong) < 0.2


def test_without_depth_there_is_no_filter_with_depth() -> None:
    found = compare_filters(_grid(), _Worlds(12, deep=False), ["fog_visibility"], layer="1", side=48, run=QUIET)
    assert {one.way for one in found} == {PLAIN, REAL, FLAT}
    study = analyze_corruptions(_grid(), _Worlds(12), CorruptedLayerOptions("contrast", (5,), layers="every", side=48),
                                ["fog_visibility"], QUIET)  # fmt: skip
    (section,) = (one for one in study.sections if one.title.startswith("Rendered conditions"))
    assert [line["way"] for line in section.table] == [PLAIN, REAL, FLAT, DEEP]
    assert [len(row.samples) for row in section.pictures] == [3]


def test_errors_name_what_would_be_right() -> None:
    with pytest.raises(DatasetError, match=r"'fog_visibilty' is no condition.*fog_visibility"):
        compare_filters(_grid(), _Worlds(6), ["fog_visibilty"], run=QUIET)
    with pytest.raises(DatasetError, match=r"'rain' does not vary in 'worlds'; what varies is fog_visibility, jpeg_q"):
        compare_filters(_grid(), _Worlds(6), ["rain"], run=QUIET)
    for asked in (None, ["fog_visibility"]):  # a name that is right was answered by "did you mean" itself
        with pytest.raises(DatasetError, match=r"^no condition varies in '"):
            compare_filters(_grid(), _halves(20), asked, run=QUIET)
    one = ImageList([Image.new("RGB", (8, 8))] * 4, [{"label": "cat"}] * 4)
    with pytest.raises(DatasetError, match=r"^'label' has 1 level; two classes are needed$"):
        probe_corruptions(_sides(), one, CorruptedLayerOptions(label="label"), QUIET)
    with pytest.raises(DatasetError, match=r"no condition varies"):
        compare_filters(_grid(), _halves(20), run=QUIET)
    with pytest.raises(DatasetError, match=r"has no column 'lable'.*label"):
        probe_corruptions(_sides(), _halves(20), CorruptedLayerOptions(label="lable"), QUIET)


def test_the_headline_has_the_sign_of_the_table_and_says_what_is_not_sure() -> None:
    """A difference of 13.9 % [-9.9, 36.7] was told of the best layer, the other way round than in the table."""
    rng = np.random.default_rng(0)
    last = (rng.random(40) < 0.5).astype(float)
    for first, unsure in ((1 - last, True), (last * 0, False)):
        found = CorruptedLayers(
            "m", "d", "label", ("first", "last"), ("fog",), (1,), np.zeros((2, 40)), np.array([[[first, last]]]),
            np.zeros((1, 1, 2)), np.arange(40) % 20, "g", 0.5, 8, (1.0, 1.0), 0, (0,),
        )  # fmt: skip
        study = layer_study(found, (), Intervals(), CorruptedLayerOptions("fog", (1,)))
        gap = study.sections[1].table[0]["minus the last layer %"]
        assert f"; chosen minus last {100 * float(gap or 0):+.1f} points [" in study.headline
        assert ("no layer is surely better" in study.headline) is unsure
        assert ("is best read at first" in study.headline) is not unsure
