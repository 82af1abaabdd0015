"""Trains encoders with a projector: SimCLR, BYOL, VICReg, Barlow Twins, DINO, MSN without masks, supervised, t-ReX.

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
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError, ModelError, SettingError, nearest
from torchmultiverse.features import features_of, image_array, last_of_trunk
from torchmultiverse.files import write_atomic
from torchmultiverse.json_text import read_json
from torchmultiverse.models import ENCODER_CONFIG, build_encoder, load_model
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.store import ImageSet, ImageSubset, columns_of, manifest_hash, open_images, usual_label
from torchmultiverse.train.augment import AugmentedViews, SmallCrops
from torchmultiverse.train.ddm import refuse_idle, terms_of
from torchmultiverse.train.loop import RUNNING, Loop, LoopSettings, Objective, Schedule, checkpoint_of, cosine, triangle
from torchmultiverse.train.loss_terms import LossTerms
from torchmultiverse.train.pairs import NEAR, check_pairs, neighbours_by
from torchmultiverse.train.quality import QScoreTerms, discriminative_of, refuse_idle_scores
from torchmultiverse.train.row_choice import levels_of, trained_rows
from torchmultiverse.train.settings import COSINE, METHODS, SUPERVISED, EncoderTraining
from torchmultiverse.train.starting import Start, start_from, taken_over

if TYPE_CHECKING:
    import torch


class ViewMaker(Protocol):
    """Gives views of each of some images."""

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> tuple[torch.Tensor, ...]:
        """Return tensors (N, …) on the CPU, one for each view, those of the whole image first."""
        ...


class SelfSupervisedLoss:
    """The loss of a method with all that it needs beside the network: a predictor, a teacher, a classifier.

    A method that compares two views takes the mean over all pairs of which one at least is of the whole image.

    Args:
        method: one of `METHODS`.
        module: with ``trunk`` and ``head``.
        width: of the head's output.
        classes: for methods of `SUPERVISED`.
        options: of the loss.
        whole: how many of the views are of the whole image: a teacher sees these alone.

    Raises:
        ModelError: no such method or option, or a supervised one without classes.
        MissingExtra: lightly is not installed.
    """

    def __init__(
        self,
        method: str,
        module: torch.nn.Module,
        width: int,
        classes: int = 0,
        options: Mapping[str, Any] | None = None,
        whole: int = 2,
    ) -> None:
        import torch

        if method not in METHODS:
            raise SettingError(f"no method '{method}'.{nearest(method, METHODS)}")
        self.method, self.module, self.whole, options = method, module, whole, dict(options or {})
        self.momentum = float(options.pop("momentum", _MOMENTUM[method])) if method in _MOMENTUM else 0.0
        prototypes = int(options.pop("prototypes", 256)) if method in _PROTOTYPES else 0
        self.extra: torch.nn.Module = torch.nn.Identity()
        self.teacher: torch.nn.Module | None = None
        if method in SUPERVISED and classes < 2:
            raise ModelError(f"{method} training needs labels of at least two classes")
        if method in COSINE:
            self.extra = _directions(method, width, classes, options)
        self.loss: Any = _loss_of(method, width, options)
        if method == "supervised":
            self.extra = torch.nn.Sequential(
                torch.nn.BatchNorm1d(width), torch.nn.ReLU(), torch.nn.Linear(width, classes)
            )
        if method in _MOMENTUM:
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

    def __call__(self, views: Sequence[torch.Tensor], labels: torch.Tensor | None, epoch: int) -> torch.Tensor:
        """Return the loss of views, scalar; labels are codes (N,)."""
        import torch

        found = embed(self.module, views)
        value: torch.Tensor
        if self.method in SUPERVISED:
            assert labels is not None
            value = self.loss(self.extra(torch.cat(found)), labels.repeat(len(found)))
            if self.method == "trex-ocm":  # after the logits: no picture is among its own neighbours
                self._remember(views, labels)
            return value
        targets = self._targets(views)
        if self.method == "dino":
            value = self.loss(targets, found, epoch=epoch)
            return value
        whole, count = range(self.whole), range(len(found))
        if not targets:
            pairs = [self.loss(found[i], found[j]) for i in whole for j in count if j > i]
            value = pairs[0] if len(pairs) == 1 else torch.stack(pairs).mean()
            return value
        if self.method in _PROTOTYPES:  # each view is told the cluster of the others
            centres: Any = self.extra.weight
            with warnings.catch_warnings(action="ignore"):  # at each step of how the library copies a tensor
                told = [self.loss(found[j], targets[i], centres) for j in count for i in whole if i != j]
            value = torch.stack(told).mean()
            return value
        predicted = self.extra(torch.cat(found)).chunk(len(found))
        # 2 − 2 cos in both directions; the library's loss is −cos.
        apart = [self.loss(predicted[j], targets[i]) for j in count for i in whole if i != j]
        value = 4 + 4 / len(apart) * sum(apart)
        return value

    def _targets(self, views: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return what the teacher makes of the views of whole images; nothing where there is none."""
        import torch

        if self.teacher is None:
            return []
        with torch.no_grad():
            return embed(self.teacher, views[: self.whole])

    def _remember(self, views: Sequence[torch.Tensor], labels: torch.Tensor) -> None:
        """Put what the teacher makes of whole images into the memory."""
        import torch

        memory: Any = self.extra
        memory.remember(torch.cat(self._targets(views)), labels.repeat(self.whole))

    def missing(self) -> list[int]:
        """Return the classes that a memory which has been filled lacks; their logit is 0."""
        memory: Any = self.extra
        found: list[int] = memory.absent() if self.method == "trex-ocm" and memory.full else []
        return found

    def follow(self, done: float) -> None:
        """Let the teacher follow: an average whose momentum grows to 1 as training goes from 0 to 1.

        That of a memory keeps its momentum, which is smaller in the first steps: a short training would else remember
        the untrained network.
        """
        import torch

        if self.teacher is None:
            return
        momentum = 1 - (1 - self.momentum) * (math.cos(math.pi * done) + 1) / 2
        if self.method == "trex-ocm":
            times = int(self.extra.times)  # type: ignore[arg-type]
            momentum = min(self.momentum, (1 + times) / (10 + times))
        with torch.no_grad():
            for mine, theirs in zip(self.teacher.parameters(), self.module.parameters(), strict=True):
                mine.lerp_(theirs, 1 - momentum)
            for held, new in zip(self.teacher.buffers(), self.module.buffers(), strict=True):
                held.copy_(new)


