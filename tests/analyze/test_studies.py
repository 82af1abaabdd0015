"""Questions to a decoder whose answers are known, because the encoder is: it sees the colour and the place of a square.

What could silently be wrong: a change that changes nothing, a gradient of the wrong sign, a sum that finds one of the
pictures that it was made of, or numbers that do not come from the vectors whose pictures are shown.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.analyze import EPSILONS
from torchmultiverse.analyze.augmented import augmented_as_in_training
from torchmultiverse.analyze.decoders import ConditionedDecoder
from torchmultiverse.analyze.experiment import Experiments
from torchmultiverse.analyze.experiment_setup import ExperimentSetup
from torchmultiverse.analyze.experiments import ASKED_BY_NAME, EXPERIMENTS, compare_layers, run_experiments
from torchmultiverse.analyze.image_prior import prior
from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.features.extract import features_of
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.models.diffusion import decoder_preset, load_decoder
from torchmultiverse.models.modules import ModuleEncoder
from torchmultiverse.report import write_report
from torchmultiverse.store import ImageList
from torchmultiverse.train import DiffusionTraining, train_decoder

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
SIDE, GREY = 16, 128
COLOURS = {"red": (90, -60, -30), "green": (-60, 90, -30), "blue": (-40, -50, 90), "white": (40, 40, 40)}
PLACES = {"left": 2, "middle": 6, "right": 10}


def pictures() -> ImageList:
    images, rows = [], []
    for colour, change in COLOURS.items():
        for place, x in PLACES.items():
            for turn in range(6):
                pixels = np.full((SIDE, SIDE, 3), GREY, np.uint8)
                pixels[4 + turn : 8 + turn, x : x + 4] = np.clip(GREY + np.array(change), 0, 255)
                images.append(Image.fromarray(pixels))
                rows.append({"label": colour, "place": place, "camera_yaw": 15.0 * turn})
    return ImageList(images, rows)


class Sees(torch.nn.Module):
    """Colour: the mean over the picture; place: the mean of the red and green change's weight over columns and rows."""

    def __init__(self, place: bool) -> None:
        super().__init__()
        self.place = place
        self.scale = torch.nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = (x * 0.5 + 0.5) - GREY / 255
        colour = change.mean((2, 3)) * self.scale
        if not self.place:
            return colour
        energy = (change**2).sum(1)
        weight = energy / (energy.sum((1, 2), keepdim=True) + 1e-9)
        grid = torch.linspace(-1, 1, SIDE)
        where = torch.stack([(weight.sum(1) * grid).sum(1), (weight.sum(2) * grid).sum(1)], 1)
        return torch.cat([colour, 0.05 * where], 1)


def setup(folder: Path, place: bool = True, **settings: Any) -> ExperimentSetup:
    data = pictures()
    half = (0.5, 0.5, 0.5)
    model = ModuleEncoder(
        Sees(place), ModelInfo("sees", "encoder", Preprocess((SIDE, SIDE), "squash", 1.0, "bilinear", half, half))
    )
    features = features_of(model, data, ["output"], quiet=True)
    vectors = features.layers["output"]
    pixels = np.stack([np.asarray(image) for image in data.iter_images()])
    learnt = np.sort(np.random.default_rng(0).permutation(len(data))[: len(data) * 3 // 4])
    config = decoder_preset("tiny", SIDE, vectors.shape[1], channels=8, dataset=features.dataset, layer="output")
    train_decoder(pixels[learnt], vectors[learnt], config, folder, DiffusionTraining(steps=2, batch_size=8), quiet=True)
    one = ConditionedDecoder(model, "output", features, load_decoder(folder), data, learnt)
    return ExperimentSetup(one, samples_per_image=2, examples=2, steps=2, label="label", quiet=True, **settings)


def pixels(image: EncodedImage) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(image.data)))


def lines(experiment: Any, column: str) -> dict[str, Any]:
    """The table by what is in its first column."""
    return {next(iter(line.values())): line[column] for line in experiment.table}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> ExperimentSetup:
    return setup(tmp_path_factory.mktemp("decoder"))


