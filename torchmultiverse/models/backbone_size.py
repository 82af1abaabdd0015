"""Backbones of timm that are wider or narrower, deeper or shallower than their name says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchmultiverse.errors import ModelError

_EIGHT = 8  # channels are multiples of it, as in networks that are made in several widths


def sized_backbone(name: str, width: float = 1.0, depth: float = 1.0, **options: Any) -> Any:
    """Return an untrained backbone of timm with other widths or depths.

    Args:
        name: of timm.
        width: factor on the channels of every stage, which are then multiples of 8 (of the heads' number, of a vision
            transformer).
        depth: factor on the blocks of every stage, one at least.
        options: further ones of ``timm.create_model``.

    Raises:
        ModelError: timm takes no widths or depths for this model.

    >>> sized_backbone("resnet10t", width=0.5).num_features
    256
    """
    import timm

    if width == depth == 1:
        return timm.create_model(name, pretrained=False, num_classes=0, **options)
    usual = _unfilled(name, options)
    changed: dict[str, Any] = {}
    if width != 1:
        changed |= _wider(usual, name, width)
    if depth != 1:
        changed |= _deeper(usual, name, depth)
    try:
        return timm.create_model(name, pretrained=False, num_classes=0, **{**options, **changed})
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise ModelError(
            f"timm's {name} cannot be built {width:g} times as wide and {depth:g} as deep: {error}"
        ) from None


def _unfilled(name: str, options: dict[str, Any]) -> Any:
    """Return the model as it usually is, without weights."""
    import timm
    import torch

    with torch.device("meta"):
        return timm.create_model(name, pretrained=False, num_classes=0, **options)


def _wider(usual: Any, name: str, factor: float) -> dict[str, Any]:
    taken = _parameters(usual)
    if "channels" in taken and hasattr(usual, "layer4"):
        expansion = int(getattr(usual.layer1[0], "expansion", 1))
        channels = [info["num_chs"] // expansion for info in usual.feature_info[-4:]]
        return {"channels": tuple(_multiple(factor * one, _EIGHT) for one in channels)}
    if "dims" in taken:
        return {"dims": tuple(_multiple(factor * info["num_chs"], _EIGHT) for info in usual.feature_info)}
    if "embed_dim" in taken and hasattr(usual, "blocks"):
        heads = int(usual.blocks[0].attn.num_heads)
        return {"embed_dim": _multiple(factor * usual.embed_dim, heads * 2)}
    raise ModelError(f"timm takes no widths for '{name}': a ResNet, ConvNeXt or vision transformer has them")


def _deeper(usual: Any, name: str, factor: float) -> dict[str, Any]:
    taken = _parameters(usual)
    if "layers" in taken and hasattr(usual, "layer4"):
        stages: Sequence[Any] = [usual.layer1, usual.layer2, usual.layer3, usual.layer4]
        return {"layers": [max(1, round(factor * len(stage))) for stage in stages]}
    if "depths" in taken and hasattr(usual, "stages"):
        return {"depths": tuple(max(1, round(factor * len(stage.blocks))) for stage in usual.stages)}
    if "depth" in taken and hasattr(usual, "blocks"):
        return {"depth": max(1, round(factor * len(usual.blocks)))}
    raise ModelError(f"timm takes no depths for '{name}': a ResNet, ConvNeXt or vision transformer has them")


def _parameters(model: Any) -> set[str]:
    import inspect

    return set(inspect.signature(type(model).__init__).parameters)


def _multiple(number: float, of: int) -> int:
    return max(of, round(number / of) * of)
