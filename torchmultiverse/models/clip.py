"""open_clip models: contrastive image-text models by architecture and pretraining tag."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.arrays import unit
from torchmultiverse.models.contract import ModelInfo
from torchmultiverse.models.hub import weights_from_hub
from torchmultiverse.models.preprocess import CLIP_MEAN, CLIP_STD, FloatArray, Images, Preprocess

if TYPE_CHECKING:
    import torch

_PURPOSE = "an open_clip model"


class ClipModel(tools.TorchModel):
    """Any open_clip model object with its tokenizer and preprocessing.

    Args:
        module: has ``encode_image``, ``encode_text`` and ``logit_scale``.
        tokenizer: texts to tokens, (N, L).
        info: the model's facts; its preprocessing is applied.
    """

    adapter = "ClipModel"

    def __init__(self, module: torch.nn.Module, tokenizer: Callable[[list[str]], torch.Tensor], info: ModelInfo):
        super().__init__(module, info)
        self.tokenizer = tokenizer
        if info.logit_scale is None:
            self.change(logit_scale=self.logit_scale)

    @property
    def logit_scale(self) -> float:
        """The learnt factor of cosines."""
        return float(self._any.logit_scale.detach().exp().item())

    def encode_image(self, images: Images) -> FloatArray:
        """Return one vector per picture, (N, D), of unit length."""
        with self.computing():
            return unit(tools.out_of(self.forward(self.batch(images))))

    @override
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._any.encode_image(pixels)
        return found

    def encode_text(self, texts: Sequence[str]) -> FloatArray:
        """Return one vector per caption, (N, D), of unit length."""
        with self.computing():
            return unit(tools.out_of(self._any.encode_text(self.tokenizer(list(texts)).to(self.device))))

    def tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return what is read of each caption, (N, L)."""
        return np.asarray(self.tokenizer(list(texts)), np.int64)


def load_open_clip(rest: str) -> ClipModel:
    """Return the model of ``ARCH/TAG``, ``ARCH/random`` or ``ARCH//FILE``.

    Raises:
        ModelError: unknown architecture or tag, or weights that cannot be had.
        MissingExtra: open_clip is not installed.
    """
    open_clip = tools.need("open_clip", _PURPOSE)
    arch, tag, path = tools.name_tag_file(rest)
    known = open_clip.list_models()
    if arch not in known:
        raise ModelError(f"open_clip has no architecture '{arch}'.{nearest(arch, known)}")
    name = f"open_clip:{rest}"
    tags = open_clip.list_pretrained_tags_by_model(arch)
    if not path and tag != "random" and tag not in tags:
        offer = nearest(tag, tags) if tags else " It has no pretrained weights."
        ask = f"no pretrained weights '{tag}' of {arch}." if tag else f"which weights of {arch}?"
        raise ModelError(f"{ask}{offer} Write open_clip:{arch}/random for an untrained one")
    if path or tag == "random":
        module = _build(open_clip, arch)
        if path:
            tools.fill(module, path)
    else:
        instead = f"name a file: open_clip:{arch}//path/to/checkpoint.pt"
        with weights_from_hub(f"open_clip {arch}/{tag}", instead):
            module = open_clip.create_model(arch, pretrained=tag, precision="fp32", weights_only=True)
    with weights_from_hub(f"the tokenizer of open_clip {arch}", "use an architecture with the built-in tokenizer"):
        tokenizer = open_clip.get_tokenizer(arch)
    return ClipModel(
        module,
        tokenizer,
        ModelInfo(
            name,
            "image-text",
            declared(open_clip.get_model_preprocess_cfg(module)),
            weights=path or tag,
            weights_sha256=tools.weights_hash(module),
            parameters=tools.parameter_count(module),
            about=f"open_clip {open_clip.__version__}, {arch}, weights {path or tag}",
            embedding=int(open_clip.get_model_config(arch)["embed_dim"]),
            text=f"{type(tokenizer).__name__}, {getattr(tokenizer, 'context_length', '?')} tokens, padded to that",
        ),
    )


def _build(open_clip: Any, arch: str) -> torch.nn.Module:
    """Return an architecture with random weights; those of an untrained model are the same on every machine."""
    # open_clip logs that no weights were loaded; that is what was asked for.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        module: torch.nn.Module = tools.seeded(
            lambda: open_clip.create_model(
                arch, pretrained=None, precision="fp32", pretrained_image=False, pretrained_text=False
            )
        )
    finally:
        logging.disable(before)
    return module


def declared(config: dict[str, Any]) -> Preprocess:
    """Return open_clip's preprocessing configuration as a declaration."""
    size = config.get("size", 224)
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    fill = config.get("fill_color", 0)
    return Preprocess(
        (height, width),
        config.get("resize_mode") or "shortest",
        1.0,
        config.get("interpolation") or "bicubic",
        tools.triple(config.get("mean"), CLIP_MEAN),
        tools.triple(config.get("std"), CLIP_STD),
        int(fill) if isinstance(fill, int | float) else tuple(int(v) for v in fill),  # type: ignore[arg-type]
    )
