"""Domain disentanglement: the two terms by their analytic values, the sign that makes a representation lose a domain.

What could silently be wrong: the wrong sign, by which the encoder writes more of the domain the longer it is trained; a
term of a batch of one domain that is infinite; a critic that the optimizer of the encoder moves too, or that starts
anew when a run goes on; a head that still sees the prefix.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.features.extract import features_of
from torchmultiverse.features.layers import layers_of
from torchmultiverse.models import load_model
from torchmultiverse.models.ssl import network
from torchmultiverse.train import EncoderTraining, train_encoder
from torchmultiverse.train.ddm import (
    DomainTerms,
    critic_gap,
    domain_variance,
    gradient_penalty,
    make_critic,
)
from torchmultiverse.train.settings import METHODS
from torchmultiverse.train.ssl import SelfSupervisedLoss, fit

torch = pytest.importorskip("torch")
pytest.importorskip("lightly")

from shapes import interrupt_once, shapes  # noqa: E402

SMALL: dict[str, Any] = {
    "backbone": "resnet10t", "size": 32, "head": (32, 16), "epochs": 2, "batch_size": 32, "ddm": "colour",
    "ddm_critic": (16,), "ddm_steps": 2,
}  # fmt: skip


@pytest.mark.parametrize(("other", "expected"), [((0.0, 1.0), 1.7123), ((-1.0, 0.0), 3.7123)])
def test_the_domain_term_has_its_analytic_values(other: tuple[float, float], expected: float) -> None:
    """Two domains of four, orthogonal and opposite: ln(3/4) + 2 and ln(3/4) + 4 at temperature 0.5."""
    prefix = torch.tensor([(3.0, 0.0)] * 4 + [tuple(2 * v for v in other)] * 4, requires_grad=True)
    found = domain_variance(prefix, torch.tensor([0] * 4 + [1] * 4), 0.5)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=5e-5)
    np.testing.assert_allclose(float(found.detach().mean()), math.log(3 / 4) + (2 if other[1] else 4), rtol=1e-5)


def test_images_without_another_of_their_domain_or_of_others_are_left_out() -> None:
    prefix = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert bool(torch.isnan(domain_variance(prefix, torch.zeros(5, dtype=torch.long))).all())
    found = domain_variance(prefix, torch.tensor([0, 0, 1, 2, 2]))
    assert torch.isnan(found).tolist() == [False, False, True, False, False]
    found[~torch.isnan(found)].mean().backward()
    assert prefix.grad is not None
    assert bool(torch.isfinite(prefix.grad).all())


def test_the_penalty_is_that_of_the_slope_along_the_whole_pair() -> None:
    critic = torch.nn.Linear(3, 1)
    with torch.no_grad():
        critic.weight.copy_(torch.tensor([[2.0, 2.0, 1.0]]))  # of length 3, wherever one looks
    own = torch.eye(2)
    penalty = gradient_penalty(critic, torch.zeros(2, 1), own, own.flip(0), torch.rand(2, 1))
    assert float(penalty.detach()) == pytest.approx(4.0)
    assert float(critic_gap(critic, torch.zeros(2, 1), own, own.flip(0)).detach()) == pytest.approx(0.0)
    same = torch.tensor([[1.0, 0.0]] * 2)
    assert float(critic_gap(critic, torch.zeros(2, 1), same, same.flip(1)).detach()) == pytest.approx(1.0)


def sign_world(direction: float, steps: int = 150) -> tuple[float, float]:
    """Return what is left of ``b`` in ``h = c + b d`` and the critic's gap, by the encoder's direction on the gap."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        critic = make_critic(1, 2, (64, 64))
        b = torch.nn.Parameter(torch.tensor(1.0))
        adam = torch.optim.Adam(critic.parameters(), 5e-3, (0.5, 0.9))
        encoder = torch.optim.Adam([b], 1e-2)
        gaps = []
        for _ in range(steps):
            for inner in range(6):
                y = torch.randint(0, 2, (256,))
                content = (torch.randn(256) + b * (2 * y - 1))[:, None]
                own = torch.nn.functional.one_hot(y, 2).float()
                drawn = own[torch.randperm(256)]
                if inner < 5:
                    rest = content.detach()
                    value = 10 * gradient_penalty(critic, rest, own, drawn, torch.rand(256, 1))
                    adam.zero_grad()
                    (value - critic_gap(critic, rest, own, drawn)).backward()
                    adam.step()
            gap = critic_gap(critic, content, own, drawn)
            encoder.zero_grad()
            (direction * gap).backward()
            encoder.step()
            gaps.append(float(gap.detach()))
    return abs(float(b.detach())), float(np.mean(gaps[-20:]))


@pytest.mark.slow
def test_an_encoder_that_makes_the_gap_small_loses_the_domain_and_one_with_the_wrong_sign_writes_more() -> None:
    b, gap = sign_world(1.0)
    assert b < 0.3
    assert abs(gap) < 0.06
    wrong, wide = sign_world(-1.0)
    assert wrong > 1.5
    assert wide > 0.4


