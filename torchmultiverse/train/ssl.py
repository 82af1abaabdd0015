"""Trains encoders with a projector: SimCLR, BYOL, VICReg, Barlow Twins, DINO, MSN without masks, and supervised.

Losses are those of the library ``lightly``. Everything that is random comes from a seed: first weights, order, and the
crops and colours of each image in each epoch, so that a run that was interrupted and continued is the run that was
not.

Settings are those of C. Meehan et al., *Do SSL models have déjà vu?*, NeurIPS 2023, appendix A, at a size that two
cores can train.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError, ModelError, nearest
from torchmultiverse.features import image_array
from torchmultiverse.files import write_atomic
from torchmultiverse.json_text import read_json
from torchmultiverse.models import ENCODER_CONFIG, build_encoder
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.store import ImageSet, columns_of, manifest_hash, open_images
from torchmultiverse.train.augment import AugmentedViews
from torchmultiverse.train.ddm import DomainTerms, refuse_idle, terms_of
from torchmultiverse.train.long_tail import long_tail_rows
from torchmultiverse.train.loop import RUNNING, Loop, LoopSettings, Objective, Schedule, checkpoint_of, cosine, triangle
from torchmultiverse.train.pairs import NEAR, neighbours_by
from torchmultiverse.train.settings import METHODS, EncoderTraining

if TYPE_CHECKING:
    import torch


class TwoViews(Protocol):
    """Gives two views of each of some images."""

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return two tensors (N, …) on the CPU."""
        ...


