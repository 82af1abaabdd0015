"""The study of a layer's units, from pictures to the page.

What could silently be wrong: units, latents or pictures that are shown under another's name, areas of pictures that
were searched, and an autoencoder of other features that is taken for this one's.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import DatasetError, ModelError, QuestionError, SettingError
from torchmultiverse.features import features_of
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.models.modules import ModuleClassifier
from torchmultiverse.models.torch_tools import weights_hash
from torchmultiverse.report import load_record, write_report
from torchmultiverse.store import ImageList
from torchmultiverse.train import AutoencoderTraining
from torchmultiverse.units import Expression, UnitDetections, UnitOptions, concepts_of, study_units
from torchmultiverse.units.unit_kinds import factors_of

torch = pytest.importorskip("torch")
QUIET = RunOptions(quiet=True)
COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (40, 40, 210)}
OPTIONS = UnitOptions(
    layer="1", permutations=40, latents=2, directions=2, autoencoder=AutoencoderTraining(active=2, steps=20)
)


def _means() -> ModuleClassifier:
    """Units 0 to 2 of layer ``1`` are the mean red, green and blue."""
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 1))
    with torch.no_grad():
        module[2].weight[:], module[2].bias[:] = 1, 0
    info = ModelInfo("means", "classifier", Preprocess((16, 16), "squash"), weights_sha256=weights_hash(module))
    return ModuleClassifier(module, info, ["a"])


@pytest.fixture(scope="module")
def pictures() -> ImageList:
    """Of one colour each, and of a size that no unit sees."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    for number in range(150):
        name = list(COLOURS)[number % 3]
        pixels = np.clip(np.array(COLOURS[name]) + rng.normal(0, 15, (16, 16, 3)), 0, 255).astype(np.uint8)
        images.append(Image.fromarray(pixels))
        rows.append({"label": name, "size": ("small", "large")[int(rng.integers(2))], "angle": float(number)})
    return ImageList(images, rows, name="colours")


def test_units_are_told_by_what_they_detect(pictures: ImageList, tmp_path: Path) -> None:
    study, lines = study_units(_means(), pictures, OPTIONS, QUIET, tmp_path)
    neurons = {line["unit"]: line for line in lines if line["kind"] == "neurons"}
    assert [neurons[k]["detects"] for k in range(3)] == ["label red", "label green", "label blue"]
    assert all(neurons[k]["AUROC"] == 1 and neurons[k]["explained"] == "yes" for k in range(3))
    assert {line["kind"] for line in lines} == {"neurons", "random directions", "sparse latents"}
    assert study.headline.startswith("3 of 3 units of 1 detect a value")
    assert neurons[0]["pictures (other half)"] < 50  # those of the half that was not searched
    shown = study.sections[-1].pictures
    assert {row.label.split(": ")[1] for row in shown} == {"label red", "label green", "label blue"}
    for row in shown:
        colour = row.label.split()[-1]
        with Image.open(io.BytesIO(row.samples[0].data)) as image:
            assert np.abs(np.asarray(image.convert("RGB")).mean((0, 1)) - COLOURS[colour]).max() < 30
    study.save(tmp_path)
    page = write_report(load_record(tmp_path)[0], tmp_path).read_text()
    assert "label green" in page
    assert "random directions" in page


def test_an_autoencoder_is_kept_for_its_features_alone(pictures: ImageList, tmp_path: Path) -> None:
    first = study_units(_means(), pictures, OPTIONS, QUIET, tmp_path)[1]
    kept = (tmp_path / "autoencoder" / "autoencoder.pt").read_bytes()
    assert study_units(_means(), pictures, OPTIONS, QUIET, tmp_path)[1] == first
    assert (tmp_path / "autoencoder" / "autoencoder.pt").read_bytes() == kept
    study_units(_means(), pictures, replace(OPTIONS, limit=100), QUIET, tmp_path)
    assert (tmp_path / "autoencoder" / "autoencoder.pt").read_bytes() != kept


def test_numbers_become_ranges(pictures: ImageList) -> None:
    features = features_of(_means(), pictures, ["1"], quiet=True)
    concepts = concepts_of(features, ["angle"])
    assert len(concepts.names["angle"]) == 8
    first = concepts.members(Expression(("angle", concepts.names["angle"][0])))
    assert (features.columns["angle"][first] < 19).all()
    with pytest.raises(DatasetError, match=r"no column 'angel'.* 'angle'"):
        concepts_of(features, ["angel"])


