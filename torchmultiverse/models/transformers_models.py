"""Models of Hugging Face transformers: CLIP, SigLIP, FLAVA, BLIP and their kin, ViT, DINOv2, and generative VLMs.

Which adapter a checkpoint gets follows from the architecture that its ``config.json`` names. The preprocessing is read
from its ``preprocessor_config.json`` and declared where it can be, see ``processors``; else its own processor runs, or
the model is refused rather than fed something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import ModelError
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.arrays import unit
from torchmultiverse.models.contract import Model, ModelInfo
from torchmultiverse.models.generative import GenerativeScorer
from torchmultiverse.models.hub import weights_from_hub
from torchmultiverse.models.modules import ModuleClassifier, ModuleEncoder, WithoutBackground
from torchmultiverse.models.preprocess import FloatArray, Images, Preprocess
from torchmultiverse.models.processors import ImageProcessor, image_reader

if TYPE_CHECKING:
    import torch

_LENGTHS = {"siglip": 64, "siglip2": 64, "flava": 77, "clip": 77}
"""Captions are padded to these lengths, as in training; others to the longest of a batch, which is masked."""
_BLIP_LENGTH = 35  # tokens of a caption, as its retrieval was evaluated
_IMAGENET = 1000


class TransformersDual(tools.TorchModel):
    """An image-text model of transformers.

    Args:
        module: a model with ``get_image_features`` and ``get_text_features``, or BLIP's retrieval model.
        tokenizer: of its captions.
        info: the model's facts; its preprocessing is applied.
    """

    adapter = "TransformersDual"

    def __init__(self, module: torch.nn.Module, tokenizer: Any, info: ModelInfo) -> None:
        super().__init__(module, info)
        self._tokenizer = tokenizer
        self._type = str(self._any.config.model_type)
        self._blip = hasattr(module, "vision_proj") and hasattr(module, "text_proj")
        self.change(logit_scale=self.logit_scale, text=self._reading())

    @property
    def logit_scale(self) -> float:
        """The learnt factor of cosines; 1 where the model has none."""
        scale = getattr(self._any, "logit_scale", None)
        return 1.0 if scale is None else float(scale.detach().float().exp().item())

    def encode_image(self, images: Images) -> FloatArray:
        """Return one vector per picture, (N, D), of unit length."""
        with self.computing():
            return unit(tools.out_of(self.forward(self.batch(images))))

    @override
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if self._blip:
            found: torch.Tensor = self._any.vision_proj(self._any.vision_model(pixel_values=pixels)[0][:, 0])
            return found
        return _pooled(self._any.get_image_features(pixel_values=pixels))

    def encode_text(self, texts: Sequence[str]) -> FloatArray:
        """Return one vector per caption, (N, D), of unit length."""
        with self.computing():
            tokens = self._tokens(texts).to(self.device)
            if self._blip:
                read = self._any.text_encoder(**tokens).last_hidden_state
                return unit(tools.out_of(self._any.text_proj(read[:, 0])))
            return unit(tools.out_of(_pooled(self._any.get_text_features(**tokens))))

    def tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return what is read of each caption, (N, L)."""
        return np.asarray(self._tokens(texts)["input_ids"], np.int64)

    def _tokens(self, texts: Sequence[str]) -> Any:
        padded = self._type in _LENGTHS
        length = _BLIP_LENGTH if self._blip else self._limit()
        tokens = self._tokenizer(
            list(texts),
            padding="max_length" if padded else True,
            truncation=True,
            max_length=length,
            return_tensors="pt",
        )
        return tokens

    def _limit(self) -> int:
        text = getattr(self._any.config, "text_config", self._any.config)
        known = getattr(text, "max_position_embeddings", None) or 77
        return min(_LENGTHS.get(self._type, known), known)

    def _reading(self) -> str:
        length = _BLIP_LENGTH if self._blip else self._limit()
        padding = "padded to that" if self._type in _LENGTHS else "padded to the longest of a batch, masked"
        return f"{type(self._tokenizer).__name__}, at most {length} tokens, {padding}"


_FOLDER = "name a folder that save_pretrained wrote: hf:FOLDER"


