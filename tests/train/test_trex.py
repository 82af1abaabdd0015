"""Classes as directions, class means of a memory, and many crops.

What could silently be wrong: a picture that is among its own class mean, a memory that grows stale, wraps at the wrong
place or is lost when a run goes on, gradients into means, a crop of another area, or small crops that are remembered.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapes import interrupt_once, shapes

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.features import features_of, layers_of
from torchmultiverse.models import load_model
from torchmultiverse.models.ssl import network
from torchmultiverse.train import AugmentedViews, EncoderTraining, train_encoder
from torchmultiverse.train.augment import SmallCrops

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from torchmultiverse.train.ssl import EncoderObjective, SelfSupervisedLoss, embed  # noqa: E402
from torchmultiverse.train.trex import ClassMemory, ClassWeights, cosine_logits  # noqa: E402

unit = torch.nn.functional.normalize
SMALL: dict[str, Any] = {"backbone": "resnet10t", "size": 32, "head": (32, 16), "epochs": 2, "batch_size": 16}


def vectors(count: int = 60, width: int = 8, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, count)
    return torch.from_numpy(
        (rng.normal(size=(5, width))[labels] + rng.normal(size=(count, width))).astype(np.float32)
    ), (torch.from_numpy(labels))


def test_a_frozen_encoder_and_a_whole_memory_are_the_nearest_class_mean() -> None:
    x, y = vectors()
    net = network(torch.nn.Linear(8, 6), 6, (5, 4), spherical=True).eval()
    loss = SelfSupervisedLoss("trex-ocm", net, 4, 5, {"memory": 60, "momentum": 0.0}, whole=1)
    loss.teacher.eval()  # type: ignore[union-attr]
    for start in range(0, 60, 20):
        loss([x[start : start + 20]], y[start : start + 20], 0)
    with torch.no_grad():
        z = unit(net.head(net.trunk(x)), dim=1)
        means = torch.stack([z[y == k].mean(0) for k in range(5)])
        wanted = unit(z, dim=1) @ unit(means, dim=1).T / 0.1
        found = loss.extra(net.head(net.trunk(x)))
    assert float((found - wanted).abs().max()) < 1e-5 * 10
    assert torch.equal(found.argmax(1), wanted.argmax(1))
    value = loss([x[:20]], y[:20], 0).detach()
    assert float(value - torch.nn.functional.cross_entropy(wanted[:20], y[:20])) == pytest.approx(0, abs=1e-5)


def test_a_class_that_the_memory_lacks_has_a_logit_of_zero_and_is_named() -> None:
    memory = ClassMemory(4, 3, 6)
    assert memory.absent() == [0, 1, 2]
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(memory(x), torch.zeros(5, 3))
    memory.remember(x, torch.tensor([0, 0, 2, 2, 0]))
    assert memory.absent() == [1]
    assert torch.equal(memory(x)[:, 1], torch.zeros(5))
    assert (memory(x)[:, 0] != 0).all()


def test_the_memory_is_first_in_first_out_and_wraps() -> None:
    memory = ClassMemory(2, 9, 5)
    rows = torch.eye(2).repeat(8, 1)
    memory.remember(rows[:3], torch.tensor([0, 1, 2]))
    assert not memory.full
    memory.remember(rows[:4], torch.tensor([3, 4, 5, 6]))
    assert memory.full
    assert memory.labels.tolist() == [5, 6, 2, 3, 4]  # 0 and 1 were the oldest
    memory.remember(rows[:7], torch.tensor([0, 1, 2, 3, 4, 5, 6]))
    assert sorted(memory.labels.tolist()) == [2, 3, 4, 5, 6]  # of more than fit the last ones
    assert memory.labels[int(memory.place)] == 2  # which is overwritten first
    with pytest.raises(ModelError, match=r"'0' is no value of option\.memory"):
        ClassMemory(2, 2, 0)


def test_no_gradient_flows_into_means_and_small_crops_are_not_remembered() -> None:
    x, y = vectors()
    net = network(torch.nn.Linear(8, 6), 6, (5, 4), spherical=True)
    loss = SelfSupervisedLoss("trex-ocm", net, 4, 5, {"memory": 50}, whole=1)
    loss([x[:30], x[:30] + 0.1, x[:30] - 0.1], y[:30], 0)
    assert int(loss.extra.written) == 30
    before = loss.extra.embeddings.clone()
    loss([x[30:], x[30:] + 0.1], y[30:], 0).backward()
    assert not loss.extra.embeddings.requires_grad
    assert all(p.grad is not None for p in net.parameters())
    assert not torch.equal(before, loss.extra.embeddings)
    assert list(loss.extra.parameters()) == []
    assert not any(p.requires_grad for p in loss.teacher.parameters())  # type: ignore[union-attr]


def test_the_loss_is_the_mean_over_crops_of_equation_4_1() -> None:
    x, y = vectors(12)
    crops = [x, x + 0.3, x - 0.2]
    net = network(torch.nn.Linear(8, 6), 6, (4,), spherical=True).eval()
    loss = SelfSupervisedLoss("trex", net, 4, 5)
    assert isinstance(loss.extra, ClassWeights)
    total = 0.0
    for crop in crops:
        z, w = net.head(net.trunk(crop)), unit(loss.extra.weight, dim=1)
        total += float(torch.nn.functional.cross_entropy(z @ w.T / 0.1, y).detach()) / 3
    found = float(loss(crops, y, 0).detach())
    assert found == pytest.approx(total, abs=1e-5)
    repeated = torch.nn.functional.cross_entropy(
        cosine_logits(torch.cat(embed(net, crops)), loss.extra.weight, 0.1), y.repeat(3)
    )
    assert found == pytest.approx(float(repeated.detach()), abs=1e-6)


def test_the_projector_has_length_one_at_both_ends_and_no_bias_at_the_last() -> None:
    net = network(torch.nn.Identity(), 6, (5, 7, 3), spherical=True).eval()
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net.head(x), net.head(1000 * x))
    torch.testing.assert_close(net.head(x).norm(dim=1), torch.ones(4))
    assert [type(part).__name__ for part in net.head[0]] == ["SphericalLinear", "BatchNorm1d", "GELU"]
    assert net.head[2].bias is None
    assert [tuple(p.shape) for p in net.head.parameters() if p.ndim == 2] == [(5, 6), (7, 5), (3, 7)]
    assert torch.equal(network(torch.nn.Identity(), 6, (), spherical=True).head(x), x)


def test_one_pass_for_each_size_gives_what_each_crop_alone_does() -> None:
    net = network(torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten()), 12, (5, 3)).eval()
    generator = torch.Generator().manual_seed(0)
    crops = [torch.rand(2, 3, side, side, generator=generator) for side in (16, 16, 8, 8, 8)]
    for one, crop in zip(embed(net, crops), crops, strict=True):
        torch.testing.assert_close(one, net.head(net.trunk(crop)))


def test_crops_have_their_number_sizes_and_areas() -> None:
    """The pictures say where they are: red across, green down; what a crop spans is its area."""
    ramp = np.linspace(0, 255, 80).round().astype(np.uint8)
    picture = np.zeros((80, 80, 3), np.uint8)
    picture[..., 0], picture[..., 1] = ramp[None, :], ramp[:, None]
    views = AugmentedViews(
        np.stack([picture] * 4), 56, ("crop",), 0.25, 0, small=SmallCrops(8, 24, (0.05, 0.25)), whole=1
    )
    shares: dict[int, list[float]] = {56: [], 24: []}
    for epoch in range(20):
        crops = views(np.arange(4), epoch)
        assert [tuple(crop.shape) for crop in crops] == [(4, 3, 56, 56)] + [(4, 3, 24, 24)] * 8
        for crop in crops:
            wide, high = (np.ptp(crop[:, k].numpy(), (1, 2)) * std for k, std in ((0, 0.229), (1, 0.224)))
            shares[crop.shape[-1]] += (wide * high).tolist()
    assert 0.2 < min(shares[56]) < 0.35
    assert max(shares[56]) > 0.9
    assert 0.03 < min(shares[24]) < 0.08
    assert 0.18 < max(shares[24]) < 0.26
    assert not torch.equal(crops[1], crops[2])


def test_small_crops_change_nothing_of_the_large_ones() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (6, 40, 40, 3), dtype=np.uint8)
    names = ("crop", "flip", "color", "blur", "phase", "frequency")
    two = AugmentedViews(pixels, 32, names, 0.2, 3)(np.arange(6), 1)
    more = AugmentedViews(pixels, 32, names, 0.2, 3, small=SmallCrops(2, 16))(np.arange(6), 1)
    assert all(torch.equal(one, other) for one, other in zip(two, more[:2], strict=True))


def test_fourier_changes_are_of_the_first_view_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 40, 40, 3), dtype=np.uint8)
    plain, changed = (
        AugmentedViews(pixels, 32, ("crop", *more), 0.2, 3, small=SmallCrops(1, 16))(np.arange(16), 1)
        for more in ((), ("amplitude", "phase", "frequency", "mixture"))
    )
    assert not torch.equal(plain[0], changed[0])
    assert torch.equal(plain[1], changed[1])
    assert torch.equal(plain[2], changed[2])


def test_a_continued_run_has_the_memory_of_the_run_that_was_not_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shapes(16)
    training = EncoderTraining(method="trex-ocm", crops=(1, 1), **{**SMALL, "batch_size": 8, "size": 16})
    whole = load_model(f"ssl:{train_encoder(data, tmp_path / 'whole', training, 'label', quiet=True)}")
    interrupt_once(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train_encoder(data, tmp_path / "cut", training, "label", quiet=True)
    cut = load_model(f"ssl:{train_encoder(data, tmp_path / 'cut', training, 'label', quiet=True)}")
    assert cut.info.weights_sha256 == whole.info.weights_sha256
    assert [layer.name for layer in layers_of(cut)][-2:] == ["head.1", "head.2"]
    assert features_of(cut, data, ["trunk", "head.2"], quiet=True).layers["head.2"].shape == (16, 16)


@pytest.mark.parametrize("method", ["simclr", "byol", "dino", "vicreg", "supervised"])
def test_other_methods_take_small_crops_too(method: str) -> None:
    pytest.importorskip("lightly")
    x, y = vectors(16)
    torch.manual_seed(0)
    net = network(torch.nn.Linear(8, 6), 6, (5, 4))
    loss = SelfSupervisedLoss(method, net, 4, 5, whole=1)
    for crops in ([x, x + 0.1, x - 0.1], [x, x + 0.1]):
        value = loss(crops, y, 0)
        value.backward()
        assert torch.isfinite(value)


def test_what_cannot_be_trained_is_said_before_it_is(tmp_path: Path) -> None:
    data = shapes(24)
    with pytest.raises(ModelError, match=r"'1\+0' is no value of crops for simclr.*two views are compared"):
        train_encoder(data, tmp_path / "a", EncoderTraining(crops=(1,), **SMALL), quiet=True)
    with pytest.raises(ModelError, match=r"crops with pairs=label, such as 2"):
        train_encoder(data, tmp_path / "b", EncoderTraining(method="trex", pairs="label", **SMALL), quiet=True)
    with pytest.raises(ModelError, match=r"trex: no option 'memry'"):
        train_encoder(
            data, tmp_path / "c", EncoderTraining(method="trex", options={"memry": 3}, **SMALL), "label", quiet=True
        )
    with pytest.raises(ModelError, match=r"option\.temperature, such as 0\.1"):
        SelfSupervisedLoss("trex", torch.nn.Identity(), 4, 5, {"temperature": 0})
    with pytest.raises(DatasetError, match=r"'colour' has no level 'redd' that could be left out.*red"):
        train_encoder(data, tmp_path / "d", EncoderTraining(**SMALL), "colour", unseen=["redd"], quiet=True)
    with pytest.raises(DatasetError, match=r"without 2 fewer than two are left"):
        train_encoder(data, tmp_path / "e", EncoderTraining(**SMALL), "colour", unseen=2, quiet=True)


def test_classes_that_are_left_out_are_written_down_and_not_learnt(tmp_path: Path) -> None:
    training = EncoderTraining(method="trex", crops=(1, 0), **{**SMALL, "epochs": 1, "head": ()})
    folder = train_encoder(shapes(24), tmp_path / "e", training, "colour", unseen=["red"], quiet=True)
    config = json.loads((folder / "config.json").read_text())
    assert (config["label"], config["unseen"], config["pictures"]) == ("colour", ["red"], 16)
    assert (config["scale"], config["crops"], config["local_size"]) == (0.25, [1, 0], 14)
    assert [layer.name for layer in layers_of(load_model(f"ssl:{folder}"))][-1] == "trunk"
    assert train_encoder(shapes(24), folder, training, "colour", unseen=["red"], quiet=True) == folder
    with pytest.raises(DatasetError, match="trained otherwise"):
        train_encoder(shapes(24), folder, training, "colour", unseen=["blue"], quiet=True)


def test_a_folder_of_before_there_were_crops_goes_on(tmp_path: Path) -> None:
    training = EncoderTraining(**{**SMALL, "epochs": 0})
    folder = train_encoder(shapes(24), tmp_path / "e", training, quiet=True)
    config = json.loads((folder / "config.json").read_text())
    for name in ("crops", "local_size", "local_scale"):
        del config[name]
    config["size"] = 32
    (folder / "config.json").write_text(json.dumps(config))
    assert train_encoder(shapes(24), folder, training, quiet=True) == folder


def test_a_memory_that_lacks_a_class_warns_once() -> None:
    x, _ = vectors(16)
    net = network(torch.nn.Linear(8, 6), 6, (4,), spherical=True)
    loss = SelfSupervisedLoss("trex-ocm", net, 4, 4, {"memory": 4}, whole=1)
    labels = np.repeat(np.arange(4), 4)
    training = EncoderTraining(method="trex-ocm", batch_size=4, epochs=1)
    objective = EncoderObjective(
        loss, lambda rows, epoch: (x[rows],), 16, training, labels, ["cat", "dog", "elk", "fox"]
    )
    objective.device = torch.device("cpu")

    def epoch(number: int) -> None:
        for batch in objective.batches(number):
            objective.loss(batch)

    with pytest.warns(UserWarning, match=r"the memory holds nothing of \w+.*option\.memory"):
        epoch(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        epoch(1)