_PROTOTYPES = ("msn", "pmsn")
"""Methods that give views to clusters: ``msn`` to equally large ones, ``pmsn`` to ones that follow a power law."""
_SCHEDULES: Mapping[str, Schedule | None] = {"cosine": cosine(), "triangle": triangle(), "constant": None}
_MOMENTUM = {"byol": 0.996, "dino": 0.996, "msn": 0.996, "pmsn": 0.996, "trex-ocm": 0.999}
"""Of the teachers."""


def embed(module: Any, views: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return what the head makes of views, (N, D) each; views of one size that follow each other pass at once."""
    import torch

    found: list[torch.Tensor] = []
    start = 0
    for place in range(1, len(views) + 1):
        if place == len(views) or views[place].shape[1:] != views[start].shape[1:]:
            made = module.head(module.trunk(torch.cat(list(views[start:place]))))
            found += made.split([len(view) for view in views[start:place]])
            start = place
    return found


def _directions(method: str, width: int, classes: int, options: dict[str, Any]) -> torch.nn.Module:
    """Return the directions of classes, and take their options out.

    Raises:
        ModelError: an option that they do not have.
    """
    from torchmultiverse.train.trex import MEMORY, TEMPERATURE, ClassMemory, ClassWeights

    temperature = float(options.pop("temperature", TEMPERATURE))
    if temperature <= 0:
        raise SettingError(f"'{temperature:g}' is no value of option.temperature, such as {TEMPERATURE}: it divides")
    if method == "trex":
        return ClassWeights(width, classes, temperature)
    return ClassMemory(width, classes, int(options.pop("memory", MEMORY)), temperature)


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
    if method in COSINE and options:
        offered = ("temperature", "memory", "momentum") if method == "trex-ocm" else ("temperature",)
        raise SettingError(f"{method}: no option '{min(options)}'.{nearest(min(options), offered)}")
    if method not in SUPERVISED:
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
    """A loss on views of each image, in an order that the seed and the epoch decide.

    Args:
        loss: on the CPU.
        views: of the images.
        count: of images.
        training: batch size, epochs and seed.
        labels: codes (N,), for methods of `SUPERVISED`.
        names: of the classes, for warnings.
        terms: beside the loss.
    """

    def __init__(
        self,
        loss: SelfSupervisedLoss,
        views: ViewMaker,
        count: int,
        training: EncoderTraining,
        labels: NDArray[np.int64] | None = None,
        names: Sequence[str] = (),
        terms: Sequence[LossTerms] = (),
    ) -> None:
        self.name, self._terms = loss.method, terms
        self._names, self._warned = names, False
        self._loss, self._views, self._count, self._seed, self._labels = loss, views, count, training.seed, labels
        self._size = min(training.batch_size, count)
        self.steps = count // self._size
        self._total = max(1, training.epochs * self.steps)

    @override
    def modules(self) -> dict[str, torch.nn.Module]:
        return self._loss.modules() | {name: part for one in self._terms for name, part in one.modules().items()}

    @override
    def state(self) -> dict[str, Any]:
        return {name: value for one in self._terms for name, value in one.state().items()}

    @override
    def load_state(self, state: Mapping[str, Any]) -> None:
        for one in self._terms:
            one.load_state(state)

    @override
    def batches(self, epoch: int) -> Iterator[Any]:
        import torch

        order = np.random.default_rng((self._seed, epoch)).permutation(self._count)
        plan = [order[step * self._size : (step + 1) * self._size] for step in range(self.steps)]
        views = self._views
        made = views.prefetched(plan, epoch) if isinstance(views, AugmentedViews) else (views(r, epoch) for r in plan)
        for rows, crops in zip(plan, made, strict=True):
            labels = None if self._labels is None else torch.from_numpy(self._labels[rows])
            yield crops, labels, epoch, torch.from_numpy(rows)
        self._warn()

    def _warn(self) -> None:
        """Say once which classes a memory lacks."""
        if self._warned or not (missing := self._loss.missing()):
            return
        self._warned = True
        named = ", ".join(str(self._names[k]) if self._names else str(k) for k in missing[:5])
        rest = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        warnings.warn(
            f"{self.name}: the memory holds nothing of {named}{rest}: the logit of such a class is 0 whatever the "
            "picture; make it larger by option.memory",
            stacklevel=2,
        )

    @override
    def loss(self, batch: Any) -> torch.Tensor:
        views, labels, epoch, rows = batch
        views = [view.to(self.device) for view in views]
        value = self._loss(views, None if labels is None else labels.to(self.device), epoch)
        for one in self._terms:
            value = one(value, rows)
        return value

    @override
    def after_step(self, step: int) -> None:
        self._loss.follow(step / self._total)
        for one in self._terms:
            one.follow(step / self._total)

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
    views: ViewMaker,
    count: int,
    training: EncoderTraining,
    *,
    labels: NDArray[np.int64] | None = None,
    names: Sequence[str] = (),
    terms: Sequence[LossTerms] = (),
    checkpoint: Path | None = None,
    after: Callable[[int, Sequence[float]], None] | None = None,
    quiet: bool = False,
) -> Loop:
    """Train a network by a loss on views; returns the loop that did it.

    Args:
        loss: on the CPU; its network is moved to the GPU where there is one.
        views: of the images.
        count: of images.
        training: epochs, batch size, rates, optimizer and seed.
        labels: codes (N,), for methods of `SUPERVISED`.
        names: of the classes, for warnings.
        terms: beside the loss, of the same network.
        checkpoint: file from which an interrupted run goes on, and which is written after every epoch.
        after: called with the number of epochs done (0 before the first) and the mean loss of each.
        quiet: show no bar.

    Raises:
        DatasetError: fewer than two images.
        ModelError: the loss is no longer finite.
    """
    if count < 2:
        raise DatasetError(f"{count} images cannot be trained on")
    objective = EncoderObjective(loss, views, count, training, labels, names, terms)
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
    unseen: Sequence[str] | int = (),
    start: str | Path | None = None,
) -> Path:
    """Train an encoder on images; load it with ``load_model(f"ssl:{folder}")``.

    A run that was interrupted is continued by the same call.

    Args:
        dataset: folder of a dataset or of images, or an opened one.
        out: folder of the encoder: ``config.json``, ``model.pt``, ``epoch-….pt``, ``losses.csv``.
        training: how.
        label: column with the classes, for methods of `SUPERVISED` and for ``unseen``; by default ``label`` or
            ``character_name``.
        rows: to be trained on; all by default.
        quiet: show no bar.
        unseen: classes that training does not see, or how many, drawn from the seed: what is then read of them says
            how far the encoder carries. They are written into ``config.json``.
        start: folder of an encoder, or ``FOLDER@EPOCH``, whose trunk and head are the first weights: fine-tuning. With
            no head in the settings its trunk alone. Backbone, head and size at their defaults are those of the encoder.
            Its name and the hash of its weights are in ``config.json``.

    Returns:
        The folder.

    Raises:
        DatasetError: no such column, or the folder holds an encoder that was trained otherwise.
        ModelError: no such backbone, model that pairs images, or option of the loss; or a start that does not fit.
        MissingExtra: lightly, timm or torchvision is not installed.
    """
    torch = tools.need("torch", "training an encoder", "ssl")

    training = _settled(training or EncoderTraining(), start)
    images = open_images(dataset)
    chosen = np.arange(len(images)) if rows is None else np.asarray(rows)
    columns = columns_of(images)
    named = label or usual_label(columns) or "label"
    chosen, left_out = trained_rows(columns, chosen, training, named, unseen)
    names, labels = levels_of(columns, named, chosen) if training.method in SUPERVISED else ((), None)
    domains = levels_of(columns, training.ddm, chosen, "ddm")[1] if training.ddm else None
    folder = Path(out)
    first = None if start is None else start_from(start, training)
    config = _config(training, images, chosen, named, left_out, first)
    done = (folder / "model.pt").exists()
    check_pairs(training.pairs, done)  # before the folder is claimed
    scored = None if done or not training.qscore else _scored(start, images, chosen, training, quiet)
    _claim(folder, config, training)
    if done:
        return folder
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        module = build_encoder(config)
        if first is not None:
            first.fill(module)
        loss = _loss(module, training, len(names), len(chosen))
        terms: list[LossTerms] = [] if domains is None else [terms_of(module, domains, training)]
        terms += [] if scored is None else [QScoreTerms(module, scored, training)]
    views = _views(images, chosen, training, columns, quiet)

    def after(epoch: int, losses: Sequence[float]) -> None:
        if epoch in training.keep:
            _save(folder / f"epoch-{epoch:05d}.pt", module)
        _write_tables(folder, losses, terms)

    loop = fit(
        loss, views, len(chosen), training, labels=labels, names=names, terms=terms, checkpoint=folder / RUNNING,
        after=after, quiet=quiet,
    )  # fmt: skip
    _save(folder / "model.pt", module)
    loop.finish()
    return folder


def _settled(training: EncoderTraining, start: str | Path | None) -> EncoderTraining:
    """Return settings with what follows from the start; refuse those that would do nothing, or cannot be."""
    training = training if start is None else taken_over(start, training)
    training.refuse_idle()
    refuse_idle(training)
    refuse_idle_scores(training, start is not None)
    if never := [epoch for epoch in training.keep if epoch > training.epochs]:
        raise SettingError(f"keep: epoch {never[0]} is never reached; the training has {training.epochs} (--epochs)")
    return training


def _write_tables(folder: Path, losses: Sequence[float], terms: Sequence[LossTerms]) -> None:
    """Write what the loss was, and what its terms were, epoch by epoch."""
    table = ["epoch,loss", *(f"{number},{loss:.6g}" for number, loss in enumerate(losses, 1))]
    write_atomic(folder / "losses.csv", ("\n".join(table) + "\n").encode(), sync=False)
    for one in terms:
        write_atomic(folder / one.table, one.end_epoch().encode(), sync=False)


def _scored(
    start: str | Path | None, images: ImageSet, rows: NDArray[np.int64], training: EncoderTraining, quiet: bool
) -> NDArray[np.bool_]:
    """Return which features of the encoder that is fine-tuned are discriminative on these images."""
    encoder = load_model(f"ssl:{str(start).removeprefix('ssl:')}")
    layer = last_of_trunk(encoder)
    vectors = features_of(encoder, ImageSubset(images, rows), [layer], quiet=quiet).layers[layer]
    return discriminative_of(vectors, training)


def _config(
    training: EncoderTraining,
    images: ImageSet,
    rows: NDArray[np.int64],
    label: str,
    unseen: Sequence[str],
    start: Start | None,
) -> dict[str, Any]:
    """Return what an encoder's folder says of its training."""
    config = {
        **training.written(),
        "pictures": len(rows),
        "rows": hashlib.sha256(rows.astype(np.int64).tobytes()).hexdigest()[:16],
        "data": manifest_hash(images),
    }
    if training.method in SUPERVISED or unseen:
        config["label"] = label
    if start is not None:
        config["from"] = start.written()
    return {**config, "unseen": list(unseen)} if unseen else config


def _loss(module: Any, training: EncoderTraining, classes: int, count: int) -> SelfSupervisedLoss:
    """Return the loss of a training on so many images."""
    whole, _ = training.views
    options = dict(training.options)
    if training.method == "trex-ocm":  # more than all pictures would be copies of some
        options["memory"] = min(int(options.get("memory", 8192)), count * whole)
    behind = int(module.trunk.num_features) - (training.ddm_prefix if training.ddm else 0)
    width = training.head[-1] if training.head else behind
    return SelfSupervisedLoss(training.method, module, width, classes, options, whole)


def _views(
    images: ImageSet,
    rows: NDArray[np.int64],
    training: EncoderTraining,
    columns: Mapping[str, NDArray[Any]],
    quiet: bool,
) -> AugmentedViews:
    """Return the views of some images that settings ask for."""
    side = round(training.size * 1.25)
    pixels = image_array(images, rows, side, lambda image: image.resize((side, side)), quiet)
    near = training.pairs.startswith(NEAR)
    pairs = levels_of(columns, training.pairs, rows, "pairs")[1] if training.pairs and not near else None
    partners = neighbours_by(training.pairs, images, rows, training.neighbours, quiet) if near else None
    whole, count = training.views
    small = SmallCrops(count, training.local_side, training.local_scale) if count else None
    return AugmentedViews(
        pixels, training.size, training.augment, training.smallest, training.seed, pairs, partners, small, whole
    )


def _claim(folder: Path, config: Mapping[str, Any], training: EncoderTraining) -> None:
    """Write what a folder is for.

    Raises:
        DatasetError: it is for something else already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = (json.dumps(config, indent=1) + "\n").encode()
    if (folder / ENCODER_CONFIG).exists():
        held = read_json((folder / ENCODER_CONFIG).read_text("utf-8"))
        # A setting that an older version did not have had its usual value.
        later = {name: field.default for name, field in EncoderTraining.model_fields.items() if name not in held}
        usual = json.loads(json.dumps(training.changed(**later).written()))
        filled = {name: usual[name] for name in later if name in usual}
        filled |= {"label": config["label"]} if "label" in config else {}
        if {**filled, **held} != json.loads(text):
            raise DatasetError(f"{folder} holds an encoder that was trained otherwise; choose another folder")
    write_atomic(folder / ENCODER_CONFIG, text)


def _save(path: Path, module: torch.nn.Module) -> None:
    tools.save_tensors(path, {name: tensor.cpu() for name, tensor in module.state_dict().items()})


def checkpoints(folder: str | Path) -> Iterator[tuple[int, str]]:
    """Yield epochs and model strings of an encoder's kept checkpoints, the first first."""
    for file in sorted(Path(folder).glob("epoch-*.pt")):
        epoch = int(file.stem.removeprefix("epoch-"))
        yield epoch, f"ssl:{folder}@{epoch}"