class _Names:
    """Pictures by their mean colour, captions by the colours that they name."""

    info = ModelInfo("names", "image-text")
    logit_scale = 1.0

    def encode_image(self, images: Any) -> np.ndarray:
        rows = np.stack([np.asarray(image, np.float32).mean((0, 1)) for image in images])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.array([np.sum([COLOURS[c] for c in COLOURS if c in text] or [(90, 90, 90)], 0) for text in texts])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_units_are_put_into_words_that_are_scored(pictures: ImageList) -> None:
    study, _ = study_units(_means(), pictures, replace(OPTIONS, latents=0, words=_Names()), QUIET)
    sections = {section.title: section for section in study.sections}
    table = sections["Units and their words"].table
    assert {line["known"]: str(line["words"]).split()[0] for line in table} == {c: c for c in COLOURS}
    assert sections["In words"].table[0]["first word right %"] == 1
    assert any("not of crops: nothing before layer '1' of 'means' has places" in note for note in study.notes)
    with pytest.raises(ModelError, match="means has no captions"):
        study_units(_means(), pictures, replace(OPTIONS, latents=0, words=_means()), QUIET)


def test_the_best_single_value_is_told_of_the_other_half(pictures: ImageList) -> None:
    _, lines = study_units(_means(), pictures, replace(OPTIONS, latents=0), QUIET)
    singles = [line for line in lines if " or " not in line["detects"] and " and " not in line["detects"]]
    assert len(singles) >= 3
    assert all(line["best single value"] == line["AUROC"] for line in singles)  # one expression, the same pictures


def test_what_does_not_stand_in_the_other_half_is_no_detector(pictures: ImageList) -> None:
    """Searched without a control, noise would detect something: its interval in the other half includes 1/2."""
    rng = np.random.default_rng(3)
    noise = [Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)) for _ in range(120)]
    rows = [{"label": ("a", "b", "c")[k % 3], "size": ("small", "large")[k // 3 % 2]} for k in range(120)]
    study, lines = study_units(
        _means(), ImageList(noise, rows, name="noise"), replace(OPTIONS, latents=0, permutations=0), QUIET
    )
    assert all((line["detector"] == "yes") == (line["low"] > 0.5) for line in lines)
    assert any(line["detector"] == "no" for line in lines)
    assert "(no control)" in study.headline


def test_too_few_permutations_are_told(pictures: ImageList) -> None:
    study, lines = study_units(_means(), pictures, replace(OPTIONS, latents=0, permutations=6), QUIET)
    assert "cannot be told: too few permutations" in study.headline
    assert "at least 7 are needed" in study.headline  # 1 / (1 + 3 * 7) is the first below 0.05
    assert {line["detector"] for line in lines} == {"–"}
    assert study.sections[0].table[0]["detectors %"] is None
    study, _ = study_units(_means(), pictures, replace(OPTIONS, latents=0, permutations=7), QUIET)
    assert study.headline.startswith("3 of 3 units")


def test_names_that_are_asked_for_late_are_refused_at_once(pictures: ImageList) -> None:
    class Never:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

    for wrong, kind, said in (
        (replace(OPTIONS, errors=True, label="labels"), QuestionError, "'labels' .*Did you mean 'label'"),
        (replace(OPTIONS, errors=True, group="sise"), QuestionError, "'sise' .*Did you mean 'size'"),
        (replace(OPTIONS, scenes=2, engine="biultin"), SettingError, "'biultin' .*Did you mean 'builtin'"),
    ):
        with pytest.raises(kind, match=said) as refused:
            study_units(Never(), pictures, wrong, QUIET)
        assert refused.value.exit_code == 2


def test_two_factors_have_one_name_in_either_order() -> None:
    yaw, world = ("camera_yaw", "1"), ("world_yaw", "2")
    for one, other in ((yaw, world), (world, yaw)):
        unit = UnitDetections(0, (Expression(one, "and", other),), (1.0,), (1.0,), (9,), None, 0.01, 0.01)
        assert factors_of(unit) == "camera yaw and world yaw"