def load_transformers(rest: str) -> Model:
    """Return the model of ``OWNER/NAME`` on the hub, or of a folder; ``/random`` behind it leaves the weights random.

    Raises:
        ModelError: no such model, one that cannot be had here, or one of a kind that there is no adapter for.
        MissingExtra: transformers is not installed.
    """
    transformers = tools.need("transformers", "a transformers model", "hf")
    name, slash, last = rest.rpartition("/")
    untrained = last == "random" and bool(slash)
    name = name if untrained else rest
    folder = Path(name).expanduser()
    if not folder.is_dir() and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ModelError(f"no folder {folder}")
    where = str(folder) if folder.is_dir() else name
    config = _config(transformers, where, name, rest)
    architecture = (getattr(config, "architectures", None) or [""])[0]
    kind = _kind(architecture, config.model_type)
    module = _module(transformers, where, name, config, untrained)
    preprocess = None if kind == "scorer" else _preprocess(transformers, where, config, untrained)
    processor = preprocess if isinstance(preprocess, ImageProcessor) else None
    info = ModelInfo(
        f"hf:{rest}",
        kind,
        preprocess if isinstance(preprocess, Preprocess) else None,
        weights="random" if untrained else "pretrained",
        weights_sha256=tools.weights_hash(module),
        parameters=tools.parameter_count(module),
        about=f"transformers {transformers.__version__}, {architecture or type(module).__name__}"
        + (f", pictures by its own {processor.name}" if processor else ""),
        license=_licence(where),
    )
    if kind == "classifier":
        return _classifier(module, config, info, processor)
    if kind == "encoder":
        encoder = ModuleEncoder(module, info, _cls)
        encoder.processor = processor
        encoder.change(embedding=int(config.hidden_size))
        return encoder
    with weights_from_hub(f"the tokenizer of {name}", "put its files into the folder"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(where)
    if kind == "scorer":
        return GenerativeScorer(module, _processor(transformers, where, tokenizer), info)
    if not _reads_both(module):
        raise ModelError(
            f"'hf:{rest}': {architecture or type(module).__name__} gives no vectors of pictures and captions in one "
            "space; of BLIP, the model for retrieval does "
            "(BlipForImageTextRetrieval, Salesforce/blip-itm-base-coco)"
        )
    dual = TransformersDual(module, tokenizer, info)
    dual.processor = processor
    dual.change(embedding=int(dual.encode_text(["a"]).shape[1]))
    return dual


def _config(transformers: Any, where: str, name: str, rest: str) -> Any:
    """Return a checkpoint's configuration.

    Raises:
        ModelError: there is none, or of no architecture of the library.
    """
    with weights_from_hub(f"transformers {name}", _FOLDER):
        try:
            return transformers.AutoConfig.from_pretrained(where, trust_remote_code=False)
        except (KeyError, ValueError) as error:
            told = (str(error).splitlines() or [""])[0]
            raise ModelError(
                f"'hf:{rest}' is no architecture of transformers {transformers.__version__}, and code that comes with "
                f"a model is not run: {told[:200]} A model of your own code is python:MODULE:FUNCTION"
            ) from error


def _module(transformers: Any, where: str, name: str, config: Any, untrained: bool) -> Any:
    architecture = (getattr(config, "architectures", None) or [""])[0]
    maker = getattr(transformers, architecture, None) or _default_class(transformers, config)
    if untrained:
        return tools.seeded(lambda: maker(config))
    with weights_from_hub(f"transformers {name}", _FOLDER):
        return maker.from_pretrained(where, dtype="float32")


def _classifier(module: Any, config: Any, info: ModelInfo, processor: ImageProcessor | None) -> ModuleClassifier:
    classes, first = _classes(config)
    adapter = WithoutBackground if first else ModuleClassifier
    model = adapter(module, info, classes, lambda output: output.logits)
    model.processor = processor
    model.change(embedding=len(config.id2label) - first)
    if first:
        model.change(about=f"{info.about}; the logit of its background class is left out")
    return model


def _kind(made: str, model_type: str) -> Any:
    if made.endswith("ForImageClassification"):
        return "classifier"
    if made.endswith(("ForConditionalGeneration", "ForImageTextToText", "EncoderDecoderModel")):
        return "scorer"
    # FLAVA's published checkpoint is a pre-training model, whose two encoders are those of FlavaModel.
    dual = {"clip", "siglip", "siglip2", "flava", "blip", "align", "altclip", "chinese_clip", "groupvit", "clipseg",
            "metaclip_2", "owlvit", "vision-text-dual-encoder"}  # fmt: skip
    return "image-text" if model_type in dual else "encoder"


def _reads_both(module: Any) -> bool:
    names = (("get_image_features", "get_text_features"), ("vision_proj", "text_proj"))
    return any(all(hasattr(module, name) for name in pair) for pair in names)


def _classes(config: Any) -> tuple[tuple[str, ...] | None, int]:
    """Return the names of a classifier's logits, ``None`` for the 1000 of ImageNet, and where they begin.

    MobileNets that were converted from TensorFlow have a class for the background before the 1000.
    """
    names = tuple(str(config.id2label[i]) for i in range(len(config.id2label)))
    first = int(len(names) == _IMAGENET + 1 and names[0] == "background")
    ends = names[first].startswith("tench") and names[-1].startswith("toilet tissue")
    unnamed = names[0] == "LABEL_0"
    return (None if len(names) - first == _IMAGENET and (ends or unnamed or first) else names[first:]), first


def _default_class(transformers: Any, config: Any) -> Any:
    return transformers.AutoModel._model_mapping[type(config)]


def _pooled(output: Any) -> torch.Tensor:
    """Return one vector per input of what ``get_…_features`` gives in transformers 4 and 5; FLAVA gives one a token."""
    import torch

    tensor = output if isinstance(output, torch.Tensor) else output.pooler_output
    return tensor[:, 0] if tensor.ndim == 3 else tensor


def _cls(output: Any) -> torch.Tensor:
    """Return the class token after the last norm; the mean over places where a model has no such token."""
    hidden: torch.Tensor = output.last_hidden_state
    if hidden.ndim == 4:
        return hidden.mean((2, 3))
    return hidden[:, 0]


def _preprocess(transformers: Any, where: str, config: Any, untrained: bool) -> Preprocess | ImageProcessor:
    """Return the preprocessing of a checkpoint; any that fits will do for random weights.

    Of processors that come for Pillow and for torchvision, Pillow's is taken: checkpoints were trained with it, and on
    this machine or another it gives the same pixels.

    Raises:
        ModelError: pretrained weights without it: guessing would give numbers that mean something else.
    """
    try:
        with weights_from_hub(f"the preprocessing of {where}", "put preprocessor_config.json into the folder"):
            new = int(transformers.__version__.partition(".")[0]) >= 5
            pillow: dict[str, Any] = {"backend": "pil"} if new else {"use_fast": False}
            processor = transformers.AutoImageProcessor.from_pretrained(where, trust_remote_code=False, **pillow)
    except (ModelError, ValueError, OSError) as error:
        vision = getattr(config, "vision_config", None) or getattr(config, "image_config", None) or config
        side = getattr(vision, "image_size", None)
        if not untrained or not isinstance(side, int):
            raise ModelError(
                f"{where} does not say how pictures are preprocessed (no preprocessor_config.json): {error}"
            ) from None
        return Preprocess((side, side), "squash", 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    return image_reader(processor, where)


def _processor(transformers: Any, where: str, tokenizer: Any) -> Any:
    try:
        return transformers.AutoProcessor.from_pretrained(where)
    except (OSError, ValueError):
        return tokenizer


def _licence(where: str) -> str:
    """Return the licence that a model's card names, from the folder or the cache; "" where there is none."""
    import re

    from huggingface_hub import try_to_load_from_cache

    path = Path(where) / "README.md" if Path(where).is_dir() else try_to_load_from_cache(where, "README.md")
    try:
        text = Path(path).read_text(encoding="utf-8") if isinstance(path, str | Path) else ""
    except OSError:
        return ""
    head = text.split("---")[1] if text.startswith("---") and text.count("---") > 1 else ""
    found = re.search(r"^license:\s*(\S+)", head, re.M)
    return found[1] if found else ""
