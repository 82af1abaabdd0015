"""The one training loop: device, optimizer, schedule, mixed precision, clipping, averages, checkpoints and progress.

What is trained is an `Objective`: its modules, its batches and their loss. All randomness comes from seeds, and a
checkpoint holds everything that the next step depends on, so that a run that was interrupted and continued is the run
that was not, bit for bit on the CPU.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from torchmultiverse.errors import DatasetError, DivergedError, ModelError, SettingError, nearest
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.progress import training_bar
from torchmultiverse.train.loggers import logged_run
from torchmultiverse.train.settings import OPTIMIZERS

if TYPE_CHECKING:
    import torch

RUNNING = "running.pt"
"""Name of the checkpoint of a run that goes on, beside what the run will have made in the end."""
_FORMAT = 1
_REMEDY = "; delete it to train from the beginning"
Schedule = Callable[[Any, int], Any]
"""From an optimizer and the number of steps to a scheduler of PyTorch."""


class Objective:
    """What a training learns: the modules, the batches, and their loss. Objectives derive from this.

    Attributes:
        name: for the bar and for errors.
        device: where the modules are; set by the loop.
        rng: what batches are drawn with, where they are drawn from one stream; its state is in checkpoints.
    """

    name = "training"
    device: torch.device
    rng: np.random.Generator | None = None

    def modules(self) -> dict[str, torch.nn.Module]:
        """Return all that has weights or other state, learnt or not, by name; moved, saved and restored by the loop."""
        raise NotImplementedError

    def batches(self, epoch: int) -> Iterator[Any]:
        """Yield the batches of an epoch, which is what lies between two checkpoints."""
        raise NotImplementedError

    def loss(self, batch: Any) -> torch.Tensor:
        """Return the loss of a batch, scalar."""
        raise NotImplementedError

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what is learnt, in the groups that the optimizer takes; by default one of all parameters."""
        return [{"params": self.parameters()}]

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return all parameters that are learnt."""
        return [p for module in self.modules().values() for p in module.parameters() if p.requires_grad]

    def after_step(self, step: int) -> None:
        """Do what follows a step, the first of which is 1."""

    def state(self) -> dict[str, Any]:
        """Return what beside the modules and `rng` the next batch depends on: tensors, numbers, text, lists of them."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take what `state` returned."""

    def upgraded(self, checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a checkpoint of before there was one loop in the form of now; ``None`` where it is none."""
        return None


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """How a loop trains.

    Attributes:
        epochs: how often batches are asked for; a checkpoint is written after each.
        steps: in all, for the schedule and the bar.
        learning_rate, weight_decay, betas, eps: of the optimizer; a group's own weight decay counts.
        weight_decay_end: where a cosine takes the weight decay of groups that have any, by the last step; nowhere
            without.
        optimizer: ``adamw``, or ``sgd`` or ``lars`` (momentum 0.9).
        schedule: of the learning rate; constant without.
        clip_norm: largest norm of the gradient; not clipped without.
        ema: decay of the average of all weights; none without. Smaller at first: at most (1 + n) / (10 + n) after n
            steps.
        precision: ``auto`` computes losses in bfloat16 on a GPU, where PyTorch holds that safe; weights stay float32.
        seed: of what modules draw themselves, such as dropout.
    """

    epochs: int
    steps: int
    learning_rate: float
    weight_decay: float = 0.0
    weight_decay_end: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    optimizer: str = "adamw"
    schedule: Schedule | None = None
    clip_norm: float | None = None
    ema: float | None = None
    precision: Literal["auto", "float32"] = "auto"
    seed: int = 0


class Loop:
    """A training that runs, or goes on from its checkpoint.

    Args:
        objective: what is learnt; on the CPU, it is moved to the GPU where there is one.
        settings: how.
        checkpoint: file from which an interrupted run goes on, written after every epoch; none is kept without.
        identity: plain data that says what is trained on what; a checkpoint of another run is refused.
        after: called with the loop after every epoch, modules in evaluation mode, before the checkpoint is written;
            and before the first epoch of a run that is not continued.
        quiet: show no bar.

    Attributes:
        epoch, step: how many are done.
        losses: mean of each epoch.
        first_loss, last_loss: of the first and of the last step; not numbers before there was one.

    Raises:
        ModelError: no such optimizer.
    """

    def __init__(
        self,
        objective: Objective,
        settings: LoopSettings,
        *,
        checkpoint: Path | None = None,
        identity: Mapping[str, Any] | None = None,
        after: Callable[[Loop], None] | None = None,
        quiet: bool = False,
    ) -> None:
        self.objective, self.settings, self.quiet = objective, settings, quiet
        self._checkpoint, self._after = checkpoint, after
        self._identity: dict[str, Any] = json.loads(json.dumps(dict(identity or {})))
        self.epoch = self.step = 0
        self.losses: list[float] = []
        self.first_loss = self.last_loss = math.nan
        self.device = objective.device = tools.device()
        self._modules = objective.modules()
        for module in self._modules.values():
            module.to(self.device)
        self._parameters = objective.parameters()
        self._optimizer = _optimizer(settings, objective.parameter_groups())
        self._decays = [float(group["weight_decay"]) for group in self._optimizer.param_groups]
        self._schedule = settings.schedule(self._optimizer, settings.steps) if settings.schedule else None
        self._average: dict[str, dict[str, torch.Tensor]] | None = None
        if settings.ema is not None:
            self._average = {name: _copy(module.state_dict()) for name, module in self._modules.items()}

    def run(self) -> Loop:
        """Train to the end; returns the loop.

        Raises:
            ModelError: the loss is no longer finite, or the checkpoint cannot be read.
            DatasetError: the checkpoint is of another run.
        """
        if self._checkpoint is not None and self._checkpoint.is_file():
            self._resume(self._checkpoint)
        elif self._after is not None:
            self._after(self)
        facts = {**_plain(self.settings), **self._identity}
        with training_bar(self.quiet) as progress, logged_run(self.objective.name, facts, self.step) as log:
            bar = progress.add_task(self.objective.name, total=self.settings.steps, completed=self.step, loss="")
            while self.epoch < self.settings.epochs:
                self._train(True)
                losses = []
                with self._seeded():
                    for batch in self.objective.batches(self.epoch):
                        rate = float(self._optimizer.param_groups[0]["lr"])
                        losses.append(self._learn(batch))
                        log({"loss": losses[-1], "learning_rate": rate}, self.step)
                        progress.update(bar, completed=self.step, loss=f"loss {losses[-1]:.2f}")
                self.epoch += 1
                self.losses.append(float(np.mean(losses)) if losses else math.nan)
                log({"epoch_loss": self.losses[-1]}, self.step)
                self._train(False)
                if self._after is not None:  # what it keeps is there when the run goes on from the checkpoint
                    self._after(self)
                if self._checkpoint is not None:
                    self._save(self._checkpoint)
        self._train(False)
        return self

    def average(self, module: str) -> dict[str, torch.Tensor]:
        """Return the averaged tensors of a module, by name.

        Raises:
            ValueError: the settings ask for no average.
        """
        if self._average is None:
            raise ValueError("no average is kept: settings.ema is None")
        return self._average[module]

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights into the modules for a while."""
        live = {name: _copy(module.state_dict()) for name, module in self._modules.items()}
        for name, module in self._modules.items():
            module.load_state_dict(self.average(name))
        try:
            yield
        finally:
            for name, module in self._modules.items():
                module.load_state_dict(live[name])

    def finish(self) -> None:
        """Remove the checkpoint: what the run was for is saved."""
        if self._checkpoint is not None:
            self._checkpoint.unlink(missing_ok=True)

    def _train(self, on: bool) -> None:
        for module in self._modules.values():
            module.train(on)

    @contextlib.contextmanager
    def _seeded(self) -> Iterator[None]:
        """Let what modules draw themselves be the same in a run that was continued, and change nothing outside."""
        import torch

        with torch.random.fork_rng(devices=[self.device.index or 0] if self.device.type == "cuda" else []):
            torch.manual_seed(tools.seed_of(self.settings.seed, self.epoch))
            yield

    def _learn(self, batch: Any) -> float:
        """Take one step; returns the loss."""
        import torch

        low = self.settings.precision == "auto" and self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            loss = self.objective.loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DivergedError(
                f"{self.objective.name}: the loss is {value} at step {self.step + 1} (epoch {self.epoch + 1}); "
                f"lower the learning rate, which is {self.settings.learning_rate:g}"
            )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.clip_norm)
        self._decay()
        self._optimizer.step()
        if self._schedule is not None:
            self._schedule.step()
        self.step += 1
        self._follow()
        self.objective.after_step(self.step)
        self.first_loss = value if self.step == 1 else self.first_loss
        self.last_loss = value
        return value

    def _decay(self) -> None:
        """Set the weight decay of the step that comes."""
        if self.settings.weight_decay_end is None:
            return
        for group, first in zip(self._optimizer.param_groups, self._decays, strict=True):
            if first:
                group["weight_decay"] = cosine_between(
                    first, self.settings.weight_decay_end, self.step / max(1, self.settings.steps)
                )

    def _follow(self) -> None:
        """Let the average follow the weights."""
        import torch

        if self._average is None or self.settings.ema is None:
            return
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for of, module in self._modules.items():
                for name, tensor in module.state_dict().items():
                    if tensor.is_floating_point():
                        self._average[of][name].lerp_(tensor, 1 - decay)
                    else:
                        self._average[of][name].copy_(tensor)

    def _save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = self.objective.rng
        held = {
            "format": _FORMAT, "identity": json.dumps(self._identity), "epoch": self.epoch, "step": self.step,
            "modules": {name: module.state_dict() for name, module in self._modules.items()},
            "optimizer": self._optimizer.state_dict(),
            "schedule": None if self._schedule is None else self._schedule.state_dict(), "average": self._average,
            "objective": self.objective.state(),
            "rng": "" if rng is None else json.dumps(rng.bit_generator.state),
            "losses": self.losses, "first_loss": self.first_loss, "last_loss": self.last_loss,
        }  # fmt: skip
        tools.save_tensors(path, held)

    def _resume(self, path: Path) -> None:
        held = tools.load_tensors(path, self.device, remedy=_REMEDY)
        if isinstance(held, dict) and "format" not in held:
            held = self.objective.upgraded(held)
        if not isinstance(held, dict) or held.get("format") != _FORMAT:
            raise ModelError(f"{path} is no checkpoint of this training that this version can continue{_REMEDY}")
        kept = json.loads(held.get("identity") or "{}")
        for name in kept if kept else ():
            if kept[name] != self._identity.get(name):
                raise DatasetError(
                    f"{path} is of an interrupted run with {name} {kept[name]!r}, not "
                    f"{self._identity.get(name)!r}; run it as it was, choose another folder, or delete the file"
                )
        try:
            for name, module in self._modules.items():
                module.load_state_dict(held["modules"][name])
            self._optimizer.load_state_dict(held["optimizer"])
            if self._schedule is not None:
                self._schedule.load_state_dict(held["schedule"])
            if self._average is not None:
                self._average = held["average"]
            if self.objective.rng is not None:
                self.objective.rng.bit_generator.state = json.loads(held["rng"])
            self.objective.load_state(held["objective"])
        except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            told = (str(error).splitlines() or [""])[0][:200]
            raise ModelError(f"{path} does not fit this training: {told}{_REMEDY}") from error
        self.epoch, self.step, self.losses = int(held["epoch"]), int(held["step"]), list(held["losses"])
        self.first_loss, self.last_loss = float(held["first_loss"]), float(held["last_loss"])


