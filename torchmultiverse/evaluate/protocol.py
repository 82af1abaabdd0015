"""Protocols: JSON files in ``benchmarks/`` that say what is asked of a model, in which words, and of which pictures.

``dataset`` is the name of the dataset that a protocol is meant for (its spec's name); another one is evaluated as well,
and the result says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.models import Preprocess
from torchmultiverse.resources import data_folder

Scope = Literal["plain", "background"]
Candidates = Literal["worlds", "animals", "animal at each side", "unordered pairs", "ordered pairs"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SparTask(_Strict):
    """One question of SPAR.

    Attributes:
        task: its name in results.
        title, question: for people.
        caption: template over ``{w}``, ``{c1}``, ``{c2}``, ``{p1}``, ``{p2}``, ``{t1}``, ``{t2}``. With one animal,
            ``{c1}`` and ``{p1}`` mean that animal and its side, whichever of the two it is.
        animals: pictures with this many animals take part.
        different: only pictures of two different animals take part.
        textures: only unpainted pictures (``default``), only painted ones, or any.
        candidates: what the model chooses between.
        negative: how the one hard negative is made, if the task has any.
        split_by: what divides the pictures into settings that are scored apart.
        scopes: captions without (``plain``) or with (``background``) the world.
    """

    task: str
    title: str
    question: str
    caption: str
    animals: tuple[Literal[0, 1, 2], ...]
    different: bool = False
    textures: Literal["default", "painted"] | None = None
    candidates: Candidates
    negative: Literal["other side", "animals swapped"] | None = None
    split_by: Literal["texture", "textures", "positions"] | None = None
    scopes: tuple[Scope, ...] = ("plain",)


class DeclaredPreprocess(_Strict):
    """A preprocessing that a protocol prescribes for every model, see :class:`~torchmultiverse.models.Preprocess`."""

    size: int
    window: int = 0
    resize: Literal["shortest", "squash", "longest"] = "squash"
    crop: float = 1.0
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def preprocess(self) -> Preprocess:
        """Return it as models use it."""
        return Preprocess(
            (self.size, self.size), self.resize, self.crop, self.interpolation, self.mean, self.std, window=self.window
        )


class _Protocol(_Strict):
    """What every protocol says of itself.

    Attributes:
        name, version, title, description, source: for results and for people.
        dataset: that it belongs to, where it belongs to one.
        preprocess: of every model; by default each has its own.
    """

    name: str
    version: int
    title: str
    description: str
    source: str = ""
    dataset: str | None = None
    preprocess: DeclaredPreprocess | None = None


class SparProtocol(_Protocol):
    """Caption retrieval and hard negatives over worlds, animals, positions and textures.

    Attributes:
        background: what captions of the scope ``background`` end with.
        blank_distractor: the empty place is one of the animals that a single one is told from, as published.
        scene_rows: only so many empty pictures are asked which world they are; by default one of each view.
        half: scores are rounded to half precision, 100 times the vector first, as published; of ties the first wins.
        coin_order: of the two captions of a hard negative, Python's random stream with seed 0 says which comes first,
            as published; so a tie is right or wrong, not half of each.
        top5: also tell how often the truth is among the best five.
    """

    kind: Literal["spar"]
    background: str
    blank_distractor: bool = False
    scene_rows: int | None = None
    half: bool = False
    coin_order: bool = False
    top5: bool = False
    tasks: tuple[SparTask, ...] = Field(min_length=1)


class Prompts(_Strict):
    """How image-text models are asked for classes.

    Attributes:
        name: in results.
        templates: sentences with ``{}`` for the class; or ``openai-80``, the ensemble of CLIP's ImageNet evaluation as
            open_clip has it. Vectors of a class's sentences are normalised, averaged and normalised again.
        classes: ``own``, the dataset's, as people write them; or ``imagenet-1000``, all of ImageNet by open_clip's
            names, answers being read through the class map in the protocol's label spaces.
    """

    name: str
    templates: tuple[str, ...] | Literal["openai-80"]
    classes: Literal["own", "imagenet-1000"] = "own"


class ClassificationProtocol(_Protocol):
    """Top-1 accuracy of a label column, by factor and level.

    Attributes:
        prompts: how image-text models are asked; models that see picture and caption together take the first alone.
        label_columns: the first of these that a dataset has is the label.
        class_map: file beside this one: class to ImageNet indices.
        label_spaces: ways to read 1000 logits as a class: ``any-of-set`` (the best of all 1000 is one of the class's),
            ``restricted`` (best of the classes' own indices), ``pug2023`` (as published: one class per index, the
            later class of a shared index wins).
    """

    kind: Literal["classification"]
    prompts: tuple[Prompts, ...] = Field(min_length=1)
    label_columns: tuple[str, ...]
    class_map: str
    label_spaces: tuple[Literal["any-of-set", "restricted", "pug2023"], ...]

    def imagenet_indices(self, of: Literal["classes", "animals"] = "classes") -> dict[str, list[int]]:
        """Return name to indices among the 1000 ImageNet classes, of PUG: ImageNet's classes or of SPAR's animals."""
        text = (data_folder("benchmarks") / Path(self.class_map).name).read_text()
        indices: dict[str, list[int]] = json.loads(text)[of]
        return indices


class PairsProtocol(_Protocol):
    """True caption or hard negative, picture by picture, and Winoground's scores where both pictures are there.

    Attributes:
        caption, negative: columns of the true and the false caption.
        partner: column with the scene id of the picture of which the false caption is true.
        alternate: column of another true caption, where there is one.
        alike: groups of words that a picture does not tell apart.
        split: only pictures of this split; all where the dataset has no splits.
        by: columns by which results are broken down.
        cluster: columns whose values, in any order, name a cluster.
    """

    kind: Literal["pairs"]
    caption: str
    negative: str
    partner: str
    alternate: str | None = None
    alike: tuple[tuple[str, ...], ...] = ()
    split: str | None = None
    by: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()


class ChoiceTask(_Strict):
    """One question: which of some answers is true of the picture?

    Attributes:
        task, title, question: its name in results, and for people.
        truth: template over columns: ``{character_name}``, ``{character_texture} {character_name}``, …
        candidates: all answers; by default all that are true of some picture of the task.
        names: ``spoken`` writes columns as people do (``GiantTortoise`` → ``giant tortoise``); ``raw`` as they are.
        prompts: how image-text models are asked; one that sees picture and caption together takes the first sentence.
        only: column to the values that take part.
        by: columns by which results are broken down.
        cluster: columns whose values name a cluster.
    """

    task: str
    title: str
    question: str = ""
    truth: str
    candidates: tuple[str, ...] | None = None
    names: Literal["spoken", "raw"] = "spoken"
    prompts: Prompts
    only: dict[str, tuple[str | int | float | bool, ...]] = Field(default_factory=dict)
    by: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()


class ChoiceProtocol(_Protocol):
    """Questions over any columns: a benchmark that is a file.

    Attributes:
        split: only pictures of this split, where the dataset has splits.
        tasks: what is asked.
    """

    kind: Literal["choice"]
    split: str | None = None
    tasks: tuple[ChoiceTask, ...] = Field(min_length=1)


Protocol = SparProtocol | ClassificationProtocol | PairsProtocol | ChoiceProtocol
_ADAPTER: TypeAdapter[Protocol] = TypeAdapter(Annotated[Protocol, Field(discriminator="kind")])


def protocols() -> list[str]:
    """Return the names of the protocols that come with the package."""
    names = []
    for path in sorted(data_folder("benchmarks").glob("*.json")):
        if json.loads(path.read_text()).get("kind"):
            names.append(path.stem)
    return names


def load_protocol(name: str | Path) -> Protocol:
    """Read a protocol by name, or from a JSON file.

    Raises:
        SpecError: no such protocol, or a file that is none.
    """
    path = Path(name)
    if path.suffix != ".json":
        path = data_folder("benchmarks") / f"{name}.json"
        if str(name) not in protocols():
            raise SpecError(f"unknown protocol '{name}'.{nearest(str(name), protocols())}")
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except OSError as error:
        raise SpecError(f"protocol {path}: {error.strerror or error}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise SpecError(f"protocol {path}: {place}: {problem['msg']}") from None


def choose_protocol(columns: list[str] | tuple[str, ...]) -> Protocol:
    """Return the protocol that fits a dataset's columns: SPAR's, AR4T's, or classification."""
    if "Relation" in columns and "negative_caption" in columns:
        return load_protocol("ar4t")
    return load_protocol("spar" if "character2_name" in columns else "classification")