class Planted:
    """Vectors of a content and a domain with noise; two views differ in the noise."""

    def __init__(self, count: int = 600) -> None:
        rng = np.random.default_rng(0)
        self.content, self.domain = rng.integers(0, 5, count), rng.integers(0, 3, count)
        self.means = rng.normal(size=(5, 24)), rng.normal(size=(3, 24))

    def __call__(self, rows: Any, epoch: int) -> Any:
        rng = np.random.default_rng((epoch, int(rows[0])))
        base = np.concatenate([self.means[0][self.content[rows]], self.means[1][self.domain[rows]]], 1)
        return tuple(torch.from_numpy((base + 0.4 * rng.normal(size=base.shape)).astype(np.float32)) for _ in "12")


def trained(world: Planted, epochs: int) -> tuple[Any, DomainTerms]:
    training = EncoderTraining(
        epochs=epochs, batch_size=200, learning_rate=2e-3, ddm="domain", ddm_prefix=8, ddm_critic=(32, 32)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trunk = torch.nn.Sequential(torch.nn.Linear(48, 64), torch.nn.ReLU(), torch.nn.Linear(64, 40))
        net: Any = network(trunk, 40, (32, 16), 8)
        loss = SelfSupervisedLoss("simclr", net, 16)
        terms = DomainTerms(net, 40, world.domain.astype(np.int64), training)
    fit(loss, world, len(world.domain), training, terms=[terms], after=lambda *_: terms.end_epoch(), quiet=True)
    return net.eval(), terms


@pytest.mark.slow
def test_the_prefix_tells_the_domain_and_the_critic_finds_less_and_less_in_the_rest() -> None:
    from torchmultiverse.analyze import probe_layers
    from torchmultiverse.features import Features

    world = Planted()
    net, terms = trained(world, 60)
    rows = np.arange(len(world.domain))
    with torch.no_grad():
        whole = net.trunk(world(rows, 999)[0])
        assert net.head[0](whole).shape == (600, 32)
    columns = {"domain": world.domain, "content": world.content}
    layers = {"prefix": whole[:, :8].numpy()}
    found = probe_layers(Features("toy", "toy", layers, columns, rows, {}), by="rows", quiet=True)
    score = {one.factor: one.score for one in found.accuracies}
    assert score["domain"] > 0.97
    assert score["content"] < 0.5  # nothing asks for it there; chance is 0.2
    terms_, gaps, norms = (np.array(terms.history)[:, k] for k in range(3))
    assert terms_[-1] > terms_[0] + 1
    assert gaps[-5:].mean() < 0.6 * gaps.max()  # the critic learns first, then the encoder takes it away
    assert np.isfinite(norms).all()


@pytest.mark.parametrize("method", ["simclr", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS[1:])])
def test_every_method_trains_with_the_terms_and_its_parts_are_layers(tmp_path: Path, method: str) -> None:
    data = shapes()
    folder = train_encoder(data, tmp_path / "e", EncoderTraining(method=method, **SMALL), "label", quiet=True)
    model = load_model(f"ssl:{folder}")
    assert {"trunk", "head.split"} <= {layer.name for layer in layers_of(model)}
    found = features_of(model, data, ["trunk", "head.split", "head.split.prefix", "head.2"], quiet=True).layers
    np.testing.assert_allclose(found["head.split.prefix"], found["trunk"][:, :24], atol=1e-6)
    np.testing.assert_allclose(found["head.split"], found["trunk"][:, 24:], atol=1e-6)
    assert found["head.2"].shape == (96, 16)
    lines = (folder / "domains.csv").read_text().splitlines()
    assert lines[0] == "epoch,domain_term,critic_gap,content_norm,left_out"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2"]


def test_a_continued_run_has_the_same_critic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, training = shapes(64), EncoderTraining(method="byol", **SMALL)
    whole = train_encoder(data, tmp_path / "whole", training, quiet=True)
    interrupt_once(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train_encoder(data, tmp_path / "cut", training, quiet=True)
    held = torch.load(tmp_path / "cut" / "running.pt", weights_only=True)
    assert set(held["modules"]) >= {"module", "critic"}
    assert held["objective"]["critic_optimizer"]["state"]
    cut = train_encoder(data, tmp_path / "cut", training, quiet=True)
    one, two = (load_model(f"ssl:{folder}").info.weights_sha256 for folder in (whole, cut))
    assert one == two
    assert (cut / "domains.csv").read_bytes() == (whole / "domains.csv").read_bytes()


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    data = shapes(32)

    def train(**changed: Any) -> None:
        train_encoder(data, tmp_path / "e", EncoderTraining(**{**SMALL, **changed}), quiet=True)

    with pytest.raises(DatasetError, match=r"ddm color: the images have no such column.*'colour'"):
        train(ddm="color")
    with pytest.raises(ModelError, match=r"ddm_prefix=512 leaves nothing .* 512 numbers .* here 32"):
        train(ddm_prefix=512)
    with pytest.raises(ModelError, match=r"ddm_critic does nothing without ddm=COLUMN"):
        train(ddm="")
    with pytest.raises(DatasetError, match="one level of it"):
        DomainTerms(torch.nn.Module(), 8, np.zeros(4, np.int64), EncoderTraining(ddm="x", ddm_prefix=2))
    assert "ddm_prefix" not in EncoderTraining().as_dict()  # folders of before hold none
