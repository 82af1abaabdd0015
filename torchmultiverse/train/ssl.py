"""Trains subjects to look into: SimCLR, BYOL, VICReg, Barlow Twins, DINO and supervised, with a projector.

Losses are those of the library ``lightly``. Everything that is random comes from a seed: first weights, order, and the
crops and colours of each picture in each epoch, so that a run that was interrupted and continued is the run that was
not.

Settings are those of C. Meehan et al., *Do SSL models have déjà vu?*, NeurIPS 2023, appendix A, at a size that two
cores can train.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError, nearest
from torchmultiverse.features import image_array
from torchmultiverse.files import write_atomic
from torchmultiverse.models import ENCODER_CONFIG, IMAGENET_MEAN, IMAGENET_STD, build_encoder
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.progress import progress_bar
from torchmultiverse.store import columns_of, manifest_hash, open_images

if TYPE_CHECKING:
    import torch

METHODS = ("simclr", "byol", "vicreg", "barlow", "dino", "supervised")
AUGMENTATIONS = ("crop", "flip", "color", "gray", "blur", "solarize")


@dataclass(frozen=True)
class Training:
    """How an encoder is trained.

    Attributes:
        method: one of `METHODS`.
        backbone: model of timm.
        size: side of the input in pixels.
        head: widths of the projector.
        epochs, batch_size: times that each picture is seen, and pictures per step.
        learning_rate, weight_decay: of AdamW, with a warm-up of a tenth and a cosine schedule.
        augment: of `AUGMENTATIONS`; what a method is made invariant to.
        scale: smallest share of the area that a crop keeps.
        pairs: column whose levels pair pictures: the second view is of another picture of the level; "" for two views
            of one picture.
        optimizer: ``adamw``, or ``lars`` (momentum 0.9) for large batches, as in the source.
        options: of the loss, such as ``{"temperature": 0.15}`` or ``{"lambda_param": 25}``, by lightly's names.
        keep: epochs after which a checkpoint is kept; 0 is before training.
        seed: of everything.
    """

    method: str = "simclr"
    backbone: str = "resnet10t"
    size: int = 64
    head: tuple[int, ...] = (256, 256, 128)
    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    augment: tuple[str, ...] = AUGMENTATIONS
    scale: float = 0.2
    pairs: str = ""
    optimizer: str = "adamw"
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    keep: tuple[int, ...] = ()
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["options"] = dict(self.options)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def changed(training: Training, name: str, text: str) -> Training:
    """Return a training with one setting read from text.

    Args:
        training: to be changed.
        name: of a setting, or ``option.NAME`` of the loss.
        text: its value; widths of a head as ``256-128``, augmentations as ``crop+flip``.

    Raises:
        ModelError: no such setting, or no such value.
    """
    try:
        if name.startswith("option."):
            return replace(training, options={**training.options, name.removeprefix("option."): float(text)})
        if name not in Training.__dataclass_fields__ or name == "options":
            known = [*Training.__dataclass_fields__, "option.temperature", "option.lambda_param"]
            raise ModelError(f"no setting '{name}'.{nearest(name, known)}")
        old = getattr(training, name)
        value: Any
        if name in ("head", "keep"):
            value = tuple(int(number) for number in text.split("-") if number)
        elif name == "augment":
            value = tuple(one for one in text.split("+") if one not in ("", "none"))
        else:
            value = type(old)(text)
    except ValueError:
        raise ModelError(f"'{text}' is no value of {name}, such as {getattr(training, name, 0.5)}") from None
    return replace(training, **{name: value})


def with_settings(training: Training, texts: Iterable[str]) -> Training:
    """Return a training with settings such as ``epochs=50``; see `changed`.

    Raises:
        ModelError: no such setting, or no such value.
    """
    for text in texts:
        name, _, value = text.partition("=")
        training = changed(training, name, value)
    return training


class Views(Protocol):
    """Gives two views of each of some pictures."""

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two tensors (N, …) on the CPU."""
        ...