def test_a_layer_that_sees_colour_alone_is_moved_by_colour_alone(tmp_path: Path) -> None:
    found = EXPERIMENTS["changes"](setup(tmp_path, place=False))
    moved = lines(found, "vector moved by %")
    assert moved["as it is"] == moved["mirrored"] == pytest.approx(0, abs=1e-6)
    assert moved["blurred"] < 0.1
    assert moved["other colours"] > 0.3
    assert moved["grey"] > 0.3
    assert [row.label for row in found.rows[:8]] == [row.label for row in found.rows[8:]]
    # What is given is the changed picture, not the first one.
    given = {row.label: pixels(row.inputs[0]) for row in found.rows[:8]}
    assert (given["as it is"] != given["mirrored"]).any()
    assert np.ptp(given["grey"].astype(int), 2).max() == 0


def test_an_attack_deceives_the_reader_and_nothing_else_happens_at_zero(asked: ExperimentSetup) -> None:
    found = EXPERIMENTS["attacks"](asked)
    right = list(lines(found, "still right %").values())
    aimed = list(lines(found, "says the other class %").values())
    assert right[0] > 0.9
    assert aimed[0] < 0.1
    assert right[-1] < 0.1
    assert max(aimed) > 0.9
    assert not found.rows[0].misclassified
    assert found.rows[len(EPSILONS) - 1].misclassified
    furthest = np.abs(pixels(found.rows[3].inputs[0]).astype(int) - pixels(found.rows[0].inputs[0])).max()
    assert furthest == pytest.approx(255 * EPSILONS[3], abs=1)


def test_sums_find_the_picture_that_should_come_of_them(tmp_path: Path, asked: ExperimentSetup) -> None:
    """Colour and place add up in these vectors; without the place it cannot be found."""
    found = EXPERIMENTS["sums"](asked)
    assert lines(found, "nearest has the new level %")["place"] == 1
    assert lines(found, "and the label %")["place"] == 1
    assert lines(found, "is the very picture %")["place"] == 1
    blind = EXPERIMENTS["sums"](setup(tmp_path, place=False))
    assert lines(blind, "and the label %")["place"] == 1
    assert lines(blind, "is the very picture %")["place"] < 0.6
    assert found.rows[0].captions[0] == "as it should be"
    assert len(found.rows[0].inputs) == 3


def test_exchanged_dimensions_are_as_many_as_said(asked: ExperimentSetup) -> None:
    found = EXPERIMENTS["manipulations"](asked)
    changed = lines(found, "changed %")
    assert changed["as it is"] == 0
    assert changed["common ones of another"] == changed["common ones at rest"] == changed["random ones of another"]
    assert [len(row.inputs) for row in found.rows[:5]] == [1, 1, 2, 2, 2]
    first, other = found.rows[2].inputs
    assert first != other


def test_all_questions_have_answers_a_page_and_sheets(asked: ExperimentSetup, tmp_path: Path) -> None:
    found = run_experiments(asked)
    assert [one.name for one in found.experiments] == [name for name in EXPERIMENTS if name not in ASKED_BY_NAME]
    found.save(tmp_path / "out")
    again = Experiments.load(tmp_path / "out")
    assert again.model_dump_json() == found.model_dump_json()
    page = write_report(again, tmp_path / "out").read_text()
    for one in found.experiments:
        assert one.title in page
        assert Image.open(tmp_path / "out" / f"{one.name}.png").height >= SIDE
    assert page.count("data:image/jpeg") == sum(
        len(row.inputs) + len(row.samples) for one in found.experiments for row in one.rows
    )
    near = lines(next(one for one in found.experiments if one.name == "distances"), "distance %")
    assert near["nearest that the decoder learnt"] < near["any"]
    with pytest.raises(ModelError, match=r"no experiment 'atacks'.*attacks"):
        run_experiments(asked, ["atacks"])


