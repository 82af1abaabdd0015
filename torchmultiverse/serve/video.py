"""The live video: the last picture, at a modest rate, at nearly no cost while nothing changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from torchmultiverse.engines import Frame

VIDEO_FPS = 5
VIDEO_SIDE = 256


class LatestFrame:
    """A video of the latest frame, at a modest rate, so that a browser shows what the engine does.

    Args:
        source: called for the latest frame, if there is one.

    Attributes:
        fps: pictures a second.
    """

    fps = VIDEO_FPS

    def __init__(self, source: Callable[[], Frame | None]) -> None:
        self._source = source
        self._shown: Frame | None = None
        self._picture = np.full((VIDEO_SIDE, VIDEO_SIDE, 3), 32, np.uint8)

    async def picture(self) -> np.ndarray[Any, Any]:
        """Return the picture to show, (256, 256, 3) uint8 RGB: dark grey until there is a frame."""
        latest = self._source()
        if latest is not None and latest is not self._shown:
            self._shown = latest
            self._picture = await asyncio.to_thread(_thumbnail, latest)
        return self._picture


def _thumbnail(frame: Frame) -> np.ndarray[Any, Any]:
    """Return the picture at the video's one size, on black: encoders dislike a change of size."""
    picture = Image.fromarray(frame.array("rgb"))
    picture.thumbnail((VIDEO_SIDE, VIDEO_SIDE))
    canvas = Image.new("RGB", (VIDEO_SIDE, VIDEO_SIDE))
    canvas.paste(picture, ((VIDEO_SIDE - picture.width) // 2, (VIDEO_SIDE - picture.height) // 2))
    return np.asarray(canvas)
