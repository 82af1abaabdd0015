"""Options behind a model string: ``timm:resnet50?resize=squash&precision=bfloat16``."""

from __future__ import annotations

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


def apply_options(model: Any, options: dict[str, str], spec: str) -> None:
    """Change a model's declared facts as options say.

    Raises:
        ModelError: the model cannot be changed so.
    """
    if not options:
        return
    if not isinstance(model, HasMutableInfo):
        raise ModelError(f"'{spec}': a model of this family takes no options")
    changed: dict[str, Any] = {key: options[key] for key in ("precision", "likelihood") if key in options}
    changed["name"] = options.get("name", spec)
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