def test_a_decoder_held_against_itself_differs_in_nothing(asked: ExperimentSetup) -> None:
    found = compare_layers([asked, asked], count=6)
    one, two = found.table
    assert one["varies in pixels %"] == two["varies in pixels %"] > 0
    assert two["more than output in features"] == "+0.0 [0.0, 0.0]"
    assert [row.label for row in found.rows[:2]] == ["output", "sees, output"]


def test_classes_are_of_the_usual_column_even_where_the_layer_tells_another_better(asked: ExperimentSetup) -> None:
    one = asked.conditioned
    noise = np.random.default_rng(0).choice(["Camel", "Zebra"], len(one.vectors))
    columns = {"camera_yaw": one.features.columns["label"], "character_name": noise}
    kept = ConditionedDecoder(
        one.model, one.layer, one.features.__class__(**{**vars(one.features), "columns": columns}), one.decoder,
        one.images, one.training_rows,
    )  # fmt: skip
    assert ExperimentSetup(kept, quiet=True).label == "character_name"


def test_data_without_a_second_factor_cannot_answer_everything(asked: ExperimentSetup) -> None:
    one = asked.conditioned
    alone = {"label": one.features.columns["label"]}
    kept = ConditionedDecoder(
        one.model, one.layer, one.features.__class__(**{**vars(one.features), "columns": alone}), one.decoder,
        one.images, one.training_rows,
    )  # fmt: skip
    few = ExperimentSetup(kept, samples_per_image=2, examples=1, steps=2, quiet=True)
    with pytest.raises(DatasetError, match="one at a time"):
        run_experiments(few, ["sums"])
    found = run_experiments(few, None)
    assert found.notes == ("sums: no two factors that are varied one at a time",)


def test_fewer_pictures_than_are_to_be_shown_are_all_shown(asked: ExperimentSetup) -> None:
    """Rows of one picture stand together, however many pictures there are."""
    every = ExperimentSetup(asked.conditioned, samples_per_image=2, examples=50, steps=1, label="label", quiet=True)
    for name, kinds in (("changes", 8), ("attacks", len(EPSILONS))):
        rows = EXPERIMENTS[name](every).rows
        assert len(rows) == kinds * len(asked.rows)
        assert (pixels(rows[0].inputs[0]) == asked.real_images(asked.rows[:1])[0]).mean() > 0.99
        assert (pixels(rows[kinds].inputs[0]) == asked.real_images(asked.rows[1:2])[0]).mean() > 0.99


def test_augmented_pictures_are_as_near_as_the_layer_is_invariant(tmp_path: Path) -> None:
    """A layer that sees the mean colour alone cannot tell a mirrored picture, and surely tells a grey one."""
    one = setup(tmp_path, place=False)
    found = EXPERIMENTS["distances"](one)
    apart = lines(found, "distance %")
    assert apart["mirrored"] == pytest.approx(0, abs=1e-6)
    assert apart["grey"] > 0.3
    assert apart["jittered"] > 0.02
    assert apart["solarized"] > 0.05
    assert apart["augmented as in training"] > 0.02
    labels = [row.label for row in found.rows[:4]]
    assert labels[2:] == ["mirrored, cropped, jittered, grey, solarized", "augmented as in training"]
    assert found.rows[2].captions[0] == "0 %"
    images = one.images(one.rows[:2])
    again = [np.stack([np.asarray(x) for x in augmented_as_in_training(images, 3, draw)]) for draw in (0, 0, 1)]
    assert (again[0] == again[1]).all()
    assert (again[0] != again[2]).any()


@pytest.mark.slow
def test_a_deep_image_prior_reaches_the_vector_and_not_the_picture(tmp_path: Path) -> None:
    """Mean colours are reached by any picture of that mean; where the squares are nothing says."""
    one = setup(tmp_path, place=False)
    found = prior(one, steps=60)
    apart = lines(found, "distance %")
    assert apart["deep image prior"] < 0.25
    assert apart["deep image prior"] < apart["drawn by the decoder"], "that one has learnt for two steps"
    assert [row.label for row in found.rows] == ["drawn by the decoder", "deep image prior"] * 2
