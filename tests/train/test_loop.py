"""The one training loop.

What could silently be wrong: a run that was continued is another run (weights, averages, order, or what a module draws
itself), a checkpoint of other data that is taken up, a loss that is no number and goes on, or an average that is not
one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.train import Loop, LoopSettings, Objective
from torchmultiverse.train.loop import cosine, cosine_after_warmup, one_cycle

torch = pytest.importorskip("torch")


class Line(Objective):
    """Fits a line through points that are drawn from one stream; dropout draws for itself."""

    name = "line"

    def __init__(self, stop_at: int | None = None, rate: float = 0.2) -> None:
        torch.manual_seed(1)
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(rate), torch.nn.Linear(8, 1))
        self.rng = np.random.default_rng(3)
        self.left: list[float] = []
        self.stop_at, self.asked = stop_at, 0

    def modules(self) -> dict[str, Any]:
        return {"net": self.net}

    def batches(self, epoch: int) -> Iterator[Any]:
        for _ in range(4):
            if not self.left:
                self.left = self.rng.normal(size=5).tolist()
            self.asked += 1
            if self.asked == self.stop_at:
                raise KeyboardInterrupt
            x = torch.from_numpy(self.rng.normal(size=(6, 3)).astype(np.float32)).to(self.device)
            yield x, self.left.pop()

    def loss(self, batch: Any) -> Any:
        x, shift = batch
        return ((self.net(x)[:, 0] - x.sum(1) - shift) ** 2).mean()

    def state(self) -> dict[str, Any]:
        return {"left": self.left}

    def load_state(self, state: Any) -> None:
        self.left = list(state["left"])


def settings(**more: Any) -> LoopSettings:
    usual: dict[str, Any] = {"epochs": 3, "steps": 12, "learning_rate": 0.05, "ema": 0.9, "clip_norm": 1.0, "seed": 2}
    return LoopSettings(**{**usual, "schedule": cosine(), **more})


def tensors(loop: Loop) -> list[Any]:
    return [*loop.objective.modules()["net"].state_dict().values(), *loop.average("net").values()]


@pytest.mark.parametrize("schedule", [None, cosine(), cosine_after_warmup(0.2), one_cycle(0.05)])
def test_a_continued_run_is_the_run_that_was_not_interrupted(tmp_path: Path, schedule: Any) -> None:
    whole = Loop(Line(), settings(schedule=schedule)).run()
    file = tmp_path / "deep" / "running.pt"
    with pytest.raises(KeyboardInterrupt):
        Loop(Line(stop_at=10), settings(schedule=schedule), checkpoint=file).run()
    torch.manual_seed(99)  # what the process drew since then must not matter
    cut = Loop(Line(), settings(schedule=schedule), checkpoint=file).run()
    assert all(torch.equal(one, two) for one, two in zip(tensors(whole), tensors(cut), strict=True))
    assert (cut.losses, cut.first_loss, cut.last_loss) == (whole.losses, whole.first_loss, whole.last_loss)
    assert (cut.epoch, cut.step) == (3, 12)
    again = Loop(Line(stop_at=1), settings(schedule=schedule), checkpoint=file).run()
    assert all(torch.equal(one, two) for one, two in zip(tensors(whole), tensors(again), strict=True)), "nothing left"
    cut.finish()
    assert not file.exists()


def test_training_leaves_the_randomness_of_the_process_alone() -> None:
    objective = Line()
    before = torch.random.get_rng_state()
    Loop(objective, settings()).run()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "running.pt"
    Loop(Line(), settings(), checkpoint=file, identity={"images": 5, "size": (3, 4)}).run()
    Loop(Line(), settings(), checkpoint=file, identity={"images": 5, "size": (3, 4)}).run()
    with pytest.raises(DatasetError, match=r"running.pt is of an interrupted run with images 5, not 6"):
        Loop(Line(), settings(), checkpoint=file, identity={"images": 6, "size": (3, 4)}).run()
    torch.save({"something": torch.zeros(1)}, file)
    with pytest.raises(ModelError, match=r"running.pt is no checkpoint of this training.*delete it"):
        Loop(Line(), settings(), checkpoint=file).run()


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "running.pt"
    Loop(Line(), settings(), checkpoint=file).run()
    other = Line()
    other.net = torch.nn.Sequential(torch.nn.Linear(3, 9), torch.nn.Linear(9, 1))
    with pytest.raises(ModelError, match=r"running.pt does not fit this training: .*delete it to train from"):
        Loop(other, settings(), checkpoint=file).run()


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    line = Line()
    with torch.no_grad():
        line.net[0].weight.fill_(float("inf"))
    with pytest.raises(ModelError, match=r"line: the loss is nan at step 1 .*lower the learning rate.*0\.05"):
        Loop(line, settings()).run()


def test_the_average_follows_the_weights() -> None:
    """After one step the average keeps 2/11 of the first weights; put in their place for a while, it is given back."""
    line = Line(rate=0.0)
    first = {name: tensor.clone() for name, tensor in line.net.state_dict().items()}
    loop = Loop(line, settings(epochs=1, steps=1))
    batch = next(iter(line.batches(0)))
    line.batches = lambda epoch: iter([batch])  # type: ignore[method-assign]
    loop.run()
    weights = {name: tensor.clone() for name, tensor in line.net.state_dict().items()}
    for name, tensor in loop.average("net").items():
        torch.testing.assert_close(tensor, first[name] * 2 / 11 + weights[name] * 9 / 11)
        assert not torch.equal(tensor, weights[name])
    with loop.averaged():
        assert torch.equal(line.net[0].weight, loop.average("net")["0.weight"])
    assert torch.equal(line.net[0].weight, weights["0.weight"])


def test_gradients_are_clipped_and_the_rate_follows_its_schedule() -> None:
    """With plain steps of one length, what is clipped is a step of the largest norm."""

    class Steep(Line):
        def loss(self, batch: Any) -> Any:
            self.rates.append(self.loop._optimizer.param_groups[0]["lr"])
            return 1e6 * super().loss(batch)

        def after_step(self, step: int) -> None:
            norms = [p.grad.norm() for p in self.parameters() if p.grad is not None]
            assert float(torch.stack(norms).norm()) <= 0.5001

    steep = Steep()
    steep.rates = []
    steep.loop = Loop(steep, settings(clip_norm=0.5, schedule=cosine_after_warmup(0.5), epochs=2, steps=8))
    steep.loop.run()
    np.testing.assert_allclose(steep.rates[:4], 0.05 * np.array([0.25, 0.5, 0.75, 1.0]))
    np.testing.assert_allclose(steep.rates[4:], 0.05 * 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4)))


def test_a_cycle_of_ten_steps_has_a_rise() -> None:
    """A tenth of ten steps is one, by which PyTorch's schedule divides less one."""
    Loop(Line(), settings(schedule=one_cycle(0.05), epochs=1, steps=10)).run()
