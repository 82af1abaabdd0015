"""Image processors of transformers, as declarations where they have one, else as they are.

An image processor is a program: classes read the same settings in ways of their own (one resizes to ``size``, another
to ``size / crop_pct``, a third to 256/224 of it). So a declaration is not believed because its settings look familiar:
it must give what the processor itself gives, pixel by pixel, for pictures of noise in several shapes. Where none does,
the processor itself runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.models.preprocess import FloatArray, Images, Preprocess, pil_list

_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_SHAPES = ((301, 227), (206, 349), (97, 130), (256, 256))
"""Width and height of the pictures of noise: wide, tall, smaller than most inputs, square."""
_STEP = 1.01
"""Largest difference in grey levels: Pillow and torchvision round what they resize in ways of their own."""


class ImageProcessor:
    """A model's own image processor, for what has no declaration.

    Args:
        processor: of transformers; called with one picture at a time, so that none depends on the others of its batch.
        where: the model, for errors.

    Attributes:
        size: height and width that it makes of a square picture, in pixels.

    Raises:
        ModelError: what it makes of a picture is no single array of three channels.
    """

    def __init__(self, processor: Any, where: str) -> None:
        self._processor, self._where = processor, where
        self.name = type(processor).__name__
        self.size: tuple[int, int] = self.one(_noise(256, 256)).shape[1:]  # type: ignore[assignment]

    def __call__(self, images: Images) -> FloatArray:
        """Return the model's input, float32 of shape (N, 3, H, W).

        Raises:
            ModelError: pictures of several shapes become inputs of several shapes.
        """
        made = [self.one(image) for image in pil_list(images)]
        if len(shapes := {array.shape for array in made}) > 1:
            sizes = " and ".join(f"{width} × {height}" for _, height, width in sorted(shapes)[:2])
            raise ModelError(
                f"{self._where}: {self.name} makes pictures of {sizes}, which are no batch; "
                "evaluate with a batch size of 1"
            )
        return np.stack(made)

    def one(self, image: Image.Image) -> FloatArray:
        """Return the input of one RGB picture, float32 of shape (3, H, W).

        Raises:
            ModelError: it fails, or makes something else.
        """
        try:
            made = dict(self._processor(images=image, return_tensors="np"))
        except Exception as error:  # anything: it is a program of somebody else
            raise ModelError(f"{self._where}: {self.name} fails with a picture: {_first_line(error)}") from error
        pixels = made.pop("pixel_values", None)
        mask = made.pop("pixel_mask", None)
        if made or (mask is not None and not np.all(mask)):
            raise ModelError(
                f"{self._where}: {self.name} makes {', '.join(made) or 'a mask'} beside the pixels, "
                "which is not passed on"
            )
        array = np.asarray(pixels, np.float32)
        if array.ndim != 4 or array.shape[:2] != (1, 3):
            raise ModelError(
                f"{self._where}: {self.name} makes an array of shape {array.shape}; (1, 3, H, W) is needed"
            )
        pixels_of_one: FloatArray = array[0]
        return pixels_of_one


def image_reader(processor: Any, where: str) -> Preprocess | ImageProcessor:
    """Return an image processor as a declaration, or itself.

    Args:
        processor: of transformers.
        where: the model, for errors.

    Raises:
        ModelError: it cannot be used at all, see :class:`ImageProcessor`.
    """
    own = ImageProcessor(processor, where)
    theirs = {shape: own.one(_noise(*shape)) for shape in _SHAPES}
    if {array.shape[1:] for array in theirs.values()} != {own.size}:
        return own
    for declared in _candidates(processor, own.size):
        if all(_same(declared, shape, array) for shape, array in theirs.items()):
            half = _half(declared)
            if declared.resize == "squash" or _same(declared, half, own.one(_noise(*half))):
                return declared
    return own


def _same(declared: Preprocess, shape: tuple[int, int], theirs: FloatArray) -> bool:
    level = 255 * np.array(declared.std, np.float64)[:, None, None]
    return bool(np.abs((declared([_noise(*shape)])[0] - theirs) * level).max() <= _STEP)


def _half(declared: Preprocess) -> tuple[int, int]:
    """Return the width and height of a picture of which the crop leaves half a pixel over."""
    side = declared.size[1]
    edge = round(side / declared.crop)
    return next(width for width in range(max(edge, side) + 1, max(edge, side) + 6) if (width - side) % 4 == 3), edge


def _candidates(processor: Any, size: tuple[int, int]) -> Iterator[Preprocess]:
    """Yield what the settings of a processor may mean, the usual first.

    Args:
        processor: of transformers.
        size: height and width of what it makes.
    """
    interpolation = _interpolation(getattr(processor, "resample", None))
    values = _values(processor)
    if interpolation is None or values is None or not getattr(processor, "do_resize", True):
        return
    channels: Any = "BGR" if getattr(processor, "do_flip_channel_order", False) else "RGB"
    plain = Preprocess(size, "squash", 1.0, interpolation, *values, channels=channels)
    sides = _sides(getattr(processor, "size", None))
    named = [side for key in ("shortest_edge", "height") if (side := sides.get(key))]
    ratio = getattr(processor, "crop_pct", None)
    edges = [*named, *(int(edge / ratio) for edge in named if ratio), *(int(256 / 224 * edge) for edge in named)]
    if "height" in sides:
        yield plain
    if size[0] == size[1]:
        for edge in dict.fromkeys(edges):
            for resize in ("shortest", "squash"):
                if (resize, edge) != ("squash", size[0]):
                    yield replace(plain, resize=resize, crop=size[0] / edge, rounding="down")  # type: ignore[arg-type]
    if "height" not in sides:
        yield plain


def _interpolation(resample: Any) -> str | None:
    """Return the name of a filter that is a number of Pillow's or a member of torchvision's; bilinear for none."""
    if resample is None:
        return "bilinear"
    value = getattr(resample, "value", resample)
    name = _FILTERS.get(value) if isinstance(value, int) else str(value)
    return name if name in _FILTERS.values() else None


def _values(processor: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]] | None:
    """Return mean and deviation, of values in [0, 1], that do what rescaling and normalising do; ``None`` for neither.

    All steps are linear: u ↦ u·scale + shift, and (u/255 − mean) / std is the same with std = 1/(255·scale).
    """
    scale = float(getattr(processor, "rescale_factor", 1 / 255)) if getattr(processor, "do_rescale", True) else 1.0
    shift = -1.0 if getattr(processor, "rescale_offset", False) and getattr(processor, "do_rescale", True) else 0.0
    mean, std = getattr(processor, "image_mean", None), getattr(processor, "image_std", None)
    means, stds = [0.0] * 3, [1.0] * 3
    if getattr(processor, "do_normalize", True):
        if mean is None or std is None:
            return None
        means, stds = _three(mean), _three(std)
    again = _three(std) if getattr(processor, "include_top", False) and std is not None else [1.0] * 3  # EfficientNet
    unit = 1.0 if scale == 1 / 255 else 1 / (255 * scale)
    one, two, three = ((m - shift) * unit for m in means)
    first, second, third = (s * a * unit for s, a in zip(stds, again, strict=True))
    return (one, two, three), (first, second, third)


def _three(values: Any) -> list[float]:
    return [float(values)] * 3 if isinstance(values, int | float) else [float(value) for value in values]


def _sides(size: Any) -> dict[str, int]:
    if size is None:
        return {}
    if isinstance(size, int):
        return {"height": size, "width": size}
    return {key: int(value) for key, value in dict(size).items() if isinstance(value, int | float)}


def _noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng((width, height))
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
