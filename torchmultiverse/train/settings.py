"""Settings of every kind of training, and the one grammar in which they are written: ``name=value``.

A value is a number, a word, or several of them separated by commas (``keep=0,5,20``); in their place a ``+`` may stand
(``augment=crop+flip``), and between whole numbers a hyphen (``head=256-128``), for where commas separate something
else. ``0..20..5`` counts from 0 to 20 in steps of 5, ``none`` is an empty list or nothing. ``option.NAME=VALUE`` is an
option of a loss. Command-line options, ``--set``, and recipes of a misalignment are all read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from torchmultiverse.errors import DatasetError, ModelError, SettingError, nearest
from torchmultiverse.json_text import read_json

Method = Literal["simclr", "byol", "vicreg", "barlow", "dino", "msn", "pmsn", "supervised", "trex", "trex-ocm"]
Augmentation = Literal[
    "crop", "flip", "color", "gray", "blur", "solarize", "amplitude", "phase", "frequency", "mixture"
]
Optimizer = Literal["adamw", "lars", "sgd"]
RateSchedule = Literal["cosine", "triangle", "constant"]
METHODS: tuple[Method, ...] = get_args(Method)
AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)
IMAGE_AUGMENTATIONS, FOURIER = AUGMENTATIONS[:6], AUGMENTATIONS[6:]
COSINE: tuple[Method, ...] = ("trex", "trex-ocm")
"""Methods whose classes are directions, with multi-crop and a projector of their own."""
SUPERVISED: tuple[Method, ...] = ("supervised", *COSINE)
"""Methods that learn a column of classes."""
OPTIMIZERS: tuple[Optimizer, ...] = get_args(Optimizer)
Captions = Literal["original", "alternate", "both"]


class TrainingSettings(BaseModel):
    """What every kind of training has; a value that cannot be is a `ModelError` that names it and what would be right.

    Attributes:
        seed: of everything that is random.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0, description="Of everything that is random.")

    if not TYPE_CHECKING:  # types see the fields

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise SettingError(_problem(type(self), error)) from None

    def changed(self, **values: Any) -> Self:
        """Return the same settings but for some.

        Raises:
            ModelError: no such setting, or no such value.
        """
        return type(self)(**{**dict(self), **values})

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        plain = self.model_dump(mode="json")
        plain["seed"] = plain.pop("seed")  # last, as records have it
        return plain


_S = TypeVar("_S", bound=TrainingSettings)


