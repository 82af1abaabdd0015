"""What encoders can be trained with beside the usual settings.

What could silently be wrong: a weight decay that does not follow its schedule or decays what should not be decayed, a
neighbour that is the image itself, a tail that is not the law's, or a factor on the width that changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapes import shapes

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.train import AugmentedViews, EncoderTraining, Loop, LoopSettings, Objective, train_encoder
from torchmultiverse.train.long_tail import long_tail_rows
from torchmultiverse.train.loop import triangle
from torchmultiverse.train.pairs import nearest_images

torch = pytest.importorskip("torch")


class Still(Objective):
    """A weight whose loss has no slope: only the decay moves it."""

    name = "still"

    def __init__(self) -> None:
        self.net = torch.nn.Linear(2, 1)
        with torch.no_grad():
            self.net.weight.fill_(1.0)
            self.net.bias.fill_(1.0)

    def modules(self) -> dict[str, Any]:
        return {"net": self.net}

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.net.weight]}, {"params": [self.net.bias], "weight_decay": 0.0}]

    def batches(self, epoch: int) -> Iterator[Any]:
        yield from range(4)

    def loss(self, batch: Any) -> Any:
        return 0 * (self.net.weight.sum() + self.net.bias.sum())


def test_weight_decay_follows_half_a_cosine_and_spares_what_has_none() -> None:
    settings = LoopSettings(epochs=2, steps=8, learning_rate=0.1, weight_decay=0.4, weight_decay_end=0.0)
    loop = Loop(Still(), settings, quiet=True).run()
    weight, bias = loop.objective.parameters()
    decays = [0.2 * (1 + np.cos(np.pi * step / 8)) for step in range(8)]
    assert float(weight.detach()[0, 0]) == pytest.approx(np.prod([1 - 0.1 * decay for decay in decays]), abs=1e-6)
    assert float(bias.detach()[0]) == 1


def test_gradient_descent_has_momentum() -> None:
    """Two steps of slope 1 at rate 0.1 and momentum 0.9 go 0.1 and 0.19."""

    class Slope(Still):
        def batches(self, epoch: int) -> Iterator[Any]:
            yield from range(2)

        def loss(self, batch: Any) -> Any:
            return self.net.weight.sum()

    loop = Loop(Slope(), LoopSettings(epochs=1, steps=2, learning_rate=0.1, optimizer="sgd"), quiet=True).run()
    assert float(loop.objective.parameters()[0].detach()[0, 0]) == pytest.approx(1 - 0.29)


def test_a_triangle_rises_and_falls_in_lines() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    schedule, rates = triangle(0.25)(optimizer, 8), []
    for _ in range(8):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([1 / 2, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_neighbours_are_of_the_same_planted_cluster_and_never_the_image_itself() -> None:
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 8, 300)
    vectors = (np.eye(8)[cluster] * 4 + 0.3 * rng.normal(size=(300, 8)) + 100).astype(np.float32)  # far from the origin
    found = nearest_images(vectors, 5)
    assert (cluster[found] == cluster[:, None]).all()
    assert (found != np.arange(300)[:, None]).all()
    assert all(len(set(row)) == 5 for row in found.tolist())
    with pytest.raises(ModelError, match="neighbours are 1 to 2 of 3 images, not 3"):
        nearest_images(vectors[:3], 3)


def test_the_second_view_is_of_a_partner() -> None:
    pixels = np.stack([np.full((40, 40, 3), 40 * k, np.uint8) for k in range(4)])
    partners = np.array([[1], [0], [3], [2]])
    one, two = AugmentedViews(pixels, 32, (), 1.0, 0, partners=partners)(np.arange(4), 0)
    assert torch.equal(two, one[[1, 0, 3, 2]])


@pytest.mark.parametrize(("power", "counts"), [(0.0, [60, 60, 60, 60]), (1.0, [60, 30, 20, 15]), (2.0, [60, 15, 7, 4])])
def test_a_long_tail_follows_its_law(power: float, counts: list[int]) -> None:
    codes = np.tile(np.arange(4), 60)
    rows = long_tail_rows(codes, power, np.random.default_rng(3))
    assert sorted(np.bincount(codes[rows]).tolist(), reverse=True) == counts
    assert len(set(rows.tolist())) == len(rows)
    rare = np.concatenate([codes[codes != 2], codes[codes == 2][:8]])  # a level that has too few for its place
    kept = np.bincount(rare[long_tail_rows(rare, power, np.random.default_rng(3))])
    assert kept[2] <= 8
    with pytest.raises(ModelError, match="two levels"):
        long_tail_rows(np.zeros(5, np.int64), 1.0, np.random.default_rng(0))


def test_clusters_are_pulled_to_their_prior() -> None:
    """The regulariser is least for equally large clusters under ``msn``, and for the law's under ``pmsn``."""
    pytest.importorskip("lightly")
    from torchmultiverse.models.ssl import network
    from torchmultiverse.train.ssl import SelfSupervisedLoss

    law = (1 / torch.arange(1.0, 9.0)) / (1 / torch.arange(1.0, 9.0)).sum()
    equal = torch.full((8,), 1 / 8)
    for method, best, other in (("msn", equal, law), ("pmsn", law, equal)):
        options = {"prototypes": 8, **({"power_law_exponent": 1.0} if method == "pmsn" else {})}
        loss = SelfSupervisedLoss(method, network(torch.nn.Linear(4, 4), 4, (4,)), 4, options=options)
        assert loss.extra.weight.shape == (8, 4)
        assert float(loss.loss.regularization_loss(best)) < float(loss.loss.regularization_loss(other)) - 0.05


