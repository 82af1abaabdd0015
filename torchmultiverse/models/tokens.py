"""A small image-text model whose pictures are tokens of what is in them, or patches; research.

It reads pictures with the numbers of their objects in the fourth channel (`torchmultiverse.store.MaskedImages`), which
only rendered datasets have, so that it is no model for photographs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.json_text import read_json
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.contract import ModelInfo
from torchmultiverse.models.preprocess import FloatArray
from torchmultiverse.models.semantic_tokens import WHOLE, scene_tokens

TokenKind = Literal["tokens", "tokens-plain", "patches"]
TOKEN_KINDS: dict[TokenKind, str] = {
    "tokens": "tokens, additive attention", "tokens-plain": "tokens, no additive attention", "patches": "patches",
}  # fmt: skip
"""Encoders of pictures, and what tables call them."""
_CONFIG, _WEIGHTS = "config.json", "model.pt"
_LENGTH = 32
_SCALE = float(np.log(1 / 0.07))


@dataclass(frozen=True)
class TokenConfig:
    """The shape of a model.

    Attributes:
        kind: of encoder of pictures.
        width, layers, heads: of it; captions have a third of the layers, at least 2.
        size, patch: side of the picture and of a patch in pixels, where there are patches.
        words: that captions are read in, in their order; others are one unknown word.
        seed: of the first weights.
    """

    kind: TokenKind
    width: int
    layers: int
    heads: int
    size: int
    patch: int
    words: tuple[str, ...]
    seed: int = 0


class TokenModel:
    """An image-text model of objects or patches.

    Args:
        config: its shape.

    Raises:
        ModelError: a width that heads do not divide, or a size that patches do not.
    """

    def __init__(self, config: TokenConfig) -> None:
        torch = tools.need("torch", "a token encoder")
        from torchmultiverse.models.token_network import CaptionEncoder, PatchEncoder, TokenEncoder

        if config.kind not in TOKEN_KINDS:
            raise ModelError(f"kind = '{config.kind}': one of {', '.join(TOKEN_KINDS)} is right")
        if config.width % config.heads or config.size % config.patch:
            raise ModelError(
                f"width {config.width} of {config.heads} heads, size {config.size} of patches of {config.patch}: the "
                "second of each must divide the first"
            )
        self.config = config
        self._places = {word: number for number, word in enumerate(config.words, 2)}
        shape = (config.width, config.layers, config.heads)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.images: Any = (
                PatchEncoder(*shape, config.size, config.patch)
                if config.kind == "patches"
                else TokenEncoder(*shape, additive=config.kind == "tokens")
            )
            self.captions: Any = CaptionEncoder(
                2 + len(config.words), _LENGTH, config.width, max(2, config.layers // 3), config.heads
            )
        self.scale: Any = torch.nn.ParameterDict({"log": torch.nn.Parameter(torch.tensor(_SCALE))})
        self._about()

    def _about(self) -> None:
        parts = (self.images, self.captions)
        self.info = ModelInfo(
            TOKEN_KINDS[self.config.kind], "image-text", weights="trained here",
            parameters=sum(tools.parameter_count(part) for part in parts), embedding=self.config.width,
            about=f"{self.config.layers} layers, {self.config.heads} heads, width {self.config.width}",
            text=f"{len(self.config.words)} words, {_LENGTH} at most",
        )  # fmt: skip

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by before a softmax."""
        return float(self.scale["log"].detach().exp())

    def prepared(self, images: Any, rows: NDArray[np.int64]) -> list[Any]:
        """Return some pictures of an `ImageSet` as `joined` takes them; each is decoded once."""
        return [self._one(images.image(int(row))) for row in rows]

    def joined(self, prepared: Sequence[Any]) -> Any:
        """Return pictures that are prepared as the batch that the encoder takes."""
        import torch

        from torchmultiverse.models.token_network import token_batch

        if self.config.kind != "patches":
            return token_batch(prepared)
        pixels, wholes = (np.stack(part) for part in zip(*prepared, strict=True))
        shown = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1
        return shown, torch.from_numpy(wholes).flatten(1).float() / 127.5 - 1

    def _one(self, image: Image.Image) -> Any:
        """Return what the encoder reads of a picture.

        Raises:
            ModelError: a picture without the numbers of its objects.
        """
        if self.config.kind == "patches":
            shown = _shown(image)
            return tuple(np.asarray(shown.resize((side, side))) for side in (self.config.size, WHOLE))
        if image.mode != "RGBA":
            raise ModelError(
                f"'{self.info.name}' reads pictures with the masks of their objects: "
                "torchmultiverse.store.MaskedImages of a dataset that was rendered with them"
            )
        return scene_tokens(np.asarray(image))

    def tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the numbers of words of captions, (N, 32); 0 is no word, 1 an unknown one."""
        found = np.zeros((len(texts), _LENGTH), np.int64)
        for line, text in zip(found, texts, strict=True):
            words = [self._places.get(word, 1) for word in words_of_caption(text)[:_LENGTH]]
            line[: len(words)] = words
        return found

    def encode_image(self, images: Any) -> FloatArray:
        """Return one vector per picture, (N, D), of unit length."""
        import torch

        with torch.no_grad():
            found = self.images.eval()(self.joined([self._one(image) for image in images]))
            return np.asarray(torch.nn.functional.normalize(found, dim=-1), np.float32)

    def encode_text(self, texts: Sequence[str]) -> FloatArray:
        """Return one vector per caption, (N, D), of unit length."""
        import torch

        with torch.no_grad():
            found = self.captions.eval()(torch.from_numpy(self.tokens(texts)))
            return np.asarray(torch.nn.functional.normalize(found, dim=-1), np.float32)

    def rank_weights(self) -> NDArray[np.float64] | None:
        """Return what the additive attention adds by rank, (8,); ``None`` without it."""
        bias = getattr(self.images, "bias", None)
        return None if bias is None else np.asarray(bias.weights().detach(), np.float64)

    def modules(self) -> dict[str, Any]:
        """Return what is learnt, by name."""
        return {"images": self.images, "captions": self.captions, "scale": self.scale}

    def save(self, folder: Path) -> Path:
        """Write the model; returns the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        held = {name: module.state_dict() for name, module in self.modules().items()}
        tools.save_tensors(folder / _WEIGHTS, held)
        (folder / _CONFIG).write_text(json.dumps({"format": 1, **asdict(self.config)}, indent=1) + "\n")
        return folder


def load_tokens(folder: str | Path) -> TokenModel:
    """Return a model that `TokenModel.save` wrote.

    Raises:
        ModelError: the folder holds none.
    """
    folder = Path(folder)
    try:
        told = read_json((folder / _CONFIG).read_text())
        told.pop("format")
        model = TokenModel(TokenConfig(**{**told, "words": tuple(told["words"])}))
        held = tools.load_tensors(folder / _WEIGHTS, "cpu")
        for name, module in model.modules().items():
            module.load_state_dict(held[name])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(f"{folder} holds no token encoder ({_CONFIG}, {_WEIGHTS}): {error}") from None
    return model


def words_of_caption(text: str) -> list[str]:
    """Return the words of a caption, in lower case, without commas and points.

    >>> words_of_caption("A zebra, two Lions.")
    ['a', 'zebra', 'two', 'lions']
    """
    return text.lower().replace(",", " ").replace(".", " ").split()


def _shown(image: Image.Image) -> Image.Image:
    """Return a picture without the numbers of its objects, which are no transparency."""
    return Image.fromarray(np.asarray(image)[..., :3]) if image.mode == "RGBA" else image.convert("RGB")
