"""A model family, `colours:`. It knows red, green and blue by the colour of the middle of an image."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.models import ModelInfo

WORDS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


class Colours:
    """Follows `ImageTextModel`: one space for images and captions, cosines as scores."""

    info = ModelInfo("colours", "image-text", about="the mean colour of an image's middle, against colour words")
    logit_scale = 10.0

    def encode_image(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        """Return how far the middle of each image is from its mean brightness, (N, 3), of unit length."""
        middle = [np.asarray(i.resize((9, 9)).convert("RGB"), np.float32)[3:6, 3:6].mean((0, 1)) for i in images]
        return _unit(np.stack(middle))

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the colour that each caption names, (N, 3), of unit length; grey where it names none."""
        found = [[rgb for word, rgb in WORDS.items() if word in text.lower()] or [(1, 1, 1)] for text in texts]
        return _unit(np.array([rgbs[0] for rgbs in found], np.float32))


def _unit(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = colours - colours.mean(1, keepdims=True) + 1e-3
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def load(rest: str) -> Colours:
    """Return the model of `colours:REST`."""
    return Colours()