def checkpoint_of(
    *, modules: Mapping[str, Any], optimizer: Any, epoch: int, step: int, losses: Sequence[float] = (),
    schedule: Any = None, average: Any = None,
) -> dict[str, Any]:  # fmt: skip
    """Return a checkpoint in the form of now, for `Objective.upgraded`."""
    last = losses[-1] if losses else math.nan
    return {
        "format": _FORMAT, "identity": "", "epoch": epoch, "step": step, "modules": dict(modules),
        "optimizer": optimizer, "schedule": schedule, "average": average, "objective": {}, "rng": "",
        "losses": list(losses), "first_loss": losses[0] if losses else math.nan, "last_loss": last,
    }  # fmt: skip


def cosine_between(first: float, last: float, done: float) -> float:
    """Return the value of half a cosine from ``first`` (nothing done) to ``last`` (all done).

    >>> [round(cosine_between(0.04, 0.4, done), 3) for done in (0, 0.5, 1)]
    [0.04, 0.22, 0.4]
    """
    return last + (first - last) * (1 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2


def triangle(warmup: float = 0.1) -> Schedule:
    """Return a schedule that rises in a line to the highest rate and falls in a line to 0: one cycle.

    Args:
        warmup: fraction of steps in which it rises.

    Source: L. Smith, *Cyclical learning rates for training neural networks*, WACV 2017, figure 2.
    """

    def made(optimizer: Any, steps: int) -> Any:
        import torch

        total = max(1, steps)
        warm = max(1, int(warmup * total))
        return torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda k: min((k + 1) / warm, max(0.0, (total - k) / max(1, total - warm)))
        )

    return made


