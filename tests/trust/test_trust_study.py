"""The study of which pictures can be trusted, from pictures to the page.

What could silently be wrong: scores of one picture beside the answer about another, a probe that was tested on what it
learnt, and negative features that pass for those after a ReLU.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import DatasetError
from torchmultiverse.features import features_of
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.models.modules import ModuleClassifier
from torchmultiverse.models.torch_tools import weights_hash
from torchmultiverse.report import load_record, write_report
from torchmultiverse.store import ImageList
from torchmultiverse.study import machine_lines
from torchmultiverse.trust import TrustOptions, study_trust
from torchmultiverse.trust.scored import score_pictures
from torchmultiverse.trust.subset_probes import PCA, subset_accuracies, subset_section

torch = pytest.importorskip("torch")
QUIET = RunOptions(quiet=True)
OPTIONS = TrustOptions(layer="1", label="label", group="asset", epsilon=2, band=(2, 40), of="share")


def _pixels(least: float) -> ModuleClassifier:
    """Layer ``1`` is the red of each of 64 cells, above some level."""
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Threshold(least, 0.0), torch.nn.Linear(192, 1))
    info = ModelInfo("cells", "classifier", Preprocess((8, 8), "squash", mean=(0, 0, 0), std=(1, 1, 1)),
                     weights_sha256=weights_hash(module))  # fmt: skip
    return ModuleClassifier(module, info, ["a"])


@pytest.fixture(scope="module")
def pictures() -> ImageList:
    """Four classes, each with cells of its own, that are faint in every other light; faint ones are hard to tell."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    for number in range(400):
        kind, light = number % 4, ("bright", "dim")[int(rng.integers(2))]
        cells = np.zeros((8, 8, 3))
        cells[..., 0] = rng.random((8, 8)) * 60
        own = np.arange(6) + 6 * kind
        cells.reshape(64, 3)[own, 0] += rng.gamma(4, 30, 6) * (1.0 if light == "bright" else 0.08)
        images.append(Image.fromarray(np.clip(cells, 0, 255).astype(np.uint8)))
        rows.append({"label": f"k{kind}", "light": light, "asset": f"a{number % 80}"})
    return ImageList(images, rows, name="cells")


def test_the_score_tells_what_a_probe_gets_right(pictures: ImageList, tmp_path: Path) -> None:
    study, lines = study_trust(_pixels(0.1), pictures, OPTIONS, QUIET)
    assert study.headline.startswith("The Q-Score tells which pictures")
    accuracy, n = study.facts["accuracy"], study.facts["test pictures"]
    assert len(lines) == n
    assert np.mean([line["right"] == "yes" for line in lines]) == pytest.approx(
        float(accuracy.removesuffix(" %")) / 100
    )
    right = np.mean([line["Q-Score"] for line in lines if line["right"] == "yes"])
    assert right > np.mean([line["Q-Score"] for line in lines if line["right"] == "no"])
    titles = [section.title for section in study.sections]
    by_factor = study.sections[titles.index("By factor")].table
    levels = {line["level"]: line for line in by_factor if line["factor"] == "light"}
    assert levels["bright"]["low"] > levels["dim"]["high"]
    control = {line["score"]: line for line in study.sections[0].table}
    assert control["Q-Score of a shuffled band"]["AUROC %"] < control["Q-Score"]["AUROC %"]
    study.save(tmp_path)
    page = write_report(load_record(tmp_path)[0], tmp_path).read_text()
    assert "lowest scores" in page


def test_negative_features_are_told(pictures: ImageList) -> None:
    model = _pixels(0.1)
    with torch.no_grad():
        model.module[1].value = -1.0
    study, _ = study_trust(model, pictures, OPTIONS, QUIET)
    assert study.notes[0].startswith("Some features are negative: their positive part was taken")


def test_what_cannot_be_is_refused(pictures: ImageList) -> None:
    with pytest.raises(DatasetError, match=r"no column character_name or label|no column 'labels'"):
        study_trust(_pixels(0.1), pictures, replace(OPTIONS, label="labels"), QUIET)
    with pytest.raises(DatasetError, match="192 features: none can stand 20"):
        study_trust(_pixels(0.1), pictures, replace(OPTIONS, epsilon=20), QUIET)


def test_there_are_no_masks_even_where_no_feature_is_active(pictures: ImageList) -> None:
    study, _ = study_trust(_pixels(0.1), pictures, replace(OPTIONS, band=(99.9, 100), core=7), QUIET)
    assert study.headline.startswith("The Q-Score says nothing here")
    assert any("the data have no exact masks" in note for note in study.notes)


def test_principal_components_are_no_more_than_there_are(pictures: ImageList) -> None:
    features = features_of(_pixels(0.1), pictures, ["1"], limit=160, quiet=True)
    found = score_pictures(features.layers["1"], features, "label", "as it is", OPTIONS, 0)
    results = subset_accuracies(found, OPTIONS.band, np.random.default_rng(0), shares=(0.9, 0.8, 0.1))
    shares = {one.count: one.share for one in results if one.part == PCA}
    training = len(found.parts.train)
    assert shares == {19: 0.1, training: training / 192}
    assert f"no more than {training} principal components" in subset_section(results, found).about


def test_programs_read_both_ends_of_every_interval(pictures: ImageList) -> None:
    study, _ = study_trust(_pixels(0.1), pictures, OPTIONS, QUIET)
    line = machine_lines(study.sections[0].table)[0]
    assert line["AUPRC_low"] <= line["AUPRC"] <= line["AUPRC_high"]
    assert "AUPRC_interval" not in line
