"""How a class becomes the sentences that a model reads."""

from __future__ import annotations

from typing import Literal

from torchmultiverse.evaluation.strict import StrictModel
from torchmultiverse.models import need


class Prompts(StrictModel):
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


def sentences(prompts: Prompts, name: str) -> list[str]:
    """Return the sentences that ask for a class.

    >>> sentences(Prompts(name="two", templates=("a photo of a {}", "a {}")), "zebra")
    ['a photo of a zebra', 'a zebra']

    Raises:
        MissingExtra: the ensemble comes with open_clip, which is not installed.
    """
    if prompts.templates == "openai-80":
        return [template(name) for template in need("open_clip", "the ImageNet prompts").OPENAI_IMAGENET_TEMPLATES]
    return [template.format(name) for template in prompts.templates]