class SelfSupervisedLoss:
    """The loss of a method with all that it needs beside the network: a predictor, a teacher, a classifier.

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
        taught = method in ("byol", "dino", *_PROTOTYPES)
        self.momentum = float(options.pop("momentum", 0.996)) if taught else 0.0
        prototypes = int(options.pop("prototypes", 256)) if method in _PROTOTYPES else 0
        self.extra: torch.nn.Module = torch.nn.Identity()
        self.teacher: torch.nn.Module | None = None
        self.loss: Any = _loss_of(method, width, options)
        if method == "supervised":
            if classes < 2:
                raise ModelError("supervised training needs labels of at least two classes")
            self.extra = torch.nn.Sequential(
                torch.nn.BatchNorm1d(width), torch.nn.ReLU(), torch.nn.Linear(width, classes)
            )
        if taught:
            self.teacher = copy.deepcopy(module)
            for parameter in self.teacher.parameters():
                parameter.requires_grad_(False)
        if prototypes:
            self.extra = torch.nn.Linear(width, prototypes, bias=False)  # its rows are the centres of clusters
        if method == "byol":
            self.extra = torch.nn.Sequential(
                torch.nn.Linear(width, 2 * width), torch.nn.BatchNorm1d(2 * width), torch.nn.ReLU(),
                torch.nn.Linear(2 * width, width),
            )  # fmt: skip

    def modules(self) -> dict[str, torch.nn.Module]:
        """Return the network and all that hangs on it, by name."""
        parts = {"module": self.module, "extra": self.extra, "teacher": self.teacher, "loss": self.loss}
        return {name: part for name, part in parts.items() if part is not None}

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
        if self.method in _PROTOTYPES:  # each view is told the cluster of the other
            centres: Any = self.extra.weight
            value = (self.loss(first, targets[1], centres) + self.loss(second, targets[0], centres)) / 2
            return value
        predicted = self.extra(torch.cat([first, second])).chunk(2)
        # 2 − 2 cos in both directions; the library's loss is −cos.
        value = 4 + 2 * (self.loss(predicted[0], targets[1]) + self.loss(predicted[1], targets[0]))
        return value

    def follow(self, done: float) -> None:
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


_PROTOTYPES = ("msn", "pmsn")
"""Methods that give views to clusters: ``msn`` to equally large ones, ``pmsn`` to ones that follow a power law."""
_SCHEDULES: Mapping[str, Schedule | None] = {"cosine": cosine(), "triangle": triangle(), "constant": None}


def _loss_of(method: str, width: int, options: dict[str, Any]) -> Any:
    """Return the loss function of a method, a module.

    Raises:
        ModelError: an option that it does not have.
    """
    import torch

    defaults: dict[str, dict[str, Any]] = {
        "simclr": {"temperature": 0.15}, "barlow": {"lambda_param": 0.0051}, "dino": {"output_dim": width},
    }  # fmt: skip
    made: Callable[..., Any] = torch.nn.CrossEntropyLoss
    if method != "supervised":
        losses = tools.need("lightly.loss", "self-supervised training", "ssl")
        made = {
            "simclr": losses.NTXentLoss, "vicreg": losses.VICRegLoss, "barlow": losses.BarlowTwinsLoss,
            "byol": losses.NegativeCosineSimilarity, "dino": losses.DINOLoss, "msn": losses.MSNLoss,
            "pmsn": losses.PMSNLoss,
        }[method]  # fmt: skip
    try:
        return made(**{**defaults.get(method, {}), **options})
    except TypeError as error:
        raise ModelError(f"{method}: {error}") from None


class EncoderObjective(Objective):
    """A loss on two views of each image, in an order that the seed and the epoch decide.

    Args:
        loss: on the CPU.
        views: of the images.
        count: of images.
        training: batch size, epochs and seed.
        labels: codes (N,), for ``supervised``.
        domains: terms beside the loss.
    """

    def __init__(
        self,
        loss: SelfSupervisedLoss,
        views: TwoViews,
        count: int,
        training: EncoderTraining,
        labels: NDArray[np.int64] | None = None,
        domains: DomainTerms | None = None,
    ) -> None:
        self.name, self._domains = loss.method, domains
        self._loss, self._views, self._count, self._seed, self._labels = loss, views, count, training.seed, labels
        self._size = min(training.batch_size, count)
        self.steps = count // self._size
        self._total = max(1, training.epochs * self.steps)

    @override
    def modules(self) -> dict[str, torch.nn.Module]:
        return self._loss.modules() | ({"critic": self._domains.critic} if self._domains else {})

    @override
    def state(self) -> dict[str, Any]:
        return self._domains.state() if self._domains else {}

    @override
    def load_state(self, state: Mapping[str, Any]) -> None:
        if self._domains:
            self._domains.load_state(state)

    @override
    def batches(self, epoch: int) -> Iterator[Any]:
        import torch

        order = np.random.default_rng((self._seed, epoch)).permutation(self._count)
        plan = [order[step * self._size : (step + 1) * self._size] for step in range(self.steps)]
        views = self._views
        made = views.prefetched(plan, epoch) if isinstance(views, AugmentedViews) else (views(r, epoch) for r in plan)
        for rows, (one, two) in zip(plan, made, strict=True):
            labels = None if self._labels is None else torch.from_numpy(self._labels[rows])
            yield one, two, labels, epoch, torch.from_numpy(rows)

    @override
    def loss(self, batch: Any) -> torch.Tensor:
        one, two, labels, epoch, rows = batch
        one, two = one.to(self.device), two.to(self.device)
        value = self._loss(one, two, None if labels is None else labels.to(self.device), epoch)
        return self._domains(value, rows) if self._domains else value

    @override
    def after_step(self, step: int) -> None:
        self._loss.follow(step / self._total)
        if self._domains:
            self._domains.follow(step / self._total)

    @override
    def upgraded(self, checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
        if not {"objective", "optimizer", "schedule", "losses"} <= checkpoint.keys():
            return None
        epoch = len(checkpoint["losses"])
        return checkpoint_of(
            modules=checkpoint["objective"], optimizer=checkpoint["optimizer"], schedule=checkpoint["schedule"],
            epoch=epoch, step=epoch * self.steps, losses=checkpoint["losses"],
        )  # fmt: skip


def fit(
    loss: SelfSupervisedLoss,
    views: TwoViews,
    count: int,
    training: EncoderTraining,
    *,
    labels: NDArray[np.int64] | None = None,
    domains: DomainTerms | None = None,
    checkpoint: Path | None = None,
    after: Callable[[int, Sequence[float]], None] | None = None,
    quiet: bool = False,
) -> Loop:
    """Train a network by a loss on two views; returns the loop that did it.

    Args:
        loss: on the CPU; its network is moved to the GPU where there is one.
        views: of the images.
        count: of images.
        training: epochs, batch size, rates, optimizer and seed.
        labels: codes (N,), for ``supervised``.
        domains: terms beside the loss, of the same network.
        checkpoint: file from which an interrupted run goes on, and which is written after every epoch.
        after: called with the number of epochs done (0 before the first) and the mean loss of each.
        quiet: show no bar.

    Raises:
        DatasetError: fewer than two images.
        ModelError: the loss is no longer finite.
    """
    if count < 2:
        raise DatasetError(f"{count} images cannot be trained on")
    objective = EncoderObjective(loss, views, count, training, labels, domains)
    settings = LoopSettings(
        epochs=training.epochs, steps=training.epochs * objective.steps, learning_rate=training.learning_rate,
        weight_decay=training.weight_decay, weight_decay_end=training.weight_decay_end, optimizer=training.optimizer,
        schedule=_SCHEDULES[training.schedule], seed=training.seed,
    )  # fmt: skip
    return Loop(
        objective,
        settings,
        checkpoint=checkpoint,
        after=None if after is None else lambda loop: after(loop.epoch, loop.losses),
        quiet=quiet,
    ).run()


def train_encoder(
    dataset: Any,
    out: str | Path,
    training: EncoderTraining | None = None,
    label: str | None = None,
    rows: NDArray[np.int64] | None = None,
    quiet: bool = False,
) -> Path:
    """Train an encoder on images; load it with ``load_model(f"ssl:{folder}")``.

    A run that was interrupted is continued by the same call.

    Args:
        dataset: folder of a dataset or of images, or an opened one.
        out: folder of the encoder: ``config.json``, ``model.pt``, ``epoch-….pt``, ``losses.csv``.
        training: how.
        label: column with the classes, for ``supervised``.
        rows: to be trained on; all by default.
        quiet: show no bar.

    Returns:
        The folder.

    Raises:
        DatasetError: no such column, or the folder holds an encoder that was trained otherwise.
        ModelError: no such backbone, model that pairs images, or option of the loss.
        MissingExtra: lightly, timm or torchvision is not installed.
    """
    torch = tools.need("torch", "training an encoder", "ssl")

    training = training or EncoderTraining()
    refuse_idle(training)
    images = open_images(dataset)
    chosen = np.arange(len(images)) if rows is None else np.asarray(rows)
    columns = columns_of(images)
    if training.long_tail:
        rng = np.random.default_rng((training.seed, 1))
        chosen = chosen[long_tail_rows(_codes(columns, training.long_tail, chosen), training.long_tail_power, rng)]
    labels = None
    if training.method == "supervised":
        labels = _codes(columns, label or ("label" if "label" in columns else "character_name"), chosen)
    domains = _codes(columns, training.ddm, chosen) if training.ddm else None
    near = training.pairs.startswith(NEAR)
    pairs = _codes(columns, training.pairs, chosen) if training.pairs and not near else None
    folder = Path(out)
    config = _config(training, images, chosen)
    _claim(folder, config)
    if (folder / "model.pt").exists():
        return folder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        module = build_encoder(config)
        classes = 0 if labels is None else int(labels.max()) + 1
        loss = SelfSupervisedLoss(training.method, module, training.head[-1], classes, training.options)
        terms = None if domains is None else terms_of(module, domains, training)
    side = round(training.size * 1.25)
    pixels = image_array(images, chosen, side, lambda image: image.resize((side, side)), quiet)
    partners = neighbours_by(training.pairs, images, chosen, training.neighbours, quiet) if near else None
    views = AugmentedViews(pixels, training.size, training.augment, training.scale, training.seed, pairs, partners)

    def after(epoch: int, losses: Sequence[float]) -> None:
        if epoch in training.keep:
            _save(folder / f"epoch-{epoch:05d}.pt", module)
        table = ["epoch,loss", *(f"{number},{loss:.6g}" for number, loss in enumerate(losses, 1))]
        write_atomic(folder / "losses.csv", ("\n".join(table) + "\n").encode(), sync=False)
        if terms is not None:
            write_atomic(folder / "domains.csv", terms.end_epoch().encode(), sync=False)

    loop = fit(
        loss, views, len(chosen), training, labels=labels, domains=terms, checkpoint=folder / RUNNING, after=after,
        quiet=quiet,
    )  # fmt: skip
    _save(folder / "model.pt", module)
    loop.finish()
    return folder


def _config(training: EncoderTraining, images: ImageSet, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Return what an encoder's folder says of it: how it is trained, and on what."""
    return {
        **training.as_dict(),
        "pictures": len(rows),
        "rows": hashlib.sha256(rows.astype(np.int64).tobytes()).hexdigest()[:16],
        "data": manifest_hash(images),
    }