class EncoderTraining(TrainingSettings):
    """How an encoder with a projector is trained, self-supervised or supervised.

    Attributes:
        method: one of `METHODS`.
        backbone: model of timm.
        size: side of the input in pixels.
        head: widths of the projector, the last without anything behind it; none for no projector.
        epochs, batch_size: times that each image is seen, and images per step.
        learning_rate: the highest of the optimizer.
        schedule: of the rate: ``cosine`` after a warm-up of a tenth, ``triangle`` (up in a tenth, down to 0 in a line:
            one cycle of a cyclic rate), or ``constant``.
        weight_decay, weight_decay_end: of the optimizer at the first step, and after the last, a cosine between; by
            default it stays the same.
        augment: of `AUGMENTATIONS`; what a method is made invariant to. ``image`` stands for all of pictures,
            ``fourier`` for all of the Fourier domain.
        scale: smallest fraction of the area that a crop of the whole keeps; by default 0.2, with the methods of
            `COSINE` 0.25.
        crops: how many crops of the whole picture there are and how many small ones; by default two and none, with the
            methods of `COSINE` one and eight.
        local_size: side of the small crops in pixels; by default 3/7 of `size`, as 96 is of 224.
        local_scale: smallest and largest fraction of the area that a small crop keeps.
        pairs: column whose levels pair images: the second view is of another image of the level; ``near:MODEL``: of
            one of the nearest by that model's features; "" for two views of one image.
        neighbours: how many of the nearest are taken, for ``near:MODEL``.
        optimizer: ``adamw``, ``sgd`` (momentum 0.9), or ``lars`` (momentum 0.9) for large batches, as in the source.
        backbone_width, backbone_depth: factors on the backbone's channels, and on the blocks of each stage.
        long_tail: column whose levels are seen as often as a power law says; "" for all images.
        long_tail_power: of that law: the k-th level keeps k^-power of its images.
        options: of the loss, such as ``{"temperature": 0.15}`` or ``{"lambda_param": 25}``, by lightly's names.
        keep: epochs after which a checkpoint is kept; 0 is before training.
        ddm: column of domains that are kept in the first numbers of the representation and out of the rest, see
            `torchmultiverse.train.ddm`; "" for no such terms, and then all that begins with ``ddm_`` is nothing.
        ddm_prefix: how many these first numbers are.
        ddm_weight: of the method's own loss beside the two terms.
        ddm_temperature: of similarities of prefixes.
        ddm_critic: widths of the critic's layers.
        ddm_steps, ddm_rate, ddm_penalty: of the critic: steps before each of the encoder's, its highest learning rate,
            and the weight of its gradient penalty.
        qscore: weight of the Q-Scores that lie below their mean, see `torchmultiverse.train.quality`; 0 for no such
            terms, and then all that begins with ``qscore_`` is nothing. The source takes 1e-4 for both weights.
        qscore_norms: weight of the features that lie above the mean; by default that of the scores.
        qscore_epsilon, qscore_band, qscore_of: of the score, as in `torchmultiverse.features.active_features` and
            `torchmultiverse.features.discriminative_features`.
        seed: of everything that is random.
    """

    method: Method = Field(
        default="simclr",
        description="simclr, byol, vicreg, barlow, dino, msn, pmsn, supervised, trex or trex-ocm.",
    )
    backbone: str = Field(default="resnet10t", description="Model of timm.")
    size: int = Field(default=64, ge=8, description="Side of the input in pixels.")
    head: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(256, 256, 128), description="Widths of the projector; none for no projector."
    )
    epochs: int = Field(default=20, ge=0, description="Times that each image is seen.")
    batch_size: int = Field(default=128, ge=2, description="Images per step.")
    learning_rate: float = Field(default=1e-3, ge=0, description="Highest learning rate.")
    schedule: RateSchedule = Field(default="cosine", description="Of the rate: cosine, triangle or constant.")
    weight_decay: float = Field(default=1e-4, ge=0, description="Of the optimizer.")
    weight_decay_end: float | None = Field(
        default=None, ge=0, description="Where a cosine takes the weight decay. Default: it stays as it is."
    )
    augment: tuple[Augmentation, ...] = Field(
        default=IMAGE_AUGMENTATIONS,
        description="What views differ in: of crop, flip, color, gray, blur, solarize (all: image), and in the Fourier "
        "domain of the first view amplitude, phase, frequency, mixture (all: fourier); none for nothing.",
    )
    scale: float | None = Field(
        default=None, gt=0, le=1, description="Smallest fraction of the area of a crop. Default: 0.2, with trex 0.25."
    )
    crops: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(), max_length=2,
        description="Crops of the whole and small ones, as 2+6. Default: 2+0, with trex 1+8.",
    )  # fmt: skip
    local_size: int | None = Field(
        default=None, ge=8, description="Side of small crops in pixels. Default: 3/7 of the size."
    )
    local_scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = Field(
        default=(0.05, 0.25), description="Smallest and largest fraction of the area of a small crop, as 0.05+0.25."
    )
    pairs: str = Field(
        default="",
        description="Column that pairs images: the second view is of another one of its level; near:MODEL for nearest "
        "neighbours.",
    )
    neighbours: int = Field(default=1, ge=1, description="Nearest ones taken, with pairs=near:MODEL.")
    optimizer: Optimizer = Field(default="adamw", description="adamw, sgd, or lars for large batches.")
    backbone_width: float = Field(default=1.0, gt=0, le=16, description="Factor on the backbone's channels.")
    backbone_depth: float = Field(default=1.0, gt=0, le=16, description="Factor on the blocks of each stage.")
    long_tail: str = Field(default="", description="Column whose levels are seen by a power law.")
    long_tail_power: float = Field(default=1.0, ge=0, description="Of that law: level k keeps k^-power.")
    options: dict[str, int | float] = Field(
        default={}, description="Of the loss, as temperature=0.15 or lambda_param=25; may be repeated."
    )
    keep: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        default=(), description="Epochs whose checkpoints are kept, as 0,5,20."
    )
    ddm: str = Field(
        default="", description="Column of domains kept in a prefix of the representation and out of the rest."
    )
    ddm_prefix: int = Field(default=24, ge=1, description="With --ddm: numbers of the prefix.")
    ddm_weight: float = Field(default=0.5, ge=0, description="With --ddm: weight of the method's own loss.")
    ddm_temperature: float = Field(default=0.5, gt=0, description="With --ddm: of similarities of prefixes.")
    ddm_critic: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(256, 256), description="With --ddm: widths of the critic."
    )
    ddm_steps: int = Field(default=5, ge=1, description="With --ddm: steps of the critic for one of the encoder.")
    ddm_rate: float = Field(default=5e-3, ge=0, description="With --ddm: highest learning rate of the critic.")
    ddm_penalty: float = Field(default=10.0, ge=0, description="With --ddm: weight of the critic's gradient penalty.")
    qscore: float = Field(
        default=0.0, ge=0,
        description="Weight of low Q-Scores, made larger in fine-tuning (with --from); the source takes 1e-4. 0: none.",
    )  # fmt: skip
    qscore_norms: float | None = Field(
        default=None, ge=0, description="With --qscore: weight of features active for all, made smaller. Default: same."
    )
    qscore_epsilon: float = Field(
        default=4.0, ge=0, description="With --qscore: standard deviations that an active feature stands out."
    )
    qscore_band: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]] = Field(
        default=(50.0, 95.0), description="With --qscore: band of activity whose features are discriminative."
    )
    qscore_of: Literal["all", "live", "share"] = Field(
        default="all", description="With --qscore: what the band is of: all features, those ever active, or shares."
    )

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain data; what is not used of domains and of the Q-Score is not said."""
        plain = super().as_dict()
        idle = tuple(name for name in ("ddm", "qscore") if not getattr(self, name))
        return {name: value for name, value in plain.items() if not name.startswith(idle)} if idle else plain

    @field_validator("augment", mode="before")
    @classmethod
    def _expanded(cls, value: Any) -> Any:
        groups = {"image": IMAGE_AUGMENTATIONS, "fourier": FOURIER}
        names = [value] if isinstance(value, str) else value
        return tuple(dict.fromkeys(one for name in names for one in groups.get(name, (name,))))

    @field_validator("local_scale", "qscore_band")
    @classmethod
    def _rises(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the smaller one comes first")
        return value

    @property
    def views(self) -> tuple[int, int]:
        """Crops of the whole picture, and small ones; those of the method where none are said.

        Raises:
            ModelError: no crop of the whole, or one view where the method compares views.
        """
        whole, *rest = self.crops or ((1, 8) if self.method in COSINE else (2, 0))
        small = rest[0] if rest else 0
        if not whole or (whole + small < 2 and self.method not in SUPERVISED):
            least = "1" if self.method in SUPERVISED else "2, or 1+4: two views are compared"
            raise SettingError(
                f"'{whole}+{small}' is no value of crops for {self.method}, which needs at least {least}"
            )
        if self.pairs and whole < 2:
            raise SettingError(f"'{whole}+{small}' is no value of crops with pairs={self.pairs}, such as 2: the second "
                             "crop of the whole is of the other image")  # fmt: skip
        return whole, small

    def refuse_idle(self) -> None:
        """Refuse settings of views that would do nothing.

        Raises:
            ModelError: one is not at its default and there are no small crops, or no model that pairs images.
        """
        idle = () if self.views[1] else ("local_size", "local_scale")
        for name in idle:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise SettingError(f"{name} does nothing without small crops, such as crops=2+6")
        if self.neighbours != type(self).model_fields["neighbours"].default and not self.pairs.startswith("near:"):
            raise SettingError("neighbours does nothing without pairs=near:MODEL, such as pairs=near:timm:resnet18")

    @property
    def smallest(self) -> float:
        """The smallest fraction of the area that a crop of the whole keeps."""
        return self.scale if self.scale is not None else 0.25 if self.method in COSINE else 0.2

    @property
    def local_side(self) -> int:
        """Side of the small crops in pixels."""
        return self.local_size or max(8, round(self.size * 3 / 7))

    def written(self) -> dict[str, Any]:
        """Return the settings as plain data, what follows from the method filled in."""
        filled = {"scale": self.smallest, "crops": list(self.views), "local_size": self.local_side}
        return {**self.as_dict(), **filled}


class ClipTraining(TrainingSettings):
    """How a small image-text model is trained from scratch.

    Attributes:
        steps, batch_size: batches, and images of each.
        image_size: side of the model's input in pixels.
        learning_rate: the highest, of a cosine schedule with a warm-up.
        seed: of the first weights, the batches and the changes to images.
    """

    steps: int = Field(default=480, ge=1, description="Batches to train on.")
    batch_size: int = Field(default=32, ge=2, description="Images per step.")
    image_size: int = Field(default=64, ge=32, description="Side of the input in pixels.")
    learning_rate: float = Field(default=1e-3, ge=0, description="Highest learning rate.")


class TokenTraining(TrainingSettings):
    """How a token encoder, and a patch encoder of the same size, are trained from scratch on minimal pairs; research.

    Attributes:
        epochs, batch_size: times that each pair is seen, and pictures per step.
        learning_rate: the highest, of a cosine schedule; the source tries 1e-6, 5e-6, 1e-5 and 5e-5.
        warmup: fraction of steps in which it rises.
        layers, heads, width: of the encoder of pictures.
        size, patch: side of pictures and of patches in pixels, where there are patches.
    """

    epochs: int = Field(default=100, ge=1, description="Times that each pair is seen.")
    batch_size: int = Field(default=256, ge=4, description="Pictures per step.")
    learning_rate: float = Field(default=5e-5, ge=0, description="Highest learning rate.")
    warmup: float = Field(default=0.1, ge=0, le=1, description="Fraction of steps in which the rate rises.")
    layers: int = Field(default=8, ge=1, le=48, description="Of the encoder of pictures.")
    heads: int = Field(default=8, ge=1, le=64, description="Of attention.")
    width: int = Field(default=512, ge=8, le=4096, description="Of tokens.")
    size: int = Field(default=224, ge=16, le=1024, description="Side of pictures in pixels, for patches.")
    patch: int = Field(default=16, ge=2, le=64, description="Side of patches in pixels.")


class FineTuning(TrainingSettings):
    """How a CLIP model is fine-tuned on captioned images.

    Attributes:
        split: only images of this split, where the dataset has splits; ``None`` for all.
        captions: which of an image's captions: ``both`` takes one of them at random each time.
        hard_negatives: an image and its hard negative are in the same batch, so that the loss must tell them apart.
        epochs, batch_size: times that each image is seen, and images per step.
        learning_rate: the highest, of a cosine schedule.
        warmup: fraction of steps in which it rises.
        seed: of order and captions.
    """

    split: str | None = Field(default="train", description="Only images of this split, where there are splits.")
    captions: Captions = Field(default="both", description="original, alternate, or both: one of them at random.")
    hard_negatives: bool = Field(default=True, description="Both images of a pair in one batch.")
    epochs: int = Field(default=10, ge=1, description="Times that each image is seen.")
    batch_size: int = Field(default=256, ge=2, description="Images per step.")
    learning_rate: float = Field(default=1e-5, ge=0, description="Highest learning rate.")
    warmup: float = Field(default=0.1, ge=0, le=1, description="Fraction of steps in which the rate rises.")


class ClassifierTraining(TrainingSettings):
    """How a classifier is trained from scratch. The defaults are those published; `SMALL` is one for a laptop.

    Attributes:
        model: architecture of timm.
        size: side of its input in pixels.
        epochs, batch_size, learning_rate, weight_decay: of AdamW with a cosine schedule. The published text says
            ResNet-50, 100 epochs, AdamW, batches of 2,048; the other two numbers are this project's.
    """

    model: str = Field(default="resnet50", description="Architecture of timm.")
    size: int = Field(default=224, ge=8, description="Side of the input in pixels.")
    epochs: int = Field(default=100, ge=1, description="Times that each image is seen.")
    batch_size: int = Field(default=2048, ge=1, description="Images per step.")
    learning_rate: float = Field(default=1e-3, ge=0, description="Highest learning rate.")
    weight_decay: float = Field(default=0.05, ge=0, description="Of AdamW.")


SMALL = ClassifierTraining(model="resnet10t", size=64, epochs=12, batch_size=64, learning_rate=2e-3)
"""Minutes on two cores for some thousand images."""


class DiffusionTraining(TrainingSettings):
    """How a decoder of representations is trained.

    Attributes:
        steps, batch_size, learning_rate: of AdamW at a constant rate, as in the source.
        ema: decay of the average of the weights that are kept; averaged over fewer steps at first.
        every: steps after which the run is saved.
        seed: of first weights, order, steps and noise.
    """

    steps: int = Field(default=10_000, ge=1, description="Of training.")
    batch_size: int = Field(default=64, ge=1, description="Images per step.")
    learning_rate: float = Field(default=1e-4, ge=0, description="Learning rate.")
    ema: float = Field(default=0.9999, ge=0, lt=1, description="Decay of the average of weights.")
    every: int = Field(default=1000, ge=1, description="Steps after which the run is saved.")


class AutoencoderTraining(TrainingSettings):
    """How a sparse autoencoder of features is trained.

    Attributes:
        width: latents, as a multiple of the features.
        active: latents of one input that are not 0: k.
        steps, batch_size: of training, and inputs per step.
        learning_rate: the highest, of Adam with a cosine schedule.
        dead_after: times that all inputs go by before a latent that was never active counts as dead and is trained
            on what the others leave.
        seed: of first weights and order.
    """

    width: int = Field(default=8, ge=1, description="Latents, as a multiple of the features.")
    active: int = Field(default=32, ge=1, description="Latents of one input that are not 0.")
    steps: int = Field(default=4000, ge=1, description="Of training.")
    batch_size: int = Field(default=256, ge=2, description="Inputs per step.")
    learning_rate: float = Field(default=1e-3, ge=0, description="Highest learning rate.")
    dead_after: float = Field(
        default=1.0, gt=0, description="Epochs without activity after which a latent counts as dead."
    )


def parse_setting(settings: _S, name: str, text: str) -> _S:
    """Return settings with one read from text; the grammar is that of this module.

    Args:
        settings: to be changed.
        name: of a setting, or ``option.NAME`` of the loss.
        text: its value.

    Raises:
        ModelError: no such setting, or no such value.
    """
    name, text = name.strip(), text.strip()
    fields = type(settings).model_fields
    group, dot, option = name.partition(".")
    if dot and group == "option" and option and "options" in fields:
        try:
            value: Any = float(text)
        except ValueError:
            raise SettingError(f"'{text}' is no value of {name}, such as 0.5") from None
        value = int(value) if text.lstrip("+-").isdecimal() else value
        return settings.changed(options={**settings.options, option: value})  # type: ignore[attr-defined]
    if name not in fields or name == "options":
        known = [one for one in fields if one != "options"]
        known += _OPTIONS if "options" in fields else ()
        raise SettingError(f"no setting '{name}'.{nearest(name, known)}")
    try:
        return settings.changed(**{name: _value(fields[name].annotation, text)})
    except ValueError:
        raise SettingError(f"'{text}' is no value of {name}, such as {_example(type(settings), name)}") from None


def parse_settings(settings: _S, texts: Iterable[str]) -> _S:
    """Return settings with some read from texts such as ``epochs=50``; see `parse_setting`.

    Raises:
        ModelError: no such setting, no such value, or no ``=``.
    """
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingError(f"'{text}' is no setting; one is NAME=VALUE, such as epochs=50")
        settings = parse_setting(settings, name, value)
    return settings


def classifier_training(name_or_path: str | Path) -> ClassifierTraining:
    """Return the settings called ``published`` or ``small``, or those of a JSON file.

    Raises:
        DatasetError: no such file, or one that holds none.
    """
    named = {"published": ClassifierTraining(), "small": SMALL}
    if str(name_or_path) in named:
        return named[str(name_or_path)]
    try:
        return ClassifierTraining(**read_json(Path(name_or_path).read_text("utf-8-sig")))
    except FileNotFoundError:
        raise SettingError(
            f"recipe {name_or_path}: no such file; published, small, or a JSON file of {ClassifierTraining.__name__} "
            f"is right.{nearest(str(name_or_path), named)}"
        ) from None
    except (OSError, ValueError, TypeError, ModelError) as error:
        raise DatasetError(f"recipe {name_or_path}: {error}") from None


_OPTIONS = ("option.temperature", "option.lambda_param")
_RANGE = re.compile(r"(\d+)\.\.(\d+)(?:\.\.(\d+))?")


def _value(annotation: Any, text: str) -> Any:
    """Return what a text says for a type; pydantic reads single numbers, words and yes or no.

    Raises:
        ValueError: a number is needed.
    """
    if get_origin(annotation) is not tuple:
        return None if text == "none" and type(None) in get_args(annotation) else text
    kind = get_args(annotation)[0]
    numbers = (get_args(kind)[0] if get_origin(kind) is Annotated else kind) is int
    items: list[Any] = []
    for item in re.split(r"[,+-]" if numbers else r"[,+]", text):
        item = item.strip()
        if item in ("", "none"):
            continue
        if numbers and (found := _RANGE.fullmatch(item)):
            first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
            items += range(first, last + 1, step)  # a step of 0 is a ValueError
        else:
            items.append(int(item) if numbers else item)
    return tuple(items)


def _example(settings: type[TrainingSettings], name: str) -> str:
    """Return the usual value of a setting as it is written."""
    usual = settings.model_fields[name].default
    if usual is None:
        return "24" if int in get_args(settings.model_fields[name].annotation) else "0.25"
    if isinstance(usual, tuple):
        return ",".join(map(str, usual)) or "0,5,20"
    return str(usual) if usual != "" else "character_name"


def _problem(settings: type[TrainingSettings], error: ValidationError) -> str:
    """Return what is wrong with settings, for people."""
    first = error.errors()[0]
    name, given = str(first["loc"][0]), first["input"]
    if first["type"] == "extra_forbidden":
        return f"no setting '{name}'.{nearest(name, settings.model_fields)}"
    if first["type"] == "literal_error":
        known = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        if name == "augment":
            known = ["image", "fourier", *known]  # these stand for several
        return f"no {name} '{given}'.{nearest(str(given), known)}"
    told = first["msg"].removeprefix("Value error, ")  # what a check of ours says, else pydantic's sentence
    told = told[0].lower() + told[1:]
    given = ",".join(map(str, given)) if isinstance(given, tuple | list) else given
    return f"'{given}' is no value of {name}, such as {_example(settings, name)}: {told}"
