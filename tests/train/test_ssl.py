"""Trained encoders: what a method is told to forget must be lost at the right layer, and memory must show.

What could silently be wrong: a teacher that does not follow, views that are the same each epoch, a continued run that
is another run, or a head that is not the one that was trained.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchmultiverse.analyze.membership import view_agreement
from torchmultiverse.errors import DatasetError, ModelError, SettingError
from torchmultiverse.features.extract import features_of
from torchmultiverse.features.layers import layers_of
from torchmultiverse.models import as_model, load_model
from torchmultiverse.models.ssl import network
from torchmultiverse.train import (
    AugmentedViews,
    EncoderTraining,
    checkpoints,
    train_encoder,
)
from torchmultiverse.train.settings import METHODS
from torchmultiverse.train.ssl import SelfSupervisedLoss

torch = pytest.importorskip("torch")
pytest.importorskip("lightly")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "trends"))

from shapes import interrupt_once, shapes  # noqa: E402
from toys import blind_to_colour, memory  # noqa: E402

SMALL: dict[str, Any] = {"backbone": "resnet10t", "size": 32, "head": (32, 16), "epochs": 2, "batch_size": 32}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_is_loaded_with_its_head(tmp_path: Path, method: str) -> None:
    data = shapes(64)
    few: dict[str, Any] = {"crops": (1, 1)} if method.startswith("trex") else {}
    folder = train_encoder(
        data, tmp_path / "e", EncoderTraining(method=method, keep=(0, 1), **few, **SMALL), "label", quiet=True
    )
    model = load_model(f"ssl:{folder}")
    names = [layer.name for layer in layers_of(model)]
    assert names[-2:] == ["head.1", "head.2"]
    assert len(model.encode_image([data.image(0)])[0]) == 512
    found = features_of(model, data, ["trunk", "head.2"], quiet=True)
    assert found.layers["trunk"].shape == (64, 512)
    assert found.layers["head.2"].shape == (64, 16)
    assert [epoch for epoch, _ in checkpoints(folder)] == [0, 1]
    first, later = (load_model(spec).info.weights_sha256 for _, spec in checkpoints(folder))
    assert len({first, later, model.info.weights_sha256}) == 3
    losses = [float(line.split(",")[1]) for line in (folder / "losses.csv").read_text().split()[1:]]
    assert len(losses) == 2
    assert np.isfinite(losses).all()


def as_before_there_was_one_loop(state: Path) -> None:
    """Write a checkpoint as this package once did: its runs go on."""
    held = torch.load(state, weights_only=True)
    old = {name: held[name] for name in ("optimizer", "schedule", "losses")}
    torch.save({**old, "objective": held["modules"]}, state)


def test_a_continued_run_is_the_run_that_was_not_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, training = shapes(64), EncoderTraining(method="byol", **SMALL)
    whole = load_model(f"ssl:{train_encoder(data, tmp_path / 'whole', training, quiet=True)}")
    interrupt_once(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train_encoder(data, tmp_path / "cut", training, quiet=True)
    assert not (tmp_path / "cut" / "model.pt").exists()
    with pytest.raises(ModelError, match=r"no checkpoint 'model\.pt'"):
        load_model(f"ssl:{tmp_path / 'cut'}")
    state = tmp_path / "cut" / "running.pt"
    sound = state.read_bytes()
    for damaged in (b"", sound[: len(sound) // 2], b"text"):
        state.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"running\.pt .* delete it to train from the beginning"):
            train_encoder(data, tmp_path / "cut", training, quiet=True)
    state.write_bytes(sound)
    as_before_there_was_one_loop(state)
    cut = load_model(f"ssl:{train_encoder(data, tmp_path / 'cut', training, quiet=True)}")
    assert cut.info.weights_sha256 == whole.info.weights_sha256
    assert (tmp_path / "cut" / "losses.csv").read_bytes() == (tmp_path / "whole" / "losses.csv").read_bytes()
    with pytest.raises(DatasetError, match="trained otherwise"):
        train_encoder(data, tmp_path / "cut", EncoderTraining(method="simclr", **SMALL), quiet=True)


def test_an_encoder_is_the_start_of_another(tmp_path: Path) -> None:
    """Silently wrong would be random first weights, or a run that says another start than it had."""
    data = shapes(64)
    source = train_encoder(data, tmp_path / "first", EncoderTraining(**{**SMALL, "epochs": 1}), quiet=True)
    first = load_model(f"ssl:{source}")
    tuning = EncoderTraining(method="supervised", keep=(0,), **SMALL)
    folder = train_encoder(data, tmp_path / "tuned", tuning, "label", quiet=True, start=source)
    assert load_model(f"ssl:{folder}@0").info.weights_sha256 == first.info.weights_sha256
    assert load_model(f"ssl:{folder}").info.weights_sha256 != first.info.weights_sha256
    written = json.loads((folder / "config.json").read_text())["from"]
    assert written == {"encoder": "first", "weights_sha256": first.info.weights_sha256}
    # Asked again it is there; with another start, or none, it is another training.
    again: dict[str, Any] = {"label": "label", "quiet": True}
    assert train_encoder(data, folder, tuning, start=f"ssl:{source}", **again) == folder
    for other in (None, f"{folder}@0"):
        with pytest.raises(DatasetError, match="trained otherwise"):
            train_encoder(data, folder, tuning, start=other, **again)
    # Without a head the trunk alone is the start.
    bare = tuning.changed(head=(), epochs=0)
    trunk = load_model(f"ssl:{train_encoder(data, tmp_path / 'bare', bare, start=source, **again)}")
    assert np.array_equal(trunk.encode_image([data.image(0)]), first.encode_image([data.image(0)]))
    wrong = tuning.changed(method="trex", head=(32, 8), backbone_width=2.0)
    with pytest.raises(SettingError) as told:
        train_encoder(data, tmp_path / "no", wrong, start=source, **again)
    for part in ("its backbone_width is 1.0, here it is 2.0", "its head is 32-16, here it is 32-8", "unit vectors"):
        assert part in str(told.value)
    assert not (tmp_path / "no").exists()
    with pytest.raises(ModelError, match=r"holds no encoder that `ssl` trained: there is no config.json in it; one is"):
        train_encoder(data, tmp_path / "no", tuning, start=tmp_path, **again)
    with pytest.raises(ModelError, match=r"there is no such folder; one is made by 'torchmultiverse train ssl DATA"):
        train_encoder(data, tmp_path / "no", tuning, start=tmp_path / "nowhere", **again)
    # What is not said is taken over from the encoder.
    usual = EncoderTraining(method="supervised", epochs=0, batch_size=32)
    fitted = load_model(f"ssl:{train_encoder(data, tmp_path / 'fitted', usual, start=source, **again)}")
    assert fitted.info.weights_sha256 == first.info.weights_sha256
    assert fitted.info.preprocess == first.info.preprocess


def test_views_change_with_the_epoch_and_with_nothing_else() -> None:
    pixels = np.stack([np.asarray(image.resize((40, 40))) for image in shapes(6).iter_images()])
    views = AugmentedViews(pixels, 32, ("crop", "flip", "color", "gray", "blur", "solarize"), 0.2, 0)
    one, two = views(np.array([0, 3]), 0)
    again = views(np.array([3]), 0)
    assert torch.equal(one[1], again[0][0])
    assert not torch.equal(one, two)
    assert not torch.equal(views(np.array([3]), 1)[0], again[0])
    plain = AugmentedViews(pixels, 32, (), 0.2, 0)(np.array([0]), 0)
    assert torch.equal(plain[0], plain[1])
    with pytest.raises(ModelError, match=r"no augmentation 'colour'.*color"):
        AugmentedViews(pixels, 32, ("colour",), 0.2, 0)


def test_the_teacher_follows_and_is_never_learnt() -> None:
    net = network(torch.nn.Linear(4, 8), 8, (6, 4))
    objective = SelfSupervisedLoss("byol", net, 4, options={"momentum": 0.5})
    assert objective.teacher is not None
    assert not any(p.requires_grad for p in objective.teacher.parameters())
    before = [p.clone() for p in objective.teacher.parameters()]
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 1
    objective.follow(0.0)
    for old, new in zip(before, objective.teacher.parameters(), strict=True):
        assert torch.allclose(new, old + 0.5, atol=1e-6)
    objective.follow(1.0)
    for old, new in zip(before, objective.teacher.parameters(), strict=True):
        assert torch.allclose(new, old + 0.5, atol=1e-6)
    with pytest.raises(ModelError, match=r"no method 'simcrl'.*simclr"):
        SelfSupervisedLoss("simcrl", net, 4)
    with pytest.raises(ModelError, match=r"vicreg: .*tau"):
        SelfSupervisedLoss("vicreg", net, 4, options={"tau": 1})


def test_memory_grows_with_epochs_and_is_in_the_head() -> None:
    """Background and class go together in no picture but by memory: at first there is none, later the head has it."""
    untrained, trained = (memory(epochs, count=256) for epochs in (0, 40))
    for layer in ("trunk", "head"):
        score = untrained[layer][0].at(1.0)
        assert score.low <= 0 <= score.high
        held = trained[layer][1].held_out
        assert held.low <= 0 <= held.high
    trunk, head = (trained[layer][0].at(1.0).score for layer in ("trunk", "head"))
    assert trained["head"][0].at(1.0).low > 0
    assert head > trunk + 0.05
    assert trained["head"][0].partition.memorized > 2 * trained["head"][0].partition.misrepresented


def test_a_head_made_blind_to_colour_loses_it_and_the_trunk_less() -> None:
    """Vectors of shape and colour, views that redraw the colour: the head forgets colour, shape stays everywhere."""
    found = blind_to_colour()
    shapes_, colours = ([one.score for one in found.curve(f, "logistic")] for f in ("shape", "colour"))
    assert min(shapes_) > 0.9
    assert colours[0] > 0.9
    assert colours[1] < 0.6
    cut = next(cut for cut in found.cuts if cut.factor == "colour")
    assert cut.best == "trunk"
    assert cut.cost_low > 0.3


def test_agreement_of_views_is_a_cosine_and_the_same_each_time(tmp_path: Path) -> None:
    data = shapes(32)
    training = EncoderTraining(method="simclr", keep=(0,), **{**SMALL, "epochs": 1})
    folder = train_encoder(data, tmp_path / "e", training, quiet=True)
    rows = np.arange(24)
    first, last = (load_model(spec) for spec in (f"ssl:{folder}@0", f"ssl:{folder}"))
    before, after = (view_agreement(model, data, rows, quiet=True) for model in (first, last))
    assert before.shape == (24,)
    assert np.abs(before).max() <= 1 + 1e-6
    np.testing.assert_array_equal(after, view_agreement(last, data, rows, quiet=True))
    assert not np.allclose(before, after)
    with pytest.raises(ModelError, match="needs a PyTorch encoder"):
        view_agreement(as_model(lambda images: np.zeros((len(images), 2))), data, rows)


def test_who_makes_the_views_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (24, 40, 40, 3), dtype=np.uint8)
    views = AugmentedViews(pixels, 32, ("crop", "color", "blur"), 0.2, 3)
    plan = [np.arange(8), np.arange(16, 24), np.arange(8, 16)]
    for (one, two), rows in zip(views.prefetched(plan, 5, workers=2), plan, strict=True):
        first, second = views(rows, 5)
        assert torch.equal(one, first)
        assert torch.equal(two, second)


def test_pairs_are_of_one_level_and_not_of_one_picture() -> None:
    """Each picture has a colour of its own, so that the second view says whose it is."""
    codes = np.repeat(np.arange(3), 8)
    pixels = np.zeros((24, 16, 16, 3), np.uint8)
    pixels[:, :, :, 0] = (10 * np.arange(24))[:, None, None]
    views = AugmentedViews(pixels, 16, (), 1.0, 0, codes)
    level = (views(np.arange(24), 1)[0] * 0.229 + 0.485)[:, 0].mean((1, 2)) * 25.5
    np.testing.assert_allclose(level.numpy(), np.arange(24), atol=0.1)
    mates = []
    for epoch in range(4):
        mate = (views(np.arange(24), epoch)[1] * 0.229 + 0.485)[:, 0].mean((1, 2)) * 25.5
        mates.append(np.round(mate.numpy()).astype(int))
        assert (codes[mates[-1]] == codes).all()
    assert (np.stack(mates) != np.arange(24)).mean() > 0.7
    assert (mates[0] != mates[1]).any()


def test_large_batches_may_be_trained_with_lars(tmp_path: Path) -> None:
    data = shapes()
    settings = {**SMALL, "method": "vicreg", "epochs": 1, "learning_rate": 0.3}
    paths = {
        name: train_encoder(data, tmp_path / name, EncoderTraining(optimizer=name, **settings), quiet=True)
        for name in ("adamw", "lars")
    }
    one, two = (load_model(f"ssl:{path}").module.state_dict() for path in paths.values())  # type: ignore[attr-defined]
    assert any((one[name] != two[name]).any() for name in one)
    with pytest.raises(ModelError, match=r"no optimizer 'lasr'.*lars"):
        EncoderTraining(optimizer="lasr", **settings)