def _codes(columns: Mapping[str, NDArray[Any]], name: str, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the levels of a column as codes, (N,)."""
    if name not in columns:
        raise DatasetError(f"this training needs a column of classes; no '{name}'.{nearest(name, columns)}")
    return np.unique(columns[name][rows].astype(str), return_inverse=True)[1].astype(np.int64)


def _claim(folder: Path, config: Mapping[str, Any]) -> None:
    """Write what a folder is for.

    Raises:
        DatasetError: it is for something else already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = (json.dumps(config, indent=1) + "\n").encode()
    held = folder / ENCODER_CONFIG
    # A setting that an older version did not have had its usual value.
    if held.exists() and {**EncoderTraining().as_dict(), **read_json(held.read_text("utf-8"))} != json.loads(text):
        raise DatasetError(f"{folder} holds an encoder that was trained otherwise; choose another folder")
    write_atomic(folder / ENCODER_CONFIG, text)


def _save(path: Path, module: torch.nn.Module) -> None:
    tools.save_tensors(path, {name: tensor.cpu() for name, tensor in module.state_dict().items()})


def checkpoints(folder: str | Path) -> Iterator[tuple[int, str]]:
    """Yield epochs and model strings of an encoder's kept checkpoints, the first first."""
    for file in sorted(Path(folder).glob("epoch-*.pt")):
        epoch = int(file.stem.removeprefix("epoch-"))
        yield epoch, f"ssl:{folder}@{epoch}"
