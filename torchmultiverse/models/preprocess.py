"""Declared preprocessing: what happens to a picture before a model sees it, as data that travels with the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.images import rgb

FloatArray: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Pictures that are resized and cropped already, as :meth:`Preprocess.image` does it.

    Attributes:
        pixels: uint8 (N, H, W, 3).
    """

    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)


Images: TypeAlias = Sequence[Image.Image] | NDArray[np.uint8] | Prepared
"""Pictures: PIL images of any size, one uint8 batch of shape (N, H, W, 3), or a batch at the model's own size."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def pil_list(images: Images) -> list[Image.Image]:
    """Return pictures as a list of RGB PIL images.

    Raises:
        TypeError: neither PIL images nor a uint8 array of shape (N, H, W, 3).
    """
    if isinstance(images, Prepared):
        return [Image.fromarray(image) for image in images.pixels]
    if isinstance(images, np.ndarray):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise TypeError(f"a batch of pictures is uint8 (N, H, W, 3), not {images.dtype} {images.shape}")
        return [Image.fromarray(image) for image in images]
    for image in images:
        if not isinstance(image, Image.Image):
            raise TypeError(f"a picture is a PIL image, not a {type(image).__name__}")
    return [rgb(image) for image in images]


def _offset(length: int, target: int, rounding: str = "even") -> int:
    """Return where a centred crop begins; negative where padding is needed."""
    if length < target:
        return -((target - length) // 2)
    return (length - target) // 2 if rounding == "down" else round((length - target) / 2.0)


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Resize, crop and normalise, on the CPU with PIL's antialiased filters (the reference for all models here).

    Attributes:
        size: height and width of the model's input in pixels.
        resize: ``shortest`` scales the short side to the target and crops the centre; ``squash`` scales both sides
            and ignores the aspect; ``longest`` scales the long side and pads.
        crop: the fraction of the scaled short side that the crop keeps (timm's ``crop_pct``); 1 for ``squash``.
        interpolation: nearest, bilinear, bicubic or lanczos.
        mean, std: per channel of the model's input, of values in [0, 1]. Any other scaling is one of these: values
            from 0 to 255 have mean 0 and std 1/255.
        fill: of padding, 0 to 255: a grey level, or one for each of R, G, B.
        window: the centre of so many source pixels is cut out before anything else; 0 cuts nothing.
        rounding: where a crop begins when half a pixel is left over: the even number (torchvision, open_clip, timm) or
            the smaller one (transformers).
        channels: their order in the model's input.
    """

    size: tuple[int, int] = (224, 224)
    resize: Literal["shortest", "squash", "longest"] = "shortest"
    crop: float = 1.0
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    fill: int | tuple[int, int, int] = 0
    window: int = 0
    rounding: Literal["even", "down"] = "even"
    channels: Literal["RGB", "BGR"] = "RGB"

    def image(self, image: Image.Image) -> Image.Image:
        """Return the resized and cropped picture, as the model sees it, without normalisation."""
        height, width = self.size
        resample = _FILTERS[self.interpolation]
        if self.window:
            left, top = (_offset(side, self.window) for side in image.size)
            image = image.crop((left, top, left + self.window, top + self.window))
        # The little more undoes rounding where the crop is a ratio of two sizes, as 224/248.
        target = (int(height / self.crop + 1e-6), int(width / self.crop + 1e-6))
        if self.resize == "squash":
            image = image.resize((target[1], target[0]), resample)
        elif self.resize == "shortest":
            if target[0] != target[1]:
                # As open_clip and timm for an input that is not square: the picture covers it, both sides rounded.
                ratio = min(image.height / target[0], image.width / target[1])
                new = round(image.width / ratio), round(image.height / ratio)
            elif image.width <= image.height:
                # As torchvision.transforms.Resize: the short side exactly, the long side truncated.
                new = target[0], int(target[0] * image.height / image.width)
            else:
                new = int(target[0] * image.width / image.height), target[0]
            image = image.resize(new, resample) if new != image.size else image
        else:
            ratio = max(image.height / target[0], image.width / target[1])
            image = image.resize((round(image.width / ratio), round(image.height / ratio)), resample)
        if image.size == (width, height):
            return image
        left, top = _offset(image.width, width, self.rounding), _offset(image.height, height, self.rounding)
        if left >= 0 and top >= 0:
            return image.crop((left, top, left + width, top + height))
        fill = (self.fill,) * 3 if isinstance(self.fill, int) else self.fill
        canvas = Image.new("RGB", (width, height), fill)
        canvas.paste(image, (-left, -top))
        return canvas

    def view(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return the part of a picture that the model sees: left, top, right, bottom in the picture's pixels.

        Where the model pads, it reaches beyond the picture. Rounding to whole pixels is left out.

        Args:
            size: width and height of the picture.

        >>> Preprocess((224, 224), "shortest").view((640, 480))
        (80.0, 0.0, 560.0, 480.0)
        """
        height, width = self.size
        left = top = 0.0
        across, down = float(size[0]), float(size[1])
        if self.window:
            left, top = (across - self.window) / 2, (down - self.window) / 2
            across = down = float(self.window)
        scales = width / self.crop / across, height / self.crop / down
        if self.resize != "squash":
            scales = (max(scales) if self.resize == "shortest" else min(scales),) * 2
        left += (across - width / scales[0]) / 2
        top += (down - height / scales[1]) / 2
        return left, top, left + width / scales[0], top + height / scales[1]

    def pixels(self, images: Images) -> NDArray[np.uint8]:
        """Return what the model sees, without normalisation, uint8 (N, H, W, 3).

        Raises:
            ValueError: prepared pictures of another size.
        """
        if isinstance(images, Prepared):
            if images.pixels.shape[1:] != (*self.size, 3):
                raise ValueError(f"prepared pictures of shape {images.pixels.shape[1:]}; {(*self.size, 3)} is needed")
            return images.pixels
        pictures = pil_list(images)
        batch = np.empty((len(pictures), *self.size, 3), np.uint8)
        for index, image in enumerate(pictures):
            batch[index] = np.asarray(self.image(image))
        return batch

    def __call__(self, images: Images) -> FloatArray:
        """Return the model's input, float32 of shape (N, 3, H, W)."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        scaled = self.pixels(images)[..., :: self.step].astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(((scaled - mean) / std).transpose(0, 3, 1, 2))

    @property
    def step(self) -> Literal[1, -1]:
        """How channels are walked through: −1 makes BGR of RGB."""
        return -1 if self.channels == "BGR" else 1

    def as_dict(self) -> dict[str, Any]:
        """Return the declaration as plain data."""
        # What was kept under a declaration before there were other roundings and orders is still found.
        later = {"rounding": "even", "channels": "RGB"}
        return {name: value for name, value in asdict(self).items() if later.get(name) != value}

    def geometry(self) -> dict[str, Any]:
        """Return the part of the declaration that :meth:`pixels` depends on, as plain data."""
        return {name: value for name, value in self.as_dict().items() if name not in {"mean", "std", "channels"}}

    def __str__(self) -> str:
        height, width = self.size
        crop = f", crop {self.crop:g}" if self.crop != 1 else ""
        numbers = ", ".join(f"{m:.3f}±{s:.3f}" for m, s in zip(self.mean, self.std, strict=True))
        window = f"centre {self.window}, " if self.window else ""
        order = ", BGR" if self.channels == "BGR" else ""
        return f"{window}{self.resize} to {width}×{height}{crop}, {self.interpolation}, {numbers}{order}"
