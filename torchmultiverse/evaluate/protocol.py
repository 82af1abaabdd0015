"""Protocols: JSON files in ``benchmarks/`` that say what is asked of a model, in which words, and of which pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from torchmultiverse.errors import SpecError, nearest
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


class SparProtocol(_Strict):
    """Caption retrieval and hard negatives over worlds, animals, positions and textures."""

    kind: Literal["spar"]
    name: str
    version: int
    title: str
    description: str
    source: str = ""
    background: str
    tasks: tuple[SparTask, ...] = Field(min_length=1)


class ClassificationProtocol(_Strict):
    """Top-1 accuracy of a label column, by factor and level.

    Attributes:
        prompt: the caption of a class, for image-text models.
        label_columns: the first of these that a dataset has is the label.
        class_map: file beside this one: class to ImageNet indices.
        label_spaces: ways to read 1000 logits as a class: ``any-of-set`` (the best of all 1000 is one of the class's),
            ``restricted`` (best of the classes' own indices), ``pug2023`` (as published: one class per index, the
            later class of a shared index wins).
    """

    kind: Literal["classification"]
    name: str
    version: int
    title: str
    description: str
    source: str = ""
    prompt: str
    label_columns: tuple[str, ...]
    class_map: str
    label_spaces: tuple[Literal["any-of-set", "restricted", "pug2023"], ...]

    def imagenet_indices(self, of: Literal["classes", "animals"] = "classes") -> dict[str, list[int]]:
        """Return name to indices among the 1000 ImageNet classes, of PUG: ImageNet's classes or of SPAR's animals."""
        text = (data_folder("benchmarks") / Path(self.class_map).name).read_text()
        indices: dict[str, list[int]] = json.loads(text)[of]
        return indices


Protocol = SparProtocol | ClassificationProtocol
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
    """Return the protocol that fits a dataset's columns: SPAR for two characters, classification for one."""
    return load_protocol("spar" if "character2_name" in columns else "classification")
