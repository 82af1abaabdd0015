"""What models say of a picture: top predictions of a classifier, scores of captions, answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from torchmultiverse.documents import Record
from torchmultiverse.engines import CharacterClass
from torchmultiverse.errors import ModelError, shortened
from torchmultiverse.evaluation import logits_of
from torchmultiverse.explore.truth import RIGHT, WRONG, Judge, Verdict
from torchmultiverse.models import Classifier, FloatArray, ImageEncoder, ImageTextModel, Model, ModelInfo, Scorer

MOST_CAPTIONS = 64
"""That a person writes; of 200 characters each."""


class Said(Record):
    """One thing that a model says of a picture.

    Attributes:
        text: class or caption.
        probability: of it, among all that were asked; for a model without words the cosine with the reference.
        right: whether it is true of the scene; ``None`` where that cannot be said.
        why: why it cannot.
    """

    text: str
    probability: float
    right: bool | None = False
    why: str = ""


class Reading(Record):
    """What a model says of one picture.

    Attributes:
        model: its name.
        kind: which of the four it is.
        top: the likeliest first.
        right: probability of what is true of the scene; ``None`` where nothing that was asked is.
        verdict: whether the likeliest answer of all is true; empty where nothing that was asked is, and the likeliest
            is false.
        margin: probability of the likeliest true one minus that of the likeliest false one; ``None`` where nothing is
            true, or the likeliest answer is not judged.
        milliseconds: that it took.
        error: why there is none.
    """

    model: str
    kind: str
    top: list[Said] = Field(default_factory=list)
    right: float | None = None
    verdict: Literal["right", "wrong", "not judged", ""] = ""
    margin: float | None = None
    milliseconds: float = 0.0
    error: str = ""


class Reader:
    """A model and what it is asked.

    Args:
        model: of any of the four kinds.
        template: how a name becomes a caption.
    """

    def __init__(self, model: Model, template: str = "a photo of a {}") -> None:
        self.model = model
        self._template = template
        self._names: list[str] = []
        self._judge = Judge(())
        self._captions: list[str] = []
        self._texts: FloatArray | None = None
        self._reference: FloatArray | None = None
        self._of: dict[str, Sequence[int]] = {}

    def expect(self, classes: Sequence[CharacterClass]) -> None:
        """Say what a picture may show: the classes of the engine's characters."""
        self._names, self._texts = list(dict.fromkeys(one.display or one.name for one in classes)), None
        self._judge = Judge(classes)
        if not isinstance(self.model, Classifier):
            return
        if self.model.classes is None:
            of: dict[str, list[int]] = {}
            for one in classes:  # a class of animals and one of objects may be called the same
                of.setdefault(one.display or one.name, []).extend(one.imagenet)
            self._of = {name: sorted(set(numbers)) for name, numbers in of.items()}
            return
        self._of = dict(logits_of(self._names, self.model.classes))
        for one in classes:  # a model may have been trained on the names of levels
            for name in (one.name, *one.characters):
                self._of.setdefault(one.display or one.name, logits_of([name], self.model.classes).get(name, ()))

    @property
    def info(self) -> ModelInfo:
        """The model's facts."""
        return self.model.info

    def ask(self, captions: Sequence[str]) -> None:
        """Ask for these captions from now on, each once; none: for the names of what is there."""
        wrong = next((text for text in captions if not text.strip() or len(text) > 200), None)
        if wrong is not None or len(captions) > MOST_CAPTIONS:
            raise ModelError(
                f"captions: at most {MOST_CAPTIONS} of 1 to 200 characters each, not {shortened(wrong, 40)}"
            )
        self._captions, self._texts = merged(captions), None

    def read(self, image: Image.Image, true: Sequence[str], most: int = 5) -> Reading:
        """Return what the model says of a picture.

        Args:
            image: the picture.
            true: names and captions that are true of it.
            most: how many predictions to return.
        """
        probabilities, texts, verdicts = self._probabilities(image, frozenset(true))
        rank = np.array([0 if verdict.right else 1 if verdict.right is False else 2 for verdict in verdicts])
        order = np.lexsort(np.stack([rank, -probabilities]))[:most]  # of equal ones the true one first
        top = [
            Said(text=texts[k], probability=float(probabilities[k]), right=verdicts[k].right, why=verdicts[k].why)
            for k in order
        ]
        is_right = np.array([verdict.right is True for verdict in verdicts], bool)
        is_wrong = np.array([verdict.right is False for verdict in verdicts], bool)
        found = margin = None
        verdict: Literal["right", "wrong", "not judged", ""] = "not judged" if verdicts[order[0]].right is None else ""
        if is_right.any():
            found = float(probabilities[is_right].sum())
            if not verdict:
                margin = float(probabilities[is_right].max() - probabilities[is_wrong].max(initial=0.0))
                verdict = "right" if margin >= 0 else "wrong"
        return Reading(model=self.info.name, kind=self.info.kind, top=top, right=found, verdict=verdict, margin=margin)

    def _probabilities(self, image: Image.Image, true: frozenset[str]) -> tuple[FloatArray, list[str], list[Verdict]]:
        model = self.model
        if isinstance(model, Classifier):
            logits = np.asarray(model.logits([image])[0], np.float64)
            texts = self._class_names(len(logits))
            right = {k for name in true for k in self._of.get(name, ())}
            return _softmax(logits), texts, [RIGHT if k in right else WRONG for k in range(len(logits))]
        if isinstance(model, ImageEncoder) and not isinstance(model, ImageTextModel):
            return self._similarity(model.encode_image([image])[0])
        if self._captions:
            captions = self._captions
            verdicts = [self._judge.of_caption(text, true) for text in captions]
        else:
            captions = [_with_article(self._template.format(name)) for name in self._names]
            verdicts = [self._judge.of_name(name, true) for name in self._names]
        if not captions:
            raise ModelError("the engine does not say what its characters are: write captions to ask for")
        if isinstance(model, ImageTextModel):
            if self._texts is None:
                self._texts = model.encode_text(captions)
            scores = model.encode_image([image])[0] @ self._texts.T * model.logit_scale
        else:
            assert isinstance(model, Scorer)
            scores = model.score([image], captions)[0]
        return _softmax(np.asarray(scores, np.float64)), captions, verdicts

    def _similarity(self, vector: FloatArray) -> tuple[FloatArray, list[str], list[Verdict]]:
        unit = np.asarray(vector, np.float64) / max(float(np.linalg.norm(vector)), 1e-12)
        if self._reference is None:
            self._reference = unit.astype(np.float32)
        return np.array([unit @ self._reference], np.float32), ["cosine with the reference"], [WRONG]

    def pin(self) -> None:
        """Take the next picture as the reference of a model without words."""
        self._reference = None

    def _class_names(self, width: int) -> list[str]:
        assert isinstance(self.model, Classifier)
        classes = self.model.classes
        if classes is not None:
            return list(classes)
        from torchmultiverse.evaluation import imagenet_names

        names = imagenet_names()
        return list(names) if len(names) == width else [f"class {k}" for k in range(width)]


def merged(captions: Iterable[str]) -> list[str]:
    """Return captions without those that were there before: one that is asked twice would halve its own share.

    >>> merged(["a zebra", "a camel", " a  zebra"])
    ['a zebra', 'a camel']
    """
    return list(dict.fromkeys(" ".join(text.split()) for text in captions))


def _with_article(text: str) -> str:
    """Return a sentence whose "a" is an "an" where a vowel follows."""
    return re.sub(r"\b([aA]) (?=[aeiouAEIOU])", r"\1n ", text)


def _softmax(scores: np.ndarray) -> FloatArray:
    scores = np.exp(scores - scores.max())
    return np.asarray(scores / scores.sum(), np.float32)