def cosine(warmup: float = 0.1) -> Schedule:
    """Return a schedule whose rate is the lesser of a linear rise and a cosine over all steps.

    Args:
        warmup: fraction of steps after which the rise would reach the highest rate.
    """

    def made(optimizer: Any, steps: int) -> Any:
        import torch

        total = max(1, steps)
        warm = max(1, int(warmup * total))
        return torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda k: min((k + 1) / warm, 0.5 * (1 + math.cos(math.pi * k / total)))
        )

    return made


def cosine_after_warmup(warmup: float) -> Schedule:
    """Return a schedule of a linear rise and then a cosine over the steps that are left, as open_clip's.

    Args:
        warmup: fraction of steps in which the rate rises.
    """

    def made(optimizer: Any, steps: int) -> Any:
        import torch

        warm = max(1, int(warmup * steps))

        def factor(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + float(np.cos(np.pi * (step - warm) / max(1, steps - warm))))

        return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    return made


def one_cycle(rate: float, warmup: float = 0.1, extra: int = 0) -> Schedule:
    """Return PyTorch's one-cycle schedule: a cosine up, a cosine down.

    Args:
        rate: the highest.
        warmup: fraction of steps in which it rises.
        extra: steps that the cycle is longer than the training.
    """

    def made(optimizer: Any, steps: int) -> Any:
        import torch

        total = steps + extra
        # A rise of exactly one step would divide by zero in PyTorch.
        start = warmup if not math.isclose(warmup * total, 1) else 1.5 / total
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=total, pct_start=start)

    return made


def _optimizer(settings: LoopSettings, groups: list[dict[str, Any]]) -> Any:
    import torch

    if settings.optimizer == "adamw":
        return torch.optim.AdamW(
            groups, settings.learning_rate, settings.betas, settings.eps, weight_decay=settings.weight_decay
        )
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, settings.learning_rate, momentum=0.9, weight_decay=settings.weight_decay)
    if settings.optimizer != "lars":
        raise SettingError(f"no optimizer '{settings.optimizer}'.{nearest(settings.optimizer, OPTIMIZERS)}")
    lars = tools.need("lightly.utils.lars", "the optimizer LARS", "ssl")
    split: list[dict[str, Any]] = []
    for group in groups:  # norms and biases are neither decayed nor scaled by their length
        wide, thin = ([p for p in group["params"] if (p.ndim > 1) == which] for which in (True, False))
        split += [{**group, "params": wide}, {**group, "params": thin, "weight_decay": 0.0}]
    return lars.LARS(split, lr=settings.learning_rate, momentum=0.9, weight_decay=settings.weight_decay)


def _plain(settings: LoopSettings) -> dict[str, Any]:
    """Return settings as loggers take them."""
    found = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {name: value for name, value in found.items() if not callable(value)}


def _copy(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}