def test_backbones_grow_in_width_and_depth() -> None:
    pytest.importorskip("timm")
    from torchmultiverse.models.backbone_size import sized_backbone

    assert sized_backbone("resnet10t", 0.25).num_features == 128
    assert sized_backbone("resnet50", 0.25).num_features == 512
    assert [len(stage) for stage in (sized_backbone("resnet10t", depth=2).layer1,)] == [2]
    vit = sized_backbone("vit_tiny_patch16_224", 0.5, 0.25, img_size=32)
    assert (vit.num_features, len(vit.blocks)) == (96, 3)
    with pytest.raises(ModelError, match="timm takes no widths for 'vgg11'"):
        sized_backbone("vgg11", 2)


def test_encoders_are_trained_with_all_of_them_and_continued_by_older_folders(tmp_path: Path) -> None:
    pytest.importorskip("lightly")
    pytest.importorskip("timm")
    from torchmultiverse.models import load_model

    small: dict[str, Any] = {"size": 16, "head": (8,), "epochs": 1, "batch_size": 16, "method": "simclr"}
    first = train_encoder(shapes(48), tmp_path / "first", EncoderTraining(**small), quiet=True)
    more = EncoderTraining(
        **small, pairs=f"near:ssl:{first}", neighbours=2, optimizer="sgd", schedule="triangle", backbone_width=0.25,
        weight_decay_end=0.1, long_tail="colour",
    )  # fmt: skip
    second = train_encoder(shapes(48), tmp_path / "second", more, quiet=True)
    assert load_model(f"ssl:{second}").info.embedding == 128
    config = json.loads((second / "config.json").read_text())
    assert config["pictures"] == 16 + 8 + 5
    # A folder that was written before there were these settings is continued.
    held = json.loads((first / "config.json").read_text())
    for name in ("neighbours", "schedule", "weight_decay_end", "backbone_width", "backbone_depth", "long_tail"):
        del held[name]
    (first / "config.json").write_text(json.dumps(held))
    assert train_encoder(shapes(48), first, EncoderTraining(**small), quiet=True) == first
    with pytest.raises(DatasetError, match="trained otherwise"):
        train_encoder(shapes(48), first, EncoderTraining(**small, backbone_width=0.5), quiet=True)
    with pytest.raises(ModelError, match="near: names no model"):
        train_encoder(shapes(48), tmp_path / "third", EncoderTraining(**small, pairs="near:"), quiet=True)
    assert not (tmp_path / "third").exists(), "a folder is claimed by a training that can begin"