class Objective:
    """A loss with all that it needs beside the network: a predictor, a teacher, a classifier.

    Args:
        method: one of `METHODS`.
        module: with ``trunk`` and ``head``.
        width: of the head's output.
        classes: for ``supervised``.
        options: of the loss.

    Raises:
        ModelError: no such method or option, or ``supervised`` without classes.
        MissingExtra: lightly is not installed.
    """

    def __init__(
        self,
        method: str,
        module: torch.nn.Module,
        width: int,
        classes: int = 0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        import torch

        if method not in METHODS:
            raise ModelError(f"no method '{method}'.{nearest(method, METHODS)}")
        self.method, self.module, options = method, module, dict(options or {})
        self.extra: torch.nn.Module = torch.nn.Identity()
        self.teacher: torch.nn.Module | None = None
        if method == "supervised":
            if classes < 2:
                raise ModelError("supervised training needs labels of at least two classes")
            self.extra = torch.nn.Sequential(
                torch.nn.BatchNorm1d(width), torch.nn.ReLU(), torch.nn.Linear(width, classes)
            )
            self.loss: Any = torch.nn.CrossEntropyLoss(**options)
            return
        losses = tools.need("lightly.loss", "self-supervised training", "ssl")
        self.momentum = float(options.pop("momentum", 0.996))
        made: dict[str, Callable[..., Any]] = {
            "simclr": losses.NTXentLoss, "vicreg": losses.VICRegLoss, "barlow": losses.BarlowTwinsLoss,
            "byol": losses.NegativeCosineSimilarity, "dino": losses.DINOLoss,
        }  # fmt: skip
        defaults: dict[str, dict[str, Any]] = {
            "simclr": {"temperature": 0.15}, "barlow": {"lambda_param": 0.0051}, "dino": {"output_dim": width},
        }  # fmt: skip
        try:
            self.loss = made[method](**{**defaults.get(method, {}), **options})
        except TypeError as error:
            raise ModelError(f"{method}: {error}") from None
        if method in ("byol", "dino"):
            self.teacher = copy.deepcopy(module)
            for parameter in self.teacher.parameters():
                parameter.requires_grad_(False)
        if method == "byol":
            self.extra = torch.nn.Sequential(
                torch.nn.Linear(width, 2 * width), torch.nn.BatchNorm1d(2 * width), torch.nn.ReLU(),
                torch.nn.Linear(2 * width, width),
            )  # fmt: skip

    def to(self, where: torch.device) -> Objective:
        """Move everything to a device."""
        for part in (self.module, self.extra, self.teacher, self.loss):
            if part is not None and hasattr(part, "to"):
                part.to(where)
        return self

    def parameters(self) -> list[Any]:
        """Return what is learnt."""
        return [*self.module.parameters(), *self.extra.parameters()]

    def __call__(self, one: torch.Tensor, two: torch.Tensor, labels: torch.Tensor | None, epoch: int) -> torch.Tensor:
        """Return the loss of two views, scalar."""
        import torch

        net: Any = self.module
        if self.method == "supervised":
            assert labels is not None
            both = self.extra(net.head(net.trunk(torch.cat([one, two]))))
            value: torch.Tensor = self.loss(both, torch.cat([labels, labels]))
            return value
        first, second = net.head(net.trunk(torch.cat([one, two]))).chunk(2)
        if self.teacher is None:
            value = self.loss(first, second)
            return value
        teacher: Any = self.teacher
        with torch.no_grad():
            targets = teacher.head(teacher.trunk(torch.cat([one, two]))).chunk(2)
        if self.method == "dino":
            value = self.loss(list(targets), [first, second], epoch=epoch)
            return value
        predicted = self.extra(torch.cat([first, second])).chunk(2)
        # 2 − 2 cos in both directions; the library's loss is −cos.
        value = 4 + 2 * (self.loss(predicted[0], targets[1]) + self.loss(predicted[1], targets[0]))
        return value

    def after_step(self, done: float) -> None:
        """Let the teacher follow: an average whose momentum grows to 1 as training goes from 0 to 1."""
        import torch

        if self.teacher is None:
            return
        momentum = 1 - (1 - self.momentum) * (math.cos(math.pi * done) + 1) / 2
        with torch.no_grad():
            for mine, theirs in zip(self.teacher.parameters(), self.module.parameters(), strict=True):
                mine.lerp_(theirs, 1 - momentum)
            for held, new in zip(self.teacher.buffers(), self.module.buffers(), strict=True):
                held.copy_(new)

    def state(self) -> dict[str, Any]:
        """Return all tensors."""
        parts = {"module": self.module, "extra": self.extra, "teacher": self.teacher, "loss": self.loss}
        return {name: part.state_dict() for name, part in parts.items() if part is not None}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take all tensors."""
        parts = {"module": self.module, "extra": self.extra, "teacher": self.teacher, "loss": self.loss}
        for name, part in parts.items():
            if part is not None:
                part.load_state_dict(state[name])


def fit(
    objective: Objective,
    views: Views,
    count: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float = 0.0,
    labels: NDArray[np.int64] | None = None,
    seed: int = 0,
    state: Path | None = None,
    after: Callable[[int, Sequence[float]], None] | None = None,
    quiet: bool = False,
    optimizer_name: str = "adamw",
) -> None:
    """Train an objective.

    Args:
        objective: on the CPU; it is moved to the GPU where there is one.
        views: of the pictures.
        count: of pictures.
        epochs, batch_size, learning_rate, weight_decay: of AdamW with warm-up and cosine.
        labels: codes (N,), for ``supervised``.
        seed: of the order.
        state: file from which an interrupted run goes on, and which is written after every epoch.
        after: called with the number of epochs done (0 before the first) and the mean loss of each.
        quiet: show no bar.
        optimizer_name: ``adamw`` or ``lars``.

    Raises:
        DatasetError: fewer than two pictures.
        ModelError: no such optimizer, or the loss is no longer finite.
    """
    import torch

    if count < 2:
        raise DatasetError(f"{count} pictures cannot be trained on")
    where = tools.device()
    objective.to(where)
    size = min(batch_size, count)
    steps = count // size
    total = max(1, epochs * steps)
    optimizer = _optimizer(optimizer_name, objective.parameters(), learning_rate, weight_decay)
    warm = max(1, total // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda k: min((k + 1) / warm, 0.5 * (1 + math.cos(math.pi * k / total)))
    )
    history: list[float] = []
    if state is not None and state.is_file():
        kept = tools.load_tensors(
            state, where, ("objective", "optimizer", "schedule", "losses"), "; delete it to train from the beginning"
        )
        objective.load(kept["objective"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        history = list(kept["losses"])
    elif after is not None:
        after(0, history)
    begun = len(history)
    with progress_bar(quiet) as progress:
        bar = progress.add_task(objective.method, total=total, completed=begun * steps, unit="steps")
        for epoch in range(begun, epochs):
            objective.module.train()
            objective.extra.train()
            order = np.random.default_rng((seed, epoch)).permutation(count)
            losses = []
            plan = [order[step * size : (step + 1) * size] for step in range(steps)]
            for step, (rows, both) in enumerate(zip(plan, _every(views, plan, epoch), strict=True)):
                one, two = (view.to(where) for view in both)
                mine = None if labels is None else torch.from_numpy(labels[rows]).to(where)
                with torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
                    loss = objective(one, two, mine, epoch)
                if not torch.isfinite(loss):
                    raise ModelError(
                        f"{objective.method}: the loss is {loss.item()} in epoch {epoch + 1}; lower the rate"
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                objective.after_step((epoch * steps + step + 1) / total)
                losses.append(float(loss.detach()))
                progress.update(bar, advance=1, description=f"{objective.method}, loss {losses[-1]:.2f}")
            history.append(float(np.mean(losses)))
            if after is not None:  # before the state is written: what it keeps is there when the run goes on from here
                objective.module.eval()
                after(epoch + 1, history)
            if state is not None:
                kept = {
                    "objective": objective.state(), "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(), "losses": history,
                }  # fmt: skip
                tools.save_tensors(state, kept)
    objective.module.eval()


def _every(views: Views, plan: Sequence[NDArray[np.int64]], epoch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the views of all batches of an epoch; made ahead by other processes where views can do that."""
    if isinstance(views, AugmentedViews):
        yield from views.ahead(plan, epoch)
    else:
        for rows in plan:
            yield views(rows, epoch)


OPTIMIZERS = ("adamw", "lars")


def _optimizer(name: str, parameters: list[Any], rate: float, decay: float) -> Any:
    import torch

    if name == "adamw":
        return torch.optim.AdamW(parameters, rate, weight_decay=decay)
    if name != "lars":
        raise ModelError(f"no optimizer '{name}'.{nearest(name, OPTIMIZERS)}")
    lars = tools.need("lightly.utils.lars", "the optimizer LARS", "ssl")
    # Norms and biases are neither decayed nor scaled by their length.
    thick, thin = ([one for one in parameters if (one.ndim > 1) == wide] for wide in (True, False))
    groups = [{"params": thick}, {"params": thin, "weight_decay": 0.0}]
    return lars.LARS(groups, lr=rate, momentum=0.9, weight_decay=decay)


class AugmentedViews:
    """Two crops of each picture with changed colours, the same for the same seed, epoch and picture.

    Args:
        pixels: uint8 (N, S, S, 3), larger than the crops.
        size: side of the crops in pixels.
        augment: of `AUGMENTATIONS`.
        scale: smallest share of the area that a crop keeps.
        seed: of the draws.
        codes: levels that pair pictures, (N,): the second view is of any picture of the level.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        size: int,
        augment: Sequence[str],
        scale: float,
        seed: int,
        codes: NDArray[np.int64] | None = None,
    ) -> None:
        v2: Any = tools.need("torchvision.transforms.v2", "augmentations")
        for name in augment:
            if name not in AUGMENTATIONS:
                raise ModelError(f"no augmentation '{name}'.{nearest(name, AUGMENTATIONS)}")
        chosen = set(augment)
        self._pixels, self._seed = pixels, seed
        self._codes = codes
        self._mates = None if codes is None else [np.flatnonzero(codes == c) for c in range(int(codes.max()) + 1)]
        plain = [v2.Resize((size, size), antialias=True)]
        cropped = [v2.RandomResizedCrop(size, scale=(scale, 1.0), antialias=True)]
        self._views = []
        for view in (0, 1):
            steps = cropped if "crop" in chosen else plain
            steps = [*steps, *([v2.RandomHorizontalFlip()] if "flip" in chosen else [])]
            if "color" in chosen:
                steps.append(v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.2, 0.1)], 0.8))
            if "gray" in chosen:
                steps.append(v2.RandomGrayscale(0.2))
            if "blur" in chosen and view == 0:  # as in the source: one view is blurred, the other solarized
                steps.append(v2.RandomApply([v2.GaussianBlur(max(3, size // 10 | 1), (0.1, 2.0))], 0.5))
            if "solarize" in chosen and view == 1:
                steps.append(v2.RandomSolarize(128, 0.2))
            self._views.append(v2.Compose(steps))

    def ahead(
        self, plan: Sequence[NDArray[np.int64]], epoch: int, workers: int | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the views of several batches, made by other processes while the network is busy.

        Who makes them changes nothing: the seed of a view is its picture's.

        Args:
            plan: rows of each batch.
            epoch: number of the epoch.
            workers: processes; all cores but one by default, none for few pictures.
        """
        import torch

        count = sum(len(rows) for rows in plan)
        if workers is None:
            workers = 0 if count < _FEW else max(0, min(16, (os.cpu_count() or 1) - 1))
        if not workers:
            for rows in plan:
                yield self(rows, epoch)
            return
        batches: Any = _Batches(self, plan, epoch)
        yield from torch.utils.data.DataLoader(
            batches, batch_size=None, num_workers=workers, multiprocessing_context="fork"
        )

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both views, normalised float32 (N, 3, size, size)."""
        import torch

        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        out = []
        with torch.random.fork_rng(devices=[]):
            for view, transform in enumerate(self._views):
                made = []
                for row in rows.tolist():
                    torch.manual_seed(tools.seed_of(self._seed, epoch, row, view))
                    source = self._mate(row, epoch) if view else row
                    made.append(transform(torch.from_numpy(self._pixels[source]).permute(2, 0, 1)))
                out.append((torch.stack(made).float() / 255 - mean) / std)
        return out[0], out[1]

    def _mate(self, row: int, epoch: int) -> int:
        """Return the picture of the second view."""
        if self._mates is None or self._codes is None:
            return row
        return int(np.random.default_rng((self._seed, epoch, row)).choice(self._mates[self._codes[row]]))


_FEW = 512  # pictures of an epoch for which other processes are not worth their start


class _Batches:
    """The batches of an epoch, as a loader asks for them."""

    def __init__(self, views: AugmentedViews, plan: Sequence[NDArray[np.int64]], epoch: int) -> None:
        self._views, self._plan, self._epoch = views, plan, epoch

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        if step >= len(self._plan):
            raise IndexError(step)
        return self._views(self._plan[step], self._epoch)


def train_encoder(
    dataset: Any,
    out: str | Path,
    training: Training | None = None,
    label: str | None = None,
    rows: NDArray[np.int64] | None = None,
    quiet: bool = False,
) -> Path:
    """Train an encoder on pictures; load it with ``load_model(f"ssl:{folder}")``.

    A run that was interrupted is continued by the same call.

    Args:
        dataset: folder of a dataset or of pictures, or an opened one.
        out: folder of the encoder: ``config.json``, ``model.pt``, ``epoch-….pt``, ``losses.csv``.
        training: how.
        label: column with the classes, for ``supervised``.
        rows: to be trained on; all by default.
        quiet: show no bar.

    Returns:
        The folder.

    Raises:
        DatasetError: no such column, or the folder holds an encoder that was trained otherwise.
        ModelError: no such method, backbone, augmentation or option.
        MissingExtra: lightly, timm or torchvision is not installed.
    """
    tools.need("torch", "training an encoder", "ssl")
    import torch

    training = training or Training()
    pictures = open_images(dataset)
    chosen = np.arange(len(pictures)) if rows is None else np.asarray(rows)
    columns = columns_of(pictures)

    def levels(name: str) -> NDArray[np.int64]:
        if name not in columns:
            raise DatasetError(f"this training needs a column of classes; no '{name}'.{nearest(name, columns)}")
        return np.unique(columns[name][chosen].astype(str), return_inverse=True)[1].astype(np.int64)

    labels = None
    if training.method == "supervised":
        labels = levels(label or ("label" if "label" in columns else "character_name"))
    pairs = levels(training.pairs) if training.pairs else None
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        **training.as_dict(),
        "pictures": len(chosen),
        "rows": hashlib.sha256(chosen.astype(np.int64).tobytes()).hexdigest()[:16],
        "data": manifest_hash(pictures),
    }
    text = (json.dumps(config, indent=1) + "\n").encode()
    if (folder / ENCODER_CONFIG).exists() and json.loads((folder / ENCODER_CONFIG).read_text()) != json.loads(text):
        raise DatasetError(f"{folder} holds an encoder that was trained otherwise; choose another folder")
    write_atomic(folder / ENCODER_CONFIG, text)
    if (folder / "model.pt").exists():
        return folder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        module = build_encoder(config)
        objective = Objective(
            training.method, module, training.head[-1], 0 if labels is None else int(labels.max()) + 1, training.options
        )
    side = round(training.size * 1.25)
    pixels = image_array(pictures, chosen, side, lambda image: image.resize((side, side)), quiet)
    views = AugmentedViews(pixels, training.size, training.augment, training.scale, training.seed, pairs)

    def after(epoch: int, losses: Sequence[float]) -> None:
        if epoch in training.keep:
            _save(folder / f"epoch-{epoch:05d}.pt", module)
        table = ["epoch,loss", *(f"{number},{loss:.6g}" for number, loss in enumerate(losses, 1))]
        write_atomic(folder / "losses.csv", ("\n".join(table) + "\n").encode(), sync=False)

    fit(
        objective, views, len(chosen), training.epochs, training.batch_size, training.learning_rate,
        training.weight_decay, labels, training.seed, folder / "running.pt", after, quiet,
        training.optimizer,
    )  # fmt: skip
    _save(folder / "model.pt", module)
    (folder / "running.pt").unlink(missing_ok=True)
    return folder


def _save(path: Path, module: torch.nn.Module) -> None:
    tools.save_tensors(path, {name: tensor.cpu() for name, tensor in module.state_dict().items()})


def checkpoints(folder: str | Path) -> Iterator[tuple[int, str]]:
    """Yield epochs and model strings of an encoder's kept checkpoints, the first first."""
    for file in sorted(Path(folder).glob("epoch-*.pt")):
        epoch = int(file.stem.removeprefix("epoch-"))
        yield epoch, f"ssl:{folder}@{epoch}"
