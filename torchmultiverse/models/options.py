"""Options behind a model string: ``timm:resnet50?resize=squash&precision=bfloat16``."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any
from urllib.parse import parse_qsl

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.models.contract import HasLikelihood, HasMutableInfo
from torchmultiverse.models.preprocess import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, Preprocess

_NORMS = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "clip": (CLIP_MEAN, CLIP_STD),
    "half": ((0.5,) * 3, (0.5,) * 3),
    "none": ((0.0,) * 3, (1.0,) * 3),
}
_CHOICES = {
    "resize": ("shortest", "squash", "longest"),
    "interpolation": ("nearest", "bilinear", "bicubic", "lanczos"),
    "norm": tuple(_NORMS),
    "precision": ("float32", "bfloat16"),
    "likelihood": ("token", "sum", "gain"),
}
OPTIONS = (
    "name=TEXT", "size=224", "crop=0.875", *(f"{key}={'|'.join(values)}" for key, values in _CHOICES.items())
)  # fmt: skip
"""All of them, as they are written."""
_ALIAS = re.compile(r"\w[\w .+()-]{0,63}(?<! )")


def split_alias(spec: str) -> tuple[str | None, str]:
    """Return the alias of ``ALIAS=STRING``, or None, and the model string.

    A model string has a colon behind its family, whose name holds no "=": so what stands before the first "=" is an
    alias where that "=" stands before the first colon, whatever "=" there are in paths and options.

    Raises:
        ModelError: an alias of other characters than letters, digits, blanks and ``_ . + - ( )``, one that does not
            begin with a letter or digit, one of more than 64 characters, or one for nothing, several models or a file.

    >>> split_alias("mine=timm:resnet50//runs/lr=0.1/model.pt?resize=squash")
    ('mine', 'timm:resnet50//runs/lr=0.1/model.pt?resize=squash')
    >>> split_alias("timm:resnet50?resize=squash")
    (None, 'timm:resnet50?resize=squash')
    """
    before, equals, rest = spec.partition("=")
    if not equals or ":" in before or spec.startswith("@"):
        return None, spec
    if not _ALIAS.fullmatch(before):
        raise ModelError(
            f"'{spec}': '{before}' cannot be a model's name: up to 64 letters, digits, blanks and _ . + - ( ), "
            "the first one a letter, a digit or _"
        )
    if rest.startswith("@") or "*" in rest.partition("?")[0]:
        raise ModelError(f"'{spec}': one name is for one model; in a file, each line may have its own")
    if ":" not in rest:
        raise ModelError(f"'{spec}': behind NAME= stands a model string, such as {before}=timm:resnet50")
    return before, rest


def split_options(spec: str) -> tuple[str, dict[str, str]]:
    """Return a model string without its options, and these.

    Raises:
        ModelError: an unknown option, or a value that it cannot have.
    """
    bare, mark, query = spec.partition("?")
    if not mark:
        return spec, {}
    found = dict(parse_qsl(query, keep_blank_values=True))
    known = [option.partition("=")[0] for option in OPTIONS]
    for key, value in found.items():
        if key not in known:
            raise ModelError(
                f"'{spec}': unknown option '{key}'.{nearest(key, known)} Options are: {', '.join(OPTIONS)}"
            )
        if key in _CHOICES and value not in _CHOICES[key]:
            raise ModelError(f"'{spec}': {key} is {' or '.join(_CHOICES[key])}, not '{value}'")
    return bare, found


def apply_options(model: Any, options: dict[str, str], spec: str, alias: str | None = None) -> None:
    """Change a model's declared facts as options say, and its name to its alias.

    Raises:
        ModelError: the model cannot be changed so.
    """
    if not options and alias is None:
        return
    if not isinstance(model, HasMutableInfo):
        raise ModelError(f"'{spec}': a model of this family takes no {'options' if options else 'other name'}")
    changed: dict[str, Any] = {key: options[key] for key in ("precision", "likelihood") if key in options}
    changed["name"] = alias or options.get("name", spec)
    if changed["name"] != spec:  # under another name, people want to know what it is
        changed["about"] = f"{model.info.about} ({spec})".strip()
    changed["string"] = spec
    if "likelihood" in changed and not isinstance(model, HasLikelihood):
        raise ModelError(f"'{spec}': likelihood is an option of generative models")
    geometry: dict[str, str] = {
        key: options[key] for key in ("size", "resize", "crop", "interpolation", "norm") if key in options
    }
    if geometry:
        preprocess = model.info.preprocess
        if preprocess is None:
            raise ModelError(f"'{spec}': the model prepares pictures in a way of its own")
        changed["preprocess"] = _changed(preprocess, geometry, spec)
    model.change(**changed)


def _changed(preprocess: Preprocess, options: dict[str, str], spec: str) -> Preprocess:
    values: dict[str, Any] = {f.name: getattr(preprocess, f.name) for f in fields(preprocess)}
    try:
        if "size" in options:
            values["size"] = (int(options["size"]),) * 2
        if "crop" in options:
            values["crop"] = float(options["crop"])
    except ValueError as error:
        raise ModelError(f"'{spec}': {error}") from None
    if not 0 < values["crop"] <= 1 or not 1 <= values["size"][0] <= 4096:
        raise ModelError(f"'{spec}': size is 1 to 4096 pixels, crop above 0 and at most 1")
    for key in ("resize", "interpolation"):
        values[key] = options.get(key, values[key])
    if values["resize"] == "squash":
        values["crop"] = float(options.get("crop", 1.0))
    if "norm" in options:
        values["mean"], values["std"] = _NORMS[options["norm"]]
    return replace(preprocess, **values)
