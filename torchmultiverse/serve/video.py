"""The live video: the last picture, at a modest rate, at nearly no cost while nothing changes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import VideoStreamTrack
from av import VideoFrame
from PIL import Image
from typing_extensions import override

from torchmultiverse.engines import Frame

VIDEO_FPS = 5
VIDEO_SIDE = 256


class LatestFrameTrack(VideoStreamTrack):  # type: ignore[misc]
    """A video of the latest frame, at a modest rate, so that a browser shows what the engine does."""

    def __init__(self, source: Callable[[], Frame | None]) -> None:
        super().__init__()
        self._source = source
        self._count = itertools.count()
        self._shown: Frame | None = None
        self._picture = np.full((VIDEO_SIDE, VIDEO_SIDE, 3), 32, np.uint8)

    @override
    async def recv(self) -> VideoFrame:
        number = next(self._count)
        if number:
            await asyncio.sleep(1 / VIDEO_FPS)
        latest = self._source()
        if latest is not None and latest is not self._shown:
            self._shown = latest
            self._picture = await asyncio.to_thread(_thumbnail, latest)
        frame = VideoFrame.from_ndarray(self._picture, format="rgb24")
        frame.pts = number * 90000 // VIDEO_FPS
        frame.time_base = Fraction(1, 90000)
        return frame


def _thumbnail(frame: Frame) -> np.ndarray[Any, Any]:
    """Return the picture at the video's one size, on black: encoders dislike a change of size."""
    picture = Image.fromarray(frame.array("rgb"))
    picture.thumbnail((VIDEO_SIDE, VIDEO_SIDE))
    canvas = Image.new("RGB", (VIDEO_SIDE, VIDEO_SIDE))
    canvas.paste(picture, ((VIDEO_SIDE - picture.width) // 2, (VIDEO_SIDE - picture.height) // 2))
    return np.asarray(canvas)
